"""One table of shrunk models, many laws; then what each name promises: its published size and its golden tree.

``WRITE_GOLDEN=1 pytest tests/models`` writes anew ``golden/trees.json``, the size and a digest of every name's tree,
and ``golden/NAME.txt``, the whole tree of one name a family.
"""

import functools
import hashlib
import json
import math
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from flax.errors import FlaxError
from flax.traverse_util import flatten_dict
from jax import export

from convzoo import core, zoo
from convzoo.apps import describe
from convzoo.data.graphs import Graphs, compact, trace
from convzoo.models import (
    alexnet,
    bytenet,
    convnext,
    crepe,
    efficientnet,
    gcnii,
    gin,
    graphnet,
    layernet,
    mlp,
    mobilenet,
    mobilenetv3,
    molnet,
    nodenet,
    quartznet,
    resnet,
    silero,
    tcn,
    vgg,
    wavecnn,
)
from convzoo.models.mobilenet import Blocks
from convzoo.nn import Basic, Bottleneck, Conv, Model, fold

GOLDEN = Path(__file__).parent / "golden"
export.register_namedtuple_serialization(Graphs, serialized_name="convzoo.data.graphs.Graphs")


class Case(NamedTuple):
    """A model, the shape of an example, and the waypoints in the order in which they are passed."""

    model: Any  # a Model; that it can be hashed is lost on pyright
    shape: tuple[int, ...]
    waypoints: str


resnets = functools.partial(resnet.ResNet, width=4, num_classes=5)
convnexts = functools.partial(convnext.ConvNeXt, depths=(1, 1, 1), widths=(6, 8, 10), window=3, num_classes=5)
LINES = ((Blocks(1, 3, 1, 1, 8, 0.25),), (Blocks(2, 5, 2, 2, 16, 0.25),))
V3 = {
    "stages": (
        LINES[0],
        (Blocks(1, 3, 2, 2.3, 16, 0, "relu"), Blocks(1, 3, 1, 2, 16, 0.25)),
        (Blocks(1, 1, 1, 0, 24),),
    ),
    "hidden": 12,
}
STAGES = "stage0 stage1 stage2"
V3_ORDER = f"stem {STAGES} pooled hidden"
CASES = {
    "alexnet": Case(
        alexnet.AlexNet(hidden=16, num_classes=5), (63, 63, 3), "conv0 conv1 conv2 conv3 conv4 pooled dense0 dense1"
    ),
    "basic 1d": Case(resnets(depths=(1, 1), block=Basic, ranks=(1,)), (40, 3), "stem stage0 stage1 pooled"),
    "bottleneck 2d": Case(resnets(depths=(1, 2), dropout=0.3), (20, 24, 3), "stem stage0 stage1 pooled"),
    "basic 3d": Case(resnets(depths=(1, 1), block=Basic, ranks=(3,)), (9, 8, 12, 1), "stem stage0 stage1 pooled"),
    "causal 1d": Case(
        resnets(depths=(1, 1), window=5, stem="plain", padding="CAUSAL", ranks=(1, 2)),
        (12, 3),
        "stem stage0 stage1 pooled",
    ),
    "cifar": Case(
        resnet.CIFAR_RESNET20.clone(width=4, depths=(1, 1, 1)), (8, 8, 3), "stem stage0 stage1 stage2 pooled"
    ),
    "resnext 2d": Case(
        resnets(depths=(1, 1), width=16, groups=4, base_width=8), (20, 24, 3), "stem stage0 stage1 pooled"
    ),
    "alexnet 2012": Case(
        alexnet.AlexNet2012(hidden=16, num_classes=5), (67, 67, 3), "conv0 conv1 conv2 conv3 conv4 pooled dense0 dense1"
    ),
    "vgg": Case(
        vgg.VGG(depths=(1, 2), widths=(4, 6), hidden=8, num_classes=5, dropout=0.3),
        (16, 36, 3),
        "stage0 stage1 dense0 dense1 pooled",
    ),
    "mobilenetv3": Case(mobilenetv3.MOBILENETV3_SMALL_100.clone(stem=8, num_classes=5, **V3), (32, 40, 3), V3_ORDER),
    "efficientnet": Case(
        efficientnet.EfficientNet(stages=LINES, stem=8, top=16, num_classes=5, dropout=0.2),
        (32, 40, 3),
        "stem stage0 stage1 top pooled",
    ),
    "convnext 1d": Case(convnexts(output_stride=8, ranks=(1,)), (64, 3), f"stem {STAGES} pooled normed"),
    "convnext v2 3d": Case(
        convnexts(depths=(1, 1), widths=(6, 8), layer_scale=0.0, response_norm=True, ranks=(3,)),
        (16, 8, 12, 1),
        "stem stage0 stage1 pooled normed",
    ),
    "wavecnn": Case(
        wavecnn.WaveCNN(depths=(1, 2), widths=(4, 6), num_classes=5, dropout=0.3), (200, 1), "stage0 stage1 pooled"
    ),
    "matchboxnet": Case(
        quartznet.QuartzNet(
            blocks=(quartznet.Block(6, 5), quartznet.Block(8, 3, 2, residual=True)), num_classes=5, pooled=True
        ),
        (20, 3),
        "block0 block1 pooled",
    ),
    "quartznet": Case(
        quartznet.QuartzNet(
            blocks=(quartznet.Block(6, 5, stride=2), quartznet.Block(8, 3, 2, residual=True)), num_classes=5
        ),
        (20, 3),
        "block0 block1",
    ),
    "tcn": Case(tcn.TCN(widths=(6, 8), num_classes=5, dropout=0.2), (20, 3), "block0 block1"),
    "wavenet": Case(
        tcn.WaveNet(cycles=2, depth=2, width=6, skip=8, num_classes=5),
        (20, 1),
        "stem block0 block1 block2 block3 hidden",
    ),
    "crepe": Case(
        crepe.Crepe(widths=(6, 4, 4, 4, 4, 6), num_classes=5), (1024, 1), "conv0 conv1 conv2 conv3 conv4 conv5 pooled"
    ),
    "silero": Case(silero.Silero(num_classes=2), (1024, 1), "stft conv0 conv1 conv2 conv3 lstm"),
    "graphnet": Case(graphnet.GraphNet(depth=2, width=6), (), "stem block0 block1 pooled"),
    "gcn": Case(nodenet.NodeNet(depth=3, width=6, num_classes=5, residual=True), (), "conv0 conv1"),
    "gat": Case(nodenet.GAT.clone(width=3, heads=2, num_classes=5), (), "conv0"),
    "gcnii": Case(gcnii.GCNII(depth=3, width=6, num_classes=5, dropout=0.2), (), "stem conv0 conv1 conv2"),
    "gin": Case(gin.GIN(depth=2, width=6, num_classes=5), (), "conv0 conv1 pooled"),
    "graphnet edgeconv": Case(
        layernet.LayerNet(layer="edge_conv", depth=1, width=8, num_classes=5), (), "stem block0 pooled"
    ),
    "bytenet": Case(bytenet.ByteNet(widths=(6, 8), embedding=4), (12,), "embedded block0 block1 pooled"),
    "mlp": Case(mlp.MLP(widths=(8, 6), dropout=0.2), (4, 4, 1), "dense0 dense1"),
    "mlp of bytes": Case(mlp.MLP(widths=(8,), embedding=3), (12,), "dense0"),
}
on_cases = pytest.mark.parametrize("name", CASES)
GRIDS = [name for name, case in CASES.items() if len(case.shape) > 1 and name != "mlp"]
LISTED = [name for name, case in CASES.items() if not case.shape]
AFTER_DROPOUT = {
    "alexnet": ("dense0", "dense1"),
    "alexnet 2012": ("dense1",),
    "vgg": ("dense1", "pooled"),
    "gcn": ("conv0", "conv1"),
    "gat": ("conv0",),
    "gcnii": ("stem", "conv0", "conv1", "conv2"),
}
BEFORE_NORMS = {"bytenet": ("embedded",), "graphnet edgeconv": ("stem",)}
BATCH, NODES = 3, 40
KEY = jax.random.key(0)
TRACED: list[Model] = []


