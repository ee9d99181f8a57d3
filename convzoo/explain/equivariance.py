"""How equivariant a network is to shifts of its input, waypoint by waypoint, and how often its answer stays the same.

    info = convzoo.feature_info(model, window_shape)
    shift_equivariance(model, variables, x, info).error["stage2"]     # one value a shift: 0 equivariant, 1 unrelated

The remedy of a network that is not: strides that blur first (``core.blur_pool``, the field ``blur`` of a ResNet).
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from convzoo.core import shapes as arithmetic

BATCH = 16


class Shifted(NamedTuple):
    """How a network takes shifts of its input.

    Attributes:
      shifts: in places of the input, along every axis at once.
      error: by waypoint, one value a shift: how far the features of the shifted input are from the shifted features,
        as the root of |found - expected|² over the sum of both variances; 0: equivariant, 1: unrelated. Where places
        are gone ("pooled") nothing is to move, and it is the error of invariance.
      inside: by waypoint, whether the places compared saw nothing but what both inputs show. Where a receptive field
        is too large for that, the middle third is compared, and what borders change is part of the error: the error at
        multiples of the stride is theirs alone.
      kept: one value a shift: the share of inputs whose largest output stays the same.
    """

    shifts: tuple[int, ...]
    error: "OrderedDict[str, np.ndarray]"
    inside: "OrderedDict[str, bool]"
    kept: np.ndarray


def shift_equivariance(
    model: Any,
    variables: Any,
    x: Any,
    info: Mapping[str, Any],
    *,
    shifts: Sequence[int] = tuple(range(1, 9)),
    batch_size: int = BATCH,
    **named: Any,
) -> Shifted:
    """Shows the network windows of larger inputs, at one place and then ``shift`` places further, and compares.

    Nothing is rolled around or filled up: both windows show what is there. For shifts that are no multiple of a
    waypoint's stride its features are shifted by a fraction of a place, by the band-limited (Fourier) interpolation
    that features without aliasing would follow (as Karras et al. 2021, arXiv:2106.12423, measure it).

    Args:
      x: ``[batch, *space, channels]`` or ``[batch, length]`` (bytes); windows are smaller by the largest shift.
      info: by waypoint, with ``stride`` and ``field`` (``convzoo.feature_info`` of a window).
      named: what else the network is to be given, ``[batch, ...]``, such as ``length``.

    Raises:
      ValueError: a shift is below 0, or the inputs are not larger than the largest one.
    """
    most, least = max(shifts), min(shifts)
    space = x.shape[1 : max(2, x.ndim - 1)]
    if least < 0 or most >= min(space):
        raise ValueError(f"shifts {least} to {most} must lie in 0 to {min(space) - 1}, for inputs of {space}")
    window = tuple(n - most for n in space)
    look = partial(features, model, window)
    shapes = jax.eval_shape(lambda v, x, named: look(v, x, 0, named)[1], variables, x, named)
    plans = {name: [plan(shapes[name].shape, info[name], shift, most) for shift in shifts] for name in shapes}
    margins = tuple((name, each[0].margins) for name, each in plans.items())
    same = np.zeros(len(shifts))
    sums: dict[tuple[int, str], np.ndarray] = {}
    for start in range(0, len(x), batch_size):
        part, also = jax.tree.map(lambda array, start=start: array[start : start + batch_size], (x, named))
        output, base = look(variables, part, most, also)
        for index, shift in enumerate(shifts):
            found, moved = look(variables, part, most - shift, also)
            matrices = {name: each[index].matrices for name, each in plans.items()}
            for name, values in compare(base, moved, matrices, margins).items():
                sums[index, name] = sums.get((index, name), 0) + np.asarray(values, np.float64)
            same[index] += np.sum(np.argmax(found, -1) == np.argmax(output, -1))
    error = OrderedDict((name, np.array([rate(sums[i, name]) for i in range(len(shifts))])) for name in shapes)
    inside = OrderedDict((name, plans[name][0].inside) for name in shapes)
    return Shifted(tuple(shifts), error, inside, same / len(x))


@partial(jax.jit, static_argnums=(0, 1))
def features(model: Any, window: tuple[int, ...], variables: Any, x: Array, offset: Any, named: dict[str, Array]):
    """(output, features) of the window at ``offset`` along every axis."""
    for axis, size in enumerate(window, start=1):
        x = jax.lax.dynamic_slice_in_dim(x, offset, size, axis)
    return model.apply(variables, x, train=False, **named)


class Plan(NamedTuple):
    """How a waypoint is compared: per axis the matrix that shifts it, and how many places are left out at both ends."""

    matrices: tuple[np.ndarray, ...]
    margins: tuple[int, ...]
    inside: bool


def plan(shape: tuple[int, ...], info: Any, shift: int, most: int) -> Plan:
    if info.stride is None:
        return Plan((), (), False)
    space = shape[1:-1]
    clean = [math.ceil(((f - 1) / 2 + most) / s) for f, s in zip(info.field, info.stride, strict=True)]
    inside = all(2 * margin < n for margin, n in zip(clean, space, strict=True))
    margins = tuple(max(n // 3, m) if inside else n // 3 for n, m in zip(space, clean, strict=True))
    return Plan(tuple(shifting(n, shift / s) for n, s in zip(space, info.stride, strict=True)), margins, inside)


def shifting(size: int, places: float) -> np.ndarray:
    """The matrix [size, size] that moves a signal by a fraction of its places: Fourier interpolation of the signal
    mirrored at its ends, so that no jump between them rings. Whole places are moved exactly."""
    mirrored = np.concatenate([np.eye(size), np.eye(size)[::-1]])
    spectrum = np.fft.rfft(mirrored, axis=0) * np.exp(-2j * np.pi * np.arange(size + 1) * places / (2 * size))[:, None]
    return np.fft.irfft(spectrum, 2 * size, axis=0)[:size].astype(np.float32)


@partial(jax.jit, static_argnums=3)
def compare(base: Any, moved: Any, matrices: Any, margins: tuple[tuple[str, tuple[int, ...]], ...]):
    """Sums of the places that count, by waypoint."""
    sums = {}
    for name, left in margins:
        expected, found = base[name], moved[name]
        for axis, matrix in enumerate(matrices[name], start=1):
            expected = jnp.moveaxis(jnp.tensordot(matrix, expected, (1, axis)), 0, axis)
        middle = (slice(None), *(slice(margin, -margin or None) for margin in left))
        sums[name] = together(found[middle], expected[middle])
    return sums


def together(
    found: Float[Array, "*shape channels"], expected: Float[Array, "*shape channels"]
) -> Float[Array, "6 channels"]:
    """What ``rate`` needs of two arrays, to be added up over batches."""
    found, expected = (arithmetic.wide(values).reshape(-1, values.shape[-1]) for values in (found, expected))
    parts = (jnp.ones_like(found), found, expected, found**2, expected**2, (found - expected) ** 2)
    return jnp.stack([part.sum(0) for part in parts])


def rate(sums: np.ndarray) -> float:
    """The root of the squared difference over the sum of the variances, about each channel's mean."""
    count, first, second, first_squared, second_squared, difference = np.asarray(sums, np.float64)
    spread = first_squared - first**2 / count + second_squared - second**2 / count
    return float(np.sqrt(difference.sum() / max(spread.sum(), np.finfo(np.float64).tiny)))
