"""The standard graph layers with their parameters, over ``core``'s functions: ``[nodes, in], Edges -> [nodes, out]``.

Names as researchers know them. ``edges`` are raw unless a layer says otherwise; ``table`` is ``core.sort_edges`` of the
edges the layer sums over, and makes that faster on a CPU. Papers are named beside the functions in ``core``.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from convzoo import core
from convzoo.core import graph_layers as layers
from convzoo.core.messages import SparseRows, gcn_edges, neighbour_reduce, times, with_loops
from convzoo.nn.layers import ACTIVATIONS, BatchNorm, Dense
from convzoo.nn.model import Model

Nodes = Float[Array, "nodes in"]
Out = Float[Array, "receivers out"]
glorot = nn.initializers.xavier_uniform()


def weight(layer: Model, name: str, *shape: int, init: Any = glorot) -> Array:
    """A parameter of the layer in its computing dtype."""
    return layer.param(name, init, shape, layer.param_dtype).astype(layer.dtype)


def biased(layer: Any, y: Array) -> Array:
    """``y`` and, if the layer has one, its bias."""
    return y + weight(layer, "bias", y.shape[-1], init=nn.initializers.zeros) if layer.bias else y


class Perceptron(Model):
    """Dense layers with an activation, and batch norm if asked, between them: ``dense0``, ``norm0``, ``dense1``, ..."""

    widths: tuple[int, ...]
    activation: str = "relu"
    norm: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "*shape in"], *, train: bool = False, mask: Bool[Array, "*shape"] | None = None
    ) -> Float[Array, "*shape out"]:
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        for index, width in enumerate(self.widths):
            x = Dense(width, name=f"dense{index}", **own)(x)
            if index + 1 < len(self.widths):
                x = BatchNorm(name=f"norm{index}", **own)(x, train=train, mask=mask) if self.norm else x
                x = ACTIVATIONS[self.activation](x)
        return x


class GCNConv(Model):
    """``normalise=False``: the edges come from ``core.gcn_edges`` already, which is faster where they never change."""

    features: int
    bias: bool = True
    loops: bool = True
    normalise: bool = True

    @nn.compact
    def __call__(self, x: Nodes | SparseRows, edges: core.Edges, *, table: Any = None) -> Out:
        kernel = weight(self, "kernel", x.shape[1], self.features)
        edges = gcn_edges(edges, loops=self.loops) if self.normalise else edges
        if isinstance(x, SparseRows):
            return biased(self, neighbour_reduce(times(x, kernel), edges, "sum", table))
        return biased(self, layers.gcn(x.astype(self.dtype), kernel, edges, table))


class GCN2Conv(Model):
    """Layer ``index``, from 1, of a GCNII: ``beta = log(theta / index + 1)``. ``initial``: what the first one had, as
    wide as ``x``. ``normalise``, ``loops`` as ``GCNConv``'s."""

    index: int
    alpha: float = 0.1
    theta: float = 0.5
    loops: bool = True
    normalise: bool = True

    @nn.compact
    def __call__(self, x: Nodes, initial: Nodes, edges: core.Edges, *, table: Any = None) -> Out:
        edges = gcn_edges(edges, loops=self.loops) if self.normalise else edges
        kernel, beta = weight(self, "kernel", x.shape[1], x.shape[1]), math.log(self.theta / self.index + 1)
        x, initial = x.astype(self.dtype), initial.astype(self.dtype)
        return layers.gcn2(x, initial, kernel, edges, self.alpha, beta, table)


class SAGEConv(Model):
    """``kind``: ``"mean"``, ``"max"`` or ``"sum"`` of the neighbours."""

    features: int
    kind: str = "mean"
    bias: bool = True

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges, *, table: Any = None) -> Out:
        kernel, own = (weight(self, name, x.shape[1], self.features) for name in ("kernel", "own"))
        return biased(self, layers.sage(x.astype(self.dtype), kernel, own, edges, self.kind, table))


