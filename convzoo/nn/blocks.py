"""Residual blocks over any number of spatial axes, and their twin on graphs.

``[batch, *space, in] -> [batch, *space / stride, out]``. He et al. 2016, arXiv:1512.03385; the last norm of a branch
starts at zero after Goyal et al. 2017, arXiv:1706.02677.
"""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.nn.layers import ACTIVATIONS, ConvNorm, GraphConvNorm
from convzoo.nn.model import Model


class Basic(Model):
    """Two convolutions around a residual. ``shortcut``: ``"project"`` (1-wide convolution), ``"pad"`` (He's option A:
    every stride-th place, new channels zero) or ``"none"`` (a plain network, to compare with)."""

    width: int
    stride: int = 1
    window: int = 3
    padding: str = "HALF"
    shortcut: str = "project"
    expansion = 1

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"], *, train: bool) -> Float[Array, "batch *new_space out"]:
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype, "padding": self.padding}
        y = ConvNorm(self.width, self.window, self.stride, name="conv1", **own)(x, train=train)
        scale = 1.0 if self.shortcut == "none" else 0.0
        last = ConvNorm(self.width, self.window, activation="none", initial_scale=scale, name="conv2", **own)
        y = last(y, train=train)
        return ACTIVATIONS["relu"](skip(self, x, y, train=train) + y)


class Bottleneck(Model):
    """1-3-1 around a residual; the stride sits in the 3-wide convolution (v1.5)."""

    width: int
    stride: int = 1
    window: int = 3
    padding: str = "HALF"
    shortcut: str = "project"
    expansion = 4

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"], *, train: bool) -> Float[Array, "batch *new_space out"]:
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype, "padding": self.padding}
        out = self.width * self.expansion
        y = ConvNorm(self.width, 1, name="conv1", **own)(x, train=train)
        y = ConvNorm(self.width, self.window, self.stride, name="conv2", **own)(y, train=train)
        y = ConvNorm(out, 1, activation="none", initial_scale=0.0, name="conv3", **own)(y, train=train)
        return ACTIVATIONS["relu"](skip(self, x, y, train=train) + y)


def skip(block: Basic | Bottleneck, x: Array, y: Array, *, train: bool) -> Array:
    """``x`` in the shape of ``y``.

    Raises:
      ValueError: an unknown ``shortcut``.
    """
    if block.shortcut == "none" and isinstance(block, Basic):
        return jnp.zeros_like(y)
    if block.shortcut not in ("project", "pad"):
        raise ValueError(f"shortcut {block.shortcut!r} is not known; it must be 'project' or 'pad'")
    if x.shape == y.shape:
        return x
    if block.shortcut == "pad":
        strided = x[(slice(None), *(slice(None, None, block.stride) for _ in x.shape[1:-1]))]
        extra = y.shape[-1] - x.shape[-1]
        return core.pad_channels(strided, extra // 2, extra - extra // 2)
    own: dict[str, Any] = {"dtype": block.dtype, "param_dtype": block.param_dtype}
    return ConvNorm(y.shape[-1], 1, block.stride, activation="none", name="skip", parent=block, **own)(x, train=train)


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
