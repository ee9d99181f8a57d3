"""Laws of ``graph_conv`` and its companions: a grid is a graph, order does not matter, padding changes nothing."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convzoo.core import Edges, conv, graph_conv, grid_edges, neighbour_softmax, readout

NODES, EDGES, TAPS = 9, 24, 3


def values(*shapes, dtype: Any = np.float32, seed=0) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.normal(size=shape), dtype) for shape in shapes]


def edges_of(senders, receivers, taps, weight, num_receivers: int) -> Edges:
    integers = [jnp.asarray(a, jnp.int32) for a in (senders, receivers, taps)]
    return Edges(integers[0], integers[1], integers[2], jnp.asarray(weight, jnp.float32), num_receivers)


def random_edges(seed: int = 0, receivers: int = NODES) -> Edges:
    """Any edges, several of them alike; some nodes have none."""
    generator = np.random.default_rng(seed)
    senders, heard, taps = (generator.integers(0, size, EDGES) for size in (NODES, receivers - 2, TAPS))
    return edges_of(senders, heard, taps, generator.normal(size=EDGES), receivers)


def naive(x, kernel, edges: Edges) -> np.ndarray:
    y = np.zeros((edges.num_receivers, kernel.shape[-1]))
    for sender, receiver, tap, weight in zip(*map(np.asarray, edges[:4]), strict=True):
        y[receiver] += weight * (np.asarray(x[sender]) @ np.asarray(kernel[tap]))
    return y


def stray(edges: Edges) -> Edges:
    """``edges`` and then padding: receivers and taps out of range, above and below."""
    n = edges.num_receivers
    extra = {"senders": [0, 1, 2, 3, 0], "receivers": [n, n + 7, -1, 1, 2], "taps": [0, 2, 2, TAPS, -1]}
    senders, receivers, taps = (jnp.append(getattr(edges, name), jnp.asarray(extra[name])) for name in extra)
    return edges_of(senders, receivers, taps, jnp.append(edges.weight, jnp.full(5, 9.0)), n)


# --- a grid is a graph ----------------------------------------------------------------------------------------------


@st.composite
def grids(draw):
    rank = draw(st.integers(1, 3))

    def per_axis(least, most):
        return tuple(draw(st.integers(least, most)) for _ in range(rank))

    window, stride, dilation = per_axis(1, 4 if rank < 3 else 3), per_axis(1, 3), per_axis(1, 2)
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    space = tuple(r + 1 + extra for r, extra in zip(reach, per_axis(0, 3), strict=True))
    padding = draw(st.sampled_from(["HALF", "SAME", "CAUSAL", "VALID", "pairs"]))
    if padding == "pairs":
        padding = tuple(draw(st.tuples(st.integers(0, r + 1), st.integers(-min(n - r - 1, 1), r)))
                        for n, r in zip(space, reach, strict=True))  # fmt: skip
    return space, window, {"stride": stride, "dilation": dilation, "padding": padding}


@settings(max_examples=15)
@given(grid=grids())
def test_a_grid_is_a_graph(grid):
    """In values and in gradients, over strides, dilations and every padding."""
    space, window, arguments = grid
    edges = grid_edges(space, window, **arguments)
    with jax.enable_x64(True):
        x, kernel = values((*space, 2), (*window, 2, 3), dtype=np.float64)

        def as_graph(x, kernel):
            return graph_conv(x.reshape(-1, 2), kernel.reshape(-1, 2, 3), edges)

        y = conv(x[None], kernel, **arguments)[0]
        assert edges.num_receivers == y[..., 0].size
        np.testing.assert_allclose(jax.jit(as_graph)(x, kernel).reshape(y.shape), y, atol=1e-12)


@pytest.mark.parametrize(("inner", "outer"), [(5, 2), (2, 5)])
def test_gradients_of_a_grid_are_those_of_a_graph(inner, outer, x64):
    x, kernel = values((5, 6, inner), (3, 2, inner, outer), dtype=np.float64)
    edges = grid_edges((5, 6), (3, 2), stride=2, padding="SAME")

    def loss(op, x, kernel):
        return jnp.sin(op(x, kernel)).sum()

    def as_graph(x, kernel):
        return graph_conv(x.reshape(-1, inner), kernel.reshape(-1, inner, outer), edges)

    expected = jax.grad(partial(loss, lambda x, k: conv(x[None], k, stride=2, padding="SAME")), (0, 1))(x, kernel)
    found = jax.jit(jax.grad(partial(loss, as_graph), (0, 1)))(x, kernel)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-12), found, expected)


def test_an_integer_is_a_line():
    for ours, same in zip(grid_edges(5, 3), grid_edges((5,), (3,)), strict=True):
        np.testing.assert_array_equal(ours, same)
    np.testing.assert_array_equal(grid_edges(3, 3).senders, [0, 1, 0, 1, 2, 1, 2])
    np.testing.assert_array_equal(grid_edges(3, 3).taps, [1, 2, 0, 1, 2, 0, 1])


# --- graphs ---------------------------------------------------------------------------------------------------------

SHAPES = {"widening": (TAPS, 2, 5), "narrowing": (TAPS, 5, 2), "one tap": (1, 2, 5), "one tap narrowing": (1, 5, 2)}
on_shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def example(shape, receivers: int = NODES) -> tuple[jax.Array, jax.Array, Edges]:
    x, kernel = values((NODES, shape[1]), shape)
    edges = random_edges(receivers=receivers)
    return x, kernel, edges._replace(taps=edges.taps % shape[0])


@on_shapes
@pytest.mark.parametrize("receivers", [NODES, 4])
def test_is_its_definition(shape, receivers):
    args = example(shape, receivers)
    np.testing.assert_allclose(jax.jit(graph_conv)(*args), naive(*args), rtol=1e-4, atol=1e-5)


@on_shapes
def test_the_order_of_nodes_and_edges_does_not_matter(shape):
    x, kernel, edges = example(shape)
    generator = np.random.default_rng(1)
    nodes, order = generator.permutation(NODES), generator.permutation(EDGES)
    renamed = jnp.asarray(np.argsort(nodes))  # node n is now at renamed[n]
    senders, receivers, taps, weight = (a[order] for a in edges[:4])
    moved = Edges(renamed[senders], renamed[receivers], taps, weight, NODES)
    np.testing.assert_allclose(
        graph_conv(x[nodes], kernel, moved), graph_conv(x, kernel, edges)[nodes], rtol=1e-5, atol=1e-5
    )


@on_shapes
def test_padded_edges_and_nodes_change_nothing(shape):
    x, kernel, edges = example(shape)
    padded = stray(edges)
    if shape[0] == 1:  # keep the stray taps stray
        padded = padded._replace(taps=padded.taps.at[-2].set(1))
    more = jnp.concatenate([x, jnp.full((4, x.shape[1]), 9.0)])
    np.testing.assert_allclose(graph_conv(more, kernel, padded), graph_conv(x, kernel, edges), rtol=1e-5, atol=1e-6)

    def loss(x, kernel, edges):
        return jnp.square(graph_conv(x, kernel, edges)).sum()

    gradient = jax.jit(jax.grad(loss, (0, 1)))
    found, expected = (gradient(a, kernel, e) for a, e in ((more, padded), (x, edges)))
    np.testing.assert_allclose(found[0][:NODES], expected[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found[0][NODES:], 0)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4, atol=1e-4)


@on_shapes
def test_half_precision_is_close(shape):
    x, kernel, edges = example(shape)
    low = graph_conv(x.astype("bfloat16"), kernel.astype("bfloat16"), edges)
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype("float32"), naive(x, kernel, edges), rtol=0.05, atol=0.2)


def test_many_neighbours_are_summed_in_float32():
    """300 ones are 300 in bfloat16, which alone stops counting at 256."""
    zeros = jnp.zeros(300, jnp.int32)
    edges = edges_of(zeros, zeros, zeros, jnp.ones(300), 1)
    ones = jnp.ones((1, 1), "bfloat16")
    assert float(graph_conv(ones, ones[None], edges)[0, 0]) == 300
    x, graph_id = jnp.ones((300, 1), "bfloat16"), jnp.zeros(300, jnp.int32)
    assert [float(readout(x, graph_id, 1, kind=kind)[0, 0]) for kind in ("sum", "mean", "max")] == [300, 1, 1]
    np.testing.assert_allclose(neighbour_softmax(x, graph_id, 1).astype("float32"), 1 / 300, rtol=0.01)


def test_weights_have_gradients_and_vmap_is_a_loop():
    x, kernel, edges = example(SHAPES["widening"])

    @jax.jit
    def loss(weight):
        return graph_conv(x, kernel, edges._replace(weight=weight)).sum()

    np.testing.assert_allclose(
        jax.grad(loss)(edges.weight), (x @ kernel)[edges.taps, edges.senders].sum(-1), rtol=1e-4, atol=1e-5
    )
    kernels = jnp.stack([kernel, 2 * kernel, -kernel])
    batched = jax.vmap(graph_conv, (None, 0, None))(x, kernels, edges)
    np.testing.assert_allclose(batched, [graph_conv(x, k, edges) for k in kernels], rtol=1e-5, atol=1e-5)


def test_edges_are_a_tree_whose_size_is_static():
    edges = random_edges()
    arrays, structure = jax.tree.flatten(edges)
    assert len(arrays) == 4
    again = jax.tree.unflatten(structure, arrays)
    assert isinstance(again, Edges)
    assert again.num_receivers == NODES
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(edges)]
    assert names == [".senders", ".receivers", ".taps", ".weight"]
    sizes = []

    @jax.jit
    def through(edges):
        sizes.append(edges.num_receivers)
        return edges

    assert [type(through(edges).num_receivers), type(through(random_edges(1)).num_receivers)] == [int, int]
    through(random_edges(receivers=5))
    assert sizes == [NODES, 5]  # one trace for each size
    assert all(type(size) is int for size in sizes)


def test_exports_for_every_platform():
    x, kernel, edges = example(SHAPES["widening"])

    def op(x, kernel, arrays):
        senders, receivers, taps, weight = arrays
        return graph_conv(x, kernel, Edges(senders, receivers, taps, weight, NODES))

    exported = jax.export.export(jax.jit(op), platforms=("cpu", "cuda", "tpu"))(x, kernel, tuple(edges[:4]))
    again = jax.export.deserialize(exported.serialize()).call(x, kernel, tuple(edges[:4]))
    np.testing.assert_allclose(again, graph_conv(x, kernel, edges), rtol=1e-5, atol=1e-6)


# --- softmax, readout -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("heads", "scale"), [((), 1.0), ((2,), 1e4), ((2, 3), 1.0)])
def test_neighbour_softmax_sums_to_one(heads, scale):
    """For each receiver with an edge; elsewhere and for padding it is 0, and every gradient is finite."""
    receivers = jnp.asarray([0, 2, 2, 5, 0, 0, 6, -1, 9])
    logits = values((9, *heads))[0] * scale
    logits = logits.at[-1].set(jnp.inf)  # what padding holds does not matter
    share = jax.jit(neighbour_softmax, static_argnums=2)(logits, receivers, 6)
    total = jax.ops.segment_sum(share, receivers, 6)
    assert share.shape == logits.shape
    whole = np.broadcast_to(np.reshape([1, 0, 1, 0, 0, 1], (6, *[1] * len(heads))), (6, *heads))
    np.testing.assert_allclose(total, whole, rtol=1e-5)
    np.testing.assert_array_equal(share[-3:], 0)
    np.testing.assert_allclose(share[1:3], jax.nn.softmax(logits[1:3], axis=0), rtol=1e-5)
    weights = values(logits.shape, seed=1)[0]
    gradient = jax.jit(jax.grad(lambda logits: (neighbour_softmax(logits, receivers, 6) * weights).sum()))(logits)
    assert jnp.isfinite(gradient).all()


def test_neighbour_softmax_without_an_edge_is_finite():
    logits, receivers = jnp.zeros(3), jnp.full(3, 4)
    np.testing.assert_array_equal(neighbour_softmax(logits, receivers, 4), 0)
    assert neighbour_softmax(jnp.zeros(0), jnp.zeros(0, int), 4).shape == (0,)


@settings(max_examples=10)
@given(seed=st.integers(0, 99), kind=st.sampled_from(["sum", "mean", "max"]), masked=st.booleans())
def test_readout_is_a_loop(seed, kind, masked):
    """Over sorted and unsorted graph ids, some out of range, some graphs without a node (0)."""
    generator = np.random.default_rng(seed)
    x, graph_id = generator.normal(size=(12, 3)).astype(np.float32), generator.integers(-1, 6, 12)
    mask = generator.integers(0, 2, 12).astype(bool) if masked else None
    found = jax.jit(partial(readout, num_graphs=5, kind=kind))(
        jnp.asarray(x), jnp.asarray(graph_id), mask=None if mask is None else jnp.asarray(mask)
    )
    for graph in range(5):
        rows = x[(graph_id == graph) & (True if mask is None else mask)]
        expected = getattr(np, kind)(rows, axis=0) if len(rows) else np.zeros(3)
        np.testing.assert_allclose(found[graph], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["sum", "mean", "max"])
def test_readout_ignores_what_padding_holds(kind):
    x = values((6, 2))[0]
    graph_id, mask = jnp.asarray([0, 0, 1, 1, 9, 0]), jnp.asarray([True] * 5 + [False])

    @jax.jit
    def total(x):
        return readout(x, graph_id, 3, kind=kind, mask=mask)

    dirty = x.at[4:].set(jnp.nan)
    np.testing.assert_array_equal(total(dirty), total(x))
    np.testing.assert_array_equal(total(x)[2], 0)
    gradient = jax.jit(jax.grad(lambda x: jnp.square(total(x)).sum()))(dirty)
    assert jnp.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[4:], 0)


# --- errors ---------------------------------------------------------------------------------------------------------

X, KERNEL = jnp.zeros((NODES, 4)), jnp.zeros((TAPS, 4, 6))
WRONG = {
    "a grid": ({"x": X[None]}, ValueError, r"x must be \[nodes, in\] and kernel .*; got \(1, 9, 4\) and \(3, 4, 6\)"),
    "kernel axes": ({"kernel": KERNEL[0]}, ValueError, r"kernel \[taps, in, out\]; got \(9, 4\) and \(4, 6\)"),
    "channels": ({"x": X[:, :3]}, ValueError, r"kernel .* = \(3, 4, 6\) takes 4 input channels; x .* = \(9, 3\) has 3"),
    "lengths": (
        {"edges": random_edges()._replace(weight=jnp.ones(3))},
        ValueError,
        r"must be \[edges\], all of one length; got .*'taps': \(24,\), 'weight': \(3,\)",
    ),
    "edge axes": (
        {"edges": jax.tree.map(lambda a: a[:, None], random_edges())},
        ValueError,
        r"must be \[edges\], all of one length; got .*'senders': \(24, 1\)",
    ),
    "integers": ({"x": X.astype(int)}, TypeError, r"x has dtype int32; it must be floating"),
    "mixed": ({"kernel": KERNEL.astype("bfloat16")}, TypeError, r"dtypes differ: .*cast one of them"),
}


@pytest.mark.parametrize(("change", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(change, error, message, unchecked):
    with pytest.raises(error, match=message):
        graph_conv(**{"x": X, "kernel": KERNEL, "edges": random_edges()} | change)


WRONG_GRIDS = {
    "axes": (((2,) * 4, 3), {}, r"space \(2, 2, 2, 2\) has 4 axes; a grid has 1, 2 or 3"),
    "window": (((5, 5), (3,)), {}, r"window=\(3,\) has 1 entries; the input has 2 spatial axes \('height', 'width'\)"),
    "zero window": (((5, 5), (3, 0)), {}, r"window along width is 0; it must be an integer of at least 1"),
    "stride": (((5, 5), 3), {"stride": 0}, r"stride along height is 0; it must be an integer of at least 1"),
    "dilation": ((5, 3), {"dilation": (1, 1)}, r"dilation=\(1, 1\) has 2 entries; the input has 1 spatial axes"),
    "padding": ((5, 3), {"padding": "FULL"}, r"padding 'FULL' is not known; it must be one of \('HALF'"),
    "too long": (((5, 2), 3), {"padding": "VALID"}, r"along width the window spans 3 .* but the input has 2"),
}


@pytest.mark.parametrize(("args", "named", "message"), WRONG_GRIDS.values(), ids=WRONG_GRIDS)
def test_a_wrong_grid_is_named(args, named, message):
    with pytest.raises(ValueError, match=message):
        grid_edges(*args, **named)


def test_an_unknown_readout_is_named():
    with pytest.raises(ValueError, match="kind 'median' is not known; it must be 'sum', 'mean' or 'max'"):
        readout(X, jnp.zeros(NODES, int), 1, kind="median")