class GINConv(Model):
    """A perceptron of the neighbours' sum. ``epsilon`` is learned if ``learned``."""

    widths: tuple[int, ...]
    epsilon: float = 0.0
    learned: bool = False
    norm: bool = False

    @nn.compact
    def __call__(
        self,
        x: Nodes,
        edges: core.Edges,
        *,
        table: Any = None,
        train: bool = False,
        mask: Bool[Array, " nodes"] | None = None,
    ) -> Out:
        y = layers.gin(x.astype(self.dtype), self_weight(self), edges, table)
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        return Perceptron(self.widths, norm=self.norm, name="mlp", **own)(y, train=train, mask=mask)


class GINEConv(Model):
    """GIN over edge features, brought to the nodes' width by ``project`` where they are not of it."""

    widths: tuple[int, ...]
    epsilon: float = 0.0
    learned: bool = False

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges, features: Float[Array, "edges in_edge"]) -> Out:
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x, features = x.astype(self.dtype), features.astype(self.dtype)
        if features.shape[1] != x.shape[1]:
            features = Dense(x.shape[1], name="project", **own)(features)
        return Perceptron(self.widths, name="mlp", **own)(layers.gine(x, features, self_weight(self), edges))


def self_weight(layer: GINConv | GINEConv) -> Any:
    """GIN's epsilon."""
    if not layer.learned:
        return layer.epsilon
    return weight(layer, "epsilon", init=nn.initializers.constant(layer.epsilon))


class GATConv(Model):
    """``features`` a head; heads are concatenated, or averaged if not ``concat``. ``dropout`` falls on attention."""

    features: int
    heads: int = 1
    concat: bool = True
    slope: float = 0.2
    dropout: float = 0.0
    bias: bool = True
    loops: bool = True

    @nn.compact
    def __call__(self, x: Nodes | SparseRows, edges: core.Edges, *, table: Any = None, train: bool = False) -> Out:
        kernel = weight(self, "kernel", x.shape[1], self.heads * self.features)
        source, target = (weight(self, name, self.heads, self.features) for name in ("source", "target"))
        edges = with_loops(edges) if self.loops else edges
        values = times(x, kernel).reshape(-1, self.heads, self.features)
        keep = attention_dropout(self, edges, train)
        y = layers.gat(values, source, target, edges, slope=self.slope, keep=keep, table=table)
        return biased(self, y.reshape(y.shape[0], -1) if self.concat else y.mean(1))


class GATv2Conv(Model):
    """As ``GATConv``; senders and receivers have kernels, and biases, of their own."""

    features: int
    heads: int = 1
    concat: bool = True
    slope: float = 0.2
    dropout: float = 0.0
    bias: bool = True
    loops: bool = True

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges, *, table: Any = None, train: bool = False) -> Out:
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        sent, heard = (
            Dense(self.heads * self.features, name=name, **own)(x).reshape(-1, self.heads, self.features)
            for name in ("sender", "receiver")
        )
        attention = weight(self, "attention", self.heads, self.features)
        edges = with_loops(edges) if self.loops else edges
        keep = attention_dropout(self, edges, train)
        y = layers.gatv2(sent, heard, attention, edges, slope=self.slope, keep=keep, table=table)
        return biased(self, y.reshape(y.shape[0], -1) if self.concat else y.mean(1))


def attention_dropout(layer: GATConv | GATv2Conv, edges: core.Edges, train: bool) -> Array | None:
    """What attention is multiplied by in training."""
    if not train or not layer.dropout:
        return None
    ones = jnp.ones((edges.senders.shape[0], layer.heads), layer.dtype)
    return nn.Dropout(layer.dropout, deterministic=False, name="drop_attention", parent=layer)(ones)


class ChebConv(Model):
    """A polynomial of degree ``order - 1``. ``largest`` bounds the Laplacian's eigenvalues."""

    features: int
    order: int = 3
    largest: float = 2.0
    bias: bool = True

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges) -> Out:
        kernel = weight(self, "kernel", self.order, x.shape[1], self.features)
        return biased(self, layers.chebyshev(x.astype(self.dtype), kernel, edges, largest=self.largest))


class SGConv(Model):
    """``steps`` of GCN's propagation, then one linear map."""

    features: int
    steps: int = 2
    bias: bool = True

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges) -> Out:
        y = layers.propagate(x.astype(self.dtype), gcn_edges(edges), self.steps)
        return biased(self, y @ weight(self, "kernel", x.shape[1], self.features))