def inputs(name: str, seed: int = 0, dtype: str = "float32") -> Any:
    """A batch for ``CASES[name]``: floats, bytes or graphs."""
    generator = np.random.default_rng(seed)
    shape = CASES[name].shape
    if name in LISTED:
        return graphs(seed)[0]
    if len(shape) == 1:
        return jnp.asarray(generator.integers(0, 256, (BATCH, *shape)), jnp.int32)
    return jnp.asarray(generator.normal(size=(BATCH, *shape)), dtype)


def graphs(seed: int = 0, nodes: int = NODES, edges: int = 220) -> tuple[Graphs, dict[str, jax.Array]]:
    """Traced pictures of 4 by 4, packed into one batch; the last graph is padding."""
    generator = np.random.default_rng(seed)
    traced = [trace(generator.integers(0, 3, (4, 4)) * generator.random((4, 4))) for _ in range(BATCH)]

    def padded(key, size):
        rows = [np.asarray(each[key]) for each in traced]
        return jnp.asarray([np.pad(row, [(0, size - len(row)), *[(0, 0)] * (row.ndim - 1)]) for row in rows])

    rows = {"nodes": padded("nodes", 16), "tap": padded("taps", 144)}
    rows |= {key: padded(key, 144) for key in ("senders", "receivers")}
    rows["weight"] = jnp.asarray(generator.random((BATCH, 144)), jnp.float32)
    rows["n_node"] = jnp.asarray([len(each["nodes"]) for each in traced])
    rows["n_edge"] = jnp.asarray([len(each["senders"]) for each in traced])
    return compact(rows, jnp.ones(BATCH, bool), nodes=nodes, edges=edges)


