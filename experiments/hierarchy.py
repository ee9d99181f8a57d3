"""Draw what a trained network's layers look for, from its first kernels to its classes.

    python -m experiments.hierarchy --out docs [--images FOLDER] [--model efficientnet_lite0]

One row a waypoint: each channel's visualisation, and beside it the four photographs' parts, cut to what one place sees,
that excite it most. Shown are the channels whose answers vary most over the photographs, and the classes that the
network finds likeliest in them: chosen by that rule, none by hand. Left out is a ``top``, the convolution before the
pooling: its answers are 0 at nearly every place, which leaves the ascent nothing to climb. The photographs are those
that scikit-image carries, or those of FOLDER.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo import environment
from convzoo.apps import classify
from convzoo.apps.photographs import NAMES, photograph
from convzoo.data import images
from convzoo.explain import maps
from convzoo.explain.objectives import OUTPUT, channel, logit
from convzoo.explain.patches import most_exciting, waypoints
from convzoo.explain.visualise import visualise
from convzoo.extras import MissingExtra, need

SIDE, TILE, SMALL = 256, 120, 59  # pixels: of the photographs, of a visualisation in the figure, of a patch
ACROSS, PATCHES = 5, 4
LEAST, MOST = 64, 144  # pixels of a visualisation, about twice what a place sees


class Row(NamedTuple):
    """A line of the figure: its name, what its cells are called, their pictures and patches."""

    title: str
    names: list[str]
    pictures: np.ndarray
    patches: list[list[np.ndarray]]


def photographs(folder: Path | None) -> np.ndarray:
    """uint8 [photographs, 256, 256, 3]: the shorter side resized, the middle cut out."""
    files = list(dict.fromkeys(NAMES.values())) if folder is None else images.in_folder(folder)
    if not files:
        raise ValueError(f"{folder} holds no image files ({', '.join(images.SUFFIXES)})")
    carried = {file: name for name, file in NAMES.items()}
    image, ops = need("PIL.Image", extra="data"), need("PIL.ImageOps", extra="data")
    found = (image.fromarray(photograph(carried[file] if isinstance(file, str) else file)) for file in files)
    return np.stack([np.asarray(ops.fit(each, (SIDE, SIDE))) for each in found])


def rows(found: classify.Classifier, photos: np.ndarray, steps: int, told: Any) -> list[Row]:
    """Every waypoint that has places, and the classes."""
    model, variables, recipe = found
    normal = ((photos / 255 - recipe.mean) / recipe.std).astype(np.float32)
    batches = (waypoints(model, variables, each) for each in np.array_split(normal, -(-len(normal) // 8)))
    answers: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        for name, array in batch.items():
            if array.ndim == 4 or name == OUTPUT:
                answers.setdefault(name, []).append(np.asarray(array, np.float32))
    joined = {name: np.concatenate(each) for name, each in answers.items()}
    ordered = [
        *(name for name in maps.feature_maps(model, variables, normal[0]) if name in joined and name != "top"),
        OUTPUT,
    ]
    chosen = {name: maps.strongest(joined[name], ACROSS).tolist() for name in ordered}
    chosen[OUTPUT] = likeliest(joined[OUTPUT])
    patches = most_exciting(model, variables, normal, chosen, count=PATCHES)
    made = []
    for name, channels in chosen.items():
        sees = max(max(patch.bottom - patch.top, patch.right - patch.left) for patch in patches[name, channels[0]])
        size = int(np.clip(2 * sees, LEAST, MOST))
        objectives = [logit(index) if name == OUTPUT else channel(name, index) for index in channels]
        begun = time.perf_counter()
        pictures = visualise(
            model, variables, objectives, shape=(size, size), steps=steps, normalise=(recipe.mean, recipe.std)
        )
        told(f"{name}: {len(channels)} pictures of {size} pixels, {time.perf_counter() - begun:.0f} s")
        names = [found.label(index).name.split(",")[0] if name == OUTPUT else f"{index}" for index in channels]
        field = "" if sees >= SIDE else f", a place sees {sees} pixels"
        title = "classes" if name == OUTPUT else f"{name}, {joined[name].shape[-1]} channels{field}"
        cuts = [[patch.cut(photos) for patch in patches[name, index]] for index in channels]
        made.append(Row(title, names, pictures, cuts))
    return made


def likeliest(logits: np.ndarray) -> list[int]:
    """The classes that photographs are given, the surest first, each once."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    order = np.argsort(-(shifted.max(axis=1) / shifted.sum(axis=1)), kind="stable")
    return list(dict.fromkeys(logits[order].argmax(axis=1).tolist()))[:ACROSS]


