"""The standard graph layers as pure functions: each a few lines over gather, weigh, reduce (``messages.py``).

x ``[nodes, channels]``, kernels ``[in, out]``, edge features ``[edges, channels]``. Biases and activations are the
caller's. Every message is multiplied by its edge's weight, 1 in most of the papers.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from convzoo.core import neighbours
from convzoo.core.conv import product
from convzoo.core.graph import Edges, graph_conv, neighbour_softmax, readout
from convzoo.core.messages import (
    attend,
    check_square,
    degree,
    gather,
    laplacian_edges,
    neighbour_reduce,
    reduce_messages,
    relation_mean_edges,
    untapped,
)
from convzoo.core.recurrent import lstm
from convzoo.core.shapes import wide

Nodes = Float[Array, "nodes in"]
Out = Float[Array, "receivers out"]
Features = Float[Array, "edges in_edge"]
Table = neighbours.Sorted | None


def gcn(x: Nodes, kernel: Float[Array, "in out"], edges: Edges, table: Table = None) -> Out:
    """Kipf & Welling 2017, arXiv:1609.02907. Takes edges from ``gcn_edges``."""
    return graph_conv(x, kernel[None], untapped(edges), table)


def gcn2(
    x: Nodes,
    initial: Nodes,
    kernel: Float[Array, "in in"],
    edges: Edges,
    alpha: float,
    beta: float,
    table: Table = None,
) -> Out:
    """A layer of GCNII (Chen et al. 2020, arXiv:2007.02133): the neighbours' sum with a share ``alpha`` of what the
    first layer had, times ``(1 - beta) identity + beta kernel``. Takes edges from ``gcn_edges``."""
    y = (1 - alpha) * neighbour_reduce(x, edges, "sum", table) + alpha * initial[: edges.num_receivers]
    return (1 - beta) * y + beta * product(y, kernel)


def sage(x: Nodes, kernel: Array, own: Array, edges: Edges, kind: str = "mean", table: Table = None) -> Out:
    """GraphSAGE with the mean, max or sum of the neighbours (Hamilton et al. 2017, arXiv:1706.02216)."""
    return product(neighbour_reduce(x, edges, kind, table), kernel) + product(x[: edges.num_receivers], own)


def gin(x: Nodes, epsilon: float | Array, edges: Edges, table: Table = None) -> Out:
    """What GIN's perceptron takes: neighbours' sum and ``(1 + epsilon)`` of its own (Xu et al. 2019,
    arXiv:1810.00826)."""
    return neighbour_reduce(x, edges, "sum", table) + (1 + epsilon) * x[: edges.num_receivers]


def gine(x: Nodes, features: Features, epsilon: float | Array, edges: Edges) -> Out:
    """GIN with edge features, as wide as x (Hu et al. 2020, arXiv:1905.12265)."""
    messages = jax.nn.relu(gather(x, edges.senders) + features)
    return reduce_messages(messages, edges) + (1 + epsilon) * x[: edges.num_receivers]


def gat(
    values: Float[Array, "nodes heads out"],
    source: Float[Array, "heads out"],
    target: Float[Array, "heads out"],
    edges: Edges,
    *,
    slope: float = 0.2,
    keep: Array | None = None,
    table: Table = None,
) -> Float[Array, "receivers heads out"]:
    """Graph attention over transformed nodes (Veličković et al. 2018, arXiv:1710.10903); the paper's edges have
    self-loops. ``keep``, ``table``: see ``attend``."""
    sent, heard = (values * source).sum(-1), (values * target).sum(-1)
    logits = jax.nn.leaky_relu(gather(sent, edges.senders) + gather(heard, edges.receivers), slope)
    return attend(values, logits, edges, keep, table)


def gatv2(
    sent: Float[Array, "nodes heads out"],
    heard: Float[Array, "nodes heads out"],
    attention: Float[Array, "heads out"],
    edges: Edges,
    *,
    slope: float = 0.2,
    keep: Array | None = None,
    table: Table = None,
) -> Float[Array, "receivers heads out"]:
    """Attention that depends on both ends together (Brody et al. 2022, arXiv:2105.14491)."""
    pair = jax.nn.leaky_relu(gather(sent, edges.senders) + gather(heard, edges.receivers), slope)
    return attend(sent, (pair * attention).sum(-1), edges, keep, table)


def chebyshev(x: Nodes, kernel: Float[Array, "order in out"], edges: Edges, *, largest: float = 2.0) -> Out:
    """A polynomial of the scaled Laplacian, one kernel a degree (Defferrard et al. 2016, arXiv:1606.09375)."""
    check_square(x, edges, "chebyshev")
    laplacian = untapped(laplacian_edges(edges, largest=largest))
    before, now = x, x
    total = product(x, kernel[0])
    for order in range(1, kernel.shape[0]):
        after = neighbour_reduce(now, laplacian)
        before, now = now, after if order == 1 else 2 * after - before
        total = total + product(now, kernel[order])
    return total


def propagate(x: Nodes, edges: Edges, steps: int, *, restart: float = 0.0, table: Table = None) -> Out:
    """``steps`` times over the edges of ``gcn_edges``: SGC (Wu et al. 2019, arXiv:1902.07153), and with a ``restart``
    probability APPNP (Gasteiger et al. 2019, arXiv:1810.05997)."""
    check_square(x, edges, "propagate")
    first = x
    for _ in range(steps):
        x = neighbour_reduce(x, edges, "sum", table)
        x = (1 - restart) * x + restart * first if restart else x
    return x


def rgcn(x: Nodes, kernel: Float[Array, "relations in out"], own: Array, edges: Edges) -> Out:
    """A mean over each relation's neighbours, a tap a relation (Schlichtkrull et al. 2018, arXiv:1703.06103)."""
    return graph_conv(x, kernel, relation_mean_edges(edges, kernel.shape[0])) + product(x[: edges.num_receivers], own)