class APPNP(Model):
    """Propagation with restarts; it has no parameters."""

    steps: int = 10
    restart: float = 0.1

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges) -> Out:
        return layers.propagate(x.astype(self.dtype), gcn_edges(edges), self.steps, restart=self.restart)


class RGCNConv(Model):
    """A kernel for each of ``relations`` (the edges' taps); ``bases`` > 0 makes them sums of that many."""

    features: int
    relations: int
    bases: int = 0
    bias: bool = True

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges) -> Out:
        kernel = weight(self, "kernel", self.bases or self.relations, x.shape[1], self.features)
        if self.bases:
            kernel = jnp.einsum("rb,bio->rio", weight(self, "mixture", self.relations, self.bases), kernel)
        own = weight(self, "own", x.shape[1], self.features)
        return biased(self, layers.rgcn(x.astype(self.dtype), kernel, own, edges))


class EdgeConv(Model):
    """A perceptron of (own, neighbour - own), then the maximum."""

    widths: tuple[int, ...]
    kind: str = "max"

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges) -> Out:
        message = Perceptron(self.widths, name="mlp", dtype=self.dtype, param_dtype=self.param_dtype)
        return layers.edge_conv(x.astype(self.dtype), message, edges, self.kind)


class CGConv(Model):
    """Crystal graph convolution, as wide as its input."""

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges, features: Float[Array, "edges in_edge"] | None = None) -> Out:
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        gate, content = (Dense(x.shape[1], name=name, **own) for name in ("gate", "content"))
        return layers.crystal(x.astype(self.dtype), gate, content, edges, features)


class NNConv(Model):
    """A kernel an edge from a perceptron of its features; ``hidden`` are the perceptron's inner widths."""

    features: int
    hidden: tuple[int, ...] = (32,)
    kind: str = "sum"
    bias: bool = True

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges, features: Float[Array, "edges in_edge"]) -> Out:
        inner = x.shape[1]
        widths = (*self.hidden, inner * self.features)
        kernels = Perceptron(widths, name="mlp", dtype=self.dtype, param_dtype=self.param_dtype)(features)
        kernels = kernels.reshape(-1, inner, self.features)
        y = layers.edge_network(x.astype(self.dtype), kernels, edges, self.kind)
        return biased(self, y + x[: edges.num_receivers].astype(self.dtype) @ weight(self, "own", inner, self.features))


class MPNN(Model):
    """Message passing with an edge network and a gated recurrent unit, ``steps`` times with one set of weights."""

    hidden: tuple[int, ...] = (32,)
    steps: int = 3

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges, features: Float[Array, "edges in_edge"]) -> Out:
        width = x.shape[1]
        conv = NNConv(width, self.hidden, name="conv", dtype=self.dtype, param_dtype=self.param_dtype)
        kernels = [weight(self, name, width, 3 * width) for name in ("kernel", "recurrent")]
        zeros = nn.initializers.zeros
        biases = [weight(self, name, 3 * width, init=zeros) for name in ("bias", "recurrent_bias")]
        x = x.astype(self.dtype)
        for _ in range(self.steps):
            x = core.recurrent.gru(ACTIVATIONS["relu"](conv(x, edges, features)), x, *kernels, *biases)
        return x


