"""``Model``: the frozen base of every network. A model is its own configuration."""

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.errors import SetAttributeFrozenModuleError
from jaxtyping import Array

KINDS = {
    1: "sounds [batch, time, channels]",
    2: "images [batch, height, width, channels]",
    3: "volumes [batch, depth, height, width, channels]",
}


class Model(nn.Module, kw_only=True):
    """``apply(variables, x, train=False) -> (output, features)``; a value that cannot be changed, only cloned.

    ``features`` maps waypoint names to arrays in forward order. ``train=True`` wants ``mutable=["batch_stats"]`` and
    the rng stream ``dropout``. Fields are numbers, strings, tuples and other frozen values.
    """

    dtype: str = "float32"
    param_dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_complete", True)

    def __setattr__(self, name: str, val: Any) -> None:
        if getattr(self, "_complete", False) and not name.startswith("_") and name != "parent":  # those are Flax's own
            raise SetAttributeFrozenModuleError(type(self).__name__, name, val)
        super().__setattr__(name, val)

    def __delattr__(self, name: str) -> None:
        if name in type(self).__dataclass_fields__:
            raise SetAttributeFrozenModuleError(type(self).__name__, name, None)
        super().__delattr__(name)

    def take(self, x: Array, ranks: tuple[int, ...]) -> Array:
        """``x`` in the computing dtype.

        Raises:
          ValueError: ``x`` has not the number of axes this model accepts.
          TypeError: ``x`` is not floating.
        """
        if x.ndim - 2 not in ranks:
            accepted = " or ".join(KINDS[rank] for rank in ranks)
            hint = ""
            if x.ndim - 1 in ranks:
                hint = "; one example alone needs its batch axis: x[None]"
            elif x.ndim - 2 in KINDS and hasattr(self, "ranks"):
                hint = f"; a network for other ranks is model.clone(ranks=({x.ndim - 2},))"
            raise ValueError(f"{type(self).__name__} takes {accepted}; got shape {tuple(x.shape)}{hint}")
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise TypeError(
                f"{type(self).__name__} takes floating input; got {x.dtype}: scale it first, for example x / 255"
            )
        return x.astype(self.dtype)


def check_output_stride(stride: int) -> None:
    """Raises ValueError unless a trunk can be dilated to this stride."""
    if stride not in (8, 16, 32):
        raise ValueError(f"output_stride is {stride}; a trunk is dilated to 8 or 16, and plain at 32")


Features = OrderedDict[str, Array]
