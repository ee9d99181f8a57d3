"""What a network loses where its input is hidden: [batch, *space, channels] and classes -> maps [batch, *space]."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from convzoo.core.shapes import Size, per_axis, rank_of
from convzoo.explain import waypoints
from convzoo.explain.attribution import Input, Map, Target, of_class
from convzoo.nn import Model


def occlusion(
    model: Model, variables: Any, x: Input, target: Target, *, window: Size | None = None, stride: Size | None = None,
    hidden: Any = 0.0, chunk: int = 16,
) -> Map:  # fmt: skip
    """How much of the class is lost where a window hides the input (Zeiler & Fergus 2013, arXiv:1311.2901).

    A place has the mean over the windows that cover it. Windows begin every ``stride`` and are cut at the end, as
    captum's are, with which the numbers agree.

    Args:
      window: its size, one or per axis; None: a seventh of each axis.
      stride: one or per axis; None: half the window.
      hidden: what is seen there instead, of a shape that broadcasts to that of ``x``.
      chunk: how many windows are tried at once, which bounds the memory.

    Raises:
      ValueError: a stride beyond the window, which would leave places out.
    """
    rank, space = rank_of(x), x.shape[1:-1]
    sizes = per_axis([max(1, n // 7) for n in space] if window is None else window, rank, "window")
    strides = per_axis([max(1, size // 2) for size in sizes] if stride is None else stride, rank, "stride")
    if any(step > size for step, size in zip(strides, sizes, strict=True)):
        raise ValueError(f"a stride of {strides} leaves places out between windows of {sizes}")
    return _occlusion(model, sizes, strides, chunk, variables, x, target, hidden)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _occlusion(model, sizes, strides, chunk, variables, x, target, hidden) -> Array:
    covers = [jnp.asarray(cover(*each), x.dtype) for each in zip(x.shape[1:-1], sizes, strides, strict=True)]
    counts = [len(each) for each in covers]

    def window(index: Array) -> Array:
        places = jnp.unravel_index(index, counts)
        return outer([each[place] for each, place in zip(covers, places, strict=True)])[None] > 0

    whole = of_class(waypoints.answer(model, variables, x)[0], target)
    left = mixed(model, variables, x, hidden, target, window, math.prod(counts), chunk, of_class)
    lost = (whole[:, None] - left).reshape(len(x), *counts)
    for each in covers:  # the first axis of windows goes, and comes back last as places
        lost = jnp.tensordot(lost, each, (1, 0))
    return lost / outer([each.sum(axis=0) for each in covers])


def mixed(
    model: Model, variables: Any, x: Array, other: Any, target: Any, mask: Callable[[Array], Array], count: int,
    chunk: int, score: Callable[[Array, Any], Array],
) -> Float[Array, "batch count"]:  # fmt: skip
    """Scores of ``x`` with ``other`` in the places of each mask(0), mask(1), ...: True in [batch or 1, *space].

    Args:
      score: (output, target) -> [batch].
      chunk: masks at once.
    """
    other = jnp.broadcast_to(jnp.asarray(other, x.dtype), x.shape)
    batches = -(-count // chunk)

    def scored(indices: Array) -> Array:
        mixtures = jnp.where(jax.vmap(mask)(indices)[..., None], other, x)
        output = waypoints.answer(model, variables, mixtures.reshape(-1, *x.shape[1:]))[0]
        return score(output, jnp.tile(target, chunk)).reshape(chunk, -1)

    indices = jnp.arange(batches * chunk).reshape(batches, chunk) % count
    return lax.map(scored, indices).reshape(batches * chunk, -1)[:count].T


def cover(length: int, size: int, stride: int) -> np.ndarray:
    """[windows, length]: ones where each window lies."""
    starts = stride * np.arange(1 - (size - length) // stride if length > size else 1)[:, None]
    places = np.arange(length)
    return ((places >= starts) & (places < starts + size)).astype(float)


def outer(vectors: list[Array]) -> Array:
    """The product over axes, [*space]."""
    return jnp.prod(jnp.stack(jnp.broadcast_arrays(*jnp.ix_(*vectors))), axis=0)
