"""Pictures of a kernel at work, uint8 [height, width, 3]: side by side, step by step, and on everything at once.

triple(x, kernel)       input, kernel and feature map, the window where the answer is strongest
frame(x, kernel, at)    one step: the window, the products, the sum as it lands; frames(...) all of them
everywhere(x, kernel)   the same kernel along a sound, over a picture and over a graph
save(path, pictures)    .png, or an animation as .gif or .webp
"""

from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from convzoo import core
from convzoo.core.shapes import resolve_padding
from convzoo.explain import filters
from convzoo.explain.answers import summary
from convzoo.explain.draw import NEGATIVE, POSITIVE
from convzoo.explain.drawn import pluck
from convzoo.explain.filters import Kernel
from convzoo.explain.sheet import (
    CARD,
    INK,
    LINE,
    OUTSIDE,
    SOFT,
    Box,
    Panel,
    Pixels,
    Sheet,
    colour,
    grey,
    panel,
    short,
    signed,
)

SMALL = 16  # pixels along a side, and samples of a sound twice as many, up to which single steps can be seen
ACROSS = 14  # nodes of the graph
BEYOND = np.array(OUTSIDE, np.uint8)
Input = Float[np.ndarray, "..."]  # a picture or a sound


def size_of(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0))


def show_input(sheet: Sheet, where: Panel, x: Input) -> None:
    if x.ndim == 1:
        sheet.samples(where, x, size_of(x), lambda _: (90, 92, 98))
    else:
        sheet.pixels(where, grey(x))


def show_map(sheet: Sheet, where: Panel, found: Input, limit: float) -> None:
    if found.ndim == 1:
        sheet.samples(where, found, limit, lambda value: POSITIVE if value > 0 else NEGATIVE)
    else:
        sheet.pixels(where, signed(found, limit))


def place_of(at: Sequence[int]) -> str:
    return f"row {at[0]}, column {at[1]}" if len(at) == 2 else f"sample {at[0]}"


def size_in_words(space: Sequence[int]) -> str:
    return f"{space[0]} x {space[1]} pixels" if len(space) == 2 else f"{space[0]:,} samples"


# --- side by side -----------------------------------------------------------------------------------------------------


def triple(x: Input, kernel: Kernel, *, stride: int = 1, at: Sequence[int] | None = None, title: str = "") -> Pixels:
    """Input, kernel and feature map side by side, signed in two colours, with the scale.

    Args:
      at: the position of the map whose window is framed; the strongest answer's if None.
    """
    found = filters.feature_map(x, kernel, stride=stride)
    at = tuple(at or summary(x, kernel, stride=stride, found=found).strongest.at)
    high = max(200, round(panel(x.shape, (0, 0, 340, 340)).box[3])) if x.ndim == 2 else 200
    sheet, low = Sheet(1000, high + 122), high + 60
    limit = row(sheet, 48, (340, 200, 340), high, x, kernel, stride, at)
    for left, text in ((30, f"input{f': {title}' if title else ''}"), (400, "kernel"), (630, "feature map")):
        sheet.text(left, 20, text, size=17)
    sheet.text(30, low, f"{size_in_words(x.shape)}{', 0 black, 1 white' if x.ndim == 2 else ''}", colour=SOFT)
    sheet.wrapped(400, low, 205, f"{kernel.name}: {kernel.told}")
    sheet.scale(630, low + 3, 340, limit)
    sheet.text(630, low + 38, f"{found[at]:+.2f} at {place_of(at)}, framed", size=14, colour=SOFT)
    return sheet.array()


def row(
    sheet: Sheet, top: float, widths: Sequence[int], height: int, x: Input, kernel: Kernel, stride: int = 1,
    at: Sequence[int] | None = None,
) -> float:  # fmt: skip
    """Input, kernel and map in three rooms next to each other, the window at ``at`` framed; (the largest answer)."""
    found = filters.feature_map(x, kernel, stride=stride)
    at = at or summary(x, kernel, stride=stride, found=found).strongest.at
    lefts = (30, 60 + widths[0], 90 + widths[0] + widths[1])
    rooms = [(left, top, width, height) for left, width in zip(lefts, widths, strict=True)]
    given, answered = panel(x.shape, rooms[0]), panel(found.shape, rooms[2])
    show_input(sheet, given, x)
    show_map(sheet, answered, found, size_of(found))
    room = (*rooms[1][:3], max(given.box[3], min(widths[1], height)))
    sheet.table(room, kernel.values, signed(kernel.values, size_of(kernel.values)))
    corner = filters.window_corner(x.shape, kernel.values.shape, at, stride)
    sheet.ring(given.cells(corner, kernel.values.shape))
    sheet.ring(answered.cells(at))
    return size_of(found)


# --- step by step -----------------------------------------------------------------------------------------------------


