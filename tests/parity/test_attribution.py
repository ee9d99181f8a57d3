"""Attributions against captum's on the same networks and arrays, live in float64; tests/explain has its figures."""

import warnings
from typing import Any

import jax
import numpy as np
import pytest

from convzoo import weights
from tests.parity import attributions, cases, peers
from tests.parity.conftest import peer

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def captum(torch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        return peer("captum.attr")


def theirs(torch: Any, captum: Any, name: str, patch: pytest.MonkeyPatch) -> cases.Arrays:
    """What ``attributions.ours`` computes, by captum on the peer's network."""
    case, table = cases.CASES[name], cases.CASES[name].tables[0]
    net, modules = peers.BUILD[table](torch, case.model, case.input[-1])
    peers.load(torch, net.double().eval(), weights.to_peer(cases.filled(cases.shapes(case.model, case.input)), table))

    def tensor(array: np.ndarray) -> Any:
        return torch.from_numpy(peers.channels_first(array))

    x = tensor(cases.uniform("input", case.input)).requires_grad_()
    base = tensor(attributions.baseline(name))
    target = torch.from_numpy(attributions.target(name))
    integrated, gap = captum.IntegratedGradients(net).attribute(
        x, base, target, n_steps=attributions.STEPS, return_convergence_delta=True
    )
    layer = net.get_submodule(modules[attributions.CASES[name]])
    cam = captum.LayerGradCam(net, layer).attribute(x, target, relu_attributions=True)
    mode = "linear" if x.ndim == 3 else "bilinear"
    window, stride = attributions.WINDOWS[x.ndim - 2]
    channels = x.shape[1]
    occluded = captum.Occlusion(net).attribute(
        x, (channels, *window), strides=(channels, *stride), baselines=base, target=target
    )
    with jax.enable_x64(True):
        noises = np.stack([attributions.noise(name, k) for k in range(attributions.SAMPLES)])
    patch.setattr(torch, "normal", lambda *given, **named: tensor(noises))
    smooth = captum.NoiseTunnel(captum.Saliency(net)).attribute(
        x[:1], "smoothgrad", attributions.SAMPLES, stdevs=attributions.SIGMA, target=target[:1], abs=False
    )
    patch.undo()
    found = {
        "saliency": captum.Saliency(net).attribute(x, target).amax(1),
        "smoothgrad": smooth.abs().amax(1),
        "integrated": integrated.movedim(1, -1),
        "gap": gap,
        "cam": cam[:, 0],
        "cam map": captum.LayerAttribution.interpolate(cam, x.shape[2:], interpolate_mode=mode)[:, 0],
        "occlusion": occluded[:, 0],
    }
    return {key: value.detach().numpy() for key, value in found.items()}


@pytest.mark.parametrize("name", attributions.CASES)
def test_equals_captums(name, torch, captum, monkeypatch, record_property):
    expected = theirs(torch, captum, name, monkeypatch)
    differing = attributions.check(attributions.ours(name), expected)
    record_property("largest differences", [f"{name} (captum)", ("output", max(differing.values()))])
    print(name, differing)
    if name in attributions.KEPT:
        attributions.keep(name, cases.figures(expected))
