"""Graphs from elsewhere: networkx, points and pictures as nearest neighbours, molecules from SMILES, OGB's sets.

Each gives a ``GraphSet``, which ``batching.load`` makes batches of; ``join`` puts several together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convzoo.data.graphs import Graphs
from convzoo.data.tudataset import GraphSet
from convzoo.extras import need


def single(
    nodes: np.ndarray, senders: Any, receivers: Any, features: np.ndarray | None = None, label: int = 0
) -> GraphSet:
    """One graph; edges are sorted by receiver, then sender.

    Raises:
      ValueError: an edge points at no node, or there are not as many senders, receivers and features.
    """
    ends = np.asarray([senders, receivers], np.int32).reshape(2, -1)
    features = np.zeros((ends.shape[1], 0), np.float32) if features is None else np.asarray(features, np.float32)
    if len(features) != ends.shape[1]:
        raise ValueError(f"{ends.shape[1]} edges have {len(features)} rows of features")
    if ends.size and not 0 <= ends.min() <= ends.max() < len(nodes):
        raise ValueError(f"edges name nodes {ends.min()} to {ends.max()}; there are {len(nodes)}")
    order = np.lexsort((ends[0], ends[1]))
    counts = (np.array([n], np.int32) for n in (len(nodes), ends.shape[1], label))
    return GraphSet._make((np.asarray(nodes, np.float32), *ends[:, order], features[order], *counts))


def join(sets: Sequence[GraphSet]) -> GraphSet:
    """All graphs of several sets; raises ValueError where their features differ in number."""
    widths = sorted({(s.nodes.shape[1], s.features.shape[1]) for s in sets})
    if len(widths) != 1:
        raise ValueError(f"graphs must have as many node and edge features as each other; these have {widths}")
    return GraphSet._make(np.concatenate(arrays) for arrays in zip(*sets, strict=True))


def from_networkx(graph: Any, nodes: str = "x", edges: str = "", label: int = 0) -> GraphSet:
    """A networkx graph: an undirected edge becomes one each way (a self-loop one). Nodes count in the order they have
    there.

    Args:
      nodes: the attribute that holds a node's features, a number or a sequence; where no node has it, a one-hot degree
        is nothing to learn from across graphs, so the feature is 1.
      edges: likewise of edges; empty: none.

    Raises:
      ValueError: some nodes or edges have the attribute and others do not.
    """

    def rows(items: list[tuple[Any, dict[str, Any]]], name: str, what: str) -> np.ndarray | None:
        found = [values[name] for _, values in items if name in values]
        if found and len(found) < len(items):
            without = next(item for item, values in items if name not in values)
            raise ValueError(f"{what} {without!r} has no attribute {name!r}, which {len(found)} others have")
        return np.array([np.atleast_1d(value) for value in found], np.float32) if found else None

    place = {node: index for index, node in enumerate(graph.nodes)}
    listed = [((a, b), values) for a, b, values in graph.edges(data=True)]
    pairs = np.array([(place[a], place[b]) for (a, b), _ in listed], int).reshape(-1, 2)
    features = rows(listed, edges, "edge") if edges else None
    if not graph.is_directed():
        back = pairs[:, 0] != pairs[:, 1]
        features = None if features is None else np.concatenate([features, features[back]])
        pairs = np.concatenate([pairs, pairs[back, ::-1]])
    x = rows(list(graph.nodes(data=True)), nodes, "node")
    x = np.ones((len(place), 1), np.float32) if x is None else x
    return single(x, pairs[:, 0], pairs[:, 1], features, label)


def to_networkx(graphs: GraphSet | Graphs, index: int = 0) -> Any:
    """Graph ``index`` as a networkx MultiDiGraph; nodes and edges have their features as ``x``, lists of floats.

    Raises:
      ImportError: networkx is not installed; it names the extra.
    """
    networkx: Any = need("networkx", extra="graphs")
    one = pick(graphs, index) if isinstance(graphs, GraphSet) else of_tuple(graphs, index)
    made = networkx.MultiDiGraph()
    made.add_nodes_from((number, {"x": row.tolist()}) for number, row in enumerate(one.nodes))
    features = one.features if one.features.shape[1] else [None] * len(one.senders)
    for sender, receiver, row in zip(one.senders.tolist(), one.receivers.tolist(), features, strict=True):
        made.add_edge(sender, receiver, **({} if row is None else {"x": row.tolist()}))
    return made


def pick(graphs: GraphSet, index: int) -> GraphSet:
    """One graph of a set."""
    node, edge = (int(counts[:index].sum()) for counts in (graphs.n_node, graphs.n_edge))
    nodes, edges = slice(node, node + graphs.n_node[index]), slice(edge, edge + graphs.n_edge[index])
    parts = graphs.nodes[nodes], graphs.senders[edges], graphs.receivers[edges], graphs.features[edges]
    return GraphSet._make((*parts, *(counts[index : index + 1] for counts in graphs[4:])))


def of_tuple(graphs: Graphs, index: int) -> GraphSet:
    """One graph of a batch, whose senders and receivers count through all of it."""
    n_node, n_edge = (np.asarray(counts) for counts in (graphs.n_node, graphs.n_edge))
    first, edge = int(n_node[:index].sum()), int(n_edge[:index].sum())
    edges = slice(edge, edge + int(n_edge[index]))
    nodes = np.asarray(graphs.nodes)[first : first + int(n_node[index])]
    senders, receivers = (np.asarray(a)[edges] - first for a in (graphs.senders, graphs.receivers))
    return single(nodes, senders, receivers)


def from_points(points: np.ndarray, neighbours: int, nodes: np.ndarray | None = None, label: int = 0) -> GraphSet:
    """A cloud of points [points, axes]: each hears from its nearest ``neighbours``, itself not among them. Edge
    features are (difference of place, distance); node features ``nodes``, or the places themselves.

    Raises:
      ValueError: as many neighbours as points, or places that are not finite.
      ImportError: scipy is not installed; it names the extra.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError(f"points must be finite and [points, axes]; got shape {points.shape}")
    if not 0 < neighbours < len(points):
        raise ValueError(f"neighbours={neighbours} must be at least 1 and less than the {len(points)} points")
    spatial: Any = need("scipy.spatial", extra="data")
    # Where several points share a place a point is not always its own nearest, so it is taken out by name.
    near = spatial.cKDTree(points).query(points, neighbours + 1)[1]
    own = near == np.arange(len(points))[:, None]
    own[~own.any(1), -1] = True
    senders = near[~own]
    receivers = np.repeat(np.arange(len(points)), neighbours)
    away = points[senders] - points[receivers]
    features = np.concatenate([away, np.linalg.norm(away, axis=1, keepdims=True)], 1)
    return single(points if nodes is None else nodes, senders, receivers, features, label)


