"""Laws of the graph layers: order does not matter, padding changes nothing, batched equals one by one, a grid is a
graph; torch_geometric's figures at the same weights; jraph's GCN and GAT."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import core, nn
from convzoo.core import graph_layers, messages
from tests.parity import cases, graph_cases
from tests.parity.graph_cases import CASES, MESSY, NODES

ON_EDGES = [name for name, case in CASES.items() if case.takes not in ("graphs", "layers") and name != "virtual node"]
READOUTS = [name for name, case in CASES.items() if case.takes == "graphs"]


@pytest.mark.parametrize("name", CASES)
def test_gives_torch_geometrics_figures(name):
    found: dict[str, Any] = {}
    for graph in graph_cases.graphs(CASES[name]):
        found |= graph_cases.ours(name, graph)
    differing = graph_cases.apart(graph_cases.figures(found), graph_cases.golden()[name])
    assert not {key: value for key, value in differing.items() if not value <= 1e-9}


def test_every_figure_is_used():
    assert graph_cases.golden().keys() == CASES.keys()


def run(name: str, x: Any, edges: core.Edges, features: Any) -> np.ndarray:
    """One layer at filled weights, in float32."""
    case = CASES[name]
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), graph_cases.parameters(case, MESSY))
    given = {"initial": (x, x * x, edges)}.get(case.takes, (x, edges))
    more = (features,) if "features" in case.takes else ()
    apply = jax.jit(case.layer.apply, compiler_options=cases.UNOPTIMISED)
    return np.asarray(apply({"params": params}, *given, *more))


def example(name: str) -> tuple[jax.Array, core.Edges, Any]:
    arrays = {k: jnp.asarray(v, jnp.float32) for k, v in graph_cases.given(CASES[name], MESSY).items()}
    given = graph_cases.arguments(CASES[name], arrays, MESSY)
    edges = next(each for each in given if isinstance(each, core.Edges))
    return arrays["x"], jax.tree.map(jnp.asarray, edges), arrays.get("features")


def near(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ON_EDGES)
def test_order_padding_and_company_change_nothing(name):
    """Permuted nodes and edges; padded nodes and edges; two graphs at once: all from one example."""
    x, edges, features = example(name)
    expected = run(name, x, edges, features)
    generator = np.random.default_rng(0)

    order, nodes = generator.permutation(edges.senders.shape[0]), generator.permutation(NODES)
    if name in ("gcn narrowing", "sgc", "appnp", "chebyshev"):
        order = np.sort(order)  # of a node's two self-loops the last one counts
    renamed = jnp.asarray(np.argsort(nodes))
    senders, receivers, taps, weight = (a[order] for a in edges[:4])
    moved = core.Edges(renamed[senders], renamed[receivers], taps, weight, NODES)
    near(run(name, x[nodes], moved, None if features is None else features[order]), expected[nodes])

    def joined(a, b):
        return jnp.concatenate([a, jnp.asarray(b, a.dtype)])

    size = NODES + 2
    stray = core.Edges(
        joined(edges.senders, [0, 1, size - 1]),
        joined(edges.receivers, [size, size + 5, size - 1]),
        joined(edges.taps, [0, 1, 0]),
        joined(edges.weight, [3, 3, 3]),
        size,
    )
    more = joined(x, jnp.full((2, x.shape[1]), 7.0))
    kept = None if features is None else joined(features, jnp.full((3, features.shape[1]), 5.0))
    near(run(name, more, stray, kept)[:NODES], expected)

    twice = core.Edges._make(
        (*(joined(a, a + shift) for a, shift in zip(edges[:4], (NODES, NODES, 0, 0), strict=True)), 2 * NODES)
    )
    both = run(name, joined(x, x[::-1]), twice, None if features is None else joined(features, features))
    near(both, np.concatenate([expected, run(name, x[::-1], edges, features)]))


@pytest.mark.parametrize("name", READOUTS)
def test_readouts_take_graphs_one_by_one(name):
    case = CASES[name]
    params = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), graph_cases.parameters(case, MESSY))
    x = jnp.asarray(cases.uniform("x", (NODES, graph_cases.IN), -2, 2), jnp.float32)
    ids = jnp.asarray(graph_cases.GRAPH_ID)
    whole = np.asarray(case.layer.apply({"params": params}, x, ids, graph_cases.NUM_GRAPHS))
    order = np.random.default_rng(0).permutation(NODES)
    mixed = case.layer.apply({"params": params}, x[order], ids[order], graph_cases.NUM_GRAPHS)
    near(mixed, whole[order] if name == "graph norm" else whole)
    more, stray = jnp.pad(x, ((0, 2), (0, 0)), constant_values=9), jnp.pad(ids, (0, 2), constant_values=9)
    padded = case.layer.apply({"params": params}, more, stray, graph_cases.NUM_GRAPHS)
    near(padded[: len(whole)], whole)
    for graph in (0, 2, 3):
        chosen = np.flatnonzero(np.equal(graph_cases.GRAPH_ID, graph))
        alone = case.layer.apply({"params": params}, x[chosen], jnp.zeros(len(chosen), jnp.int32), 1)
        near(alone, whole[chosen] if name == "graph norm" else whole[[graph]])


def test_a_virtual_node_is_a_node_of_each_graph():
    edges = core.Edges._make((*(jnp.asarray(a) for a in ([0, 2], [1, 3], [0, 1], [1.0, 1.0])), 5))
    more, ids = core.virtual_node_edges(edges, jnp.asarray([0, 0, 1, 1, 9]), 2, 2)
    np.testing.assert_array_equal(ids, [0, 0, 1, 1, 9, 0, 1])
    real = np.asarray(messages.real_edges(more))
    told = list(zip(*(np.asarray(a)[real].tolist() for a in more[:3]), strict=True))
    assert told == [
        (0, 1, 0), (2, 3, 1),
        (0, 5, 2), (1, 5, 2), (2, 6, 2), (3, 6, 2),
        (5, 0, 3), (5, 1, 3), (6, 2, 3), (6, 3, 3),
    ]  # fmt: skip


def test_sparse_rows_are_the_dense_ones():
    generator = np.random.default_rng(0)
    dense = generator.normal(size=(6, 11)) * (generator.random((6, 11)) < 0.3)
    rows, columns = np.nonzero(dense)
    kernel = jnp.asarray(generator.normal(size=(11, 3)), jnp.float32)
    values = jnp.asarray(dense[rows, columns], jnp.float32)
    edges = core.Edges(jnp.asarray(columns), jnp.asarray(rows), jnp.zeros(len(rows), jnp.int32), values, 6)
    for table in (None, core.sort_edges(edges, 1, 11)):
        sparse = core.SparseRows(edges, table, 11)
        assert sparse.shape == (6, 11)
        near(jax.jit(messages.times)(sparse, kernel), dense @ kernel)


@pytest.mark.parametrize("kind", ["sum", "mean"])
def test_a_table_changes_nothing(kind):
    x, edges, _ = example("sage mean")
    table = core.sort_edges(messages.untapped(edges), 1, NODES)
    near(messages.neighbour_reduce(x, edges, kind, table), messages.neighbour_reduce(x, edges, kind))


@pytest.mark.parametrize("name", ["gat averaged", "gatv2 averaged"])
def test_attention_by_a_table_is_the_same(name, x64):
    """In values and gradients; some edges are padding, one node has more neighbours than a piece holds."""
    layer = CASES[name].layer.clone(dtype="float64", param_dtype="float64")
    generator = np.random.default_rng(0)
    senders, receivers = generator.integers(0, NODES, (2, 90))
    receivers[:40], receivers[-3:] = 2, NODES
    edges = core.Edges._make((*map(jnp.asarray, (senders, receivers, np.zeros(90, int), generator.random(90))), NODES))
    table = core.sort_edges(edges, 1, NODES)
    params, x = graph_cases.parameters(CASES[name], MESSY), jnp.asarray(cases.uniform("x", (NODES, graph_cases.IN)))

    def loss(params, x, weight, table):
        y: Any = layer.apply({"params": params}, x, edges._replace(weight=weight), table=table)
        return jnp.sum(y * cases.uniform("weights", y.shape)), y

    both = jax.jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))
    found, expected = (both(params, x, edges.weight, each) for each in (table, None))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), found, expected)


def symmetric() -> core.Edges:
    """Without self-loops or edges that come twice: what jraph's normalisation is made for."""
    pairs = np.array([[0, 1], [1, 2], [2, 0], [3, 4], [2, 4]])
    senders, receivers = np.concatenate([pairs, pairs[:, ::-1]]).T
    return core.Edges._make((*map(jnp.asarray, (senders, receivers, np.zeros(10, int), np.ones(10))), 6))


