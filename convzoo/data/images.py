"""Photographs from files as a network wants them: opened whatever their form, resized, cut, normalised; in batches.

Resizing, cutting and normalising follow torchvision's and timm's order and rounding, on Pillow, so numbers are theirs.
"""

import contextlib
import itertools
import math
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.extras import need

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
LARGE = 2**26  # pixels: from here on a JPEG is decoded at a half, a quarter or an eighth of its size
LARGEST = 2**28  # pixels that are decoded at all (0.8 GB); Pillow alone would warn at a third of that
LONGEST = 16  # times as long as wide: of a longer image the middle is taken, or its resized form would fill the memory
WHITE = {"I;16": (65535,), "I": (255, 65535), "F": (1, 255, 65535)}  # what may be white, by Pillow's mode
OPENING = threading.Lock()


class Unreadable(ValueError):
    """A file holds no image that can be read; the message names it."""


def open_image(path: Path, *, channels: int = 3, least: int = 0) -> Any:
    """A Pillow image, RGB, or grey for one channel, upright, with what was transparent on white.

    Args:
      least: pixels that its shorter side must keep, where a very large JPEG is decoded smaller than it is.

    Raises:
      Unreadable: there is no such file, it is no image, damaged, or has more than ``LARGEST`` pixels.
    """
    image, ops = need("PIL.Image", extra="data"), need("PIL.ImageOps", extra="data")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF data and the like: it is read or it is not
            with unlimited(image), image.open(path) as found:
                if found.format == "JPEG" and math.prod(found.size) > LARGE and least:
                    found.draft(None, (least * 2, least * 2))
                if math.prod(found.size) > LARGEST:
                    raise Unreadable(f"{path}: {found.width} x {found.height} pixels are more than {LARGEST:,}")
                found.load()
                turned = found
                with contextlib.suppress(Exception):  # an orientation that cannot be read is none
                    turned = ops.exif_transpose(found)
                return plain(image, turned, "L" if channels == 1 else "RGB")
    except Unreadable:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, KeyError, MemoryError) as error:
        told = "no such file" if isinstance(error, FileNotFoundError) else str(error) or type(error).__name__
        told = "no image that is known here" if "cannot identify" in told else told
        raise Unreadable(f"{path}: {told}") from error


@contextlib.contextmanager
def unlimited(image: Any) -> Iterator[None]:
    """Pillow without its own limit on pixels, which warns and is one for the whole process; ours follows at once."""
    with OPENING:
        before, image.MAX_IMAGE_PIXELS = image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            image.MAX_IMAGE_PIXELS = before


def plain(image: Any, found: Any, mode: str) -> Any:
    """An image of any mode as ``mode`` ("RGB" or "L"), eight bits a value."""
    if found.mode.split(";")[0] in ("I", "F"):
        levels = WHITE["I;16" if found.mode.startswith("I;16") else found.mode]
        found = image.fromarray(eight_bits(np.asarray(found), levels))
    if "A" in found.getbands() or "a" in found.mode or "transparency" in found.info:
        seen = found.convert("RGBA")
        white = image.new("RGBA", seen.size, (255, 255, 255, 255))
        found = image.alpha_composite(white, seen)
    return found.convert("RGB").convert(mode)


