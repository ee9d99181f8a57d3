"""MolNet: what holds of any network of graphs, on chains of atoms."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo.apps import describe
from convzoo.data import batching, graph_sets
from convzoo.models.molnet import ATOMS, BONDS, MolNet

SMALL = MolNet(depth=2, width=6, num_classes=3)


def molecule(atoms: int, seed: int) -> graph_sets.GraphSet:
    generator = np.random.default_rng(seed)
    ends = np.stack([np.arange(atoms - 1), np.arange(1, atoms)])
    bonds = generator.integers(0, BONDS, (atoms - 1, 3))
    senders, receivers = np.concatenate([ends, ends[::-1]], 1)
    nodes = generator.integers(0, ATOMS, (atoms, 9))
    return graph_sets.single(nodes, senders, receivers, np.concatenate([bonds, bonds]))


@functools.cache
def variables():
    x = describe.path(4, len(ATOMS), len(BONDS))
    like = jax.eval_shape(functools.partial(SMALL.init, train=False), jax.random.key(0), x)
    generator = np.random.default_rng(1)
    return jax.tree.map(lambda a: jnp.asarray(0.5 + 0.2 * np.tanh(generator.normal(size=a.shape)), a.dtype), like)


def scores(graphs: graph_sets.GraphSet, nodes: int, edges: int) -> np.ndarray:
    y, _ = SMALL.apply(variables(), **packed(graphs, nodes, edges))
    return np.asarray(y)[:-1]


def packed(graphs: graph_sets.GraphSet, nodes: int, edges: int) -> dict[str, Any]:
    count = len(graphs.label)
    batch = batching.pack(graphs, np.arange(count), batching.Budget(nodes, edges, count))
    return jax.tree.map(jnp.asarray, {"x": batch["input"], "node_mask": batch["node_mask"]})


def test_a_molecule_has_the_same_scores_alone_and_in_any_batch():
    first, second = molecule(5, 0), molecule(7, 1)
    alone = np.concatenate([scores(first, 6, 8), scores(second, 8, 12)])
    assert not np.allclose(alone[0], alone[1], rtol=1e-3)
    np.testing.assert_allclose(scores(graph_sets.join([first, second]), 16, 32), alone, rtol=1e-5)


def test_every_parameter_counts():
    given = packed(molecule(6, 2), 8, 16)

    def loss(params):
        y, _ = SMALL.apply(variables() | {"params": params}, **given)
        return (y[0] ** 2).sum()

    gradients = jax.grad(loss)(variables()["params"])
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


def test_other_columns_are_refused():
    with pytest.raises(ValueError, match="stem has 3 columns of categories; it must have 9"):
        jax.eval_shape(SMALL.init, jax.random.key(0), describe.path(4, 3, len(BONDS)))
