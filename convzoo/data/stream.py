"""Batches of a set that is too large to hold: the same face as ``pipeline.Batches``, read while the last step runs.

Order follows from seed and epoch, augmentation from seed and step, so ``at(step)`` is a pure function here too.
"""

import functools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import random

from convzoo.data.pictures import Examples, Pictures

WORKERS = 4


class Streamed:
    """A split to be drawn from by step (``at``) or run through (``in_order``); see ``pipeline.Batches``."""

    sizes: tuple[tuple[str, int], ...] = ()

    def __init__(self, source: Pictures, found: Examples, batch_size: int, seed: int, kept: np.ndarray | None = None):
        self.source, self.found, self.batch_size, self.seed = source, found, batch_size, seed
        self.kept = np.arange(len(found.labels)) if kept is None else kept
        self.readers = ThreadPoolExecutor(WORKERS, "reading")
        self.ahead = ThreadPoolExecutor(1, "ahead")
        self.next: tuple[int, Future] | None = None

    @property
    def examples(self) -> int:
        return len(self.kept)

    @property
    def epoch_steps(self) -> int:
        """Batches in an epoch: whole ones, but at least one."""
        return max(self.examples // self.batch_size, 1)

    @property
    def example(self) -> dict[str, Any]:
        """One batch, to read shapes and dtypes from."""
        return self.at(0)

    def at(self, step: int) -> dict[str, Any]:
        """The batch of step ``step``; the one after it is read meanwhile."""
        step = int(step)
        future = self.next[1] if self.next and self.next[0] == step else self.ahead.submit(self.rows, self.drawn(step))
        rows = future.result()
        self.next = step + 1, self.ahead.submit(self.rows, self.drawn(step + 1))
        key = random.fold_in(random.fold_in(random.key(self.seed), 1), step)
        return made(self.source, rows, jnp.ones(self.batch_size, bool), key)

    def in_order(self) -> Iterator[dict[str, Any]]:
        """Every example once, in order, not augmented; the last batch is filled up with rows whose mask is False."""
        for start in range(0, self.examples, self.batch_size):
            index = start + np.arange(self.batch_size)
            rows = self.rows(self.kept[np.minimum(index, self.examples - 1)])
            yield made(self.source, rows, index < self.examples, None)

    def drawn(self, step: int) -> np.ndarray:
        """Which examples step ``step`` takes."""
        epoch, place = divmod(step, self.epoch_steps)
        return self.kept[
            order(self.seed, epoch, self.examples)[
                (place * self.batch_size + np.arange(self.batch_size)) % self.examples
            ]
        ]

    def rows(self, index: np.ndarray) -> dict[str, np.ndarray]:
        pictures = self.readers.map(self.found.picture, index.tolist())
        return {"input": np.stack(list(pictures)), "label": self.found.labels[index]}


@functools.lru_cache(maxsize=4)
def order(seed: int, epoch: int, examples: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(examples)


@functools.partial(jax.jit, static_argnames="source")
def made(source: Pictures, rows: Any, mask: Any, key: Any) -> dict[str, Any]:
    return source.batch(rows, mask, key)