def edge_conv(x: Nodes, message: Callable[[Array], Array], edges: Edges, kind: str = "max") -> Out:
    """The maximum of ``message([own, neighbour - own])`` (Wang et al. 2019, arXiv:1801.07829)."""
    own = gather(x, edges.receivers)
    return reduce_messages(message(jnp.concatenate([own, gather(x, edges.senders) - own], -1)), edges, kind)


def ends(x: Nodes, edges: Edges, features: Features | None) -> Float[Array, "edges channels"]:
    """[own, neighbour's, edge's] features of each edge."""
    parts = [gather(x, edges.receivers), gather(x, edges.senders)]
    return jnp.concatenate(parts if features is None else [*parts, features], -1)


def crystal(x: Nodes, gate: Callable, content: Callable, edges: Edges, features: Features | None = None) -> Out:
    """Crystal graph convolution: gated messages and a residual (Xie & Grossman 2018, arXiv:1710.10324). ``gate`` and
    ``content`` are affine maps of [own, neighbour's, edge's] features."""
    check_square(x, edges, "crystal")
    both = ends(x, edges, features)
    return reduce_messages(jax.nn.sigmoid(gate(both)) * jax.nn.softplus(content(both)), edges) + x


def edge_network(x: Nodes, kernels: Float[Array, "edges in out"], edges: Edges, kind: str = "sum") -> Out:
    """A kernel for each edge, computed from its features: the MPNN's message (Gilmer et al. 2017, arXiv:1704.01212)."""
    return reduce_messages(jnp.einsum("ei,eio->eo", gather(x, edges.senders), kernels), edges, kind)


SCALERS = ("identity", "amplification", "attenuation", "linear", "inverse_linear")


def principal(
    messages: Float[Array, "edges towers channels"],
    edges: Edges,
    kinds: Sequence[str],
    scalers: Sequence[str],
    mean_degree: float,
    mean_log_degree: float,
) -> Float[Array, "receivers towers many"]:
    """Principal neighbourhood aggregation: every kind of reduction times every scaler, concatenated, scalers outermost
    (Corso et al. 2020, arXiv:2004.05718).

    Args:
      mean_degree, mean_log_degree: means of the degree and of ``log(degree + 1)`` over the training set's nodes.

    Raises:
      ValueError: an unknown kind or scaler.
    """
    shape = messages.shape[1:]
    flat = messages.reshape(messages.shape[0], math.prod(shape))
    reduced = [reduce_messages(flat, edges, kind).reshape(edges.num_receivers, *shape) for kind in kinds]
    many, count = jnp.concatenate(reduced, -1), degree(edges)[:, None, None].astype(messages.dtype)
    least = jnp.maximum(count, 1)
    factors = {
        "identity": jnp.ones_like(count),
        "amplification": jnp.log(count + 1) / mean_log_degree,
        "attenuation": mean_log_degree / jnp.log(least + 1),
        "linear": count / mean_degree,
        "inverse_linear": mean_degree / least,
    }
    if unknown := [s for s in scalers if s not in factors]:
        raise ValueError(f"scalers {unknown} are not known; there are {SCALERS}")
    return jnp.concatenate([many * factors[scaler] for scaler in scalers], -1)


def graph_norm(
    x: Nodes,
    graph_id: Int[Array, " nodes"],
    num_graphs: int,
    scale: Array,
    bias: Array,
    mean_scale: Array,
    *,
    epsilon: float = 1e-5,
) -> Out:
    """Normalises each graph, taking away a learned share of its mean (Cai et al. 2021, arXiv:2009.03294)."""
    high = wide(x)
    centred = high - gather(readout(high, graph_id, num_graphs, kind="mean"), graph_id) * wide(mean_scale)
    variance = readout(jnp.square(centred), graph_id, num_graphs, kind="mean")
    y = wide(scale) * centred * jax.lax.rsqrt(gather(variance, graph_id) + epsilon) + wide(bias)
    return y.astype(x.dtype)


def attention_readout(
    values: Nodes, gate: Float[Array, "nodes 1"], graph_id: Int[Array, " nodes"], num_graphs: int
) -> Float[Array, "graphs out"]:
    """The sum over each graph's nodes by a softmax of their gates (Li et al. 2016, arXiv:1511.05493)."""
    return readout(neighbour_softmax(gate, graph_id, num_graphs) * values, graph_id, num_graphs, kind="sum")


def set2set(
    x: Nodes,
    graph_id: Int[Array, " nodes"],
    num_graphs: int,
    steps: int,
    kernel: Float[Array, "twice gates"],
    recurrent: Float[Array, "in gates"],
    bias: Float[Array, " gates"],
) -> Float[Array, "graphs twice"]:
    """An LSTM asks, each graph's nodes answer, ``steps`` times (Vinyals et al. 2016, arXiv:1511.06391)."""
    told = kept = jnp.zeros((num_graphs, x.shape[1]), x.dtype)
    asked = jnp.concatenate([told, told], -1)
    for _ in range(steps):
        told, kept = lstm(asked @ kernel + told @ recurrent + bias, kept)
        match = (x * gather(told, graph_id)).sum(-1, keepdims=True)
        asked = jnp.concatenate([told, attention_readout(x, match, graph_id, num_graphs)], -1)
    return asked
