"""Sets of the Open Graph Benchmark (Hu et al. 2020, arXiv:2005.00687): of nodes, a whole graph as one batch, and of
molecules, many in a batch."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from convzoo.data import batching, home
from convzoo.data.graph_sets import from_ogb
from convzoo.data.planetoid import WEIGHTS, NodeSet, one_row, prepare_edges, whole_graph
from convzoo.data.sources import Source
from convzoo.data.tudataset import GraphSet

SPLITS = {"train": "train", "val": "valid", "test": "test"}  # ours and OGB's


@dataclass(frozen=True)
class OgbNodes(Source):
    """``data.Planetoid``'s batch of a set that the package ``ogb`` reads or downloads; features dense, as they are.

    Attributes:
      graph: such as "ogbn-arxiv". Edges are taken both ways.
      folder: where the package keeps it; empty: ``ogb`` in the data folder.
      weights: as ``data.Planetoid``'s.
    """

    graph: str = "ogbn-arxiv"
    folder: str = ""
    weights: str = "gcn"

    name: ClassVar[str] = "ogb"
    splits: ClassVar[tuple[str, ...]] = tuple(SPLITS)
    whole: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights={self.weights!r} is unknown; known are {', '.join(WEIGHTS)}")
        if not self.graph.startswith("ogbn-") or self.fraction != 1:
            raise ValueError(f"graph={self.graph!r}, fraction={self.fraction}: it must be a whole node set, ogbn-...")

    @property
    def place(self) -> str:
        return self.folder or str(home.folder() / "ogb")

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(map(str, range(int(_read(self.graph, self.place)[0].label.max()) + 1)))

    def arrays(self, split):
        self._check(split)
        found, splits = _read(self.graph, self.place)
        inside = np.isin(np.arange(len(found.label)), splits[SPLITS[split]])
        return _prepared(self.graph, self.place, self.weights) | {"inside": inside[None]}

    def batch(self, rows, mask, key=None):
        return whole_graph(rows, mask)


@dataclass(frozen=True)
class OgbMolecules(Source):
    """A set of molecules that the package ``ogb`` reads or downloads, packed (``batching.Packs``): atoms and bonds as
    categories (``models.molnet``), labels float32 [batch, labels], NaN where one is not known.

    Attributes:
      graph_set: such as "ogbg-molpcba".
      folder: where the package keeps it; empty: ``ogb`` in the data folder.
    """

    graph_set: str = "ogbg-molpcba"
    folder: str = ""

    name: ClassVar[str] = "ogb"
    splits: ClassVar[tuple[str, ...]] = tuple(SPLITS)

    def __post_init__(self):
        super().__post_init__()
        if not self.graph_set.startswith("ogbg-mol") or self.fraction != 1:
            known = "it must be a whole set of molecules, ogbg-mol..."
            raise ValueError(f"graph_set={self.graph_set!r}, fraction={self.fraction}: {known}")

    @property
    def place(self) -> str:
        return self.folder or str(home.folder() / "ogb")

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(map(str, range(_read(self.graph_set, self.place)[0].label.shape[1])))

    def packs(self, split: str, batch_size: int, seed: int = 0) -> batching.Packs:
        """Batches of ``split``; all splits have the budget of the training's."""
        self._check(split)
        graphs, splits = _read(self.graph_set, self.place)
        rows = splits[SPLITS["train"]]
        budget = batching.choose_budget(graphs.n_node[rows], graphs.n_edge[rows], batch_size)
        # One molecule of another split may be larger than all of them.
        nodes, edges = (8 * (int(counts.max()) // 8 + 1) for counts in (graphs.n_node, graphs.n_edge))
        budget = budget._replace(nodes=max(nodes, budget.nodes), edges=max(edges, budget.edges))
        return batching.load(graphs, splits[SPLITS[split]], seed=seed, budget=budget)


@functools.lru_cache(maxsize=1)
def _read(graph: str, place: str) -> tuple[GraphSet, dict[str, np.ndarray]]:
    return from_ogb(graph, place)


@functools.lru_cache(maxsize=1)
def _prepared(graph: str, place: str, weights: str) -> dict[str, Any]:
    found, _ = _read(graph, place)
    nodes = len(found.label)
    pairs = np.stack([found.senders, found.receivers]).astype(np.int64)
    keys = np.unique(np.concatenate([pairs[0] * nodes + pairs[1], pairs[1] * nodes + pairs[0]]))
    both = np.stack([keys // nodes, keys % nodes]).astype(np.int32)
    none = np.zeros(0, np.int32)
    bare = NodeSet(np.zeros(nodes + 1, np.int32), none, none, 0, found.label, both[:, both[0] != both[1]], {})
    return one_row(found.nodes, prepare_edges(bare, weights), found.label, np.zeros(nodes, bool))