def eight_bits(values: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Grey values as bytes: white is the first of ``levels`` that no value exceeds, or the largest value."""
    values = np.nan_to_num(values.astype(np.float64))
    most = values.max(initial=0.0)
    white = next((level for level in levels if most <= level), most)
    return np.clip(np.rint(values * (255 / white)), 0, 255).astype(np.uint8)


def fitted(found: Any, recipe: Any) -> Any:
    """A Pillow image resized and cut to ``recipe.size``: "center" resizes the shorter side to size / crop and keeps the
    centre, "squash" resizes both sides.

    Raises:
      ValueError: an unknown interpolation or mode.
    """
    resampling = need("PIL.Image", extra="data").Resampling.__members__
    if recipe.interpolation.upper() not in resampling or recipe.mode not in ("center", "squash"):
        known = ", ".join(name.lower() for name in resampling)
        raise ValueError(
            f"interpolation {recipe.interpolation!r} must be one of {known}, and crop mode {recipe.mode!r} 'center' or "
            "'squash'"
        )
    method, (height, width) = resampling[recipe.interpolation.upper()], recipe.size
    tall, wide = math.floor(height / recipe.crop), math.floor(width / recipe.crop)
    found = shortened(found)
    if recipe.mode == "squash":
        size = wide, tall
    elif tall != wide:
        ratio = min(found.height / tall, found.width / wide)
        size = round(found.width / ratio), round(found.height / ratio)
    else:
        short, long = sorted(found.size)
        longer = int(tall * long / short)
        size = (tall, longer) if found.width <= found.height else (longer, tall)
    return centre(found if found.size == size else found.resize(size, method), width, height)


def shortened(found: Any) -> Any:
    """The middle of an image that is more than ``LONGEST`` times as long as it is wide."""
    short, long = sorted(found.size)
    if long <= LONGEST * short:
        return found
    width, height = (min(side, LONGEST * short) for side in found.size)
    return centre(found, width, height)


def centre(found: Any, width: int, height: int) -> Any:
    """The centre of an image; black around one that is smaller."""
    if found.width < width or found.height < height:
        image = need("PIL.Image", extra="data")
        under = image.new(found.mode, (max(found.width, width), max(found.height, height)))
        under.paste(found, ((under.width - found.width) // 2, (under.height - found.height) // 2))
        found = under
    top, left = round((found.height - height) / 2), round((found.width - width) / 2)
    return found.crop((left, top, left + width, top + height))


def normalised(found: Any, recipe: Any) -> np.ndarray:
    """A Pillow image as float32 [height, width, channels], by the recipe's mean and standard deviation."""
    values = np.asarray(found, np.float32) / np.float32(255)
    values = values[..., None] if values.ndim == 2 else values
    return (values - np.float32(recipe.mean)) / np.float32(recipe.std)


def prepared(path: Path, recipe: Any) -> np.ndarray:
    """A file as float32 [height, width, channels]; for channels other than 1 or 3 colours repeat."""
    channels = len(recipe.mean)
    found = fitted(open_image(path, channels=channels, least=round(max(recipe.size) / recipe.crop)), recipe)
    if channels in (1, 3):
        return normalised(found, recipe)
    values = np.asarray(found)[..., np.arange(channels) % 3]
    return normalised(values, recipe)


class Prepared(NamedTuple):
    """Some files as one array [files, height, width, channels], and what could not be read: {file: why}."""

    files: tuple[Path, ...]
    images: np.ndarray
    failed: dict[Path, str]


def stream(files: Iterable[Path], recipe: Any, batch_size: int, workers: int = 4) -> Iterator[Prepared]:
    """Batches of prepared files in order, the next one being prepared meanwhile; never more than two are held."""

    def attempt(path: Path) -> np.ndarray | str:
        try:
            return prepared(path, recipe)
        except Unreadable as error:
            return str(error).removeprefix(f"{path}: ")

    shape = (*recipe.size, len(recipe.mean))
    waiting: deque = deque()
    source = iter(files)
    with ThreadPoolExecutor(workers) as pool:

        def more(count: int) -> None:
            for path in itertools.islice(source, count):
                waiting.append((path, pool.submit(attempt, path)))

        more(2 * batch_size)
        while waiting:
            taken = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
            found = [(path, future.result()) for path, future in taken]
            more(batch_size)
            good = [(path, image) for path, image in found if isinstance(image, np.ndarray)]
            images = np.stack([image for _, image in good]) if good else np.zeros((0, *shape), np.float32)
            bad = {path: why for path, why in found if isinstance(why, str)}
            yield Prepared(tuple(path for path, _ in good), images, bad)


def in_folder(folder: Path) -> list[Path]:
    """The image files below a folder, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())


def classes_of(folder: Path) -> tuple[str, ...]:
    """The names of the folders in a folder of class folders, sorted.

    Raises:
      ValueError: there are none.
    """
    found = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not found:
        raise ValueError(f"{folder} holds no class folders")
    return found


def labelled(folder: Path, classes: Sequence[str]) -> list[tuple[Path, int]]:
    """(file, class) of every image in the class folders, sorted."""
    return [(path, label) for label, name in enumerate(classes) for path in in_folder(folder / name)]
