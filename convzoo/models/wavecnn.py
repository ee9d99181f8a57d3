"""M5 and M11, deep networks on the raw waveform: [batch, samples, channels] -> [batch, num_classes].

Dai et al. 2016, arXiv:1610.00087: a first convolution of 80 samples at stride 4, stages of 3-wide ones with a maximum
over 4 places between them, the mean over time, and no hidden dense layer. Convolutions keep the length ("HALF"), where
the paper does not say.
"""

from collections import OrderedDict
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float, Int

from convzoo import core
from convzoo.nn import ACTIVATIONS, BatchNorm, Conv, Dense, Model
from convzoo.nn.model import Features


class WaveCNN(Model):
    """Waypoints ``stage0`` ... (before pooling), ``pooled``. ``num_classes=0``: no head, the output is ``pooled``."""

    depths: tuple[int, ...]  # the first stage is the first convolution
    widths: tuple[int, ...]
    num_classes: int = 10
    window: int = 80
    stride: int = 4
    dropout: float = 0.0
    ranks: tuple[int, ...] = (1,)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channels"],
        *,
        train: bool = False,
        length: Int[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch out"], Features]:
        """``length``: how many samples of each sound are real; pooling leaves out the rest."""
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.take(x, self.ranks)
        full = x.shape[1]
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            x = core.max_pool(x, 4, padding="VALID") if stage else x
            for index in range(depth):
                window, stride = (3, 1) if stage else (self.window, self.stride)
                x = Conv(width, window, stride, bias=True, name=f"stage{stage}_conv{index}", **plain)(x)
                x = BatchNorm(name=f"stage{stage}_conv{index}_norm", **plain)(x, train=train)
                x = ACTIVATIONS["relu"](x)
            features[f"stage{stage}"] = x
        x = core.max_pool(x, 4, padding="VALID")
        mask = None if length is None else core.length_mask(-(-length * x.shape[1] // full), x.shape[1])
        x = features["pooled"] = core.global_mean(x, mask)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        return (Dense(self.num_classes, name="head", **plain)(x) if self.num_classes else x), features


M5 = WaveCNN(depths=(1, 1, 1, 1), widths=(128, 128, 256, 512))
M11 = WaveCNN(depths=(1, 2, 2, 3, 2), widths=(64, 64, 128, 256, 512))
