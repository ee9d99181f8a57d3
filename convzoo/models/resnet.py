"""ResNet v1.5, ResNeXt, Wide ResNet and He's CIFAR form, over any number of spatial axes.

[batch, *space, channels] -> [batch, num_classes]. He et al. 2016, arXiv:1512.03385; stride on the 3-wide convolution
after Goyal et al. 2017, arXiv:1706.02677. ResNeXt: Xie et al. 2017, arXiv:1611.05431. Wide ResNet: Zagoruyko &
Komodakis 2016, arXiv:1605.07146, as torchvision widens ResNet-50 and 101. An output stride under 32 dilates the last
stages, as timm does. The CIFAR form has a 3-wide stem without pooling, three stages and shortcuts that pad channels
with zeros (option A), padded on both sides as Y. Idelbayev's PyTorch re-implementation, the peer with published
weights, does. ``blur`` makes every stride but the stem's an anti-aliased one (Zhang 2019, arXiv:1904.11486).
"""

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Int

from convzoo import core
from convzoo.nn import Basic, Bottleneck, ConvNorm, Dense, Model
from convzoo.nn.model import Features, check_output_stride


class ResNet(Model):
    """Waypoints ``stem``, ``stage0`` ..., ``pooled``. ``num_classes=0``: no head, the output is ``pooled``."""

    depths: tuple[int, ...]
    block: type[Basic] | type[Bottleneck] = Bottleneck
    num_classes: int = 1000
    width: int = 64
    window: int = 3
    stem: str = "pooled"  # "pooled": 7-wide at stride 2, then max pool; "plain": as wide as the blocks at stride 1
    shortcut: str = "project"
    padding: str = "HALF"
    groups: int = 1  # of the 3-wide convolution of a bottleneck, each width * base_width / 64 wide
    base_width: int = 64
    dropout: float = 0.0
    drop_path: float = 0.0  # of the last block; it grows from 0
    output_stride: int = 32
    initial: str = "he"
    blur: int = 0  # the window of the blur that strides in place of the pool and the blocks; 0: none
    ranks: tuple[int, ...] = (2,)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *space channels"],
        *,
        train: bool = False,
        length: Int[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch out"], Features]:
        """``length``: how many places of each example are real along its first axis; pooling leaves out the rest."""
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        own: dict[str, Any] = {"padding": self.padding, "initial": self.initial, **plain}
        grouping = {"groups": self.groups, "base_width": self.base_width} if self.block is Bottleneck else {}
        check_output_stride(self.output_stride)
        x = self.take(x, self.ranks)
        full = x.shape[1]
        if self.stem == "pooled":
            x = features["stem"] = ConvNorm(self.width, 7, 2, name="stem", **own)(x, train=train)
            x = core.max_pool(x, 3, stride=1 if self.blur else 2, padding=self.padding)
            x = core.blur_pool(x, self.blur, stride=2, padding=self.padding) if self.blur else x
        elif self.stem == "plain":
            x = features["stem"] = ConvNorm(self.width, self.window, name="stem", **own)(x, train=train)
        else:
            raise ValueError(f"stem {self.stem!r} is not known; it must be 'pooled' or 'plain'")
        reached, dilation = 4 if self.stem == "pooled" else 1, 1
        rates = iter(np.linspace(0, self.drop_path, sum(self.depths)))
        for stage, depth in enumerate(self.depths):
            stride, before = 2 if stage > 0 and reached < self.output_stride else 1, dilation
            reached, dilation = reached * stride, dilation * (2 if stage > 0 and stride == 1 else 1)
            for index in range(depth):
                block = self.block(
                    self.width * 2**stage,
                    1 if index else stride,
                    self.window,
                    shortcut=self.shortcut,
                    dilation=dilation,
                    first_dilation=dilation if index else before,
                    drop_path=float(next(rates)),
                    blur=self.blur,
                    name=f"stage{stage}_block{index}",
                    **grouping,
                    **own,
                )
                x = block(x, train=train)
            features[f"stage{stage}"] = x
        mask = None
        if length is not None:
            mask = core.length_mask(-(-length * x.shape[1] // full), x.shape[1])
            mask = jnp.broadcast_to(jnp.expand_dims(mask, range(2, x.ndim - 1)), x.shape[:-1])
        x = features["pooled"] = core.global_mean(x, mask)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        if self.num_classes:
            x = Dense(self.num_classes, name="head", **plain)(x)
        return x, features


RESNET18 = ResNet(depths=(2, 2, 2, 2), block=Basic, initial="he_out")
RESNET34 = RESNET18.clone(depths=(3, 4, 6, 3))
RESNET50 = ResNet(depths=(3, 4, 6, 3), initial="he_out")
RESNET101 = RESNET50.clone(depths=(3, 4, 23, 3))
RESNET152 = RESNET50.clone(depths=(3, 8, 36, 3))

RESNEXT50_32X4D = RESNET50.clone(groups=32, base_width=4)
RESNEXT101_32X4D = RESNET101.clone(groups=32, base_width=4)
RESNEXT101_32X8D = RESNET101.clone(groups=32, base_width=8)
RESNEXT101_64X4D = RESNET101.clone(groups=64, base_width=4)

WIDE_RESNET50_2 = RESNET50.clone(base_width=128)
WIDE_RESNET101_2 = RESNET101.clone(base_width=128)

CIFAR_RESNET20 = ResNet(depths=(3, 3, 3), block=Basic, num_classes=10, width=16, stem="plain", shortcut="pad")
CIFAR_RESNET32 = CIFAR_RESNET20.clone(depths=(5, 5, 5))
CIFAR_RESNET44 = CIFAR_RESNET20.clone(depths=(7, 7, 7))
CIFAR_RESNET56 = CIFAR_RESNET20.clone(depths=(9, 9, 9))
CIFAR_RESNET110 = CIFAR_RESNET20.clone(depths=(18, 18, 18))