def tree(model: Model, x: Any) -> Any:
    return jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), x)


@functools.cache
def filled(name: str) -> Any:
    return fill(CASES[name].model, inputs(name))


def fill(model: Model, x: Any) -> Any:
    """Variables from numpy and a seed: nothing is zero or one, so that nothing hides."""
    generator = np.random.default_rng(1)

    def value(path, leaf):
        kind, draw = path[-1].key, generator.normal(size=leaf.shape)
        if kind == "kernel":
            return jnp.asarray(draw * math.sqrt(2 / math.prod(leaf.shape[:-1])), jnp.float32)
        return jnp.asarray(1 + 0.5 * np.tanh(draw) if kind in ("scale", "var") else 0.3 * draw, jnp.float32)

    return jax.tree_util.tree_map_with_path(value, tree(model, x))


@functools.cache
def forward(model: Model) -> Any:
    """``model.apply`` in evaluation, jitted once for all laws."""

    def apply(variables, *args, **named):
        TRACED.append(model)
        return model.apply(variables, *args, train=False, **named)

    return jax.jit(apply)


@functools.cache
def training(model: Model) -> Any:
    """``model.apply`` in training, jitted once for all laws: ``(variables, x, seed) -> ((y, features), new)``."""

    def apply(variables, x, seed):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)

    return jax.jit(apply)


