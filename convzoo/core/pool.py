"""Pooling and resampling over any number of spatial axes: ``[batch, *space, channels]``."""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from convzoo.core.conv import conv
from convzoo.core.shapes import (
    Geometry,
    Padding,
    Size,
    check_fits,
    check_floating,
    per_axis,
    rank_of,
    resolve_padding,
    wide,
)
from convzoo.core.sight import from_everywhere, probed

Mask = Bool[Array, "batch *space"]


def length_mask(length: Int[Array, " batch"], size: int) -> Bool[Array, "batch size"]:
    """True for the first ``length`` of ``size`` places."""
    return jnp.arange(size) < length[:, None]


def max_pool(
    x: Float[Array, "batch *space channels"],
    window: Size,
    *,
    stride: Size | None = None,
    padding: Padding = "HALF",
    mask: Mask | None = None,
) -> Float[Array, "batch *new_space channels"]:
    """The largest value in each window; padding and masked places count as -inf, so an empty window gives -inf.

    Args:
      window: one integer, or one per spatial axis.
      stride: the window itself if None.
      mask: False for places to leave out.

    Raises:
      ValueError: a size along an axis does not fit ``x``.
    """
    x = masked(x, mask, -jnp.inf)
    window, stride, pads = sliding(x, window, stride, padding)
    start, join = (0.0, lax.add) if probed() else (-jnp.inf, lax.max)
    return lax.reduce_window(x, start, join, (1, *window, 1), (1, *stride, 1), ((0, 0), *pads, (0, 0)))


def avg_pool(
    x: Float[Array, "batch *space channels"],
    window: Size,
    *,
    stride: Size | None = None,
    padding: Padding = "HALF",
    count_padding: bool,
    mask: Mask | None = None,
) -> Float[Array, "batch *new_space channels"]:
    """The mean of each window.

    Args:
      count_padding: whether padding counts as zeros (PyTorch's default) or is left out (TensorFlow's).
      mask: False for places to leave out of sum and count; a window without any place gives 0.

    Raises:
      ValueError: a size along an axis does not fit ``x``.
    """
    x = masked(x, mask, 0)
    window, stride, pads = sliding(x, window, stride, padding)
    pads = ((0, 0), *pads, (0, 0))

    def window_sum(values: Array) -> Array:
        return lax.reduce_window(wide(values), 0.0, lax.add, (1, *window, 1), (1, *stride, 1), pads)

    if mask is None and count_padding:
        return (window_sum(x) / math.prod(window)).astype(x.dtype)
    places = jnp.ones((*x.shape[:-1], 1), x.dtype) if mask is None else mask[..., None].astype(x.dtype)
    count = math.prod(window) - window_sum(1 - places) if count_padding else window_sum(places)
    return (window_sum(x) / jnp.maximum(count, 1)).astype(x.dtype)


def blur_pool(
    x: Float[Array, "batch *space channels"],
    window: Size = 3,
    *,
    stride: Size = 1,
    padding: Padding = "HALF",
) -> Float[Array, "batch *new_space channels"]:
    """Every ``stride``-th place of ``x`` after a binomial blur, which takes away what the new grid is too coarse for.

    Zhang 2019, arXiv:1904.11486: an anti-aliased max pool is ``blur_pool(max_pool(x, 3, stride=1), 3, stride=2)``, an
    anti-aliased strided convolution a convolution at stride 1, its activation, and ``blur_pool``. At the borders he
    reflects; here, as in ``avg_pool``, padding is left out, so that the weights on real places always sum to one.

    Args:
      window: taps per axis; 2: the box (1, 1) / 2; 3: (1, 2, 1) / 4; 5: (1, 4, 6, 4, 1) / 16; 1: no blur.

    Raises:
      ValueError: a size along an axis does not fit ``x``.
    """
    channels = x.shape[-1]
    window, stride, pads = sliding(x, window, stride, padding)
    kernel, inside = np.ones(()), np.ones(())  # the taps, and how much of them lies on real places
    for n, k, step, pad in zip(x.shape[1:-1], window, stride, pads, strict=True):
        taps = np.array([math.comb(k - 1, tap) for tap in range(k)]) / 2 ** (k - 1)
        kernel = np.multiply.outer(kernel, taps)
        inside = np.multiply.outer(inside, np.convolve(np.pad(np.ones(n), pad), taps, "valid")[::step])
    kernel = jnp.broadcast_to(jnp.asarray(kernel, x.dtype)[..., None, None], (*window, 1, channels))
    y = conv(x, kernel, stride=stride, groups=channels, padding=pads)
    return y / jnp.asarray(np.where(inside > 0, inside, 1)[..., None], x.dtype) if any(map(any, pads)) else y


