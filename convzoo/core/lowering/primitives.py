"""What is computed: two bilinear primitives, their derivatives and their batching, and a third that finishes.

``conv_p``: ``y[r] = sum_t x[(stride * r + dilation * t - before) / in_dilation] @ kernel[t]`` and its sibling
``kernel_grad_p``: ``z[t] = sum_r x[...]^T y[r]``. Each one's transpose is one of the two again, so forward mode,
reverse mode and every higher derivative are exact. ``conv_then_p`` is ``conv_p`` and what may follow it, in
one where nobody differentiates or batches, the two apart where somebody does. The way to compute is chosen when it is
lowered, per platform, so that an export from a CPU carries the CPU's way to no other platform.

Shapes: x ``[batch, *space, in]``, kernel ``[*window, in / groups, out]``, y ``[batch, *new_space, out]``.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import PartitionSpec

from convzoo.core.lowering.choice import (
    check_way,
    conv_anywhere,
    conv_on_cpu,
    conv_then_anywhere,
    conv_then_on_cpu,
    forced_way,
    kernel_grad_anywhere,
    kernel_grad_on_cpu,
    portable,
)
from convzoo.core.lowering.finish import Finish, finished
from convzoo.core.lowering.windows import Array, adjoint, swap
from convzoo.core.shapes import Geometry, out_space


def conv(x: Array, kernel: Array, geometry: Geometry, way: str | None = None) -> Array:
    """The convolution of checked arguments; ``convzoo.core.conv`` is the public face."""
    x, kernel = vary_alike(x, kernel)
    return conv_p.bind(x, kernel, geometry=geometry, way=check_way(way) or forced_way.value)


def conv_then(x: Array, kernel: Array, geometry: Geometry, finish: Finish, *more: Array, way: str | None) -> Array:
    """``finish`` applied to the convolution of checked arguments."""
    known = geometry, check_way(way) or forced_way.value, finish
    return conv_then_in_one(known, *vary_alike(x, kernel, *more))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def conv_then_in_one(known: tuple, x: Array, kernel: Array, *more: Array) -> Array:
    geometry, way, finish = known
    return conv_then_p.bind(x, kernel, *more, geometry=geometry, way=way, finish=finish)


@conv_then_in_one.defjvp
def conv_then_tangent(known: tuple, primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return jax.jvp(partial(conv_then_apart, *known), primals, tangents)


def conv_then_apart(
    geometry: Geometry, way: str | None, finish: Finish, x: Array, kernel: Array, *more: Array
) -> Array:
    with forced_way(way):
        return finished(conv(x, kernel, geometry), finish, *more)


def kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """The gradient of ``sum(conv(x, kernel) * y)`` with respect to a kernel of this window."""
    x, y = vary_alike(x, y)
    return kernel_grad_p.bind(x, y, geometry=geometry, window=window, way=forced_way.value)


def varying(aval) -> frozenset:
    """The mesh axes over which an array inside ``shard_map`` varies; the attribute's name is JAX's version's."""
    kind = getattr(aval, "manual_axis_type", aval)
    return frozenset(getattr(kind, "varying", getattr(aval, "vma", ())))


def vary_alike(*arrays: Array) -> list[Array]:
    """Inside ``shard_map`` each array is marked as varying over every mesh axis that any of them varies over."""
    axes = [varying(jax.typeof(a)) for a in arrays]
    every = frozenset().union(*axes)
    return [
        jax.lax.pcast(a, tuple(every - own), to="varying") if every - own else a
        for a, own in zip(arrays, axes, strict=True)
    ]


def input_grad(y: Array, kernel: Array, geometry: Geometry, space: tuple[int, ...]) -> Array:
    """The gradient of ``sum(conv(x, kernel) * y)`` with respect to an ``x`` on ``space``."""
    back = adjoint(geometry, space, kernel.shape[:-2], y.shape[1:-1])
    return conv(y, swap(kernel, geometry.groups), back)


STATIC = ("geometry", "window", "way", "finish", "size", "heads", "tree")  # of all primitives, here and of graphs


def primitive(name: str, abstract: Callable, anywhere: Callable, on_cpu: Callable) -> Primitive:
    p = Primitive(name)
    p.def_abstract_eval(abstract)
    p.def_impl(jax.jit(p.bind, static_argnames=STATIC))
    mlir.register_lowering(p, lowered(anywhere))
    mlir.register_lowering(p, lowered(on_cpu), platform="cpu")
    return p


def lowered(function: Callable) -> Callable:
    """A lowering rule that forgets over which mesh axes its arguments vary: the loops of a way start from zeros.

    An export must run where our own kernels are not, and XLA cannot cut a call to them into parts for several devices.
    """
    rule = mlir.lower_fun(function, multiple_results=False)

    def plain(ctx, *args, **params):
        module = ctx.module_context
        exported = getattr(module.lowering_parameters, "for_export", False)
        with portable(exported or getattr(module.axis_context, "num_devices", 1) > 1):
            return rule(ctx.replace(avals_in=[ShapedArray(a.shape, a.dtype) for a in ctx.avals_in]), *args, **params)

    return plain


