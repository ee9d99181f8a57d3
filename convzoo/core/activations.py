"""Activations whose gradient computes them anew: to keep what they computed costs a CPU more than their exponential."""

from collections.abc import Callable

import jax
from jax import lax
from jax import numpy as jnp
from jaxtyping import Array, Float


def anew(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """``function``, whose tangent is computed from its argument alone, in one pass.

    Without the barrier XLA finds the exponential of the forward pass again in the backward one, and writes it to memory
    in the one to read it in the other.
    """

    activation = jax.custom_jvp(function)

    @activation.defjvp
    def tangent(primals, tangents):
        (x,), (dx,) = primals, tangents
        return activation(x), jax.jvp(function, (lax.optimization_barrier(x),), (dx,))[1]

    return activation


@anew
def silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``x * sigmoid(x)`` (Elfwing et al. 2018, arXiv:1702.03118)."""
    return jax.nn.silu(x)


@anew
def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """``x`` times the normal distribution's share below it, exactly (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""
    return jax.nn.gelu(x, approximate=False)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "relu6": jax.nn.relu6,
    "hard_swish": jax.nn.hard_swish,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "sigmoid": jax.nn.sigmoid,
    "silu": silu,
    "tanh": jnp.tanh,
    "gelu": gelu,
}
