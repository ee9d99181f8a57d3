"""Any set in the text format of TUDataset (Morris et al. 2020, arXiv:2007.08663): a folder NAME with ``NAME_A.txt``,
``NAME_graph_indicator.txt``, ``NAME_graph_labels.txt`` and optionally node and edge labels and attributes."""

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from convzoo.data import home
from convzoo.data.sources import Source, pad, padded_batch, sizes_of_largest


class GraphSet(NamedTuple):
    """Many graphs, one after the other. ``nodes`` [all nodes, features]; ``senders``, ``receivers`` [all edges] count
    from 0 in each graph, receivers ascending there; ``features`` [all edges, features]; ``n_node``, ``n_edge``,
    ``label`` [graphs], or [graphs, labels]."""

    nodes: np.ndarray
    senders: np.ndarray
    receivers: np.ndarray
    features: np.ndarray
    n_node: np.ndarray
    n_edge: np.ndarray
    label: np.ndarray


def read_tudataset(folder: str | Path, name: str = "", *, attributes: bool = False) -> GraphSet:
    """Reads ``folder``, or ``folder/name``.

    Nodes are one-hot labels, after them ``attributes`` if asked (or if there are no labels); without either, a one-hot
    degree. Edges likewise, without features if there are none. Graph labels count from 0 in ascending order.

    Raises:
      OSError: no such folder, or one of the three files every set has is missing; the message names them.
      ValueError: a file is malformed; the message says which and where.
    """
    place = Path(folder).expanduser()
    name = name or place.name
    place = place / name if (place / name).is_dir() else place
    needed = [place / f"{name}_{part}.txt" for part in ("A", "graph_indicator", "graph_labels")]
    if missing := [path.name for path in needed if not path.exists()]:
        raise OSError(f"{place} is no TUDataset: it lacks {', '.join(missing)}")
    (pairs, graph_of, labels) = (table(path) for path in needed)
    graph_of, count = graph_of[:, 0].astype(int) - 1, len(labels)
    if pairs.shape[1] != 2:
        raise ValueError(f"{needed[0]} must hold a pair of nodes a line; it holds {pairs.shape[1]} numbers")
    if len(graph_of) and (graph_of.min() < 0 or graph_of.max() >= count or (np.diff(graph_of) < 0).any()):
        raise ValueError(f"{needed[1]} must ascend from 1 to {count}, the number of graph labels")
    ends = pairs.T.astype(int) - 1
    if ends.size and not 0 <= ends.min() <= ends.max() < len(graph_of):
        raise ValueError(f"{needed[0]} names nodes {ends.min() + 1} to {ends.max() + 1}; there are {len(graph_of)}")
    if (across := np.flatnonzero(graph_of[ends[0]] != graph_of[ends[1]])).size:
        raise ValueError(f"{needed[0]}, line {across[0] + 1}: an edge between two graphs")

    def features(kind: str, size: int) -> np.ndarray:
        parts = []
        for what in ("labels", "attributes"):
            path = place / f"{name}_{kind}_{what}.txt"
            if not path.exists() or (what == "attributes" and parts and not attributes):
                continue
            values = table(path)
            if len(values) != size:
                raise ValueError(f"{path} has {len(values)} lines for {size} {kind}s")
            parts.append(one_hot(values.astype(int)) if what == "labels" else values)
        return np.concatenate(parts, 1).astype(np.float32) if parts else np.zeros((size, 0), np.float32)

    nodes, edges = features("node", len(graph_of)), features("edge", ends.shape[1])
    if not nodes.shape[1]:
        nodes = one_hot(np.bincount(ends[1], minlength=len(graph_of))[:, None]).astype(np.float32)
    n_node = np.bincount(graph_of, minlength=count)
    first = np.cumsum(n_node) - n_node
    order = np.lexsort((ends[0], ends[1]))
    ends, edges = ends[:, order], edges[order]
    owner = graph_of[ends[1]]
    senders, receivers = (ends - first[owner]).astype(np.int32)
    n_edge = np.bincount(owner, minlength=count)
    label = np.unique(labels[:, 0], return_inverse=True)[1]
    sizes = (a.astype(np.int32) for a in (n_node, n_edge, label))
    return GraphSet(nodes, senders, receivers, edges, *sizes)


def table(path: Path) -> np.ndarray:
    """Numbers separated by commas, a row a line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an empty file
        try:
            found = np.loadtxt(path, delimiter=",", ndmin=2)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return found if found.size else np.zeros((0, 2))


def one_hot(labels: np.ndarray) -> np.ndarray:
    """A column for each value of each column."""
    return np.concatenate([column[:, None] == np.unique(column) for column in labels.T], 1)


@dataclass(frozen=True)
class TUDataset(Source):
    """A set of graphs in ``folder`` (empty: ``tudataset`` in the data folder): batches as ``Drawn`` makes them.

    Splits: nine tenths of every class train, in stored order, the last tenth tests; cross-validation is
    ``experiments.gin``. A batch has room for the ``batch_size`` largest graphs; ``batching.load`` packs tighter.
    """

    graph_set: str = "MUTAG"
    folder: str = ""

    name: ClassVar[str] = "tudataset"

    @property
    def place(self) -> str:
        return str(Path(self.folder).expanduser() if self.folder else home.folder() / "tudataset")

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(map(str, np.unique(_read(self.graph_set, self.place).label)))

    def arrays(self, split):
        self._check(split)
        return _padded(self.graph_set, split, self.place)

    def sizes(self, rows, batch_size):
        return sizes_of_largest(rows, batch_size)

    def batch(self, rows, mask, key=None, *, nodes, edges):
        return padded_batch(rows, mask, nodes, edges)


@functools.lru_cache(maxsize=8)
def _read(name: str, folder: str) -> GraphSet:
    return read_tudataset(folder, name)


@functools.lru_cache(maxsize=8)
def _padded(name: str, split: str, folder: str) -> dict[str, np.ndarray]:
    found = _read(name, folder)
    rank = np.zeros(len(found.label))
    for value in np.unique(found.label):
        same = found.label == value
        rank[same] = np.arange(same.sum()) / same.sum()
    chosen = np.flatnonzero(rank >= 0.9 if split == "test" else rank < 0.9)

    def rows(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
        pieces = np.split(values, np.cumsum(counts)[:-1])
        return pad([pieces[index] for index in chosen])

    return {
        "nodes": rows(found.nodes, found.n_node),
        "senders": rows(found.senders, found.n_edge),
        "receivers": rows(found.receivers, found.n_edge),
        "tap": rows(np.zeros(len(found.senders), np.int32), found.n_edge),
        "weight": rows(np.ones(len(found.senders), np.float32), found.n_edge),
        "n_node": found.n_node[chosen],
        "n_edge": found.n_edge[chosen],
        "label": found.label[chosen],
    }
