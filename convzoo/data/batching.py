"""Batches of ragged graphs in one shape, with a padding budget chosen from the data; neighbour sampling likewise.

    packs = batching.load(graphs, batch_size=32)       # GraphSet, from read_tudataset, networkx, SMILES, ...
    packs.at(step)                                     # {"input": Graphs, "label", "mask", "graph_id", ...}
    packs.padding                                      # share of the nodes (edges) that are padding

A budget for the largest graphs together, as ``digits_drawn`` has, is mostly padding where sizes differ much. Here a
batch is closed when the next graph does not fit, so a budget a little above the mean does. All batches of a run, the
training's and the tests', share it: one shape, so one compilation of each function.
"""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from convzoo import core
from convzoo.data.graphs import Graphs
from convzoo.data.tudataset import GraphSet

ROUND = 8  # budgets are multiples of this


class Budget(NamedTuple):
    """Static sizes of a batch: its nodes, edges and graphs, the padding graph not counted among the graphs. One of the
    nodes is always padding."""

    nodes: int
    edges: int
    graphs: int


class Padding(NamedTuple):
    """The share of nodes and of edges that are padding."""

    nodes: float
    edges: float

    def __str__(self) -> str:
        return f"padding: {self.nodes:.1%} of nodes, {self.edges:.1%} of edges"


def choose_budget(n_node: np.ndarray, n_edge: np.ndarray, batch_size: int, *, spread: float = 1.0) -> Budget:
    """What ``batch_size`` graphs need on average and ``spread`` standard deviations more; never less than the largest.

    Raises:
      ValueError: no graphs, or a batch size below 1.
    """
    if batch_size < 1 or not len(n_node):
        raise ValueError(f"batch_size={batch_size} and {len(n_node)} graphs; both must be at least 1")

    def size(counts: np.ndarray, extra: int) -> int:
        usual = counts.mean() * batch_size + spread * counts.std() * math.sqrt(batch_size)
        return ROUND * math.ceil((max(usual, counts.max()) + extra) / ROUND)

    return Budget(size(n_node, 1), size(n_edge, 0), batch_size)


def plan(n_node: np.ndarray, n_edge: np.ndarray, order: np.ndarray, budget: Budget) -> list[np.ndarray]:
    """Indices of each batch, in order: a batch is closed when the next graph does not fit.

    Raises:
      ValueError: one graph alone is larger than the budget.
    """
    large = np.flatnonzero((n_node[order] >= budget.nodes) | (n_edge[order] > budget.edges))
    if large.size:
        one = order[large[0]]
        raise ValueError(
            f"graph {one} has {n_node[one]} nodes and {n_edge[one]} edges; a batch has room for {budget.nodes - 1} and "
            f"{budget.edges}"
        )
    batches, begun, nodes, edges = [], 0, 0, 0
    for place, index in enumerate(order):
        nodes, edges = nodes + n_node[index], edges + n_edge[index]
        if place - begun == budget.graphs or nodes >= budget.nodes or edges > budget.edges:
            batches.append(order[begun:place])
            begun, nodes, edges = place, n_node[index], n_edge[index]
    return [*batches, order[begun:]] if begun < len(order) else batches


