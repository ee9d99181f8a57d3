"""EfficientNet B0 to B7 and Lite 0 to 4: [batch, *space, channels] -> [batch, num_classes].

Tan & Le 2019, arXiv:1905.11946; Lite (R. Liu 2020, Google) has no gates, ReLU6, and a stem, a top, a first and a last
stage that do not scale. Padding and epsilon are PyTorch's, as timm trains them; the ``tf_`` forms have those of the
published TensorFlow weights: SAME and 1e-3.
"""

from convzoo.models.mobilenet import Blocks, MobileNet, Stage, rounded, scaled


class EfficientNet(MobileNet):
    """Waypoints ``stem``, ``stage0`` to ``stage6``, ``top``, ``pooled``; fields as in ``MobileNet``."""

    activation: str = "silu"
    squeeze_activation: str = "silu"


GATED = (
    (Blocks(1, 3, 1, 1, 16, 0.25),),
    (Blocks(2, 3, 2, 6, 24, 0.25),),
    (Blocks(2, 5, 2, 6, 40, 0.25),),
    (Blocks(3, 3, 2, 6, 80, 0.25),),
    (Blocks(3, 5, 1, 6, 112, 0.25),),
    (Blocks(4, 5, 2, 6, 192, 0.25),),
    (Blocks(1, 3, 1, 6, 320, 0.25),),
)


def plain(stages: tuple[Stage, ...]):
    """The stages without gates."""
    return tuple(tuple(line._replace(squeeze=0.0) for line in stage) for stage in stages)


def gated(width: float, depth: float) -> EfficientNet:
    stem, top = rounded(32 * width), rounded(1280 * width)
    return EfficientNet(stages=scaled(GATED, width, depth), stem=stem, top=top)


def lite(width: float, depth: float) -> EfficientNet:
    return EfficientNet(stages=scaled(plain(GATED), width, depth, keep_ends=True), activation="relu6")


EFFICIENTNET_B0 = gated(1.0, 1.0)
EFFICIENTNET_B1 = gated(1.0, 1.1)
EFFICIENTNET_B2 = gated(1.1, 1.2)
EFFICIENTNET_B3 = gated(1.2, 1.4)
EFFICIENTNET_B4 = gated(1.4, 1.8)
EFFICIENTNET_B5 = gated(1.6, 2.2)
EFFICIENTNET_B6 = gated(1.8, 2.6)
EFFICIENTNET_B7 = gated(2.0, 3.1)

EFFICIENTNET_LITE0 = lite(1.0, 1.0)
EFFICIENTNET_LITE1 = lite(1.0, 1.1)
EFFICIENTNET_LITE2 = lite(1.1, 1.2)
EFFICIENTNET_LITE3 = lite(1.2, 1.4)
EFFICIENTNET_LITE4 = lite(1.4, 1.8)

TF_EFFICIENTNET_B0 = EFFICIENTNET_B0.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_B1 = EFFICIENTNET_B1.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_B2 = EFFICIENTNET_B2.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_B3 = EFFICIENTNET_B3.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_B4 = EFFICIENTNET_B4.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_B5 = EFFICIENTNET_B5.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_B6 = EFFICIENTNET_B6.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_B7 = EFFICIENTNET_B7.clone(padding="SAME", epsilon=1e-3)

TF_EFFICIENTNET_LITE0 = EFFICIENTNET_LITE0.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_LITE1 = EFFICIENTNET_LITE1.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_LITE2 = EFFICIENTNET_LITE2.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_LITE3 = EFFICIENTNET_LITE3.clone(padding="SAME", epsilon=1e-3)
TF_EFFICIENTNET_LITE4 = EFFICIENTNET_LITE4.clone(padding="SAME", epsilon=1e-3)
