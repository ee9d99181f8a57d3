"""The tables: how others name and lay out the arrays of each family.

A row pairs our path with the peer's key. ``{x}`` in our path stands for a number; in the peer's key a sum of numbers
stands, of those in our path and of these, which follow from the whole tree:

    n       the block (or convolution of a stage), counted through the network    N       how many there are
    e       1 where the block has a layer ``expand``, else 0                      S       how many stages
    g       1 where the block has a gate, ``excite``, else 0
    d       1 where the block has a depthwise convolution, else 0

So with ``("stage{s}_block{b}/conv{c}/kernel", "layer{s+1}.{b}.conv{c}.weight")`` our ``stage0_block2/conv1/kernel`` is
their ``layer1.2.conv1.weight``, and ``{3*n+s}`` is three times the block's number plus its stage.
"""

from typing import NamedTuple

Shape = tuple[int, ...]


class Row(NamedTuple):
    """``axes``: one of

    same     as ours
    kernel   theirs ``[out, in, *window]``, ours ``[*window, in, out]``
    flat     theirs ``[out, places of in]``, ours ``[places with in, out]``; ``space`` is the shape of the places
    linear   theirs ``[out, in of *space]``, ours the kernel ``[*space, in, out]``
    point    theirs ``[out, in, 1, 1]``, ours ``[in, out]``
    tall     theirs ``[out, in, *window, 1]``, ours ``[*window, in, out]``
    column   theirs ``[channels, 1, 1]``, ours ``[channels]``
    """

    ours: str
    theirs: str
    axes: str = "same"
    space: Shape = ()


def dense(ours: str, theirs: str, axes: str = "kernel", space: Shape = ()) -> tuple[Row, ...]:
    """A kernel and its bias."""
    return Row(f"params/{ours}/kernel", f"{theirs}.weight", axes, space), Row(f"params/{ours}/bias", f"{theirs}.bias")


def kernel(ours: str, theirs: str) -> tuple[Row, ...]:
    """A convolution without bias."""
    return (Row(f"params/{ours}/kernel", f"{theirs}.weight", "kernel"),)


def affine(ours: str, theirs: str) -> tuple[Row, ...]:
    """A norm's scale and bias."""
    return Row(f"params/{ours}/scale", f"{theirs}.weight"), Row(f"params/{ours}/bias", f"{theirs}.bias")


def norm(ours: str, theirs: str) -> tuple[Row, ...]:
    """A batch norm."""
    return (
        *affine(ours, theirs),
        Row(f"batch_stats/{ours}/mean", f"{theirs}.running_mean"),
        Row(f"batch_stats/{ours}/var", f"{theirs}.running_var"),
    )


def conv_norm(ours: str, conv: str, after: str) -> tuple[Row, ...]:
    """A convolution without bias and its batch norm."""
    return *kernel(ours, conv), *norm(f"{ours}/norm", after)


RESIDUAL = (
    *conv_norm("stem", "conv1", "bn1"),
    *conv_norm("stage{s}_block{b}/conv{c}", "layer{s+1}.{b}.conv{c}", "layer{s+1}.{b}.bn{c}"),
)
BLOCK = "stage{s}_block{b}"


def convnext(axes: str) -> tuple[Row, ...]:
    """timm's, whose wide layers are dense or, in the small sizes, convolutions."""
    theirs = "stages.{s}.blocks.{b}"
    return (
        *dense("stem", "stem.0"),
        *affine("stem_norm", "stem.1"),
        *affine("stage{s}_down_norm", "stages.{s}.downsample.0"),
        *dense("stage{s}_down", "stages.{s}.downsample.1"),
        *dense(f"{BLOCK}/conv", f"{theirs}.conv_dw"),
        *affine(f"{BLOCK}/norm", f"{theirs}.norm"),
        *dense(f"{BLOCK}/expand", f"{theirs}.mlp.fc1", axes),
        *affine(f"{BLOCK}/response", f"{theirs}.mlp.grn"),
        *dense(f"{BLOCK}/project", f"{theirs}.mlp.fc2", axes),
        Row(f"params/{BLOCK}/layer_scale/scale", f"{theirs}.gamma"),
        *affine("norm", "head.norm"),
        *dense("head", "head.fc"),
    )


def vgg(index: str, after: str = "") -> tuple[Row, ...]:
    """The convolutions, at ``index`` of a list of layers, each with its norm ``after`` it."""
    conv = dense("stage{s}_conv{c}", f"features.{index}")
    return (*conv, *norm("stage{s}_conv{c}_norm", f"features.{after}")) if after else conv


