"""The table of names; what a network costs, against sums done by hand; what a waypoint sees, against known fields."""

import fnmatch
from collections import OrderedDict
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import convzoo
from convzoo import core
from convzoo.data import Graphs
from convzoo.models.graphnet import GRAPHNET
from convzoo.nn import Conv, Model
from convzoo.weights import FAMILIES
from convzoo.zoo import MODELS, NEEDS, STYLES, Info, count


def macs(function, *shapes, **fields) -> tuple[int, int]:
    """(multiply-adds, activations) of a function of float arrays."""
    args = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return count(jax.make_jaxpr(lambda *arrays: function(*arrays, **fields))(*args).jaxpr)


def graph(nodes: int = 6, channels: int = 3, taps: int = 9) -> Graphs:
    """Two paths of nodes with an edge from each to itself and to the next."""
    senders = np.r_[np.arange(nodes), np.arange(nodes - 1)]
    receivers = np.r_[np.arange(nodes), np.arange(1, nodes)]
    edges = {"tap": jnp.asarray(senders % taps, jnp.int32), "weight": jnp.ones(len(senders))}
    return Graphs(
        jnp.ones((nodes, channels)),
        edges,
        jnp.asarray(receivers, jnp.int32),
        jnp.asarray(senders, jnp.int32),
        None,
        jnp.array([nodes - 1, 1], jnp.int32),
        jnp.array([len(senders), 0], jnp.int32),
    )


# --- names ----------------------------------------------------------------------------------------------------------


def test_list_models():
    assert convzoo.list_models() == sorted(MODELS)
    assert convzoo.list_models("resnet*") == ["resnet101", "resnet152", "resnet18", "resnet34", "resnet50"]
    assert convzoo.list_models("nothing*") == []


@pytest.mark.parametrize("name", sorted(MODELS))
def test_create_is_a_value(name):
    model = convzoo.create(name)
    assert model == MODELS[name]
    changed = convzoo.create(name, num_classes=11)
    assert changed.num_classes == 11  # pyright: ignore[reportAttributeAccessIssue]
    assert changed != model
    assert model == MODELS[name]


def test_create_tells_the_nearest_name():
    with pytest.raises(ValueError, match="there is no model 'resnet5'; nearest: resnet50"):
        convzoo.create("resnet5")
    with pytest.raises(ValueError, match="there is no model 'qqq'; see list_models"):
        convzoo.create("qqq")


def test_create_tells_the_fields():
    with pytest.raises(
        ValueError, match=r"resnet50 has no field classes, depht; its fields are .*depths, .*num_classes"
    ):
        convzoo.create("resnet50", depht=3, classes=10)
    with pytest.raises(ValueError, match="alexnet has no field parent"):
        convzoo.create("alexnet", parent=None)


def test_styles_name_tables_that_fit():
    """Every name of a family with peers has a table; what it needs, its model has."""
    graphs = {"chebnet", "gat", "gatv2", "gcn", "gcnii", "gin", "graphsage", *fnmatch.filter(MODELS, "graphnet*")}
    assert set(MODELS) - set(STYLES) == {"bytenet", "mlp", "molnet", *graphs}
    assert {table for tables in STYLES.values() for table in tables} == set(FAMILIES)
    for (name, table), fields in NEEDS.items():
        assert table in STYLES[name]
        changed = convzoo.create(name, **fields)
        assert changed != MODELS[name]
    assert (
        convzoo.create("efficientnet_lite0", **NEEDS["efficientnet_lite0", "efficientnet_lite_pytorch"])
        == (MODELS["tf_efficientnet_lite0"])
    )


# --- cost -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params", "billions"),
    [
        ("resnet18", 11_689_512, 1.81),
        ("resnet50", 25_557_032, 4.09),
        ("alexnet", 61_100_840, 0.71),
    ],
)
def test_cost_of_known_networks(name, params, billions):
    found = convzoo.cost(convzoo.create(name), (1, 224, 224, 3))
    assert found.params == params
    assert round(found.macs / 1e9, 2) == billions
    twice = convzoo.cost(convzoo.create(name), (2, 224, 224, 3))
    assert twice == (params, 2 * found.macs, 2 * found.activations)