def test_jraphs_gcn_and_gat_agree(x64):
    jraph: Any = pytest.importorskip("jraph")
    edges, x = symmetric(), jnp.asarray(cases.uniform("x", (6, 5)))
    kernel = jnp.asarray(cases.uniform("kernel", (5, 4)))
    graph = jraph.GraphsTuple(x, None, edges.receivers, edges.senders, None, np.array([6]), np.array([10]))
    theirs = jraph.GraphConvolution(lambda nodes: nodes @ kernel, add_self_edges=True)(graph).nodes
    np.testing.assert_allclose(graph_layers.gcn(x, kernel, core.gcn_edges(edges)), theirs, atol=1e-12)

    source, target = (jnp.asarray(cases.uniform(name, (1, 4))) for name in ("source", "target"))
    looped = core.with_loops(edges)
    graph = graph._replace(senders=looped.senders, receivers=looped.receivers, n_edge=np.array([16]))
    gat = jraph.GAT(
        lambda nodes: nodes @ kernel,
        lambda sent, heard, _: jax.nn.leaky_relu((sent * source + heard * target).sum(-1, keepdims=True), 0.2),
        lambda nodes: nodes,
    )
    ours = graph_layers.gat((x @ kernel)[:, None], source, target, looped)
    np.testing.assert_allclose(ours[:, 0], gat(graph).nodes, atol=1e-12)


