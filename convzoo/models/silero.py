"""Silero VAD, where somebody speaks: [batch, samples, 1] at 16 kHz -> [batch, samples / 512, 1] logits.

Silero Team 2024, github.com/snakers4/silero-vad, version 6's network for 16 kHz: a Fourier transform as a convolution,
its magnitudes, four convolutions, an LSTM. Each 512 samples are looked at with the 64 before them, zeros at the start;
the last ones are filled up with zeros.
"""

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from convzoo.nn import ACTIVATIONS, Conv, Lstm, Model
from convzoo.nn.layers import carried, streams
from convzoo.nn.model import Features

CHUNK, BEFORE, AFTER = 512, 64, 64  # samples; what comes after is mirrored from what comes before


class Silero(Model):
    """Waypoints ``stft`` (magnitudes), ``conv0`` to ``conv3`` of all chunks in a row, ``lstm``."""

    widths: tuple[int, ...] = (128, 64, 64, 128)
    strides: tuple[int, ...] = (1, 2, 2, 1)
    memory: int = 128
    num_classes: int = 1
    dropout: float = 0.0
    ranks: tuple[int, ...] = (1,)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch chunks out"], Features]:
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.take(x, self.ranks)
        batch, _, channels = x.shape
        x = jnp.pad(x, ((0, 0), (0, -x.shape[1] % CHUNK), (0, 0)))
        whole = carried(self, x, BEFORE) if streams(self) else jnp.pad(x, ((0, 0), (BEFORE, 0), (0, 0)))
        x = x.reshape(-1, CHUNK, channels)
        before = whole[:, : -BEFORE or None].reshape(-1, CHUNK, channels)[:, :BEFORE]
        x = jnp.concatenate([before, x, x[:, -AFTER - 1 : -1][:, ::-1]], axis=1)
        spectrum = Conv(258, 256, 128, padding="VALID", initial="lecun", name="stft", **plain)(x)
        power = jnp.square(spectrum[..., :129]) + jnp.square(spectrum[..., 129:])
        x = features["stft"] = jnp.where(power == 0, 0, jnp.sqrt(jnp.where(power == 0, 1, power)))  # slope 0 in silence
        for index, (width, stride) in enumerate(zip(self.widths, self.strides, strict=True)):
            x = ACTIVATIONS["relu"](Conv(width, 3, stride, bias=True, name=f"conv{index}", **plain)(x))
            features[f"conv{index}"] = x
        x = features["lstm"] = Lstm(self.memory, name="lstm", **plain)(x.reshape(batch, -1, x.shape[-1]))
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(ACTIVATIONS["relu"](x))
        if self.num_classes:
            x = Conv(self.num_classes, 1, bias=True, initial="lecun", name="head", **plain)(x)
        return x, features


SILERO_VAD = Silero()
