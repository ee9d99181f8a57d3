"""Other people's names and axes, both ways."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from convzoo.models.alexnet import ALEXNET
from convzoo.models.resnet import CIFAR_RESNET20, RESNET18
from convzoo.weights import FAMILIES, Mismatch, from_peer, renamed, to_peer
from convzoo.weights.tables import matched
from tests.parity.cases import CASES, filled, shapes

CIFAR = shapes(CIFAR_RESNET20, (1, 32, 32, 3))


def same(found, expected) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_round_trip_is_exact(case):
    like = shapes(case.model, case.input)
    variables = filled(like)
    for table in case.tables:
        state = to_peer(variables, table)
        assert len(state) == len(jax.tree.leaves(variables))
        same(from_peer(state, table, like), variables)


def test_every_row_is_used():
    used = set()
    for name, case in CASES.items():
        paths = flatten_dict(shapes(case.model, case.input), sep="/")
        tables = (*case.tables, "efficientnet_lite_pytorch") if name == "efficientnet_lite" else case.tables
        used |= {(table, row) for table in tables for _, row in matched(paths, table).values()}
    assert [(table, row.ours) for table, rows in FAMILIES.items() for row in rows if (table, row) not in used] == []


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        ("stage0_block12/conv1", "stage{s}_block{b}/conv{c}", "layer{s+1}.{b}.conv{c}", "layer1.12.conv1"),
        ("head", "head", "fc", "fc"),
        ("heads", "head", "fc", None),
        ("stage_block1/conv1", "stage{s}_block{b}/conv{c}", "layer{s+1}.{b}.conv{c}", None),
        ("a/b", "a.b", "c", None),  # a dot is a dot
    ],
)
def test_names(name, before, after, expected):
    assert renamed(name, before, after) == expected


def test_axes():
    variables = filled(shapes(ALEXNET.clone(hidden=8, num_classes=5), (1, 64, 64, 3)))
    state, params = to_peer(variables, "alexnet"), variables["params"]
    assert state["features.3.weight"][3, 5, 1, 2] == params["conv1"]["kernel"][1, 2, 5, 3]
    assert state["classifier.6.weight"][4, 3] == params["head"]["kernel"][3, 4]
    flat_theirs, flat_ours = (20 * 6 + 1) * 6 + 2, (1 * 6 + 2) * 256 + 20  # channel 20, row 1, column 2
    assert state["classifier.1.weight"][7, flat_theirs] == params["dense0"]["kernel"][flat_ours, 7]


def test_what_others_add_is_taken_off():
    state = {f"module.{key}": array for key, array in to_peer(filled(CIFAR), "cifar_resnet").items()}
    state["module.bn1.num_batches_tracked"] = np.array(7)
    same(from_peer(state, "cifar_resnet", CIFAR), filled(CIFAR))


def test_every_mismatch_is_told_at_once():
    state = to_peer(filled(CIFAR), "cifar_resnet")
    state["fc.weight"] = state.pop("linear.weight")
    state["layer1.0.conv_1.weight"] = state.pop("layer1.0.conv1.weight")
    state["linear.bias"] = np.zeros(100)
    state["optimizer"] = np.zeros(())
    with pytest.raises(Mismatch) as error:
        from_peer(state, "cifar_resnet", CIFAR)
    assert str(error.value).splitlines() == [
        "these arrays do not fit the model (table cifar_resnet, 97 arrays): 2 missing, 3 extra, 1 misshapen",
        "  missing layer1.0.conv1.weight (16, 16, 3, 3); likely layer1.0.conv_1.weight (16, 16, 3, 3), given",
        "  missing linear.weight (10, 64); likely fc.weight (10, 64), given",
        "  extra fc.weight (10, 64); likely linear.weight (10, 64), missing",
        "  extra layer1.0.conv_1.weight (16, 16, 3, 3); likely layer1.0.conv1.weight (16, 16, 3, 3), missing",
        "  extra optimizer ()",
        "  misshapen linear.bias: given (100,), the model has (10,)",
    ]


def test_the_wrong_table_is_told():
    with pytest.raises(ValueError, match="no family 'resnets' of weights; there are alexnet, "):
        to_peer(filled(CIFAR), "resnets")
    with pytest.raises(ValueError, match=r"table of cifar_resnet has no row for .*params/stage1_block0/skip/kernel"):
        from_peer({}, "cifar_resnet", shapes(RESNET18, (1, 64, 64, 3)))
    with pytest.raises(Mismatch, match=r"97 arrays\): 97 missing, 0 extra"):
        from_peer({}, "cifar_resnet", CIFAR)


def test_published_weights(test_data):
    """CIFAR ResNet-20 as Y. Idelbayev trained it: every array has its place, and comes back as it was."""
    with np.load(test_data / "pretrained" / "cifar_resnet20-12fca82f.npz") as file:
        state = dict(file)
    variables = from_peer(state, "cifar_resnet", CIFAR)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 269_722
    assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda leaf: leaf.shape, CIFAR)
    same(to_peer(variables, "cifar_resnet"), {key.removeprefix("module."): array for key, array in state.items()})