def test_a_grid_is_a_graph_for_gcn_and_sage():
    """On a grid of three by three windows: the mean over neighbours is average pooling that does not count padding."""
    edges = core.grid_edges((5, 6), 3)
    x = jnp.asarray(cases.uniform("x", (30, 4)), jnp.float32)
    pooled = core.avg_pool(x.reshape(1, 5, 6, 4), window=3, stride=1, count_padding=False)
    near(messages.neighbour_reduce(x, edges, "mean"), pooled.reshape(30, 4))
    highest = core.max_pool(x.reshape(1, 5, 6, 4), window=3, stride=1)
    near(messages.neighbour_reduce(x, edges, "max"), highest.reshape(30, 4))


WRONG = {
    "kind": (lambda x, e: messages.reduce_messages(x, e, "median"), "kind 'median' is not known; it must be one of"),
    "scaler": (
        lambda x, e: graph_layers.principal(messages.gather(x, e.senders)[:, None], e, ("mean",), ("log",), 1.0, 1.0),
        r"scalers \['log'\] are not known; there are \('identity'",
    ),
    "square": (
        lambda x, e: graph_layers.propagate(x, e._replace(num_receivers=4), 2),
        "propagate sees a node's own features.* x has 9 nodes and the edges 4 receivers",
    ),
    "table": (
        lambda x, e: nn.GATConv(2).init(jax.random.key(0), x, e, table=core.sort_edges(messages.untapped(e), 1, NODES)),
        "the table is of 16 edges from 9 to 9 nodes; these are 25 from 9 to 9: sort the edges that the layer sums over",
    ),
    "towers": (
        lambda x, e: nn.PNAConv(7, 1.0, 1.0, towers=2).init(jax.random.key(0), x, e),
        "towers=2 must divide features=7",
    ),
    "jumping": (
        lambda x, e: nn.JumpingKnowledge(kind="mean").init(jax.random.key(0), [x, x]),
        "kind 'mean' is not known; it must be 'cat', 'max' or 'lstm'",
    ),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(call, message, unchecked):
    x, edges, _ = example("sage mean")
    with pytest.raises(ValueError, match=message):
        call(x, edges)
