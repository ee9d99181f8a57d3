"""Normalisation, gating and stochastic depth: ``[batch, *space, channels]`` in, the same shape out.

Statistics are accumulated in at least float32 whatever the dtype of ``x``; the result has the dtype of ``x``.
"""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from convzoo.core.shapes import wide
from convzoo.core.sight import from_everywhere


def moments(
    x: Float[Array, "*shape"], axes: Sequence[int], mask: Bool[Array, "*places"] | None = None
) -> tuple[Array, Array, Array | float]:
    """(mean, biased variance, count) over ``axes``, kept as axes of size 1; ``mask`` broadcasts against ``x``."""
    axes, x = tuple(axes), wide(x)
    if mask is None:
        mean = x.mean(axes, keepdims=True)
        count = x.size / max(mean.size, 1)
        return mean, jnp.square(x - mean).mean(axes, keepdims=True), count
    weight = jnp.broadcast_to(mask, x.shape).astype(x.dtype)
    count = jnp.maximum(weight.sum(axes, keepdims=True), 1)
    mean = (x * weight).sum(axes, keepdims=True) / count
    return mean, (jnp.square(x - mean) * weight).sum(axes, keepdims=True) / count, count


def standardise(x: Array, mean: Array, variance: Array, scale: Array | None, bias: Array | None, epsilon: float):
    """``(x - mean) / sqrt(variance + epsilon) * scale + bias``, as one multiplication and one addition."""
    gain, shift = batch_norm_affine(mean, variance, scale, bias, epsilon=epsilon)
    return (wide(x) * gain + shift).astype(x.dtype)


