"""Networks against the peers they name, live, and the golden figures that tests/models/test_golden.py holds them to."""

from functools import partial

import jax
import numpy as np
import pytest

import convzoo
from convzoo import weights
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.weights.tables import IGNORED
from tests.parity import cases, peers

pytestmark = pytest.mark.parity

# Every name with a peer, and its table: torchvision builds the name, or peers.BUILD the model.
NAMES = {
    "alexnet": "alexnet",
    **dict.fromkeys(convzoo.list_models("resnet*"), "resnet"),
    **dict.fromkeys(convzoo.list_models("cifar_resnet*"), "cifar_resnet"),
}


@pytest.mark.parametrize("name", cases.CASES)
def test_equals_its_peer(name, torch, record_property):
    case = cases.CASES[name]
    expected = peers.theirs(torch, case)
    differing = cases.differences(cases.ours(case), expected)
    record_property("largest differences", [name, *cases.worst(differing).items()])
    cases.check(differing)
    cases.keep(name, cases.figures(expected))


@pytest.mark.parametrize(("name", "family"), NAMES.items())
def test_has_its_peers_arrays(name, family, torch, torchvision):
    model = convzoo.create(name)
    with torch.device("meta"):
        build = getattr(torchvision.models, name, None)
        net = build() if build else peers.BUILD[family](torch, model, 3)
    like = cases.shapes(model, (1, 64, 64, 3))
    ours = jax.eval_shape(partial(weights.to_peer, family=family), like)
    theirs = {key: tuple(a.shape) for key, a in net.state_dict().items() if not key.endswith(IGNORED)}
    assert {key: a.shape for key, a in ours.items()} == theirs
    counted = sum(p.numel() for p in net.parameters())
    assert convzoo.cost(model, (1, 64, 64, 3)).params == counted


def test_real_weights_give_the_peers_logits(torch, test_data, record_property):
    """CIFAR ResNet-20 as trained by Y. Idelbayev, on noise in float64."""
    with np.load(test_data / "pretrained" / "cifar_resnet20-12fca82f.npz") as file:
        state = {key: file[key].astype(np.float64) for key in file.files}
    shape = (8, 32, 32, 3)
    x = cases.uniform("input", shape)
    net = peers.cifar_resnet(torch, CIFAR_RESNET20, 3).double().eval()
    peers.load(torch, net, state)
    with torch.no_grad():
        expected = net(torch.from_numpy(peers.channels_first(x))).numpy()
    with jax.enable_x64(True):
        model = CIFAR_RESNET20.clone(dtype="float64", param_dtype="float64")
        variables = weights.from_peer(state, "cifar_resnet", cases.shapes(CIFAR_RESNET20, shape))
        apply = jax.jit(partial(model.apply, train=False), compiler_options=cases.UNOPTIMISED)
        found, _ = apply(variables, x)
    differing = cases.differences({"eval/output": np.asarray(found)}, {"eval/output": expected})
    record_property("largest differences", ["cifar_resnet20 real", *cases.worst(differing).items()])
    cases.check(differing)
