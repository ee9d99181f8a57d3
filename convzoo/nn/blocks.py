"""Residual blocks over any number of spatial axes, and their twin on graphs.

``[batch, *space, in] -> [batch, *space / stride, out]``. He et al. 2016, arXiv:1512.03385; the last norm of a branch
starts at zero after Goyal et al. 2017, arXiv:1706.02677.
"""

from typing import Any

from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from convzoo import core
from convzoo.nn.layers import (
    ACTIVATIONS,
    Conv,
    ConvNorm,
    Dense,
    GlobalResponseNorm,
    GraphConvNorm,
    LayerNorm,
    LayerScale,
    SqueezeExcite,
    drop_path,
)
from convzoo.nn.model import Model


class Basic(Model):
    """Two convolutions around a residual. ``shortcut``: ``"project"`` (1-wide convolution), ``"pad"`` (He's option A:
    every stride-th place, new channels zero) or ``"none"`` (a plain network, to compare with). ``first_dilation`` is
    that of the convolution that may stride. ``blur``: the window of the ``core.blur_pool`` that strides in its place
    and in the shortcut's; 0: none."""

    width: int
    stride: int = 1
    window: int = 3
    padding: str = "HALF"
    shortcut: str = "project"
    dilation: int = 1
    first_dilation: int = 1
    drop_path: float = 0.0
    initial: str = "he"
    blur: int = 0
    expansion = 1

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"], *, train: bool) -> Float[Array, "batch *new_space out"]:
        own = shared(self)
        stride = 1 if self.blur else self.stride
        y = ConvNorm(self.width, self.window, stride, self.first_dilation, name="conv1", **own)(x, train=train)
        y = blurred(self, y)
        scale = 1.0 if self.shortcut == "none" else 0.0
        last = ConvNorm(
            self.width,
            self.window,
            1,
            self.dilation,
            initial_scale=scale,
            drop_path=self.drop_path,
            name="conv2",
            **own,
        )
        return last(y, skip(self, x, y.shape, train=train), train=train)


class Bottleneck(Model):
    """1-3-1 around a residual; the stride sits in the 3-wide convolution (v1.5).

    That convolution has ``width * base_width // 64`` channels in each of ``groups`` groups: ResNeXt (Xie et al. 2017,
    arXiv:1611.05431) and Wide ResNet (Zagoruyko & Komodakis 2016, arXiv:1605.07146). ``blur`` as in ``Basic``.
    """

    width: int
    stride: int = 1
    window: int = 3
    padding: str = "HALF"
    shortcut: str = "project"
    dilation: int = 1
    first_dilation: int = 1
    drop_path: float = 0.0
    initial: str = "he"
    groups: int = 1
    base_width: int = 64
    blur: int = 0
    expansion = 4

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"], *, train: bool) -> Float[Array, "batch *new_space out"]:
        own = shared(self)
        inner, out = self.width * self.base_width // 64 * self.groups, self.width * self.expansion
        y = ConvNorm(inner, 1, name="conv1", **own)(x, train=train)
        stride = 1 if self.blur else self.stride
        middle = ConvNorm(inner, self.window, stride, self.first_dilation, self.groups, name="conv2", **own)
        y = blurred(self, middle(y, train=train))
        last = ConvNorm(out, 1, initial_scale=0.0, drop_path=self.drop_path, name="conv3", **own)
        return last(y, skip(self, x, (*y.shape[:-1], out), train=train), train=train)


def shared(block: Basic | Bottleneck) -> dict[str, Any]:
    """What a block hands to each of its layers."""
    return {name: getattr(block, name) for name in ("dtype", "param_dtype", "padding", "initial")}


def blurred(block: Basic | Bottleneck, x: Array) -> Array:
    """``x`` at the block's stride where that is the blur's to take (Zhang 2019, arXiv:1904.11486), else as it is."""
    if not block.blur or block.stride == 1:
        return x
    return core.blur_pool(x, block.blur, stride=block.stride, padding=block.padding)


