"""Dilated causal stacks, an answer at every step: [batch, time, channels] -> [batch, time, num_classes].

TCN: Bai et al. 2018, arXiv:1803.01271, with batch norm in place of weight norm, which Flax's residual block here has.
WaveNet: van den Oord et al. 2016, arXiv:1609.03499. What they say at a step depends on what came before alone, so both
stream (``convzoo.nn.Streaming``).
"""

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from convzoo.nn import ACTIVATIONS, Basic, Conv, GatedBlock, Model
from convzoo.nn.model import Features


class TCN(Model):
    """Waypoints ``block0`` ...; the dilation doubles from block to block. ``num_classes=0``: no head."""

    widths: tuple[int, ...] = (64,) * 6
    window: int = 3
    num_classes: int = 10
    dropout: float = 0.0
    ranks: tuple[int, ...] = (1,)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch time out"], Features]:
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.take(x, self.ranks)
        for index, width in enumerate(self.widths):
            rate = {"dilation": 2**index, "first_dilation": 2**index}
            block = Basic(width, 1, self.window, padding="CAUSAL", name=f"block{index}", **rate, **plain)
            x = features[f"block{index}"] = block(x, train=train)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        return frames_head(self, x), features


class WaveNet(Model):
    """Waypoints ``stem``, ``block0`` ..., ``hidden``. Dilations double within a cycle. ``num_classes=0``: no head."""

    cycles: int = 2
    depth: int = 10  # blocks of a cycle
    width: int = 32
    skip: int = 64
    window: int = 2
    num_classes: int = 256
    dropout: float = 0.0
    ranks: tuple[int, ...] = (1,)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch time out"], Features]:
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        own: dict[str, Any] = {"bias": True, "initial": "he", **plain}
        x = self.take(x, self.ranks)
        stem = Conv(self.width, self.window, padding="CAUSAL", name="stem", **own)
        x = features["stem"] = stem(x)
        told = jnp.zeros((), self.dtype)
        count = self.cycles * self.depth
        for index in range(count):
            own_block = {"dilation": 2 ** (index % self.depth), "last": index == count - 1, **plain}
            block = GatedBlock(window=self.window, skip=self.skip, name=f"block{index}", **own_block)
            x, out = block(x)
            told, features[f"block{index}"] = told + out, out
        relu = ACTIVATIONS["relu"]
        x = features["hidden"] = relu(Conv(self.skip, 1, name="hidden", **own)(relu(told)))
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        return frames_head(self, x), features


def frames_head(model: TCN | WaveNet, x: Array) -> Array:
    """The classes of every step."""
    if not model.num_classes:
        return x
    own: dict[str, Any] = {"dtype": model.dtype, "param_dtype": model.param_dtype, "initial": "lecun"}
    return Conv(model.num_classes, 1, bias=True, name="head", parent=model, **own)(x)


TCN_SMALL = TCN()
WAVENET = WaveNet()
