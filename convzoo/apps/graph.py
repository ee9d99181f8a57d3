"""Node classification on a person's own graph: read it, train, report on held-out nodes, draw what was learned.

    convzoo graph FILE [--labels FILE] [--features FILE] [--layer gcn] [--out DIR] [--why NODE] [--json]

A file is an edge list (two names a line, separated by commas, tabs or spaces), GraphML, GML or JSON node-link. Edges
count both ways. Nodes without a label stay in the graph and are predicted; nodes without edges are classified by their
features alone. Where nothing describes the nodes, a node's own name is its feature.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from convzoo import core, tasks, train
from convzoo.data import Graphs
from convzoo.data.planetoid import NodeSet, prepare_edges
from convzoo.extras import need
from convzoo.models.nodenet import LAYERS, NodeNet

READERS = {".graphml": "read_graphml", ".gml": "read_gml"}
SPLIT = (0.6, 0.2)  # of the labelled nodes of each class: to train, to validate; the rest tests
LEAST = 2  # labelled nodes of a class, so that one can be held out
SPARSE = ("gcn", "gat")  # layers that take rows of few nonzeros
LARGEST = 20_000  # nodes whose names a layer takes as a dense matrix
EDGE = 0.05  # log-probability that an edge must be worth for a mask to keep it
DRAWN = 1_500  # nodes of a picture; of larger graphs so many, drawn at random
COLOURS = 10  # of matplotlib's cycle


class Loaded(NamedTuple):
    """A graph as found: names of nodes, features [nodes, channels] or None, labels (None where there is none), edges
    [2, edges] one each way, and what was noticed on the way."""

    names: list[str]
    features: np.ndarray | None
    labels: list[str | None]
    edges: np.ndarray
    notes: list[str]


def read(path: Path, labels: Path | None = None, features: Path | None = None) -> Loaded:
    """Reads a graph, and labels (node, label) and features (node, numbers ...) from tables if given; in GraphML, GML
    and JSON they may be the nodes' attributes ``label`` and ``x``.

    Raises:
      OSError: a file cannot be read.
      ValueError: a file is malformed; the message says where.
    """
    named: dict[str, dict[str, Any]] = {}
    if path.suffix.lower() in (*READERS, ".json"):
        named, pairs = read_structured(path)
    else:
        pairs = [(a, b) for _, (a, b, *_) in lines(path, 2, "two nodes")]
    for a, b in pairs:
        for name in (a, b):
            named.setdefault(name, {})
    known = set(named)
    for file, key, least, what in (
        (labels, "label", 2, "a node and its label"),
        (features, "x", 2, "a node and numbers"),
    ):
        for number, (name, *values) in lines(file, least, what) if file else ():
            if name not in known:
                raise ValueError(f"{file}, line {number}: the graph has no node {name!r}")
            named[name][key] = values[0] if key == "label" else numbers(values, f"{file}, line {number}")
    names = list(named)
    place = {name: index for index, name in enumerate(names)}
    if not names:
        raise ValueError(f"{path} holds no node")
    once = sorted(
        {(place[a], place[b]) for a, b in pairs if a != b} | {(place[b], place[a]) for a, b in pairs if a != b}
    )
    edges = np.array(once, int).reshape(-1, 2).T
    lone = len(names) - len(np.unique(edges))
    found = [None if (label := named[name].get("label")) is None else str(label) for name in names]
    notes = [f"{len(names)} nodes, {edges.shape[1] // 2} edges"]
    notes += [f"{len(pairs) - edges.shape[1] // 2} edges that came twice or join a node to itself count once"] * (
        len(pairs) > edges.shape[1] // 2
    )
    notes += [f"{lone} nodes have no edge: their features alone decide"] * (lone > 0)
    notes += [f"{found.count(None)} nodes have no label: they are predicted, not scored"] * (None in found)
    described = [numbers(np.atleast_1d(v["x"]).tolist(), f"node {n!r}") for n, v in named.items() if "x" in v]
    if not described:
        return Loaded(names, None, found, edges, [*notes, "no features: a node's own name is its feature"])
    if len(described) < len(names) or len({len(row) for row in described}) > 1:
        lengths = sorted({len(row) for row in described})
        raise ValueError(
            f"{len(described)} of {len(names)} nodes have features, of lengths {lengths}; all must, of one"
        )
    return Loaded(names, np.array(described, np.float32), found, edges, notes)


def lines(path: Path, least: int, what: str) -> list[tuple[int, list[str]]]:
    """(number, cells) of each line that is neither empty nor a comment."""
    found = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", "%")):
            continue
        cells = next(csv.reader([line])) if "," in line else line.split()
        if len(cells) < least or not all(cell.strip() for cell in cells[:least]):
            raise ValueError(f"{path}, line {number}: {line!r} must hold {what}")
        found.append((number, [cell.strip() for cell in cells]))
    return found


def numbers(values: Sequence[Any], where: str) -> list[float]:
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: features must be numbers: {error}") from error
    if not np.isfinite(found).all():
        raise ValueError(f"{where}: features must be finite; got {found}")
    return found


def read_structured(path: Path) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Nodes with their attributes, and edges, of GraphML, GML or JSON."""
    networkx: Any = need("networkx", extra="graphs")
    try:
        if path.suffix.lower() == ".json":
            content = json.loads(path.read_text())
            graph = networkx.node_link_graph(content, edges="links" if "links" in content else "edges")
        else:
            options = {"label": "id"} if path.suffix.lower() == ".gml" else {}
            graph = getattr(networkx, READERS[path.suffix.lower()])(path, **options)
    except OSError:
        raise
    except Exception as error:  # each format's parser has errors of its own
        raise ValueError(f"{path} cannot be read as {path.suffix[1:]}: {type(error).__name__}: {error}") from error
    return {str(name): dict(values) for name, values in graph.nodes(data=True)}, [
        (str(a), str(b)) for a, b in graph.edges()
    ]


