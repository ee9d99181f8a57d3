"""Graphs: traced as a grid's edges restricted to the ink; packed under jit as numpy and jraph would."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import core, data
from convzoo.data import graphs


def test_a_picture_that_is_ink_all_over_is_a_grid():
    made = graphs.trace(np.ones((5, 4)))
    grid = core.grid_edges((5, 4), (3, 3))
    real = np.asarray(grid.receivers) < 20
    theirs = zip(*(np.asarray(part)[real].tolist() for part in (grid.senders, grid.receivers, grid.taps)), strict=True)
    ours = zip(*(made[name].tolist() for name in ("senders", "receivers", "taps")), strict=True)
    assert sorted(ours) == sorted(theirs)


def test_tracing_keeps_ink_and_its_neighbours():
    picture = np.zeros((8, 8))
    picture[1, 6], picture[2, 7], picture[5, 0] = 0.5, 1, 0.25
    made = graphs.trace(picture)
    np.testing.assert_allclose(
        made["nodes"], [[0.5, 12 / 7 - 1, 2 / 7 - 1], [1, 1, 4 / 7 - 1], [0.25, -1, 10 / 7 - 1]], rtol=1e-6
    )
    edges = zip(*(made[name].tolist() for name in ("receivers", "senders", "taps")), strict=True)
    assert list(edges) == [(0, 0, 4), (0, 1, 8), (1, 0, 0), (1, 1, 4), (2, 2, 4)]


def naive(rows: dict, kept: list[int]) -> dict[str, np.ndarray]:
    """The same batch with loops: real parts only."""
    parts = {name: [] for name in ("nodes", "tap", "weight", "senders", "receivers")}
    start = 0
    for index in kept:
        nodes, edges = rows["n_node"][index], rows["n_edge"][index]
        parts["nodes"].append(rows["nodes"][index, :nodes])
        for name in ("tap", "weight"):
            parts[name].append(rows[name][index, :edges])
        for name in ("senders", "receivers"):
            parts[name].append(rows[name][index, :edges] + start)
        start += nodes
    return {name: np.concatenate(values) for name, values in parts.items()}


@pytest.mark.parametrize("edges", ["direction", "mean", "gcn", "none"])
def test_compaction_is_naive_batching_and_jraphs(edges):
    jraph: Any = pytest.importorskip("jraph")
    source = data.Drawn(edges)
    arrays = source.arrays("test")
    chosen = [5, 3, 3, 77, 200, 9]
    mask = np.array([True, True, False, True, True, False])
    rows = {name: jnp.asarray(array[chosen]) for name, array in arrays.items()}
    sizes = dict(source.sizes(arrays, len(chosen)))
    batch = jax.jit(lambda rows, mask: source.batch(rows, mask, None, **sizes))(rows, mask)
    packed = batch["input"]
    kept = [index for index, used in zip(chosen, mask, strict=True) if used]
    expected = naive(arrays, kept)
    nodes, edges = len(expected["nodes"]), len(expected["senders"])
    for ours, name in (
        (packed.nodes, "nodes"),
        (packed.senders, "senders"),
        (packed.receivers, "receivers"),
        (packed.edges["tap"], "tap"),
        (packed.edges["weight"], "weight"),
    ):
        np.testing.assert_array_equal(ours[: len(expected[name])], expected[name])
    assert not np.asarray(packed.nodes[nodes:]).any()
    assert not np.asarray(packed.edges["weight"][edges:]).any()
    assert (np.asarray(packed.senders[edges:]) == sizes["nodes"] - 1).all()
    assert (np.asarray(packed.receivers[edges:]) == sizes["nodes"] - 1).all()
    assert (np.diff(packed.receivers) >= 0).all(), "receivers ascend"
    np.testing.assert_array_equal(batch["node_mask"], np.arange(sizes["nodes"]) < nodes)
    np.testing.assert_array_equal(batch["edge_mask"], np.arange(sizes["edges"]) < edges)
    np.testing.assert_array_equal(batch["graph_id"], np.repeat(np.arange(7), packed.n_node))
    np.testing.assert_array_equal(batch["mask"], [*mask, False])
    assert (int(packed.n_node.sum()), int(packed.n_edge.sum())) == (sizes["nodes"], sizes["edges"])

    one_by_one = [
        jraph.GraphsTuple(
            nodes=arrays["nodes"][index, : arrays["n_node"][index]],
            edges={name: arrays[name][index, : arrays["n_edge"][index]] for name in ("tap", "weight")},
            senders=arrays["senders"][index, : arrays["n_edge"][index]],
            receivers=arrays["receivers"][index, : arrays["n_edge"][index]],
            globals=None,
            n_node=arrays["n_node"][[index]],
            n_edge=arrays["n_edge"][[index]],
        )
        for index in kept
    ]
    theirs = jraph.pad_with_graphs(jraph.batch_np(one_by_one), sizes["nodes"], sizes["edges"], len(kept) + 1)
    ours = jraph.GraphsTuple(*packed)
    assert type(ours)._fields == type(packed)._fields
    np.testing.assert_array_equal(theirs.nodes, ours.nodes)
    np.testing.assert_array_equal(theirs.senders[:edges], ours.senders[:edges])
    np.testing.assert_array_equal(theirs.receivers[:edges], ours.receivers[:edges])
    np.testing.assert_array_equal(theirs.edges["weight"], ours.edges["weight"])
    np.testing.assert_array_equal(theirs.n_node, np.asarray(ours.n_node)[[0, 1, 3, 4, 6]])
    np.testing.assert_array_equal(jraph.get_node_padding_mask(theirs), batch["node_mask"])


def test_no_batch_can_overflow():
    source = data.Drawn()
    arrays = source.arrays("train")
    largest = np.argsort(arrays["n_node"])[-16:]
    sizes = dict(source.sizes(arrays, 16))
    rows = {name: jnp.asarray(array[largest]) for name, array in arrays.items()}
    batch = source.batch(rows, jnp.ones(16, bool), None, **sizes)
    assert int(batch["input"].n_node[-1]) == 1, "the largest graphs fill it up to the one node of padding"
    assert int(batch["input"].n_edge[-1]) >= 0


def test_weights_do_what_their_names_say():
    def incoming(edges):
        batch = data.load(data.Drawn(edges, augment=False), "test", batch_size=30).example
        graph, real = batch["input"], np.asarray(batch["node_mask"])
        weight, taps = graph.edges["weight"], np.asarray(graph.edges["tap"])
        sums = [np.bincount(graph.receivers, weight * (taps == tap), len(real)) for tap in range(taps.max() + 1)]
        return np.stack(sums)[:, real], taps

    mean, taps = incoming("mean")
    assert set(taps) == {0, 1}
    np.testing.assert_allclose(mean[0], 1)
    assert np.all(np.isclose(mean[1], 1, atol=1e-5) | (mean[1] == 0)), "a node alone has no neighbours' mean"
    np.testing.assert_allclose(incoming("none")[0], 1)
    assert len(incoming("direction")[0]) == 9
    rows = data.Drawn("gcn").arrays("test")
    senders, receivers = (rows[name][0, : rows["n_edge"][0]] for name in ("senders", "receivers"))
    dense = np.zeros((rows["n_node"][0],) * 2)
    dense[receivers, senders] = 1
    scale = 1 / np.sqrt(dense.sum(axis=1))
    np.testing.assert_allclose(rows["weight"][0, : len(senders)], (dense * scale * scale[:, None])[receivers, senders])
