"""Which way: our own kernels where they can be built, else the fastest for the nearest shape in ``ways.json``."""

import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from convzoo.core.lowering import dense, depthwise, grouped, native
from convzoo.core.lowering.finish import Finish, finished
from convzoo.core.lowering.windows import Array, is_depthwise, is_dilated, is_patchify
from convzoo.core.shapes import Geometry, out_space

forced_way = jax.make_user_context(None)
portable = jax.make_user_context(False)  # what is lowered must run in other processes, or on several devices
MOST_TAPS = 343  # of a depthwise window; a longer sum takes longer to compile than it saves
MOST_PATCHED = 49  # taps, by as much larger is the copy of the input
MOST_BORDERED = 9  # the borders are sums of their own, each compiled; for more taps they gain nothing
MOST_PHASES = 16
USUAL = 4.0  # the logarithm taken for a size that an export leaves open


class Way(NamedTuple):
    """Two functions and where they may be used: ``fits(geometry, channels, window)``."""

    conv: Callable
    kernel_grad: Callable
    fits: Callable[[Geometry, int, tuple[int, ...]], bool]


def always(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return True


def is_plain(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return geometry.groups == 1


def is_small(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return geometry.groups == 1 and not is_dilated(geometry) and 1 < math.prod(window) <= MOST_PATCHED


def is_product(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return is_patchify(geometry, window)


def is_shiftable(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return is_depthwise(geometry, channels) and not is_dilated(geometry) and math.prod(window) <= MOST_TAPS


def has_borders(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return is_shiftable(geometry, channels, window) and math.prod(window) <= MOST_BORDERED


def is_grouped(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return geometry.groups > 1 and (is_dilated(geometry) or not is_depthwise(geometry, channels))


def has_phases(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    phases = math.prod(geometry.in_dilation)
    return 1 < phases <= MOST_PHASES and all(s == 1 for s in geometry.stride)


def can_shuffle(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    return has_phases(geometry, channels, window) and geometry.groups == 1 and all(d == 1 for d in geometry.dilation)


def then(function: Callable, following: Callable) -> Callable:
    """A way that hands smaller convolutions on, to be chosen for anew."""
    return lambda *args: function(*args, following)


def best_conv(x: Array, kernel: Array, geometry: Geometry) -> Array:
    return conv_on_cpu(x, kernel, geometry=geometry, way=None)


def best_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    return kernel_grad_on_cpu(x, y, geometry=geometry, window=window, way=None)


group = then(grouped.group_conv, best_conv), then(grouped.group_kernel_grad, best_kernel_grad)
phase = then(grouped.phase_conv, best_conv), then(grouped.mirrored_kernel_grad, best_kernel_grad)
WAYS = {
    "native": Way(native.native_conv, native.native_kernel_grad, native.fits),
    "lax": Way(dense.lax_conv, dense.lax_kernel_grad, always),
    "plain": Way(dense.lax_conv, dense.plain_kernel_grad, is_plain),
    "product": Way(dense.product_conv, dense.product_kernel_grad, is_product),
    "patches": Way(dense.patches_conv, dense.patches_kernel_grad, is_small),
    "shuffle": Way(dense.shuffle_conv, phase[1], can_shuffle),
    "phase": Way(*phase, has_phases),
    "shift": Way(depthwise.shift_conv, depthwise.unroll_kernel_grad, is_shiftable),
    "shift_border": Way(depthwise.border_conv, depthwise.tile_kernel_grad, has_borders),
    "shift_image": Way(depthwise.image_conv, depthwise.tile_kernel_grad, is_shiftable),
    "group": Way(*group, is_grouped),
}


def force(way: str | None):
    """A context in which every convolution that it fits is computed one way on a CPU: ``with force("lax"): ...``.

    Raises:
      ValueError: an unknown way.
    """
    return forced_way(check_way(way))


def check_way(way: str | None) -> str | None:
    if way is not None and way not in WAYS:
        raise ValueError(f"way {way!r} is not known; it must be one of {sorted(WAYS)} or None")
    return way


# --- the table --------------------------------------------------------------------------------------------------------


def kind_of(operation: str, geometry: Geometry, channels: int, window: tuple[int, ...]) -> str:
    """What must agree between a shape and the measured one it is compared with."""
    groups = (
        "depthwise"
        if is_depthwise(geometry, channels) and channels > 1
        else "groups"
        if geometry.groups > 1
        else "dense"
    )
    if is_patchify(geometry, window):
        groups = "product"
    return f"{operation} {groups}{' dilated' if is_dilated(geometry) else ''} {len(window)}d"


def features_of(batch, space, out, geometry: Geometry, channels, outer, window) -> list[float]:
    """Where a shape lies: logarithms, so that twice as large is one step away."""
    sizes = (
        batch,
        math.prod(out),
        channels // geometry.groups,
        outer // geometry.groups,
        geometry.groups,
        math.prod(window),
        math.prod(geometry.stride),
        math.prod(space),
    )
    return [round(math.log2(max(size, 1)), 2) if isinstance(size, int) else USUAL for size in sizes]


@functools.cache
def table() -> dict[str, list]:
    """Kind -> [(features, ways from the fastest on)]."""
    path = Path(__file__).with_name("ways.json")
    return json.loads(path.read_text()) if path.exists() else {}


# Where nothing near was measured, and in every case where none of the measured ways fits.
FALLBACK = ("product", "shift_image", "phase", "group", "plain", "lax")


def choose(operation: str, batch, space, out, geometry: Geometry, channels, outer, window) -> str:
    """The way for a CPU."""
    if not all(isinstance(size, int) for size in (*space, *out)) or (isinstance(batch, int) and batch == 0):
        return "lax"
    fitting = [name for name, way in WAYS.items() if way.fits(geometry, channels, window)]
    measured = table().get(kind_of(operation, geometry, channels, window), [])
    here = features_of(batch, space, out, geometry, channels, outer, window)
    ways = min(measured, key=lambda row: math.dist(row[0], here))[1] if measured else FALLBACK
    return next((way for way in (*ways, *FALLBACK) if way in fitting), "lax")


def way_for(operation: str, way: str | None, x, out, geometry: Geometry, outer, window) -> Way:
    channels, space = x.shape[-1], x.shape[1:-1]

    def serves(name: str) -> bool:
        return WAYS[name].fits(geometry, channels, window) and (name != "native" or native_is_there(x))

    if way is None or not serves(way):
        if serves("native") and native.is_offered(geometry, channels, outer):
            way = "native"
        else:
            way = choose(operation, x.shape[0], space, out, geometry, channels, outer, window)
    return WAYS[way]


def native_is_there(x: Array) -> bool:
    """Whether a program with our kernels in it can be made of ``x``."""
    known = all(isinstance(size, int) for size in x.shape) and x.size > 0
    return known and not portable.value and not native.why_not(x.dtype.name)


def conv_on_cpu(x: Array, kernel: Array, *, geometry: Geometry, way: str | None) -> Array:
    window = kernel.shape[:-2]
    out = out_space(x.shape[1:-1], window, geometry)
    return way_for("conv", way, x, out, geometry, kernel.shape[-1], window).conv(x, kernel, geometry)


def kernel_grad_on_cpu(x: Array, y: Array, *, geometry: Geometry, window: tuple[int, ...], way: str | None) -> Array:
    out = y.shape[1:-1]
    return way_for("kernel_grad", way, x, out, geometry, y.shape[-1], window).kernel_grad(x, y, geometry, window)


def conv_then_on_cpu(
    x: Array, kernel: Array, *more: Array, geometry: Geometry, way: str | None, finish: Finish
) -> Array:
    window = kernel.shape[:-2]
    out = out_space(x.shape[1:-1], window, geometry)
    chosen = way_for("conv", way, x, out, geometry, kernel.shape[-1], window)
    if chosen is WAYS["native"] and native.finishes(geometry, finish.activation, x.dtype.name):
        return native.native_conv(x, kernel, geometry, finish, *more)
    return finished(chosen.conv(x, kernel, geometry), finish, *more)


def conv_then_anywhere(
    x: Array, kernel: Array, *more: Array, geometry: Geometry, way: str | None, finish: Finish
) -> Array:
    return finished(conv_anywhere(x, kernel, geometry=geometry, way=way), finish, *more)


def conv_anywhere(x: Array, kernel: Array, *, geometry: Geometry, way: str | None) -> Array:
    """Other platforms keep XLA's own way; a matrix product is one everywhere."""
    if way is None and math.prod(kernel.shape[:-2]) == 1 and is_patchify(geometry, kernel.shape[:-2]):
        return dense.product_conv(x, kernel, geometry)
    return dense.lax_conv(x, kernel, geometry)


def kernel_grad_anywhere(x: Array, y: Array, *, geometry: Geometry, window: tuple[int, ...], way: str | None) -> Array:
    del way
    return dense.lax_kernel_grad(x, y, geometry, window)
