"""Sets of spoken words: eSpeak NG's voices, people's recordings of the digits, Speech Commands' folders.

Sounds are 16-bit samples until they are features: log-mels, or the waveform itself.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from convzoo.core import audio
from convzoo.data import augment, home, recordings
from convzoo.data.sources import DIGITS, Source, _stored, _text, pad
from convzoo.extras import need

HOP, WINDOW, MELS = 80, 200, 40  # at 8 kHz: 10 ms, 25 ms
ROOM = 1e-2  # the energy that a quiet room has in every band: about 35 dB under the loudest of a word
# How synthetic voices are changed where people's are to be heard: as waves, and then as log-mels.
SPOKEN = {"speed": 0.15, "shift": 600, "decibels": 0, "tilt": 0, "noise": 0, "silence": 2_400}
PICTURED = {"speed": 0.3, "shift": 0, "bend": 0.5, "warp": 0.15, "tilt": 0}
FEATURES = ("log_mel", "picture", "wave")


@dataclass(frozen=True)
class Sounds(Source):
    """Words of at most ``longest`` samples. input float32 [batch, longest / HOP, 40] log-mel, [batch, longest / HOP,
    40, 1] the same as a picture, or [batch, longest, 1] waveform, zeros after ``length``.

    From a log-mel each band's mean over the sound is taken away; a waveform is scaled to a root mean square of 1. A
    picture is of sounds at one loudness, and what is quieter than a quiet room is hidden in it.

    Attributes:
      features: "log_mel", "picture" or "wave".
      augment: of each training example speed, start, timbre and more are changed.
      channel: before that, as through another microphone in another room: loudness by frequency, and noise. Of
        pictures more is changed, until a synthetic voice might be a person's (docs/hearing.md).
    """

    features: str = "log_mel"
    augment: bool = True
    channel: bool = False

    rate: ClassVar[int] = 8_000  # samples per second
    longest: ClassVar[int] = 8_000  # samples
    mels: ClassVar[int] = MELS

    def __post_init__(self):
        super().__post_init__()
        if self.features not in FEATURES:
            raise ValueError(f"features={self.features!r} is unknown; known are {', '.join(FEATURES)}")

    def _build(self, split):
        sounds = [np.asarray(example["audio"])[: self.longest] for example in self._stored(split)]
        samples = np.array([len(sound) for sound in sounds], np.int32)
        waves = pad(sounds, self.longest)
        if self._late:
            return {"input": waves, "length": samples}
        waves = waves / np.float32(32768)
        if self.features == "wave":
            level = np.sqrt(np.square(waves).sum(axis=1) / samples)
            return {"input": (waves / np.maximum(level, 1e-6)[:, None])[..., None], "length": samples}
        features = [log_mel(*piece, self.rate, self.mels) for piece in _pieces(waves, samples)]
        return {"input": np.concatenate(features)[: len(waves)], "length": frames(samples, self.rate)}

    @property
    def _late(self) -> bool:
        """Whether features are made batch by batch, from the sounds as they were recorded."""
        return self.channel or self.features == "picture"

    def batch(self, rows, mask, key=None):
        x, length = rows["input"], rows["length"]
        key = key if self.augment else None
        if self._late:
            x, length = self._features(x.astype(jnp.float32) / 32768, length, key)
        if key is not None:
            change = {"log_mel": augment.log_mel, "picture": augment.log_mel, "wave": augment.wave}[self.features]
            x, length = change(x, length, key, **(PICTURED if self.features == "picture" and self.channel else {}))
        x = x[..., None] if self.features == "picture" else x
        return {"input": x, "length": length, "label": rows["label"], "mask": mask}

    def _features(self, x: Array, length: Array, key: Array | None) -> tuple[Array, Array]:
        """Of waves; with a key, through another channel."""

        def levelled(x):
            return x / augment.loudness(x, jnp.arange(self.longest) < length[:, None])

        key = key if self.channel else None
        x = levelled(x)[..., None]
        if key is not None and self.features == "picture":
            x, length = augment.wave(x, length, jax.random.fold_in(key, 2), **SPOKEN)
        if key is not None:
            own = {"decibels": 6} if self.features == "picture" else {}
            x = augment.channel(x, length, jax.random.fold_in(key, 1), **own)
        if self.features == "wave":
            return x, length
        x = x[..., 0] / 8
        if self.features == "log_mel":
            return log_mel(x, length, self.rate, self.mels), frames(length, self.rate)
        x = energies(x, self.rate, self.mels)
        if key is not None:
            x = augment.energies(x, jax.random.fold_in(key, 3))
        return centred(jnp.log(x + ROOM), frames(length, self.rate)), frames(length, self.rate)

    def show(self, split, index):
        stored = self._stored(split)[index]
        told = {name: _text(stored[name]) for name in ("voice", "accent") if name in stored}
        return {"samples": (np.asarray(stored["audio"]) / 32768).round(4).tolist(), "rate": self.rate, **told}


def frames(samples: Any, rate: int = 8_000) -> Any:
    """How many frames of 10 ms so many samples have."""
    return -(-samples // (rate // 100))


@functools.partial(jax.jit, static_argnums=(2, 3))
def log_mel(waves: Array, samples: Array, rate: int = 8_000, mels: int = MELS) -> Array:
    """[batch, longest] -> [batch, frames, mels], 25 ms each, each band without its mean; zeros after each sound."""
    return centred(jnp.log(jnp.maximum(energies(waves, rate, mels), 1e-6)), frames(samples, rate))


def energies(waves: Array, rate: int, mels: int) -> Array:
    """Mel energies of frames of 25 ms, one every 10 ms."""
    hop, window = rate // 100, rate // 40
    n_fft = 2 ** (window - 1).bit_length()
    x = audio.mel_spectrogram(waves, rate=rate, n_fft=n_fft, window_length=window, hop=hop, n_mels=mels)
    return x[:, : waves.shape[1] // hop]  # without the frame centred on the end


def centred(x: Array, length: Array) -> Array:
    """Each band without its mean over the first ``length`` frames, and zeros after them."""
    inside = (jnp.arange(x.shape[1]) < length[:, None])[..., None]
    mean = jnp.sum(x * inside, axis=1, keepdims=True) / length[:, None, None]
    return (x - mean) * inside


def _pieces(waves: np.ndarray, samples: np.ndarray, size: int = 256):
    """Pieces of one shape, the last filled up, so that one trace does for all."""
    short = -len(waves) % size
    waves, samples = np.pad(waves, ((0, short), (0, 0))), np.pad(samples, (0, short), constant_values=1)
    return zip(waves.reshape(-1, size, waves.shape[1]), samples.reshape(-1, size), strict=True)


@dataclass(frozen=True)
class Heard(Sounds):
    """Digits spoken by eSpeak NG's voices; at most 0.8 s.

    Splits: "test" has voices that are not in "train", "test_accent" accents that are not, "test_both" neither.
    """

    name: ClassVar[str] = "digits_heard"
    splits: ClassVar[tuple[str, ...]] = ("train", "test", "test_accent", "test_both")
    longest: ClassVar[int] = 6_400


# --- the free spoken digit dataset ----------------------------------------------------------------------------------

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TESTED = 5  # of each speaker and digit, the first so many recordings are for the test


@dataclass(frozen=True)
class Recorded(Sounds):
    """Digits spoken by six people: the Free Spoken Digit Dataset (Z. Jackson and others, CC BY-SA 4.0); at most 1 s.

    ``folder`` holds its files, ``DIGIT_SPEAKER_INDEX.wav``; it is absolute, or found from the data folder.

    Splits: the official ones, "test" being index 0 to 4; with ``left_out``, all recordings of one speaker are the test
    and those of the others "train".
    """

    folder: str = "fsdd"
    left_out: str = ""

    name: ClassVar[str] = "digits_recorded"

    def __post_init__(self):
        super().__post_init__()
        if self.left_out and self.left_out not in SPEAKERS:
            raise ValueError(f"left_out={self.left_out!r} is no speaker; there are {', '.join(SPEAKERS)}")

    def _stored(self, split):
        self._check(split)
        everything = _fsdd(home.folder() / Path(self.folder).expanduser(), self.rate)
        if self.left_out:
            return [each for each in everything if (each["speaker"] == self.left_out) == (split == "test")]
        return [each for each in everything if (each["index"] < TESTED) == (split == "test")]

    def show(self, split, index):
        return super().show(split, index) | {"voice": self._stored(split)[index]["speaker"]}


@dataclass(frozen=True)
class Voiced(Sounds):
    """Digits to be learned from synthetic voices alone and recognised when people say them; at most 1 s.

    Splits: "train" is every split of ``Heard`` and three more takes (``builders/digits_voiced.py``); "test" is
    ``Recorded``'s from the same ``folder``, and "people" all of its recordings.
    """

    features: str = "picture"
    channel: bool = True
    folder: str = "fsdd"

    name: ClassVar[str] = "digits_voiced"
    splits: ClassVar[tuple[str, ...]] = ("train", "test", "people")

    def _stored(self, split):
        self._check(split)
        if split != "train":
            recorded = Recorded(folder=self.folder)
            return [each for part in ("test", "train")[: 1 + (split == "people")] for each in recorded._stored(part)]
        heard, takes = Heard(), ("take1", "take2", "take3")
        once = [each for part in heard.splits for each in heard._stored(part)]
        return once + [each for take in takes for each in _stored(self.name, take, str(home.folder()))]


@functools.lru_cache(maxsize=2)
def _fsdd(folder: Path, rate: int) -> list[dict[str, Any]]:
    """Every recording, in the order of the files' names.

    Raises:
      FileNotFoundError: the folder is not there, or holds no such files.
      Unreadable: a file cannot be read.
    """
    found = []
    for path in sorted(folder.glob("*.wav")):
        digit, speaker, index = [*path.stem.split("_"), "", ""][:3]
        if digit in DIGITS and index.isdecimal():
            about = {"label": int(digit), "speaker": speaker, "index": int(index)}
            found.append({"audio": recordings.as_16_bit(recordings.read(path, rate)), **about})
    if not found:
        raise FileNotFoundError(
            f"{folder} holds no DIGIT_SPEAKER_INDEX.wav; give the folder of the Free Spoken Digit Dataset's recordings "
            "(github.com/Jakobovski/free-spoken-digit-dataset): folder="
        )
    return found


# --- speech commands ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Commands(Sounds):
    """Speech Commands v2, 35 words, at most 1 s at 16 kHz (``builders/speech_commands35.py`` says where it comes from).

    Its features are 64 log-mels, or the waveform. They are made when they are needed: the whole set of them is larger
    than the recordings, which take 3.4 GB.
    """

    channel: bool = True

    name: ClassVar[str] = "speech_commands35"
    splits: ClassVar[tuple[str, ...]] = ("train", "validation", "test")
    rate: ClassVar[int] = 16_000
    longest: ClassVar[int] = 16_000
    mels: ClassVar[int] = 64

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        need("tensorflow_datasets", extra="data")
        from convzoo.data.builders.speech_commands35 import WORDS

        return WORDS
