"""What visitors send: bounded in size and length before it is decoded, and decoded by the readers of ``data``.

A file that is refused gives a ``Refused`` whose message is for the person who sent it.
"""

import logging
from collections.abc import Callable
from functools import wraps
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from convzoo.apps import photographs
from convzoo.data import images, recordings
from convzoo.extras import need

LARGEST_FILE = 20 * 2**20  # bytes; the server takes no more of a file
MEGAPIXELS = 40
SECONDS = 120
FASTEST = 384_000  # samples a second


class Refused(ValueError):
    """Why a file was not taken, in words for its owner."""


def photograph(path: str | Path, *, longest: int = photographs.LONGEST) -> UInt8[np.ndarray, "height width 3"]:
    """A photograph, upright, its longer side at most ``longest`` pixels.

    Raises:
      Refused: too many bytes or pixels, or no image that can be read.
    """
    path = bounded(path)
    image = need("PIL.Image", extra="data")
    try:
        with images.unlimited(image), image.open(path) as found:
            width, height = found.size
    except Exception as error:  # each of Pillow's formats has errors of its own
        raise Refused(f"{path.name} is no picture that can be read here. PNG, JPEG or WebP would do.") from error
    if width * height > MEGAPIXELS * 1e6:
        raise Refused(f"{path.name} has {width} × {height} pixels; the page takes at most {MEGAPIXELS} million.")
    try:
        return photographs.photograph(path, longest=longest)
    except images.Unreadable as error:
        raise Refused(f"{path.name} could not be decoded; the file seems to be damaged.") from error


def sound(path: str | Path) -> Path:
    """The path of a recording that is short enough to be listened to.

    Raises:
      Refused: too many bytes or seconds, or no sound that can be read.
    """
    path = bounded(path)
    try:
        about = recordings.about(path)
    except recordings.Unreadable as error:
        raise Refused(f"{path.name} is no sound that can be read here. WAV, FLAC, OGG or MP3 would do.") from error
    if about.seconds > SECONDS or about.rate > FASTEST:
        raise Refused(
            f"{path.name} lasts {about.seconds:,.0f} s at {about.rate:,} samples a second; the page listens to at most "
            f"{SECONDS} s at {FASTEST:,}."
        )
    return path


def bounded(path: str | Path) -> Path:
    """The path of a file that is there and not too large."""
    path = Path(path)
    if not path.is_file():
        raise Refused("The file did not arrive. Please send it again.")
    if (size := path.stat().st_size) > LARGEST_FILE:
        raise Refused(f"{path.name} has {size / 2**20:.0f} MB; the page takes at most {LARGEST_FILE >> 20}.")
    return path


def message(text: str) -> str:
    """A message on the page that is read aloud, too."""
    return f'<p class="cz-said" role="alert">{escape(text)}</p>' if text else ""


def spoken(error: Exception) -> str:
    """What to tell a visitor of an error; the terminal gets the rest of one that nobody foresaw."""
    if isinstance(error, (ValueError, ImportError)):
        return message(str(error))
    logging.getLogger(__name__).error("while answering a visitor", exc_info=error)
    return message("That did not work here; the terminal that started the page tells why.")


def answered(outputs: int) -> Callable[[Callable], Callable]:
    """For a function that answers an event with ``outputs`` values, the last of them a message: errors become one."""

    def wrap(function: Callable) -> Callable:
        @wraps(function)
        def answer(*given: Any) -> Any:
            skip = need("gradio", extra="demo").skip
            try:
                return function(*given)
            except Exception as error:
                return (*(skip() for _ in range(outputs - 1)), spoken(error))

        return answer

    return wrap