def adaptive_avg_pool(x: Float[Array, "batch *space channels"], size: Size) -> Float[Array, "batch *size channels"]:
    """The mean over ``size`` nearly equal, possibly overlapping parts of each axis (PyTorch's AdaptiveAvgPool)."""
    rank = rank_of(x)
    for axis, parts in enumerate(per_axis(size, rank, "size"), start=1):
        n = x.shape[axis]
        if n % parts == 0:
            x = x.reshape(*x.shape[:axis], parts, n // parts, *x.shape[axis + 1 :]).mean(axis + 1)
            continue
        weights = np.zeros((parts, n))
        for part in range(parts):
            start, stop = part * n // parts, -(-(part + 1) * n // parts)
            weights[part, start:stop] = 1 / (stop - start)
        x = jnp.moveaxis(jnp.tensordot(jnp.asarray(weights, x.dtype), x, (1, axis)), 0, axis)
    return x


def global_mean(x: Float[Array, "batch *space channels"], mask: Mask | None = None) -> Float[Array, "batch channels"]:
    """The mean over all places, or over those where ``mask`` is True (0 where there is none)."""
    axes = tuple(range(1, x.ndim - 1))
    if mask is None:
        return from_everywhere(x.mean(axes))
    total = masked(wide(x), mask, 0).sum(axes)
    count = jnp.maximum(mask.sum(axes), 1).astype(total.dtype)
    return from_everywhere((total / count[:, None]).astype(x.dtype))


def global_max(x: Float[Array, "batch *space channels"], mask: Mask | None = None) -> Float[Array, "batch channels"]:
    """The largest value over all places, or over those where ``mask`` is True (-inf where there is none)."""
    return from_everywhere(masked(x, mask, -jnp.inf).max(tuple(range(1, x.ndim - 1))))


def resize(
    x: Float[Array, "batch *space channels"], size: Size, *, method: str = "linear", align_corners: bool = False
) -> Float[Array, "batch *size channels"]:
    """Resamples every spatial axis to ``size`` without anti-aliasing, as PyTorch's ``interpolate``.

    Args:
      method: ``"linear"`` between the centres of the two nearest places; ``"nearest"`` place, counted from the corner
        (PyTorch's ``nearest``); ``"nearest_exact"``, counted from the centres (Pillow's, PyTorch's ``nearest-exact``).
      align_corners: with ``"linear"``, whether the corner places (not the corners of the picture) stay in place.

    Raises:
      ValueError: an unknown method.
    """
    check_floating(x=x)
    for axis, new in enumerate(per_axis(size, rank_of(x), "size"), start=1):
        old = x.shape[axis]
        if method == "linear":
            if align_corners:
                place = np.arange(new) * ((old - 1) / (new - 1) if new > 1 else 0.0)
            else:
                place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, None)
            low = np.minimum(np.floor(place).astype(int), old - 1)
            share = jnp.asarray((place - low).reshape(-1, *(1,) * (x.ndim - axis - 1)), x.dtype)
            high = jnp.take(x, np.minimum(low + 1, old - 1), axis)
            x = jnp.take(x, low, axis) * (1 - share) + high * share
        elif method in ("nearest", "nearest_exact"):
            half = 0.5 if method == "nearest_exact" else 0.0
            place = np.floor((np.arange(new) + half) * old / new).astype(int)
            x = jnp.take(x, np.clip(place, 0, old - 1), axis)
        else:
            raise ValueError(f"method {method!r} is not known; it must be 'linear', 'nearest' or 'nearest_exact'")
    return x


def masked(x: Array, mask: Array | None, value: float) -> Array:
    """``x`` with ``value`` where the mask is False."""
    if mask is None:
        return x
    if mask.shape != x.shape[:-1]:
        raise ValueError(f"mask {tuple(mask.shape)} must be [batch, *space] of x, {tuple(x.shape[:-1])}")
    return jnp.where(mask[..., None], x, jnp.asarray(value, x.dtype))


def sliding(x: Array, window: Size, stride: Size | None, padding: Padding):
    check_floating(x=x)
    rank = rank_of(x)
    window = per_axis(window, rank, "window")
    stride = window if stride is None else per_axis(stride, rank, "stride")
    one = (1,) * rank
    pads = resolve_padding(padding, x.shape[1:-1], window, stride, one)
    check_fits(x.shape[1:-1], window, Geometry(stride, pads, one, one))
    return window, stride, pads


def pad_channels(
    x: Float[Array, "batch *space channels"], before: int, after: int
) -> Float[Array, "batch *space more_channels"]:
    """``x`` with channels of zeros before and after its own."""
    return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((before, after),))
