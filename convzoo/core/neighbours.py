"""Sums over neighbours: ``y[t] = sum over edges (s, t) of weight * x[s]``.

Two bilinear primitives, the sum and the gradient to its weights, ``x[s] . y[t]``; the transposes of each are the two
again, so every derivative is exact. ``jax.ops.segment_sum`` writes a message for each edge, and adds one after another
into memory. On a CPU a kernel of our own sums in registers (``lowering/neighbours.cc``). Where that is not there, and
the edges were sorted once, those of each target are cut into pieces of 1, 2, 4, ... ``WIDEST`` neighbours, padded with
weight 0; all pieces of one width are one expression, a sum of gathered rows that XLA keeps in registers, and a gather
puts the sums in their places.
"""

import functools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching

from convzoo.core.lowering import native
from convzoo.core.lowering.choice import forced_way, portable
from convzoo.core.lowering.primitives import primitive
from convzoo.core.shapes import wide

Array = jax.Array
SOURCE = "neighbours.cc"
SUM, DOT = native.SOURCES[SOURCE]
WIDEST = 16  # one more doubling takes twice as long to compile and is no faster


class Pieces(NamedTuple):
    """One direction. ``others`` and ``edges``: for each width, who is summed through which edge, ``[pieces, width]``;
    ``place`` the first piece of each target among all; ``extra`` (piece, target) of the further ones."""

    others: tuple[Array | np.ndarray, ...]
    edges: tuple[Array | np.ndarray, ...]
    place: Array | np.ndarray
    extra: tuple[Array | np.ndarray, Array | np.ndarray]


class Sorted(NamedTuple):
    """Both directions of the edges ``senders[e] -> targets[e]``; a target out of range is padding."""

    senders: Array
    targets: Array
    forward: Pieces
    backward: Pieces


def sort(senders: np.ndarray, targets: np.ndarray, sizes: tuple[int, int]) -> Sorted:
    """Sorts concrete edges between ``sizes`` (senders, targets) many nodes; one out of range is left out."""
    real = (targets >= 0) & (targets < sizes[1]) & (senders >= 0) & (senders < sizes[0])
    senders = np.where(real, senders, 0)
    forward, backward = pieces(senders, targets, real, sizes[1]), pieces(targets, senders, real, sizes[0])
    with jax.ensure_compile_time_eval():
        as_arrays = jax.tree.map(lambda a: jnp.asarray(a, jnp.int32), (senders, np.where(real, targets, sizes[1])))
        return Sorted(*as_arrays, *jax.tree.map(lambda a: jnp.asarray(a, jnp.int32), (forward, backward)))


