"""Layers that own parameters, over any number of spatial axes: ``[batch, *space, in] -> [batch, *new_space, out]``."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.core.shapes import rank_of
from convzoo.nn.model import Model

he_normal = nn.initializers.he_normal()


def he_out(groups: int) -> Callable[..., Array]:
    """Normal, variance 2 over the outputs that an input reaches: those of its group."""

    def values(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
        reached = math.prod(shape[:-2]) * shape[-1] // groups
        return jax.random.normal(key, shape, dtype) * math.sqrt(2 / reached)

    return values


def uniform_out(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """Uniform within one over the root of the outputs."""
    return jax.random.uniform(key, shape, dtype, -1, 1) / math.sqrt(shape[-1])


# What a kernel starts as, given its groups.
KERNELS: dict[str, Callable[[int], Callable[..., Any]]] = {
    "he": lambda groups: he_normal,
    "he_out": he_out,
    "lecun": lambda groups: nn.initializers.lecun_normal(),
    "normal_01": lambda groups: nn.initializers.normal(0.01),
    "normal_02": lambda groups: nn.initializers.normal(0.02),
    "uniform_out": lambda groups: uniform_out,
}

ACTIVATIONS = core.ACTIVATIONS
MANY_ROWS = 256  # from which the core's product is the faster one


class Conv(Model):
    """A convolution and, if ``bias``, its bias; an activation."""

    features: int
    window: core.Size = 3
    stride: core.Size = 1
    dilation: core.Size = 1
    groups: int = 1
    padding: core.Padding = "HALF"
    bias: bool = False
    initial: str = "he"
    initial_bias: float = 0.0
    activation: str = "none"

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space in"]) -> Float[Array, "batch *new_space out"]:
        kernel, bias = own_kernel(self, x), None
        if self.bias:
            start = nn.initializers.constant(self.initial_bias)
            bias = self.param("bias", start, (self.features,), self.param_dtype).astype(self.dtype)
        return convolve(self, x, kernel, bias=bias, activation=self.activation)


class ConvNorm(Model):
    """Convolution, batch norm, residual if there is one, activation: owns ``kernel`` and the child ``norm``."""

    features: int
    window: core.Size = 3
    stride: core.Size = 1
    dilation: core.Size = 1
    groups: int = 1
    padding: core.Padding = "HALF"
    activation: str = "relu"
    initial_scale: float = 1.0
    initial: str = "he"
    epsilon: float = 1e-5
    drop_path: float = 0.0  # how often, where there is a residual, training leaves only that

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *space in"],
        residual: Float[Array, "batch *new_space out"] | None = None,
        *,
        train: bool,
        mask: Bool[Array, "batch *new_space"] | None = None,
    ) -> Float[Array, "batch *new_space out"]:
        """``mask``: places of the output that count in training; the norm leaves out the rest."""
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype, "epsilon": self.epsilon}
        kernel = own_kernel(self, x)
        if not (train or self.is_initializing()):
            scale, bias = Affine(name="norm", **own)(self.features)
            return convolve(self, x, kernel, scale=scale, bias=bias, residual=residual, activation=self.activation)
        norm = BatchNorm(initial_scale=self.initial_scale, name="norm", **own)
        y = norm(convolve(self, x, kernel), train=train, mask=mask)
        if residual is not None:
            y = residual + drop_path(self, y, self.drop_path, train=train)
        return ACTIVATIONS[self.activation](y)


def own_kernel(layer: Conv | ConvNorm, x: Array) -> Array:
    """The ``kernel`` that a layer owns, in its computing dtype."""
    window = core.per_axis(layer.window, rank_of(x), "window")
    shape = (*window, x.shape[-1] // layer.groups, layer.features)
    return layer.param("kernel", KERNELS[layer.initial](layer.groups), shape, layer.param_dtype).astype(layer.dtype)


def convolve(layer: Conv | ConvNorm, x: Array, kernel: Array, **following: Any) -> Array:
    """The convolution of a layer, and what follows it."""
    x, padding = x.astype(layer.dtype), layer.padding
    if padding == "CAUSAL" and streams(layer):
        (dilation,) = core.per_axis(layer.dilation, rank_of(x), "dilation")
        x, padding = carried(layer, x, (kernel.shape[0] - 1) * dilation), "VALID"
    return core.conv(
        x,
        kernel,
        stride=layer.stride,
        dilation=layer.dilation,
        groups=layer.groups,
        padding=padding,
        **following,
    )


STREAM = "stream"  # the collection of what layers remember from one piece of a sound to the next


def streams(layer: nn.Module) -> bool:
    """Whether the sound is given in pieces (``convzoo.nn.streaming``)."""
    return layer.is_mutable_collection(STREAM) and not layer.is_initializing()


def carried(layer: nn.Module, x: Float[Array, "batch time channels"], size: int) -> Array:
    """``x`` behind the ``size`` places that came before it: those that the layer remembers, at first zeros."""
    past = layer.variable(STREAM, "past", jnp.zeros, (x.shape[0], size, x.shape[-1]), x.dtype)
    whole = jnp.concatenate([past.value, x], axis=1)
    past.value = whole[:, whole.shape[1] - size :]
    return whole


class Lstm(Model):
    """A long short-term memory over time (Hochreiter & Schmidhuber 1997), its gates in PyTorch's order: input, forget,
    cell, output. Owns ``input`` and ``recurrent``, each a kernel and a bias."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch time in"]) -> Float[Array, "batch time out"]:
        own: dict[str, Any] = {"initial": "lecun", "dtype": self.dtype, "param_dtype": self.param_dtype}
        gates = Dense(4 * self.features, name="input", **own)(x)
        kernel, bias = Weights(4 * self.features, name="recurrent", **own)(self.features)
        start = jnp.zeros((2, x.shape[0], self.features), gates.dtype)
        memory = self.variable(STREAM, "memory", lambda: start) if streams(self) else None

        def step(state: Array, gate: Array) -> tuple[Array, Array]:
            told, kept = core.recurrent.lstm(gate + state[0] @ kernel + bias, state[1])
            return jnp.stack([told, kept]), told

        state, told = jax.lax.scan(step, start if memory is None else memory.value, jnp.moveaxis(gates, 1, 0))
        if memory is not None:
            memory.value = state
        return jnp.moveaxis(told, 0, 1)