def from_image(image: np.ndarray, neighbours: int = 8, label: int = 0) -> GraphSet:
    """Every pixel of [height, width, channels] a node (its channels, then y and x from -1 to 1), its nearest pixels its
    neighbours."""
    if image.ndim != 3:
        raise ValueError(f"image must be [height, width, channels]; got shape {image.shape}")
    height, width, channels = image.shape
    place = np.indices((height, width)).reshape(2, -1).T
    scale = np.maximum(np.array([height, width]) - 1, 1)
    nodes = np.concatenate([image.reshape(-1, channels), 2 * place / scale - 1], 1)
    return from_points(place, neighbours, nodes, label)


ATOMS = ("C", "N", "O", "S", "F", "P", "Cl", "Br", "I", "B", "Si", "Se", "H")
BONDS = ("SINGLE", "DOUBLE", "TRIPLE", "AROMATIC")


def from_smiles(smiles: str, label: int = 0) -> GraphSet:
    """A molecule: atoms (one-hot element, its last place any other; charge, hydrogens, aromatic, in a ring) and bonds
    both ways (one-hot kind, conjugated, in a ring).

    Raises:
      ValueError: rdkit cannot read the string.
      ImportError: rdkit is not installed; it names the extra.
    """
    chem: Any = need("rdkit.Chem", extra="molecules")
    lock: Any = need("rdkit.rdBase", extra="molecules").BlockLogs()
    molecule = chem.MolFromSmiles(smiles)
    del lock
    if molecule is None or not molecule.GetNumAtoms():
        raise ValueError(f"{smiles!r} is no molecule that rdkit can read")
    nodes = [
        [
            *(atom.GetSymbol() == symbol for symbol in ATOMS),
            atom.GetSymbol() not in ATOMS,
            atom.GetFormalCharge(),
            atom.GetTotalNumHs(),
            atom.GetIsAromatic(),
            atom.IsInRing(),
        ]
        for atom in molecule.GetAtoms()
    ]
    ends, features = [], []
    for bond in molecule.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        kinds = (str(bond.GetBondType()) == kind for kind in BONDS)
        ends += [(a, b), (b, a)]
        features += [[*kinds, bond.GetIsConjugated(), bond.IsInRing()]] * 2
    made = np.array(features, np.float32).reshape(len(ends), len(BONDS) + 2)
    pairs = np.array(ends, int).reshape(-1, 2)
    return single(np.array(nodes, np.float32), pairs[:, 0], pairs[:, 1], made, label)


def from_ogb(name: str, folder: str) -> tuple[GraphSet, dict[str, np.ndarray]]:
    """A set of the Open Graph Benchmark (Hu et al. 2020, arXiv:2005.00687) by its package: the graphs, and node
    (``ogbn-*``) or graph (``ogbg-*``) indices of each split. Labels of graphs are float32 [graphs, labels], NaN where
    one is not known.

    Raises:
      ValueError: a name of neither kind.
      ImportError: ogb is not installed; it names the extra.
    """
    kind = {"ogbn": "nodeproppred", "ogbg": "graphproppred"}.get(name.split("-")[0])
    if kind is None:
        raise ValueError(f"{name!r} is neither a node set (ogbn-...) nor a graph set (ogbg-...)")
    package: Any = need(f"ogb.{kind}", extra="ogb")
    found = {"nodeproppred": "NodePropPredDataset", "graphproppred": "GraphPropPredDataset"}[kind]
    dataset = getattr(package, found)(name, root=folder)
    pairs = [dataset[index] for index in range(len(dataset))]
    graphs = []
    for graph, label in pairs:
        features = graph["edge_feat"]
        one = single(graph["node_feat"], graph["edge_index"][0], graph["edge_index"][1], features)
        graphs.append(one._replace(label=np.asarray(label, np.float32).reshape(1, -1)))
    joined = join(graphs)
    if kind == "nodeproppred":
        joined = joined._replace(label=np.ravel(pairs[0][1]).astype(np.int32))
    return joined, dataset.get_idx_split()
