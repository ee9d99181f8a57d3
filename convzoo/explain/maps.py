"""What a network makes of one input, and what its first layer looks for, as pictures."""

import functools
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from convzoo.explain.draw import NEGATIVE, POSITIVE

PAPER = 255


def feature_maps(model: Any, variables: Any, x: Any) -> "OrderedDict[str, np.ndarray]":
    """{waypoint: float32 [*space, channels]} of one input [*space, channels], already normalised."""
    features = _run(model, variables, jax.numpy.asarray(x)[None])
    return OrderedDict((name, np.asarray(array[0], np.float32)) for name, array in features.items())


@functools.partial(jax.jit, static_argnums=0)
def _run(model: Any, variables: Any, x: Any) -> Any:
    return model.apply(variables, x, train=False)[1]


def strongest(maps: np.ndarray, count: int) -> np.ndarray:
    """The channels of [*space, channels] that vary most over the places, the most variable first; without places,
    those with the largest answers."""
    flat = maps.reshape(-1, maps.shape[-1])
    size = flat.std(axis=0) if len(flat) > 1 else np.abs(flat[0])
    return np.argsort(-size, kind="stable")[:count]


def signed(values: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Numbers of any shape -> uint8 [..., 3] on white: warm above 0, cool below, full colour from ``limit`` on (by
    default the largest size)."""
    values = np.nan_to_num(np.asarray(values, np.float32))
    strength = np.clip(np.abs(values) / (limit or float(np.abs(values).max(initial=0)) or 1.0), 0, 1)[..., None]
    colour = np.where(values[..., None] >= 0, POSITIVE, NEGATIVE)
    return np.round(PAPER + strength * (colour - PAPER)).astype(np.uint8)


def tiled(pictures: np.ndarray, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """uint8 [count, height, width, 3] -> one picture, row by row, white between them."""
    count, height, width, _ = pictures.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), PAPER, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def montage(maps: np.ndarray, count: int = 16, *, least: int = 64, columns: int | None = None) -> np.ndarray:
    """Feature maps of a waypoint as one picture: of an image the ``count`` most variable channels, each on its own
    scale, side by side; of a sound or a graph (or what has no places) a row for each, one scale for all.

    Args:
      maps: [height, width, channels], [places, channels] or [channels].
      least: pixels that each map's larger side is enlarged to, by whole factors.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: other ranks.
    """
    if maps.ndim not in (1, 2, 3):
        raise ValueError(f"montage takes [height, width, channels], [places, channels] or [channels], not {maps.shape}")
    chosen = maps[..., strongest(maps, count)]
    if maps.ndim < 3:
        return enlarged(signed(np.atleast_2d(chosen).T), least)
    scaled = chosen / np.maximum(np.abs(chosen).max(axis=(0, 1)), 1e-12)
    return tiled(np.stack([enlarged(signed(each, 1.0), least) for each in np.moveaxis(scaled, -1, 0)]), columns)


def enlarged(picture: np.ndarray, least: int) -> np.ndarray:
    """A picture whose larger side has at least ``least`` pixels, each pixel repeated."""
    factor = math.ceil(least / max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def first_kernel(params: Mapping[str, Any]) -> np.ndarray:
    """The kernel of a network's first convolution, [*window, in, out].

    Raises:
      ValueError: there is none.
    """
    found: Any = next((each for path, each in _kernels(params) if each.ndim > 2), None)
    if found is None:
        raise ValueError(f"there is no convolution's kernel among {', '.join(params)}")
    return np.asarray(found, np.float32)


def _kernels(params: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(path, kernel) of every layer; what is called stem comes first, the rest by name."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    named = [("/".join(str(each.key) for each in path), leaf) for path, leaf in leaves]
    return sorted(
        ((path, leaf) for path, leaf in named if path.endswith("kernel")),
        key=lambda pair: ("stem" not in pair[0], pair),
    )


def kernels(kernel: np.ndarray, count: int | None = None, *, least: int = 48, columns: int | None = None) -> np.ndarray:
    """A first layer's kernels [height, width, in, out] as one picture: of three input channels in colour, grey being 0;
    of others their mean over the input channels, warm above 0 and cool below. The most powerful come first.

    Returns:
      uint8 [height, width, 3].

    Raises:
      ValueError: a kernel that is not of images.
    """
    return tiled(kernel_pictures(kernel, count, least=least), columns)


def kernel_pictures(kernel: np.ndarray, count: int | None = None, *, least: int = 48) -> np.ndarray:
    """The same, uint8 [count, height, width, 3]."""
    if kernel.ndim != 4:
        raise ValueError(f"kernels are drawn of [height, width, in, out], not of {list(kernel.shape)}")
    order = powerful(kernel)[:count]
    scaled = np.moveaxis(kernel[..., order], -1, 0)
    scaled = scaled / np.maximum(np.abs(scaled).max(axis=(1, 2, 3), keepdims=True), 1e-12)
    colour = kernel.shape[2] == 3
    shown = np.round(127.5 + 127.5 * scaled).astype(np.uint8) if colour else signed(scaled.mean(axis=3))
    return np.stack([enlarged(each, least) for each in shown])


def powerful(kernel: np.ndarray) -> np.ndarray:
    """The kernels [*window, in, out] by their norm, the largest first."""
    return np.argsort(-np.square(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0), kind="stable")
