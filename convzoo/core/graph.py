"""Graph convolution: the same weighted sum over neighbours, with the neighbours listed instead of implied.

Nodes ``[nodes, channels]``; edges are four arrays of one length. Padding is whatever points out of range: an edge whose
receiver is not in ``[0, num_receivers)``, whose sender is no node or whose tap the kernel does not have, a node whose
graph id is not in ``[0, num_graphs)``. It changes nothing. Sums are kept in at least float32.
"""

import math
import weakref
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from convzoo.core import neighbours
from convzoo.core.conv import product
from convzoo.core.shapes import (
    AXES,
    Geometry,
    Padding,
    Size,
    check_fits,
    check_floating,
    out_space,
    per_axis,
    resolve_padding,
    wide,
)

FEWEST_SORTED = 2**15  # edges from which sorting them once is worth the second it may take
sorted_tables: dict = {}


class Edges(NamedTuple):
    """Who sends to whom, through which slice of the kernel, with which weight.

    ``senders``, ``receivers`` and ``taps`` are integers ``[edges]``, ``weight`` floating ``[edges]``;
    ``num_receivers`` is a Python integer and stays one under jit. A receiver out of range is padding.
    """

    senders: Int[Array, " edges"]
    receivers: Int[Array, " edges"]
    taps: Int[Array, " edges"]
    weight: Float[Array, " edges"]
    num_receivers: int


jax.tree_util.register_pytree_with_keys(
    Edges,
    lambda e: (tuple((jax.tree_util.GetAttrKey(n), getattr(e, n)) for n in Edges._fields[:4]), e.num_receivers),
    lambda num_receivers, arrays: Edges._make((*arrays, num_receivers)),
)


def grid_edges(space: Size, window: Size, *, stride: Size = 1, dilation: Size = 1, padding: Padding = "HALF") -> Edges:
    """The graph on which ``graph_conv`` is ``conv``: nodes and taps in row-major order, weights 1.

    Args:
      space: the size of the grid, one integer per spatial axis (an integer: one axis).

    Raises:
      ValueError: a size along an axis does not fit the grid.
    """
    space = (space,) if isinstance(space, int) else tuple(space)
    rank = len(space)
    if rank not in AXES:
        raise ValueError(f"space {space} has {rank} axes; a grid has 1, 2 or 3")
    window, stride = per_axis(window, rank, "window"), per_axis(stride, rank, "stride")
    dilation = per_axis(dilation, rank, "dilation")
    pads = resolve_padding(padding, space, window, stride, dilation)
    geometry = Geometry(stride, pads, (1,) * rank, dilation)
    check_fits(space, window, geometry)
    out = out_space(space, window, geometry)

    def column(values, *shape):
        return np.asarray(values).reshape(rank, *shape)

    place = np.indices(out).reshape(rank, -1, 1)
    tap = np.indices(window).reshape(rank, 1, -1)
    before = column([before for before, _ in pads], 1, 1)
    sender = place * column(stride, 1, 1) + tap * column(dilation, 1, 1) - before
    inside = ((sender >= 0) & (sender < column(space, 1, 1))).all(0)
    receivers, taps = np.nonzero(inside)
    senders = np.ravel_multi_index(tuple(sender[:, inside]), space)
    senders, receivers, taps = (jnp.asarray(a, jnp.int32) for a in (senders, receivers, taps))
    return Edges(senders, receivers, taps, jnp.ones(senders.shape, jnp.float32), math.prod(out))


def graph_conv(
    x: Float[Array, "nodes in"],
    kernel: Float[Array, "taps in out"],
    edges: Edges,
    table: neighbours.Sorted | None = None,
) -> Float[Array, "receivers out"]:
    """``y[r] = sum over edges (s, r, t) of weight * x[s] @ kernel[t]``.

    One tap with weights ``1 / sqrt(degree * degree)`` is a GCN (Kipf & Welling 2017, arXiv:1609.02907); one tap per
    relation an R-GCN (arXiv:1703.06103); one tap per offset of a grid is ``conv`` (``grid_edges``). ``table``, from
    ``sort_edges`` of the same edges, makes the sums faster on a CPU; it needs giving only where edges are traced.

    Raises:
      ValueError: the kernel's axes or channels do not fit ``x``, the edges' arrays differ in length, or the table is of
        other edges.
      TypeError: a dtype is not floating, or the two differ.
    """
    check_floating(x=x, kernel=kernel)
    if x.ndim != 2 or kernel.ndim != 3:
        raise ValueError(
            f"x must be [nodes, in] and kernel [taps, in, out]; got {tuple(x.shape)} and {tuple(kernel.shape)}"
        )
    if kernel.shape[1] != x.shape[1]:
        raise ValueError(
            f"kernel [taps, in, out] = {tuple(kernel.shape)} takes {kernel.shape[1]} input channels; "
            f"x [nodes, in] = {tuple(x.shape)} has {x.shape[1]}"
        )
    lengths = {name: tuple(getattr(edges, name).shape) for name in Edges._fields[:4]}
    if len(set(lengths.values())) > 1 or any(len(shape) != 1 for shape in lengths.values()):
        raise ValueError(f"the edges' arrays must be [edges], all of one length; got {lengths}")
    if table is None:
        table = known_table(edges, kernel.shape[0], x)
    sizes = (edges.senders.shape[0], edges.num_receivers * kernel.shape[0], x.shape[0])
    if table is not None and (table.senders.shape[0], len(table.forward.place), len(table.backward.place)) != sizes:
        raise ValueError(
            f"the table is of {table.senders.shape[0]} edges between {len(table.backward.place)} nodes and "
            f"{len(table.forward.place)} slots (receivers x taps); these are {sizes[0]}, {sizes[2]} and {sizes[1]}"
        )
    return convolve(x, kernel, edges, table)


