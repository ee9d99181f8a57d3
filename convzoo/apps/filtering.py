"""A kernel by hand over an input by name: what ``convzoo filter`` does, in numbers and in a picture.

found = filtering.run("face", "vertical edges")     found.map, filtering.entry(found), filtering.lines(found)
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.apps import photographs
from convzoo.data import recordings
from convzoo.explain import answers, drawn, filters, sheet, sliding
from convzoo.explain.filters import Kernel

DRAWN, LONGEST = 64, 256  # pixels along a side: of what is drawn, and at most of a photograph
RATE, SECONDS = 8_000, 60  # a sound is read at this rate, and so much of it
SHIFT = 3, 5  # rows and columns (of a sound: samples, the first) that the input is shifted by


class Filtered(NamedTuple):
    """An input, float32 [height, width] or [time]; the kernel as it was asked for and with as many axes as the input;
    and the map."""

    name: str
    x: np.ndarray
    asked: Kernel
    kernel: Kernel
    stride: int
    map: np.ndarray


def read(name: str, size: int | None = None) -> np.ndarray:
    """The input by name: drawn (face, cross, diag), a photograph (its brightness), an image file or a sound file.

    Args:
      size: of what is drawn, high and wide (64); of a photograph the longest side at most (256).

    Raises:
      ValueError: there is no such input, it cannot be read, or it is not drawn at this size.
    """
    known, is_file = (*drawn.PICTURES, *photographs.NAMES), Path(name).exists()
    if not is_file and not Path(name).suffix and name.lower() not in known:
        raise ValueError(f"{name!r} is no file and no input that is known here: {', '.join(known)}")
    if name in drawn.PICTURES and not is_file:
        return drawn.PICTURES[name](size or DRAWN)
    if Path(name).suffix.lower() in recordings.SUFFIXES:
        return heard(Path(name))
    if size is not None and size > photographs.LONGEST:
        raise ValueError(f"--size {size}: a photograph is taken with at most {photographs.LONGEST} pixels a side")
    return photographs.brightness(photographs.photograph(name, longest=size or LONGEST))


def heard(path: Path) -> np.ndarray:
    """The first minute of a sound."""
    pieces, samples = [], 0
    for piece in recordings.blocks(path, RATE):
        pieces.append(piece)
        samples += len(piece)
        if samples >= SECONDS * RATE:
            break
    return np.concatenate(pieces)[: SECONDS * RATE].astype(np.float32)


def run(name: str, kernel: str, *, size: int | None = None, stride: int = 1) -> Filtered:
    """What the kernel answers to the input; along a sound as its profile (``filters.along``).

    Raises:
      ValueError: the input or the kernel is not known, or cannot be read.
    """
    asked = filters.kernel(kernel)
    x = read(name, size)
    fitting = filters.along(asked) if x.ndim == 1 else asked
    return Filtered(name, x, asked, fitting, stride, filters.feature_map(x, fitting, stride=stride))


def entry(found: Filtered) -> dict[str, Any]:
    """What the map shows, as what JSON has; positions are those of the map, (row, column) or (sample)."""
    name, x, _, kernel, stride, map_ = found
    told = answers.summary(x, kernel, stride=stride, found=map_)
    shift = SHIFT[: x.ndim]
    result: dict[str, Any] = {
        "input": {"name": name, "shape": list(x.shape)},
        "kernel": {"name": kernel.name, "told": kernel.told, "values": kernel.values.tolist()},
        "stride": stride,
        "map": {
            "shape": list(map_.shape),
            "lowest": told.lowest._asdict(),
            "highest": told.highest._asdict(),
            "energy": told.energy,
            "half": told.half,
        },
        "shift": {"by": [stride * by for by in shift]}
        | {"difference": answers.shift_difference(x, kernel, shift, stride=stride)},
    }
    if stride == 1 and is_drawn(found, "face"):
        part = answers.inside(x.shape, kernel.values.shape)
        masks = {name: mask[part] for name, mask in drawn.face_parts(len(x)).items()}
        result["parts"] = answers.by_part(map_[part], masks)
    if is_drawn(found, "cross", "diag"):
        strongest, energy = lines_compared(found)
        result["cross_to_diag"] = {"strongest": strongest, "energy": energy}
    return result


def is_drawn(found: Filtered, *names: str) -> bool:
    return found.name in names and not Path(found.name).exists()


def lines_compared(found: Filtered) -> tuple[float | None, float | None]:
    """How much more the kernel answers the cross than the diagonal: strongest, and sum of squares; None: infinitely."""
    size, part = len(found.x), answers.inside(found.x.shape, found.kernel.values.shape, found.stride)
    maps = (
        filters.feature_map(picture(size), found.kernel, stride=found.stride) for picture in (drawn.cross, drawn.diag)
    )
    strongest, energy = answers.ratios(*(each[part] for each in maps))
    return (strongest if math.isfinite(strongest) else None), (energy if math.isfinite(energy) else None)


def lines(told: dict[str, Any]) -> Iterator[str]:
    """An entry, for a person to read."""
    given, kernel, found = told["input"], told["kernel"], told["map"]
    window = " x ".join(map(str, np.shape(kernel["values"])))
    yield f"{given['name']}, {sliding.size_in_words(given['shape'])}; {kernel['name']} ({window}): {kernel['told']}"
    for name in ("highest", "lowest"):
        value, at = found[name]["value"], found[name]["at"]
        yield f"  {name} answer {value:+.3f} at {sliding.place_of(at)}"
    yield f"  half of the energy is in {found['half']:.1%} of the map"
    shift = told["shift"]
    if shift["difference"] is not None:
        moved = " and ".join(f"{by} {axis}" for by, axis in zip(shift["by"], axes(given["shape"]), strict=True))
        yield f"  shifted by {moved}, the input's map is the map shifted: difference {shift['difference']:g}"
    if parts := told.get("parts"):
        shares = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
        yield f"  mean size of the answers: {shares}"
    if ratio := told.get("cross_to_diag"):
        strongest, energy = (
            "infinitely much" if value is None else f"{value:.2f} times"
            for value in (ratio["strongest"], ratio["energy"])
        )
        yield f"  the cross is answered {strongest} as strongly as the diagonal, with {energy} the energy"


def axes(shape: list[int]) -> tuple[str, ...]:
    return ("rows", "columns") if len(shape) == 2 else ("samples",)


def draw(found: Filtered, path: Path, *, everywhere: bool = False) -> str:
    """Writes the picture (.png) or the animation of the single steps (.gif, .webp); what was written, in words.

    An animation has a step for each pixel, so its input is small: what is drawn is drawn anew, 16 pixels a side; a
    photograph is averaged down to that, and of a sound the loudest 32 samples are taken.

    Raises:
      ValueError: the suffix is another, or ``everywhere`` is asked of an animation.
    """
    name, x, asked, kernel, stride, _ = found
    title = Path(name).name
    if path.suffix.lower() == ".png" or everywhere:
        if everywhere and path.suffix.lower() != ".png":
            raise ValueError(f"{path}: --everywhere draws one picture, a .png")
        if everywhere:
            picture = sliding.everywhere(x if x.ndim == 2 else drawn.face(DRAWN), asked, x if x.ndim == 1 else None)
        else:
            picture = sliding.triple(x, kernel, stride=stride, title=title)
        sheet.save(path, [picture])
        return f"{path}: {picture.shape[1]} x {picture.shape[0]} pixels"
    small = sliding.shrunk(x)
    if small is not x and name in drawn.PICTURES and x.ndim == 2:
        small = drawn.PICTURES[name](sliding.SMALL)
    count = sheet.save(path, sliding.frames(small, kernel, stride=stride, title=title))
    return f"{path}: {count} steps over {sliding.size_in_words(small.shape)}"
