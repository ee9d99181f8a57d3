"""Kernels by hand: named, drawn from a formula or typed in; what they answer to a picture, a sound, a small graph.

    feature_map(face(128), kernel("vertical edges"))      [height, width] -> [height, width]
    feature_map(pluck(96), along(kernel("blur")))         [time] -> [time]
    graph_map(values, plane_edges(places, (13, 13)), kernel("gabor:45"))         [nodes] -> [nodes]

All of it is ``core.conv`` and ``core.graph_conv``, cross-correlation as in every network: a positive weight on the
right answers what is brighter on the right. Positions are (row, column) or (sample,); maps are float32.
"""

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from convzoo import core
from convzoo.core.shapes import resolve_padding

LARGEST = 63  # taps that a kernel may have along an axis
NEAR = 0.83  # of a step: as close as nodes are thrown, and as far from an offset as its sender may be
HEAVIEST = 1e6  # the largest weight that may be typed in
Numbers = Float[np.ndarray | Array, "..."]


class Kernel(NamedTuple):
    """Weights, float32 [height, width] or [taps]; in one line what they answer to; and what they are called."""

    values: np.ndarray
    told: str
    name: str = "typed in"


class Step(NamedTuple):
    """One position of the window: the input under it, times the kernel, and the sum of the products."""

    window: np.ndarray
    products: np.ndarray
    total: float


# --- kernels ----------------------------------------------------------------------------------------------------------


def made(name: str, rows: Sequence[Sequence[float]], told: str, over: float = 1) -> Kernel:
    return Kernel(np.array(rows, np.float32) / np.float32(over), told, name)


KERNELS = {
    each.name: each
    for each in (
        made("vertical edges", [[-1, 0, 1]] * 3, "darker on the left, brighter on the right"),  # Prewitt 1970
        made("horizontal edges", [[-1] * 3, [0] * 3, [1] * 3], "darker above, brighter below"),
        made("diagonal edges", [[0, 1, 1], [-1, 0, 1], [-1, -1, 0]], "an edge along \\, brighter at the upper right"),
        made("antidiagonal edges", [[1, 1, 0], [1, 0, -1], [0, -1, -1]], "an edge along /, brighter at the upper left"),
        made("laplacian", [[0, 1, 0], [1, -4, 1], [0, 1, 0]], "what differs from its surroundings, on every side"),
        made("blur", [[1] * 3] * 3, "the mean of nine pixels", over=9),
        made("sharpen", [[0, -1, 0], [-1, 5, -1], [0, -1, 0]], "the pixel, and its difference from its neighbours"),
        made("emboss", [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], "as if lit from the lower right"),
    )
}
ALIASES = {
    "vertical": "vertical edges", "edge_v": "vertical edges",
    "horizontal": "horizontal edges", "edge_h": "horizontal edges",
    "diagonal": "diagonal edges", "edge_d": "diagonal edges",
    "antidiagonal": "antidiagonal edges", "edge_a": "antidiagonal edges",
}  # fmt: skip


def gaussian(sigma: float) -> Kernel:
    """A round blur whose standard deviation is ``sigma`` pixels, cut off at three of them; its weights sum to 1.

    Raises:
      ValueError: sigma is not above 0, or so large that the window would be wider than ``LARGEST``.
    """
    along_axis = np.exp(-np.square(offsets(sigma, "sigma") / sigma) / 2)
    values = np.outer(along_axis, along_axis)
    values /= values.sum()
    return Kernel(values.astype(np.float32), f"the mean of what is near, {sigma:g} pixels wide", f"gaussian:{sigma:g}")


def gabor(angle: float, wavelength: float = 4, sigma: float | None = None) -> Kernel:
    """A wave under a round bell (Daugman 1985, doi:10.1364/JOSAA.2.001160), as the first layers of networks learn it.

    Args:
      angle: where the wave runs to, in degrees counter-clockwise: 0 answers vertical stripes, 90 horizontal ones.
      wavelength: of the stripes, in pixels.
      sigma: the standard deviation of the bell, in pixels; half a wavelength if None.

    The weights sum to 0, so that a plain surface is answered by nothing, and their sizes to 1.

    Raises:
      ValueError: a wavelength below 2 (no pixels can carry it), or a sigma as in ``gaussian``.
    """
    if not (math.isfinite(angle) and 2 <= wavelength <= 2 * LARGEST):
        raise ValueError(
            f"gabor takes an angle and a wavelength of 2 to {2 * LARGEST} pixels; got {angle}, {wavelength}"
        )
    sigma = wavelength / 2 if sigma is None else sigma
    offset = offsets(sigma, "sigma")
    x, y = offset[None, :], -offset[:, None]  # y up, as angles are counted
    turn = math.radians(angle)
    bell = np.exp(-(np.square(x) + np.square(y)) / (2 * sigma**2))
    wave = bell * np.cos(2 * np.pi / wavelength * (x * math.cos(turn) + y * math.sin(turn)))
    wave -= bell * (wave.sum() / bell.sum())
    wave /= np.abs(wave).sum()
    name = f"gabor:{angle:g},{wavelength:g},{sigma:g}"
    return Kernel(wave.astype(np.float32), f"stripes {wavelength:g} pixels apart, across {angle:g} degrees", name)


