"""How far the units of a network see in effect, against what their windows could reach.

info = convzoo.feature_info(model, x.shape)
effective_field(model, variables, x, info)["stage2"].side         # in places of the input
"""

import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from convzoo import core
from convzoo.core.shapes import check_floating

BATCH = 16
HELD = 0.95


class Field(NamedTuple):
    """What a waypoint's middle unit sees in effect: ``weight`` [*space] of the input, which sums to 1; ``side``: of the
    square (cube, stretch) as large as the strongest places that hold 95 % of it; ``theoretical``: the same of what
    windows reach, as far as it lies on the input."""

    weight: np.ndarray
    side: float
    theoretical: float


def effective_field(
    model: Any,
    variables: Any,
    x: Any,
    info: Mapping[str, Any],
    *,
    signs: int = 2,
    seed: int = 0,
    batch_size: int = BATCH,
) -> "OrderedDict[str, Field]":
    """The effective receptive field of every waypoint that has places (Luo et al. 2016, arXiv:1701.04128).

    It is the root mean square, over inputs, their channels and random signs of the waypoint's channels, of the gradient
    of the middle unit to the input. What is computed from all places passes no gradient (``core.without_global``), so
    the effective field lies within the theoretical one.

    Args:
      x: ``[batch, *space, channels]``, floating.
      info: by waypoint, with ``stride`` and ``field``.
      signs: random combinations of channels for each input.

    Raises:
      TypeError: ``x`` is not floating: bytes have no gradient.
    """
    check_floating(x=x)
    shapes = jax.eval_shape(lambda v, x: model.apply(v, x, train=False)[1], variables, x)
    keys = jax.random.split(jax.random.key(seed), signs)
    found: OrderedDict[str, Field] = OrderedDict()
    for name in shapes:
        if info[name].stride is None:
            continue
        total = 0
        for start, key in itertools.product(range(0, len(x), batch_size), keys):
            total += np.asarray(squared(model, name, variables, x[start : start + batch_size], key), np.float64)
        weight = np.sqrt(total) / max(np.sqrt(total).sum(), np.finfo(np.float64).tiny)
        reached = (min(f, n) for f, n in zip(info[name].field, weight.shape, strict=True))
        found[name] = Field(weight, side(weight), math.prod(reached) ** (1 / weight.ndim))
    return found


@partial(jax.jit, static_argnums=(0, 1))
def squared(model: Any, name: str, variables: Any, x: Array, key: Array) -> Array:
    """The squared gradient of a waypoint's middle unit, summed over the batch and the input's channels."""

    def middle(x: Array) -> Array:
        values = model.apply(variables, x, train=False)[1][name]
        unit = values[(slice(None), *(n // 2 for n in values.shape[1:-1]))]
        return (unit * jax.random.rademacher(key, unit.shape, unit.dtype)).sum()

    with core.without_global(values=True):
        return (jax.grad(middle)(x) ** 2).sum((0, -1))


def side(weight: np.ndarray, held: float = HELD) -> float:
    """The side of the square (cube, stretch) with as many places as hold the share ``held``, the strongest first."""
    shares = np.cumsum(np.sort(weight, axis=None)[::-1])
    return float(np.searchsorted(shares, held * shares[-1] * (1 - 1e-6)) + 1) ** (1 / weight.ndim)
