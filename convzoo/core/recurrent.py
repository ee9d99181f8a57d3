"""Single steps of recurrent networks, ``[rows, channels]``."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Rows = Float[Array, "rows channels"]


def gru(x: Array, state: Rows, kernel: Array, recurrent: Array, bias: Array, recurrent_bias: Array) -> Rows:
    """A gated recurrent unit (Cho et al. 2014, arXiv:1406.1078): kernels [in, 3 · out] in the order reset, update,
    new. The MPNN's update."""
    r, z, n = jnp.split(x @ kernel + bias, 3, -1)
    own_r, own_z, own_n = jnp.split(state @ recurrent + recurrent_bias, 3, -1)
    z = jax.nn.sigmoid(z + own_z)
    return (1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + own_r) * own_n) + z * state


def lstm(gates: Float[Array, "rows four"], cell: Rows) -> tuple[Rows, Rows]:
    """A long short-term memory (Hochreiter & Schmidhuber 1997): what its gates and its cell give, (hidden, cell).
    ``gates``, [rows, 4 · channels], are input, forget, cell and output before their activations."""
    i, f, g, o = jnp.split(gates, 4, -1)
    cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(cell), cell
