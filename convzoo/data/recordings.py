"""Recordings from files: any form that libsndfile knows, any rate and channels, as float32 samples.

    wav, flac, ogg, mp3, ... -> [samples] in -1..1, channels averaged, at the rate asked for

Reading is soundfile's, resampling soxr's (librosa's own; both come with the extra ``audio``). ``blocks`` reads what
does not fit into the memory.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.extras import need

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au")
BLOCK = 2**16  # samples of a channel that are read at once


class Unreadable(ValueError):
    """A file holds no sound that can be read; the message names it."""


class About(NamedTuple):
    """What a file's head tells."""

    rate: int
    channels: int
    seconds: float


def about(path: Path) -> About:
    """Rate, channels and duration, without reading the samples.

    Raises:
      Unreadable: there is no such file, it holds no sound, or none that lasts.
    """
    with opened(path) as file:
        return About(file.samplerate, file.channels, file.frames / file.samplerate)


def read(path: Path, rate: int) -> np.ndarray:
    """The whole recording, float32 [samples] at ``rate``, channels averaged.

    Raises:
      Unreadable: there is no such file, it holds no sound, none that lasts, or samples that are not numbers.
    """
    return np.concatenate(list(blocks(path, rate)))


def blocks(path: Path, rate: int) -> Iterator[np.ndarray]:
    """The same in pieces, each of about ``BLOCK`` samples of the file: an hour takes no more memory than a minute.

    Raises:
      Unreadable: as ``read``; a sample that is no number is told with its time.
    """
    with opened(path) as file:
        stream = need("soxr", extra="audio").ResampleStream(file.samplerate, rate, 1, dtype="float32")
        done = 0
        while True:
            samples = taken(path, file)
            if not np.isfinite(samples).all():
                first = done + int(np.flatnonzero(~np.isfinite(samples).all(axis=1))[0])
                raise Unreadable(f"{path}: the sample at {first / file.samplerate:.3f} s is not a finite number")
            done += len(samples)
            last = len(samples) < BLOCK
            mono = samples.mean(axis=1)
            piece = mono if file.samplerate == rate else stream.resample_chunk(mono, last=last)
            if len(piece):
                yield piece
            if last:
                return


def as_16_bit(samples: np.ndarray) -> np.ndarray:
    """Samples of -1..1 as int16."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype(np.int16)


def resampled(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Samples of one channel at another rate."""
    return need("soxr", extra="audio").resample(samples.astype(np.float32), rate, new_rate)


def sliced(blocks: Iterable[np.ndarray], size: int, hop: int = 0) -> Iterator[tuple[int, np.ndarray, bool]]:
    """Blocks in pieces of ``size`` samples, one every ``hop`` (0: ``size``): (first sample, piece, whether it is the
    last). The last is as short as what is left."""
    hop, start, waiting = hop or size, 0, np.zeros(0, np.float32)
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) > size:
            yield start, waiting[:size], False
            start, waiting = start + hop, waiting[hop:]
    yield start, waiting, True


def taken(path: Path, file: Any) -> np.ndarray:
    """The next samples of a file, float32 [samples, channels]."""
    try:
        return file.read(BLOCK, dtype="float32", always_2d=True)
    except RuntimeError as error:
        raise Unreadable(f"{path}: {reason(error)}") from error


def opened(path: Path) -> Any:
    """An open sound file with samples in it."""
    library = need("soundfile", extra="audio")
    if path.is_dir() or not path.exists():
        raise Unreadable(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}")
    try:
        if not path.stat().st_size:
            raise Unreadable(f"{path}: the file is empty")
        file = library.SoundFile(path)
    except (RuntimeError, OSError) as error:
        raise Unreadable(f"{path}: {reason(error)}") from error
    if not file.frames:
        file.close()
        raise Unreadable(f"{path}: the recording lasts no time, it has no samples")
    return file


def reason(error: Exception) -> str:
    """What libsndfile says, without the name of the file."""
    told = str(error).rsplit(": ", 1)[-1].rstrip(".")
    return "no sound that is known here" if "not recognised" in told.lower() else told or type(error).__name__


def in_folder(folder: Path) -> list[Path]:
    """The sound files in a folder and below it, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
