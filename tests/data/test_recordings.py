"""Files of every form, rate and number of channels as one; what cannot be read is named."""

import numpy as np
import pytest

from convzoo.data import recordings

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (the extra `audio`)")
soxr = pytest.importorskip("soxr", reason="soxr is not installed (the extra `audio`)")
RATE = 16_000


def tone(rate: int, seconds: float = 0.7) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("form", ["wav", "flac", "ogg", "mp3"])
def test_every_form_is_read(form, rate, channels, tmp_path):
    path = tmp_path / f"a.{form}"
    samples = np.repeat(tone(rate)[:, None], channels, axis=1)
    samples[:, -1] *= 2 - (channels == 1)
    soundfile.write(path, samples, rate)
    about = recordings.about(path)
    assert (about.rate, about.channels) == (rate, channels)
    assert about.seconds == pytest.approx(0.7, abs=0.06)
    found = recordings.read(path, RATE)
    assert found.dtype == np.float32
    inner = slice(2000, 9000)
    expected = tone(RATE) * (1 if channels == 1 else 1.5)
    tolerance = {"wav": 2e-3, "flac": 2e-3}.get(form, 0.05)
    if form != "mp3":  # which begins a little later
        np.testing.assert_allclose(found[inner], expected[inner], atol=tolerance)
    assert np.abs(found[inner]).max() == pytest.approx(expected.max(), rel=0.08)


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_blocks_are_the_whole(rate, tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "BLOCK", 1000)
    path = tmp_path / "a.wav"
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 30_001).astype(np.float32)
    soundfile.write(path, samples, rate, subtype="FLOAT")
    blocks = list(recordings.blocks(path, RATE))
    assert max(map(len, blocks)) < 8000
    expected = soxr.resample(samples, rate, RATE)
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=1e-4)


@pytest.mark.parametrize("size", [1, 7, 10, 100])
@pytest.mark.parametrize("hop", [0, 1, 4])
def test_slices_cover_everything_once(size, hop):
    hop = min(hop, size)
    samples = np.arange(53, dtype=np.float32)
    found = list(recordings.sliced([samples[:5], samples[5:5], samples[5:40], samples[40:]], size, hop))
    assert [last for *_, last in found] == [False] * (len(found) - 1) + [True]
    for start, piece, last in found:
        assert len(piece) == size or last
        np.testing.assert_array_equal(piece, samples[start : start + size])
    assert [start for start, *_ in found] == [i * (hop or size) for i in range(len(found))]
    assert found[-1][0] + len(found[-1][1]) == 53


def test_nothing_is_one_empty_slice():
    ((start, piece, last),) = recordings.sliced([], 10)
    assert (start, len(piece), last) == (0, 0, True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "a folder, not a file"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
        (lambda path: path.write_text("I am not a sound, whatever my name says"), "no sound that is known here"),
        (lambda path: soundfile.write(path, np.zeros((0, 1)), RATE), "lasts no time"),
        (
            lambda path: soundfile.write(path, np.r_[np.zeros(800), np.nan, 0.0], RATE, subtype="FLOAT"),
            "sample at 0.050 s is not a finite number",
        ),
    ],
    ids=["missing", "folder", "empty", "text", "no samples", "not a number"],
)
def test_what_cannot_be_read_is_named(make, message, tmp_path):
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(recordings.Unreadable, match=message) as error:
        recordings.read(path, RATE)
    assert str(path) in str(error.value)


def test_sounds_in_a_folder(tmp_path):
    for name in ("b.wav", "a.FLAC", "notes.txt", "deeper/c.mp3"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    assert [path.name for path in recordings.in_folder(tmp_path)] == ["a.FLAC", "b.wav", "c.mp3"]
