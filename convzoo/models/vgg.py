"""VGG 11 to 19, plain or with batch norm: [batch, *space, channels] -> [batch, num_classes].

Simonyan & Zisserman 2014, arXiv:1409.1556. The dense layers are convolutions over 7 places, as timm has them: the same
as dense layers at 224 pixels, a mean over places at more; below, the last stage is brought to 7 by adaptive pooling.
"""

from collections import OrderedDict
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float

from convzoo import core
from convzoo.nn import ACTIVATIONS, BatchNorm, Conv, Dense, Model
from convzoo.nn.model import Features


class VGG(Model):
    """Waypoints ``stage0`` to ``stage4`` (before pooling), ``dense0``, ``dense1``, ``pooled``.

    ``num_classes=0``: no head, the output is ``pooled``.
    """

    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    norm: bool = False
    num_classes: int = 1000
    hidden: int = 4096
    dropout: float = 0.0
    ranks: tuple[int, ...] = (2,)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch out"], Features]:
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        own: dict[str, Any] = {"bias": True, "initial": "he_out", **plain}
        relu: dict[str, Any] = {"activation": "relu", **own}
        x = self.take(x, self.ranks)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            for index in range(depth):
                name = f"stage{stage}_conv{index}"
                x = Conv(width, 3, name=name, **(own if self.norm else relu))(x)
                if self.norm:
                    x = ACTIVATIONS["relu"](BatchNorm(name=f"{name}_norm", **plain)(x, train=train))
            features[f"stage{stage}"] = x
            x = core.max_pool(x, 2, padding="VALID")
        if min(x.shape[1:-1]) < 7:
            x = core.adaptive_avg_pool(x, [max(n, 7) for n in x.shape[1:-1]])
        x = features["dense0"] = Conv(self.hidden, 7, padding="VALID", name="dense0", **relu)(x)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout0")(x)
        x = features["dense1"] = Conv(self.hidden, 1, name="dense1", **relu)(x)
        x = features["pooled"] = core.global_mean(x)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout1")(x)
        return (Dense(self.num_classes, "normal_01", name="head", **plain)(x) if self.num_classes else x), features


VGG11 = VGG(depths=(1, 1, 2, 2, 2))
VGG13 = VGG(depths=(2, 2, 2, 2, 2))
VGG16 = VGG(depths=(2, 2, 3, 3, 3))
VGG19 = VGG(depths=(2, 2, 4, 4, 4))

VGG11_BN = VGG11.clone(norm=True)
VGG13_BN = VGG13.clone(norm=True)
VGG16_BN = VGG16.clone(norm=True)
VGG19_BN = VGG19.clone(norm=True)