def skip(block: Basic | Bottleneck, x: Array, shape: tuple[Any, ...], *, train: bool) -> Array | None:
    """``x`` in the shape of the branch, whose batch may be symbolic; None where the shortcut is "none".

    Raises:
      ValueError: an unknown ``shortcut``.
    """
    if block.shortcut == "none" and isinstance(block, Basic):
        return None
    if block.shortcut not in ("project", "pad"):
        raise ValueError(f"shortcut {block.shortcut!r} is not known; it must be 'project' or 'pad'")
    if x.shape == shape:
        return x
    x, stride = blurred(block, x), 1 if block.blur else block.stride
    if block.shortcut == "pad":
        strided = x[(slice(None), *(slice(None, None, stride) for _ in x.shape[1:-1]))]
        extra = shape[-1] - x.shape[-1]
        return core.pad_channels(strided, extra // 2, extra - extra // 2)
    own: dict[str, Any] = {"dtype": block.dtype, "param_dtype": block.param_dtype, "initial": block.initial}
    return ConvNorm(shape[-1], 1, stride, activation="none", name="skip", parent=block, **own)(x, train=train)


class ConvNeXtBlock(Model):
    """Depthwise convolution, layer norm, and a 4 times wider GELU layer around a residual (Liu et al. 2022,
    arXiv:2201.03545). ``layer_scale`` 0: none. ``response_norm``: ConvNeXt V2's (Woo et al. 2023, arXiv:2301.00808)."""

    window: int = 7
    dilation: int = 1
    layer_scale: float = 1e-6
    response_norm: bool = False
    drop_path: float = 0.0
    expansion = 4

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space channels"], *, train: bool
    ) -> Float[Array, "batch *space channels"]:
        width = x.shape[-1]
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        own: dict[str, Any] = {"initial": "normal_02", **plain}
        y = Conv(width, self.window, dilation=self.dilation, groups=width, bias=True, name="conv", **own)(x)
        y = LayerNorm(name="norm", **plain)(y)
        y = Dense(self.expansion * width, activation="gelu", name="expand", **own)(y)
        if self.response_norm:
            y = GlobalResponseNorm(name="response", **plain)(y)
        scale = LayerScale(self.layer_scale, name="layer_scale", **plain)(width) if self.layer_scale else None
        project = Dense(width, name="project", **own)
        if train:
            return x + drop_path(self, project(y, scale), self.drop_path, train=True)
        return project(y, scale, residual=x)


class InvertedResidual(Model):
    """1-wide to ``hidden`` channels, depthwise, gate, 1-wide to ``features``; a residual where the shape stays.

    Sandler et al. 2018, arXiv:1801.04381. ``hidden`` 0: no widening, the depthwise separable block of MobileNet V1.
    ``squeezed`` 0: no gate. As everywhere in this family, only the first layers of a branch have activations.
    """

    features: int
    window: int = 3
    stride: int = 1
    dilation: int = 1
    hidden: int = 0
    activation: str = "relu6"
    squeezed: int = 0
    squeeze_activation: str = "relu"
    gate: str = "sigmoid"
    padding: str = "HALF"
    epsilon: float = 1e-5
    drop_path: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"], *, train: bool) -> Float[Array, "batch *new_space out"]:
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        own: dict[str, Any] = {"padding": self.padding, "initial": "he_out", "epsilon": self.epsilon, **plain}
        y = x
        if self.hidden:
            y = ConvNorm(self.hidden, 1, activation=self.activation, name="expand", **own)(y, train=train)
        each = y.shape[-1]
        depthwise = ConvNorm(
            each, self.window, self.stride, self.dilation, each, activation=self.activation, name="depthwise", **own
        )
        y = depthwise(y, train=train)
        if self.squeezed:
            y = SqueezeExcite(self.squeezed, self.squeeze_activation, self.gate, name="excite", **plain)(y)
        last = "project" if self.hidden else "point"
        residual = x if x.shape == (*y.shape[:-1], self.features) else None
        project = ConvNorm(self.features, 1, activation="none", drop_path=self.drop_path, name=last, **own)
        return project(y, residual, train=train)


