"""A network without convolution, for comparison: [batch, *anything] -> [batch, num_classes].

Everything an example holds is flattened (bytes are embedded first) and passes dense layers with batch norm.
"""

from collections import OrderedDict
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Int, Shaped

from convzoo.nn import BatchNorm, Dense, Model
from convzoo.nn.model import Features


class MLP(Model):
    """Waypoints ``dense0``, ``dense1``, ...; integers are embedded in ``embedding`` channels."""

    widths: tuple[int, ...] = (128, 128)
    num_classes: int = 10
    embedding: int = 8
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Shaped[Array, "batch *shape"], *, train: bool = False, length: Int[Array, " batch"] | None = None
    ) -> tuple[Array, Features]:
        """``length`` is accepted, so that the same batches serve, and not used: padding is zeros."""
        del length
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        if jnp.issubdtype(x.dtype, jnp.integer):
            table = self.param("embedding", nn.initializers.normal(1.0), (256, self.embedding), self.param_dtype)
            x = table[x]
        x = x.astype(self.dtype).reshape(x.shape[0], -1)
        for index, width in enumerate(self.widths):
            x = BatchNorm(name=f"norm{index}", **own)(Dense(width, name=f"dense{index}", **own)(x), train=train)
            x = features[f"dense{index}"] = jax.nn.relu(x)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        return (Dense(self.num_classes, name="head", **own)(x) if self.num_classes else x), features


MLP_SMALL = MLP()
