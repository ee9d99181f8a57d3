"""Write a small image folder of real pictures: Fashion-MNIST's first few of each class, as PNG files in class folders.

    python -m experiments.garments [--train 20] [--test 100] [--out DIR]

They go to ``garments/train/CLASS/`` and ``garments/test/CLASS/`` in the data folder, whole or not at all.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convzoo import data
from convzoo.extras import need


def write(out: Path, counts: dict[str, int]) -> int:
    """Writes the first ``counts[split]`` pictures of each class and split; how many there are.

    Raises:
      FileExistsError: the folder is there already.
    """
    if out.exists():
        raise FileExistsError(f"{out} is there already; remove it, or choose another --out")
    image, source = need("PIL.Image", extra="data"), data.FashionMnist()
    beside = out.with_name(f".{out.name}.building")
    shutil.rmtree(beside, ignore_errors=True)
    for split, count in counts.items():
        found = source.arrays(split)
        for label, name in enumerate(source.classes):
            folder = beside / split / name
            folder.mkdir(parents=True)
            for index in np.flatnonzero(found["label"] == label)[:count]:
                image.fromarray(found["input"][index, :, :, 0]).save(folder / f"{index:05d}.png")
    beside.replace(out)
    return sum(1 for _ in out.rglob("*.png"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.garments", description="A small real image folder.")
    parser.add_argument("--train", type=int, default=20, metavar="N", help="of each class (20)")
    parser.add_argument("--test", type=int, default=100, metavar="N", help="of each class (100)")
    parser.add_argument("--out", type=Path, default=data.home.folder() / "garments", metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        written = write(options.out, {"train": options.train, "test": options.test})
    except (OSError, ImportError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{written} pictures: {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
