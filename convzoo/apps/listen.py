"""What is in a recording: the words that were said, who speaks when, at which pitch.

    for heard in listen(listener(), files): heard.words, heard.segments, heard.pitch

A sound is read in blocks and looked at in windows of 6.4 s, one every 4 s, so an hour takes no more memory than a
minute, but for what is found in it. The words are those of a small network that this project trained (the ten digits,
convzoo/apps/digits.safetensors; configs/digit_strings.py is its run card); segments and pitch need the extra
``hearing``.
"""

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import convzoo.zoo as zoo
from convzoo.apps import pitch, voice
from convzoo.apps.pitch import Pitch
from convzoo.core import audio
from convzoo.data import recordings
from convzoo.data.sounds import HOP, MELS, frames, log_mel
from convzoo.data.sounds import WINDOW as WIDTH
from convzoo.data.sources import WORDS
from convzoo.extras import MissingExtra
from convzoo.nn import Model, Streaming

RATE = 8_000
WINDOW, EVERY = 51_200, 32_000  # samples that are looked at together, and from one window to the next
MARGIN, FAINT = 20, 45  # frames of silence before and after a sound, and decibels from it to the noise that is added
SIDE = (WINDOW - EVERY) // 2  # at a window's ends, where the one before or after it tells the words
WEIGHTS = Path(__file__).with_name("digits.safetensors")
SHA256 = "7ff8aeb0921d9148eedb8952bd06ec923360128c2f9fd00549772af7ca423150"
SILENT = 3e-4  # the root mean square of a window (-70 dB of full scale) under which nothing is listened for
QUIET = 25  # decibels under a word's loudest frame, where the word ends
COLUMNS = 1_200  # of the overview that a picture is drawn from


class Word(NamedTuple):
    """A word, from ``start`` to ``end`` in seconds, and how likely it is."""

    word: str
    start: float
    end: float
    probability: float


class Overview(NamedTuple):
    """A recording in at most 1,200 columns: lowest and highest sample [columns, 2], and mean log-mels [columns, 40]."""

    wave: np.ndarray
    mels: np.ndarray


class Heard(NamedTuple):
    """What was found in a file; ``error`` says why nothing was.

    ``segments`` and ``pitch`` are None where their packages are not installed.
    """

    file: Path
    seconds: float = 0.0
    words: tuple[Word, ...] = ()
    segments: tuple[voice.Segment, ...] | None = None
    pitch: Pitch | None = None
    overview: Overview | None = None
    error: str = ""


class Listener(NamedTuple):
    """A model that transcribes, its weights and its words; the networks for segments and pitch, or None."""

    model: Model
    variables: Any
    words: tuple[str, ...] = WORDS
    voice: Streaming | None = None
    pitch: Callable[..., Any] | None = None


def listener(source: str | Path | None = None) -> Listener:
    """The network that this project trained on digits, or one saved like it.

    Raises:
      ValueError: the weights are not those of a network that transcribes digits from 40 log-mels, or not whole.
    """
    if source is None and hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() != SHA256:
        raise ValueError(f"{WEIGHTS} is not the file that is known here: its SHA-256 differs; install convzoo anew")
    model, variables, _ = zoo.load("quartznet5x5", source or WEIGHTS, example=(1, 640, MELS))
    if getattr(model, "num_classes", 0) != len(WORDS) + 1 or getattr(model, "pooled", False):
        raise ValueError(
            f"{source} does not transcribe {len(WORDS)} words; configs/digit_strings.py trains a network that does"
        )
    return Listener(model, variables, WORDS, optional(voice.network), optional(pitch.network))


def optional(make: Callable[[], Any]) -> Any:
    """What ``make`` makes, or None where the package for it is not installed."""
    try:
        return make()
    except MissingExtra:
        return None


Told = Callable[[float, float], None]


