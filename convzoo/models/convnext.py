"""ConvNeXt and ConvNeXt V2: [batch, *space, channels] -> [batch, num_classes], over any number of spatial axes.

Liu et al. 2022, arXiv:2201.03545; V2 with global response norm in place of layer scale, Woo et al. 2023,
arXiv:2301.00808. Stem and downsampling are patches that do not overlap; the norm of the head follows pooling. The
sizes under tiny, and dilation for an output stride under 32, are timm's.
"""

from collections import OrderedDict
from typing import Any

import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float

from convzoo import core
from convzoo.nn import Conv, ConvNeXtBlock, Dense, LayerNorm, Model
from convzoo.nn.model import Features, check_output_stride


class ConvNeXt(Model):
    """Waypoints ``stem``, ``stage0`` to ``stage3``, ``pooled``, ``normed``.

    ``num_classes=0``: no head, the output is ``normed``. ``drop_path`` is the rate of the last block; it grows from 0.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    num_classes: int = 1000
    window: int = 7
    layer_scale: float = 1e-6  # 0: none
    response_norm: bool = False
    dropout: float = 0.0
    drop_path: float = 0.0
    output_stride: int = 32
    ranks: tuple[int, ...] = (2,)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch out"], Features]:
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        own: dict[str, Any] = {"initial": "normal_02", **plain}
        check_output_stride(self.output_stride)
        x = self.take(x, self.ranks)
        x = Conv(self.widths[0], 4, 4, padding="VALID", bias=True, name="stem", **own)(x)
        x = features["stem"] = LayerNorm(name="stem_norm", **plain)(x)
        rates = iter(np.linspace(0, self.drop_path, sum(self.depths)))
        reached, dilation = 4, 1
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            if stage:
                stride = 2 if reached < self.output_stride else 1
                reached, dilation = reached * stride, dilation * 2 // stride
                apart, padding = (1, "VALID") if dilation == 1 else (min(dilation // 2, 2), "SAME")
                x = LayerNorm(name=f"stage{stage}_down_norm", **plain)(x)
                down = Conv(width, 2, stride, apart, padding=padding, bias=True, name=f"stage{stage}_down", **own)
                x = down(x)
            for index in range(depth):
                name, rate = f"stage{stage}_block{index}", float(next(rates))
                block = ConvNeXtBlock(
                    self.window, dilation, self.layer_scale, self.response_norm, rate, name=name, **plain
                )
                x = block(x, train=train)
            features[f"stage{stage}"] = x
        x = features["pooled"] = core.global_mean(x)
        x = features["normed"] = LayerNorm(name="norm", **plain)(x)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        return (Dense(self.num_classes, name="head", **own)(x) if self.num_classes else x), features


CONVNEXT_ATTO = ConvNeXt(depths=(2, 2, 6, 2), widths=(40, 80, 160, 320))
CONVNEXT_FEMTO = ConvNeXt(depths=(2, 2, 6, 2), widths=(48, 96, 192, 384))
CONVNEXT_PICO = ConvNeXt(depths=(2, 2, 6, 2), widths=(64, 128, 256, 512))
CONVNEXT_NANO = ConvNeXt(depths=(2, 2, 8, 2), widths=(80, 160, 320, 640))
CONVNEXT_TINY = ConvNeXt(depths=(3, 3, 9, 3), widths=(96, 192, 384, 768))
CONVNEXT_SMALL = ConvNeXt(depths=(3, 3, 27, 3), widths=(96, 192, 384, 768))
CONVNEXT_BASE = ConvNeXt(depths=(3, 3, 27, 3), widths=(128, 256, 512, 1024))
CONVNEXT_LARGE = ConvNeXt(depths=(3, 3, 27, 3), widths=(192, 384, 768, 1536))
CONVNEXT_XLARGE = ConvNeXt(depths=(3, 3, 27, 3), widths=(256, 512, 1024, 2048))

CONVNEXTV2_ATTO = CONVNEXT_ATTO.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_FEMTO = CONVNEXT_FEMTO.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_PICO = CONVNEXT_PICO.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_NANO = CONVNEXT_NANO.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_TINY = CONVNEXT_TINY.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_SMALL = CONVNEXT_SMALL.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_BASE = CONVNEXT_BASE.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_LARGE = CONVNEXT_LARGE.clone(layer_scale=0.0, response_norm=True)
CONVNEXTV2_HUGE = CONVNEXT_LARGE.clone(widths=(352, 704, 1408, 2816), layer_scale=0.0, response_norm=True)