def offsets(sigma: float, what: str) -> np.ndarray:
    """-r..r with r three sigma."""
    most = (LARGEST - 1) // 2 / 3
    if not 0.1 <= sigma <= most:
        raise ValueError(f"{what} is {sigma:g}; it must be 0.1 to {most:.4g} pixels (a window of {LARGEST} at most)")
    reach = math.ceil(3 * sigma)
    return np.arange(-reach, reach + 1, dtype=np.float64)


def typed(text: str) -> Kernel:
    """Numbers with spaces or commas between: a square of them (9, 25, ...), or rows with semicolons between.

    "1/9" is a number; "-1 0 1;" is one row.

    Raises:
      ValueError: what is no number, too large, does not fill rows or a square, or is more than ``LARGEST`` in a row.
    """
    lines = [line for line in re.split(r"[;\n]", text) if line.strip(" \t,")]
    rows = [[number(word) for word in re.split(r"[\s,]+", line.strip(" \t,"))] for line in lines]
    count = len(rows[0]) if rows else 0
    if len(rows) == 1 and ";" not in text:
        side = math.isqrt(count)
        if side * side != count:
            raise ValueError(
                f"{count} numbers do not fill a square kernel; type 9 (3 x 3) or 25 (5 x 5), or rows with ';' between"
            )
        rows = [rows[0][row * side : (row + 1) * side] for row in range(side)]
    lengths = [len(row) for row in rows]
    if not rows or len(set(lengths)) > 1:
        raise ValueError(f"the rows of a kernel must have one length; these have {lengths or 'none'}")
    if max(len(rows), lengths[0]) > LARGEST:
        raise ValueError(f"a kernel of {len(rows)} x {lengths[0]} is too large; at most {LARGEST} x {LARGEST}")
    return Kernel(np.array(rows, np.float32), "what looks like the kernel itself")


def number(word: str) -> float:
    above, slash, below = word.partition("/")
    try:
        value = float(above) / (float(below) if slash else 1)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not abs(value) <= HEAVIEST:
        raise ValueError(f"{word!r} is no weight; it must be a number like 1, -0.5 or 1/9, of at most {HEAVIEST:,.0f}")
    return value


FORMULAS: dict[str, tuple[Callable[..., Kernel], int, str]] = {
    "gaussian": (gaussian, 1, "gaussian:SIGMA"),
    "gabor": (gabor, 3, "gabor:ANGLE[,WAVELENGTH[,SIGMA]]"),
}


def kernel(text: str) -> Kernel:
    """A kernel by name ("vertical edges", "edge_h", ...), by formula ("gaussian:2", "gabor:45,6"), or its numbers.

    Raises:
      ValueError: it is none of them; the message tells what would be.
    """
    plain = " ".join(text.lower().replace("_", " ").split())
    aliases = {name.replace("_", " "): known for name, known in ALIASES.items()}
    if plain in KERNELS or plain in aliases:
        return KERNELS[aliases.get(plain, plain)]
    formula, _, rest = plain.partition(":")
    if formula in FORMULAS:
        make, most, form = FORMULAS[formula]
        given = re.split(r"[\s,]+", rest.strip()) if rest.strip() else []
        if not 1 <= len(given) <= most:
            raise ValueError(f"{text!r}: it is {form}, numbers with commas between")
        return make(*(number(word) for word in given))
    if re.search(r"\d", plain) and not re.search(r"[^\d\s.,;/eE+\-]", text):
        return typed(text)
    forms = ", ".join(form for *_, form in FORMULAS.values())
    raise ValueError(
        f"{text!r} is no kernel that is known here: {', '.join(KERNELS)}, {forms}, or nine numbers like "
        "'-1 0 1 -1 0 1 -1 0 1'"
    )


