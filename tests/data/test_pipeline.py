"""Batches: a pure function of seed and step, every example in its turn, padding told."""

import hashlib
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from convzoo import data
from convzoo.data.pipeline import share

FINGERPRINT = """
import hashlib, jax
from convzoo import data
batches = data.load(data.{source!r}, batch_size=32, seed=5)
leaves = jax.tree.leaves(jax.device_get(batches.at(57)))
print(hashlib.sha256(b"".join(leaf.tobytes() for leaf in leaves)).hexdigest())
"""


def equal(one, other) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


@pytest.mark.parametrize("source", [data.Seen(), data.Drawn()], ids=["seen", "drawn"])
def test_a_batch_follows_from_seed_and_step(source):
    batches, again = (data.load(source, batch_size=32, seed=5) for _ in range(2))
    assert equal(batches.at(57), again.at(57))
    assert not equal(batches.at(57), batches.at(58))
    assert not equal(batches.at(57), data.load(source, batch_size=32, seed=6).at(57))
    here = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(batches.at(57)))
    code = FINGERPRINT.format(source=source)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest(), "another process draws the same"


def test_an_epoch_shows_every_example_once_and_the_next_in_another_order():
    source = data.Seen(augment=False)
    batches = data.load(source, "test", batch_size=40, seed=1)
    assert (batches.examples, batches.epoch_steps) == (360, 9)

    def epoch(number):
        return [np.asarray(batches.at(9 * number + place)["input"]).reshape(40, -1) for place in range(9)]

    first, second = np.concatenate(epoch(0)), np.concatenate(epoch(1))
    every = source.arrays("test")["input"].reshape(360, -1)
    assert not np.array_equal(first, second)
    assert sorted(first.tolist()) == sorted(second.tolist()) == sorted(every.tolist())


def test_fewer_examples_than_a_batch_are_repeated():
    source = data.Drawn(fraction=0.01)
    batches = data.load(source, batch_size=64, seed=0)
    assert batches.examples < 20
    assert batches.epoch_steps == 1
    batch = batches.at(3)
    assert np.asarray(batch["mask"]).sum() == 64
    counts = np.bincount(np.asarray(batch["label"])[:64], minlength=10)
    assert counts.min() >= 64 // batches.examples
    graphs = batch["input"]
    assert int(graphs.n_node[-1]) >= 1
    assert int(graphs.n_edge[-1]) >= 0


@pytest.mark.parametrize(("batch_size", "count"), [(100, 4), (360, 1), (500, 1)])
@pytest.mark.parametrize("source", [data.Seen(), data.Drawn()], ids=["seen", "drawn"])
def test_in_order_shows_every_example_once_and_masks_the_rest(source, batch_size, count):
    batches = list(data.load(source, "test", batch_size=batch_size).in_order())
    assert len(batches) == count
    assert len({tuple(leaf.shape for leaf in jax.tree.leaves(batch)) for batch in batches}) == 1
    masks = np.concatenate([np.asarray(batch["mask"])[:batch_size] for batch in batches])
    assert masks[:360].all()
    assert not masks[360:].any()
    labels = np.concatenate([np.asarray(batch["label"])[:batch_size] for batch in batches])
    np.testing.assert_array_equal(labels[:360], source.arrays("test")["label"])
    if isinstance(source, data.Drawn):
        counts = np.concatenate([np.asarray(batch["input"].n_node)[:-1] for batch in batches])
        np.testing.assert_array_equal(counts[:360], source.arrays("test")["n_node"])
        assert not counts[360:].any(), "a masked graph has no nodes"
    else:
        shown = np.concatenate([batch["input"] for batch in batches])[:360]
        np.testing.assert_array_equal(shown, source.arrays("test")["input"])


@pytest.mark.parametrize("fraction", [0.001, 0.01, 0.05, 0.2])
def test_a_fraction_is_balanced_and_nested(fraction):
    labels = data.Spelled().arrays("train")["label"]
    kept, more = share(labels, fraction, 0), share(labels, 2 * fraction, 0)
    counts = np.bincount(labels[kept], minlength=10)
    np.testing.assert_array_equal(counts, [max(round(fraction * count), 1) for count in np.bincount(labels)])
    assert set(kept) < set(more)
    assert len(set(kept)) == len(kept)
    assert not np.array_equal(kept, share(labels, fraction, 1))


def test_a_fraction_cuts_the_training_split_alone():
    assert data.load(data.Seen(fraction=0.2), batch_size=8).examples == pytest.approx(287, abs=5)
    assert data.load(data.Seen(fraction=0.2), "test", batch_size=8).examples == 360


def test_a_batch_size_must_be_positive():
    with pytest.raises(ValueError, match="batch_size=0 must be positive"):
        data.load(data.Seen(), batch_size=0)
