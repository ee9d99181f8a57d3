"""Sums over neighbours on a CPU, from edges that were sorted once: ``y[t] = sum over edges (s, t) of weight * x[s]``.

``jax.ops.segment_sum`` adds one edge after the other into memory. Here the edges of each target are cut into pieces of
1, 2, 4, ... ``WIDEST`` neighbours, padded with weight 0; all pieces of one width are one expression, a sum of gathered
rows that XLA keeps in registers, and a gather puts the sums in their places. The transpose needs the same of the
senders, so a primitive carries both: bilinear in x and weight, closed under differentiation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Array = jax.Array
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
    """Sorts concrete edges between ``sizes`` (senders, targets) many nodes."""
    real = (targets >= 0) & (targets < sizes[1])
    senders = np.where(real, np.where(senders < 0, senders + sizes[0], senders).clip(0, sizes[0] - 1), 0)
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


def neighbour_sum(x: Array, weight: Array, table: Sorted) -> Array:
    """``[senders, channels], [edges] -> [targets, channels]``."""
    flat, tree = jax.tree.flatten(table)
    return neighbour_sum_p.bind(x, weight, *flat, tree=tree)


def turned(table: Sorted) -> Sorted:
    """The table of the transpose."""
    return Sorted(table.targets, table.senders, table.backward, table.forward)


def on_cpu(x: Array, weight: Array, *flat: Array, tree) -> Array:
    """Sums of gathered rows."""
    own = jax.tree.unflatten(tree, flat).forward
    dtype = jnp.promote_types(x.dtype, jnp.float32)
    weight = jnp.append(weight.astype(dtype), 0)
    sums = [jnp.zeros((1, x.shape[1]), dtype)]
    for others, edges in zip(reversed(own.others), reversed(own.edges), strict=True):
        by_edge = weight[edges]
        terms = [x[others[:, n]].astype(dtype) * by_edge[:, n, None] for n in range(others.shape[1])]
        sums.insert(0, sum(terms[1:], terms[0]))
    rows = jnp.concatenate(sums)
    y = rows[own.place]
    piece, target = own.extra
    if len(piece):
        y = y.at[target].add(rows[piece])
    return y.astype(x.dtype)


def anywhere(x: Array, weight: Array, *flat: Array, tree) -> Array:
    table, dtype = jax.tree.unflatten(tree, flat), jnp.promote_types(x.dtype, jnp.float32)
    messages = x.at[table.senders].get(mode="fill", fill_value=0).astype(dtype) * weight.astype(dtype)[:, None]
    return jax.ops.segment_sum(messages, table.targets, len(table.forward.place)).astype(x.dtype)


def neighbour_dot(x: Array, y: Array, table: Sorted) -> Array:
    """The gradient to the weights: ``x[sender] . y[target]`` for each edge."""
    ends = (a.at[i].get(mode="fill", fill_value=0) for a, i in ((x, table.senders), (y, table.targets)))
    return jnp.einsum("ec,ec->e", *ends)


def abstract(x, weight, *flat, tree):
    del weight
    return ShapedArray((jax.tree.unflatten(tree, flat).forward.place.shape[0], x.shape[1]), x.dtype)


def jvp(primals, tangents, *, tree):
    x, weight, *flat = primals
    table = jax.tree.unflatten(tree, flat)
    dx, dweight = tangents[:2]
    terms = []
    if not isinstance(dx, ad.Zero):
        terms.append(neighbour_sum(dx, weight, table))
    if not isinstance(dweight, ad.Zero):
        terms.append(neighbour_sum(x, dweight, table))
    y = neighbour_sum(x, weight, table)
    return y, sum(terms[1:], terms[0]) if terms else jnp.zeros_like(y)


def transpose(ct, x, weight, *flat, tree):
    table, none = jax.tree.unflatten(tree, flat), [None] * (len(flat) + 2)
    if isinstance(ct, ad.Zero):
        return none
    if ad.is_undefined_primal(x):
        return [neighbour_sum(ct, weight, turned(table)), *none[1:]]
    return [None, neighbour_dot(x, ct, table).astype(weight.aval.dtype), *none[2:]]


def batch(args, dims, *, tree):
    if all(dim is None for dim in dims[1:]):  # more channels
        x = jnp.moveaxis(args[0], dims[0], -1)
        y = neighbour_sum_p.bind(x.reshape(x.shape[0], -1), *args[1:], tree=tree)
        return y.reshape(y.shape[0], *x.shape[1:]), y.ndim
    moved = [a if dim is None else jnp.moveaxis(a, dim, 0) for a, dim in zip(args, dims, strict=True)]
    batched = [a for a, dim in zip(moved, dims, strict=True) if dim is not None]

    def one(own):
        own = iter(own)
        return neighbour_sum_p.bind(
            *(a if d is None else next(own) for a, d in zip(moved, dims, strict=True)), tree=tree
        )

    return jax.lax.map(one, batched), 0


neighbour_sum_p = Primitive("convzoo_neighbour_sum")
neighbour_sum_p.def_abstract_eval(abstract)
neighbour_sum_p.def_impl(jax.jit(neighbour_sum_p.bind, static_argnames="tree"))
ad.primitive_jvps[neighbour_sum_p] = jvp
ad.primitive_transposes[neighbour_sum_p] = transpose
batching.primitive_batchers[neighbour_sum_p] = batch
mlir.register_lowering(neighbour_sum_p, mlir.lower_fun(anywhere, multiple_results=False))
mlir.register_lowering(neighbour_sum_p, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu")