def shrunk(x: Input, most: int = SMALL) -> Input:
    """An input whose single steps can be seen: a picture averaged down, of a sound the loudest stretch."""
    if x.ndim == 1:
        power = np.convolve(np.square(x), np.ones(min(2 * most, len(x))), "valid")
        start = int(power.argmax())
        return x[start : start + 2 * most]
    if max(x.shape) <= most:
        return x
    height, width = (max(1, round(n * most / max(x.shape))) for n in x.shape)
    return np.array(core.adaptive_avg_pool(jnp.asarray(x)[None, ..., None], (height, width))[0, ..., 0])


class Steps:
    """The pictures of single steps of one kernel over one small input, what does not change drawn once."""

    def __init__(self, x: Input, kernel: Kernel, stride: int = 1, title: str = ""):
        self.x, self.kernel, self.stride = x, kernel, stride
        self.found = filters.feature_map(x, kernel, stride=stride)
        self.limit = size_of(self.found)
        high = 344 if x.ndim == 2 else 160
        pads = resolve_padding("HALF", x.shape, kernel.values.shape, (stride,) * x.ndim, (1,) * x.ndim)
        padded, real = np.pad(x, pads), np.pad(np.ones(x.shape, bool), pads)
        self.real = real
        self.given = panel(padded.shape, (30, 48, 344, high))
        self.answered = panel(self.found.shape, (466, 48, 344, high))
        self.low = 78 + round(max(self.given.box[3], self.answered.box[3]))
        self.sheet = Sheet(840, self.low + 206)
        self.sheet.text(30, 20, f"input{f': {title}' if title else ''}, {size_in_words(x.shape)}", size=17)
        self.sheet.text(466, 20, f"feature map, {size_in_words(self.found.shape)}", size=17)
        if x.ndim == 1:
            show_input(self.sheet, self.given, padded)
        else:
            self.sheet.pixels(self.given, np.where(real[..., None], grey(padded), BEYOND))
        for left, text in ((30, "under the window"), (226, f"kernel: {kernel.name}"), (422, "products")):
            self.sheet.text(left, self.low, text, size=14, colour=SOFT)
        weights = signed(kernel.values, size_of(kernel.values))
        self.sheet.table((226, self.low + 24, 152, 152), kernel.values, weights)
        self.sheet.text(202, self.low + 100, "x", size=20, anchor="mm")
        self.sheet.text(400, self.low + 100, "=", size=20, anchor="mm")
        self.sheet.scale(626, self.low + 148, 184, self.limit)

    def picture(self, at: Sequence[int]) -> Pixels:
        """The step at a position of the map; of the map what comes before it and itself is filled in."""
        sheet, kernel, at = self.sheet.copy(), self.kernel, tuple(at)
        window, products, total = filters.step(self.x, kernel, at, stride=self.stride)
        self.landed(sheet, at)
        corner = tuple(place * self.stride for place in at)  # in the padded input
        under, pixel = self.given.cells(corner, kernel.values.shape), self.answered.cells(at)
        if self.x.ndim == 2:
            rays(sheet, under, pixel)
        sheet.ring(under)
        sheet.ring(pixel)
        real = self.real[tuple(slice(c, c + k) for c, k in zip(corner, window.shape, strict=True))]
        seen = grey(window) if self.x.ndim == 2 else grey(1 - 0.5 * np.abs(window) / (size_of(self.x) or 1))
        sheet.table((30, self.low + 24, 152, 152), window, np.where(real[..., None], seen, BEYOND))
        most = size_of(kernel.values) * size_of(self.x)
        sheet.table((422, self.low + 24, 152, 152), products, signed(products, most))
        sheet.text(600, self.low + 100, "=", size=20, anchor="mm")
        sheet.text(626, self.low, "their sum", size=14, colour=SOFT)
        sheet.fill((626, self.low + 24, 184, 76), CARD, LINE)
        sheet.fill((630, self.low + 28, 68, 68), colour(total, self.limit), LINE)
        sheet.text(800, self.low + 62, f"{total:+.2f}", size=26, anchor="rm")
        sheet.text(626, self.low + 112, f"to {place_of(at)}", size=14, colour=SOFT)
        if not real.all():
            sheet.text(30, self.low + 182, "beyond the edge the input counts as 0", size=13, colour=SOFT)
        return sheet.array()

    def landed(self, sheet: Sheet, at: tuple[int, ...]) -> None:
        done = np.arange(self.found.size).reshape(self.found.shape) <= np.ravel_multi_index(at, self.found.shape)
        if self.x.ndim == 1:
            show_map(sheet, self.answered, np.where(done, self.found, 0).astype(np.float32), self.limit)
        else:
            colours = np.where(done[..., None], signed(self.found, self.limit), BEYOND)
            sheet.pixels(self.answered, colours)


