"""Speech Commands from a small folder in the archive's layout."""

from pathlib import Path

import numpy as np
import pytest

from convzoo import data
from convzoo.data import home
from convzoo.data.builders.speech_commands35 import WORDS, listed
from tests.data.outside import write_commands


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CONVZOO_DATA", str(tmp_path))
    return write_commands(tmp_path / "speech_commands", WORDS)


def test_the_lists_are_the_splits(archive):
    source = data.Commands()
    assert source.classes == WORDS
    assert len(WORDS) == 35
    stored = {split: source._stored(split) for split in source.splits}
    assert {split: len(examples) for split, examples in stored.items()} == {"train": 70, "validation": 35, "test": 35}
    speakers = {"train": {"00000002", "00000003"}, "validation": {"00000000"}, "test": {"00000001"}}
    for split, examples in stored.items():
        assert {each["speaker"].decode() for each in examples} == speakers[split]
        assert sorted({int(each["label"]) for each in examples}) == list(range(35))
    assert {len(each["audio"]) <= 16_000 for each in stored["train"]} == {True}
    batch = data.load(source, batch_size=8).at(0)
    assert batch["input"].shape == (8, 100, 64)
    assert np.isfinite(batch["input"]).all()
    assert (home.folder() / "speech_commands35").is_dir()


def test_a_folder_that_is_not_the_archives_is_told_at_once(archive):
    (archive / "testing_list.txt").write_text("bed/none_nohash_0.wav\nup/none_nohash_1.wav\n")
    (archive / "banana").mkdir()
    (archive / "banana" / "a_nohash_0.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 listed files are not there \(bed/none_nohash_0.wav.*unknown words banana"):
        listed(archive)
    (archive / "validation_list.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"validation_list.txt not found: unpack speech_commands_v0.02.tar.gz"):
        listed(archive)
