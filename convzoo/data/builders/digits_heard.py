"""digits_heard: the ten words spoken by eSpeak NG in 87 voices and 8 accents of English, 8 kHz (extra "speech").

Every voice says every word once in every accent, each time at a rate and a pitch of its own. Twenty voices and two
accents are held out:

    train        67 voices x 6 accents x 10 words  4,020
    test         20 x 6: unknown voices            1,200
    test_accent  67 x 2: unknown accents           1,340
    test_both    20 x 2: both unknown                400

Voices that sound alike (steph, steph2, steph3) are held out together. Silence at both ends is cut off, and so is what
goes on after 0.8 s.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from convzoo.data import espeak
from convzoo.data.sources import WORDS
from convzoo.extras import need

RATE = 8_000
LONGEST = 6_400  # samples
ACCENTS = ("en", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-gb-x-rp", "en-us")
HELD_OUT_ACCENTS = ("en-gb-scotland", "en-us-nyc")
RATES, PITCHES = (90, 320), (0, 100)  # words per minute; of 100
SEED = 0

_KNOWN = """
    Alex Alicia Andy Annie Denis Diogo Henrique Hugo Jacky Marco Mario Michael Mike Nguyen Reed RicishayMax
    RicishayMax2 RicishayMax3 Storm adam anika announcer antonio aunty benjamin caleb david ed edward edward2 f1
    f2 f4 grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 klatt3 klatt4 klatt5
    klatt6 m1 m2 m4 m5 m6 m7 marcelo max michel miguel mike2 paul pedro quincy rob robert sandro shelby
"""
_UNKNOWN = """
    Andrea Gene Gene2 Lee belinda boris f3 f5 ian linda m3 m8 norbert pablo steph steph2 steph3 travis victor zac
"""
VOICES = (*_KNOWN.split(), "Mr serious")  # not the robots, whispers and other effects among eSpeak NG's variants
HELD_OUT_VOICES = tuple(_UNKNOWN.split())
SPLITS = {
    "train": (VOICES, ACCENTS),
    "test": (HELD_OUT_VOICES, ACCENTS),
    "test_accent": (VOICES, HELD_OUT_ACCENTS),
    "test_both": (HELD_OUT_VOICES, HELD_OUT_ACCENTS),
}


class DigitsHeard(tfds.core.GeneratorBasedBuilder):
    """Spoken digits."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="The words zero to nine, synthesised by eSpeak NG in many voices and accents, 8 kHz.",
            homepage="https://github.com/espeak-ng/espeak-ng",
            features=tfds.features.FeaturesDict(
                {
                    "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
                    "voice": tfds.features.Text(),
                    "accent": tfds.features.Text(),
                    "rate": tfds.features.Scalar(dtype=np.int32),
                    "pitch": tfds.features.Scalar(dtype=np.int32),
                    "label": tfds.features.ClassLabel(names=list("0123456789")),
                }
            ),
        )

    def _planned(self) -> dict[str, list[espeak.Utterance]]:
        return {split: _plan(*voices_and_accents) for split, voices_and_accents in SPLITS.items()}

    def _split_generators(self, dl_manager):
        plan = self._planned()
        sounds = iter(espeak.speak([utterance for utterances in plan.values() for utterance in utterances]))
        spoken = {split: [(utterance, next(sounds)) for utterance in plan[split]] for split in plan}
        return {split: self._generate_examples(pairs) for split, pairs in spoken.items()}

    def _generate_examples(
        self, pairs: list[tuple[espeak.Utterance, np.ndarray]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        signal = need("scipy.signal", extra="data")
        up, down = 160, 441  # espeak.RATE to RATE, through the filter that resample_poly would design each time
        low_pass = signal.firwin(20 * down + 1, 1 / down, window=("kaiser", 5.0)).astype(np.float32)
        for utterance, sound in pairs:
            accent, voice = utterance.voice.split("+")
            audio = trim(signal.resample_poly(sound.astype(np.float32), up, down, window=low_pass))[:LONGEST]
            yield (
                f"{utterance.voice} {utterance.text}",
                {
                    "audio": np.clip(np.round(audio), -32768, 32767).astype(np.int16),
                    "voice": voice,
                    "accent": accent,
                    "rate": utterance.rate,
                    "pitch": utterance.pitch,
                    "label": WORDS.index(utterance.text),
                },
            )


def _plan(voices: tuple[str, ...], accents: tuple[str, ...], *take: int) -> list[espeak.Utterance]:
    """Every word in every voice and accent, rate and pitch drawn for each; shuffled, lest what went before tell."""
    rng = np.random.default_rng([SEED, len(voices), len(accents), *take])
    plan = [
        espeak.Utterance(word, f"{accent}+{voice}", int(rng.integers(*RATES)), int(rng.integers(*PITCHES)))
        for voice in voices
        for accent in accents
        for word in WORDS
    ]
    return [plan[index] for index in rng.permutation(len(plan))]


def trim(audio: np.ndarray, *, decibels: float = 40, size: int = 80, margin: int = 2) -> np.ndarray:
    """Cuts off both ends, ``decibels`` under the loudest piece of ``size`` samples, but for ``margin`` pieces."""
    pieces = np.pad(audio, (0, -len(audio) % size)).reshape(-1, size)
    energy = np.square(pieces).mean(axis=1)
    loud = np.flatnonzero(energy > energy.max() / 10 ** (decibels / 10))
    return audio[max(loud[0] - margin, 0) * size : (loud[-1] + 1 + margin) * size]
