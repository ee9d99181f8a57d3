"""People's recordings: splits, speakers, features; and their strings, whose labels are what was joined."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import data
from convzoo.data import augment, sounds, strings
from tests.data.outside import write_recordings
from tests.once import once


@pytest.fixture(scope="session")
def recorded(tmp_path_factory) -> str:
    return str(once(tmp_path_factory, "recorded", write_recordings))


def test_the_official_split(recorded):
    source = data.Recorded(folder=recorded)
    stored = {split: source._stored(split) for split in source.splits}
    assert {each["index"] for each in stored["train"]} == {10, 11}
    assert {each["index"] for each in stored["test"]} == {0, 1}
    assert len(stored["train"]) == len(stored["test"]) == 10 * 6 * 2


@pytest.mark.parametrize("speaker", sounds.SPEAKERS)
def test_a_speaker_left_out_is_the_whole_test(speaker, recorded):
    source = data.Recorded(folder=recorded, left_out=speaker)
    assert {each["speaker"] for each in source._stored("test")} == {speaker}
    assert {each["speaker"] for each in source._stored("train")} == set(sounds.SPEAKERS) - {speaker}
    assert source.show("test", 0)["voice"] == speaker


@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("features", sounds.FEATURES)
def test_batches(features, channel, recorded):
    source = data.Recorded(features, folder=recorded, channel=channel)
    batches = data.load(source, batch_size=16, seed=1)
    shape = {"log_mel": (16, 100, 40), "picture": (16, 100, 40, 1), "wave": (16, 8000, 1)}[features]
    plain = next(data.load(source, "test", batch_size=16).in_order())
    for batch in (batches.at(0), batches.at(5), plain):
        assert batch["input"].shape == shape
        after = np.arange(shape[1]) >= np.asarray(batch["length"])[:, None]
        assert not np.asarray(batch["input"])[after].any(), "silence after the length"
        assert np.isfinite(batch["input"]).all()
    other = data.load(data.Recorded(features, folder=recorded), "test", batch_size=16)
    if features == "wave":  # without a key the channel is as it was
        np.testing.assert_allclose(plain["input"], next(other.in_order())["input"], atol=1e-5)


def test_noise_has_the_stated_level():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(32, 4000, 1)), jnp.float32)
    length = jnp.full(32, 4000)
    still: dict[str, Any] = {"decibels": 0.0, "least": 10.0, "most": 10.0}
    y = jax.jit(lambda key: augment.channel(x, length, key, **still))(jax.random.key(0))[..., 0]
    x = x[..., 0]
    share = (x * y).sum(1) / jnp.sqrt(jnp.square(x).sum(1) * jnp.square(y).sum(1))
    ratio = 10 * jnp.log10(share**2 / (1 - share**2))
    np.testing.assert_allclose(ratio, 10, atol=1)


def test_what_is_wrong_is_named(recorded, tmp_path):
    with pytest.raises(ValueError, match="left_out='nobody' is no speaker; there are george, jackson"):
        data.Recorded(left_out="nobody")
    with pytest.raises(FileNotFoundError, match=r"holds no DIGIT_SPEAKER_INDEX\.wav; give the folder"):
        data.Recorded(folder=str(tmp_path)).arrays("train")
    with pytest.raises(ValueError, match="voices='all' is unknown; known are recorded, heard, both"):
        data.Strings("all")


def test_the_real_recordings(test_data):
    source = data.Recorded(folder=str(test_data / "fsdd"))
    assert [len(source.arrays(split)["label"]) for split in ("train", "test")] == [2400, 300]


# --- strings --------------------------------------------------------------------------------------------------------


def test_a_string_is_what_its_label_says(recorded):
    """Every digit is its own tone: the loudest frequency between start and end tells which was joined there."""
    rows = data.Strings("recorded", folder=recorded).arrays("train")
    bucket = strings.BUCKETS[2]
    waves, length, label, places = strings.joined(jax.device_put(rows), jax.random.key(3), 8, bucket)
    told = 0
    for wave, end, digits, spans in zip(*map(np.asarray, (waves, length, label, places)), strict=True):
        outside = np.ones(len(wave), bool)
        for digit, (first, last) in zip(digits, spans, strict=True):
            if digit == strings.NONE:
                continue
            spectrum = np.abs(np.fft.rfft(wave[first:last]))
            hertz = spectrum.argmax() * 8000 / (last - first)
            assert round((hertz - 300) / 150) == digit
            outside[first:last] = False
            told += 1
        assert not wave[outside].any(), "gaps are silent"
        assert spans[digits != strings.NONE].max() <= end <= bucket.samples
    assert told >= 8 * 4


def test_batches_of_strings_have_three_shapes(recorded):
    batches = data.load(data.Strings("recorded", folder=recorded, tested=10), batch_size=8, seed=0)
    shapes = {batches.at(step)["input"].shape for step in range(6)}
    assert shapes == {(8, bucket.samples // 80, 40) for bucket in strings.BUCKETS}
    one, again, other = batches.at(4), batches.at(4), batches.at(7)
    assert jnp.array_equal(one["input"], again["input"])
    assert not jnp.array_equal(one["input"], other["input"])
    with jax.no_tracing():
        batches.at(9)
        batches.at(10)
        batches.at(11)


def test_the_test_is_always_the_same(recorded):
    loaded = data.load(data.Strings("recorded", folder=recorded, tested=10), "test", batch_size=8)
    first, second = list(loaded.in_order()), list(loaded.in_order())
    assert sum(int(batch["mask"].sum()) for batch in first) == 10 * len(strings.BUCKETS)
    for one, other in zip(first, second, strict=True):
        assert jnp.array_equal(one["input"], other["input"])
    counts = np.concatenate([np.sum(np.asarray(b["label"])[np.asarray(b["mask"])] >= 0, axis=1) for b in first])
    assert set(counts) <= set(range(8))
    assert len(set(counts)) > 4


def test_recordings_can_be_shown(recorded):
    assert Path(recorded).is_dir()
    assert data.Strings(folder=recorded).show("test", 0)["rate"] == 8000
