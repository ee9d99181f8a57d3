"""Graph layers that are compared with torch_geometric's: our half, without torch.

A case is a line in CASES, run on every graph in GRAPHS. The peer's figures are kept in tests/golden/graph_layers.json.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from flax.traverse_util import flatten_dict, unflatten_dict

from convzoo import core, nn
from convzoo.nn import Model
from tests.parity import cases
from tests.parity.cases import Arrays, Figures, uniform

GOLDEN = Path(__file__).parents[1] / "golden" / "graph_layers.json"
NODES, IN, IN_EDGE, RELATIONS = 9, 5, 3, 3
GRAPH_ID = np.array([0, 0, 0, 0, 2, 2, 3, 3, 3])  # graph 1 has no nodes
NUM_GRAPHS = 4
KINDS = ("mean", "min", "max", "std", "sum")
SCALERS = core.graph_layers.SCALERS
MEAN_DEGREE, MEAN_LOG_DEGREE = 1.75, 0.875


class Case(NamedTuple):
    """A layer, what it takes beside x, and whether its edges have weights."""

    layer: Model
    takes: str = "edges"
    weighted: bool = False


class Readout(Model):
    """``core.readout`` as a layer."""

    kind: str

    def __call__(self, x, graph_id, num_graphs):
        return core.readout(x, graph_id, num_graphs, kind=self.kind)


class VirtualNode(Model):
    """``core.virtual_node_edges`` under an R-GCN, the new nodes starting at zero; a single graph."""

    @linen.compact
    def __call__(self, x, edges):
        more, graph_id = core.virtual_node_edges(edges, jnp.zeros(len(x), jnp.int32), 1, RELATIONS)
        x = jnp.concatenate([x, jnp.zeros((len(graph_id) - len(x), x.shape[1]), x.dtype)])
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        return nn.RGCNConv(4, RELATIONS + 2, name="conv", **own)(x, more)


CASES = {
    "gcn": Case(nn.GCNConv(6)),
    "gcn narrowing": Case(nn.GCNConv(3, bias=False), weighted=True),
    "gcn without loops": Case(nn.GCNConv(4, loops=False)),
    "gcn2": Case(nn.GCN2Conv(2, alpha=0.2, theta=0.7), "initial"),
    "sage mean": Case(nn.SAGEConv(4)),
    "sage max": Case(nn.SAGEConv(4, kind="max")),
    "sage sum": Case(nn.SAGEConv(4, kind="sum", bias=False)),
    "gin": Case(nn.GINConv((7, 4), epsilon=0.25)),
    "gin learned": Case(nn.GINConv((7, 4), learned=True)),
    "gine": Case(nn.GINEConv((7, 4), epsilon=0.25), "wide features"),
    "gine projected": Case(nn.GINEConv((7, 4), learned=True), "features"),
    "gat": Case(nn.GATConv(4)),
    "gat heads": Case(nn.GATConv(4, heads=3, slope=0.1)),
    "gat averaged": Case(nn.GATConv(4, heads=3, concat=False, loops=False)),
    "gatv2": Case(nn.GATv2Conv(4, heads=3)),
    "gatv2 averaged": Case(nn.GATv2Conv(4, heads=2, concat=False, loops=False)),
    "chebyshev": Case(nn.ChebConv(4, order=4), weighted=True),
    "chebyshev scaled": Case(nn.ChebConv(4, order=3, largest=1.5)),
    "sgc": Case(nn.SGConv(4, steps=3), weighted=True),
    "appnp": Case(nn.APPNP(steps=4, restart=0.2), weighted=True),
    "rgcn": Case(nn.RGCNConv(4, RELATIONS)),
    "rgcn bases": Case(nn.RGCNConv(4, RELATIONS, bases=2)),
    "edge conv": Case(nn.EdgeConv((7, 4))),
    "edge conv mean": Case(nn.EdgeConv((7, 4), kind="mean")),
    "crystal": Case(nn.CGConv(), "features"),
    "crystal without features": Case(nn.CGConv()),
    "edge network": Case(nn.NNConv(4, hidden=(6,)), "features"),
    "edge network mean": Case(nn.NNConv(4, hidden=(6,), kind="mean"), "features"),
    "mpnn": Case(nn.MPNN(hidden=(6,), steps=2), "features"),
    "pna": Case(nn.PNAConv(6, MEAN_DEGREE, MEAN_LOG_DEGREE, KINDS, SCALERS)),
    "pna towers": Case(nn.PNAConv(6, MEAN_DEGREE, MEAN_LOG_DEGREE, towers=2), "features"),
    "virtual node": Case(VirtualNode()),
    "graph norm": Case(nn.GraphNorm(), "graphs"),
    "jumping cat": Case(nn.JumpingKnowledge(), "layers"),
    "jumping max": Case(nn.JumpingKnowledge(kind="max"), "layers"),
    "jumping lstm": Case(nn.JumpingKnowledge(kind="lstm"), "layers"),
    "readout sum": Case(Readout("sum"), "graphs"),
    "readout mean": Case(Readout("mean"), "graphs"),
    "readout max": Case(Readout("max"), "graphs"),
    "readout attention": Case(nn.AttentionReadout(), "graphs"),
    "readout set2set": Case(nn.Set2Set(steps=3), "graphs"),
}

# senders, receivers: nodes 7 and 8 hear and send nothing, 1 has two self-loops, 4 one, some edges come twice
MESSY = np.array([[0, 1, 2, 2, 3, 0, 0, 1, 1, 5, 4, 6, 3, 5, 2, 4], [1, 0, 3, 3, 2, 2, 5, 1, 1, 6, 4, 5, 0, 6, 0, 1]])
# Of two weighted self-loops on one node the peer's backward pass gives both the gradient of the one that counted.
GRAPHS = {"messy": MESSY, "weighted": np.delete(MESSY, 8, 1), "empty": np.zeros((2, 0), int)}


def graphs(case: Case) -> tuple[str, ...]:
    """The graphs a case is run on."""
    if case.takes in ("graphs", "layers"):
        return ("messy",)
    return ("weighted" if case.weighted else "messy"), "empty"


def given(case: Case, ends: np.ndarray) -> Arrays:
    """What both sides take."""
    count = ends.shape[1]
    arrays = {"x": uniform("x", (NODES, IN), -2, 2)}
    if "features" in case.takes:
        arrays["features"] = uniform("features", (count, IN if "wide" in case.takes else IN_EDGE))
    if case.takes == "initial":
        arrays["initial"] = uniform("initial", (NODES, IN), -2, 2)
    if case.weighted:
        arrays["weight"] = uniform("weight", (count,), 0.5, 1.5)
    return arrays


def relations(count: int) -> np.ndarray:
    return np.arange(count) * 7 % RELATIONS


def several(x: Any) -> list[Any]:
    """What three layers might have found."""
    return [x, x[::-1] if isinstance(x, jax.Array) else x.flip(0), 0.5 * x * x]


def arguments(case: Case, arrays: dict[str, Any], ends: np.ndarray) -> tuple[Any, ...]:
    """Ours."""
    x, count = arrays["x"], ends.shape[1]
    if case.takes == "graphs":
        return x, jnp.asarray(GRAPH_ID), NUM_GRAPHS
    if case.takes == "layers":
        return (several(x),)
    weight = arrays["weight"] if case.weighted else jnp.ones(count, x.dtype)
    tapped = isinstance(case.layer, nn.RGCNConv | VirtualNode)
    taps = relations(count) if tapped else np.full(count, 5)  # other layers do not care
    edges = core.Edges(jnp.asarray(ends[0]), jnp.asarray(ends[1]), jnp.asarray(taps), weight, NODES)
    if case.takes == "initial":
        return x, arrays["initial"], edges
    return (x, edges, arrays["features"]) if "features" in case.takes else (x, edges)


def parameters(case: Case, ends: np.ndarray) -> dict[str, Any]:
    """Parameters in which nothing hides."""
    arrays = jax.tree.map(jnp.asarray, given(case, ends))
    init = partial(case.layer.init, jax.random.key(0))
    like = jax.eval_shape(lambda arrays: init(*arguments(case, arrays, ends)), arrays)

    def fill(path: str, leaf: Any) -> np.ndarray:
        kind = path.split("/")[-1]
        return uniform(path, leaf.shape, *((0.8, 1.2) if kind in ("scale", "mean_scale") else (-0.7, 0.7)))

    flat = flatten_dict(like.get("params", {}), sep="/")
    return unflatten_dict({path: fill(path, leaf) for path, leaf in flat.items()}, sep="/")


def ours(name: str, graph: str) -> Arrays:
    """Output, and the gradient of a weighted sum of it in every parameter and input."""
    case, ends = CASES[name], GRAPHS[graph]
    layer = case.layer.clone(dtype="float64", param_dtype="float64")
    with jax.enable_x64(True):
        params, arrays = parameters(case, ends), given(case, ends)

        @partial(jax.jit, compiler_options=cases.UNOPTIMISED)
        def run(params, arrays):
            def loss(params, arrays):
                y: Any = layer.apply({"params": params}, *arguments(case, arrays, ends))
                return jnp.sum(y * uniform("weights", y.shape)), y

            (_, y), gradients = jax.value_and_grad(loss, (0, 1), has_aux=True)(params, arrays)
            return y, gradients

        y, (by_params, by_arrays) = run(params, arrays)
        found = {f"{graph}/output": y}
        found |= {f"{graph}/gradient/{path}": g for path, g in flatten_dict(by_params, sep="/").items()}
        found |= {f"{graph}/gradient/{path}": g for path, g in by_arrays.items()}
        return {path: np.asarray(array) for path, array in found.items()}


def apart(found: Arrays | Figures, expected: Arrays | Figures) -> dict[str, float]:
    """The largest difference of each array, in units of the expected one's largest value (1 where that is zero)."""
    assert found.keys() == expected.keys(), f"only one side has {sorted(found.keys() ^ expected.keys())}"
    result = {}
    for name, array in expected.items():
        array, mine = np.asarray(array), np.asarray(found[name])
        assert mine.shape == array.shape, f"{name}: {mine.shape}, expected {array.shape}"
        size = np.abs(array).max(initial=0)
        vanishing = name.startswith("empty/") or name.endswith(("gate/bias", "attention/bias"))  # softmax ignores those
        assert size > 1e-6 or vanishing, f"{name} is nearly zero: it proves nothing"
        result[name] = float(np.abs(mine - array).max(initial=0) / (size if size > 1e-6 else 1))
    return result


def golden() -> dict[str, Figures]:
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


def keep(name: str, new: Figures) -> None:
    """Writes a peer's figures, unless those in the file are the same but for rounding."""
    everything = golden()
    old = everything.get(name, {})
    if old.keys() == new.keys() and max(apart(old, new).values()) < 1e-10:
        return
    everything[name] = {key: [float(f"{value:.11e}") for value in pair] for key, pair in new.items()}
    chosen = {key: everything[key] for key in CASES if key in everything}
    entries = (
        f"{json.dumps(key)}: {{\n" + ",\n".join(f"  {json.dumps(k)}: {v}" for k, v in figures.items()) + "\n}"
        for key, figures in chosen.items()
    )
    GOLDEN.write_text("{\n" + ",\n".join(entries) + "\n}\n")


def figures(arrays: Arrays) -> Figures:
    """As ``cases.figures``; an array without entries has [0, 0]."""
    some = {name: array for name, array in arrays.items() if array.size}
    return {name: (cases.figures({name: some[name]})[name] if name in some else [0.0, 0.0]) for name in arrays}
