"""Where a network looked: [batch, *space, channels] and a class for each example -> a map [batch, *space].

Saliency, SmoothGrad, integrated gradients, Grad-CAM and Grad-CAM++, for one to three spatial axes (``occlusion`` has a
file of its own). What is explained is the output of the class, before any softmax; where the output has further axes
(a class for each frame), its mean over them. Each example is explained by itself. Memory is that of one gradient,
however many samples or steps there are.

The numbers agree with captum's (tests/parity), which keeps channels apart and neither folds nor rectifies: its Saliency
is ``abs(gradient)``, of which ours is the largest over channels; its LayerGradCam has no ReLU unless asked, and
upsamples with the nearest place where ours is linear.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from convzoo.explain import waypoints
from convzoo.nn import Model

Input = Float[Array | np.ndarray, "batch *space channels"]
Target = Int[Array | np.ndarray, "batch"]
Map = Float[Array, "batch *space"]
ROOM = 64  # gradients are summed in a loop whose length is not compiled in: up to so many, one program serves all


class Integrated(NamedTuple):
    """Contributions of every input value, and how far their sum is from f(x) - f(baseline)."""

    values: Float[Array, "batch *space channels"]
    gap: Float[Array, "batch"]


class Cam(NamedTuple):
    """A map with the waypoint's places, and the same at the size of the input."""

    places: Float[Array, "batch *places"]
    map: Float[Array, "batch *space"]


def scores(model: Model, variables: Any, x: Any, target: Any) -> Float[Array, "batch"]:
    """The output of each example's class."""
    return of_class(waypoints.answer(model, variables, x)[0], target)


def of_class(output: Array, target: Any) -> Array:
    """[batch, *places, classes] -> [batch]: the class of each example, its mean over places."""
    picked = jnp.take_along_axis(output, jnp.reshape(target, (-1, *[1] * (output.ndim - 1))), axis=-1)
    return picked.reshape(len(picked), -1).mean(axis=1)


# --- gradients in the input -----------------------------------------------------------------------------------------


def gradient(model: Model, variables: Any, x: Input, target: Target) -> Float[Array, "batch *space channels"]:
    """The derivative of each example's class in its input."""
    return _summed(model, variables, x, x, target, np.ones(1), np.ones(1), 0.0, jax.random.key(0))


def saliency(model: Model, variables: Any, x: Input, target: Target) -> Map:
    """The largest |gradient| over channels (Simonyan et al. 2013, arXiv:1312.6034)."""
    return jnp.abs(gradient(model, variables, x, target)).max(axis=-1)


def smoothgrad(
    model: Model, variables: Any, x: Input, target: Target, *, samples: int = 16, noise: float = 0.15, seed: int = 0
) -> Map:
    """As ``saliency``, of the mean gradient over noisy copies (Smilkov et al. 2017, arXiv:1706.03825).

    The noise is the same for every example of a batch, but for its size.

    Args:
      noise: its standard deviation, as a share of the range of each example's values.
    """
    axes = tuple(range(1, x.ndim))
    sigma = noise * jnp.ptp(jnp.asarray(x), axis=axes, keepdims=True)
    ones = np.ones(samples)
    mean = _summed(model, variables, x, x, target, ones, ones / samples, sigma, jax.random.key(seed))
    return jnp.abs(mean).max(axis=-1)


def integrated_gradients(
    model: Model, variables: Any, x: Input, target: Target, *, baseline: Any = 0.0, steps: int = 50
) -> Integrated:
    """Gradients along the line from ``baseline``, times the way (Sundararajan et al. 2017, arXiv:1703.01365).

    They sum to f(x) - f(baseline) but for what the ``steps`` points miss, which is told as ``gap``. The points and
    weights are Gauss and Legendre's, as captum's are by default.

    Args:
      baseline: an input without what is looked for, of a shape that broadcasts to that of ``x``.
    """
    points, shares = np.polynomial.legendre.leggauss(steps)
    x, target = jnp.asarray(x), jnp.asarray(target)
    base = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)
    mean = _summed(model, variables, x, base, target, (points + 1) / 2, shares / 2, 0.0, jax.random.key(0))
    values = (x - base) * mean
    both = _scores(model, variables, jnp.concatenate([x, base]), jnp.concatenate([target, target]))
    return Integrated(values, values.reshape(len(x), -1).sum(axis=1) - both[: len(x)] + both[len(x) :])


