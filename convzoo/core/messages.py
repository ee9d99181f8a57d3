"""What every graph layer is made of: gather what neighbours send, weigh it, reduce it where it arrives.

Nodes ``[nodes, channels]``, edges as in ``graph.py``: a receiver out of range is padding and changes nothing, and every
message is multiplied by its edge's weight before it is reduced. Taps matter to ``graph_conv`` and ``rgcn`` alone.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from convzoo.core import graph, neighbours
from convzoo.core.conv import product
from convzoo.core.graph import Edges, neighbour_softmax, readout
from convzoo.core.neighbours import edge_values, gather, over_pieces
from convzoo.core.shapes import wide

KINDS = ("sum", "mean", "max", "min", "std")
FLAT = 1e-5  # a variance up to this counts as none, in value and in gradient


class SparseRows(NamedTuple):
    """A matrix of few nonzeros [rows, width] as edges from columns to rows, weighted by its values.

    Times a kernel it is a sum over neighbours: what a row's columns send is their slice of the kernel. ``table`` is
    ``sort_edges(edges, 1, width)`` or None; ``width`` is static.
    """

    edges: Edges
    table: neighbours.Sorted | None
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.edges.num_receivers, self.width


jax.tree_util.register_pytree_node(SparseRows, lambda r: (r[:2], r.width), lambda width, two: SparseRows(*two, width))


def times(x: Float[Array, "rows width"] | SparseRows, kernel: Float[Array, "width out"]) -> Float[Array, "rows out"]:
    """``x @ kernel`` in the kernel's dtype, dense or sparse."""
    if isinstance(x, SparseRows):
        own = x.edges
        return neighbours.neighbour_sum(kernel, own.weight, own.senders, own.receivers, own.num_receivers, x.table)
    return product(x.astype(kernel.dtype), kernel)


def check_square(x: Array, edges: Edges, what: str) -> None:
    """Raises ValueError unless senders and receivers are the same nodes."""
    if x.shape[0] != edges.num_receivers:
        raise ValueError(
            f"{what} sees a node's own features, so senders and receivers must be the same nodes; x has {x.shape[0]} "
            f"nodes and the edges {edges.num_receivers} receivers"
        )


def check_table(table: neighbours.Sorted | None, edges: Edges, nodes: int) -> None:
    """Raises ValueError for a table of other edges."""
    if table is None:
        return
    found = table.senders.shape[0], table.backward.place.shape[0], table.forward.place.shape[0]
    if found != (asked := (edges.senders.shape[0], nodes, edges.num_receivers)):
        raise ValueError(
            f"the table is of {found[0]} edges from {found[1]} to {found[2]} nodes; these are {asked[0]} from "
            f"{asked[1]} to {asked[2]}: sort the edges that the layer sums over, self-loops included, as one tap"
        )


def real_edges(edges: Edges) -> Bool[Array, " edges"]:
    """False for padding."""
    return (edges.receivers >= 0) & (edges.receivers < edges.num_receivers)


def reduce_messages(
    messages: Float[Array, "edges channels"], edges: Edges, kind: str = "sum"
) -> Float[Array, "receivers channels"]:
    """The ``"sum"``, ``"mean"``, ``"max"``, ``"min"`` or ``"std"`` of what arrives at each receiver, times the edges'
    weights; 0 where nothing does. A mean divides by the number of edges.

    Raises:
      ValueError: an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is not known; it must be one of {KINDS}")
    messages, receivers, size = weigh(messages, edges), edges.receivers, edges.num_receivers
    if kind == "min":
        return -readout(-messages, receivers, size, kind="max")
    if kind == "std":
        mean, square = (readout(m, receivers, size, kind="mean") for m in (messages, jnp.square(messages)))
        variance = square - jnp.square(mean)
        spread = variance > FLAT
        return jnp.where(spread, jnp.sqrt(jnp.where(spread, variance, 1)), 0)
    return readout(messages, receivers, size, kind=kind)


def weigh(messages: Float[Array, "edges *shape"], edges: Edges) -> Float[Array, "edges *shape"]:
    """Each message times its edge's weight."""
    return messages * edges.weight.astype(messages.dtype).reshape(-1, *(1,) * (messages.ndim - 1))


