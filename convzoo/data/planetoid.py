"""Citation networks in the Planetoid split (Yang et al. 2016, arXiv:1603.08861): Cora, Citeseer, Pubmed and alike.

From one ``NAME.npz`` (``x_indptr x_indices x_data x_shape`` as CSR, ``y``, ``edges`` [2, edges], ``train val test``),
from the eight raw files ``ind.NAME.*``, or by download of these.
"""

import functools
import io
import pickle
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from convzoo import core
from convzoo.data import home
from convzoo.data.graphs import Graphs
from convzoo.data.sources import Rows, Source
from convzoo.extras import need

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
ADDRESS = "https://raw.githubusercontent.com/kimiyoung/planetoid/master/data/"
PATIENCE = 5.0  # seconds without an answer before a download is given up
ARRAYS = ("x_indptr", "x_indices", "x_data", "x_shape", "y", "edges", "train", "val", "test")


class NodeSet(NamedTuple):
    """One graph whose nodes are to be classified. ``indptr``, ``columns``, ``values``: features as CSR, of ``width``
    columns; ``edges`` [2, edges] sender and receiver, both directions of a pair; ``splits`` node indices by name."""

    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    width: int
    label: np.ndarray
    edges: np.ndarray
    splits: dict[str, np.ndarray]


def read(name: str, folder: str | Path = "") -> NodeSet:
    """The set ``name`` from ``folder`` (empty: ``planetoid`` in the data folder), downloaded if it is not there.

    Raises:
      ValueError: a file is malformed; the message says where.
      OSError: it is not there and cannot be downloaded; the message says so within seconds.
    """
    place = Path(folder).expanduser() if folder else home.folder() / "planetoid"
    if (place / f"{name}.npz").exists():
        return read_npz(place / f"{name}.npz")
    if not all((place / f"ind.{name}.{part}").exists() for part in PARTS):
        download(name, place)
    return read_raw(name, place)


def read_npz(path: Path) -> NodeSet:
    """One file of plain arrays; see the module."""
    with np.load(path) as file:
        if missing := [key for key in ARRAYS if key not in file.files]:
            raise ValueError(f"{path} lacks {missing}; it has {sorted(file.files)}")
        a = {key: file[key] for key in ARRAYS}
    splits = {split: a[split] for split in ("train", "val", "test")}
    return checked(
        NodeSet(a["x_indptr"], a["x_indices"], a["x_data"], int(a["x_shape"][1]), a["y"], a["edges"], splits)
    )


def checked(found: NodeSet) -> NodeSet:
    """Every array in its dtype; raises ValueError for indices that point at nothing."""
    nodes = len(found.label)
    if len(found.indptr) != nodes + 1:
        raise ValueError(f"features of {len(found.indptr) - 1} nodes, labels of {nodes}")
    if found.edges.ndim != 2 or found.edges.shape[0] != 2:
        raise ValueError(f"edges must be [2, edges]; got {found.edges.shape}")
    for what, index, size in (
        ("edges", found.edges, nodes),
        ("columns", found.columns, found.width),
        *((split, index, nodes) for split, index in found.splits.items()),
    ):
        if index.size and not 0 <= index.min() <= index.max() < size:
            raise ValueError(f"{what} hold indices {index.min()} to {index.max()}; they must be in [0, {size})")
    integers = (np.asarray(a, np.int32) for a in (found.indptr, found.columns, found.label, found.edges))
    indptr, columns, label, edges = integers
    values = np.asarray(found.values, np.float32)
    return NodeSet(indptr, columns, values, found.width, label, edges, found.splits)