def assert_near(ours, theirs, tolerance: float) -> None:
    """Equal in shape and, relative to the largest magnitude, in value."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


# --- laws of every model --------------------------------------------------------------------------------------------


@on_cases
def test_folding_the_norms_changes_nothing_but_rounding(name):
    case, variables = CASES[name], filled(name)
    folded = fold(case.model, variables)
    assert set(folded) == {"params"}
    y, features = forward(case.model)(variables, inputs(name))
    again, folded_features = forward(case.model)(folded, inputs(name))
    assert_near(again, y, 2e-5)
    jax.tree.map(functools.partial(assert_near, tolerance=2e-5), folded_features, features)
    if variables.get("batch_stats"):
        assert sum(leaf.size for leaf in jax.tree.leaves(folded)) < sum(
            leaf.size for leaf in jax.tree.leaves(variables["params"])
        )
        with pytest.raises(ValueError, match="was folded for inference"):
            case.model.apply(folded, inputs(name), train=True, mutable=["batch_stats"], rngs={"dropout": KEY})


def test_a_norm_without_a_layer_before_it_is_named():
    statistics = {"block": {"norm": {"mean": jnp.zeros(2), "var": jnp.ones(2)}}}
    params = {"block": {"norm": {"scale": jnp.ones(2), "bias": jnp.zeros(2)}}}
    with pytest.raises(ValueError, match="before the batch norm block/norm"):
        fold(CASES["cifar"].model, {"params": params, "batch_stats": statistics})


def test_a_norm_behind_a_relu_is_folded_only_if_no_scale_is_negative():
    case, variables = CASES["crepe"], filled("crepe")
    params = variables["params"]
    norm = params["conv1_norm"] | {"scale": params["conv1_norm"]["scale"].at[0].set(-1.0)}
    with pytest.raises(ValueError, match="conv1_norm has negative scales"):
        fold(case.model, variables | {"params": params | {"conv1_norm": norm}})


@on_cases
def test_jit_equals_eager_and_traces_once(name):
    model, variables = CASES[name].model, filled(name)
    y, features = forward(model)(variables, inputs(name))
    traces = len(TRACED)
    assert not jnp.array_equal(forward(model)(variables, inputs(name, seed=1))[0], y)
    assert len(TRACED) == traces
    with jax.numpy_dtype_promotion("strict"):
        eager, eager_features = model.apply(variables, inputs(name), train=False)
    assert_near(y, eager, 1e-5)
    jax.tree.map(functools.partial(assert_near, tolerance=1e-5), features, eager_features)
    outputs = NODES if isinstance(model, nodenet.NodeNet | gcnii.GCNII) else BATCH + (name in LISTED)
    assert (y.shape[0], y.shape[-1]) == (outputs, model.num_classes)


@on_cases
def test_features_are_in_forward_order(name):
    """Also through jit; without classes the output is the last of them, and there is no head."""
    model, variables, order = CASES[name].model, filled(name), CASES[name].waypoints.split()
    _, features = forward(model)(variables, inputs(name))
    assert type(features) is OrderedDict
    assert list(features) == order
    headless = model.clone(num_classes=0)
    y, features = jax.eval_shape(functools.partial(headless.apply, train=False), variables, inputs(name))
    assert (y.shape, y.dtype) == (features[order[-1]].shape, features[order[-1]].dtype)
    assert "head" not in tree(headless, inputs(name))["params"]


@on_cases
def test_a_gradient_reaches_every_parameter(name):
    """And it is finite. In training alone none reaches a bias that a batch norm takes off, so evaluation adds to it."""
    model, variables, x = CASES[name].model, filled(name), inputs(name)

    @jax.jit
    def gradients(params):
        def loss(params):
            y = training(model)(variables | {"params": params}, x, 0)[0][0]
            z = forward(model)(variables | {"params": params}, x)[0]
            return (jnp.sin(y + jnp.arange(y.shape[-1])) + jnp.cos(z + jnp.arange(z.shape[-1]))).sum()

        return jax.grad(loss)(params)

    for path, gradient in jax.tree_util.tree_leaves_with_path(gradients(variables["params"])):
        assert np.isfinite(gradient).all(), jax.tree_util.keystr(path)
        assert np.abs(gradient).max() > 0, jax.tree_util.keystr(path)


@on_cases
def test_bfloat16_is_finite_and_close(name):
    """Parameters stay float32; everything computed is bfloat16."""
    model, variables, x = CASES[name].model, filled(name), inputs(name)
    y, features = forward(model)(variables, x)
    low, low_features = forward(model.clone(dtype="bfloat16"))(variables, x)
    assert {str(a.dtype) for a in (low, *low_features.values())} == {"bfloat16"}
    assert_near(low.astype("float32"), y, 0.1)
    for waypoint, feature in low_features.items():
        assert jnp.isfinite(feature).all()
        assert_near(feature.astype("float32"), features[waypoint], 0.1)
    assert {str(a.dtype) for a in jax.tree.leaves(tree(model.clone(dtype="bfloat16"), x))} == {"float32"}


@on_cases
def test_training_in_bfloat16_keeps_statistics_in_float32(name):
    model, variables = CASES[name].model, filled(name)
    (y, _), new = jax.eval_shape(training(model.clone(dtype="bfloat16")), variables, inputs(name), 0)
    assert y.dtype == jnp.bfloat16
    assert {str(a.dtype) for a in jax.tree.leaves(new)} <= {"float32"}


@on_cases
def test_float64_agrees(name, x64):
    model, x = CASES[name].model, inputs(name)
    wide = model.clone(dtype="float64", param_dtype="float64")
    assert {str(a.dtype) for a in jax.tree.leaves(tree(wide, x))} == {"float64"}
    variables = jax.tree.map(lambda a: jnp.asarray(a, "float64"), filled(name))
    y, features = forward(wide)(variables, inputs(name, dtype="float64") if name in GRIDS else x)
    assert {str(a.dtype) for a in (y, *features.values())} == {"float64"}
    assert_near(forward(model)(filled(name), x)[0], y, 1e-4)


@on_cases
def test_training_changes_the_statistics_alone(name):
    """The same seed gives the same result; another differs only where there is dropout."""
    model, variables, x = CASES[name].model, filled(name), inputs(name)
    (y, features), new = training(model)(variables, x, 0)
    assert jax.tree.structure(new) == jax.tree.structure({k: v for k, v in variables.items() if k == "batch_stats"})
    for path, leaf in jax.tree_util.tree_leaves_with_path(new):
        old = variables
        for key in path:
            old = old[key.key]
        assert (leaf.shape, leaf.dtype) == (old.shape, old.dtype)
        assert jnp.isfinite(leaf).all()
        assert not jnp.array_equal(leaf, old), jax.tree_util.keystr(path)
    np.testing.assert_array_equal(training(model)(variables, x, 0)[0][0], y)
    (other, other_features), other_new = training(model)(variables, x, 1)
    random = model.dropout > 0
    assert jnp.array_equal(other, y) == (not random)
    upstream = [waypoint for waypoint in features if waypoint not in AFTER_DROPOUT.get(name, ())]
    for waypoint in upstream:
        np.testing.assert_array_equal(features[waypoint], other_features[waypoint])
    jax.tree.map(np.testing.assert_array_equal, new, other_new)
    evaluated = forward(model)(variables, x)[1]
    for waypoint in upstream:  # batch norm is all that training changes before dropout
        same = np.allclose(evaluated[waypoint], features[waypoint], rtol=1e-4, atol=1e-5)
        assert same == ("batch_stats" not in variables or waypoint in BEFORE_NORMS.get(name, ()))


DEEP = {
    "basic": resnets(depths=(2, 2), block=Basic, num_classes=0),
    "bottleneck": resnets(depths=(2, 1), num_classes=0),
    "efficientnet": efficientnet.EfficientNet(
        stages=((Blocks(3, 3, 1, 1, 8),), (Blocks(2, 3, 2, 2, 16),)), stem=8, top=0, num_classes=0
    ),
    "convnext": convnexts(num_classes=0),
}


@pytest.mark.parametrize("name", DEEP)
def test_stochastic_depth(name, monkeypatch):
    """Masks differ from block to block and from example to example, rates grow, and evaluation drops nothing."""
    model, x = DEEP[name].clone(drop_path=0.6), jnp.ones((64, 16, 16, 3))
    drop, masks, rates = core.stochastic_depth, [], []

    def recorded(branch, key, rate):
        rates.append(rate)
        masks.append(drop(jnp.ones((branch.shape[0], 1)), key, rate)[:, 0] > 0)
        return drop(branch, key, rate)

    monkeypatch.setattr(core, "stochastic_depth", recorded)

    @functools.partial(jax.jit, static_argnames="train")
    def apply(variables, seed, train):
        masks.clear()
        rates.clear()
        rngs = {"dropout": jax.random.key(seed)}
        (y, _), _ = model.apply(variables, x, train=train, mutable=["batch_stats"], rngs=rngs)
        return y, list(masks)

    variables = fill(model, x)
    y, found = apply(variables, 0, train=True)
    depth = sum("_block" in name for name in variables["params"])
    assert len(found) == len({np.asarray(mask).tobytes() for mask in found}) > 1
    assert all(0 < mask.sum() < 64 for mask in found)
    assert rates == sorted(set(rates))
    if name in ("basic", "bottleneck", "convnext"):
        assert rates == pytest.approx(np.linspace(0, 0.6, depth)[1:])
    else:  # its last rate is not reached, and only blocks that keep their shape drop
        assert rates[-1] == pytest.approx(0.6 * (depth - 1) / depth)
    np.testing.assert_array_equal(apply(variables, 0, train=True)[0], y)
    assert not jnp.array_equal(apply(variables, 1, train=True)[0], y)
    still, none = apply(variables, 0, train=False)
    assert none == []
    np.testing.assert_array_equal(still, apply(variables, 1, train=False)[0])
    plain = model.clone(drop_path=0.0).apply(variables, x, train=False)
    assert_near(still, cast(Any, plain)[0], 1e-5)


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "mobilenetv3_small_050", "convnext_atto"])
def test_output_stride(name, unchecked):
    """Dilation takes the place of strides: the same tree, larger maps."""
    model, x = zoo.MODELS[name], jax.ShapeDtypeStruct((1, 64, 96, 3), jnp.float32)
    trees = {stride: tree(model.clone(output_stride=stride), x) for stride in (8, 16, 32)}
    assert trees[8] == trees[16] == trees[32]
    for stride in (8, 16, 32):
        dilated = model.clone(output_stride=stride)
        _, features = jax.eval_shape(functools.partial(dilated.apply, train=False), trees[32], x)
        last = [array for array in features.values() if array.ndim == 4][-1]
        assert last.shape[1:3] == (64 // stride, 96 // stride)
    with pytest.raises(ValueError, match="output_stride is 4; a trunk is dilated to 8 or 16, and plain at 32"):
        tree(model.clone(output_stride=4), x)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "name", ["convnextv2_atto", "efficientnet_b0", "mobilenetv3_small_050", "resnext50_32x4d", "vgg11_bn"]
)
def test_one_network_for_every_rank(name, rank):
    """The same paths; only the windows of convolutions have another rank."""
    model, x = zoo.MODELS[name].clone(ranks=(rank,)), jnp.zeros((1, *[32, 33, 34][:rank], 2))
    planar: dict[str, Any] = flatten_dict(tree(zoo.MODELS[name], jnp.zeros((1, 32, 32, 2))), sep="/")
    found: dict[str, Any] = flatten_dict(tree(model, x), sep="/")
    assert found.keys() == planar.keys()
    for path, leaf in found.items():
        assert leaf.ndim == (rank + 2 if planar[path].ndim == 4 else planar[path].ndim), path
        assert leaf.shape[-1] == planar[path].shape[-1]


@on_cases
def test_examples_do_not_see_each_other(name):
    if name in LISTED:
        pytest.skip("its examples share one array; see test_a_graph_does_not_see_its_neighbours")
    y = forward(CASES[name].model)(filled(name), inputs(name))[0]
    turned = forward(CASES[name].model)(filled(name), inputs(name)[::-1])[0]
    assert_near(turned[::-1], y, 1e-5)


@on_cases
def test_exports_for_every_platform(name):
    """Serialised and read back; the waypoints keep their order."""
    variables, x = filled(name), inputs(name)
    exported = export.export(forward(CASES[name].model), platforms=("cpu", "cuda", "tpu"))(variables, x)
    again = export.deserialize(exported.serialize())
    assert again.platforms == ("cpu", "cuda", "tpu")
    assert list(jax.tree.unflatten(again.out_tree, again.out_avals)[1]) == CASES[name].waypoints.split()
    if name in ("cifar", "graphnet", "bytenet"):
        assert_near(again.call(variables, x)[0], forward(CASES[name].model)(variables, x)[0], 1e-5)


@pytest.mark.parametrize("name", ["cifar", "bytenet"])
def test_exports_with_a_symbolic_batch(name):
    variables, x = filled(name), inputs(name)
    (batch,) = export.symbolic_shape("batch")
    exported = export.export(forward(CASES[name].model))(
        variables, jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    )
    assert_near(exported.call(variables, x)[0], forward(CASES[name].model)(variables, x)[0], 1e-5)


@pytest.mark.parametrize("name", ["causal 1d", "graphnet", "convnext 1d"])
def test_becomes_an_nnx_module(name):
    model, x = CASES[name].model, inputs(name)

    @nnx.jit
    def bridged():
        return nnx.bridge.lazy_init(nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0)), x, train=False)

    module = bridged()
    kinds = {"params": nnx.Param, "batch_stats": nnx.BatchStat}
    variables = {name: nnx.to_pure_dict(nnx.state(module, kinds[name])) for name in tree(model, x)}
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, filled(name))
    y, features = nnx.jit(lambda module: module(x, train=False))(module)
    assert list(features) == CASES[name].waypoints.split()
    assert_near(y, forward(model)(variables, x)[0], 1e-5)


# --- a model is a value ---------------------------------------------------------------------------------------------


@on_cases
def test_frozen_means_frozen(name):
    model = CASES[name].model
    for field in (*type(model).__dataclass_fields__, "unheard_of"):
        if field == "parent":
            continue
        with pytest.raises(FlaxError, match=rf"Can't set {field}=3 for Module of type {type(model).__name__}"):
            setattr(model, field, 3)
        with pytest.raises((FlaxError, AttributeError), match=field):
            delattr(model, field)
    assert not hasattr(model, "unheard_of")


@on_cases
def test_models_are_equal_by_value(name):
    model = CASES[name].model
    same, other = model.clone(), model.clone(num_classes=77)
    assert (same == model, hash(same) == hash(model)) == (True, True)
    assert same is not model
    assert other != model
    assert other.num_classes == 77
    assert model.num_classes != 77
    with pytest.raises(TypeError, match="unexpected keyword argument 'number_of_classes'"):
        model.clone(number_of_classes=3)


def is_value(field: Any) -> bool:
    return isinstance(field, int | float | str | type) or (isinstance(field, tuple) and all(map(is_value, field)))


@pytest.mark.parametrize("name", zoo.MODELS)
def test_fields_are_plain_values(name):
    model = zoo.MODELS[name]
    fields = {field: getattr(model, field) for field in type(model).__dataclass_fields__}
    assert [field for field, value in fields.items() if not is_value(value)] == ["parent", "name"]


# --- lengths, graphs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "shape", "seen"),
    [(resnets(depths=(1, 1), block=Basic, stem="plain", ranks=(1,)), (64, 3), 12), (CASES["bytenet"].model, (64,), 12)],
    ids=["sound", "bytes"],
)
def test_what_lies_beyond_the_length_and_the_field_changes_nothing(model, shape, seen):
    """Pooling leaves out places beyond ``length``. A convolution still sees as far as its window reaches, so it is only
    from there on (``seen`` places) that the content of the padding is nothing to the output: not exactly from the end.
    """
    generator = np.random.default_rng(0)
    integers = len(shape) == 1
    x = generator.integers(1, 256, (3, *shape)) if integers else generator.normal(size=(3, *shape))
    length = np.array([5, 20, 64])
    beyond = np.arange(64)[None] >= length[:, None] + seen
    changed = np.where(beyond if integers else beyond[..., None], 7 if integers else np.nan, x)
    x, changed = (jnp.asarray(a, "int32" if integers else "float32") for a in (x, changed))
    variables, apply = fill(model, x), forward(model)
    y = apply(variables, x, length=jnp.asarray(length))[0]
    np.testing.assert_allclose(apply(variables, changed, length=jnp.asarray(length))[0], y, rtol=1e-5, atol=1e-6)
    whole = apply(variables, x, length=jnp.full(3, 64))[0]
    np.testing.assert_allclose(whole[2], y[2], rtol=1e-4, atol=1e-5)
    assert not np.allclose(whole[:2], y[:2], rtol=1e-3)


@pytest.mark.parametrize("train", [False, True])
def test_more_padding_changes_nothing(train):
    """Neither in evaluation nor, with ``node_mask``, in the statistics of training; jraph's convention or ours."""
    model, variables = CASES["graphnet"].model, filled("graphnet")

    @jax.jit
    def apply(x, node_mask):
        rngs = {"dropout": jax.random.key(0)}
        mutable = ["batch_stats"] if train else ["none"]
        return model.apply(variables, x, train=train, mutable=mutable, rngs=rngs, node_mask=node_mask)

    x, about = graphs()
    (y, _), new = apply(x, about["node_mask"])
    x, about = graphs(nodes=70, edges=500)
    (more, _), more_new = apply(x, about["node_mask"])
    assert_near(more[:BATCH], y[:BATCH], 1e-4)
    jax.tree.map(functools.partial(assert_near, tolerance=1e-4), more_new, new)
    uncounted = x._replace(n_node=x.n_node.at[-1].set(0), n_edge=x.n_edge.at[-1].set(0))
    dirty = uncounted._replace(nodes=jnp.where(about["node_mask"][:, None], x.nodes, 99))
    (counted, _), counted_new = apply(dirty, None)
    assert_near(counted[:BATCH], y[:BATCH], 1e-4)
    jax.tree.map(functools.partial(assert_near, tolerance=1e-4), counted_new, new)


