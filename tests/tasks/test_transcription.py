"""CTC: the loss against every way in time counted out, decoding against it, error rates against jiwer's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import tasks
from convzoo.tasks import transcription
from convzoo.tasks.transcription import NONE


def collapsed(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(word for word, _ in itertools.groupby(path) if word != blank)


def counted(chances: np.ndarray) -> dict[tuple[int, ...], float]:
    """{string: log-probability} over every way in time."""
    found: dict[tuple[int, ...], float] = {}
    places, classes = chances.shape
    for path in itertools.product(range(classes), repeat=places):
        string = collapsed(path, classes - 1)
        value = sum(chances[place, word] for place, word in enumerate(path))
        found[string] = np.logaddexp(found.get(string, -np.inf), value)
    return found


def chances(seed: int, places: int = 5, classes: int = 4) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(places, classes)) * 2
    return np.asarray(jax.nn.log_softmax(jnp.asarray(logits, jnp.float32)), np.float64)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_sums_over_every_way(seed):
    row, every = chances(seed), counted(chances(seed))
    strings = [(), (0,), (1, 1), (2, 0, 1)]
    label = np.full((len(strings), 3), NONE)
    for place, string in enumerate(strings):
        label[place, : len(string)] = string
    logits = jnp.asarray(np.repeat(row[None], len(strings), axis=0), jnp.float32)
    batch = {
        "input": jnp.zeros((4, 5, 1)),
        "length": jnp.full(4, 5),
        "label": jnp.asarray(label),
        "mask": jnp.ones(4, bool),
    }
    expected = [-every[string] for string in strings]
    np.testing.assert_allclose(tasks.Transcription().score(logits, batch)["loss"], expected, rtol=1e-4)
    assert float(tasks.Transcription().loss(logits, batch)) == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_every_string(seed):
    every = counted(chances(seed))
    found = dict(transcription.beam(chances(seed), width=10_000))
    assert found.keys() == every.keys()
    for string, value in every.items():
        assert found[string] == pytest.approx(value, abs=1e-9)
    best = max(every, key=lambda string: every[string])
    assert transcription.beam(chances(seed), width=10_000)[0][0] == best
    assert len(transcription.beam(chances(seed), width=2)) == 2


def test_greedy_takes_repeats_and_blanks_out():
    best = np.array([[0, 0, 3, 0, 1, 1, 3, 2], [3, 3, 3, 3, 3, 3, 3, 3], [2, 2, 2, 3, 2, 0, 0, 0]])
    logits = jax.nn.one_hot(best, 4) * 5
    found = transcription.greedy(logits, jnp.array([8, 8, 5]))
    assert [[w for w in row if w != NONE] for row in found.tolist()] == [[0, 0, 1, 2], [], [2, 2]]
    for row, path, length in zip(found.tolist(), best.tolist(), (8, 8, 5), strict=True):
        assert tuple(w for w in row if w != NONE) == collapsed(tuple(path[:length]), 3)


def test_error_rates_are_jiwers():
    jiwer = pytest.importorskip("jiwer", reason="jiwer is not installed (the extra `dev`)")
    generator = np.random.default_rng(0)
    found, label = np.full((40, 9), NONE), np.full((40, 7), NONE)
    for array, least in ((found, 0), (label, 1)):
        for row in array:
            length = generator.integers(least, len(row) + 1)
            row[:length] = generator.integers(0, 3, length)
    errors = np.asarray(transcription.distance(jnp.asarray(found), jnp.asarray(label)))
    said, told = ([" ".join(map(str, row[row != NONE].tolist())) for row in array] for array in (label, found))
    counts = [jiwer.process_words(one, other) for one, other in zip(said, told, strict=True)]
    assert errors.tolist() == [each.substitutions + each.deletions + each.insertions for each in counts]
    assert errors.sum() / (label != NONE).sum() == pytest.approx(jiwer.wer(said, told))


def test_padding_and_masked_strings_count_for_nothing():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4)), jnp.float32)
    batch = {
        "input": jnp.zeros((2, 12, 1)),
        "length": jnp.array([7, 12]),
        "label": jnp.array([[1, 2], [0, NONE]]),
        "mask": jnp.array([True, False]),
    }
    task = tasks.Transcription()
    other = logits.at[0, 4:].set(9.0).at[1].set(-3.0)
    assert float(task.loss(logits, batch)) == pytest.approx(float(task.loss(other, batch)))
    assert transcription.lengths(logits, batch).tolist() == [4, 6]
    assert float(task.metrics(logits, batch)["accuracy"]) in (0.0, 1.0)


def test_wrong_width():
    with pytest.raises(ValueError, match="width=0 must be at least 1"):
        transcription.beam(chances(0), width=0)
