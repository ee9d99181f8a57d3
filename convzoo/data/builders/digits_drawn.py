"""digits_drawn: the pictures of digits_seen, in its splits, as graphs of their ink: ``convzoo.data.graphs.trace``."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from convzoo.data.builders.digits_seen import LEVELS, TRAIN, handwritten
from convzoo.data.graphs import trace


class DigitsDrawn(tfds.core.GeneratorBasedBuilder):
    """Graphs of handwritten digits."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Handwritten digits as graphs: a node for each inked pixel (intensity, x, y), edges to the "
            "inked pixels around it and to itself, numbered by direction.",
            homepage="https://archive.ics.uci.edu/dataset/80",
            features=tfds.features.FeaturesDict(
                {
                    "nodes": tfds.features.Tensor(shape=(None, 3), dtype=np.float32),
                    "senders": tfds.features.Tensor(shape=(None,), dtype=np.int32),
                    "receivers": tfds.features.Tensor(shape=(None,), dtype=np.int32),
                    "taps": tfds.features.Tensor(shape=(None,), dtype=np.int32),
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
        for index, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            yield index, trace(picture / np.float32(LEVELS)) | {"label": int(label)}
