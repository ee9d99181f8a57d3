"""Small stand-ins for sets that come from outside: made of noise, in the real sets' form."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image


def write_folder(folder: Path, counts: dict[str, int], classes: tuple[str, ...] = ("dark", "light")) -> Path:
    """Class folders of pictures; a class's level of grey tells it."""
    random = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            low, high = (255 * end // len(classes) for end in (label, label + 1))
            for index in range(count):
                values = random.integers(low, high, (20, 24, 3), np.uint8)
                Image.fromarray(values).save(folder / split / name / f"{index}.png")
    return folder


def write_fashion(folder: Path, examples: int = 20) -> Path:
    """The four files of Fashion-MNIST, labels 0 to 9 in turn, every picture of class n grey at 10 n."""
    folder.mkdir(exist_ok=True, parents=True)
    labels = (np.arange(examples) % 10).astype(np.uint8)
    pictures = np.broadcast_to(labels[:, None, None] * 10, (examples, 28, 28)).astype(np.uint8)
    for split in ("train", "t10k"):
        for part, values in (("images-idx3", pictures), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
            path = folder / f"{split}-{part}-ubyte.gz"
            path.write_bytes(gzip.compress(head + values.tobytes()))
    return folder