def sized(picture: np.ndarray, side: int) -> np.ndarray:
    """uint8 [height, width, 3] -> [side, side, 3], what is not square on white."""
    image: Any = need("PIL.Image", extra="data")
    scale = side / max(picture.shape[:2])
    whole = tuple(max(1, round(scale * n)) for n in (picture.shape[1], picture.shape[0]))
    method = image.Resampling.NEAREST if scale > 4 else image.Resampling.LANCZOS
    sheet = image.new("RGB", (side, side), "white")
    sheet.paste(image.fromarray(picture).resize(whole, method), ((side - whole[0]) // 2, (side - whole[1]) // 2))
    return np.asarray(sheet)


def cell(picture: np.ndarray, patches: Sequence[np.ndarray]) -> np.ndarray:
    """A visualisation with its patches, two by two, to the right."""
    large = sized(np.round(255 * picture).astype(np.uint8), TILE)
    small = maps.tiled(np.stack([sized(each, SMALL) for each in patches]), 2, gap=TILE - 2 * SMALL)
    high = np.full((TILE, small.shape[1], 3), 255, np.uint8)
    high[: len(small)] = small
    return np.concatenate([large, np.full((TILE, 3, 3), 255, np.uint8), high], axis=1)


def draw(path: Path, kernels: np.ndarray, lines: Sequence[Row], title: str) -> Path:
    """The figure."""
    need("matplotlib", extra="plots").use("agg")
    pyplot: Any = need("matplotlib.pyplot", extra="plots")
    height = 0.75 * (len(lines) + 1)
    figure = pyplot.figure(figsize=(10.5, 1.9 * height), layout="constrained")
    panels = figure.subplots(len(lines) + 1, 1, height_ratios=[0.8, *[1] * len(lines)])
    try:
        strip = maps.tiled(kernels, columns=16, gap=4)
        panels[0].imshow(strip)
        panels[0].set_title(f"{title}: the {len(kernels)} kernels of the first layer", loc="left", fontsize=10)
        for panel, row in zip(panels[1:], lines, strict=True):
            cells = [cell(picture, cuts) for picture, cuts in zip(row.pictures, row.patches, strict=True)]
            sheet = maps.tiled(np.stack(cells), columns=ACROSS, gap=14)
            panel.imshow(sheet)
            panel.set_title(row.title, loc="left", fontsize=10)
            for index, name in enumerate(row.names):
                left = index * (cells[0].shape[1] + 14)
                panel.text(left, TILE + 3, name, va="top", fontsize=7, color="#555555")
        for panel in panels:
            panel.set_axis_off()
        figure.savefig(path, dpi=120)
    finally:
        pyplot.close(figure)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.hierarchy", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="where hierarchy.png goes (docs)")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="photographs (those of scikit-image)")
    parser.add_argument("--model", default=classify.DEFAULT, help=f"of convzoo.list_models() ({classify.DEFAULT})")
    parser.add_argument("--steps", type=int, default=256, metavar="N", help="of every visualisation (256)")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        found = classify.classifier(options.model)
        kernels = maps.kernel_pictures(maps.first_kernel(found.variables["params"]))
        lines = rows(found, photographs(options.images), options.steps, lambda text: print(text, flush=True))
        print(draw(options.out / "hierarchy.png", kernels, lines, options.model))
    except (MissingExtra, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
