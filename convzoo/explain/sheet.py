"""A sheet of pixels to draw on: text, panels of pixels or samples, tables of numbers, a scale; and files of it.

Drawn by Pillow (extra ``data``), a sheet in some milliseconds; the colours are those of ``convzoo.explain.draw``. A box
is (left, top, width, height) in pixels of the sheet.
"""

import functools
import math
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from convzoo.explain.draw import NEGATIVE, POSITIVE
from convzoo.extras import need

PAPER, CARD, INK, SOFT, LINE = (251, 250, 247), (255, 255, 255), (31, 32, 35), (102, 104, 110), (218, 214, 206)
OUTSIDE = (236, 233, 226)  # what lies under a window beyond the input
FORMS = {".png": "PNG", ".gif": "GIF", ".webp": "WEBP"}
NUMBERED = 5  # taps along an axis up to which a table shows its numbers

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]
Pixels = UInt8[np.ndarray, "height width 3"]


class Panel(NamedTuple):
    """Where an array of rows and columns lies on a sheet; a sound is one row."""

    box: Box
    rows: int
    columns: int

    def cells(self, corner: Sequence[int], size: Sequence[int] = (1, 1)) -> Box:
        """The box of ``size`` cells from ``corner`` (row, column), or of samples where both have one number."""
        row, column = corner if len(corner) == 2 else (0, corner[0])
        high, wide = size if len(corner) == 2 else (1, size[0])
        left, top, width, height = self.box
        x, y = width / self.columns, height / self.rows
        return left + column * x, top + row * y, wide * x, high * y


def panel(space: Sequence[int], room: Box) -> Panel:
    """The largest panel in a room, from its upper left; its pixels are square, and whole from four sheet pixels on."""
    if len(space) == 1:
        return Panel(room, 1, space[0])
    left, top, width, height = room
    cell = min(width / space[1], height / space[0])
    cell = math.floor(cell) if cell >= 4 else cell
    return Panel((left, top, max(round(cell * space[1]), 1), max(round(cell * space[0]), 1)), *space)


def grey(values: np.ndarray) -> UInt8[np.ndarray, "*shape 3"]:
    """Brightness 0..1 as grey."""
    return np.repeat(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None], 3, -1)


def signed(values: np.ndarray, limit: float) -> UInt8[np.ndarray, "*shape 3"]:
    """Signed numbers: white at 0, warm above and cool below, in full at ``limit``."""
    strength = np.clip(np.abs(values) / (limit or 1), 0, 1)[..., None]
    colour = np.where(np.asarray(values)[..., None] >= 0, POSITIVE, NEGATIVE)
    return np.rint(255 + (colour - 255) * strength).astype(np.uint8)


def colour(value: float, limit: float) -> Colour:
    """``signed`` of one number."""
    red, green, blue = signed(np.array(value), limit).tolist()
    return red, green, blue


def short(value: float) -> str:
    """A number in few letters, zeros at its end left out: 1, -0.5, 0.11, 1.2e+05."""
    text = f"{value:.2f}" if abs(value) < 1000 else f"{value:.2g}"
    text = text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return "0" if text in ("-0", "") else text


@functools.cache
def font(size: int) -> Any:
    return need("PIL.ImageFont", extra="data").load_default(size)