@partial(jax.jit, inline=False)
def convolve(x: Array, kernel: Array, edges: Edges, table: neighbours.Sorted | None = None) -> Array:
    """Checked arguments; a jit of its own so that ``cost`` finds it by name."""
    taps, (inner, outer), receivers = kernel.shape[0], kernel.shape[1:], edges.num_receivers
    if taps == 1 and outer < inner:
        return neighbour_sum(product(x, kernel[0]), edges, taps, table)
    windows = neighbour_sum(x, edges, taps, table)
    return product(windows.reshape(receivers, taps * inner), kernel.reshape(taps * inner, outer))


def slots_of(receivers, tap, num_receivers: int, taps: int, where=jnp.where):
    """A receiver's window, one slot a tap; what is out of range stays so."""
    real = (receivers >= 0) & (receivers < num_receivers) & (tap >= 0) & (tap < taps)
    return where(real, receivers * taps + tap, num_receivers * taps)


def neighbour_sum(x: Array, edges: Edges, taps: int, table: neighbours.Sorted | None) -> Array:
    slots = slots_of(edges.receivers, edges.taps, edges.num_receivers, taps)
    return neighbours.neighbour_sum(x, edges.weight, edges.senders, slots, edges.num_receivers * taps, table)


def sort_edges(edges: Edges, taps: int, nodes: int) -> neighbours.Sorted:
    """The edges sorted by receiver and by sender, which ``graph_conv`` sums several times faster on a CPU.

    It holds indices alone, so weights may change and be learned. Edges whose arrays are concrete where ``graph_conv``
    sees them (not arguments of a jitted function) are sorted by itself, once, if they are many.

    Args:
      edges: concrete arrays.
      taps: the kernel's.
      nodes: the senders' number, ``x.shape[0]``.

    Raises:
      ValueError: traced edges.
    """
    if any(isinstance(a, Tracer) for a in edges[:3]):
        raise ValueError("edges are sorted outside jit: call sort_edges where their arrays are concrete")
    senders, receivers, tap = (np.asarray(a) for a in edges[:3])
    slots = slots_of(receivers, tap, edges.num_receivers, taps, np.where)
    return neighbours.sort(senders, slots, (nodes, edges.num_receivers * taps))


def known_table(edges: Edges, taps: int, x: Array) -> neighbours.Sorted | None:
    """``sort_edges`` of many concrete edges, kept for as long as their arrays live; None for traced or few ones, and
    where kernels of our own need none."""
    arrays, count, nodes = edges[:3], edges.senders.shape[0], x.shape[0]
    if neighbours.has_kernels(x.dtype.name):
        return None
    if not isinstance(count, int) or not isinstance(nodes, int) or count < FEWEST_SORTED or nodes == 0:
        return None
    if any(isinstance(a, Tracer) for a in arrays):
        return None
    key = (*map(id, arrays), edges.num_receivers, taps, nodes)
    known = sorted_tables.get(key)
    if known is None or any(kept() is not a for kept, a in zip(known[0], arrays, strict=True)):
        for old in [k for k, (kept, _) in sorted_tables.items() if any(ref() is None for ref in kept)]:
            del sorted_tables[old]
        known = sorted_tables[key] = tuple(weakref.ref(a) for a in arrays), sort_edges(edges, taps, nodes)
    return known[1]


def neighbour_softmax(
    logits: Float[Array, "edges *heads"], receivers: Int[Array, " edges"], num_receivers: int
) -> Float[Array, "edges *heads"]:
    """Softmax over the edges of each receiver (0 for padding): the attention of a GAT (arXiv:1710.10903)."""
    high, inside = wide(logits), (receivers >= 0) & (receivers < num_receivers)
    real = inside.reshape(-1, *(1,) * (logits.ndim - 1))
    most = jax.lax.stop_gradient(jax.ops.segment_max(high, receivers, num_receivers))
    place = jnp.where(inside, receivers, 0)
    power = jnp.where(real, jnp.exp(jnp.where(real, high - most[place], 0)), 0)
    total = jax.ops.segment_sum(power, receivers, num_receivers)
    return (power / jnp.where(real, total[place], 1)).astype(logits.dtype)


def readout(
    x: Float[Array, "nodes channels"],
    graph_id: Int[Array, " nodes"],
    num_graphs: int,
    *,
    kind: str = "mean",
    mask: Bool[Array, " nodes"] | None = None,
) -> Float[Array, "graphs channels"]:
    """The ``"sum"``, ``"mean"`` or ``"max"`` over the nodes of each graph; 0 for a graph without nodes.

    Args:
      graph_id: the graph of each node; one not in ``[0, num_graphs)`` is padding.
      mask: False for nodes to leave out.

    Raises:
      ValueError: an unknown kind.
    """
    if mask is not None:
        graph_id = jnp.where(mask, graph_id, num_graphs)
    if kind == "max":
        most = jax.ops.segment_max(x, graph_id, num_graphs)
        return jnp.where(jnp.isneginf(most), 0, most)
    if kind not in ("sum", "mean"):
        raise ValueError(f"kind {kind!r} is not known; it must be 'sum', 'mean' or 'max'")
    total = jax.ops.segment_sum(wide(x), graph_id, num_graphs)
    if kind == "mean":
        count = jax.ops.segment_sum(jnp.ones(x.shape[0], total.dtype), graph_id, num_graphs)
        total = total / jnp.maximum(count, 1)[:, None]
    return total.astype(x.dtype)