def neighbour_reduce(
    x: Float[Array, "nodes channels"], edges: Edges, kind: str = "sum", table: neighbours.Sorted | None = None
) -> Float[Array, "receivers channels"]:
    """``reduce_messages`` of what the senders hold; ``table`` (``sort_edges`` with one tap) makes sums and means fast.

    Raises:
      ValueError: an unknown kind.
    """
    if kind not in ("sum", "mean"):
        return reduce_messages(gather(x, edges.senders), edges, kind)
    check_table(table, edges, x.shape[0])
    table = graph.known_table(untapped(edges), 1, x) if table is None else table
    total = neighbours.neighbour_sum(x, edges.weight, edges.senders, edges.receivers, edges.num_receivers, table)
    return total / jnp.maximum(degree(edges), 1).astype(x.dtype)[:, None] if kind == "mean" else total


def degree(edges: Edges, *, weighted: bool = False, by: str = "receivers") -> Float[Array, " receivers"]:
    """How many edges arrive at each node (with ``by="senders"``: leave it), or the sum of their weights."""
    ends = jnp.where(real_edges(edges), getattr(edges, by), edges.num_receivers)
    weight = wide(edges.weight)
    return jax.ops.segment_sum(weight if weighted else jnp.ones_like(weight), ends, edges.num_receivers)


def untapped(edges: Edges) -> Edges:
    """The same edges, all through tap 0."""
    return edges._replace(taps=zeros(edges.senders.shape[0]))


@lru_cache(maxsize=64)
def zeros(size: int) -> np.ndarray:
    """One array a size, so that edges sorted once are known again."""
    return np.zeros(size, np.int32)


def without_loops(edges: Edges) -> Edges:
    """Self-loops become padding."""
    loops = edges.senders == edges.receivers
    return edges._replace(receivers=jnp.where(loops, edges.num_receivers, edges.receivers))


def with_loops(edges: Edges, *, weight: float = 1.0, keep: bool = False, tap: int = 0) -> Edges:
    """Exactly one self-loop a node, after the other edges.

    Args:
      keep: a node's own loop (the last, if it has several) keeps its weight.
    """
    size, count = edges.num_receivers, edges.senders.shape[0]
    own = jnp.full(size, weight, edges.weight.dtype)
    if keep:
        loops = (edges.senders == edges.receivers) & real_edges(edges)
        last = jax.ops.segment_max(jnp.where(loops, jnp.arange(count), -1), edges.receivers, size)
        own = jnp.where(last >= 0, gather(edges.weight, last), own)
    nodes, rest = jnp.arange(size, dtype=edges.senders.dtype), without_loops(edges)
    return Edges(
        jnp.concatenate([rest.senders, nodes]),
        jnp.concatenate([rest.receivers, nodes]),
        jnp.concatenate([rest.taps, jnp.full(size, tap, edges.taps.dtype)]),
        jnp.concatenate([rest.weight, own]),
        size,
    )


def scaled(edges: Edges, by: Float[Array, " nodes"]) -> Edges:
    """Each weight times ``1 / sqrt(by)`` of both ends (0 where ``by`` is 0)."""
    root = jnp.where(by > 0, jax.lax.rsqrt(jnp.where(by > 0, by, 1)), 0)
    weight = gather(root, edges.senders) * edges.weight * gather(root, edges.receivers)
    return edges._replace(weight=weight.astype(edges.weight.dtype))


def gcn_edges(edges: Edges, *, loops: bool = True) -> Edges:
    """Weights over ``sqrt(degree · degree)`` of both ends, self-loops added first (Kipf & Welling 2017,
    arXiv:1609.02907): ``D^-1/2 (A + I) D^-1/2`` as edges. A degree is the sum of the weights that arrive."""
    edges = with_loops(edges, keep=True) if loops else edges
    return scaled(edges, degree(edges, weighted=True))


def laplacian_edges(edges: Edges, *, largest: float = 2.0) -> Edges:
    """``2 L / largest - I`` as edges, ``L = I - D^-1/2 A D^-1/2`` without self-loops: what Chebyshev polynomials take
    (Defferrard et al. 2016, arXiv:1606.09375). ``largest`` bounds L's eigenvalues, 2 whatever the graph."""
    rest = without_loops(edges)
    scale = 2.0 / largest
    rest = scaled(rest, degree(rest, weighted=True, by="senders"))
    return with_loops(rest._replace(weight=-scale * rest.weight), weight=scale - 1.0)


