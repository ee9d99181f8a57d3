"""Inputs drawn by the program at any size: a face, a cross, a diagonal, float32 [size, size] in 0..1; and a sound.

The lines of the cross and of the diagonal are one pixel wide at every size: a window of 3 x 3 then sees a line and not
one side of a band, and what it answers does not depend on the size.
"""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

LEAST, MOST = 8, 1024  # pixels that a drawn picture may be high and wide

Picture = Float[np.ndarray, "size size"]
# Where the parts of the face lie: (left, top, right, bottom), the picture reaching from -1 to 1.
FACE_PARTS = {"eyes": ((-0.59, -0.36, -0.03, 0.02), (0.03, -0.36, 0.59, 0.02)), "mouth": ((-0.46, 0.3, 0.46, 0.7),)}


def check_size(size: int) -> int:
    """Raises ValueError for a size that is not drawn."""
    if not LEAST <= size <= MOST:
        raise ValueError(f"a picture is drawn {LEAST} to {MOST} pixels high and wide; {size} is not")
    return size


def face(size: int) -> Picture:
    """A face from the front: strong vertical edges in its eyes (white, iris, white) and its teeth, a soft outline."""
    return painted_face(check_size(size)).copy()


@functools.lru_cache(maxsize=16)
def painted_face(size: int) -> np.ndarray:
    """One layer over the other, each a shape (below 1 inside) and a brightness, on a finer grid that is averaged."""
    finer = 4 if size <= 128 else 2
    axis = ((np.arange(size * finer) + 0.5) * (2 / (size * finer)) - 1).astype(np.float32)
    u, v = axis[None, :], axis[:, None]

    def ellipse(x: float, y: float, wide: float, high: float) -> np.ndarray:
        return np.sqrt(np.square((u - x) / wide) + np.square((v - y) / high))

    # The lower lip is a parabola; the upper one bends less.
    middle = np.square(u / 0.40)
    mouth = np.maximum((v - 0.65 + 0.27 * middle) / 0.2, (0.38 - 0.02 * middle - v) / 0.2) + 1
    teeth = np.maximum(mouth, (v - 0.535 + 0.12 * middle) / 0.2 + 1)
    gaps = np.abs((u / 0.18) % 1 - 0.5) > 0.40
    image = np.full((len(axis), len(axis)), 0.52, np.float32)
    layers = [(ellipse(0, 0.03, 0.74, 0.90), 0.7, 0.22), (ellipse(0, 0.2, 0.1, 0.22), 0.78, 0.6)]
    layers += [(ellipse(side * 0.31, -0.46, 0.23, 0.05), 0.3, 0.3) for side in (-1, 1)]
    layers += [(ellipse(side * 0.31, -0.17, 0.24, 0.15), 1.0, 0.0) for side in (-1, 1)]
    layers += [(ellipse(side * 0.31, -0.17, 0.11, 0.14), 0.05, 0.0) for side in (-1, 1)]
    layers += [(mouth, 0.1, 0.0), (teeth, 1.0, 0.0), (np.where(gaps, teeth, 2.0), 0.15, 0.0)]
    for shape, brightness, soft in layers:
        inside = np.clip((1 + soft / 2 - shape) / soft, 0, 1) if soft else shape < 1
        image = image + (brightness - image) * inside
    return image.reshape(size, finer, size, finer).mean((1, 3))


def face_parts(size: int) -> dict[str, Bool[np.ndarray, "size size"]]:
    """Which pixels of ``face(size)`` belong to the eyes, and which to the mouth."""
    centre = (np.arange(size) + 0.5) * (2 / size) - 1
    u, v = centre[None, :], centre[:, None]

    def inside(left: float, top: float, right: float, bottom: float) -> np.ndarray:
        return (u >= left) & (u <= right) & (v >= top) & (v <= bottom)

    return {name: np.any([inside(*box) for box in boxes], axis=0) for name, boxes in FACE_PARTS.items()}


def cross(size: int) -> Picture:
    """A horizontal and a vertical line through the middle, white on black."""
    first, last, middle = extent(size)
    image = np.zeros((size, size), np.float32)
    image[middle, first:last] = image[first:last, middle] = 1
    return image


def diag(size: int) -> Picture:
    """One line from the upper left to the lower right, over as many columns as the cross's horizontal one."""
    first, last, _ = extent(size)
    image = np.zeros((size, size), np.float32)
    place = np.arange(first, last)
    image[place, place] = 1
    return image


def extent(size: int) -> tuple[int, int, int]:
    """Where lines begin and end, and the middle: an eighth of the picture stays empty on each side."""
    margin = check_size(size) // 8
    return margin, size - margin, size // 2


PICTURES: dict[str, Callable[[int], Picture]] = {"face": face, "cross": cross, "diag": diag}


def pluck(samples: int) -> Float[np.ndarray, " samples"]:
    """A string plucked after a short silence: a tone and its octave that die away, in -1..1."""
    time = np.arange(samples) / samples - 1 / 8
    tone = 0.75 * np.sin(2 * np.pi * 7 * time) + 0.25 * np.sin(2 * np.pi * 14 * time)
    return np.where(time < 0, 0, tone * np.exp(-3 * time)).astype(np.float32)