VGG_HEAD = (*dense("dense0", "pre_logits.fc1"), *dense("dense1", "pre_logits.fc2"), *dense("head", "head.fc"))
VGG_TORCHVISION_HEAD = (
    *dense("dense0", "classifier.0", "linear", (7, 7)),
    *dense("dense1", "classifier.3", "linear", (1, 1)),
    *dense("head", "classifier.6"),
)
QUARTZNET = "encoder.encoder.{b}"
FAMILIES: dict[str, tuple[Row, ...]] = {
    "alexnet": (
        *dense("conv0", "features.0"),
        *dense("conv1", "features.3"),
        *dense("conv2", "features.6"),
        *dense("conv3", "features.8"),
        *dense("conv4", "features.10"),
        *dense("dense0", "classifier.1", "flat", (6, 6)),
        *dense("dense1", "classifier.4"),
        *dense("head", "classifier.6"),
    ),
    "alexnet_2012": (
        *dense("conv{c}", "conv{c+1}"),
        *dense("dense0", "fc6", "flat", (6, 6)),
        *dense("dense1", "fc7"),
        *dense("head", "fc8"),
    ),
    "resnet": (
        *RESIDUAL,
        *conv_norm(f"{BLOCK}/skip", "layer{s+1}.{b}.downsample.0", "layer{s+1}.{b}.downsample.1"),
        *dense("head", "fc"),
    ),
    "cifar_resnet": (*RESIDUAL, *dense("head", "linear")),
    "convnext": convnext("kernel"),
    "convnext_conv": convnext("point"),
    "convnext_torchvision": (
        *dense("stem", "features.0.0"),
        *affine("stem_norm", "features.0.1"),
        *affine("stage{s}_down_norm", "features.{2*s}.0"),
        *dense("stage{s}_down", "features.{2*s}.1"),
        *dense(f"{BLOCK}/conv", "features.{2*s+1}.{b}.block.0"),
        *affine(f"{BLOCK}/norm", "features.{2*s+1}.{b}.block.2"),
        *dense(f"{BLOCK}/expand", "features.{2*s+1}.{b}.block.3"),
        *dense(f"{BLOCK}/project", "features.{2*s+1}.{b}.block.5"),
        Row(f"params/{BLOCK}/layer_scale/scale", "features.{2*s+1}.{b}.layer_scale", "column"),
        *affine("norm", "classifier.0"),
        *dense("head", "classifier.2"),
    ),
    "mobilenet": (
        *conv_norm("stem", "conv_stem", "bn1"),
        *conv_norm(f"{BLOCK}/expand", "blocks.{s}.{b}.conv_pw", "blocks.{s}.{b}.bn1"),
        *conv_norm(f"{BLOCK}/depthwise", "blocks.{s}.{b}.conv_dw", "blocks.{s}.{b}.bn{e+1}"),
        *dense(f"{BLOCK}/excite/reduce", "blocks.{s}.{b}.se.conv_reduce", "point"),
        *dense(f"{BLOCK}/excite/expand", "blocks.{s}.{b}.se.conv_expand", "point"),
        *conv_norm(f"{BLOCK}/point", "blocks.{s}.{b}.conv_pw", "blocks.{s}.{b}.bn2"),
        *conv_norm(f"{BLOCK}/project", "blocks.{s}.{b}.conv_pwl", "blocks.{s}.{b}.bn3"),
        *conv_norm(BLOCK, "blocks.{s}.{b}.conv", "blocks.{s}.{b}.bn1"),
        *conv_norm("top", "conv_head", "bn2"),
        *dense("hidden", "conv_head", "point"),
        *dense("head", "classifier"),
    ),
    "mobilenetv2_torchvision": (
        *conv_norm("stem", "features.0.0", "features.0.1"),
        *conv_norm(f"{BLOCK}/expand", "features.{n+1}.conv.0.0", "features.{n+1}.conv.0.1"),
        *conv_norm(f"{BLOCK}/depthwise", "features.{n+1}.conv.{e}.0", "features.{n+1}.conv.{e}.1"),
        *conv_norm(f"{BLOCK}/point", "features.{n+1}.conv.1", "features.{n+1}.conv.2"),
        *conv_norm(f"{BLOCK}/project", "features.{n+1}.conv.2", "features.{n+1}.conv.3"),
        *conv_norm("top", "features.{N+1}.0", "features.{N+1}.1"),
        *dense("head", "classifier.1"),
    ),
    "mobilenetv3_torchvision": (
        *conv_norm("stem", "features.0.0", "features.0.1"),
        *conv_norm(f"{BLOCK}/expand", "features.{n+1}.block.0.0", "features.{n+1}.block.0.1"),
        *conv_norm(f"{BLOCK}/depthwise", "features.{n+1}.block.{e}.0", "features.{n+1}.block.{e}.1"),
        *dense(f"{BLOCK}/excite/reduce", "features.{n+1}.block.{e+1}.fc1", "point"),
        *dense(f"{BLOCK}/excite/expand", "features.{n+1}.block.{e+1}.fc2", "point"),
        *conv_norm(f"{BLOCK}/point", "features.{n+1}.block.{g+1}.0", "features.{n+1}.block.{g+1}.1"),
        *conv_norm(f"{BLOCK}/project", "features.{n+1}.block.{g+2}.0", "features.{n+1}.block.{g+2}.1"),
        *conv_norm(BLOCK, "features.{n+1}.0", "features.{n+1}.1"),
        *dense("hidden", "classifier.0"),
        *dense("head", "classifier.3"),
    ),
    "efficientnet_torchvision": (
        *conv_norm("stem", "features.0.0", "features.0.1"),
        *conv_norm(f"{BLOCK}/expand", "features.{s+1}.{b}.block.0.0", "features.{s+1}.{b}.block.0.1"),
        *conv_norm(f"{BLOCK}/depthwise", "features.{s+1}.{b}.block.{e}.0", "features.{s+1}.{b}.block.{e}.1"),
        *dense(f"{BLOCK}/excite/reduce", "features.{s+1}.{b}.block.{e+1}.fc1", "point"),
        *dense(f"{BLOCK}/excite/expand", "features.{s+1}.{b}.block.{e+1}.fc2", "point"),
        *conv_norm(f"{BLOCK}/point", "features.{s+1}.{b}.block.2.0", "features.{s+1}.{b}.block.2.1"),
        *conv_norm(f"{BLOCK}/project", "features.{s+1}.{b}.block.3.0", "features.{s+1}.{b}.block.3.1"),
        *conv_norm("top", "features.{S+1}.0", "features.{S+1}.1"),
        *dense("head", "classifier.1"),
    ),
    "efficientnet_lite_pytorch": (
        *conv_norm("stem", "_conv_stem", "_bn0"),
        *conv_norm(f"{BLOCK}/expand", "_blocks.{n}._expand_conv", "_blocks.{n}._bn0"),
        *conv_norm(f"{BLOCK}/depthwise", "_blocks.{n}._depthwise_conv", "_blocks.{n}._bn1"),
        *conv_norm(f"{BLOCK}/point", "_blocks.{n}._project_conv", "_blocks.{n}._bn2"),
        *conv_norm(f"{BLOCK}/project", "_blocks.{n}._project_conv", "_blocks.{n}._bn2"),
        *conv_norm("top", "_conv_head", "_bn1"),
        *dense("head", "_fc"),
    ),
    "vgg": (*vgg("{2*n+s}"), *VGG_HEAD),
    "vgg_torchvision": (*vgg("{2*n+s}"), *VGG_TORCHVISION_HEAD),
    "vgg_bn": (*vgg("{3*n+s}", "{3*n+s+1}"), *VGG_HEAD),
    "vgg_bn_torchvision": (*vgg("{3*n+s}", "{3*n+s+1}"), *VGG_TORCHVISION_HEAD),
    "wavecnn": (
        *dense("stage{s}_conv{c}", "stages.{s}.{c}.conv"),
        *norm("stage{s}_conv{c}_norm", "stages.{s}.{c}.norm"),
        *dense("head", "head"),
    ),
    "quartznet": (  # as NeMo names them
        *kernel("block{b}/depthwise{c}", QUARTZNET + ".mconv.{5*c}.conv"),
        *conv_norm("block{b}/point{c}", QUARTZNET + ".mconv.{5*c+d}.conv", QUARTZNET + ".mconv.{5*c+d+1}"),
        *conv_norm("block{b}/skip", QUARTZNET + ".res.0.0.conv", QUARTZNET + ".res.0.1"),
        *dense("head", "decoder.decoder_layers.0"),
    ),
    "tcn": (
        *conv_norm("block{b}/conv{c}", "blocks.{b}.conv{c}", "blocks.{b}.norm{c}"),
        *conv_norm("block{b}/skip", "blocks.{b}.skip", "blocks.{b}.skip_norm"),
        *dense("head", "head"),
    ),
    "wavenet": (
        *dense("stem", "stem"),
        *dense("block{b}/conv", "blocks.{b}.conv"),
        *dense("block{b}/project", "blocks.{b}.project"),
        *dense("block{b}/skip", "blocks.{b}.skip"),
        *dense("hidden", "hidden"),
        *dense("head", "head"),
    ),
    "crepe": (
        *dense("conv{c}", "conv{c+1}", "tall"),
        *norm("conv{c}_norm", "conv{c+1}_BN"),
        *dense("head", "classifier"),
    ),
    "silero": (
        Row("params/stft/kernel", "model.stft.forward_basis_buffer", "kernel"),
        *dense("conv{c}", "model.encoder.{c}.reparam_conv"),
        Row("params/lstm/input/kernel", "model.decoder.rnn.weight_ih", "kernel"),
        Row("params/lstm/input/bias", "model.decoder.rnn.bias_ih"),
        Row("params/lstm/recurrent/kernel", "model.decoder.rnn.weight_hh", "kernel"),
        Row("params/lstm/recurrent/bias", "model.decoder.rnn.bias_hh"),
        *dense("head", "model.decoder.decoder.2"),
    ),
}
