"""Tagging against optax, sums written out and scikit-learn; a label that is not known does not count."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import average_precision_score

from convzoo.tasks import Tagging

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(7, 4)) * 3, jnp.float32)
LABELS = np.random.default_rng(1).integers(0, 2, (7, 4)).astype(np.float32)
LABELS[[0, 1, 4], [1, 1, 3]] = np.nan
MASK = jnp.asarray([True, True, False, True, True, False, True])
BATCH = {"label": jnp.asarray(LABELS), "mask": MASK}
KNOWN = ~np.isnan(LABELS) & np.asarray(MASK)[:, None]


def test_the_loss_is_the_mean_of_known_labels():
    expected = optax.sigmoid_binary_cross_entropy(np.asarray(LOGITS)[KNOWN], LABELS[KNOWN]).mean()
    np.testing.assert_allclose(Tagging().loss(LOGITS, BATCH), expected, rtol=1e-6)
    chance = Tagging().predict(LOGITS)
    np.testing.assert_allclose(chance, 1 / (1 + np.exp(-np.asarray(LOGITS, np.float64))), rtol=1e-5)
    right = (np.asarray(chance) > 0.5) == (LABELS == 1)
    np.testing.assert_allclose(Tagging().metrics(LOGITS, BATCH)["accuracy"], right[KNOWN].mean(), rtol=1e-6)
    scores = Tagging().score(LOGITS, BATCH)
    row = ~np.isnan(LABELS[0])
    np.testing.assert_allclose(scores["accuracy"][0], right[0, row].mean(), rtol=1e-6)


@pytest.mark.parametrize("garbage", [1e30, jnp.nan])
def test_what_is_masked_or_unknown_has_no_gradient(garbage):
    gradient = jax.grad(Tagging().loss)(LOGITS, BATCH)
    assert ((np.asarray(gradient) != 0) == KNOWN).all()
    filled = jnp.where(MASK[:, None], LOGITS, garbage)
    assert Tagging().loss(filled, BATCH) == Tagging().loss(LOGITS, BATCH)


def test_average_precision_is_scikit_learns():
    chance, labels = np.asarray(Tagging().predict(LOGITS)), LABELS.copy()
    labels[:, 2] = 0  # no positive: does not count
    expected = []
    for tag in (0, 1, 3):
        known = ~np.isnan(labels[:, tag])
        expected.append(average_precision_score(labels[known, tag], chance[known, tag]))
    assert Tagging().over_all(chance, labels)["average_precision"] == pytest.approx(np.mean(expected))
    assert np.isnan(Tagging().over_all(chance[:, 2:3], labels[:, 2:3])["average_precision"])