class PNAConv(Model):
    """``towers`` independent parts. ``mean_degree`` and ``mean_log_degree``: see ``core.graph_layers.principal``."""

    features: int
    mean_degree: float
    mean_log_degree: float
    kinds: tuple[str, ...] = ("mean", "min", "max", "std")
    scalers: tuple[str, ...] = ("identity", "amplification", "attenuation")
    towers: int = 1

    @nn.compact
    def __call__(self, x: Nodes, edges: core.Edges, features: Float[Array, "edges in_edge"] | None = None) -> Out:
        if self.features % self.towers:
            raise ValueError(f"towers={self.towers} must divide features={self.features}")
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        width, x = x.shape[1], x.astype(self.dtype)
        if features is not None:
            features = Dense(width, name="encode", **own)(features)
        both = layers.ends(x, edges, features)
        messages = jnp.stack([Dense(width, name=f"before{t}", **own)(both) for t in range(self.towers)], 1)
        reduced = layers.principal(messages, edges, self.kinds, self.scalers, self.mean_degree, self.mean_log_degree)
        after = [
            Dense(self.features // self.towers, name=f"after{t}", **own)(jnp.concatenate([x, reduced[:, t]], -1))
            for t in range(self.towers)
        ]
        return Dense(self.features, name="mix", **own)(jnp.concatenate(after, -1))


class GraphNorm(Model):
    """Normalises each graph by itself."""

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Nodes, graph_id: Int[Array, " nodes"], num_graphs: int) -> Out:
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        scale, bias, mean_scale = (
            self.param(name, init, (x.shape[1],), self.param_dtype)
            for name, init in (("scale", ones), ("bias", zeros), ("mean_scale", ones))
        )
        return layers.graph_norm(x, graph_id, num_graphs, scale, bias, mean_scale, epsilon=self.epsilon)


class JumpingKnowledge(Model):
    """What all layers found, of each node: ``"cat"``, ``"max"`` or an ``"lstm"``'s attention over them (Xu et al. 2018,
    arXiv:1806.03536)."""

    kind: str = "cat"

    @nn.compact
    def __call__(self, xs: Sequence[Nodes]) -> Float[Array, "nodes out"]:
        if self.kind == "cat":
            return jnp.concatenate(xs, -1)
        stacked = jnp.stack(xs, 1)
        if self.kind == "max":
            return stacked.max(1)
        if self.kind != "lstm":
            raise ValueError(f"kind {self.kind!r} is not known; it must be 'cat', 'max' or 'lstm'")
        hidden = len(xs) * xs[0].shape[1] // 2
        found = [run_lstm(self, name, order, hidden) for name, order in (("forward", xs), ("backward", xs[::-1]))]
        both = jnp.concatenate([jnp.stack(found[0], 1), jnp.stack(found[1][::-1], 1)], -1)
        score = Dense(1, name="attention", dtype=self.dtype, param_dtype=self.param_dtype)(both)
        return (stacked * nn.softmax(score, 1)).sum(1)


def lstm_weights(layer: Model, name: str, inner: int, hidden: int) -> list[Array]:
    """Kernel, recurrent kernel and bias of an LSTM."""
    shapes = {"kernel": (inner, 4 * hidden), "recurrent": (hidden, 4 * hidden)}
    kernels = [weight(layer, f"{name}_{kind}", *shape) for kind, shape in shapes.items()]
    return [*kernels, weight(layer, f"{name}_bias", 4 * hidden, init=nn.initializers.zeros)]


def run_lstm(layer: Model, name: str, xs: Sequence[Nodes], hidden: int) -> list[Array]:
    """The hidden states over a sequence."""
    kernel, recurrent, bias = lstm_weights(layer, name, xs[0].shape[1], hidden)
    told = kept = jnp.zeros((xs[0].shape[0], hidden), layer.dtype)
    found = []
    for x in xs:
        told, kept = core.recurrent.lstm(x.astype(layer.dtype) @ kernel + told @ recurrent + bias, kept)
        found.append(told)
    return found


class AttentionReadout(Model):
    """A learned gate a node; a softmax over each graph's nodes."""

    @nn.compact
    def __call__(self, x: Nodes, graph_id: Int[Array, " nodes"], num_graphs: int) -> Float[Array, "graphs out"]:
        gate = Dense(1, name="gate", dtype=self.dtype, param_dtype=self.param_dtype)(x)
        return layers.attention_readout(x.astype(self.dtype), gate, graph_id, num_graphs)


class Set2Set(Model):
    """A readout twice as wide as its input."""

    steps: int = 3

    @nn.compact
    def __call__(self, x: Nodes, graph_id: Int[Array, " nodes"], num_graphs: int) -> Float[Array, "graphs twice"]:
        weights = lstm_weights(self, "lstm", 2 * x.shape[1], x.shape[1])
        return layers.set2set(x.astype(self.dtype), graph_id, num_graphs, self.steps, *weights)
