"""Transcription by CTC (Graves et al. 2006): logits [batch, time, words + 1], the blank the last, against strings of
words [batch, most], -1 after the last; masked examples, and places after a sound's end, count for nothing.

    greedy(logits, length)                the likeliest word at each place, repeats and blanks taken out
    beam(log_probabilities, width=8)      the likeliest strings, each over all of its ways in time
"""

import heapq
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from convzoo.tasks.classification import mean

Batch = dict[str, Any]
NONE = -1


@dataclass(frozen=True)
class Transcription:
    """Connectionist temporal classification. A network's ``num_classes`` is the number of words and one more."""

    def loss(self, logits: Float[Array, "batch time classes"], batch: Batch) -> Float[Array, ""]:
        """The mean over the real strings of minus the log-probability of each."""
        return mean(ctc(logits, lengths(logits, batch), batch["label"]), batch["mask"])

    def metrics(self, logits: Float[Array, "batch time classes"], batch: Batch) -> dict[str, Array]:
        """What is logged of a training step: the share of strings that are right by greedy decoding."""
        return {"accuracy": mean(self.score(logits, batch)["accuracy"], batch["mask"])}

    def score(self, logits: Float[Array, "batch time classes"], batch: Batch) -> dict[str, Array]:
        """One figure a string, [batch]: ``errors`` over ``words`` is the word error rate."""
        length = lengths(logits, batch)
        errors = distance(greedy(logits, length), batch["label"])
        return {
            "accuracy": errors == 0,
            "loss": ctc(logits, length, batch["label"]),
            "errors": errors,
            "words": (batch["label"] != NONE).sum(axis=1),
        }

    def predict(self, logits: Float[Array, "batch time classes"]) -> Float[Array, "batch time classes"]:
        """Log-probabilities."""
        return jax.nn.log_softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))


def lengths(logits: Array, batch: Batch) -> Int[Array, " batch"]:
    """How many places of the output are of each sound."""
    full = batch["input"].shape[1]
    return (
        -(-batch["length"] * logits.shape[1] // full) if "length" in batch else jnp.full(len(logits), logits.shape[1])
    )


def ctc(
    logits: Float[Array, "batch time classes"], length: Int[Array, " batch"], label: Int[Array, "batch most"]
) -> Float[Array, " batch"]:
    """Minus the log-probability of each string, summed over all of its ways in time."""
    wide = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    after = (jnp.arange(wide.shape[1]) >= length[:, None]).astype(wide.dtype)
    missing = (label == NONE).astype(wide.dtype)
    return optax.ctc_loss(wide, after, jnp.maximum(label, 0), missing, blank_id=wide.shape[2] - 1)


def greedy(logits: Float[Array, "batch time classes"], length: Int[Array, " batch"]) -> Int[Array, "batch time"]:
    """The words, -1 after the last."""
    best = logits.argmax(-1)
    before = jnp.pad(best, ((0, 0), (1, 0)), constant_values=NONE)[:, :-1]
    inside = jnp.arange(best.shape[1]) < length[:, None]
    kept = (best != logits.shape[-1] - 1) & (best != before) & inside
    order = jnp.argsort(~kept, axis=1, stable=True)
    return jnp.where(jnp.sort(~kept, axis=1), NONE, jnp.take_along_axis(best, order, axis=1))


def distance(found: Int[Array, "batch places"], label: Int[Array, "batch most"]) -> Int[Array, " batch"]:
    """Words to put in, leave out or change to make one string of the other (Levenshtein); -1 is no word."""

    def each(found: Array, label: Array) -> Array:
        place = jnp.arange(len(label) + 1)

        def row(before: Array, word: Array) -> tuple[Array, None]:
            changed = jnp.append(before[:1] + 1, jnp.minimum(before[1:] + 1, before[:-1] + (label != word)))
            after = jax.lax.cummin(changed - place) + place
            return jnp.where(word == NONE, before, after), None

        last, _ = jax.lax.scan(row, place, found)
        return last[(label != NONE).sum()]

    return jax.vmap(each)(found, label)


def beam(log_probabilities: Float[np.ndarray, "time classes"], width: int = 8) -> list[tuple[tuple[int, ...], float]]:
    """The likeliest strings with their log-probabilities, the likeliest first: prefix beam search (Hannun et al. 2014,
    arXiv:1408.2873) without a language model. Exact if ``width`` is at least the number of strings.

    Raises:
      ValueError: ``width`` is not positive.
    """
    if width < 1:
        raise ValueError(f"width={width} must be at least 1")
    blank = log_probabilities.shape[1] - 1
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -np.inf)}  # ending in a blank, in a word
    for row in log_probabilities.astype(np.float64):
        after: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-np.inf, -np.inf])

        def add(string: tuple[int, ...], ending: int, value: float, after: Any = after) -> None:
            if value > -np.inf:
                after[string][ending] = np.logaddexp(after[string][ending], value)

        for string, (still, spoken) in beams.items():
            either = np.logaddexp(still, spoken)
            add(string, 0, either + row[blank])
            for word in range(blank):
                again = bool(string) and string[-1] == word
                add((*string, word), 1, (still if again else either) + row[word])
                if again:
                    add(string, 1, spoken + row[word])
        beams = dict(heapq.nlargest(width, ((k, (a, b)) for k, (a, b) in after.items()), key=lambda i: total(i[1])))
    return sorted(((string, total(pair)) for string, pair in beams.items()), key=lambda found: -found[1])


def total(pair: tuple[float, float]) -> float:
    return float(np.logaddexp(*pair))
