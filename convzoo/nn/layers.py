"""Layers that own parameters, over any number of spatial axes: ``[batch, *space, in] -> [batch, *new_space, out]``."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.core.shapes import rank_of
from convzoo.nn.model import Model

he_normal = nn.initializers.he_normal()
lecun_normal = nn.initializers.lecun_normal()

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "relu": jax.nn.relu,
    "elu": jax.nn.elu,
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


class Conv(Model):
    """A convolution and, if ``bias``, its bias."""

    features: int
    window: core.Size = 3
    stride: core.Size = 1
    dilation: core.Size = 1
    groups: int = 1
    padding: core.Padding = "HALF"
    bias: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"]) -> Float[Array, "batch *new_space out"]:
        y = convolve(self, x)
        if not self.bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype).astype(y.dtype)


class ConvNorm(Model):
    """Convolution, batch norm, activation: owns ``kernel`` and the child ``norm``."""

    features: int
    window: core.Size = 3
    stride: core.Size = 1
    dilation: core.Size = 1
    groups: int = 1
    padding: core.Padding = "HALF"
    activation: str = "relu"
    initial_scale: float = 1.0

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"], *, train: bool) -> Float[Array, "batch *new_space out"]:
        norm = BatchNorm(initial_scale=self.initial_scale, name="norm", dtype=self.dtype, param_dtype=self.param_dtype)
        return ACTIVATIONS[self.activation](norm(convolve(self, x), train=train))


def convolve(layer: Conv | ConvNorm, x: Array) -> Array:
    """The convolution of a layer, with the ``kernel`` the layer owns."""
    window = core.per_axis(layer.window, rank_of(x), "window")
    shape = (*window, x.shape[-1] // layer.groups, layer.features)
    kernel = layer.param("kernel", he_normal, shape, layer.param_dtype)
    return core.conv(
        x.astype(layer.dtype),
        kernel.astype(layer.dtype),
        stride=layer.stride,
        dilation=layer.dilation,
        groups=layer.groups,
        padding=layer.padding,
    )


class BatchNorm(Model):
    """Batch normalisation over every axis but the channels, as PyTorch's: the running variance is the unbiased one.

    Places where ``mask`` is False stay out of the statistics.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    initial_scale: float = 1.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "*shape channels"], *, train: bool, mask: Bool[Array, "*shape"] | None = None
    ) -> Float[Array, "*shape channels"]:
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.constant(self.initial_scale), shape, self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        kept = jnp.promote_types(self.param_dtype, "float32")
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, kept)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, kept)
        if not train:
            return core.batch_norm(x, running_mean.value, running_var.value, scale, bias, epsilon=self.epsilon)
        places = None if mask is None else mask[..., None]
        mean, var, count = core.moments(x, range(x.ndim - 1), places)
        mean, var = mean.reshape(shape), var.reshape(shape)
        if not self.is_initializing():
            count = jnp.max(jnp.asarray(count, kept))
            unbiased = var * (count / jnp.maximum(count - 1, 1))
            blend = self.momentum
            running_mean.value = (blend * running_mean.value + (1 - blend) * mean).astype(kept)
            running_var.value = (blend * running_var.value + (1 - blend) * unbiased).astype(kept)
        return core.batch_norm(x, mean, var, scale, bias, epsilon=self.epsilon)


class GraphConvNorm(Model):
    """Graph convolution, batch norm over real nodes, activation: owns ``kernel`` and the child ``norm``."""

    features: int
    taps: int = 1
    activation: str = "relu"
    initial_scale: float = 1.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "nodes in"], edges: core.Edges, *, train: bool, mask: Bool[Array, " nodes"] | None = None
    ) -> Float[Array, "nodes out"]:
        norm = BatchNorm(initial_scale=self.initial_scale, name="norm", dtype=self.dtype, param_dtype=self.param_dtype)
        kernel = self.param("kernel", he_normal, (self.taps, x.shape[-1], self.features), self.param_dtype)
        y = core.graph_conv(x.astype(self.dtype), kernel.astype(self.dtype), edges)
        return ACTIVATIONS[self.activation](norm(y, train=train, mask=mask))


class Dense(Model):
    """A matrix product over the channels and a bias."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*shape in"]) -> Float[Array, "*shape out"]:
        kernel = self.param("kernel", lecun_normal, (x.shape[-1], self.features), self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), self.param_dtype)
        return x.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)
