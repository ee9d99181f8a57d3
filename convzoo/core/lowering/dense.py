"""Ways for all channels at once: XLA's convolution, matrix products, and the pixel shuffle for a dilated input."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from convzoo.core.lowering.windows import Array, exact_pads, pad_space, window_slices
from convzoo.core.shapes import Geometry, out_space

# --- XLA's own --------------------------------------------------------------------------------------------------------


def lax_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """XLA's own convolution."""
    axes = "DHW"[-(x.ndim - 2) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=geometry.stride,
        padding=geometry.pads,
        lhs_dilation=geometry.in_dilation,
        rhs_dilation=geometry.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=geometry.groups,
    )


def lax_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """XLA's own, by the transpose of its convolution."""
    shape = (*window, x.shape[-1] // geometry.groups, y.shape[-1])
    return jax.linear_transpose(lambda k: lax_conv(x, k, geometry), jax.ShapeDtypeStruct(shape, x.dtype))(y)[0]


def plain_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """XLA's own convolution of x with y, batch and channels exchanged by transposes of our own.

    XLA does the same exchange by itself, but only outside loops: inside ``lax.scan`` a convolution whose axes are
    named in another order falls into a loop nest 100 times slower.
    """
    pads = exact_pads(x.shape[1:-1], window, geometry, y.shape[1:-1])
    exchanged = Geometry(geometry.dilation, pads, geometry.in_dilation, geometry.stride)
    z = lax_conv(jnp.moveaxis(x, (0, -1), (-1, 0)), jnp.moveaxis(y, 0, -2), exchanged)
    return jnp.moveaxis(z, 0, -2)


# --- every window as a row: one matrix product ------------------------------------------------------------------------


def disjoint_rows(x: Array, window: tuple[int, ...], geometry: Geometry, out: tuple[int, ...]) -> Array:
    """``[batch * out, taps * in]``: every window as one row, where none overlap."""
    ends = [
        (before, o * s - n - before if k > 1 else (o - 1) * s + 1 - n - before)
        for n, o, k, s, (before, _) in zip(x.shape[1:-1], out, window, *geometry[:2], strict=True)
    ]
    x = pad_space(x, ends)
    if any(s > 1 and k == 1 for s, k in zip(geometry.stride, window, strict=True)):
        steps = tuple(slice(None, None, s if k == 1 else 1) for s, k in zip(geometry.stride, window, strict=True))
        x = x[(slice(None), *steps)]
    if math.prod(window) > 1:
        split = [size for o, k in zip(out, window, strict=True) for size in (o, k)]
        rank = len(window)
        order = [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1]
        x = x.reshape(x.shape[0], *split, x.shape[-1]).transpose(order)
    return x.reshape(-1, math.prod(window) * x.shape[-1])


def window_rows(x: Array, window: tuple[int, ...], geometry: Geometry, out: tuple[int, ...]) -> Array:
    """``[batch * out, taps * in]``, overlapping windows and all: a copy, taps times as large as ``x``."""
    rows = jnp.concatenate([piece for _, piece in window_slices(x, window, geometry, out)], -1)
    return rows.reshape(-1, rows.shape[-1])


def rows_conv(x: Array, kernel: Array, geometry: Geometry, *, rows_of: Callable) -> Array:
    """One matrix product of the windows as ``rows_of`` lays them out."""
    out = out_space(x.shape[1:-1], kernel.shape[:-2], geometry)
    rows = rows_of(x, kernel.shape[:-2], geometry, out)
    return (rows @ kernel.reshape(-1, kernel.shape[-1])).reshape(x.shape[0], *out, kernel.shape[-1])


def rows_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...], *, rows_of: Callable) -> Array:
    """One matrix product over batch and space."""
    z = rows_of(x, window, geometry, y.shape[1:-1]).T @ y.reshape(-1, y.shape[-1])
    return z.reshape(*window, x.shape[-1], y.shape[-1])


product_conv, product_kernel_grad = (partial(f, rows_of=disjoint_rows) for f in (rows_conv, rows_kernel_grad))
patches_conv, patches_kernel_grad = (partial(f, rows_of=window_rows) for f in (rows_conv, rows_kernel_grad))


# --- a dilated input: transposed convolution and the input gradient of a strided one ----------------------------------


def shuffle_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """One plain convolution with the phases of the output as channels, then a pixel shuffle.

    Output ``o = m * i + p`` meets tap ``t = i * q - p + before`` at input ``m + q``; the kernel, padded with zeros to
    whole multiples of i, is reshaped to (q, p).
    """
    window, rank = kernel.shape[:-2], x.ndim - 2
    inner, outer = kernel.shape[-2:]
    out, phases = out_space(x.shape[1:-1], window, geometry), geometry.in_dilation
    most = [-(-o // i) for o, i in zip(out, phases, strict=True)]
    first = [-((before) // i) for i, (before, _) in zip(phases, geometry.pads, strict=True)]  # the smallest q
    lows = [i - 1 - before - i * q for i, q, (before, _) in zip(phases, first, geometry.pads, strict=True)]
    sizes = [-(-(k + low) // i) for k, low, i in zip(window, lows, phases, strict=True)]
    ends = [(low, size * i - k - low) for k, low, size, i in zip(window, lows, sizes, phases, strict=True)]
    kernel = pad_space(kernel.reshape(1, *window, -1), ends)
    split = [n for size, i in zip(sizes, phases, strict=True) for n in (size, i)]
    kernel = kernel.reshape(*split, inner, outer)
    kernel = lax.rev(kernel, tuple(range(1, 2 * rank, 2)))
    order = [*range(0, 2 * rank, 2), 2 * rank, *range(1, 2 * rank, 2), 2 * rank + 1]
    kernel = kernel.transpose(order).reshape(*sizes, inner, -1)
    pads = [(-q, m + size - 1 - n + q) for q, m, size, n in zip(first, most, sizes, x.shape[1:-1], strict=True)]
    y = lax_conv(x, kernel, Geometry((1,) * rank, tuple(pads), (1,) * rank, (1,) * rank))
    y = y.reshape(x.shape[0], *most, *phases, outer)
    order = [0, *(a for n in range(rank) for a in (1 + n, 1 + rank + n)), 2 * rank + 1]
    y = y.transpose(order).reshape(x.shape[0], *(m * i for m, i in zip(most, phases, strict=True)), outer)
    return y[(slice(None), *(slice(0, o) for o in out))]