@pytest.mark.parametrize(
    ("x", "kernel", "fields", "expected"),
    [
        ((2, 8, 8, 3), (3, 3, 3, 5), {}, (2 * 64 * 27 * 5, 2 * 64 * 5)),
        ((2, 8, 8, 3), (3, 3, 3, 5), {"stride": 2}, (2 * 16 * 27 * 5, 2 * 16 * 5)),
        ((1, 9, 4), (5, 4, 6), {"padding": "VALID", "dilation": 2}, (1 * 4 * 5 * 6, 6)),
        ((1, 4, 4, 4, 2), (2, 2, 2, 2, 3), {"stride": 2, "padding": "VALID"}, (8 * 16 * 3, 8 * 3)),
        ((1, 8, 8, 6), (3, 3, 2, 9), {"groups": 3}, (64 * 9 * 2 * 9, 64 * 9)),
        ((1, 8, 8, 6), (3, 3, 1, 6), {"groups": 6}, (64 * 9 * 6, 64 * 6)),
        ((1, 8, 8, 6), (1, 1, 6, 4), {}, (64 * 24, 64 * 4)),
    ],
    ids=["2-D", "stride", "dilation", "3-D", "groups", "depthwise", "1 by 1"],
)
def test_cost_of_a_convolution(x, kernel, fields, expected):
    assert macs(core.conv, x, kernel, **fields) == expected


@pytest.mark.parametrize(
    ("x", "kernel", "fields", "each"),
    [
        ((2, 5, 5, 3), (2, 2, 3, 4), {"stride": 2, "padding": "VALID"}, 4 * 3 * 4),
        ((2, 5, 5, 6), (3, 3, 2, 9), {"stride": 2, "groups": 3}, 9 * 2 * 9),
        ((2, 5, 5, 3), (3, 3, 3, 4), {}, 9 * 3 * 4),
    ],
    ids=["stride", "groups", "plain"],
)
def test_cost_of_a_transposed_convolution_has_no_zeros(x, kernel, fields, each):
    """Every input place meets the whole kernel once."""
    found, activations = macs(core.conv_transpose, x, kernel, **fields)
    assert found == 2 * 25 * each
    out = jax.eval_shape(lambda: core.conv_transpose(jnp.zeros(x), jnp.zeros(kernel), **fields))
    assert activations == out.size


