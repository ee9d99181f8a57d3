"""Strings of spoken digits, joined on the device as they are needed: random recordings, random gaps, noise.

    batches = data.load(data.Strings(), batch_size=32, seed=0)
    batches.at(step)    # {"input": [32, 240, 40], "length": [32], "label": [32, 7], "mask": [32]}

Strings come in three sizes, a bucket of lengths each; a batch is of one bucket, so there are three programs and no
more.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from jaxtyping import Array

from convzoo.data import augment
from convzoo.data.sounds import HOP, Heard, Recorded, frames, log_mel
from convzoo.data.sources import Source, pad

VOICES = ("recorded", "heard", "both")
MOST = 7  # digits of a string
NONE = -1  # what labels are filled up with


class Bucket(NamedTuple):
    """Strings of ``least`` to ``most`` digits in ``samples``; digits that do not fit any more are left out."""

    least: int
    most: int
    samples: int


BUCKETS = (Bucket(0, 2, 19_200), Bucket(3, 4, 32_000), Bucket(5, MOST, 51_200))  # 2.4, 4 and 6.4 s


@dataclass(frozen=True)
class Strings(Source):
    """Digit strings to transcribe. input float32 [batch, frames, 40] log-mel without each band's mean, zeros after
    ``length``; label int32 [batch, 7], -1 after the last digit.

    Attributes:
      voices: "recorded": those of ``Recorded``, of its official split; "heard": those of ``Heard``; "both". The test is
        always on recordings.
      folder: of the recordings, as in ``Recorded``.
      augment: strings to train on are changed as single digits are, by ``augment.channel`` and ``augment.log_mel``.
      tested: strings of each bucket in the test.
    """

    voices: str = "both"
    folder: str = "fsdd"
    augment: bool = True
    tested: int = 100

    name: ClassVar[str] = "digit_strings"

    def __post_init__(self):
        super().__post_init__()
        if self.voices not in VOICES:
            raise ValueError(f"voices={self.voices!r} is unknown; known are {', '.join(VOICES)}")

    def arrays(self, split):
        """The single digits: input int16 [digits, samples], length, label."""
        self._check(split)
        recorded, heard = Recorded(folder=self.folder), Heard()
        sources = {"recorded": (recorded,), "heard": (heard,), "both": (recorded, heard)}[self.voices]
        found = [each for source in (sources if split == "train" else (recorded,)) for each in source._stored(split)]
        sounds = [np.asarray(each["audio"])[: Recorded.longest] for each in found]
        return {
            "input": pad(sounds, Recorded.longest),
            "length": np.array([len(sound) for sound in sounds], np.int32),
            "label": np.array([each["label"] for each in found], np.int32),
        }

    def show(self, split, index):
        return Recorded(folder=self.folder).show(split, index)


@dataclass(frozen=True, eq=False)
class Joined:
    """Batches of strings: drawn by step (``at``), or those of the test (``in_order``); see ``pipeline.Batches``."""

    source: Strings
    rows: dict[str, Any]
    batch_size: int
    seed: int
    examples: int
    sizes: tuple[tuple[str, int], ...] = ()

    @property
    def epoch_steps(self) -> int:
        """Steps in which about as many digits are heard as there are recordings."""
        mean = sum(bucket.least + bucket.most for bucket in BUCKETS) / (2 * len(BUCKETS))
        return max(round(self.examples / mean / self.batch_size), 1)

    @property
    def example(self) -> dict[str, Any]:
        return self.at(0)

    def at(self, step: int) -> dict[str, Any]:
        """The batch of step ``step``: of the first bucket, the second, the third, the first, ..."""
        key = random.fold_in(random.fold_in(random.key(self.seed), 1), step)
        mask = jnp.ones(self.batch_size, bool)
        return drawn(self.rows, key, mask, BUCKETS[int(step) % len(BUCKETS)], augmented=self.source.augment)

    def in_order(self) -> Iterator[dict[str, Any]]:
        """The strings of the test, always the same ones, bucket after bucket, with noise but not changed otherwise."""
        for number, bucket in enumerate(BUCKETS):
            for start in range(0, self.source.tested, self.batch_size):
                key = random.fold_in(random.key(number), start)
                mask = start + jnp.arange(self.batch_size) < self.source.tested
                yield drawn(self.rows, key, mask, bucket, augmented=False)


def load(source: Strings, split: str, batch_size: int, seed: int) -> Joined:
    rows = source.arrays(split)
    batch_size = batch_size if split == "train" else min(batch_size, source.tested)
    return Joined(source, jax.device_put(rows), batch_size, seed, len(rows["label"]))


@functools.partial(jax.jit, static_argnames=("bucket", "augmented"))
def drawn(rows: dict[str, Array], key: Array, mask: Array, bucket: Bucket, *, augmented: bool) -> dict[str, Any]:
    """A batch of new strings."""
    join, room, change = random.split(key, 3)
    waves, length, label, _ = joined(rows, join, len(mask), bucket)
    limits: dict[str, Any] = {"decibels": 9.0, "least": 5.0} if augmented else {"decibels": 0.0, "least": 15.0}
    waves = augment.channel(waves[..., None], length, room, **limits)[..., 0] / 8
    x, length = log_mel(waves, length), frames(length)
    if augmented:
        x, length = augment.log_mel(x, length, change, speed=0.1)
    return {"input": x, "length": length, "label": label, "mask": mask}


def joined(rows: dict[str, Array], key: Array, batch: int, bucket: Bucket) -> tuple[Array, Array, Array, Array]:
    """Waves [batch, samples], their lengths, labels [batch, 7], and where each digit starts and ends [batch, 7, 2]."""
    many, which, apart, loud = random.split(key, 4)
    count = random.randint(many, (batch, 1), bucket.least, bucket.most + 1)
    index = random.randint(which, (batch, MOST), 0, len(rows["label"]))
    gaps = random.uniform(apart, (batch, MOST + 1), minval=0.02, maxval=0.4) * 8_000
    gain = 10 ** (random.uniform(loud, (batch, MOST), minval=-6, maxval=6) / 20)
    own = rows["length"][index]
    ends = jnp.cumsum(own + gaps[:, :MOST].astype(jnp.int32), axis=1)
    starts = ends - own
    there = (jnp.arange(MOST) < count) & (ends <= bucket.samples)
    last = jnp.max(jnp.where(there, ends, 0), axis=1)
    length = jnp.clip(last + gaps[:, MOST].astype(jnp.int32), HOP, bucket.samples)
    time = jnp.arange(bucket.samples)
    digit = jnp.minimum((time[None, :, None] >= ends[:, None]).sum(axis=2), MOST - 1)  # the one under way, or the next
    take = functools.partial(jnp.take_along_axis, indices=digit, axis=1)
    place = time - take(starts)
    inside = (place >= 0) & (place < take(own)) & take(there)
    level = jnp.sqrt(jnp.square(rows["input"].astype(jnp.float32)).sum(axis=1) / rows["length"])
    waves = rows["input"][take(index), jnp.clip(place, 0, rows["input"].shape[1] - 1)].astype(jnp.float32)
    waves = jnp.where(inside, waves * take(gain / jnp.maximum(level[index], 1.0)), 0)
    return waves, length, jnp.where(there, rows["label"][index], NONE), jnp.stack([starts, ends], axis=-1)
