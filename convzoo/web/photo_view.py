"""What a network makes of a photograph, as HTML: its classes, where it looked, its maps by depth."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from convzoo.explain import draw, maps

SHOWN = 16  # channels of a waypoint
WIDE = 112  # pixels of a map, at most


def image(pixels: UInt8[np.ndarray, "height width 3"], label: str) -> str:
    opaque = np.full(pixels.shape[:2], 255, np.uint8)
    return f'<img src="{draw.png(np.dstack([pixels, opaque]))}" alt="{escape(label)}">'


def classes(names: Sequence[str], chances: Sequence[float]) -> str:
    """The likeliest classes with their probabilities."""
    lines = "".join(
        f"<tr><td>{escape(name)}</td><td>{bar(chance)}</td></tr>" for name, chance in zip(names, chances, strict=True)
    )
    return f"<table class='cz-table' id='photo-classes'><tbody>{lines}</tbody></table>"


def bar(share: float) -> str:
    """A probability as a bar and in words."""
    return f"<i class='cz-bar' style='--share:{share:.3f}'></i>{draw.percent(share)}"


def looked(pixels: UInt8[np.ndarray, "height width 3"], where: Float[np.ndarray, "height width"], name: str) -> str:
    """The photograph with a warm veil where the network looked for a class."""
    veil = np.full((*where.shape, 4), (16, 18, 22, 0), np.uint8)
    veil[..., 3] = np.round(215 * (1 - np.clip(where / (where.max() or 1), 0, 1)))
    return (
        f'<figure><div class="cz-over">{image(pixels, "the photograph as the network is given it")}'
        f'<img src="{draw.png(veil)}" alt="Grad-CAM for {escape(name)}"></div>'
        f"<figcaption><b>Grad-CAM</b> for {escape(name)}: lit is what spoke for this class.</figcaption></figure>"
    )


def channels(values: np.ndarray, waypoint: str) -> dict[str, Any]:
    """The channels of a waypoint that vary most over the photograph, for hierarchy.js: each with its number."""
    order = maps.strongest(values, SHOWN)
    return {"waypoint": waypoint, "about": about(values), "maps": [[int(c), one(values[..., c])] for c in order]}


def one(values: np.ndarray) -> str:
    """A channel's map as a PNG, on its own scale; a single number as a square."""
    plane = np.atleast_2d(values)
    step = -(-max(plane.shape) // WIDE)
    plane = plane[::step, ::step]
    strength = np.abs(plane) / (np.abs(plane).max() or 1)
    rgba = np.where(plane[..., None] >= 0, (*draw.POSITIVE, 0), (*draw.NEGATIVE, 0)).astype(np.uint8)
    rgba[..., 3] = np.round(255 * strength)
    return draw.png(rgba)


def about(values: np.ndarray) -> str:
    places = " × ".join(map(str, values.shape[:-1]))
    return f"{places} places, {values.shape[-1]} channels" if places else f"{values.shape[-1]} channels without a place"


def wish(made: Float[np.ndarray, "height width 3"], waypoint: str, index: int) -> str:
    """The picture that a channel answers most, in 0..1."""
    pixels = np.round(255 * np.clip(made, 0, 1)).astype(np.uint8)
    what = f"channel {index} of {waypoint}"
    return (
        f'<figure class="cz-wish">{image(pixels, f"what excites {what}")}<figcaption>What excites {what} most, found '
        "by changing a picture of noise step by step; no photograph was used.</figcaption></figure>"
    )