def test_cost_of_laxs_own_convolution():
    def conv(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    assert macs(conv, (2, 8, 8, 3), (3, 3, 3, 5)) == (2 * 64 * 27 * 5, 2 * 64 * 5)


@pytest.mark.parametrize(
    ("nodes", "edges", "kernel", "expected"),
    [
        (10, 4, (9, 3, 5), 4 * 15),  # few edges: a product an edge
        (10, 100, (2, 3, 5), 10 * 2 * 15 + 100 * 3),  # many: a product a node and tap, a sum over edges
        (10, 100, (1, 5, 3), 10 * 15 + 100 * 3),
    ],
)
def test_cost_of_a_graph_convolution(nodes, edges, kernel, expected):
    ends = jnp.zeros(edges, jnp.int32)
    links = core.Edges(ends, ends, ends, jnp.ones(edges), nodes)
    found = macs(lambda x, k: core.graph_conv(x, k, links), (nodes, kernel[1]), kernel)
    assert found == (expected, nodes * kernel[2])


def test_cost_of_products():
    assert macs(lambda x, k: x @ k, (2, 7, 3), (3, 5)) == (2 * 7 * 3 * 5, 2 * 7 * 5)
    assert macs(jnp.matmul, (4, 2, 3), (4, 3, 5)) == (4 * 2 * 3 * 5, 4 * 2 * 5)


def test_cost_of_attention():
    def attention(q, k, v):  # [batch, heads, places, channels]
        scores = jnp.einsum("bhqc,bhkc->bhqk", q, k)
        return jnp.einsum("bhqk,bhkc->bhqc", jax.nn.softmax(scores), v)

    shape = (2, 3, 10, 4)
    assert macs(attention, shape, shape, shape) == (2 * 2 * 3 * 10 * 10 * 4, 2 * 3 * (10 * 10 + 10 * 4))


def test_cost_of_loops_and_branches():
    def looped(x, k):
        return jax.lax.scan(lambda carry, _: (carry @ k, None), x, length=7)[0]

    def branching(x, k):
        return jax.lax.cond(x.sum() > 0, lambda: x @ k @ k, lambda: x)

    def nested(x, k):
        return jax.checkpoint(jax.jit(lambda y: looped(y, k)))(x)

    assert macs(looped, (2, 3), (3, 3)) == (7 * 18, 7 * 6)
    assert macs(branching, (2, 3), (3, 3)) == (2 * 18, 2 * 6)
    assert macs(nested, (2, 3), (3, 3)) == (7 * 18, 7 * 6)


def test_other_operations_cost_nothing():
    assert macs(lambda x: jax.nn.relu(x).sum() + jnp.exp(x).max(), (4, 5)) == (0, 0)
    assert macs(lambda x: jnp.sin(x).at[0].set(0.0), (4,)) == (0, 0)


def test_a_function_that_is_called_like_graph_conv_is_not_one():
    def convolve(x, k):
        return x @ k

    assert macs(jax.jit(convolve), (2, 3), (3, 5)) == (30, 10)
    assert macs(jnp.convolve, (9,), (3,))[0] > 0


def test_cost_of_bytes_and_graphs():
    found = convzoo.cost(convzoo.create("bytenet"), (1, 48))
    # embedding 32 at 48 places, 5-wide; the second block at stride 2
    by_hand = 48 * 5 * 32 * 32 * 2 + 24 * (5 * 32 * 64 + 5 * 64 * 64 + 32 * 64) + 128 * 10
    assert found.macs == by_hand
    assert found.params == sum(leaf.size for leaf in jax.tree.leaves(params_of(convzoo.create("bytenet"), (1, 48))))

    model, example = GRAPHNET.clone(depth=1, width=4), graph()
    layers = [(3, 4), (4, 4), (4, 4)]
    assert convzoo.cost(model, example).macs == 11 * sum(a * b for a, b in layers) + 2 * 8 * 10


def params_of(model: Model, shape: tuple[int, ...]) -> Any:
    x = jnp.zeros(shape, jnp.int32 if len(shape) == 2 else jnp.float32)
    return jax.eval_shape(lambda key: model.init(key, x, train=False), jax.random.key(0))["params"]


# --- what a waypoint sees -------------------------------------------------------------------------------------------


class Chain(Model):
    """Convolutions one after another: (window, stride, dilation, padding) each; pads with ``padding``."""

    layers: tuple[tuple[int, int, int, str], ...]

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        features = OrderedDict()
        for index, (window, stride, dilation, padding) in enumerate(self.layers):
            conv = Conv(2, window, stride, dilation, padding=padding, name=f"conv{index}")
            x = features[f"conv{index}"] = conv(x)
        features["pooled"] = core.global_mean(x)
        return features["pooled"], features


CHAIN = Chain(layers=((3, 1, 1, "HALF"), (3, 2, 1, "SAME"), (3, 1, 4, "HALF"), (4, 1, 1, "CAUSAL"), (1, 3, 1, "VALID")))
SEEN = {"conv0": (1, 3), "conv1": (2, 5), "conv2": (2, 21), "conv3": (2, 27), "conv4": (6, 27)}


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_fields_of_a_chain_in_every_rank(rank):
    length = {1: 64, 2: 32, 3: 16}[rank]
    model = CHAIN if rank < 3 else Chain(layers=CHAIN.layers[:3])
    found = convzoo.feature_info(model, (1, *[length] * rank, 3))
    expected = OrderedDict((n, Info(2, (s,) * rank, (f,) * rank)) for n, (s, f) in SEEN.items() if n in found)
    expected["pooled"] = Info(2, None, None)
    assert list(found.items()) == list(expected.items())


def test_fields_beyond_max_pools():
    """By hand: VGG-16's blocks of 2, 2, 3, 3, 3 convolutions of 3, each behind a pool of 2; M11's of 1, 2, 2, 3."""
    found = convzoo.feature_info(convzoo.create("vgg16", hidden=8), (1, 224, 224, 3))
    assert [found[f"stage{n}"].field for n in range(5)] == [(n, n) for n in (5, 14, 40, 92, 196)]
    found = convzoo.feature_info(convzoo.create("m11"), (1, 16_000, 1))
    assert [found[f"stage{n}"].field for n in range(4)] == [(80,), (156,), (460,), (2188,)]


@pytest.mark.parametrize(
    ("name", "strides", "fields"),
    [
        ("resnet18", (2, 4, 8, 16, 32), (7, 43, 99, 211, 435)),
        ("resnet50", (2, 4, 8, 16, 32), (7, 35, 91, 267, 427)),
    ],
)
def test_fields_of_residual_networks(name, strides, fields):
    """Along one axis: the same blocks on sounds, in a shape that is quick to compile."""
    found = convzoo.feature_info(convzoo.create(name, ranks=(1,), width=2), (1, 224, 3))
    waypoints = ["stem", "stage0", "stage1", "stage2", "stage3"]
    assert list(found) == [*waypoints, "pooled"]
    for waypoint, stride, field in zip(waypoints, strides, fields, strict=True):
        assert (found[waypoint].stride, found[waypoint].field) == ((stride,), (field,))
    assert (found["pooled"].stride, found["pooled"].field) == (None, None)


def test_fields_of_alexnet():
    found = convzoo.feature_info(convzoo.create("alexnet", hidden=8), (1, 224, 224, 3))
    places = [(info.stride, info.field) for name, info in found.items() if name.startswith("conv")]
    assert places == [((s, s), (f, f)) for s, f in ((4, 11), (8, 51), (16, 99), (16, 131), (16, 163))]
    assert [name for name, info in found.items() if info.field is None] == ["pooled", "dense0", "dense1"]


@pytest.mark.parametrize(
    ("name", "fields", "strides", "seen"),
    [
        ("efficientnet_b0", {}, (2, 2, 4, 8, 16, 16, 32, 32, 32), (3, 7, 19, 67, 147, 339, 787, 851, 851)),
        ("mobilenetv3_small_100", {}, (2, 4, 8, 16, 16, 32, 32), (3, 7, 31, 191, 319, 639, 639)),
        ("convnextv2_atto", {}, (4, 4, 8, 16, 32), (4, 52, 152, 736, 1136)),
        ("convnext_atto", {"output_stride": 16}, (4, 4, 8, 16, 16), (4, 52, 152, 736, 1136)),
    ],
)
def test_gates_and_global_norms_do_not_widen_a_field(name, fields, strides, seen):
    """By hand: each window adds its width less one times the stride before it."""
    found = convzoo.feature_info(convzoo.create(name, ranks=(1,), **fields), (1, 224, 3))
    places = [info for info in found.values() if info.stride]
    assert [info.stride for info in places] == [(stride,) for stride in strides]
    assert [info.field for info in places] == [(field,) for field in seen]


def test_fields_of_bytes():
    found = convzoo.feature_info(convzoo.create("bytenet"), (1, 48))
    assert list(found.items()) == [
        ("embedded", Info(32, (1,), (1,))),
        ("block0", Info(32, (1,), (9,))),
        ("block1", Info(64, (2,), (21,))),
        ("pooled", Info(128, None, None)),
    ]


def test_fields_of_graphs_are_hops():
    found = convzoo.feature_info(GRAPHNET.clone(width=4, depth=2), graph())
    assert list(found.items()) == [
        ("stem", Info(4, (1,), (1,))),
        ("block0", Info(4, (1,), (3,))),
        ("block1", Info(4, (1,), (5,))),
        ("pooled", Info(8, None, None)),
    ]