def test_a_graph_does_not_see_its_neighbours():
    x, about = graphs()
    apply = forward(CASES["graphnet"].model)
    first = about["graph_id"] == 0
    changed = x._replace(nodes=jnp.where(first[:, None], -x.nodes, x.nodes))
    y, other = (apply(filled("graphnet"), a)[0] for a in (x, changed))
    assert_near(other[1:BATCH], y[1:BATCH], 1e-5)
    assert not np.allclose(other[0], y[0], rtol=1e-2)


def test_jraphs_own_tuple_is_a_graph():
    jraph = pytest.importorskip("jraph", reason="jraph is not installed (the extra `graphs`)")
    x = graphs()[0]
    y = forward(CASES["graphnet"].model)(filled("graphnet"), jraph.GraphsTuple(*x))[0]
    np.testing.assert_allclose(y, forward(CASES["graphnet"].model)(filled("graphnet"), x)[0], rtol=1e-5, atol=1e-6)


def test_edges_without_taps_or_weights_use_the_only_tap():
    x, model = graphs()[0], CASES["graphnet"].model.clone(depth=1, taps=1)
    variables = fill(model, x)
    plain = x._replace(edges=None)
    ones = x._replace(edges={"tap": x.edges["tap"] * 0, "weight": jnp.ones(x.senders.shape)})
    y, expected = (forward(model)(variables, a)[0] for a in (plain, ones))
    np.testing.assert_allclose(y, expected, rtol=1e-6)


