"""One table of shrunk models, many laws; then what each name promises: its published size and its golden tree.

``WRITE_GOLDEN=1 pytest tests/models`` writes ``golden/NAME.txt`` anew.
"""

import functools
import math
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from flax.errors import FlaxError
from jax import export

from convzoo import core, zoo
from convzoo.data.graphs import Graphs, compact, trace
from convzoo.models import alexnet, bytenet, graphnet, mlp, resnet
from convzoo.nn import Basic, Bottleneck, Conv, Model

GOLDEN = Path(__file__).parent / "golden"
export.register_namedtuple_serialization(Graphs, serialized_name="convzoo.data.graphs.Graphs")


class Case(NamedTuple):
    """A model, the shape of an example, and the waypoints in the order in which they are passed."""

    model: Any  # a Model; that it can be hashed is lost on pyright
    shape: tuple[int, ...]
    waypoints: str


resnets = functools.partial(resnet.ResNet, width=4, num_classes=5)
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
    "graphnet": Case(graphnet.GraphNet(depth=2, width=6), (), "stem block0 block1 pooled"),
    "bytenet": Case(bytenet.ByteNet(widths=(6, 8), embedding=4), (12,), "embedded block0 block1 pooled"),
    "mlp": Case(mlp.MLP(widths=(8, 6), dropout=0.2), (4, 4, 1), "dense0 dense1"),
    "mlp of bytes": Case(mlp.MLP(widths=(8,), embedding=3), (12,), "dense0"),
}
on_cases = pytest.mark.parametrize("name", CASES)
GRIDS = [name for name, case in CASES.items() if isinstance(case.model, alexnet.AlexNet | resnet.ResNet)]
BATCH = 3
TRACED: list[Model] = []


def inputs(name: str, seed: int = 0, dtype: str = "float32") -> Any:
    """A batch for ``CASES[name]``: floats, bytes or graphs."""
    generator = np.random.default_rng(seed)
    shape = CASES[name].shape
    if name == "graphnet":
        return graphs(seed)[0]
    if len(shape) == 1:
        return jnp.asarray(generator.integers(0, 256, (BATCH, *shape)), jnp.int32)
    return jnp.asarray(generator.normal(size=(BATCH, *shape)), dtype)


def graphs(seed: int = 0, nodes: int = 40, edges: int = 220) -> tuple[Graphs, dict[str, jax.Array]]:
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
    assert y.shape == (BATCH + (name == "graphnet"), model.num_classes)


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
    """And it is finite."""
    model, variables, x = CASES[name].model, filled(name), inputs(name)

    @jax.jit
    def gradients(params):
        def loss(params):
            y = training(model)(variables | {"params": params}, x, 0)[0][0]
            return jnp.sin(y + jnp.arange(y.shape[-1])).sum()

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
    upstream = [waypoint for waypoint in features if not (name == "alexnet" and waypoint.startswith("dense"))]
    for waypoint in upstream:
        np.testing.assert_array_equal(features[waypoint], other_features[waypoint])
    jax.tree.map(np.testing.assert_array_equal, new, other_new)
    evaluated = forward(model)(variables, x)[1]
    for waypoint in upstream:  # batch norm is all that training changes before dropout
        same = np.allclose(evaluated[waypoint], features[waypoint], rtol=1e-4, atol=1e-5)
        assert same == (name == "alexnet" or waypoint == "embedded")


@on_cases
def test_examples_do_not_see_each_other(name):
    if name == "graphnet":
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


@pytest.mark.parametrize("name", ["causal 1d", "graphnet"])
def test_becomes_an_nnx_module(name):
    model, x = CASES[name].model, inputs(name)

    @nnx.jit
    def bridged():
        return nnx.bridge.lazy_init(nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0)), x, train=False)

    module = bridged()
    kinds = {"params": nnx.Param, "batch_stats": nnx.BatchStat}
    variables = {name: nnx.to_pure_dict(nnx.state(module, kind)) for name, kind in kinds.items()}
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
    accepted = model.ranks if isinstance(model, resnet.ResNet) else (2,)
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
        elif isinstance(model, alexnet.AlexNet):
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


def test_a_length_for_pictures_is_named(unchecked):
    with pytest.raises(ValueError, match=r"mask \(2, 5\) must be \[batch, \*space\] of x, \(2, 5, 5\)"):
        jax.eval_shape(
            functools.partial(resnets(depths=(1,), stem="plain").init, length=jnp.array([3, 5])),
            jax.random.key(0),
            jnp.zeros((2, 5, 5, 3)),
        )


# --- names ----------------------------------------------------------------------------------------------------------

PUBLISHED = {
    "alexnet": 61_100_840,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "cifar_resnet20": 269_722,
    "cifar_resnet32": 464_154,
    "cifar_resnet44": 658_586,
    "cifar_resnet56": 853_018,
    "cifar_resnet110": 1_727_962,
}


def smallest(model: Model) -> Any:
    """An input that ``model`` takes; only its channels matter to the tree."""
    if isinstance(model, graphnet.GraphNet):
        return graphs()[0]
    if isinstance(model, bytenet.ByteNet):
        return jnp.zeros((1, 8), jnp.int32)
    if isinstance(model, mlp.MLP):
        return jnp.zeros((1, 8, 8, 1))
    return jnp.zeros((1, 64, 64, 3))


@pytest.mark.parametrize("name", zoo.MODELS)
def test_the_tree_is_golden(name):
    """Every path, dtype and shape; and, where it is published, the number of parameters."""
    variables = tree(zoo.MODELS[name], smallest(zoo.MODELS[name]))
    if name in PUBLISHED:
        assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"])) == PUBLISHED[name]
    lines = [
        f"{'/'.join(key.key for key in path)} {leaf.dtype} {'x'.join(map(str, leaf.shape))}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    ]
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    assert lines == path.read_text().splitlines()


def test_every_constant_has_a_name_and_a_golden_file():
    families = (alexnet, bytenet, graphnet, mlp, resnet)
    constants = [value for family in families for value in vars(family).values() if isinstance(value, nn.Module)]
    assert {id(value) for value in constants} == {id(value) for value in zoo.MODELS.values()}
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(zoo.MODELS)


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
