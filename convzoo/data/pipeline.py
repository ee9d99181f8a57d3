"""Batches of one shape from arrays that live on the device: order and augmentation follow from seed and step alone.

There is no iterator whose position would have to be saved: ``batches.at(step)`` is a pure function, and a run that goes
on at step 500 sees what it would have seen.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from convzoo.data import strings
from convzoo.data.batching import Packs
from convzoo.data.ogb import OgbMolecules
from convzoo.data.pictures import Pictures
from convzoo.data.sources import Rows, Source
from convzoo.data.stream import Streamed

LARGEST = 2**31  # bytes of pictures that are held on the device


@dataclass(frozen=True, eq=False)
class Batches:
    """A split on the device, to be drawn from by step (``at``) or run through (``in_order``).

    Attributes:
      source: what the batches are made of.
      rows: the examples, on the device.
      examples: how many there are.
      batch_size: how many make a batch.
      seed: what order and augmentation follow from.
      sizes: static sizes of a batch, by name.
    """

    source: Source
    rows: Rows
    examples: int
    batch_size: int
    seed: int
    sizes: tuple[tuple[str, int], ...]

    @property
    def epoch_steps(self) -> int:
        """Batches in an epoch: whole ones, but at least one."""
        return max(self.examples // self.batch_size, 1)

    @property
    def example(self) -> dict[str, Any]:
        """One batch, to read shapes and dtypes from."""
        return self.at(0)

    def at(self, step: int) -> dict[str, Any]:
        """The batch of step ``step``, shuffled anew each epoch and augmented if the source says so.

        An epoch's last, incomplete batch is left out. Where there are fewer examples than ``batch_size``, they are
        repeated until the batch is full.
        """
        epoch, place = divmod(step, self.epoch_steps)
        return _draw(self.rows, self.seed, epoch, place, step, self.source, self.batch_size, self.sizes)

    def in_order(self) -> Iterator[dict[str, Any]]:
        """Every example once, in the order of ``source.arrays``, not augmented; the last batch is filled up with rows
        whose mask is False."""
        for start in range(0, self.examples, self.batch_size):
            yield _take(self.rows, start, self.source, self.batch_size, self.sizes)


def load(
    source: Source, split: str = "train", *, batch_size: int, seed: int = 0
) -> Batches | Streamed | strings.Joined | Packs:
    """Puts ``split`` of ``source`` on the device, preparing the set if need be; pictures of more than ``LARGEST`` bytes
    are streamed instead.

    Of the training split ``source.fraction`` is kept, the same share of every class and at least one example of each;
    with one seed a smaller share is part of a larger one.

    Raises:
      ValueError: the set has no such split, or ``batch_size`` is not positive.
      ImportError: a package that preparing or reading the set needs is missing; it names the extra.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be positive")
    if isinstance(source, strings.Strings):
        return strings.load(source, split, batch_size, seed)
    if isinstance(source, OgbMolecules):
        return source.packs(split, batch_size, seed)
    if isinstance(source, Pictures):
        found = source.examples(split)
        if len(found.labels) * found.picture(0).nbytes > LARGEST:
            kept = share(found.labels, source.fraction, seed) if split == "train" and source.fraction < 1 else None
            return Streamed(source, found, batch_size, seed, kept)
    arrays = source.arrays(split)
    batch_size = 1 if source.whole else batch_size
    sizes = source.sizes(arrays, batch_size)
    if split == "train" and source.fraction < 1:
        kept = share(arrays["label"], source.fraction, seed)
        arrays = {name: array[kept] for name, array in arrays.items()}
        # The whole split's sizes serve every share of it, so seeds share a program; only a few large graphs, repeated
        # to fill a batch, may need more.
        least = dict(source.sizes(arrays, batch_size))
        sizes = tuple((name, max(size, least[name])) for name, size in sizes)
    return Batches(source, jax.device_put(arrays), len(arrays["label"]), batch_size, seed, sizes)


def share(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Indices of a random ``fraction`` of the examples of each class, at least one, ascending."""
    order = np.random.default_rng(seed).permutation(len(labels))
    classes = [order[labels[order] == label] for label in np.unique(labels)]
    return np.sort(np.concatenate([found[: max(round(fraction * len(found)), 1)] for found in classes]))


@functools.partial(jax.jit, static_argnames=("source", "batch_size", "sizes"))
def _draw(rows, seed, epoch, place, step, source, batch_size, sizes):
    key = random.key(seed)
    shuffle, change = random.fold_in(random.fold_in(key, 0), epoch), random.fold_in(random.fold_in(key, 1), step)
    examples = len(rows["label"])
    order = random.permutation(shuffle, examples)
    taken = order[(place * batch_size + jnp.arange(batch_size)) % examples]
    drawn = jax.tree.map(lambda array: array[taken], rows)
    return source.batch(drawn, jnp.ones(batch_size, bool), change, **dict(sizes))


@functools.partial(jax.jit, static_argnames=("source", "batch_size", "sizes"))
def _take(rows, start, source, batch_size, sizes):
    examples = len(rows["label"])
    index = start + jnp.arange(batch_size)
    drawn = jax.tree.map(lambda array: array[jnp.minimum(index, examples - 1)], rows)
    return source.batch(drawn, index < examples, None, **dict(sizes))
