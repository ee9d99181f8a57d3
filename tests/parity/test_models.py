"""Networks against the peers they name, live, and the golden figures that tests/models/test_golden.py holds them to."""

import importlib
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

import convzoo
from convzoo import weights, zoo
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.weights.tables import IGNORED
from tests.parity import cases, peers

pytestmark = pytest.mark.parity

NOT_A_LIBRARYS = ("efficientnet_lite_pytorch",)  # its author's code is in no package; tests/weights has its keys
PAIRS = [(name, table) for name, case in cases.CASES.items() for table in case.tables]
NAMED = [(name, table) for name, tables in zoo.STYLES.items() for table in tables if table not in NOT_A_LIBRARYS]
TORCHVISION = {
    "mobilenetv2_100": "mobilenet_v2",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv3_small_100": "mobilenet_v3_small",
}
SIZES = {"alexnet": 224, "alexnet_2012": 227, "cifar_resnet": 32}
SOUNDS = {
    "wavecnn": (8000, 1),
    "quartznet": (100, 64),
    "tcn": (100, 64),
    "wavenet": (500, 1),
    "crepe": (1024, 1),
    "silero": (1536, 1),
}


@pytest.mark.parametrize(("name", "table"), PAIRS)
def test_equals_its_peer(name, table, torch, record_property):
    case = cases.CASES[name]
    expected = peers.theirs(torch, case, table)
    differing = cases.differences(cases.ours_once(name), expected)
    label = name if table == case.tables[0] else f"{name} ({table})"
    record_property("largest differences", [label, *cases.worst(differing).items()])
    cases.check(differing)
    if table == case.tables[0]:
        cases.keep(name, cases.figures(expected))


def peer(name: str, table: str, torch: Any, torchvision: Any, timm: Any) -> tuple[Any, tuple[int, ...]]:
    """The peer of a name, with neither weights nor arithmetic, and the shape of its pictures or sounds."""
    with torch.device("meta"):
        if table in SOUNDS:
            shape = SOUNDS[table]
            return peers.BUILD[table](torch, convzoo.create(name), shape[-1])[0], shape
        if table in SIZES and table != "alexnet":
            return peers.BUILD[table](torch, convzoo.create(name), 3)[0], (SIZES[table], SIZES[table], 3)
        if table == "alexnet" or table.endswith("torchvision"):
            return getattr(torchvision.models, TORCHVISION.get(name, name))(), (224, 224, 3)
        net = timm.create_model(name)
        size = net.pretrained_cfg["input_size"][-1]
        return net, (size, size, 3)


@pytest.mark.parametrize(("name", "table"), NAMED)
def test_has_its_peers_arrays_and_cost(name, table, torch, torchvision, timm):
    """The same names, shapes and parameters, and as many multiply-adds as torch counts in the peer."""
    model = convzoo.create(name)
    net, shape = peer(name, table, torch, torchvision, timm)
    like = cases.shapes(model, (1, *shape))
    ours = jax.eval_shape(partial(weights.to_peer, family=table), like)
    theirs = {key: tuple(a.shape) for key, a in net.state_dict().items() if not key.endswith(IGNORED)}
    assert {key: a.shape for key, a in ours.items()} == theirs
    cost = convzoo.cost(model, (1, *shape))
    assert cost.params == sum(p.numel() for p in net.parameters())
    with importlib.import_module("torch.utils.flop_counter").FlopCounterMode(display=False) as counter:
        net.eval()(torch.zeros(1, shape[-1], *shape[:-1], device="meta"))
    assert cost.macs == counter.get_total_flops() // 2


def test_real_weights_give_the_peers_logits(torch, test_data, record_property):
    """CIFAR ResNet-20 as trained by Y. Idelbayev, on noise in float64."""
    with np.load(test_data / "pretrained" / "cifar_resnet20-12fca82f.npz") as file:
        state = {key: file[key].astype(np.float64) for key in file.files}
    shape = (8, 32, 32, 3)
    x = cases.uniform("input", shape)
    net = peers.cifar_resnet(torch, CIFAR_RESNET20, 3)[0].double().eval()
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
