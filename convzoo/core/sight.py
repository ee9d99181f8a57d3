"""What a place sees of the input by its windows alone.

A gate or a norm that is computed from all places lets every place see everything. A receptive field means what windows
reach, so whoever probes for it does so under ``without_global()``: there, whatever is computed from everywhere is zero.
Whoever asks by gradients does so under ``without_global(values=True)``: there it keeps its value, but no gradient.
"""

import jax
import jax.numpy as jnp

WAYS = {"": lambda value: value, "zero": jnp.zeros_like, "still": jax.lax.stop_gradient}
without = jax.make_user_context("")


def without_global(*, values: bool = False):
    """A context in which means, norms and maxima over all places are zeros, or, if their ``values`` are to stay, pass
    no gradient on: ``with without_global(): ...``."""
    return without("still" if values else "zero")


def probed() -> bool:
    """Whether somebody sends NaNs through to see how far they come: XLA's maximum loses some on a CPU, a sum none."""
    return without.value == "zero"


def from_everywhere(value: jax.Array) -> jax.Array:
    """Marks ``value`` as computed from all places."""
    return WAYS[without.value](value)
