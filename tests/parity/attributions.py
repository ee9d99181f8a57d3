"""Attributions that are compared with captum's: our half, without torch. Networks and arrays are those of cases.py."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convzoo.explain import attribution
from convzoo.explain.occlusion import occlusion
from tests.parity import cases

GOLDEN = Path(__file__).parents[1] / "golden" / "attribution.json"
CASES = {"cifar_resnet": "stage1", "cifar_resnet_1d": "stage1", "resnet_basic": "stage2", "convnext": "stage3"}
KEPT = ("cifar_resnet",)  # whose figures are held by make test
STEPS, SAMPLES, SIGMA = 9, 3, 0.3
WINDOWS = {1: ((7,), (4,)), 2: ((5, 6), (3, 4))}  # and their strides; they do not fit the inputs evenly
# captum rounds to float32, whatever the dtype: the weights of the steps, and what it divides by how often it is hidden.
BOUNDS = {"integrated": 1e-6, "gap": 1e-5, "occlusion": 1e-7}


def target(name: str) -> np.ndarray:
    case = cases.CASES[name]
    return np.arange(case.input[0]) % case.model.num_classes


def baseline(name: str) -> np.ndarray:
    return cases.uniform("baseline", cases.CASES[name].input, -0.2, 0.2)


def noise(name: str, index: int) -> np.ndarray:
    """What ``smoothgrad`` adds to its sample of this index, the same for all of a batch."""
    key = jax.random.fold_in(jax.random.key(0), index)
    return SIGMA * np.asarray(jax.random.normal(key, cases.CASES[name].input[1:], "float64"))


def ours(name: str) -> cases.Arrays:
    case = cases.CASES[name]
    model = case.model.clone(dtype="float64", param_dtype="float64", **cases.without_dropout(case.model))
    with jax.enable_x64(True):
        variables: Any = jax.tree.map(jnp.asarray, cases.filled(cases.shapes(case.model, case.input)))
        x, label = jnp.asarray(cases.uniform("input", case.input)), jnp.asarray(target(name))
        given = model, variables, x, label
        span = jnp.ptp(x[0])  # the noise is told as a share of each example's range, so one is looked at
        one, its = (jnp.repeat(each[:1], len(x), axis=0) for each in (x, label))
        smooth = attribution.smoothgrad(model, variables, one, its, samples=SAMPLES, noise=float(SIGMA / span))
        integrated = attribution.integrated_gradients(*given, baseline=baseline(name), steps=STEPS)
        cam = attribution.grad_cam(*given, waypoint=CASES[name])
        window, stride = WINDOWS[x.ndim - 2]
        found = {
            "saliency": attribution.saliency(*given),
            "smoothgrad": smooth[:1],
            "integrated": integrated.values,
            "gap": integrated.gap,
            "cam": cam.places,
            "cam map": cam.map,
            "occlusion": occlusion(*given, window=window, stride=stride, hidden=baseline(name), chunk=5),
        }
        return {key: np.asarray(array) for key, array in found.items()}


def check(found: Any, expected: Any) -> dict[str, float]:
    """How far each array lies from the peer's, in units of its largest value; fails where that is too far."""
    differing = cases.differences(*({k: np.asarray(v) for k, v in side.items()} for side in (found, expected)))
    wrong = {key: value for key, value in differing.items() if not value <= BOUNDS.get(key, 1e-9)}
    assert not wrong, wrong
    return differing


def golden() -> dict[str, cases.Figures]:
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


def keep(name: str, new: cases.Figures) -> None:
    """Writes captum's figures, unless those in the file are the same but for rounding."""
    everything = golden()
    if name in everything and max(cases.apart(everything[name], new).values()) < 1e-10:
        return
    everything[name] = {key: [float(f"{value:.11e}") for value in pair] for key, pair in new.items()}
    GOLDEN.write_text(json.dumps({key: everything[key] for key in KEPT if key in everything}, indent=1) + "\n")
