"""digits_spelled: the numbers 0 to 9,999 written out in seven languages by num2words (LGPL, extra "spelled").

The label is the last digit: "vierundzwanzig" names it first, "quatre-vingt-onze" and "二十" not at all. The split is by
number, so that no number of one split is in another in any language: a tenth to train, a tenth to test, and ``rest``,
which nobody needs to touch.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from convzoo.extras import need

LANGUAGES = ("de", "en", "es", "fr", "ja", "sv", "tr")
NUMBERS = 10_000


class DigitsSpelled(tfds.core.GeneratorBasedBuilder):
    """Numbers in words."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Numbers from 0 to 9,999 in words, in seven languages; the label is the last digit.",
            features=tfds.features.FeaturesDict(
                {
                    "text": tfds.features.Text(),
                    "language": tfds.features.Text(),
                    "number": tfds.features.Scalar(dtype=np.int32),
                    "label": tfds.features.ClassLabel(names=list("0123456789")),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        spell = need("num2words", extra="spelled").num2words
        order = np.random.default_rng(0).permutation(NUMBERS)
        train, test, rest = np.split(order, [NUMBERS // 10, NUMBERS // 5])
        return {
            "train": self._generate_examples(train, spell),
            "test": self._generate_examples(test, spell),
            "rest": self._generate_examples(rest, spell),
        }

    def _generate_examples(self, numbers: np.ndarray, spell: Any) -> Iterator[tuple[str, dict[str, Any]]]:
        for language in LANGUAGES:
            for number in map(int, numbers):
                text = spell(number, lang=language)
                yield (
                    f"{language}{number}",
                    {"text": text, "language": language, "number": number, "label": number % 10},
                )