class BatchNorm(Model):
    """Batch normalisation over every axis but the channels, as PyTorch's: the running variance is the unbiased one.

    Places where ``mask`` is False stay out of the statistics. A norm with a ``bias`` alone has been folded
    (``convzoo.fold``) and only adds it.

    Raises:
      ValueError: a folded norm in training.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    initial_scale: float = 1.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "*shape channels"], *, train: bool, mask: Bool[Array, "*shape"] | None = None
    ) -> Float[Array, "*shape channels"]:
        shape = (x.shape[-1],)
        bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        if not (self.is_initializing() or self.has_variable("params", "scale")):
            if train:
                name = "/".join(self.path)
                raise ValueError(f"{name} was folded for inference; train with the variables before that")
            return x + bias.astype(x.dtype)
        scale = self.param("scale", nn.initializers.constant(self.initial_scale), shape, self.param_dtype)
        kept = jnp.promote_types(self.param_dtype, "float32")
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, kept)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, kept)
        if not train:
            return core.batch_norm(x, running_mean.value, running_var.value, scale, bias, epsilon=self.epsilon)
        y, mean, var, count = core.batch_norm_train(x, scale, bias, mask, epsilon=self.epsilon)
        if not self.is_initializing():
            count = jnp.max(jnp.asarray(count, kept))
            unbiased = var * (count / jnp.maximum(count - 1, 1))
            blend = self.momentum
            running_mean.value = (blend * running_mean.value + (1 - blend) * mean).astype(kept)
            running_var.value = (blend * running_var.value + (1 - blend) * unbiased).astype(kept)
        return y


class Affine(BatchNorm):
    """A batch norm in inference as what it multiplies by, None if it has been folded, and what it adds."""

    @nn.compact
    def __call__(self, features: int) -> tuple[Float[Array, " channels"] | None, Float[Array, " channels"]]:
        shape = (features,)
        bias = self.param("bias", nn.initializers.zeros, shape, self.param_dtype)
        if not self.has_variable("params", "scale"):
            return None, bias
        scale = self.param("scale", nn.initializers.ones, shape, self.param_dtype)
        mean, var = (self.variable("batch_stats", name, jnp.zeros, shape).value for name in ("mean", "var"))
        return core.batch_norm_affine(mean, var, scale, bias, epsilon=self.epsilon)


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


class Weights(Model):
    """A matrix ``[inner, features]`` and a bias, for whoever computes with them."""

    features: int
    initial: str = "lecun"
    initial_bias: float = 0.0

    @nn.compact
    def __call__(self, inner: int) -> tuple[Float[Array, "in out"], Float[Array, " out"]]:
        return own_weights(self, inner)


class Dense(Model):
    """A matrix product over the channels and what follows: ``activation((x @ kernel + bias) * scale + residual)``."""

    features: int
    initial: str = "lecun"
    initial_bias: float = 0.0
    activation: str = "none"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*shape in"],
        scale: Float[Array, " out"] | None = None,
        residual: Float[Array, "*shape out"] | None = None,
    ) -> Float[Array, "*shape out"]:
        kernel, bias = own_weights(self, x.shape[-1])
        x = x.astype(self.dtype)
        if 3 <= x.ndim <= 5:  # at every place: the core's product is the faster one
            kernel = kernel.reshape(*(1,) * (x.ndim - 2), *kernel.shape)
            bias = bias if scale is None else bias * scale
            return core.conv(x, kernel, scale=scale, bias=bias, residual=residual, activation=self.activation)
        y = (core.product(x, kernel) if many(x) else x @ kernel) + bias
        y = y if scale is None else y * scale
        return ACTIVATIONS[self.activation](y if residual is None else residual + y)


def many(x: Array) -> bool:
    """Whether x is a matrix of many rows."""
    return x.ndim == 2 and isinstance(x.shape[0], int) and x.shape[0] >= MANY_ROWS


def own_weights(layer: Weights | Dense, inner: int) -> tuple[Array, Array]:
    """The kernel and the bias that a layer owns, in its computing dtype."""
    shape, start = (inner, layer.features), nn.initializers.constant(layer.initial_bias)
    kernel = layer.param("kernel", KERNELS[layer.initial](1), shape, layer.param_dtype)
    bias = layer.param("bias", start, shape[1:], layer.param_dtype)
    return kernel.astype(layer.dtype), bias.astype(layer.dtype)


class LayerNorm(Model):
    """Layer normalisation over the channels of each place."""

    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Float[Array, "*shape channels"]) -> Float[Array, "*shape channels"]:
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:], self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], self.param_dtype)
        return core.layer_norm(x, scale, bias, epsilon=self.epsilon)


class GlobalResponseNorm(Model):
    """Channels compared with each other over the whole picture; starts as the identity."""

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *space channels"]:
        scale = self.param("scale", nn.initializers.zeros, x.shape[-1:], self.param_dtype)
        bias = self.param("bias", nn.initializers.zeros, x.shape[-1:], self.param_dtype)
        return core.global_response_norm(x, scale, bias)


class LayerScale(Model):
    """A number for each channel to be multiplied by, at first ``initial`` (Touvron et al. 2021, arXiv:2103.17239)."""

    initial: float

    @nn.compact
    def __call__(self, features: int) -> Float[Array, " channels"]:
        start = nn.initializers.constant(self.initial)
        return self.param("scale", start, (features,), self.param_dtype).astype(self.dtype)


class SqueezeExcite(Model):
    """Each channel times a gate computed from the means of all, through ``squeezed`` channels."""

    squeezed: int
    activation: str = "relu"
    gate: str = "sigmoid"
    initial: str = "he_out"

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *space channels"]:
        own: dict[str, Any] = {"initial": self.initial, "dtype": self.dtype, "param_dtype": self.param_dtype}
        down = Weights(self.squeezed, name="reduce", **own)(x.shape[-1])
        up = Weights(x.shape[-1], name="expand", **own)(self.squeezed)
        return core.squeeze_excite(x, *down, *up, activation=ACTIVATIONS[self.activation], gate=ACTIVATIONS[self.gate])


def drop_path(block: Model, branch: Array, rate: float, *, train: bool) -> Array:
    """In training, drops the branch of whole examples; the masks differ from block to block."""
    return core.stochastic_depth(branch, block.make_rng("dropout"), rate) if train and rate else branch
