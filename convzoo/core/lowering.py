"""How a convolution is computed: two primitives, closed under differentiation, and a table of ways for each platform.

``conv_p``: ``y[r] = sum_t x[(stride * r + dilation * t - before) / in_dilation] @ kernel[t]`` and its sibling
``kernel_grad_p``: ``z[t] = sum_r x[...]^T y[r]``. Each is bilinear and each one's transpose is one of the two again, so
forward mode, reverse mode and every higher derivative are exact. What is computed is fixed by the primitive; the way
is chosen when it is lowered, per platform, so that an export from a CPU carries the CPU's way to no other platform.

Shapes: x ``[batch, *space, in]``, kernel ``[*window, in / groups, out]``, y ``[batch, *new_space, out]``.
"""

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from convzoo.core.shapes import Geometry, out_space, reach, wide

Array = jax.Array
DEFAULT, CPU = "default", "cpu"
forced_way = jax.make_user_context(None)


def force(way: str | None):
    """A context in which every convolution is computed one way: ``with force("lax"): ...`` (None: the best known).

    Raises:
      ValueError: an unknown way.
    """
    if way is not None and way not in WAYS:
        raise ValueError(f"way {way!r} is not known; it must be one of {sorted(WAYS)} or None")
    return forced_way(way)


def conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """The convolution of checked arguments; ``convzoo.core.conv`` is the public face."""
    return conv_p.bind(x, kernel, geometry=geometry, way=forced_way.value)


def kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """The gradient of ``sum(conv(x, kernel) * y)`` with respect to a kernel of this window."""
    return kernel_grad_p.bind(x, y, geometry=geometry, window=window, way=forced_way.value)


def flip(kernel: Array) -> Array:
    """The kernel with its window reversed along every axis."""
    return lax.rev(kernel, tuple(range(kernel.ndim - 2)))


def swap(kernel: Array, groups: int) -> Array:
    """``[*window, in / groups, out] -> [*window, out / groups, in]``, flipped: the kernel of the input gradient."""
    window, inner, outer = kernel.shape[:-2], kernel.shape[-2], kernel.shape[-1]
    grouped = flip(kernel).reshape(*window, inner, groups, outer // groups)
    return jnp.swapaxes(grouped, -1, -3).reshape(*window, outer // groups, groups * inner)


def adjoint(geometry: Geometry, space: tuple[int, ...], window: tuple[int, ...], out: tuple[int, ...]) -> Geometry:
    """The geometry that carries ``y`` on ``out`` back to ``x`` on ``space``."""
    stride, pads, inner, dilation, groups = geometry
    back = []
    for n, o, s, (before, _), i, r in zip(space, out, stride, pads, inner, reach(window, dilation), strict=True):
        first = r - before
        back.append((first, (n - 1) * i + 1 + r - ((o - 1) * s + 1) - first))
    return Geometry(inner, tuple(back), stride, dilation, groups)


def input_grad(y: Array, kernel: Array, geometry: Geometry, space: tuple[int, ...]) -> Array:
    """The gradient of ``sum(conv(x, kernel) * y)`` with respect to an ``x`` on ``space``."""
    back = adjoint(geometry, space, kernel.shape[:-2], y.shape[1:-1])
    return conv(y, swap(kernel, geometry.groups), back)


# --- ways of computing conv -----------------------------------------------------------------------------------------


def lax_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """XLA's own convolution."""
    axes = "DHW"[-(x.ndim - 2) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=geometry.stride,
        padding=geometry.pads,
        lhs_dilation=geometry.in_dilation,
        rhs_dilation=geometry.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=geometry.groups,
    )


def pad_space(x: Array, pads: tuple[tuple[int, int], ...], value=0.0) -> Array:
    """Pads, or where negative crops, the spatial axes."""
    if all(pair == (0, 0) for pair in pads):
        return x
    config = ((0, 0, 0), *((before, after, 0) for before, after in pads), (0, 0, 0))
    return lax.pad(x, jnp.asarray(value, x.dtype), config)


def window_slices(x: Array, window: tuple[int, ...], geometry: Geometry, out: tuple[int, ...]):
    """(tap, x shifted to that tap, [batch, *out, in]) for every tap of the window; ``in_dilation`` is 1."""
    x = pad_space(x, geometry.pads)
    for tap in itertools.product(*map(range, window)):
        start = [t * d for t, d in zip(tap, geometry.dilation, strict=True)]
        stop = [b + (o - 1) * s + 1 for b, o, s in zip(start, out, geometry.stride, strict=True)]
        yield (
            tap,
            lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *geometry.stride, 1)),
        )


def product_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """A window of one: a matrix product over the channels."""
    out = out_space(x.shape[1:-1], kernel.shape[:-2], geometry)
    x = pad_space(x, geometry.pads)
    if any(s > 1 for s in geometry.stride):
        x = x[(slice(None), *(slice(None, None, s) for s in geometry.stride))]
    y = x.reshape(-1, x.shape[-1]) @ kernel.reshape(kernel.shape[-2:])
    return y.reshape(x.shape[0], *out, kernel.shape[-1])