class SeparableBlock(Model):
    """``repeat`` times a depthwise convolution in time, a 1-wide one, batch norm and ReLU, around a residual.

    Kriman et al. 2019, arXiv:1910.10261. The residual is a 1-wide convolution with a norm, whatever the shapes, added
    before the last ReLU; ``residual`` False: none. A ``window`` of 1 has no depthwise convolution.
    """

    width: int
    window: int
    repeat: int = 1
    stride: int = 1
    dilation: int = 1
    residual: bool = True
    padding: str = "HALF"

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time in"], *, train: bool, length: Int[Array, " batch"] | None = None
    ) -> tuple[Float[Array, "batch new_time out"], Int[Array, " batch"] | None]:
        """``length``: how many places of each sound are real. The rest is zero to every window, so that what a sound
        gives does not depend on what fills its batch up. Also returned: how many are real afterwards."""
        plain: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        first = x
        for index in range(self.repeat):
            stride = self.stride if index == 0 else 1
            if self.window > 1:
                each = Conv(
                    x.shape[-1],
                    self.window,
                    stride,
                    self.dilation,
                    groups=x.shape[-1],
                    padding=self.padding,
                    initial="he_out",
                    name=f"depthwise{index}",
                    **plain,
                )
                x = each(silent(x, length))
                length = None if length is None else -(-length // stride)
            mask, skipped = None if length is None else core.length_mask(length, x.shape[1]), None
            if self.residual and index == self.repeat - 1:
                skip = ConvNorm(self.width, 1, self.stride, activation="none", name="skip", **plain)
                skipped = skip(first, train=train, mask=mask)
            x = ConvNorm(self.width, 1, name=f"point{index}", **plain)(x, skipped, train=train, mask=mask)
        return x, length


def silent(x: Array, length: Array | None) -> Array:
    """``x`` with zeros after each sound's length."""
    return x if length is None else x * core.length_mask(length, x.shape[1])[..., None].astype(x.dtype)


class GatedBlock(Model):
    """A dilated causal convolution, tanh times sigmoid, and two 1-wide ones: to the next block, and out.

    Van den Oord et al. 2016, arXiv:1609.03499.
    """

    dilation: int
    window: int = 2
    skip: int = 64
    last: bool = False  # nothing goes to a next block

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time channels"]
    ) -> tuple[Float[Array, "batch time channels"], Float[Array, "batch time skip"]]:
        own: dict[str, Any] = {"bias": True, "initial": "lecun", "dtype": self.dtype, "param_dtype": self.param_dtype}
        width = x.shape[-1]
        y = Conv(2 * width, self.window, dilation=self.dilation, padding="CAUSAL", name="conv", **own)(x)
        y = ACTIVATIONS["tanh"](y[..., :width]) * ACTIVATIONS["sigmoid"](y[..., width:])
        told = Conv(self.skip, 1, name="skip", **own)(y)
        return x if self.last else x + Conv(width, 1, name="project", **own)(y), told


class GraphBlock(Model):
    """``Basic`` with listed neighbours: two graph convolutions around a residual."""

    width: int
    taps: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "nodes in"], edges: core.Edges, *, train: bool, mask: Bool[Array, " nodes"] | None = None
    ) -> Float[Array, "nodes out"]:
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        y = GraphConvNorm(self.width, self.taps, name="conv1", **own)(x, edges, train=train, mask=mask)
        last = GraphConvNorm(self.width, self.taps, activation="none", initial_scale=0.0, name="conv2", **own)
        return ACTIVATIONS["relu"](x + last(y, edges, train=train, mask=mask))