def _summed(model, variables, x, base, target, shares, weights, sigma, key) -> Array:
    """The sum of ``weights`` times the gradients at base + share (x - base) + sigma noise."""
    count = len(shares)
    room = [(0, -count % ROOM)]
    shares, weights = (jnp.asarray(np.pad(each, room), x.dtype) for each in (shares, weights))
    sigma = jnp.broadcast_to(jnp.asarray(sigma, x.dtype), (len(x), *[1] * (x.ndim - 1)))
    return _loop(model, variables, x, base, target, shares, weights, count, sigma, key)


@partial(jax.jit, static_argnums=0)
def _loop(model, variables, x, base, target, shares, weights, count, sigma, key) -> Array:
    slope = jax.grad(lambda x: scores(model, variables, x, target).sum())

    def step(k, total):
        noise = jax.random.normal(jax.random.fold_in(key, k), x.shape[1:], x.dtype)
        return total + weights[k] * slope(base + shares[k] * (x - base) + sigma * noise)

    return lax.fori_loop(0, count, step, jnp.zeros_like(x))


_scores = jax.jit(scores, static_argnums=0)


# --- gradients at a waypoint ----------------------------------------------------------------------------------------


def grad_cam(model: Model, variables: Any, x: Input, target: Target, *, waypoint: str | None = None) -> Cam:
    """Channels of a waypoint, weighted by their mean gradient, rectified (Selvaraju et al. 2016, arXiv:1610.02391).

    Args:
      waypoint: one with places; None: the last one.

    Raises:
      ValueError: the network has no such waypoint, or it has no places.
    """
    return _cam(model, "mean", waypoint, variables, x, target)


def grad_cam_plus_plus(model: Model, variables: Any, x: Input, target: Target, *, waypoint: str | None = None) -> Cam:
    """Grad-CAM with a weight for each place (Chattopadhay et al. 2018, arXiv:1710.11063).

    The weights of an exponential output, of which only ratios of derivatives remain; arguments as for ``grad_cam``.
    """
    return _cam(model, "places", waypoint, variables, x, target)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _cam(model: Model, kind: str, waypoint: str | None, variables: Any, x: Array, target: Array) -> Cam:
    value, onward = waypoints.opened(model, variables, x, waypoint or last_with_places(model, variables, x))
    if value.ndim != x.ndim:
        raise ValueError(f"{waypoint!r} has no places: it is {list(value.shape)} for an input {list(x.shape)}")
    slope = jax.grad(lambda value: of_class(onward(value)[0], target).sum())(value)
    space = tuple(range(1, x.ndim - 1))
    weights = WEIGHTS[kind](value, slope, space)
    places = jax.nn.relu((weights * value).sum(axis=-1))
    return Cam(places, jax.image.resize(places, x.shape[:-1], "linear"))


def _mean_slope(value: Array, slope: Array, space: tuple[int, ...]) -> Array:
    return slope.mean(axis=space, keepdims=True)


def _slope_by_place(value: Array, slope: Array, space: tuple[int, ...]) -> Array:
    below = 2 * slope**2 + value.sum(axis=space, keepdims=True) * slope**3
    alpha = jnp.where(below == 0, 0.0, slope**2 / jnp.where(below == 0, 1.0, below))
    return (alpha * jax.nn.relu(slope)).sum(axis=space, keepdims=True)


WEIGHTS = {"mean": _mean_slope, "places": _slope_by_place}


def last_with_places(model: Model, variables: Any, x: Any) -> str:
    """The last waypoint on the way that has more than one place.

    Raises:
      ValueError: there is none.
    """
    features = waypoints.answer_shape(model, variables, x)[1]
    there = waypoints.traced(model, variables, x).waypoints()
    found = [name for name in there if features[name].ndim == x.ndim and np.prod(features[name].shape[1:-1]) > 1]
    if not found:
        raise ValueError(f"{type(model).__name__} has no waypoint with places; there are {', '.join(there)}")
    return found[-1]
