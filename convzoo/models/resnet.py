"""ResNet v1.5 and He's CIFAR form: [batch, *space, channels] -> [batch, num_classes], over any number of spatial axes.

He et al. 2016, arXiv:1512.03385; stride on the 3-wide convolution after Goyal et al. 2017, arXiv:1706.02677. The CIFAR
form has a 3-wide stem without pooling, three stages and shortcuts that pad channels with zeros (option A), padded on
both sides as Y. Idelbayev's PyTorch re-implementation, the peer with published weights, does.
"""

from collections import OrderedDict
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float, Int

from convzoo import core
from convzoo.nn import Basic, Bottleneck, ConvNorm, Dense, Model
from convzoo.nn.model import Features


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
    dropout: float = 0.0
    ranks: tuple[int, ...] = (2,)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *space channels"],
        *,
        train: bool = False,
        length: Int[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch out"], Features]:
        """``length``: how many places of each 1-D example are real; pooling leaves out the rest."""
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype, "padding": self.padding}
        x = self.take(x, self.ranks)
        full = x.shape[1]
        if self.stem == "pooled":
            x = features["stem"] = ConvNorm(self.width, 7, 2, name="stem", **own)(x, train=train)
            x = core.max_pool(x, 3, stride=2, padding=self.padding)
        elif self.stem == "plain":
            x = features["stem"] = ConvNorm(self.width, self.window, name="stem", **own)(x, train=train)
        else:
            raise ValueError(f"stem {self.stem!r} is not known; it must be 'pooled' or 'plain'")
        for stage, depth in enumerate(self.depths):
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                name = f"stage{stage}_block{index}"
                block = self.block(self.width * 2**stage, stride, self.window, shortcut=self.shortcut, name=name, **own)
                x = block(x, train=train)
            features[f"stage{stage}"] = x
        mask = None if length is None else core.length_mask(-(-length * x.shape[1] // full), x.shape[1])
        x = features["pooled"] = core.global_mean(x, mask)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        if self.num_classes:
            x = Dense(self.num_classes, name="head", dtype=self.dtype, param_dtype=self.param_dtype)(x)
        return x, features


RESNET18 = ResNet(depths=(2, 2, 2, 2), block=Basic)
RESNET34 = ResNet(depths=(3, 4, 6, 3), block=Basic)
RESNET50 = ResNet(depths=(3, 4, 6, 3))
RESNET101 = ResNet(depths=(3, 4, 23, 3))
RESNET152 = ResNet(depths=(3, 8, 36, 3))

CIFAR_RESNET20 = ResNet(depths=(3, 3, 3), block=Basic, num_classes=10, width=16, stem="plain", shortcut="pad")
CIFAR_RESNET32 = CIFAR_RESNET20.clone(depths=(5, 5, 5))
CIFAR_RESNET44 = CIFAR_RESNET20.clone(depths=(7, 7, 7))
CIFAR_RESNET56 = CIFAR_RESNET20.clone(depths=(9, 9, 9))
CIFAR_RESNET110 = CIFAR_RESNET20.clone(depths=(18, 18, 18))