class Sheet:
    """What is drawn on."""

    def __init__(self, width: int, height: int):
        self.library = need("PIL.Image", extra="data")
        self.image = self.library.new("RGB", (width, height), PAPER)
        self.draw = need("PIL.ImageDraw", extra="data").Draw(self.image)

    def copy(self) -> "Sheet":
        other = Sheet(1, 1)
        other.image = self.image.copy()
        other.draw = need("PIL.ImageDraw", extra="data").Draw(other.image)
        return other

    def array(self) -> Pixels:
        return np.array(self.image)

    def text(self, x: float, y: float, text: str, *, size: int = 15, colour: Colour = INK, anchor: str = "la") -> None:
        """Text at a point; ``anchor`` as Pillow's: l, m or r across, a (top), m or s (baseline) down."""
        self.draw.text((x, y), text, font=font(size), fill=colour, anchor=anchor)

    def wrapped(self, x: float, y: float, width: float, text: str, *, size: int = 14, colour: Colour = SOFT) -> None:
        """Text from the left, in lines of at most ``width``."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and font(size).getlength(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        for row, line in enumerate(lines):
            self.text(x, y + row * 1.3 * size, line, size=size, colour=colour)

    def fill(self, box: Box, colour: Colour, line: Colour | None = None) -> None:
        left, top, width, height = (round(each) for each in box)
        self.draw.rectangle((left, top, left + width - 1, top + height - 1), colour, line)

    def ring(self, box: Box) -> None:
        """A frame around a box, to be seen on dark and light."""
        left, top, width, height = round(box[0]), round(box[1]), max(round(box[2]), 1), max(round(box[3]), 1)
        for out, colour in ((3, CARD), (2, INK), (1, INK), (0, CARD)):
            self.draw.rectangle((left - out, top - out, left + width - 1 + out, top + height - 1 + out), outline=colour)

    def pixels(self, panel: Panel, colours: UInt8[np.ndarray, "rows columns 3"]) -> None:
        """Pixels in a panel: each a square where there is room, averaged where there is not."""
        left, top, width, height = (round(each) for each in panel.box)
        cell = width / panel.columns
        method = "NEAREST" if cell >= 4 else "BICUBIC" if cell > 1 else "BOX"
        image = self.library.fromarray(colours).resize((width, height), self.library.Resampling[method])
        self.image.paste(image, (left, top))
        self.draw.rectangle((left - 1, top - 1, left + width, top + height), outline=LINE)

    def samples(
        self, panel: Panel, values: Float[np.ndarray, " time"], limit: float, paint: Callable[[float], Colour]
    ) -> None:
        """A sound as bars from the middle line; where there are more samples than room, from lowest to highest."""
        self.fill(panel.box, CARD, LINE)
        left, top, width, height = panel.box
        middle, reach = top + height / 2, (height / 2 - 4) / (limit or 1)
        bars = min(len(values), round(width))
        parts = np.array_split(values, bars)
        for index, part in enumerate(parts):
            x = left + index * width / bars
            gap = 1 if width / bars >= 4 else 0
            ends = min(float(part.min()), 0.0), max(float(part.max()), 0.0)
            for end in ends:
                if end:
                    y = sorted((middle, middle - end * reach))
                    self.draw.rectangle((x + gap, y[0], max(x + width / bars - 1, x + gap), y[1]), paint(end))
        self.draw.line((left, middle, left + width - 1, middle), SOFT)

    def table(self, box: Box, values: np.ndarray, colours: UInt8[np.ndarray, "*shape 3"]) -> None:
        """Coloured squares in the middle of a box, with their numbers where there are few."""
        values, colours = np.atleast_2d(values), colours.reshape(*np.atleast_2d(values).shape, 3)
        rows, columns = values.shape
        left, top, width, height = box
        cell = min(width / columns, height / rows, 52)
        left, top = left + (width - cell * columns) / 2, top + (height - cell * rows) / 2
        gap = 1 if cell >= 8 else 0
        size = 14 if cell >= 40 else 12 if cell >= 32 else 10
        for (row, column), value in np.ndenumerate(values):
            red, green, blue = colours[row, column].tolist()
            x, y = left + column * cell, top + row * cell
            self.draw.rectangle(
                (x, y, x + cell - 1 - gap, y + cell - 1 - gap), (red, green, blue), LINE if gap else None
            )
            if max(rows, columns) <= NUMBERED:
                ink = CARD if 0.3 * red + 0.59 * green + 0.11 * blue < 140 else INK
                self.text(x + cell / 2, y + cell / 2, short(float(value)), size=size, colour=ink, anchor="mm")

    def scale(self, x: float, y: float, width: float, limit: float) -> None:
        """What the two colours mean: a bar from -limit to limit with numbers under it."""
        bar = Panel((x, y, round(width), 12), 1, round(width))
        self.pixels(bar, signed(np.linspace(-limit, limit, round(width))[None], limit))
        ends = (x, short(-limit), "la"), (x + width / 2, "0", "ma"), (x + width, f"+{short(limit)}", "ra")
        for place, text, anchor in ends:
            self.text(place, y + 17, text, size=13, colour=SOFT, anchor=anchor)


def save(path: Path, pictures: Iterable[Pixels], *, milliseconds: int = 120) -> int:
    """Writes one picture as .png, or several as an animation without end, .gif or .webp; (how many).

    The file appears when it is whole. The last picture of an animation stays for two seconds.

    Raises:
      ValueError: another suffix, or several pictures for a .png.
      FileNotFoundError: there is no such folder.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise ValueError(f"{path}: pictures are written as {', '.join(FORMS)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder")
    image = need("PIL.Image", extra="data")
    images = [image.fromarray(picture) for picture in pictures]
    if form == "PNG" and len(images) > 1:
        raise ValueError(f"{path}: {len(images)} pictures make an animation, .gif or .webp")
    options = {}
    if len(images) > 1:
        times = [milliseconds] * (len(images) - 1) + [2000]
        options = {"save_all": True, "append_images": images[1:], "duration": times, "loop": 0}
        if form == "GIF":
            palette = images[-1].quantize(256)
            images = [each.quantize(palette=palette, dither=image.Dither.NONE) for each in images]
            options |= {"append_images": images[1:], "disposal": 1}
        else:
            options |= {"lossless": True, "quality": 60, "method": 2}
    beside = path.with_name(f".{path.name}.{os.getpid()}.building")
    try:
        images[0].save(beside, form, **options)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return len(images)
