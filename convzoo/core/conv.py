"""Convolution over any number of spatial axes: ``[batch, *space, in] -> [batch, *new_space, out]``.

``y[r] = sum over taps t of x[stride * r + dilation * t - before] @ kernel[t]``. How it is computed is decided when it
is lowered, in ``convzoo.core.lowering``.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from convzoo.core import lowering as ways
from convzoo.core.activations import ACTIVATIONS
from convzoo.core.shapes import (
    Geometry,
    Padding,
    Size,
    check_fits,
    check_floating,
    out_space,
    per_axis,
    rank_of,
    reach,
    resolve_padding,
)

ONE_WIDE = Geometry((1,), ((0, 0),), (1,), (1,))


def conv(
    x: Float[Array, "batch *space in"],
    kernel: Float[Array, "*window in_per_group out"],
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Padding = "HALF",
    scale: Float[Array, " out"] | None = None,
    bias: Float[Array, " out"] | None = None,
    residual: Float[Array, "batch *new_space out"] | None = None,
    activation: str = "none",
    lowering: str | None = None,
) -> Float[Array, "batch *new_space out"]:
    """Convolves every spatial axis of ``x`` (cross-correlation, as in every deep-learning library), and what follows:
    ``activation(convolved * scale + bias + residual)``, in one pass on a CPU where nothing is differentiated.

    Args:
      x: ``[batch, *space, in]`` with 1, 2 or 3 spatial axes, floating.
      kernel: ``[*window, in / groups, out]``, of the dtype of ``x``.
      stride, dilation: one integer, or one per spatial axis.
      groups: input and output channels are split into this many independent convolutions.
      padding: ``"HALF"``, ``"SAME"``, ``"CAUSAL"``, ``"VALID"`` or one (before, after) pair per spatial axis.
      scale, bias: ``[out]``, applied in at least float32.
      residual: of the shape and dtype of the result.
      activation: a name in ``core.ACTIVATIONS``.
      lowering: the way to compute it and its derivatives on a CPU, for comparison: ``"lax"`` is XLA's own; None the
        one that was measured fastest (``core.force`` sets it for a block of code).

    Raises:
      ValueError: the kernel's rank, channels, groups, or any size along an axis does not fit ``x``, the shape of what
        follows does not fit the result, or the activation or lowering is not known.
      TypeError: a dtype is not floating, or that of ``x``, the kernel or the residual differs.
    """
    rank = rank_of(x)
    window = check_kernel(x, kernel, groups)
    stride, dilation = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    pads = resolve_padding(padding, x.shape[1:-1], window, stride, dilation)
    geometry = Geometry(stride, pads, (1,) * rank, dilation, groups)
    check_fits(x.shape[1:-1], window, geometry)
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation {activation!r} is not known; it must be one of {sorted(ACTIVATIONS)}")
    following = {"scale": scale, "bias": bias, "residual": residual}
    given = {name: value for name, value in following.items() if value is not None}
    if not given and activation == "none":
        return ways.conv(x, kernel, geometry, lowering)
    shape = (x.shape[0], *out_space(x.shape[1:-1], window, geometry), kernel.shape[-1])
    for name, value in given.items():
        wanted = shape if name == "residual" else shape[-1:]
        if jnp.shape(value) != wanted:
            raise ValueError(f"{name} has shape {jnp.shape(value)}; the result {shape} needs {wanted}")
    if residual is not None:
        check_floating(x=x, residual=residual)
    finish = ways.Finish(scale is not None, bias is not None, residual is not None, activation)
    kept = jnp.promote_types(x.dtype, "float32")
    more = [value if name == "residual" else value.astype(kept) for name, value in given.items()]
    return ways.conv_then(x, kernel, geometry, finish, *more, way=lowering)


def conv_transpose(
    x: Float[Array, "batch *space in"],
    kernel: Float[Array, "*window in_per_group out"],
    *,
    stride: Size = 1,
    dilation: Size = 1,
    groups: int = 1,
    padding: Padding = "HALF",
    lowering: str | None = None,
) -> Float[Array, "batch *new_space out"]:
    """Transposed convolution: ``y[stride * s + dilation * t - before] += x[s] @ kernel[t]``.

    Padding is what is cut from the full result, so that ``conv_transpose`` undoes the shape of the ``conv`` with the
    same padding: ``"HALF"`` and explicit pairs cut as PyTorch's ``ConvTranspose`` does, ``"SAME"`` and ``"CAUSAL"``
    give ``stride * n`` outputs (CAUSAL: none of them depends on a later input), ``"VALID"`` cuts nothing. PyTorch's
    weight ``[in, out / groups, *window]`` is this kernel with its axes moved, not flipped.

    Args and errors as in ``conv``.
    """
    rank = rank_of(x)
    window = check_kernel(x, kernel, groups)
    stride, dilation = per_axis(stride, rank, "stride"), per_axis(dilation, rank, "dilation")
    reaches = reach(window, dilation)
    if padding == "SAME":
        before = [max(r + 1 - s, 0) // 2 for r, s in zip(reaches, stride, strict=True)]
        cuts = tuple((b, r + 1 - s - b) for b, r, s in zip(before, reaches, stride, strict=True))
    elif padding == "CAUSAL":
        cuts = tuple((0, r + 1 - s) for r, s in zip(reaches, stride, strict=True))
    else:
        cuts = resolve_padding(padding, x.shape[1:-1], window, stride, dilation)
    pads = tuple((r - before, r - after) for r, (before, after) in zip(reaches, cuts, strict=True))
    geometry = Geometry((1,) * rank, pads, stride, dilation, groups)
    check_fits(x.shape[1:-1], window, geometry)
    return ways.conv(x, ways.flip(kernel), geometry, lowering)


def check_kernel(x: Array, kernel: Array, groups: int) -> tuple[int, ...]:
    """The kernel's window, once its rank, channels, groups and dtype are known to fit ``x``."""
    check_floating(x=x, kernel=kernel)
    shape = f"kernel [*window, in / groups, out] = {tuple(kernel.shape)}"
    if kernel.ndim != x.ndim:
        raise ValueError(
            f"{shape} has {kernel.ndim - 2} window axes; x [batch, *space, in] = {tuple(x.shape)} has {x.ndim - 2} "
            "spatial axes"
        )
    if isinstance(groups, bool) or not hasattr(groups, "__index__") or groups < 1:
        raise ValueError(f"groups is {groups!r}; it must be an integer of at least 1")
    channels, out = x.shape[-1], kernel.shape[-1]
    if channels % groups or out % groups:
        raise ValueError(f"groups={groups} must divide the input channels {channels} and the output channels {out}")
    if kernel.shape[-2] != channels // groups:
        raise ValueError(
            f"{shape} takes {kernel.shape[-2]} input channels a group; x has {channels} channels in {groups} groups, "
            f"so {channels // groups} a group"
        )
    if 0 in kernel.shape:
        raise ValueError(f"{shape} has an empty axis")
    return kernel.shape[:-2]


def product(x: Float[Array, "*rows in"], kernel: Float[Array, "in out"]) -> Float[Array, "*rows out"]:
    """``x @ kernel``, by the kernels of the convolution that is 1 wide: on a CPU faster than XLA's own product."""
    if any(isinstance(size, int) and not size for size in x.shape):
        return x @ kernel
    rows = x.reshape(1, -1, x.shape[-1])
    return ways.conv(rows, kernel[None], ONE_WIDE).reshape(*x.shape[:-1], kernel.shape[-1])
