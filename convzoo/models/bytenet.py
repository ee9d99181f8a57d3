"""A convolutional network over bytes: [batch, length] int32 -> [batch, num_classes].

Each byte is embedded, then the 1-D residual blocks of the image networks follow (Zhang et al. 2015, arXiv:1509.01626,
for characters; Conneau et al. 2017, arXiv:1606.01781, with residuals).
"""

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from convzoo import core
from convzoo.nn import Basic, Model
from convzoo.nn.layers import Dense
from convzoo.nn.model import Features


class ByteNet(Model):
    """Waypoints ``embedded``, ``block0`` ..., ``pooled`` (mean and maximum). ``num_classes=0``: no head."""

    widths: tuple[int, ...] = (32, 64)
    strides: tuple[int, ...] = (1, 2)
    embedding: int = 32
    window: int = 5
    num_classes: int = 10
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Int[Array, "batch length"], *, train: bool = False, length: Int[Array, " batch"] | None = None
    ) -> tuple[Float[Array, "batch out"], Features]:
        """``length``: how many bytes of each example are real; pooling leaves out the rest.

        Raises:
          ValueError: ``x`` is not ``[batch, length]``.
          TypeError: ``x`` is not integer.
        """
        if x.ndim != 2:
            raise ValueError(f"ByteNet takes bytes [batch, length]; got shape {tuple(x.shape)}")
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise TypeError(f"ByteNet takes integers 0 to 255; got {x.dtype}")
        features, full = OrderedDict(), x.shape[1]
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        table = self.param("embedding", nn.initializers.normal(1.0), (256, self.embedding), self.param_dtype)
        y = features["embedded"] = table.astype(self.dtype)[x]
        for index, (width, stride) in enumerate(zip(self.widths, self.strides, strict=True)):
            block = Basic(width, stride, self.window, name=f"block{index}", **own)
            y = features[f"block{index}"] = block(y, train=train)
        mask = None if length is None else core.length_mask(-(-length * y.shape[1] // full), y.shape[1])
        y = features["pooled"] = jnp.concatenate([core.global_mean(y, mask), core.global_max(y, mask)], -1)
        y = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(y)
        return (Dense(self.num_classes, name="head", **own)(y) if self.num_classes else y), features


BYTENET = ByteNet()
