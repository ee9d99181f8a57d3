"""Ways for groups of several channels, and for a dilated input, that hand smaller convolutions to the other ways."""

import itertools
import math
from collections.abc import Callable

import jax.numpy as jnp

from convzoo.core.lowering.windows import Array, adjoint, divisor, swap
from convzoo.core.shapes import Geometry, out_space

MOST_PIECES = 16  # dense convolutions that stand for one grouped convolution; more take long to compile


def pieces_of(groups: int, channels: int) -> int:
    """How many dense convolutions: up to 16, of at least 8 channels each."""
    return divisor(groups, max(min(MOST_PIECES, channels // 8), 1))


def block_diagonal(kernel: Array, groups: int, pieces: int) -> Array:
    """The dense kernel ``[*window, in / pieces, out]`` of a grouped one, zero between groups of one piece."""
    window, inner, outer = kernel.shape[:-2], kernel.shape[-2], kernel.shape[-1] // groups
    merged = groups // pieces
    if merged == 1:
        return kernel
    kernel = kernel.reshape(*window, 1, inner, pieces, merged, outer)
    same = jnp.eye(merged, dtype=bool).reshape(merged, 1, 1, merged, 1)
    return jnp.where(same, kernel, 0).reshape(*window, merged * inner, groups * outer)


def group_conv(x: Array, kernel: Array, geometry: Geometry, conv: Callable) -> Array:
    """Some groups merged into one dense convolution: zeros are multiplied, but at the speed of a dense product."""
    pieces = pieces_of(geometry.groups, min(x.shape[-1], kernel.shape[-1]))
    dense, single = block_diagonal(kernel, geometry.groups, pieces), geometry._replace(groups=1)
    parts = zip(jnp.split(x, pieces, -1), jnp.split(dense, pieces, -1), strict=True)
    return jnp.concatenate([conv(part, k, single) for part, k in parts], -1)


def group_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...], kernel_grad: Callable) -> Array:
    """The dense gradients of merged groups; what lies between two groups is thrown away."""
    groups, single = geometry.groups, geometry._replace(groups=1)
    pieces = pieces_of(groups, min(x.shape[-1], y.shape[-1]))
    merged, inner, outer = groups // pieces, x.shape[-1] // groups, y.shape[-1] // groups
    results = []
    for a, b in zip(jnp.split(x, pieces, -1), jnp.split(y, pieces, -1), strict=True):
        z = kernel_grad(a, b, single, window).reshape(*window, merged, inner, merged, outer)
        own = [z[..., n, :, n, :] for n in range(merged)]
        results.extend(own)
    return jnp.concatenate(results, -1)


def phase_conv(x: Array, kernel: Array, geometry: Geometry, conv: Callable) -> Array:
    """A dilated input (stride of a transposed convolution): one plain convolution for each phase of the output.

    Along an axis, output ``o`` meets only taps with ``o + dilation * t - before`` divisible by ``in_dilation``.
    """
    window, rank = kernel.shape[:-2], x.ndim - 2
    out = out_space(x.shape[1:-1], window, geometry)
    phases, plain = geometry.in_dilation, geometry._replace(in_dilation=(1,) * rank)
    most = tuple(-(-o // i) for o, i in zip(out, phases, strict=True))
    results = []
    for phase in itertools.product(*map(range, phases)):
        taps, pads, steps = [], [], []
        for axis, p in enumerate(phase):
            i, d, before = phases[axis], geometry.dilation[axis], geometry.pads[axis][0]
            met = [t for t in range(window[axis]) if (p + d * t - before) % i == 0]
            step = i // math.gcd(i, d)
            taps.append(slice(met[0], None, step) if met else None)
            steps.append(d * step // i)
            first = (p + d * met[0] - before) // i if met else 0
            last = first + steps[-1] * (len(met) - 1) + most[axis] - 1
            pads.append((-first, last + 1 - x.shape[1 + axis]))
        if any(tap is None for tap in taps):
            results.append(jnp.zeros((x.shape[0], *most, kernel.shape[-1]), x.dtype))
            continue
        part = kernel[tuple(taps)]
        results.append(conv(x, part, plain._replace(pads=tuple(pads), dilation=tuple(steps))))
    return woven(results, phases)[(slice(None), *(slice(0, o) for o in out))]


def woven(parts: list[Array], phases: tuple[int, ...], axis: int = 1) -> Array:
    """One array whose place ``m * i + p`` along each axis is place m of the part of phase p, in row-major order."""
    if not phases:
        return parts[0]
    size = len(parts) // phases[0]
    lines = [woven(parts[n : n + size], phases[1:], axis + 1) for n in range(0, len(parts), size)]
    shape = list(lines[0].shape)
    shape[axis] *= phases[0]
    return jnp.stack(lines, axis + 1).reshape(shape)


def mirrored_kernel_grad(
    x: Array, y: Array, geometry: Geometry, window: tuple[int, ...], kernel_grad: Callable
) -> Array:
    """A dilated input: the same sum with the roles of x and y exchanged, which is a plain strided one."""
    back = adjoint(geometry, x.shape[1:-1], window, y.shape[1:-1])
    return swap(kernel_grad(y, x, back, window), geometry.groups)