# --- errors ---------------------------------------------------------------------------------------------------------

KINDS = {
    1: r"sounds \[batch, time, channels\]",
    2: r"images \[batch, height, width, channels\]",
    3: r"volumes \[batch, depth, height, width, channels\]",
}


def shape_of(model: Model, x: Any) -> Any:
    return jax.eval_shape(model.init, jax.random.key(0), x)


@pytest.mark.parametrize("name", GRIDS)
def test_other_ranks_are_refused_by_name(name, unchecked):
    model = CASES[name].model
    accepted = getattr(model, "ranks", (2,))
    for axes in range(1, 7):
        if axes - 2 in accepted:
            continue
        x = jnp.zeros((8,) * axes)
        with pytest.raises(ValueError) as error:
            shape_of(model, x)
        kinds = " or ".join(KINDS[rank] for rank in accepted).replace("\\", "")
        assert f"{type(model).__name__} takes {kinds}; got shape {x.shape}" in str(error.value)
        if axes - 1 in accepted:
            assert "one example alone needs its batch axis: x[None]" in str(error.value)
        elif not hasattr(model, "ranks"):
            assert "clone" not in str(error.value)  # it has no other ranks


@pytest.mark.parametrize("name", GRIDS)
def test_integers_are_refused_by_name(name, unchecked):
    x = jnp.zeros((2, *CASES[name].shape), "uint8")
    with pytest.raises(TypeError, match=r"takes floating input; got uint8: scale it first, for example x / 255"):
        shape_of(CASES[name].model, x)