def pack(graphs: GraphSet, chosen: np.ndarray, budget: Budget) -> dict[str, Any]:
    """One batch. What is left over belongs to one more graph, the last: its edges join the last node to itself with
    weight 0, and its label is masked."""
    first_node, first_edge = (np.cumsum(n) - n for n in (graphs.n_node, graphs.n_edge))
    n_node, n_edge = (np.zeros(budget.graphs + 1, np.int32) for _ in range(2))
    n_node[: len(chosen)], n_edge[: len(chosen)] = graphs.n_node[chosen], graphs.n_edge[chosen]
    used, linked = n_node.sum(), n_edge.sum()
    n_node[-1], n_edge[-1] = budget.nodes - used, budget.edges - linked
    take_nodes, take_edges = taken(first_node, graphs.n_node, chosen), taken(first_edge, graphs.n_edge, chosen)
    start = np.repeat(np.cumsum(n_node) - n_node, n_edge)[:linked]

    def ends(local: np.ndarray) -> np.ndarray:
        return np.concatenate([local[take_edges] + start, np.full(n_edge[-1], budget.nodes - 1)]).astype(np.int32)

    def padded(values: np.ndarray, size: int) -> np.ndarray:
        return np.pad(values, [(0, size - len(values)), *[(0, 0)] * (values.ndim - 1)])

    edge_mask = np.arange(budget.edges) < linked
    edges = {"weight": edge_mask.astype(np.float32), "features": padded(graphs.features[take_edges], budget.edges)}
    nodes = padded(graphs.nodes[take_nodes], budget.nodes)
    return {
        "input": Graphs(nodes, edges, ends(graphs.receivers), ends(graphs.senders), None, n_node, n_edge),
        "label": padded(graphs.label[chosen], budget.graphs + 1),
        "mask": np.arange(budget.graphs + 1) < len(chosen),
        "graph_id": np.repeat(np.arange(budget.graphs + 1, dtype=np.int32), n_node),
        "node_mask": np.arange(budget.nodes) < used,
        "edge_mask": edge_mask,
    }