class Plain(pickle.Unpickler):
    """Reads the raw files' arrays and nothing that could run."""

    allowed: ClassVar = {
        ("collections", "defaultdict"),
        ("__builtin__", "list"),
        ("builtins", "list"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *((f"scipy.sparse.{module}", "csr_matrix") for module in ("csr", "_csr")),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no Planetoid file needs")
        if module.startswith("scipy"):
            need("scipy.sparse", extra="data")
            module = "scipy.sparse"
        if module == "numpy.core.multiarray":
            module = "numpy._core.multiarray"
        return super().find_class("builtins" if module == "__builtin__" else module, name)


def read_raw(name: str, folder: Path) -> NodeSet:
    """The eight files ``ind.NAME.*``, pickled by Python 2. Test nodes that no file describes have no features and label
    0; they are in no split."""

    def part(kind: str) -> Any:
        path = folder / f"ind.{name}.{kind}"
        try:
            return Plain(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, ValueError, IndexError, TypeError) as error:
            raise ValueError(f"{path} is no Planetoid file: {error}") from error

    need("scipy.sparse", extra="data")
    from scipy import sparse

    path = folder / f"ind.{name}.test.index"
    try:
        test = np.array([int(line) for line in path.read_text().split()])
    except ValueError as error:
        raise ValueError(f"{path} must hold one node a line: {error}") from error
    known, tested = part("allx"), part("tx")
    known_y, tested_y, train = part("ally"), part("ty"), len(part("y"))
    if tested.shape[0] != len(test):
        raise ValueError(f"{path} names {len(test)} nodes, ind.{name}.tx describes {tested.shape[0]}")
    nodes = max(int(test.max()) + 1, known.shape[0] + len(test))
    x = sparse.lil_matrix((nodes, known.shape[1]), dtype=np.float32)
    x[: known.shape[0]], x[test] = known, tested
    y = np.zeros((nodes, known_y.shape[1]), np.int32)
    y[: len(known_y)], y[test] = known_y, tested_y
    csr = x.tocsr()
    pairs = {(a, b) for a, others in part("graph").items() for b in others if a != b}
    both = np.array(sorted({*pairs, *((b, a) for a, b in pairs)})).reshape(-1, 2).T
    splits = {
        "train": np.arange(train),
        "val": np.arange(train, min(train + 500, known.shape[0])),
        "test": np.sort(test),
    }
    return checked(NodeSet(csr.indptr, csr.indices, csr.data, known.shape[1], y.argmax(1), both, splits))


def download(name: str, folder: Path) -> None:
    """Fetches the raw files, or fails within seconds where there is no network."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        file = f"ind.{name}.{part}"
        try:
            with urllib.request.urlopen(ADDRESS + file, timeout=PATIENCE) as answer:
                body = answer.read()
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            raise OSError(
                f"{name} is not in {folder} and {ADDRESS + file} cannot be fetched ({error}); put {name}.npz or "
                f"ind.{name}.* there, or name their folder: --data.folder DIR"
            ) from error
        unfinished = folder / f".{file}"
        unfinished.write_bytes(body)
        unfinished.replace(folder / file)


def neighbourhood(edges: np.ndarray, chosen: np.ndarray, hops: int, nodes: int) -> np.ndarray:
    """Nodes from which the chosen ones can be reached in so many hops, ascending: all that a network of that depth
    sees of the graph when it computes them."""
    inside = np.zeros(nodes, bool)
    inside[chosen] = True
    for _ in range(hops):
        inside[edges[0, inside[edges[1]]]] = True
    return np.flatnonzero(inside)


WEIGHTS = ("gcn", "loops", "plain")


@dataclass(frozen=True)
class Planetoid(Source):
    """A whole graph as one batch: input ``Graphs``, nodes ``SparseRows`` (rows sum to 1) or dense; label and mask
    [nodes]; the mask is True for the nodes of the split.

    Attributes:
      graph: "cora", "citeseer", "pubmed" or whatever lies in ``folder`` in the same layout.
      folder: where the files are; empty: ``planetoid`` in the data folder, downloaded there if need be.
      weights: "gcn" (self-loops, over the roots of the degrees), "loops" (self-loops, 1) or "plain" (1).
      hops: training keeps only the nodes this far from the labelled ones, which changes nothing for a network of that
        depth (weights are those of the whole graph); 0: all.
      sparse: features as ``core.SparseRows``.
    """

    graph: str = "cora"
    folder: str = ""
    weights: str = "gcn"
    hops: int = 2
    sparse: bool = True

    name: ClassVar[str] = "planetoid"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    whole: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights={self.weights!r} is unknown; known are {', '.join(WEIGHTS)}")
        if self.fraction != 1:
            raise ValueError(f"fraction={self.fraction}: a single graph cannot be cut; it must be 1")

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(map(str, range(_classes(self.graph, self.folder, str(home.folder())))))

    def arrays(self, split):
        self._check(split)
        return _prepared(self, split, str(self.folder or home.folder()))

    def batch(self, rows, mask, key=None):
        return whole_graph(rows, mask)


def whole_graph(rows: Rows, mask: jax.Array) -> dict[str, Any]:
    """The batch that is one graph, of its only row."""
    own = jax.tree.map(lambda a: a[0], rows)
    edges = {"weight": own["weight"], "table": own["table"]}
    sizes = np.array([[len(own["label"])], [len(own["senders"])]], np.int32)
    graph = Graphs._make((own["features"], edges, own["receivers"], own["senders"], None, *sizes))
    return {"input": graph, "label": own["label"], "mask": own["inside"] & mask[0]}


def prepare_edges(found: NodeSet, weights: str) -> core.Edges:
    """Edges with weights, receivers ascending."""
    senders, receivers = found.edges
    count, nodes = len(senders), len(found.label)
    edges = core.Edges._make((senders, receivers, np.zeros(count, np.int32), np.ones(count, np.float32), nodes))
    if weights != "plain":
        edges = jax.tree.map(jnp.asarray, edges)
        with jax.ensure_compile_time_eval():
            edges = core.gcn_edges(edges) if weights == "gcn" else core.with_loops(edges)
        real = np.asarray(edges.receivers) < nodes
        edges = core.Edges._make((*(np.asarray(a)[real] for a in edges[:4]), nodes))
    order = np.lexsort((edges.senders, edges.receivers))
    return core.Edges._make((*(np.asarray(a)[order] for a in edges[:4]), nodes))


def induced(edges: core.Edges, kept: np.ndarray) -> core.Edges:
    """The edges between kept nodes, renumbered; weights stay those of the whole graph."""
    place = np.full(edges.num_receivers, -1)
    place[kept] = np.arange(len(kept))
    senders, receivers = place[edges.senders], place[edges.receivers]
    inside = (senders >= 0) & (receivers >= 0)
    integers = (a[inside].astype(np.int32) for a in (senders, receivers, np.asarray(edges.taps)))
    return core.Edges._make((*integers, np.asarray(edges.weight)[inside], len(kept)))


def rows_of(found: NodeSet, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, columns, values) of the kept nodes' features, each row summing to 1."""
    count = np.diff(found.indptr)[kept]
    rows = np.repeat(np.arange(len(kept)), count)
    place = np.repeat(found.indptr[kept] - np.cumsum(count) + count, count) + np.arange(count.sum())
    values = found.values[place]
    total = np.bincount(rows, values, len(kept))[rows]
    return rows, found.columns[place], (values / np.where(total == 0, 1, total)).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _classes(graph: str, folder: str, home_folder: str) -> int:
    return int(read(graph, folder).label.max()) + 1


@functools.lru_cache(maxsize=8)
def _prepared(source: Planetoid, split: str, folder: str) -> dict[str, Any]:
    found = read(source.graph, source.folder)
    edges, nodes = prepare_edges(found, source.weights), len(found.label)
    chosen = found.splits[split]
    kept = np.arange(nodes)
    if split == "train" and source.hops:
        kept = neighbourhood(found.edges, chosen, source.hops, nodes)
        edges = induced(edges, kept)
    rows, columns, values = rows_of(found, kept)
    features: Any
    if source.sparse:
        integers = (a.astype(np.int32) for a in (columns, rows, np.zeros(len(rows))))
        words = core.Edges._make((*integers, values, len(kept)))
        features = core.SparseRows(words, core.sort_edges(words, 1, found.width), found.width)
    else:
        features = np.zeros((len(kept), found.width), np.float32)
        features[rows, columns] = values
    return one_row(features, edges, found.label[kept], np.isin(kept, chosen))


def one_row(features: Any, edges: core.Edges, label: np.ndarray, inside: np.ndarray) -> dict[str, Any]:
    """What ``whole_graph`` makes a batch of; ``inside``: the nodes that count."""
    arrays = {
        "features": features,
        "senders": edges.senders,
        "receivers": edges.receivers,
        "weight": edges.weight,
        "table": core.sort_edges(edges, 1, len(label)),
        "label": label,
        "inside": inside,
    }
    return jax.tree.map(lambda a: np.asarray(a)[None], arrays)
