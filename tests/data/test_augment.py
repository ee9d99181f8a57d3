"""Augmentation: shapes stay, the key decides, and nothing random does nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import data
from convzoo.data import augment

SOURCES = [data.Seen(), data.Drawn(), data.Heard(), data.Heard("wave")]


def rows_of(source: data.Source, count: int = 24) -> tuple[dict, dict]:
    arrays = source.arrays("test")
    return {name: jnp.asarray(array[:count]) for name, array in arrays.items()}, dict(source.sizes(arrays, count))


def equal(one, other) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(one), jax.tree.leaves(other)))


@pytest.mark.parametrize("source", SOURCES, ids=["seen", "drawn", "log_mel", "wave"])
def test_the_key_alone_decides_and_shapes_stay(source):
    rows, sizes = rows_of(source)
    batch = jax.jit(lambda key: source.batch(rows, jnp.ones(24, bool), key, **sizes))
    plain = source.batch(rows, jnp.ones(24, bool), None, **sizes)
    one, again, other = (batch(jax.random.key(seed)) for seed in (1, 1, 2))
    assert equal(one, again)
    assert not equal(one, other)
    assert not equal(one, plain)
    for name in ("label", "mask"):
        np.testing.assert_array_equal(one[name], plain[name])
    assert jax.tree.map(jnp.shape, one) == jax.tree.map(jnp.shape, plain)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(one))
    if "length" in one:
        size = one["input"].shape[1]
        assert np.all((one["length"] >= 1) & (one["length"] <= size))
        after = np.arange(size) >= np.asarray(one["length"])[:, None]
        assert not np.asarray(one["input"])[after].any(), "silence after the length"


@pytest.mark.parametrize("source", SOURCES, ids=["seen", "drawn", "log_mel", "wave"])
def test_augment_can_be_turned_off(source):
    rows, sizes = rows_of(source)
    off = type(source)(**vars(source) | {"augment": False})
    batches = [off.batch(rows, jnp.ones(24, bool), key, **sizes) for key in (None, jax.random.key(1))]
    assert equal(*batches)


def test_graphs_move_and_their_edges_stay():
    source = data.Drawn()
    rows, sizes = rows_of(source)
    plain, moved = (source.batch(rows, jnp.ones(24, bool), key, **sizes)["input"] for key in (None, jax.random.key(1)))
    assert equal(plain[1:], moved[1:])
    np.testing.assert_array_equal(plain.nodes[:, 0], moved.nodes[:, 0])
    change = np.abs(plain.nodes - moved.nodes)[:, 1:].max()
    assert 0.05 < change < 2 / 7 + 0.1 * np.sqrt(2) * 1.3 + np.deg2rad(12) * np.sqrt(2) * 1.2


def test_pictures_keep_their_ink():
    x, _ = rows_of(data.Seen(), 200)
    moved = augment.pictures(x["input"], jax.random.key(0))
    assert moved.min() >= 0
    assert moved.max() <= 1 + 1e-5
    np.testing.assert_allclose(moved.sum() / x["input"].sum(), 1, atol=0.1)


def test_the_smallest_change_is_none():
    rows, _ = rows_of(data.Heard())
    none = {"speed": 0, "shift": 0, "warp": 0, "tilt": 0, "frames": 0, "bands": 0}
    x, length = augment.log_mel(rows["input"], rows["length"], jax.random.key(0), **none)
    np.testing.assert_allclose(x, rows["input"], atol=1e-5)
    np.testing.assert_array_equal(length, rows["length"])
    rows, _ = rows_of(data.Heard("wave"))
    none = {"speed": 0, "shift": 0, "decibels": 0, "tilt": 0, "noise": 0}
    x, length = augment.wave(rows["input"], rows["length"], jax.random.key(0), **none)
    np.testing.assert_allclose(x, rows["input"], atol=1e-5)
    np.testing.assert_array_equal(length, rows["length"])


def test_hats_interpolate():
    x = jnp.array([1.0, 3.0, 2.0])
    place = jnp.array([0.0, 0.5, 1.75, 2.5, -1.0, 9.0])
    np.testing.assert_allclose(augment.hat(place, 3) @ x, [1, 2, 2.25, 1, 0, 0], rtol=1e-6)


def test_stretches_hide_at_most_so_much():
    span = jnp.array([[50], [10], [3]] * 50)
    keep = augment.stretches(jax.random.key(0), span, 6, 50)
    hidden = np.asarray((~keep).sum(axis=1))
    assert hidden.max() <= 6
    assert hidden.max() > 2
    for row in np.asarray(~keep):
        inside = np.flatnonzero(row)
        assert len(inside) == 0 or inside[-1] - inside[0] == len(inside) - 1, "one stretch"
