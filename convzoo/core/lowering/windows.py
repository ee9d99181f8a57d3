"""What every way shares: kernels turned round, paddings that may be negative, windows as slices."""

import itertools

import jax
import jax.numpy as jnp
from jax import lax

from convzoo.core.shapes import Geometry, reach

Array = jax.Array


def flip(kernel: Array) -> Array:
    """The kernel with its window reversed along every axis."""
    return lax.rev(kernel, tuple(range(kernel.ndim - 2)))


def swap(kernel: Array, groups: int) -> Array:
    """``[*window, in / groups, out] -> [*window, out / groups, in]``, flipped: the kernel of the input gradient."""
    window, inner, outer = kernel.shape[:-2], kernel.shape[-2], kernel.shape[-1]
    grouped = flip(kernel).reshape(*window, inner, groups, outer // groups)
    return jnp.swapaxes(grouped, -1, -3).reshape(*window, outer // groups, groups * inner)


def adjoint(geometry: Geometry, space: tuple[int, ...], window: tuple[int, ...], out: tuple[int, ...]) -> Geometry:
    """The geometry that carries ``y`` on ``out`` back to ``x`` on ``space``."""
    stride, pads, inner, dilation, groups = geometry
    firsts = tuple((r - before, 0) for r, (before, _) in zip(reach(window, dilation), pads, strict=True))
    back = Geometry(inner, firsts, stride, dilation, groups)
    return back._replace(pads=exact_pads(out, window, back, space))


def exact_pads(space: tuple[int, ...], window: tuple[int, ...], geometry: Geometry, out) -> tuple[tuple[int, int], ...]:
    """The paddings that begin as the geometry's and end where the last of ``out`` windows does."""
    reaches = reach(window, geometry.dilation)
    return tuple(
        (before, (o - 1) * s + r - (n - 1) * i - before)
        for n, o, s, r, i, (before, _) in zip(
            space, out, geometry.stride, reaches, geometry.in_dilation, geometry.pads, strict=True
        )
    )


def pad_space(x: Array, pads) -> Array:
    """Pads with zeros, or where negative crops, the spatial axes."""
    if all(tuple(pair) == (0, 0) for pair in pads):
        return x
    cuts = [(max(-before, 0), max(-after, 0)) for before, after in pads]
    if any(map(any, cuts)) and all(a + b < n for (a, b), n in zip(cuts, x.shape[1:-1], strict=True)):
        # XLA would pad everything first and cut afterwards.
        x = x[(slice(None), *(slice(a, n - b) for (a, b), n in zip(cuts, x.shape[1:-1], strict=True)))]
        pads = [(max(before, 0), max(after, 0)) for before, after in pads]
    config = ((0, 0, 0), *((before, after, 0) for before, after in pads), (0, 0, 0))
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def window_slices(x: Array, window: tuple[int, ...], geometry: Geometry, out: tuple[int, ...]):
    """(tap, x shifted to that tap, [batch, *out, in]) for every tap of the window; ``in_dilation`` is 1."""
    x = pad_space(x, geometry.pads)
    for tap in itertools.product(*map(range, window)):
        start = [t * d for t, d in zip(tap, geometry.dilation, strict=True)]
        stop = [b + (o - 1) * s + 1 for b, o, s in zip(start, out, geometry.stride, strict=True)]
        yield tap, lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *geometry.stride, 1))


def divisor(n, most: int) -> int:
    """The largest divisor of ``n`` that is at most ``most``; 1 for a size that an export leaves open."""
    if not isinstance(n, int):
        return 1
    return max(d for d in range(1, max(most, 1) + 1) if n % d == 0)


def is_depthwise(geometry: Geometry, channels: int) -> bool:
    return geometry.groups == channels


def is_dilated(geometry: Geometry) -> bool:
    return any(i > 1 for i in geometry.in_dilation)


def is_patchify(geometry: Geometry, window: tuple[int, ...]) -> bool:
    """Windows that do not overlap and have no holes: reshape and one matrix product."""
    return (
        geometry.groups == 1
        and not is_dilated(geometry)
        and all(
            (k == s and (d == 1 or k == 1)) or k == 1
            for k, s, d in zip(window, geometry.stride, geometry.dilation, strict=True)
        )
    )