WRONG = {
    "float bytes": (bytenet.ByteNet(), jnp.zeros((2, 9)), TypeError, "ByteNet takes integers 0 to 255; got float32"),
    "one word": (bytenet.ByteNet(), jnp.zeros(9, int), ValueError, r"takes bytes \[batch, length\]; got shape \(9,\)"),
    "small picture": (
        alexnet.ALEXNET,
        jnp.zeros((1, 32, 32, 3)),
        ValueError,
        r"along height the window spans 3 .* has",
    ),
    "no graph": (graphnet.GRAPHNET, jnp.zeros((3, 4)), ValueError, r"jraph.GraphsTuple's fields; .* lacks \['nodes', "),
    "lengths": (
        graphnet.GRAPHNET,
        graphs()[0]._replace(senders=jnp.zeros(3, int)),
        ValueError,
        r"senders and receivers \[edges\]; got \(40, 3\), \(3,\), \(220,\)",
    ),
    "stem": (resnets(depths=(1,), stem="big"), jnp.zeros((1, 9, 9, 3)), ValueError, "stem 'big' is not known; it must"),
    "shortcut": (
        resnets(depths=(1,), shortcut="none"),
        jnp.zeros((1, 9, 9, 3)),
        ValueError,
        "shortcut 'none' is not known; it must be 'project' or 'pad'",
    ),
    "layer": (Conv(4), jnp.zeros((3, 3)), ValueError, r"1, 2 or 3 spatial axes; got shape \(3, 3\), 2 axes; add the"),
}