def relation_mean_edges(edges: Edges, relations: int) -> Edges:
    """Weights such that ``graph_conv`` adds up a mean for each relation (tap)."""
    slots = graph.slots_of(edges.receivers, edges.taps, edges.num_receivers, relations)
    count = jax.ops.segment_sum(jnp.ones_like(edges.weight), slots, edges.num_receivers * relations)
    return edges._replace(weight=edges.weight / jnp.maximum(gather(count, slots), 1))


def virtual_node_edges(
    edges: Edges, graph_id: Int[Array, " nodes"], num_graphs: int, taps: int
) -> tuple[Edges, Int[Array, " all_nodes"]]:
    """One more node a graph, after the others, that hears from every node through tap ``taps`` and answers through
    ``taps + 1`` (Gilmer et al. 2017, arXiv:1704.01212). Returns the edges and the graph of every node."""
    nodes = jnp.arange(edges.num_receivers, dtype=edges.senders.dtype)
    inside = (graph_id >= 0) & (graph_id < num_graphs)
    size = edges.num_receivers + num_graphs
    centre = jnp.where(inside, edges.num_receivers + graph_id, size).astype(edges.senders.dtype)
    receivers = jnp.where(real_edges(edges), edges.receivers, size)
    kind = jnp.full(edges.num_receivers, taps, edges.taps.dtype)
    more = Edges(
        jnp.concatenate([edges.senders, nodes, jnp.where(inside, centre, 0)]),
        jnp.concatenate([receivers, centre, jnp.where(inside, nodes, size)]),
        jnp.concatenate([edges.taps, kind, kind + 1]),
        jnp.concatenate([edges.weight, jnp.ones(2 * edges.num_receivers, edges.weight.dtype)]),
        size,
    )
    return more, jnp.concatenate([graph_id, jnp.arange(num_graphs, dtype=graph_id.dtype)])


def attend(
    values: Float[Array, "nodes heads out"],
    logits: Float[Array, "edges heads"],
    edges: Edges,
    keep: Array | None = None,
    table: neighbours.Sorted | None = None,
) -> Float[Array, "receivers heads out"]:
    """The sum of what neighbours hold, by a softmax of the logits over the edges of each receiver.

    Args:
      keep: multiplies the shares, [edges, heads]: dropout on attention.
      table: ``sort_edges`` with one tap, of these edges; faster on a CPU, without forward-mode derivatives.
    """
    check_table(table, edges, values.shape[0])
    if table is None:
        share = neighbour_softmax(logits, edges.receivers, edges.num_receivers)
    else:
        share = sorted_softmax(logits, table)
    share = weigh(share if keep is None else share * keep, edges)
    rows, size = values.reshape(values.shape[0], -1), edges.num_receivers
    summed = neighbours.neighbour_sum(rows, share, edges.senders, edges.receivers, size, table)
    return summed.reshape(size, *values.shape[1:])


@jax.custom_vjp
def edge_sum(values: Float[Array, "edges heads"], table: neighbours.Sorted) -> Float[Array, "receivers heads"]:
    """The sum of a value an edge at each receiver."""
    more = edge_values(values, 0)
    return over_pieces(lambda _, edges: more[edges], table.forward, "add", jnp.zeros(values.shape[1:], values.dtype))


edge_sum.defvjp(
    lambda values, table: (edge_sum(values, table), table), lambda table, ct: (gather(ct, table.targets), None)
)


def sorted_softmax(logits: Float[Array, "edges heads"], table: neighbours.Sorted) -> Float[Array, "edges heads"]:
    """``neighbour_softmax`` by sorted edges."""
    high, targets = wide(logits), table.targets
    more = edge_values(jax.lax.stop_gradient(high), -jnp.inf)
    most = over_pieces(lambda _, edges: more[edges], table.forward, "max", jnp.zeros(high.shape[1:], high.dtype))
    real = (targets < len(table.forward.place))[:, None]
    power = jnp.where(real, jnp.exp(jnp.where(real, high - gather(most, targets), 0)), 0)
    total = gather(edge_sum(power, table), targets)
    return (power / jnp.where(real, total, 1)).astype(logits.dtype)
