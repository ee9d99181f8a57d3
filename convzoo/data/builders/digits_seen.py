"""digits_seen: scikit-learn's 1,797 handwritten digits (Alpaydin and Kaynak 1998, UCI), 8 x 8 grey pixels of 0 to 16.

The first 1,437 are the training split, the last 360 the test split: other people wrote those. Pixels are stored as PNG,
16 levels spread over 0 to 255 (times 15, so 240 is full ink).
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from convzoo.extras import need

LEVELS = 16
STEP = 15  # one level of ink in the stored bytes
TRAIN = 1437


class DigitsSeen(tfds.core.GeneratorBasedBuilder):
    """Pictures of handwritten digits."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits, 8 x 8 pixels: scikit-learn's copy of the UCI test set.",
            homepage="https://archive.ics.uci.edu/dataset/80",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(8, 8, 1), encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list("0123456789")),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        pictures, labels = handwritten()
        return {
            "train": self._generate_examples(pictures[:TRAIN], labels[:TRAIN]),
            "test": self._generate_examples(pictures[TRAIN:], labels[TRAIN:]),
        }

    def _generate_examples(self, pictures: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        image = need("PIL.Image", extra="data")
        for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            file = io.BytesIO()  # an array would be encoded by TensorFlow
            image.fromarray(picture * np.uint8(STEP)).save(file, "PNG")
            file.seek(0)
            yield index, {"image": file, "label": int(label)}


def handwritten() -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [1797, 8, 8] of levels 0 to 16 and labels int64 [1797]."""
    pictures, labels = need("sklearn.datasets", extra="data").load_digits(return_X_y=True)
    return pictures.reshape(-1, 8, 8).astype(np.uint8), labels