def split(label: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Labelled nodes of each class into train, val and test; -1 is no label.

    Raises:
      ValueError: fewer than two classes, or one of a single node.
    """
    classes, count = np.unique(label[label >= 0], return_counts=True)
    if len(classes) < 2 or count.min() < LEAST:
        raise ValueError(
            f"labels must be of two classes at least, each of {LEAST} nodes at least; there are {len(classes)} "
            f"classes of {count.tolist()} nodes"
        )
    parts: dict[str, list[np.ndarray]] = {"train": [], "val": [], "test": []}
    generator = np.random.default_rng(seed)
    for value in classes:
        order = generator.permutation(np.flatnonzero(label == value))
        first = max(1, int(SPLIT[0] * len(order)))
        second = min(first + int(SPLIT[1] * len(order)), len(order) - 1)
        for name, part in zip(parts, (order[:first], order[first:second], order[second:]), strict=True):
            parts[name].append(part)
    return {name: np.sort(np.concatenate(part)) for name, part in parts.items()}


@dataclass(frozen=True, eq=False)
class Whole:
    """One batch for every step: the graph and which nodes count."""

    batch: dict[str, Any]

    def at(self, step: int) -> dict[str, Any]:
        del step
        return self.batch


class Result(NamedTuple):
    """What training found. ``probabilities`` [nodes, classes]; ``hidden`` [nodes, width], the layer before the last;
    ``accuracy`` by split, and ``most_common``: that of always saying the commonest class."""

    classes: list[str]
    probabilities: np.ndarray
    hidden: np.ndarray
    accuracy: dict[str, float]
    most_common: float
    splits: dict[str, np.ndarray]
    graph: Graphs
    model: NodeNet
    params: Any


def learn(loaded: Loaded, layer: str = "gcn", steps: int = 200, seed: int = 0) -> Result:
    """Trains on the labelled part and keeps what was best on validation, of every tenth step.

    Raises:
      ValueError: an unknown layer, labels that cannot be split, or names as features of more nodes than a layer takes.
    """
    if layer not in LAYERS:
        raise ValueError(f"layer {layer!r} is not known; it must be one of {', '.join(LAYERS)}")
    classes = sorted({label for label in loaded.labels if label is not None})
    label = np.array([-1 if name is None else classes.index(name) for name in loaded.labels])
    splits, nodes = split(label, seed), len(label)
    if loaded.features is None and layer not in SPARSE and nodes > LARGEST:
        raise ValueError(
            f"layer {layer!r} takes the names of at most {LARGEST:,} nodes as features, these are {nodes:,}: give "
            f"features, or use one of {', '.join(SPARSE)}"
        )
    graph = prepared(loaded, label, layer, splits)
    attention = layer in ("gat", "gatv2")
    shape: dict[str, Any] = {"width": 8, "heads": 4, "activation": "elu"} if attention else {"width": 32}
    model = NodeNet(layer=layer, num_classes=len(classes), **shape)

    def batch(part: str) -> dict[str, Any]:
        inside = jnp.asarray(np.isin(np.arange(nodes), splits[part]))
        return {"input": graph, "label": jnp.asarray(np.maximum(label, 0), jnp.int32), "mask": inside}

    experiment = train.Experiment(
        model=model, task=tasks.Classification(), data=Whole({}), batch_size=1, steps=steps, optimizer="adam",
        learning_rate=0.01, annealing="none", warmup=0.0, weight_decay=5e-4, clip_norm=0.0, seed=seed,
    )  # fmt: skip
    state, update = train.init(experiment, batch("train")), train.compile_update(experiment)
    apply = jax.jit(partial(model.apply, train=False))
    chosen = splits["val"] if len(splits["val"]) else splits["train"]
    best, kept = -1.0, state.params
    for step in range(1, steps + 1):
        state, _ = update(state, batch("train"))
        if step % 10 and step < steps:
            continue
        guess = np.asarray(apply({"params": state.params}, graph)[0]).argmax(1)
        if (right := float((guess == label)[chosen].mean())) >= best:
            best, kept = right, jax.tree.map(jnp.copy, state.params)
    logits, waypoints = apply({"params": kept}, graph)
    probabilities = np.asarray(jax.nn.softmax(logits))
    right = probabilities.argmax(1) == label
    accuracy = {part: float(right[index].mean()) for part, index in splits.items() if len(index)}
    commonest = np.bincount(label[splits["train"]]).argmax()
    most_common = float((label[splits["test"]] == commonest).mean())
    hidden = np.asarray(waypoints["conv0"])
    return Result(classes, probabilities, hidden, accuracy, most_common, splits, graph, model, kept)


def prepared(loaded: Loaded, label: np.ndarray, layer: str, splits: dict[str, np.ndarray]) -> Graphs:
    """The graph as ``NodeNet`` takes it: edges weighted, features of mean 0 and deviation 1, or names one-hot."""
    nodes = len(label)
    every = np.arange(nodes)
    indptr, columns, ones = np.arange(nodes + 1), every, np.ones(nodes, np.float32)
    edges = prepare_edges(
        NodeSet(indptr, columns, ones, nodes, label, loaded.edges, splits), "gcn" if layer == "gcn" else "loops"
    )
    if loaded.features is not None:
        spread = loaded.features.std(0)
        x: Any = jnp.asarray((loaded.features - loaded.features.mean(0)) / np.where(spread > 0, spread, 1))
    elif layer in SPARSE:
        integers = (jnp.asarray(a, jnp.int32) for a in (columns, every, np.zeros(nodes)))
        words = core.Edges._make((*integers, jnp.asarray(ones), nodes))
        x = core.SparseRows(words, core.sort_edges(words, 1, nodes), nodes)
    else:
        x = jnp.eye(nodes)
    sizes = (jnp.array([n], jnp.int32) for n in (nodes, len(edges.senders)))
    ends = (jnp.asarray(a) for a in (edges.receivers, edges.senders))
    return Graphs._make((x, {"weight": jnp.asarray(edges.weight)}, *ends, None, *sizes))


class Mattered(NamedTuple):
    """An edge, how steeply the prediction follows its weight, and what a learned mask keeps of it, 0 to 1."""

    sender: int
    receiver: int
    gradient: float
    mask: float


def why(result: Result, node: int, *, steps: int = 200) -> list[Mattered]:
    """Which edges mattered for a node's predicted class, the largest mask first; self-loops are not told.

    The gradient is of the class's log-probability in the edge's weight times the weight; the mask is learned to keep
    the prediction with as few edges as it can: those worth ``EDGE`` of log-probability each (GNNExplainer, Ying et al.
    2019, arXiv:1903.03894)."""
    graph, chosen = result.graph, int(result.probabilities[node].argmax())
    weight = graph.edges["weight"]

    def score(factor):
        changed = graph._replace(edges=graph.edges | {"weight": weight * factor})
        logits, _ = result.model.apply({"params": result.params}, changed, train=False)
        return jax.nn.log_softmax(logits[node])[chosen]

    gradient = np.asarray(jax.jit(jax.grad(score))(jnp.ones_like(weight)))
    senders, receivers = np.asarray(graph.senders), np.asarray(graph.receivers)
    told = neighbourhood_edges(graph, node, result.model.depth) & (senders != receivers)
    optimiser = optax.adam(0.1)

    @jax.jit
    def descend(mask, state):
        def loss(mask):
            gate = jax.nn.sigmoid(mask)
            entropy = -(gate * jnp.log(gate + 1e-9) + (1 - gate) * jnp.log(1 - gate + 1e-9))
            return -score(jnp.where(told, gate, 1)) + jnp.where(told, EDGE * gate + 0.1 * EDGE * entropy, 0).sum()

        updates, state = optimiser.update(jax.grad(loss)(mask), state)
        return optax.apply_updates(mask, updates), state

    mask = jnp.ones_like(weight)
    state = optimiser.init(mask)
    for _ in range(steps):
        mask, state = descend(mask, state)
    shares = np.asarray(jax.nn.sigmoid(mask))
    return [
        Mattered(int(senders[edge]), int(receivers[edge]), float(gradient[edge]), float(shares[edge]))
        for edge in np.argsort(-shares)
        if told[edge]
    ]


def neighbourhood_edges(graph: Graphs, node: int, hops: int) -> np.ndarray:
    """True for the edges that a network of so many layers sees from a node."""
    senders, receivers = (np.asarray(a) for a in (graph.senders, graph.receivers))
    reached, seen = np.zeros(int(graph.n_node.sum()), bool), np.zeros(len(senders), bool)
    reached[node] = True
    for _ in range(hops):
        seen |= reached[receivers]
        reached[senders[seen]] = True
    return seen


def draw(loaded: Loaded, result: Result, out: Path) -> list[Path]:
    """``graph.png``, predicted classes on the graph, wrong test nodes ringed; ``embedding.png``, t-SNE of the hidden
    layer. Of a large graph ``DRAWN`` nodes, test nodes first.

    Raises:
      ImportError: a package is missing; it names the extra.
    """
    networkx: Any = need("networkx", extra="graphs")
    manifold: Any = need("sklearn.manifold", extra="data")
    count, test = len(loaded.names), result.splits["test"]
    order = np.concatenate([test, np.setdiff1d(np.random.default_rng(0).permutation(count), test, True)])
    shown = np.sort(order[:DRAWN])
    place = np.full(count, -1)
    place[shown] = np.arange(len(shown))
    pairs = place[loaded.edges]
    pairs = pairs[:, (pairs[0] >= 0) & (pairs[0] < pairs[1])]
    graph = networkx.Graph(pairs.T.tolist())
    graph.add_nodes_from(range(len(shown)))
    laid = networkx.spring_layout(graph, seed=0, iterations=50)
    perplexity = min(30.0, max(2.0, (len(shown) - 1) / 4))
    embedded = manifold.TSNE(perplexity=perplexity, random_state=0, init="random").fit_transform(result.hidden[shown])
    guess = result.probabilities.argmax(1)
    label = np.array([-1 if name is None else result.classes.index(name) for name in loaded.labels])
    wrong = place[np.intersect1d(np.intersect1d(np.flatnonzero(guess != label), test), shown)]
    part = f", {len(shown)} of {count} nodes" * (len(shown) < count)
    pictures = {
        "graph": (np.array([laid[i] for i in range(len(shown))]), pairs, f"predicted classes{part}"),
        "embedding": (embedded, np.zeros((2, 0), int), f"t-SNE of the hidden layer{part}"),
    }
    return [
        picture(out / f"{name}.png", at, lines, guess[shown], result.classes, wrong, title=title)
        for name, (at, lines, title) in pictures.items()
    ]


def picture(
    path: Path,
    at: np.ndarray,
    pairs: np.ndarray,
    guess: np.ndarray,
    classes: Sequence[str],
    ringed: np.ndarray,
    *,
    title: str,
    ring: str = "wrong, held out",
    widths: np.ndarray | float = 0.4,
    names: Sequence[str] = (),
) -> Path:
    """Nodes at [nodes, 2], coloured by class, some of them ringed, edges [2, edges] below them."""
    plots: Any = need("matplotlib.pyplot", extra="plots")
    collections: Any = need("matplotlib.collections", extra="plots")
    figure, panel = plots.subplots(figsize=(7, 6), layout="constrained")
    strong = bool(names)
    panel.add_collection(
        collections.LineCollection(at[pairs.T], colors="0.4" if strong else "0.75", linewidths=widths, zorder=0)
    )
    for value in np.unique(guess):
        panel.scatter(*at[guess == value].T, s=60 if strong else 14, label=classes[value], color=f"C{value % COLOURS}")
    if len(ringed):
        panel.scatter(*at[ringed].T, s=120 if strong else 40, facecolors="none", edgecolors="black", label=ring)
    for name, (x, y) in zip(names, at, strict=False):
        panel.annotate(name, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=8)
    panel.set_axis_off()
    panel.set_title(title, fontsize=10)
    panel.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    plots.close(figure)
    return path


def draw_why(loaded: Loaded, result: Result, node: int, found: Sequence[Mattered], path: Path) -> Path:
    """What mattered for a node, as a picture: the edges it hears through, as thick as their mask, and their nodes.

    Raises:
      ImportError: a package is missing; it names the extra.
    """
    networkx: Any = need("networkx", extra="graphs")
    strongest: dict[tuple[int, int], float] = {}
    for edge in found:
        pair = min(edge.sender, edge.receiver), max(edge.sender, edge.receiver)
        strongest[pair] = max(strongest.get(pair, 0.0), edge.mask)
    listed = sorted(strongest, key=lambda pair: -strongest[pair])[:60]
    shown = [node, *sorted({end for pair in listed for end in pair} - {node})]
    place = {name: index for index, name in enumerate(shown)}
    pairs = np.array([[place[end] for end in pair] for pair in listed], int).reshape(-1, 2).T
    graph = networkx.Graph(pairs.T.tolist())
    graph.add_nodes_from(range(len(shown)))
    laid = networkx.spring_layout(graph, seed=0)
    guess = result.classes[result.probabilities[node].argmax()]
    return picture(
        path,
        np.array([laid[i] for i in range(len(shown))]),
        pairs,
        result.probabilities.argmax(1)[shown],
        result.classes,
        np.zeros(1, int),
        ring=f"node {loaded.names[node]}",
        title=f"edges that a mask keeps: why {loaded.names[node]} is {guess}",
        widths=np.array([0.2 + 5 * strongest[pair] for pair in listed]),
        names=[loaded.names[index] for index in shown],
    )


def write_predictions(loaded: Loaded, result: Result, path: Path) -> Path:
    """A line a node: its name, predicted class, that class's probability, its label if it has one."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["node", "predicted", "probability", "label"])
        for name, row, label in zip(loaded.names, result.probabilities, loaded.labels, strict=True):
            writer.writerow([name, result.classes[row.argmax()], round(float(row.max()), 4), label or ""])
    return path