def taken(first: np.ndarray, count: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The rows of the chosen graphs, one graph after the other."""
    lengths = count[chosen]
    return np.repeat(first[chosen] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())


@dataclass(frozen=True, eq=False)
class Packs:
    """Batches of some of the graphs: ``at(step)`` and ``in_order()`` as ``data.Batches`` has them."""

    graphs: GraphSet
    kept: np.ndarray
    budget: Budget
    seed: int = 0

    @property
    def examples(self) -> int:
        return len(self.kept)

    @functools.cached_property
    def epoch_steps(self) -> int:
        """Batches in an epoch: those that graphs in stored order take."""
        return len(self.plan(self.kept))

    @property
    def example(self) -> dict[str, Any]:
        return self.at(0)

    @property
    def padding(self) -> Padding:
        """Of an epoch in stored order."""
        batches = len(self.plan(self.kept))
        nodes, edges = (counts[self.kept].sum() for counts in (self.graphs.n_node, self.graphs.n_edge))
        return Padding(1 - nodes / (batches * self.budget.nodes), 1 - edges / max(batches * self.budget.edges, 1))

    def plan(self, order: np.ndarray) -> list[np.ndarray]:
        return plan(self.graphs.n_node, self.graphs.n_edge, order, self.budget)

    def at(self, step: int) -> dict[str, Any]:
        """The batch of a step; every epoch has an order of its own, which follows from the seed. What an order packs
        less tightly than the stored one is left out of that epoch."""
        epoch, place = divmod(step, self.epoch_steps)
        batches = self.planned(epoch)
        return pack(self.graphs, batches[place % len(batches)], self.budget)

    def planned(self, epoch: int) -> list[np.ndarray]:
        if epoch not in self.plans:
            self.plans.clear()
            generator = np.random.default_rng((self.seed, epoch))
            self.plans[epoch] = self.plan(self.kept[generator.permutation(len(self.kept))])
        return self.plans[epoch]

    @functools.cached_property
    def plans(self) -> dict[int, list[np.ndarray]]:
        """The last epoch that was planned."""
        return {}

    def in_order(self) -> Iterator[dict[str, Any]]:
        """Every graph once, in stored order."""
        for chosen in self.plan(self.kept):
            yield pack(self.graphs, chosen, self.budget)


def load(
    graphs: GraphSet,
    kept: np.ndarray | None = None,
    *,
    batch_size: int = 32,
    seed: int = 0,
    budget: Budget | None = None,
) -> Packs:
    """Batches of the ``kept`` graphs (None: all). Give tests the training's ``budget``, and they share its programs."""
    kept = np.arange(len(graphs.label)) if kept is None else np.asarray(kept)
    return Packs(graphs, kept, budget or choose_budget(graphs.n_node, graphs.n_edge, batch_size), seed)


class Large(NamedTuple):
    """A graph too large for one batch: ``nodes`` [nodes, features], ``label`` [nodes], edges sorted by receiver as CSR
    (``starts`` [nodes + 1], ``senders`` [edges]) and their ``weight``."""

    nodes: np.ndarray
    label: np.ndarray
    starts: np.ndarray
    senders: np.ndarray
    weight: np.ndarray


def large(nodes: np.ndarray, label: np.ndarray, edges: core.Edges) -> Large:
    """Sorts the edges."""
    senders, receivers, _, weight = (np.asarray(a) for a in edges[:4])
    real = (receivers >= 0) & (receivers < len(label))
    order = np.flatnonzero(real)[np.argsort(receivers[real], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(np.bincount(receivers[order], minlength=len(label)))])
    return Large(nodes, label, starts, senders[order], weight[order])


def sample(
    graph: Large, chosen: np.ndarray, fanout: tuple[int, ...], budget: Budget, generator: np.random.Generator
) -> dict[str, Any]:
    """A batch that predicts ``chosen``: of each node at most ``fanout[hop]`` incoming edges, drawn without replacement
    (Hamilton et al. 2017, arXiv:1706.02216). The contract of ``pack`` with one real graph; label and mask are [nodes],
    the chosen nodes come first.

    Raises:
      ValueError: the sample does not fit the budget.
    """
    place = np.full(len(graph.label), -1)
    place[chosen] = np.arange(len(chosen))
    found, front = [np.asarray(chosen)], np.asarray(chosen)
    parts: list[np.ndarray] = []
    for most in fanout:
        count = np.diff(graph.starts)[front]
        all_edges = np.repeat(graph.starts[front] - np.cumsum(count) + count, count) + np.arange(count.sum())
        owner = np.repeat(np.arange(len(front)), count)
        order = np.lexsort((generator.random(len(owner)), owner))
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        kept = np.sort(order[rank < most])
        parts.append(np.stack([graph.senders[all_edges[kept]], front[owner[kept]], all_edges[kept]]))
        new = np.unique(parts[-1][0])
        front = new[place[new] < 0]
        place[front] = sum(map(len, found)) + np.arange(len(front))
        found.append(front)
    nodes, (senders, receivers, edges) = np.concatenate(found), np.concatenate(parts, 1)
    if len(nodes) >= budget.nodes or len(edges) > budget.edges:
        raise ValueError(
            f"the sample has {len(nodes)} nodes and {len(edges)} edges; a batch has room for {budget.nodes - 1} and "
            f"{budget.edges}"
        )
    order = np.argsort(place[receivers], kind="stable")
    sizes = (np.array([n], np.int32) for n in (len(nodes), len(edges)))
    local = (place[ends[order]].astype(np.int32) for ends in (senders, receivers))
    none = np.zeros((len(edges), 0), np.float32)
    one = GraphSet._make((graph.nodes[nodes], *local, none, *sizes, np.zeros(1, np.int32)))
    batch = pack(one, np.zeros(1, int), budget._replace(graphs=1))
    weight = np.pad(graph.weight[edges[order]], (0, budget.edges - len(edges))).astype(np.float32)
    label = np.pad(graph.label[nodes], (0, budget.nodes - len(nodes)))
    graphs = batch["input"]._replace(edges=batch["input"].edges | {"weight": weight})
    return batch | {"input": graphs, "label": label, "mask": np.arange(budget.nodes) < len(chosen)}


def sample_budget(graph: Large, fanout: tuple[int, ...], batch_size: int) -> Budget:
    """What no sample of ``batch_size`` nodes can exceed."""
    widest = int(np.diff(graph.starts).max(initial=0))
    nodes, edges, front = batch_size, 0, batch_size
    for most in fanout:
        front *= min(most, widest)
        nodes, edges = nodes + front, edges + front
    nodes, edges = min(nodes, len(graph.label)), min(edges, len(graph.senders))
    return Budget(ROUND * math.ceil((nodes + 1) / ROUND), ROUND * math.ceil(max(edges, 1) / ROUND), 1)