def like(x, shape: tuple) -> ShapedArray:
    """Of this shape, and varying over the mesh axes that ``x`` varies over."""
    if not varying(x):
        return ShapedArray(shape, x.dtype)
    return x.update(
        shape=shape, weak_type=False, sharding=x.sharding.update(spec=PartitionSpec(*(None for _ in shape)))
    )


def conv_abstract(x, kernel, *more, geometry, way, finish=None):
    del way, more, finish
    space = out_space(x.shape[1:-1], kernel.shape[:-2], geometry)
    return like(x, (x.shape[0], *space, kernel.shape[-1]))


def kernel_grad_abstract(x, y, *, geometry, window, way):
    del way
    return like(x, (*window, x.shape[-1] // geometry.groups, y.shape[-1]))


conv_p = primitive("convzoo_conv", conv_abstract, conv_anywhere, conv_on_cpu)
conv_then_p = primitive("convzoo_conv_then", conv_abstract, conv_then_anywhere, conv_then_on_cpu)
kernel_grad_p = primitive("convzoo_kernel_grad", kernel_grad_abstract, kernel_grad_anywhere, kernel_grad_on_cpu)


def to_x(ct, x, kernel, *, geometry, way):
    with forced_way(way):
        return input_grad(ct, kernel, geometry, x.aval.shape[1:-1])


def to_kernel(ct, x, kernel, *, geometry, way):
    with forced_way(way):
        return kernel_grad(x, ct, geometry, kernel.aval.shape[:-2])


def grad_to_x(ct, x, y, *, geometry, window, way):
    del window
    with forced_way(way):
        return input_grad(y, ct, geometry, x.aval.shape[1:-1])


def grad_to_y(ct, x, y, *, geometry, window, way):
    del y, window
    with forced_way(way):
        return conv(x, ct, geometry)


ad.defbilinear(conv_p, to_x, to_kernel)
ad.defbilinear(kernel_grad_p, grad_to_x, grad_to_y)


def fold_last(a: Array, axis: int, groups: int = 1) -> Array:
    """Moves a batch axis behind the channels of each group: ``[B, ..., g * c] -> [..., g * c * B]``, or, for
    ``groups=0``, before all of them: ``[..., B * c]``."""
    a = jnp.moveaxis(a, axis, -1 if groups else -2)
    return a.reshape(*a.shape[:-2], -1)


def conv_batch(args, dims, *, geometry, way):
    (x, kernel), (at_x, at_kernel) = args, dims
    with forced_way(way):
        if at_kernel is None:  # more examples
            x = jnp.moveaxis(x, at_x, 0)
            y = conv(x.reshape(-1, *x.shape[2:]), kernel, geometry)
            return y.reshape(*x.shape[:2], *y.shape[1:]), 0
        size = kernel.shape[at_kernel]
        if at_x is None:  # more output channels in every group
            y = conv(x, fold_last(kernel, at_kernel), geometry)
            return y.reshape(*y.shape[:-1], -1, size), y.ndim
        y = conv(  # more groups
            fold_last(x, at_x, 0), fold_last(kernel, at_kernel, 0), geometry._replace(groups=geometry.groups * size)
        )
        return y.reshape(*y.shape[:-1], size, -1), y.ndim - 1


def kernel_grad_batch(args, dims, *, geometry, window, way):
    (x, y), (at_x, at_y) = args, dims
    with forced_way(way):
        if at_y is None:  # more input channels in every group
            size = x.shape[at_x]
            z = kernel_grad(fold_last(x, at_x), y, geometry, window)
            return z.reshape(*z.shape[:-2], -1, size, z.shape[-1]), z.ndim - 1
        size = y.shape[at_y]
        if at_x is None:  # more output channels in every group
            z = kernel_grad(x, fold_last(y, at_y), geometry, window)
            return z.reshape(*z.shape[:-1], -1, size), z.ndim
        grouped = geometry._replace(groups=geometry.groups * size)
        z = kernel_grad(fold_last(x, at_x, 0), fold_last(y, at_y, 0), grouped, window)
        return z.reshape(*z.shape[:-1], size, -1), z.ndim - 1


def conv_then_batch(args, dims, *, geometry, way, finish):
    return jax.vmap(partial(conv_then_apart, geometry, way, finish), dims)(*args), 0


batching.primitive_batchers[conv_p] = conv_batch
batching.primitive_batchers[conv_then_p] = conv_then_batch
batching.primitive_batchers[kernel_grad_p] = kernel_grad_batch
