"""MobileNet V2, and the network it shares with V3 and EfficientNet: [batch, *space, channels] -> [batch, num_classes].

Sandler et al. 2018, arXiv:1801.04381. Names, the rounding of channels and the deeper forms (``110d``, ``120d``) are
timm's. An output stride under 32 dilates the last stages, as timm does.
"""

import itertools
import math
from collections import OrderedDict
from typing import Any, NamedTuple

from flax import linen as nn
from jaxtyping import Array, Float

from convzoo import core
from convzoo.nn import ConvNorm, Dense, InvertedResidual, Model
from convzoo.nn.model import Features, check_output_stride


class Blocks(NamedTuple):
    """``repeat`` inverted residuals, the first at ``stride``. ``expansion`` 1: depthwise separable; 0: a convolution.

    ``squeeze``: the gate's channels against those it is taken from; 0: no gate. ``activation`` "": the model's.
    """

    repeat: int
    window: int
    stride: int
    expansion: float
    width: int
    squeeze: float = 0.0
    activation: str = ""


Stage = tuple[Blocks, ...]


def rounded(channels: float) -> int:
    """The nearest multiple of 8, not below 90 % of ``channels`` and not below 8."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def scaled(stages: tuple[Stage, ...], width: float, depth: float = 1.0, *, keep_ends: bool = False):
    """The stages ``width`` times wider and, if each is of one line, ``depth`` times deeper.

    ``keep_ends``: the first and the last stage keep their depth.
    """

    def repeat(index: int, line: Blocks) -> int:
        ends = keep_ends and index in (0, len(stages) - 1)
        return line.repeat if ends else math.ceil(line.repeat * depth)

    return tuple(
        tuple(line._replace(repeat=repeat(index, line), width=rounded(line.width * width)) for line in stage)
        for index, stage in enumerate(stages)
    )


class MobileNet(Model):
    """Waypoints ``stem``, ``stage0`` ..., ``top`` (if any), ``pooled``, ``hidden`` (if any).

    ``top``: channels of the convolution before pooling, ``hidden``: of the dense layer after it; 0: none.
    ``num_classes=0``: no head, the output is the last waypoint. ``drop_path`` grows towards the last block.
    """

    stages: tuple[Stage, ...]
    stem: int = 32
    top: int = 1280
    hidden: int = 0
    num_classes: int = 1000
    activation: str = "relu6"
    squeeze_from: str = "input"  # of a block, or "hidden": its widened channels, rounded
    squeeze_activation: str = "relu"
    gate: str = "sigmoid"
    padding: str = "HALF"
    epsilon: float = 1e-5
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
        own: dict[str, Any] = {"padding": self.padding, "epsilon": self.epsilon, **plain}
        outer: dict[str, Any] = {"activation": self.activation, "initial": "he_out", **own}
        check_output_stride(self.output_stride)
        x = self.take(x, self.ranks)
        x = features["stem"] = ConvNorm(self.stem, 3, 2, name="stem", **outer)(x, train=train)
        depth, passed, reached, dilation = sum(line.repeat for line in itertools.chain(*self.stages)), 0, 2, 1
        for stage, lines in enumerate(self.stages):
            repeats = (
                line._replace(stride=1 if again else line.stride) for line in lines for again in range(line.repeat)
            )
            for index, line in enumerate(repeats):
                stride = line.stride if reached * line.stride <= self.output_stride else 1
                name, rate = f"stage{stage}_block{index}", self.drop_path * passed / depth
                block = self.block(x.shape[-1], line, stride, dilation, drop_path=rate, name=name, **own)
                x = block(x, train=train)
                passed, reached, dilation = passed + 1, reached * stride, dilation * line.stride // stride
            features[f"stage{stage}"] = x
        if self.top:
            x = features["top"] = ConvNorm(self.top, 1, name="top", **outer)(x, train=train)
        x = features["pooled"] = core.global_mean(x)
        if self.hidden:
            layer = Dense(self.hidden, initial="he_out", activation=self.activation, name="hidden", **plain)
            x = features["hidden"] = layer(x)
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        if self.num_classes:
            x = Dense(self.num_classes, initial="uniform_out", name="head", **plain)(x)
        return x, features

    def block(self, inner: int, line: Blocks, stride: int, dilation: int, **own: Any) -> Any:
        """One block of ``line`` on ``inner`` channels."""
        activation = line.activation or self.activation
        if not line.expansion:
            own.pop("drop_path")
            return ConvNorm(line.width, line.window, stride, dilation, activation=activation, initial="he_out", **own)
        hidden = rounded(inner * line.expansion) if line.expansion != 1 else 0
        squeezed = (
            round(inner * line.squeeze)
            if self.squeeze_from == "input" or not line.squeeze
            else rounded((hidden or inner) * line.squeeze)
        )
        return InvertedResidual(
            line.width,
            line.window,
            stride,
            dilation,
            hidden,
            activation,
            squeezed,
            self.squeeze_activation,
            self.gate,
            **own,
        )


V2 = (
    (Blocks(1, 3, 1, 1, 16),),
    (Blocks(2, 3, 2, 6, 24),),
    (Blocks(3, 3, 2, 6, 32),),
    (Blocks(4, 3, 2, 6, 64),),
    (Blocks(3, 3, 1, 6, 96),),
    (Blocks(3, 3, 2, 6, 160),),
    (Blocks(1, 3, 1, 6, 320),),
)
MOBILENETV2_100 = MobileNet(stages=V2)
MOBILENETV2_035 = MobileNet(stages=scaled(V2, 0.35), stem=rounded(32 * 0.35))
MOBILENETV2_050 = MobileNet(stages=scaled(V2, 0.5), stem=16)
MOBILENETV2_075 = MobileNet(stages=scaled(V2, 0.75), stem=24)
MOBILENETV2_140 = MobileNet(stages=scaled(V2, 1.4), stem=rounded(32 * 1.4), top=rounded(1280 * 1.4))
MOBILENETV2_110D = MobileNet(stages=scaled(V2, 1.1, 1.2, keep_ends=True))
MOBILENETV2_120D = MobileNet(stages=scaled(V2, 1.2, 1.4, keep_ends=True))