def pieces(others: np.ndarray, targets: np.ndarray, real: np.ndarray, size: int) -> Pieces:
    numbers = np.nonzero(real)[0]
    numbers = numbers[np.argsort(targets[numbers], kind="stable")]
    count = np.bincount(targets[numbers], minlength=size)
    first = np.cumsum(count) - count
    parts = -(-count // WIDEST)
    owner = np.repeat(np.arange(size), parts)
    part = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    begin, length = first[owner] + part * WIDEST, np.minimum(count[owner] - part * WIDEST, WIDEST)
    width = 2 ** np.ceil(np.log2(length)).astype(int)
    order, all_others, all_edges = [], [], []
    for w in np.unique(width):
        chosen = np.nonzero(width == w)[0]
        columns = begin[chosen, None] + np.arange(w)
        inside = np.arange(w) < length[chosen, None]
        edges = numbers[np.minimum(columns, len(numbers) - 1)]
        order.append(chosen)
        all_others.append(np.where(inside, others[edges], 0))
        all_edges.append(np.where(inside, edges, len(others)))
    order = np.concatenate(order) if order else np.zeros(0, int)
    owner, part, rows = owner[order], part[order], np.arange(len(order))
    place = np.full(size, len(order))
    place[owner[part == 0]] = rows[part == 0]
    return Pieces(tuple(all_others), tuple(all_edges), place, (rows[part > 0], owner[part > 0]))


def has_kernels(dtype: str) -> bool:
    """Whether a program for this CPU sums with kernels of our own."""
    return not portable.value and not native.why_not(dtype, SOURCE)


def neighbour_sum(
    x: Array, weight: Array, senders: Array, targets: Array, size: int, table: Sorted | None = None
) -> Array:
    """``[nodes, channels] -> [size, channels]``.

    Args:
      weight: ``[edges]``, or ``[edges, heads]``: the channels lie in so many slices, each with its weight.
      senders, targets: ``[edges]``; an edge with an end out of range adds nothing.
      table: ``sort`` of the same edges, which helps where there are no kernels of our own.
    """
    weight = weight[:, None] if weight.ndim == 1 else weight
    flat, tree = jax.tree.flatten(table)
    way = forced_way.value
    return neighbour_sum_p.bind(x, weight, *integers(senders, targets), *flat, size=size, tree=tree, way=way)


def neighbour_dot(x: Array, y: Array, senders: Array, targets: Array, heads: int, table: Sorted | None = None) -> Array:
    """``x[sender] . y[target]`` for each edge and head, ``[edges, heads]``, in at least float32."""
    flat, tree = jax.tree.flatten(table)
    way = forced_way.value
    return neighbour_dot_p.bind(x, y, *integers(senders, targets), *flat, heads=heads, tree=tree, way=way)


def integers(*arrays: Array) -> list[Array]:
    return [jnp.asarray(a, jnp.int32) for a in arrays]


def turned(table: Sorted | None) -> Sorted | None:
    """The table of the transpose."""
    return table and Sorted(table.targets, table.senders, table.backward, table.forward)


def high(dtype) -> np.dtype:
    return jnp.promote_types(dtype, jnp.float32)


def is_ours(x: Array, heads: int, way: str | None) -> bool:
    known = all(isinstance(size, int) for size in x.shape)
    return way in (None, "native") and known and x.size > 0 and heads > 0 and has_kernels(x.dtype.name)


def sum_on_cpu(x: Array, weight: Array, senders: Array, targets: Array, *flat: Array, tree, way, **static) -> Array:
    if is_ours(x, weight.shape[1], way):
        return native.call(SUM, (static["size"], x.shape[1]), x, weight.astype(x.dtype), senders, targets)
    if way != "lax" and (table := jax.tree.unflatten(tree, flat)) is not None:
        return sum_of_pieces(x, weight, table.forward)
    return sum_anywhere(x, weight, senders, targets, **static)


def sum_of_pieces(x: Array, weight: Array, own: Pieces) -> Array:
    by_edge = edge_values(weight.astype(high(x.dtype)), 0)
    empty = jnp.zeros(x.shape[1], by_edge.dtype)
    y = over_pieces(lambda others, edges: by_head(x[others].astype(empty.dtype), by_edge[edges]), own, "add", empty)
    return y.astype(x.dtype)


def over_pieces(one_edge: Callable[[Array, Array], Array], own: Pieces, join: str, empty: Array) -> Array:
    """Reduces what ``one_edge(others, edges)`` gives over each target's edges; ``join`` is ``"add"`` or ``"max"``, and
    ``empty`` what a target without edges has. An edge number past the last is padding."""
    merge = jnp.maximum if join == "max" else jnp.add
    rows = []
    for others, edges in zip(own.others, own.edges, strict=True):
        terms = [one_edge(jnp.asarray(others[:, n]), jnp.asarray(edges[:, n])) for n in range(others.shape[1])]
        rows.append(functools.reduce(merge, terms))
    rows = jnp.concatenate([*rows, empty[None]])
    y, (piece, target) = rows[own.place], own.extra
    return getattr(y.at[target], join)(rows[piece]) if piece.shape[0] else y


def edge_values(values: Array, fill: float) -> Array:
    """One more edge, for padding to point at."""
    return jnp.concatenate([values, jnp.full((1, *values.shape[1:]), fill, values.dtype)])


def by_head(rows: Array, weight: Array) -> Array:
    """``[rows, channels]``, each slice times its weight."""
    if weight.shape[1] == 1:
        return rows * weight
    return (rows.reshape(*weight.shape, -1) * weight[..., None]).reshape(rows.shape)


def gather(x: Array, index: Array) -> Array:
    """Rows of ``x``; zeros where the index is out of range, so that what padding points at cannot matter."""
    if not x.shape[0]:
        return jnp.zeros((*index.shape, *x.shape[1:]), x.dtype)
    return jnp.asarray(x).at[jnp.where(index < 0, x.shape[0], index)].get(mode="fill", fill_value=0)


def sum_anywhere(x: Array, weight: Array, senders: Array, targets: Array, *_: Array, size: int, **__) -> Array:
    messages = by_head(wide(gather(x, senders)), weight.astype(high(x.dtype)))
    return jax.ops.segment_sum(messages, jnp.where(targets < 0, size, targets), size).astype(x.dtype)


def dot_on_cpu(x: Array, y: Array, senders: Array, targets: Array, *_: Array, heads: int, way, **__) -> Array:
    if is_ours(x, heads, way) and y.size:
        return native.call(DOT, (senders.shape[0], heads), x, y.astype(x.dtype), senders, targets)
    return dot_anywhere(x, y, senders, targets, heads=heads)


def dot_anywhere(x: Array, y: Array, senders: Array, targets: Array, *_: Array, heads: int, **__) -> Array:
    product = wide(gather(x, senders)) * wide(gather(y, targets))
    return product.reshape(senders.shape[0], heads, x.shape[1] // heads).sum(-1)


def sum_abstract(x, *_, size, **__):
    return ShapedArray((size, x.shape[1]), x.dtype)


def dot_abstract(x, y, senders, *_, heads, **__):
    del y
    return ShapedArray((senders.shape[0], heads), high(x.dtype))


def bilinear_jvp(p: Primitive, primals, tangents, **params):
    (a, b, *rest), (da, db) = primals, tangents[:2]
    y = p.bind(a, b, *rest, **params)
    terms = [
        p.bind(*pair, *rest, **params)
        for pair, change in (((da, b), da), ((a, db), db))
        if not isinstance(change, ad.Zero)
    ]
    return y, sum(terms[1:], terms[0]) if terms else jnp.zeros_like(y)


def sum_transpose(ct, x, weight, senders, targets, *flat, tree, way, **_):
    table, none = jax.tree.unflatten(tree, flat), [None] * (len(flat) + 4)
    if isinstance(ct, ad.Zero):
        return none
    with forced_way(way):
        if ad.is_undefined_primal(x):
            return [neighbour_sum(ct, weight, targets, senders, x.aval.shape[0], turned(table)), *none[1:]]
        to_weight = neighbour_dot(x, ct, senders, targets, weight.aval.shape[1], table)
        return [None, to_weight.astype(weight.aval.dtype), *none[2:]]


def dot_transpose(ct, x, y, senders, targets, *flat, tree, way, **_):
    table, none = jax.tree.unflatten(tree, flat), [None] * (len(flat) + 4)
    if isinstance(ct, ad.Zero):
        return none
    with forced_way(way):
        if ad.is_undefined_primal(x):
            to_x = neighbour_sum(y, ct, targets, senders, x.aval.shape[0], turned(table))
            return [to_x.astype(x.aval.dtype), *none[1:]]
        to_y = neighbour_sum(x, ct, senders, targets, y.aval.shape[0], table)
        return [None, to_y.astype(y.aval.dtype), *none[2:]]


def columns(a: Array, dim: int | None, size: int) -> Array:
    """``[rows, columns]``, batched or the same for all -> ``[rows, size * columns]``, the batch outside."""
    a = jnp.repeat(a[:, None], size, axis=1) if dim is None else jnp.moveaxis(a, dim, 1)
    return a.reshape(a.shape[0], -1)


def sum_batch(args, dims, **params):
    (x, weight), (at_x, at_weight) = args[:2], dims[:2]
    if any(dim is not None for dim in dims[2:]):
        return mapped(neighbour_sum_p, args, dims, params), 0
    if at_weight is None:  # more channels in every head
        x = jnp.moveaxis(x, at_x, -1)
        y = neighbour_sum_p.bind(x.reshape(x.shape[0], -1), *args[1:], **params)
        return y.reshape(y.shape[0], *x.shape[1:]), 2
    count = weight.shape[at_weight]  # more heads
    y = neighbour_sum_p.bind(columns(x, at_x, count), columns(weight, at_weight, count), *args[2:], **params)
    return y.reshape(y.shape[0], count, -1), 1


def dot_batch(args, dims, **params):
    (x, y), (at_x, at_y) = args[:2], dims[:2]
    if any(dim is not None for dim in dims[2:]):
        return mapped(neighbour_dot_p, args, dims, params), 0
    count = x.shape[at_x] if at_x is not None else y.shape[at_y]
    params = params | {"heads": params["heads"] * count}
    z = neighbour_dot_p.bind(columns(x, at_x, count), columns(y, at_y, count), *args[2:], **params)
    return z.reshape(z.shape[0], count, -1), 1


def mapped(p: Primitive, args, dims, params) -> Array:
    """One after the other: each has edges of its own."""
    moved = [a if dim is None else jnp.moveaxis(a, dim, 0) for a, dim in zip(args, dims, strict=True)]

    def one(own):
        own = iter(own)
        return p.bind(*(a if d is None else next(own) for a, d in zip(moved, dims, strict=True)), **params)

    return jax.lax.map(one, [a for a, dim in zip(moved, dims, strict=True) if dim is not None])


def bilinear(name: str, abstract, on_cpu, anywhere, transpose, batch) -> Primitive:
    p = primitive(name, abstract, anywhere, on_cpu)
    ad.primitive_jvps[p] = partial(bilinear_jvp, p)
    ad.primitive_transposes[p] = transpose
    batching.primitive_batchers[p] = batch
    return p


neighbour_sum_p = bilinear(SUM, sum_abstract, sum_on_cpu, sum_anywhere, sum_transpose, sum_batch)
neighbour_dot_p = bilinear(DOT, dot_abstract, dot_on_cpu, dot_anywhere, dot_transpose, dot_batch)