@pytest.mark.parametrize(("model", "x", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(model, x, error, message, unchecked):
    with pytest.raises(error, match=message):
        shape_of(model, x)


def test_a_length_leaves_out_the_rest_of_a_picture():
    """Pooling takes the first places of the first axis, rounded up by the strides before it, and all of the second."""
    model, x = resnets(depths=(1, 1), stem="plain"), jax.random.normal(KEY, (2, 8, 6, 3))
    variables = jax.jit(model.init)(KEY, x)
    _, features = jax.jit(model.apply)(variables, x)
    _, told = jax.jit(model.apply)(variables, x, length=jnp.array([3, 8]))
    last = features["stage1"]
    assert last.shape[1:3] == (4, 3)
    expected = jnp.stack([last[0, :2].mean((0, 1)), last[1].mean((0, 1))])
    assert_near(told["pooled"], expected, 1e-6)


# --- names ----------------------------------------------------------------------------------------------------------

PUBLISHED = {
    "alexnet": 61_100_840,
    "alexnet_2012": 60_965_224,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "matchboxnet_3x2x64": 93_411,
    "cifar_resnet20": 269_722,
    "cifar_resnet32": 464_154,
    "cifar_resnet44": 658_586,
    "cifar_resnet56": 853_018,
    "cifar_resnet110": 1_727_962,
}


def smallest(model: Model) -> Any:
    """An input that ``model`` takes; only its channels matter to the tree."""
    if isinstance(model, molnet.MolNet):
        return describe.path(4, len(model.atoms), len(model.bonds))
    if isinstance(model, graphnet.GraphNet | layernet.LayerNet | nodenet.NodeNet | gcnii.GCNII | gin.GIN):
        return graphs()[0]
    if isinstance(model, bytenet.ByteNet):
        return jnp.zeros((1, 8), jnp.int32)
    if isinstance(model, mlp.MLP):
        return jnp.zeros((1, 8, 8, 1))
    if isinstance(model, quartznet.QuartzNet | tcn.TCN):
        return jnp.zeros((1, 64, 64))
    if getattr(model, "ranks", ()) == (1,):
        return jnp.zeros((1, 4096 if isinstance(model, wavecnn.WaveCNN) else crepe.FRAME, 1))
    return jnp.zeros((1, 96, 96, 3) if isinstance(model, alexnet.AlexNet2012) else (1, 64, 64, 3))


WHOLE = (
    "alexnet",
    "alexnet_2012",
    "bytenet",
    "cifar_resnet20",
    "convnext_atto",
    "convnextv2_atto",
    "crepe_tiny",
    "efficientnet_b0",
    "gat",
    "gcn",
    "gin",
    "graphnet",
    "graphnet_gat",
    "m5",
    "matchboxnet_3x2x64",
    "mlp",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "quartznet5x5",
    "resnet18",
    "resnet50",
    "silero_vad",
    "tcn",
    "vgg11_bn",
    "wavenet",
)


@functools.cache
def trees() -> dict[str, list[Any]]:
    path = GOLDEN / "trees.json"
    return json.loads(path.read_text()) if path.exists() else {}


@pytest.mark.parametrize("name", zoo.MODELS)
def test_the_tree_is_golden(name):
    """Every path, dtype and shape, by their digest; and the number of parameters."""
    variables = tree(zoo.MODELS[name], smallest(zoo.MODELS[name]))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    assert count == PUBLISHED.get(name, count)
    lines = [
        f"{'/'.join(key.key for key in path)} {leaf.dtype} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    ]
    found = [count, len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]]
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        known = {key: value for key, value in {**trees(), name: found}.items() if key in zoo.MODELS}
        trees().update(known)
        rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known))
        (GOLDEN / "trees.json").write_text("{\n" + rows + "\n}\n")
        if name in WHOLE:
            path.write_text("\n".join(lines) + "\n")
    if name in WHOLE:
        assert lines == path.read_text().splitlines()
    assert found == trees()[name]


def test_every_constant_has_a_name_and_a_golden_tree():
    families = (
        *(alexnet, bytenet, convnext, crepe, efficientnet, gcnii, gin, graphnet, layernet, mlp, mobilenet),
        *(mobilenetv3, molnet, nodenet, quartznet, resnet, silero, tcn, vgg, wavecnn),
    )
    constants = [value for family in families for value in vars(family).values() if isinstance(value, nn.Module)]
    assert {id(value) for value in constants} == {id(value) for value in zoo.MODELS.values()}
    assert set(trees()) == set(zoo.MODELS)
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(WHOLE)


def test_blocks_count_their_own():
    """A bottleneck is as wide as four times its width, and a skip is made only where the shape changes."""
    x = jnp.zeros((1, 4, 4, 8))
    assert "skip" not in shape_of_block(Bottleneck(2), x)
    assert "skip" not in shape_of_block(Basic(8), x)
    assert "skip" in shape_of_block(Basic(8, 2), x)
    assert "skip" not in shape_of_block(Basic(12, 2, shortcut="pad"), x)
    assert core.conv(x, jnp.zeros((3, 3, 8, 8)), stride=2).shape == (1, 2, 2, 8)


def shape_of_block(block: Model, x: Any) -> Any:
    return jax.eval_shape(functools.partial(block.init, train=False), jax.random.key(0), x)["params"]
