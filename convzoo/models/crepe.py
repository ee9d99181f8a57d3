"""CREPE, the pitch of a frame of sound: [batch, 1024, 1] at 16 kHz -> [batch, 360] logits, one a fifth of a semitone.

Kim et al. 2018, arXiv:1802.06182, as its authors' weights are: each convolution is padded to keep its length at its
stride, and the norm follows the ReLU. Frames come with mean 0 and standard deviation 1 (``convzoo.apps.pitch``); a
sigmoid of a logit is how likely the pitch is in its bin, from 31.7 Hz upwards in steps of 20 cents.
"""

from collections import OrderedDict
from typing import Any, ClassVar

from flax import linen as nn
from jaxtyping import Array, Float

from convzoo import core
from convzoo.nn import ACTIVATIONS, BatchNorm, Conv, Dense, Model
from convzoo.nn.model import Features

FRAME = 1024  # samples


class Crepe(Model):
    """Waypoints ``conv0`` to ``conv5`` (pooled), ``pooled`` (all places in a row). ``num_classes=0``: no head."""

    widths: tuple[int, ...] = (1024, 128, 128, 128, 256, 512)
    num_classes: int = 360
    dropout: float = 0.0
    epsilon: float = 0.0010000000474974513  # Keras' 0.001, as the weights' PyTorch twin has it
    ranks: tuple[int, ...] = (1,)
    norm_after_activation: ClassVar[bool] = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch out"], Features]:
        """
        Raises:
          ValueError: ``x`` has not 1024 samples.
        """
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.take(x, self.ranks)
        if x.shape[1] != FRAME:
            raise ValueError(f"Crepe takes frames of {FRAME} samples at 16 kHz, [batch, {FRAME}, 1]; got {x.shape}")
        for index, width in enumerate(self.widths):
            window, stride, pads = (64, 1, (31, 32)) if index else (512, 4, (254, 254))
            x = Conv(width, window, stride, padding=(pads,), bias=True, name=f"conv{index}", **plain)(x)
            x = BatchNorm(epsilon=self.epsilon, name=f"conv{index}_norm", **plain)(ACTIVATIONS["relu"](x), train=train)
            x = features[f"conv{index}"] = core.max_pool(x, 2, padding="VALID")
        x = features["pooled"] = x.reshape(x.shape[0], -1)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        return (Dense(self.num_classes, name="head", **plain)(x) if self.num_classes else x), features


CREPE_FULL = Crepe()
CREPE_TINY = Crepe(widths=(128, 16, 16, 16, 32, 64))
