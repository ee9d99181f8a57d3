"""Classification against optax and against sums written out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from convzoo.tasks import Classification

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(7, 5)) * 3, jnp.float32)
LABELS = jnp.asarray([0, 1, 2, 3, 4, 0, 1], jnp.int32)
MASK = jnp.asarray([True, True, False, True, True, False, True])
BATCH = {"label": LABELS, "mask": MASK}
REAL = np.flatnonzero(MASK)


def log_softmax(logits) -> np.ndarray:
    logits = np.asarray(logits, np.float64)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def test_loss_without_smoothing_is_optaxs():
    expected = optax.softmax_cross_entropy_with_integer_labels(LOGITS[REAL], LABELS[REAL]).mean()
    np.testing.assert_allclose(Classification().loss(LOGITS, BATCH), expected, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_loss_is_the_sum_written_out(smoothing):
    target = np.eye(5)[LABELS] * (1 - smoothing) + smoothing / 5
    expected = -(target * log_softmax(LOGITS)).sum(-1)[REAL].mean()
    np.testing.assert_allclose(Classification(label_smoothing=smoothing).loss(LOGITS, BATCH), expected, rtol=1e-6)


def test_accuracy_is_that_of_the_real_examples():
    expected = (np.argmax(LOGITS, -1) == LABELS)[REAL].mean()
    assert 0 < expected < 1
    np.testing.assert_allclose(Classification().metrics(LOGITS, BATCH)["accuracy"], expected, rtol=1e-6)


def test_scores_are_one_figure_an_example():
    scores = Classification(label_smoothing=0.3).score(LOGITS, BATCH)
    assert {name: values.shape for name, values in scores.items()} == {"accuracy": (7,), "loss": (7,)}
    np.testing.assert_array_equal(scores["accuracy"], np.argmax(LOGITS, -1) == LABELS)
    np.testing.assert_allclose(scores["loss"], -log_softmax(LOGITS)[np.arange(7), LABELS], rtol=1e-5)


def test_predictions_are_probabilities():
    np.testing.assert_allclose(Classification().predict(LOGITS), np.exp(log_softmax(LOGITS)), rtol=1e-5)


@pytest.mark.parametrize("garbage", [1e30, jnp.nan, jnp.inf])
def test_masked_examples_count_for_nothing(garbage):
    task = Classification(label_smoothing=0.1)
    filled = jnp.where(MASK[:, None], LOGITS, garbage)
    labels = jnp.where(MASK, LABELS, 99)
    assert task.loss(filled, BATCH | {"label": labels}) == task.loss(LOGITS, BATCH)
    assert task.metrics(filled, BATCH) == task.metrics(LOGITS, BATCH)
    grads = jax.grad(task.loss)(LOGITS, BATCH)
    np.testing.assert_array_equal(grads[~MASK], 0)


def test_nothing_real_is_no_nan():
    nothing = BATCH | {"mask": jnp.zeros(7, bool)}
    assert Classification().loss(LOGITS, nothing) == 0
    assert Classification().metrics(LOGITS, nothing)["accuracy"] == 0


def test_bfloat16_logits_are_summed_in_float32():
    task, low = Classification(label_smoothing=0.1), LOGITS.astype(jnp.bfloat16)
    assert task.loss(low, BATCH).dtype == jnp.float32
    assert task.loss(low, BATCH) == task.loss(low.astype(jnp.float32), BATCH)
    assert task.predict(low).dtype == task.score(low, BATCH)["loss"].dtype == jnp.float32


@pytest.mark.usefixtures("x64")
def test_float64_stays():
    wide = jnp.asarray(np.asarray(LOGITS), jnp.float64)
    assert Classification().loss(wide, BATCH).dtype == jnp.float64
    assert Classification().predict(wide).dtype == jnp.float64


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0])
def test_smoothing_out_of_range_is_told(smoothing):
    with pytest.raises(ValueError, match=rf"label_smoothing is {smoothing}; it must be in \[0, 1\)"):
        Classification(label_smoothing=smoothing)


def test_is_a_value():
    assert Classification(label_smoothing=0.1) == Classification(label_smoothing=0.1)
    assert len({Classification(), Classification(), Classification(label_smoothing=0.1)}) == 2
