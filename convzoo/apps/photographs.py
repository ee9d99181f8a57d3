"""Photographs by name, those that scikit-image carries, and from the user's own file: uint8 [height, width, 3].

The names are files of the installed package (extra ``demo``); nothing is downloaded. Its README tells their authors
and licences: public domain, CC0 or CC-BY.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from convzoo.data import images
from convzoo.extras import need

NAMES = {
    "astronaut": "astronaut.png", "brick": "brick.png", "camera": "camera.png", "cat": "chelsea.png",
    "chelsea": "chelsea.png", "clock": "clock_motion.png", "coffee": "coffee.png", "coins": "coins.png",
    "grass": "grass.png", "gravel": "gravel.png", "hubble": "hubble_deep_field.jpg", "moon": "moon.png",
    "motorcycle": "motorcycle_left.png", "page": "page.png", "retina": "retina.jpg", "rocket": "rocket.jpg",
    "text": "text.png",
}  # fmt: skip
LONGEST = 1024  # pixels that are kept along the longer side


def photograph(name: str | Path, *, longest: int = LONGEST) -> UInt8[np.ndarray, "height width 3"]:
    """One of ``NAMES``, or an image file of any form; averaged down where its longer side exceeds ``longest``.

    Raises:
      Unreadable: there is no such name or file, or no image in it that can be read.
      MissingExtra: scikit-image or Pillow is not installed.
    """
    path = Path(name)
    if str(name).lower() in NAMES and not path.exists():
        (folder,) = need("skimage", extra="demo").__path__
        path = Path(folder) / "data" / NAMES[str(name).lower()]
    found = images.shortened(images.open_image(path, least=longest))
    share = longest / max(found.size)
    if share < 1:
        size = [max(1, round(side * share)) for side in found.size]
        found = found.resize(size, need("PIL.Image", extra="data").Resampling.BOX)
    return np.asarray(found)


def brightness(colours: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
    """Colours as brightness in 0..1, by the weights of ITU-R BT.601 (Pillow's)."""
    return (colours @ np.array([0.299, 0.587, 0.114]) / 255).astype(np.float32)