def listen(found: Listener, files: Sequence[Path], told: Told = lambda done, of: None) -> Iterator[Heard]:
    """What is heard in each file, in order.

    Args:
      told: called with how many seconds are done, and of how many.
    """
    abouts = []
    for path in files:
        try:
            abouts.append(recordings.about(path))
        except recordings.Unreadable as error:
            abouts.append(str(error))
    passes = 1 + (found.voice is not None) + (found.pitch is not None)
    total, done = passes * sum(about.seconds for about in abouts if not isinstance(about, str)), 0.0

    def counted(blocks: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
        nonlocal done
        for block in blocks:
            yield block
            done += len(block) / rate
            told(min(done, total), total)

    for path, about in zip(files, abouts, strict=True):
        if isinstance(about, str):
            yield Heard(path, error=about.removeprefix(f"{path}: "))
            continue
        try:
            yield hear(found, path, about.seconds, counted)
        except recordings.Unreadable as error:
            yield Heard(path, error=str(error).removeprefix(f"{path}: "))


def hear(found: Listener, path: Path, seconds: float, counted: Callable[..., Iterator[np.ndarray]]) -> Heard:
    """One file."""
    view = Looking(seconds)
    spoken = tuple(words(found, view.seen(counted(recordings.blocks(path, RATE), RATE))))
    segments = contour = None
    if found.voice is not None:
        blocks = counted(recordings.blocks(path, voice.RATE), voice.RATE)
        segments = tuple(s._replace(end=min(s.end, round(seconds, 3))) for s in voice.speech(found.voice, blocks))
    if found.pitch is not None:
        pieces = list(pitch.contour(found.pitch, counted(recordings.blocks(path, pitch.RATE), pitch.RATE)))
        contour = Pitch(0, *(np.concatenate(each) for each in list(zip(*pieces, strict=True))[1:]))
    return Heard(path, round(seconds, 3), spoken, segments, contour, view.overview())


def entry(heard: Heard) -> dict[str, Any]:
    """What was heard, as what JSON has."""
    told: dict[str, Any] = {"file": str(heard.file), "seconds": heard.seconds}
    if heard.error:
        return told | {"error": heard.error}
    told["words"] = [word._asdict() for word in heard.words]
    told["segments"] = None if heard.segments is None else [segment._asdict() for segment in heard.segments]
    told["pitch"] = None
    if heard.pitch is not None:
        columns = (column.round(3).tolist() for column in heard.pitch[1:])
        rows = enumerate(zip(*columns, strict=True))
        told["pitch"] = [{"time": i / 100, "hertz": hertz, "confidence": sure} for i, (hertz, sure) in rows]
    return told


def lines(heard: Heard) -> Iterator[str]:
    """The same for a person to read."""
    if heard.error:
        return
    yield f"{heard.file}, {heard.seconds:.2f} s: {' '.join(word.word for word in heard.words) or 'no words'}"
    for word in heard.words:
        yield f"  {word.start:8.2f} to {word.end:.2f} s  {word.probability:6.1%}  {word.word}"
    if heard.segments is not None:
        told = ", ".join(f"{segment.start:.2f} to {segment.end:.2f} s" for segment in heard.segments)
        yield f"  somebody speaks: {told or 'nowhere'}"
    if heard.pitch is not None:
        voiced = heard.pitch.hertz[heard.pitch.confidence >= pitch.VOICED]
        low, middle, high = np.percentile(voiced, [10, 50, 90]) if len(voiced) else (0, 0, 0)
        yield f"  pitch: {f'{middle:.0f} Hz, 80 % of it from {low:.0f} to {high:.0f}' if len(voiced) else 'none'}"
    if heard.segments is None or heard.pitch is None:
        yield "  speech segments and pitch: pip install 'convzoo[hearing]'"


# --- words ----------------------------------------------------------------------------------------------------------


def words(found: Listener, blocks: Iterable[np.ndarray]) -> Iterator[Word]:
    """The words of a sound at 8 kHz that comes in blocks."""
    before, margin = Word("", -1.0, -1.0, 0.0), np.zeros(MARGIN * HOP, np.float32)
    for start, samples, last in recordings.sliced(itertools.chain([margin], blocks, [margin]), WINDOW, EVERY):
        if not len(samples) or np.square(samples).mean() < SILENT**2:
            continue
        wave, length = np.pad(samples, (0, WINDOW - len(samples)))[None], np.array([len(samples)], np.int32)
        chances, levels = (np.asarray(each)[0] for each in look(found.model, found.variables, wave, length))
        real = frames(int(length[0]))
        core = (SIDE if start else 0) // HOP, real if last else (WINDOW - SIDE) // HOP
        for word in within(found.words, chances, levels[:real], core, start // HOP - MARGIN):
            if word.word != before.word or word.start >= before.end:  # else the window before told it, too
                yield word
                before = word


@functools.partial(jax.jit, static_argnums=0)
def look(model: Model, variables: Any, waves: Any, samples: Any) -> tuple[Any, Any]:
    """(log-probabilities, decibels of each frame) of windows, at the level and with the hiss that the network knows."""
    level = jnp.sqrt(jnp.square(waves).sum(axis=1) / samples)
    waves = waves / jnp.maximum(level, 1e-5)[:, None] / 8
    waves += 10 ** (-FAINT / 20) / 8 * jax.random.normal(jax.random.key(0), waves.shape)
    logits, _ = model.apply(variables, log_mel(waves, samples), train=False, length=frames(samples))
    power = jnp.square(waves).reshape(len(waves), -1, HOP).mean(axis=2)
    return jax.nn.log_softmax(logits), 10 * jnp.log10(jnp.maximum(power, 1e-9))


def within(
    known: Sequence[str], chances: np.ndarray, levels: np.ndarray, core: tuple[int, int], start: int
) -> Iterator[Word]:
    """The words whose middle is in ``core`` of a window that begins at frame ``start``."""
    step, blank = WINDOW // HOP // len(chances), chances.shape[1] - 1
    best = chances[: -(-len(levels) // step)].argmax(axis=1)
    edges = np.flatnonzero(np.diff(best, prepend=blank, append=blank))
    runs = [(a, b) for a, b in itertools.pairwise(edges) if best[a] != blank]
    middles = [int((a + b) * step / 2) for a, b in runs]
    bounds = [0, *((one + other) // 2 for one, other in itertools.pairwise(middles)), len(levels)]
    for (a, b), middle, low, high in zip(runs, middles, bounds, bounds[1:], strict=False):
        if core[0] <= middle < core[1]:
            first, last = extent(levels, middle, low, high)
            chance = round(float(np.exp(chances[a:b, best[a]].max())), 4)
            begin, end = (round(max(start + place, 0) * HOP / RATE, 2) for place in (first, last))
            yield Word(known[int(best[a])], begin, end, chance)


def extent(levels: np.ndarray, middle: int, low: int, high: int) -> tuple[int, int]:
    """The first frame of a word and the one after its last: as far around its loudest frame as it is nowhere quiet for
    0.1 s, and no further than halfway to the next words."""
    near = slice(max(middle - 30, low), min(middle + 31, high))
    loudest = near.start + int(levels[near].argmax())
    loud = levels > levels[loudest] - QUIET
    first = last = loudest
    while loud[max(first - 10, low) : first].any():
        first -= 1
    while loud[last + 1 : min(last + 11, high)].any():
        last += 1
    return first, last + 1


# --- the overview ---------------------------------------------------------------------------------------------------


class Looking:
    """Draws the overview of a sound while it passes by, a second at a time."""

    def __init__(self, seconds: float):
        self.columns = max(min(COLUMNS, int(seconds * RATE / HOP)), 1)
        self.each = seconds * RATE / self.columns  # samples
        self.wave, self.mels = np.zeros((self.columns, 2), np.float32), np.zeros((self.columns, MELS))
        self.count = np.zeros(self.columns)

    def seen(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for start, samples, _ in recordings.sliced(blocks, RATE):
            column = self.column(start + np.arange(len(samples)))
            np.minimum.at(self.wave[:, 0], column, samples)
            np.maximum.at(self.wave[:, 1], column, samples)
            mels = np.asarray(plain_mels(np.pad(samples, (0, RATE - len(samples)))[None]))[0, : frames(len(samples))]
            column = self.column(start + HOP * np.arange(len(mels)))
            np.add.at(self.mels, column, mels)
            np.add.at(self.count, column, 1)
            yield samples

    def column(self, samples: np.ndarray) -> np.ndarray:
        return np.minimum(samples / self.each, self.columns - 1).astype(int)

    def overview(self) -> Overview:
        return Overview(self.wave, self.mels / np.maximum(self.count, 1)[:, None])


@jax.jit
def plain_mels(waves: Any) -> Any:
    """Log-mels of seconds, their level kept."""
    return audio.log_mel(waves, rate=RATE, n_fft=256, window_length=WIDTH, hop=HOP, n_mels=MELS, floor=1e-6)
