"""QuartzNet and MatchboxNet, separable convolutions in time: [batch, time, features] -> an answer a frame, or a sound.

QuartzNet: Kriman et al. 2019, arXiv:1910.10261; [batch, time / 2, num_classes], for CTC over 64 log-mels. MatchboxNet:
Majumdar & Ginsburg 2020, arXiv:2004.08531, with the stride 1 of its authors' code; [batch, num_classes] from 64 MFCCs.
What is longer than a sound is kept at zero before every window, so a batch's padding changes nothing.
"""

from collections import OrderedDict
from typing import Any, NamedTuple

from flax import linen as nn
from jaxtyping import Array, Float, Int

from convzoo import core
from convzoo.nn import Conv, Dense, Model, SeparableBlock
from convzoo.nn.model import Features


class Block(NamedTuple):
    """A line of the table: ``repeat`` convolutions of ``width`` channels around a residual, or one without."""

    width: int
    window: int
    repeat: int = 1
    stride: int = 1
    dilation: int = 1
    residual: bool = False


class QuartzNet(Model):
    """Waypoints ``block0`` ..., ``pooled`` if it is. ``num_classes=0``: no head, the last of them is the output."""

    blocks: tuple[Block, ...]
    num_classes: int = 29  # letters, space, apostrophe, and the blank, the last
    pooled: bool = False
    padding: str = "HALF"
    dropout: float = 0.0
    ranks: tuple[int, ...] = (1,)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch time channels"],
        *,
        train: bool = False,
        length: Int[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch *new_time out"], Features]:
        """``length``: how many frames of each sound are real."""
        features = OrderedDict()
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.take(x, self.ranks)
        for index, line in enumerate(self.blocks):
            block = SeparableBlock(*line, padding=self.padding, name=f"block{index}", **plain)
            x, length = block(x, train=train, length=length)
            features[f"block{index}"] = x
        if self.pooled:
            mask = None if length is None else core.length_mask(length, x.shape[1])
            x = features["pooled"] = core.global_mean(x, mask)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        if self.num_classes and self.pooled:
            x = Dense(self.num_classes, name="head", **plain)(x)
        elif self.num_classes:
            x = Conv(self.num_classes, 1, bias=True, initial="lecun", name="head", **plain)(x)
        return x, features


def quartznet(times: int) -> QuartzNet:
    """Five kinds of blocks, each ``times`` in a row."""
    kinds = Block(256, 33, 5), Block(256, 39, 5), Block(512, 51, 5), Block(512, 63, 5), Block(512, 75, 5)
    middle = (kind._replace(residual=True) for kind in kinds for _ in range(times))
    return QuartzNet(blocks=(Block(256, 33, stride=2), *middle, Block(512, 87, dilation=2), Block(1024, 1)))


QUARTZNET5X5 = quartznet(1)
QUARTZNET15X5 = quartznet(3)
MATCHBOXNET_3X2X64 = QuartzNet(
    blocks=(
        Block(128, 11),
        Block(64, 13, 2, residual=True),
        Block(64, 15, 2, residual=True),
        Block(64, 17, 2, residual=True),
        Block(128, 29, dilation=2),
        Block(128, 1),
    ),
    num_classes=35,
    pooled=True,
)