def rays(sheet: Sheet, window: Box, pixel: Box) -> None:
    """From the right corners of the window to the left ones of the pixel."""
    right = window[0] + window[2]
    for share in (0, 1):
        ends = (right, window[1] + share * window[3], pixel[0], pixel[1] + share * pixel[3])
        sheet.draw.line(ends, SOFT, 1)


def frame(x: Input, kernel: Kernel, at: Sequence[int], *, stride: int = 1, title: str = "") -> Pixels:
    """One step: the window on the input, what lies under it, the products, their sum, and where it lands."""
    return Steps(x, kernel, stride, title).picture(at)


def frames(x: Input, kernel: Kernel, *, stride: int = 1, title: str = "") -> Iterator[Pixels]:
    """Every step, row by row: a picture for each pixel of the map, so made for small inputs (``shrunk``)."""
    steps = Steps(x, kernel, stride, title)
    for at in np.ndindex(steps.found.shape):
        yield steps.picture(at)


# --- on everything ----------------------------------------------------------------------------------------------------


def everywhere(x: Float[np.ndarray, "height width"], kernel: Kernel, sound: Float[np.ndarray, " time"] | None = None):
    """The same kernel along a sound, over a picture, and over a graph whose nodes lie irregularly on that picture."""
    sound = pluck(96) if sound is None else sound
    profile = filters.along(kernel)
    sheet = Sheet(1000, 986)
    sheet.text(30, 18, f"One kernel, {kernel.name}, on three kinds of neighbours", size=22)
    sheet.text(30, 48, "each answer: the sum over the neighbours of  weight x value", size=15, colour=SOFT)
    tops = 106, 284, 652
    told = (
        f"along a sound: {profile.values.size} neighbours in time",
        f"over a picture: {kernel.values.size} neighbours by their offset",
        f"over a graph: the same {kernel.values.size} weights, neighbours listed, each with its direction",
    )
    columns = (340, 200, 340)
    limits = [
        row(sheet, tops[0], columns, 130, sound, profile),
        row(sheet, tops[1], columns, 320, x, kernel),
        graph_row(sheet, tops[2], columns, 310, x, kernel),
    ]
    for top, text, limit in zip(tops, told, limits, strict=True):
        sheet.text(30, top - 26, text, size=17)
        sheet.text(970, top - 24, f"full colour at {short(limit)}", size=14, colour=SOFT, anchor="ra")
    return sheet.array()


def graph_row(
    sheet: Sheet, top: float, widths: Sequence[int], height: int, x: Float[np.ndarray, "height width"], kernel: Kernel
) -> float:
    """A graph whose nodes have the brightness of the picture where they lie, the kernel, and its map over the graph."""
    places, values = on_graph(x)
    edges = filters.plane_edges(places, kernel.values.shape)
    found = filters.graph_map(values, edges, kernel)
    senders, receivers, taps = (np.asarray(each) for each in edges[:3])
    weights, limit = kernel.values.reshape(-1), size_of(found)
    full = np.bincount(receivers, minlength=len(places)) == len(weights)
    framed = int((np.abs(found) * (full if full.any() else 1)).argmax())
    step = height / ACROSS
    lefts = 30, 30 + widths[0] + 30 + widths[1] + 30
    for left, colours in zip(lefts, (grey(values), signed(found, limit)), strict=True):
        points = np.stack([left + (places[:, 1] + 0.5) * step, top + (places[:, 0] + 0.5) * step], 1)
        for a, b in zip(senders, receivers, strict=True):
            sheet.draw.line((*points[a], *points[b]), LINE)
        for point, (red, green, blue) in zip(points, colours.tolist(), strict=True):
            sheet.draw.circle(tuple(point), 0.36 * step, (red, green, blue), SOFT)
        for a, b, tap in zip(senders, receivers, taps, strict=True):
            if left == lefts[0] and b == framed and weights[tap]:
                shade = colour(float(weights[tap]), size_of(weights))
                sheet.draw.line((*points[a], *points[b]), shade, 3)
                sheet.draw.circle(tuple(points[a]), 0.42 * step, tuple(grey(values)[a].tolist()), shade, 4)
        for out, line in ((4, CARD), (3, INK), (2, INK), (1, CARD)):
            sheet.draw.circle(tuple(points[framed]), 0.36 * step + out, outline=line)
    sheet.table((60 + widths[0], top, widths[1], height), kernel.values, signed(kernel.values, size_of(weights)))
    return limit


def on_graph(x: Float[np.ndarray, "height width"]) -> tuple[np.ndarray, np.ndarray]:
    """Places of an irregular graph over a picture, ``ACROSS`` along its longer side, and the picture's values there."""
    fine = shrunk(x, 2 * ACROSS)
    step = max(fine.shape) / ACROSS
    places = filters.scattered(ACROSS)
    pixel = np.floor((places + 0.5) * step).astype(int)
    there = (pixel < fine.shape).all(1)
    return places[there], fine[tuple(pixel[there].T)]
