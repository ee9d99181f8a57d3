"""Ways for one input channel per group: sums of shifted inputs, which XLA fuses into one loop.

``x[*space, in]`` meets ``kernel[*window, 1, in * multiplier]``; a multiplier repeats the channels of x.
"""

import functools
import itertools
import math
import operator

import jax
import jax.numpy as jnp
from jax import lax

from convzoo.core.lowering.windows import Array, divisor, exact_pads, pad_space, window_slices
from convzoo.core.shapes import Geometry, out_space, reach, wide

MOST_ROWS = 28  # rows summed in one expression: more saves memory traffic, costs compile time and registers
MOST_UNROLLED = 9
MOST_COLUMNS = 8
CHAINS = 4
PAGE = 4096  # rows a multiple of half of this apart fall into the same lines of the first cache


def repeat(x: Array, channels: int) -> Array:
    return x if x.shape[-1] == channels else jnp.repeat(x, channels // x.shape[-1], axis=-1)


# --- conv -------------------------------------------------------------------------------------------------------------


def shift_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """The sum over taps of shifted inputs times one row of the kernel."""
    window, x = kernel.shape[:-2], repeat(x, kernel.shape[-1])
    out = out_space(x.shape[1:-1], window, geometry)
    terms = [wide(piece) * wide(kernel[tap][0]) for tap, piece in window_slices(x, window, geometry, out)]
    return total_of(terms).astype(x.dtype)


def border_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Without a padded copy of x: the windows that lie inside it in one pass, then the borders written over."""
    window, rank = kernel.shape[:-2], x.ndim - 2
    out, reaches = out_space(x.shape[1:-1], window, geometry), reach(window, geometry.dilation)
    inside = []  # the outputs along each axis whose window lies inside x
    for n, o, s, r, (before, _) in zip(x.shape[1:-1], out, geometry.stride, reaches, geometry.pads, strict=True):
        low = min(max(-(-before // s), 0), o)
        inside.append((low, max(min((n - 1 - r + before) // s + 1, o), low)))
    if any(low == high for low, high in inside):
        return shift_conv(x, kernel, geometry)

    def part(ranges):
        """The outputs in these ranges, by cutting or padding x to what they need."""
        befores = [(b - low * s, 0) for (low, _), s, (b, _) in zip(ranges, geometry.stride, geometry.pads, strict=True)]
        moved = geometry._replace(pads=tuple(befores))
        pads = exact_pads(x.shape[1:-1], window, moved, [high - low for low, high in ranges])
        return shift_conv(x, kernel, geometry._replace(pads=pads))

    y = pad_space(part(inside), [(low, o - high) for (low, high), o in zip(inside, out, strict=True)])
    for axis, (low, high) in enumerate(inside):
        for ends in ((0, low), (high, out[axis])):
            if ends[0] < ends[1]:
                ranges = [(0, o) for o in out]
                ranges[axis] = ends
                start = [0] * (rank + 2)
                start[axis + 1] = ends[0]
                y = lax.dynamic_update_slice(y, part(ranges), start)
    return y


def image_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """A loop over the examples, so that the padded copy of each stays in the cache."""
    out = out_space(x.shape[1:-1], kernel.shape[:-2], geometry)

    def step(n, y):
        one = shift_conv(lax.dynamic_slice_in_dim(x, n, 1), kernel, geometry)
        return lax.dynamic_update_slice_in_dim(y, one, n, 0)

    return lax.fori_loop(0, x.shape[0], step, jnp.zeros((x.shape[0], *out, kernel.shape[-1]), x.dtype))


# --- kernel_grad ------------------------------------------------------------------------------------------------------


def column_sum(rows: Array) -> Array:
    """``[n, c] -> [c]`` as a product, which keeps XLA from fusing, and so repeating, what made the rows."""
    return (jnp.ones((1, rows.shape[0]), rows.dtype) @ rows)[0]


def total_of(terms: list[Array]) -> Array:
    """Their sum in ``CHAINS`` partial sums: in a single one each addition waits for the one before it."""
    chains = [functools.reduce(operator.add, terms[n::CHAINS]) for n in range(min(CHAINS, len(terms)))]
    return functools.reduce(operator.add, chains)


def unroll_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """For each tap one pass over everything, ``MOST_ROWS // 2`` rows summed in one expression.

    Every pass is a kernel of its own to compile, so beyond ``MOST_UNROLLED`` taps the blocks of rows take over.
    """
    if math.prod(window) > MOST_UNROLLED:
        return tile_kernel_grad(x, y, geometry, window)
    x_wide = wide(repeat(x, y.shape[-1]))
    rows = divisor(y.shape[1], MOST_ROWS // 2)
    y_wide, taps = wide(y), []
    for _, piece in window_slices(x_wide, window, geometry, y.shape[1:-1]):
        taps.append(
            column_sum(total_of([piece[:, h::rows] * y_wide[:, h::rows] for h in range(rows)]).reshape(-1, y.shape[-1]))
        )
    return jnp.stack(taps).reshape(*window, 1, y.shape[-1]).astype(x.dtype)


def as_rows(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]):
    """One spatial axis cut into overlapping rows: the same sum over two axes with a window of 1 along the first."""
    stride, span, length = geometry.stride[0], reach(window, geometry.dilation)[0], y.shape[1]
    rows = max(min(MOST_ROWS, length // 32), 1)
    width = -(-length // rows)
    x = pad_space(x, exact_pads(x.shape[1:-1], window, geometry, [rows * width]))
    pieces = [x[:, r * width * stride : ((r + 1) * width - 1) * stride + span + 1] for r in range(rows)]
    y = pad_space(y, [(0, rows * width - length)]).reshape(y.shape[0], rows, width, y.shape[-1])
    flat = Geometry((1, stride), ((0, 0),) * 2, (1, 1), (1, *geometry.dilation), geometry.groups)
    return jnp.stack(pieces, 1), y, flat, (1, *window)


def tile_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """A loop over blocks of up to ``MOST_ROWS`` rows and over the taps, up to ``MOST_COLUMNS`` of a row of taps at a
    time; each block stays in the cache.

    The sum over a block's rows, for all columns at once, is one expression, so it needs no memory; the sum over the
    columns follows as a product.
    """
    if x.ndim == 3:
        return tile_kernel_grad(*as_rows(x, y, geometry, window)).reshape(*window, 1, y.shape[-1])
    batch, *lead, height, width, channels = y.shape
    x = repeat(x, channels)
    rows = -(-height // -(-height // MOST_ROWS))
    blocks = -(-height // rows)
    images = divisor(batch, MOST_ROWS // rows)
    stride, dilation = geometry.stride, geometry.dilation
    extent = [*lead, blocks * rows, width]
    turns = -(-window[-1] // MOST_COLUMNS)
    together = -(-window[-1] // turns)  # taps; the last turn may go beyond the window, into zeros
    ends = list(exact_pads(x.shape[1:-1], (*window[:-1], turns * together), geometry, extent))
    row = (x.shape[-2] + sum(ends[-1])) * channels * x.dtype.itemsize * stride[-2]
    extra = next(e for e in range(PAGE) if (row + e * channels * x.dtype.itemsize * stride[-2]) % (PAGE // 2) or e == 4)
    ends[-1] = (ends[-1][0], ends[-1][1] + extra)
    x = pad_space(x, ends)
    y = pad_space(y, [*((0, 0) for _ in lead), (0, blocks * rows - height), (0, 0)])
    sizes = (batch // images, *lead, blocks, *window[:-1], turns)
    columns = (width - 1) * stride[-1] + (together - 1) * dilation[-1] + 1
    rank, ones = len(lead), (1,) * len(lead)

    def step(index, total):
        places = []
        for size in reversed(sizes):
            places.insert(0, index % size)
            index = index // size
        image, above, block = places[0] * images, places[1 : 1 + rank], places[1 + rank] * rows
        *taps, turn = places[2 + rank :]
        y_start = (image, *above, block, 0, 0)
        y_block = lax.dynamic_slice(y, y_start, (images, *ones, rows, width, channels))
        starts = [o * s + t * d for o, s, t, d in zip([*above, block], stride, taps, dilation, strict=False)]
        x_size = (images, *ones, (rows - 1) * stride[-2] + 1, columns, channels)
        x_block = lax.dynamic_slice(x, (image, *starts, turn * (together * dilation[-1]), 0), x_size)
        x_block = wide(x_block.reshape(images, *x_size[-3:]))
        y_block = wide(y_block.reshape(images, rows, width, channels))
        sums = []
        for tap in range(together):
            first = tap * dilation[-1]
            own = slice(first, first + (width - 1) * stride[-1] + 1, stride[-1])
            pairs = itertools.product(range(images), range(rows))
            sums.append(column_sum(total_of([x_block[n, h * stride[-2], own] * y_block[n, h] for n, h in pairs])))
        place = jnp.ravel_multi_index((*taps, turn), (*window[:-1], turns), mode="clip")
        old = lax.dynamic_slice_in_dim(total, place, 1)
        return lax.dynamic_update_slice_in_dim(total, old + jnp.stack(sums)[None], place, 0)

    start = jnp.zeros((math.prod(window[:-1]) * turns, together, channels), wide(y).dtype)
    total = jax.lax.fori_loop(0, math.prod(sizes), step, start)
    total = total.reshape(*window[:-1], turns * together, 1, channels)
    return lax.slice_in_dim(total, 0, window[-1], axis=len(window) - 1).astype(x.dtype)