def shift_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """Depthwise: the sum over taps of shifted inputs times one row of the kernel; XLA fuses it into one loop."""
    window = kernel.shape[:-2]
    out = out_space(x.shape[1:-1], window, geometry)
    multiplier = kernel.shape[-1] // x.shape[-1]
    if multiplier > 1:
        x = jnp.repeat(x, multiplier, axis=-1)
    total = None
    for tap, piece in window_slices(x, window, geometry, out):
        term = wide(piece) * wide(kernel[tap][0])
        total = term if total is None else total + term
    assert total is not None
    return total.astype(x.dtype)


def group_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """A few large groups: one dense convolution each."""
    groups, single = geometry.groups, geometry._replace(groups=1)
    pieces = [
        conv_on_cpu(part, k, geometry=single, way=None)
        for part, k in zip(jnp.split(x, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    ]
    return jnp.concatenate(pieces, -1)


def phase_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """A dilated input (stride of a transposed convolution): one plain convolution for each phase of the output.

    Along an axis, output ``o`` meets only taps with ``o + dilation * t - before`` divisible by ``in_dilation``.
    """
    window, rank = kernel.shape[:-2], x.ndim - 2
    out = out_space(x.shape[1:-1], window, geometry)
    phases, plain = geometry.in_dilation, geometry._replace(in_dilation=(1,) * rank)
    most = tuple(-(-o // i) for o, i in zip(out, phases, strict=True))
    results = []
    for phase in itertools.product(*map(range, phases)):
        taps, pads, steps = [], [], []
        for axis, p in enumerate(phase):
            i, d, before = phases[axis], geometry.dilation[axis], geometry.pads[axis][0]
            met = [t for t in range(window[axis]) if (p + d * t - before) % i == 0]
            step = i // math.gcd(i, d)
            taps.append(slice(met[0], None, step) if met else None)
            steps.append(d * step // i)
            first = (p + d * met[0] - before) // i if met else 0
            last = first + steps[-1] * (len(met) - 1) + most[axis] - 1
            pads.append((-first, last + 1 - x.shape[1 + axis]))
        if any(tap is None for tap in taps):
            results.append(jnp.zeros((x.shape[0], *most, kernel.shape[-1]), x.dtype))
            continue
        part = kernel[tuple(taps)]
        results.append(conv_on_cpu(x, part, geometry=plain._replace(pads=tuple(pads), dilation=tuple(steps)), way=None))
    stacked = jnp.stack(results).reshape(*phases, x.shape[0], *most, kernel.shape[-1])
    order = [rank, *itertools.chain.from_iterable((rank + 1 + a, a) for a in range(rank)), 2 * rank + 1]
    full = stacked.transpose(order).reshape(
        x.shape[0], *(m * i for m, i in zip(most, phases, strict=True)), kernel.shape[-1]
    )
    return full[(slice(None), *(slice(0, o) for o in out))]


# --- ways of computing kernel_grad ----------------------------------------------------------------------------------


def lax_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """XLA's own, by the transpose of its convolution."""
    shape = (*window, x.shape[-1] // geometry.groups, y.shape[-1])
    return jax.linear_transpose(lambda k: lax_conv(x, k, geometry), jax.ShapeDtypeStruct(shape, x.dtype))(y)[0]


def product_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """A window of one: a matrix product over batch and space."""
    x = pad_space(x, geometry.pads)
    if any(s > 1 for s in geometry.stride):
        x = x[(slice(None), *(slice(None, None, s) for s in geometry.stride))]
    z = x.reshape(-1, x.shape[-1]).T @ y.reshape(-1, y.shape[-1])
    return z.reshape(*window, *z.shape)


def shift_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """Depthwise: a scan over the first spatial axis of the result, each row read once for every tap."""
    groups = geometry.groups
    multiplier = y.shape[-1] // groups
    if multiplier > 1:
        x = jnp.repeat(x, multiplier, axis=-1)
    x = pad_space(x, geometry.pads)
    batch, rows, out = x.shape[0], y.shape[1], y.shape[1:-1]
    (first, *rest), inner = window, geometry
    span = (first - 1) * inner.dilation[0] + 1

    def row(total, index):
        n, r = index // rows, index % rows
        y_row = wide(lax.dynamic_slice(y, (n, r, *(0,) * (y.ndim - 2)), (1, 1, *y.shape[2:]))[0, 0])
        start = (n, r * inner.stride[0], *(0,) * (x.ndim - 2))
        x_rows = wide(lax.dynamic_slice(x, start, (1, span, *x.shape[2:]))[0, :: inner.dilation[0]])
        taps = []
        for tap in itertools.product(*map(range, rest)):
            begin = [t * d for t, d in zip(tap, inner.dilation[1:], strict=True)]
            end = [b + (o - 1) * s + 1 for b, o, s in zip(begin, out[1:], inner.stride[1:], strict=True)]
            piece = lax.slice(x_rows, (0, *begin, 0), (first, *end, x.shape[-1]), (1, *inner.stride[1:], 1))
            taps.append((piece * y_row).sum(tuple(range(1, piece.ndim - 1))))
        return total + jnp.stack(taps, 1), None

    start = jnp.zeros((first, math.prod(rest), y.shape[-1]), wide(y).dtype)
    total, _ = lax.scan(row, start, jnp.arange(batch * rows))
    return total.reshape(*window, 1, y.shape[-1]).astype(x.dtype)


def tap_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """Dense: one matrix product over batch and space for each tap."""
    flat = y.reshape(-1, y.shape[-1])
    taps = [piece.reshape(-1, x.shape[-1]).T @ flat for _, piece in window_slices(x, window, geometry, y.shape[1:-1])]
    return jnp.stack(taps).reshape(*window, x.shape[-1], y.shape[-1])


def group_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """A few large groups: one dense gradient each."""
    groups, single = geometry.groups, geometry._replace(groups=1)
    pieces = [
        kernel_grad_on_cpu(a, b, geometry=single, window=window, way=None)
        for a, b in zip(jnp.split(x, groups, -1), jnp.split(y, groups, -1), strict=True)
    ]
    return jnp.concatenate(pieces, -1)


def mirrored_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    """A dilated input: the same sum with the roles of x and y exchanged, which is a plain strided one."""
    groups = geometry.groups
    back = adjoint(geometry, x.shape[1:-1], window, y.shape[1:-1])
    return swap(kernel_grad_on_cpu(y, x, geometry=back, window=window, way=None), groups)


# --- the choice -----------------------------------------------------------------------------------------------------

WAYS: dict[str, tuple[Callable, Callable]] = {
    "lax": (lax_conv, lax_kernel_grad),
    "product": (product_conv, product_kernel_grad),
    "shift": (shift_conv, shift_kernel_grad),
    "group": (group_conv, group_kernel_grad),
    "phase": (phase_conv, mirrored_kernel_grad),
}
MOST_SHIFTS = 343  # taps of a window beyond which the sum of shifts takes longer to compile than it saves
MOST_GROUPS = 8


def choose(geometry: Geometry, channels: int, window: tuple[int, ...]) -> str:
    """The way for a CPU."""
    dilated = any(i > 1 for i in geometry.in_dilation)
    if dilated and all(s == 1 for s in geometry.stride):
        return "phase"
    if dilated:
        return "lax"
    if geometry.groups == channels and channels > 1:
        return "shift" if math.prod(window) <= MOST_SHIFTS else "lax"
    if geometry.groups > 1:
        return "group" if geometry.groups <= MOST_GROUPS else "lax"
    return "product" if math.prod(window) == 1 else "lax"


def conv_on_cpu(x: Array, kernel: Array, *, geometry: Geometry, way: str | None) -> Array:
    way = way or choose(geometry, x.shape[-1], kernel.shape[:-2])
    return WAYS[way][0](x, kernel, geometry)


def kernel_grad_on_cpu(x: Array, y: Array, *, geometry: Geometry, window: tuple[int, ...], way: str | None) -> Array:
    way = way or choose(geometry, x.shape[-1], window)
    return WAYS[way][1](x, y, geometry, window)


def conv_anywhere(x: Array, kernel: Array, *, geometry: Geometry, way: str | None) -> Array:
    del way
    if math.prod(kernel.shape[:-2]) == 1 and geometry.groups == 1 and all(i == 1 for i in geometry.in_dilation):
        return product_conv(x, kernel, geometry)
    return lax_conv(x, kernel, geometry)


def kernel_grad_anywhere(x: Array, y: Array, *, geometry: Geometry, window: tuple[int, ...], way: str | None) -> Array:
    del way
    return lax_kernel_grad(x, y, geometry, window)


# --- the primitives -------------------------------------------------------------------------------------------------


def primitive(name: str, abstract: Callable, anywhere: Callable, on_cpu: Callable) -> Primitive:
    p = Primitive(name)
    p.def_abstract_eval(abstract)
    p.def_impl(jax.jit(p.bind, static_argnames=("geometry", "window", "way")))
    mlir.register_lowering(p, mlir.lower_fun(anywhere, multiple_results=False))
    mlir.register_lowering(p, mlir.lower_fun(on_cpu, multiple_results=False), platform="cpu")
    return p


def conv_abstract(x, kernel, *, geometry, way):
    del way
    space = out_space(x.shape[1:-1], kernel.shape[:-2], geometry)
    return ShapedArray((x.shape[0], *space, kernel.shape[-1]), x.dtype)


def kernel_grad_abstract(x, y, *, geometry, window, way):
    del way
    return ShapedArray((*window, x.shape[-1] // geometry.groups, y.shape[-1]), x.dtype)


conv_p = primitive("convzoo_conv", conv_abstract, conv_anywhere, conv_on_cpu)
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


batching.primitive_batchers[conv_p] = conv_batch
batching.primitive_batchers[kernel_grad_p] = kernel_grad_batch