def along(given: Kernel) -> Kernel:
    """The kernel along one axis, float32 [taps]: what it is to a picture that changes from left to right alone.

    That is the sum of each column; where the columns cancel (horizontal edges), the sum of each row, which is the same
    from top to bottom. Of a kernel that answers to neither, the middle row.
    """
    if given.values.ndim == 1:
        return given
    exact = given.values.astype(np.float64)
    profiles = {
        "the sums of its columns": exact.sum(0),
        "the sums of its rows": exact.sum(1),
        "its middle row": exact[exact.shape[0] // 2],
    }
    least = 1e-6 * np.abs(exact).max()
    told = next((told for told, values in profiles.items() if np.abs(values).max() > least), "its middle row")
    return Kernel(profiles[told].astype(np.float32), told, given.name)


# --- what it answers --------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("stride", "padding"))
def slide(x: Numbers, values: Numbers, *, stride: int = 1, padding: str = "HALF") -> Array:
    """``feature_map`` of arrays: [*space] and [*window] -> [*new_space]; differentiable, and fit for vmap."""
    x, values = jnp.asarray(x, jnp.float32), jnp.asarray(values, jnp.float32)
    return core.conv(x[None, ..., None], values[..., None, None], stride=stride, padding=padding)[0, ..., 0]


def feature_map(
    x: Float[np.ndarray, "*space"], kernel: Kernel, *, stride: int = 1, padding: str = "HALF"
) -> Float[np.ndarray, "*new_space"]:
    """The sum of products at every position of the window: [height, width] or [time], of the same rank.

    Raises:
      ValueError: the kernel has another number of axes than ``x`` (``along`` takes one to a sound), or does not fit.
    """
    if kernel.values.ndim != x.ndim:
        raise ValueError(f"the kernel {list(kernel.values.shape)} must have the axes of the input, {list(x.shape)}")
    return np.asarray(slide(x, kernel.values, stride=stride, padding=padding))


def step(
    x: Float[np.ndarray, "*space"], kernel: Kernel, at: Sequence[int], *, stride: int = 1, padding: str = "HALF"
) -> Step:
    """One position of ``feature_map``, by hand: what lies under the window, 0 outside the input.

    Args:
      at: of the output, (row, column) or (sample,).

    Raises:
      ValueError: there is no such position.
    """
    corner = window_corner(x.shape, kernel.values.shape, at, stride, padding)
    window = np.zeros(kernel.values.shape, np.float32)
    for tap in np.ndindex(window.shape):
        place = tuple(c + t for c, t in zip(corner, tap, strict=True))
        if all(0 <= p < n for p, n in zip(place, x.shape, strict=True)):
            window[tap] = x[place]
    products = window * kernel.values
    return Step(window, products, float(products.sum(dtype=np.float64)))


def window_corner(
    space: Sequence[int], window: Sequence[int], at: Sequence[int], stride: int = 1, padding: str = "HALF"
) -> tuple[int, ...]:
    """The first place under the window at output position ``at``; negative where it begins in the padding.

    Raises:
      ValueError: there is no such position.
    """
    pads = resolve_padding(padding, space, window, (stride,) * len(space), (1,) * len(space))
    sizes = [(n + sum(pad) - k) // stride + 1 for n, pad, k in zip(space, pads, window, strict=True)]
    if len(at) != len(sizes) or not all(0 <= place < size for place, size in zip(at, sizes, strict=True)):
        raise ValueError(f"position {tuple(at)} is not in the output {sizes}")
    return tuple(place * stride - before for place, (before, _) in zip(at, pads, strict=True))


# --- over a graph -----------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def scattered(across: int, seed: int = 0) -> Float[np.ndarray, "nodes 2"]:
    """Places (row, column) of an irregular graph from 0 to ``across`` - 1: thrown at random, none within
    ``NEAR`` of another (random sequential packing), which is about one a square of side 1."""
    places = np.zeros((0, 2))
    for place in np.random.default_rng(seed).uniform(0, across - 1, (60 * across**2, 2)):
        if (np.square(places - place).sum(1) >= NEAR**2).all():
            places = np.concatenate([places, place[None]])
    places = places.astype(np.float32)
    places.setflags(write=False)
    return places


def plane_edges(places: Float[np.ndarray, "nodes 2"], window: Sequence[int]) -> core.Edges:
    """Who sends to whom in a plane, and through which tap: of each node and tap the node nearest to the tap's offset.

    Places are (row, column), the window (height, width) in the same steps; on a grid this is ``core.grid_edges``. Where
    no node is within ``NEAR`` of the offset, at the rim, nobody sends, as beyond the edge of a picture.
    """
    middle = (np.array(window) - 1) // 2
    nearest, far = [], []
    for tap in np.ndindex(*window):
        wanted = places + (np.array(tap) - middle).astype(np.float32)
        distance = np.square(places[None] - wanted[:, None]).sum(-1)
        nearest.append(distance.argmin(1))
        far.append(distance.min(1) > NEAR**2)
    receivers, taps = np.nonzero(~np.stack(far, 1))
    indices = [jnp.asarray(each, jnp.int32) for each in (np.stack(nearest, 1)[receivers, taps], receivers, taps)]
    return core.Edges(indices[0], indices[1], indices[2], jnp.ones(len(taps), jnp.float32), len(places))


def graph_map(values: Float[np.ndarray, " nodes"], edges: core.Edges, kernel: Kernel) -> Float[np.ndarray, " nodes"]:
    """The same kernel over a graph in a plane: each node sums its neighbours, by direction (``plane_edges``)."""
    taps = jnp.asarray(kernel.values.reshape(-1, 1, 1))
    return np.asarray(core.graph_conv(jnp.asarray(values)[:, None], taps, edges))[:, 0]
