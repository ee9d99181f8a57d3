"""What a place sees of the input by its windows alone.

A gate or a norm that is computed from all places lets every place see everything. A receptive field means what windows
reach, so whoever probes for it does so under ``without_global()``: there, whatever is computed from everywhere is zero.
"""

import jax
import jax.numpy as jnp

without = jax.make_user_context(False)


def without_global():
    """A context in which means, norms and maxima over all places are zeros: ``with without_global(): ...``."""
    return without(True)


def from_everywhere(value: jax.Array) -> jax.Array:
    """Marks ``value`` as computed from all places."""
    return jnp.zeros_like(value) if without.value else value