def batch_norm_affine(
    mean: Float[Array, "*shape"],
    variance: Float[Array, "*shape"],
    scale: Float[Array, "*shape"] | None = None,
    bias: Float[Array, "*shape"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """What a normalisation with these statistics multiplies by and what it adds, in at least float32."""
    gain = jax.lax.rsqrt(wide(variance) + epsilon)
    gain = gain if scale is None else gain * wide(scale)
    return gain, -wide(mean) * gain if bias is None else wide(bias) - wide(mean) * gain


def batch_norm(
    x: Float[Array, "*shape channels"],
    mean: Float[Array, " channels"],
    variance: Float[Array, " channels"],
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "*shape channels"]:
    """Batch normalisation with given statistics (Ioffe & Szegedy 2015, arXiv:1502.03167); see ``moments``."""
    return standardise(x, mean, variance, scale, bias, epsilon)


def batch_norm_train(
    x: Float[Array, "*shape channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    mask: Bool[Array, "*shape"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> tuple[Float[Array, "*shape channels"], Float[Array, " channels"], Float[Array, " channels"], Array | float]:
    """Batch normalisation by the statistics of ``x`` itself: (y, mean, biased variance, count).

    Places where ``mask`` is False stay out of the statistics. Mean and variance have at least float32.
    """
    if mask is None and x.size:
        y, mean, variance = batch_normalised(x, scale, bias, epsilon)
        return y, mean, variance, x.size / x.shape[-1]
    places = None if mask is None else mask[..., None]
    mean, variance, count = moments(x, range(x.ndim - 1), places)
    mean, variance = mean.reshape(-1), variance.reshape(-1)
    return standardise(x, mean, variance, scale, bias, epsilon), mean, variance, count


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def batch_normalised(x: Array, scale: Array, bias: Array, epsilon: float) -> tuple[Array, Array, Array]:
    """(y, mean, variance) of a batch."""
    mean, variance, _ = moments(x, range(x.ndim - 1))
    mean, variance = mean.reshape(-1), variance.reshape(-1)
    return standardise(x, mean, variance, scale, bias, epsilon), mean, variance


@batch_normalised.defjvp
def batch_normalised_jvp(epsilon: float, primals, tangents):
    """Written so that its transpose reads the batch twice: once for two sums over it, once for the gradient."""
    (x, scale, bias), (dx, dscale, dbias) = primals, tangents
    y, mean, variance = batch_normalised(x, scale, bias, epsilon)
    axes, rate = tuple(range(x.ndim - 1)), jax.lax.rsqrt(variance + epsilon)
    centred, gain, change = (wide(x) - mean) * rate, wide(scale) * rate, wide(dx)
    shift, turn = change.mean(axes), (centred * change).mean(axes)
    dy = gain * change + (wide(dbias) - gain * shift) + centred * (wide(dscale) - gain * turn)
    return (y, mean, variance), (dy.astype(x.dtype), shift, 2 * turn / rate)


def layer_norm(
    x: Float[Array, "*shape channels"],
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    epsilon: float = 1e-6,
) -> Float[Array, "*shape channels"]:
    """Layer normalisation over the channels of each place (Ba et al. 2016, arXiv:1607.06450)."""
    y = place_normalised(x, epsilon)
    if scale is not None:
        y = y * wide(scale)
    return (y if bias is None else y + wide(bias)).astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def place_normalised(x: Array, epsilon: float) -> Array:
    """Each place less its mean over the channels, by its standard deviation; in at least float32."""
    mean, variance, _ = moments(x, (-1,))
    return (wide(x) - mean) * jax.lax.rsqrt(variance + epsilon)


@place_normalised.defjvp
def place_normalised_jvp(epsilon: float, primals, tangents):
    """Written so that its transpose is two sums over the channels and one pass, and keeps nothing but ``x``."""
    (x,), (dx,) = primals, tangents
    mean, variance, _ = moments(x, (-1,))
    rate = jax.lax.rsqrt(variance + epsilon)
    y, change = (wide(x) - mean) * rate, wide(dx)
    shift, turn = change.mean(-1, keepdims=True), (y * change).mean(-1, keepdims=True)
    return y, rate * (change - shift - y * turn)


def group_norm(
    x: Float[Array, "batch *space channels"],
    groups: int,
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "batch *space channels"]:
    """Group normalisation over space and the channels of each group (Wu & He 2018, arXiv:1803.08494).

    Raises:
      ValueError: the groups do not divide the channels.
    """
    channels = x.shape[-1]
    if groups < 1 or channels % groups:
        raise ValueError(f"groups={groups} must divide the {channels} channels")
    grouped = x.reshape(*x.shape[:-1], groups, channels // groups)
    mean, variance, _ = moments(grouped, (*range(1, x.ndim - 1), -1))
    mean, variance = from_everywhere(mean), from_everywhere(variance)
    y = standardise(grouped, mean, variance, None, None, epsilon).reshape(x.shape)
    if scale is not None:
        y = y * scale.astype(y.dtype)
    return y if bias is None else y + bias.astype(y.dtype)


def global_response_norm(
    x: Float[Array, "batch *space channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    *,
    epsilon: float = 1e-6,
) -> Float[Array, "batch *space channels"]:
    """``x + scale * x * g / mean(g) + bias``, g the norm of each channel over space (ConvNeXt V2, arXiv:2301.00808)."""
    high = wide(x)
    power = from_everywhere(jnp.square(high).sum(tuple(range(1, x.ndim - 1)), keepdims=True))
    response = jnp.where(power == 0, 0, jnp.sqrt(jnp.where(power == 0, 1, power)))  # its gradient at 0 is 0, not NaN
    share = response / (response.mean(-1, keepdims=True) + epsilon)
    return (high + wide(scale) * (high * share) + wide(bias)).astype(x.dtype)


def local_response_norm(
    x: Float[Array, "batch *space channels"], size: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0
) -> Float[Array, "batch *space channels"]:
    """``x / (k + alpha * s) ** beta``, s the sum of squares over ``size`` neighbouring channels.

    Krizhevsky, Sutskever & Hinton, NIPS 2012. ``alpha`` multiplies the sum; PyTorch's and Caffe's multiplies the mean.

    Raises:
      ValueError: an even or negative size, which has no middle.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"size={size} must be odd and positive: as many channels before as after")
    high = wide(x)
    one = (1,) * (x.ndim - 1)
    pads = ((0, 0),) * (x.ndim - 1) + ((size // 2, size // 2),)
    near = lax.reduce_window(jnp.square(high), 0.0, lax.add, (*one, size), (*one, 1), pads)
    return (high * (k + alpha * near) ** -beta).astype(x.dtype)


def squeeze_excite(
    x: Float[Array, "batch *space channels"],
    down: Float[Array, "channels squeezed"],
    down_bias: Float[Array, " squeezed"],
    up: Float[Array, "squeezed channels"],
    up_bias: Float[Array, " channels"],
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
    gate: Callable[[Array], Array] = jax.nn.sigmoid,
) -> Float[Array, "batch *space channels"]:
    """Each channel times a gate computed from the means of all (Hu et al. 2018, arXiv:1709.01507)."""
    pooled = from_everywhere(x.mean(tuple(range(1, x.ndim - 1))))
    weights = gate(activation(pooled @ down + down_bias) @ up + up_bias)
    return x * weights.reshape(x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])


def stochastic_depth(x: Float[Array, "batch *shape"], key: Array, rate: float) -> Float[Array, "batch *shape"]:
    """Drops whole examples of a residual branch with probability ``rate`` and scales the rest up (arXiv:1603.09382).

    Raises:
      ValueError: a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate is {rate}; it must be in [0, 1)")
    keep = jax.random.bernoulli(key, 1 - rate, (x.shape[0], *(1,) * (x.ndim - 1)))
    return jnp.where(keep, x / (1 - rate), jnp.zeros((), x.dtype)).astype(x.dtype)
