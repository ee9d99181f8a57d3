"""MobileNet V3: [batch, *space, channels] -> [batch, num_classes]; the network is ``mobilenet.MobileNet``.

Howard et al. 2019, arXiv:1905.02244. The last convolution before the classes stands after pooling, as a dense layer.
The ``tf_`` forms pad and normalise as the published TensorFlow weights want it.
"""

from convzoo.models.mobilenet import Blocks, MobileNet, Stage, scaled

LARGE = (
    (Blocks(1, 3, 1, 1, 16, 0, "relu"),),
    (Blocks(1, 3, 2, 4, 24, 0, "relu"), Blocks(1, 3, 1, 3, 24, 0, "relu")),
    (Blocks(3, 5, 2, 3, 40, 0.25, "relu"),),
    (Blocks(1, 3, 2, 6, 80), Blocks(1, 3, 1, 2.5, 80), Blocks(2, 3, 1, 2.3, 80)),
    (Blocks(2, 3, 1, 6, 112, 0.25),),
    (Blocks(3, 5, 2, 6, 160, 0.25),),
    (Blocks(1, 1, 1, 0, 960),),
)
SMALL = (
    (Blocks(1, 3, 2, 1, 16, 0.25, "relu"),),
    (Blocks(1, 3, 2, 4.5, 24, 0, "relu"), Blocks(1, 3, 1, 3.67, 24, 0, "relu")),
    (Blocks(1, 5, 2, 4, 40, 0.25), Blocks(2, 5, 1, 6, 40, 0.25)),
    (Blocks(2, 5, 1, 3, 48, 0.25),),
    (Blocks(3, 5, 2, 6, 96, 0.25),),
    (Blocks(1, 1, 1, 0, 576),),
)


def minimal(stages: tuple[Stage, ...]):
    """3-wide windows, no gates, no activation but the model's."""
    return tuple(
        tuple(line._replace(window=min(line.window, 3), squeeze=0.0, activation="") for line in stage)
        for stage in stages
    )


MOBILENETV3_LARGE_100 = MobileNet(
    stages=LARGE,
    stem=16,
    top=0,
    hidden=1280,
    activation="hard_swish",
    squeeze_from="hidden",
    gate="hard_sigmoid",
)
MOBILENETV3_LARGE_075 = MOBILENETV3_LARGE_100.clone(stages=scaled(LARGE, 0.75))
MOBILENETV3_SMALL_100 = MOBILENETV3_LARGE_100.clone(stages=SMALL, hidden=1024)
MOBILENETV3_SMALL_075 = MOBILENETV3_SMALL_100.clone(stages=scaled(SMALL, 0.75))
MOBILENETV3_SMALL_050 = MOBILENETV3_SMALL_100.clone(stages=scaled(SMALL, 0.5))

TF_MOBILENETV3_LARGE_100 = MOBILENETV3_LARGE_100.clone(padding="SAME", epsilon=1e-3)
TF_MOBILENETV3_LARGE_075 = MOBILENETV3_LARGE_075.clone(padding="SAME", epsilon=1e-3)
TF_MOBILENETV3_LARGE_MINIMAL_100 = TF_MOBILENETV3_LARGE_100.clone(stages=minimal(LARGE), activation="relu")
TF_MOBILENETV3_SMALL_100 = MOBILENETV3_SMALL_100.clone(padding="SAME", epsilon=1e-3)
TF_MOBILENETV3_SMALL_075 = MOBILENETV3_SMALL_075.clone(padding="SAME", epsilon=1e-3)
TF_MOBILENETV3_SMALL_MINIMAL_100 = TF_MOBILENETV3_SMALL_100.clone(stages=minimal(SMALL), activation="relu")
