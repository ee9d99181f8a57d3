"""Where somebody speaks: Silero VAD over a sound that comes in blocks, and the segments that follow.

    segments = list(speech(network(), recordings.blocks(path, voice.RATE)))

Segments follow from the network's probabilities, one for every 32 ms, as in Silero's own ``get_speech_timestamps``:
speech begins at 0.5 and ends where it stays under 0.35 for 0.1 s; segments under 0.25 s are dropped, the others get
0.03 s more at both ends.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import numpy as np

import convzoo.zoo as zoo
from convzoo.data import recordings
from convzoo.models.silero import CHUNK
from convzoo.nn import Streaming

RATE = 16_000
BEGIN, END = 0.5, 0.35
SILENCE, SHORTEST, MARGIN = 0.1, 0.25, 0.03  # seconds


class Segment(NamedTuple):
    """Somebody speaks from ``start`` to ``end``, in seconds."""

    start: float
    end: float


def network(source: str | None = None) -> Streaming:
    """Silero VAD with the weights that ``convzoo.load`` finds."""
    model, variables, _ = zoo.load("silero_vad", source)
    return Streaming(model, variables)


def probabilities(stream: Streaming, blocks: Iterable[np.ndarray], chunks: int = 32) -> Iterator[np.ndarray]:
    """How likely somebody speaks, one number every 512 samples at 16 kHz; the last ones are filled up with zeros."""
    state, size = stream.init_state(), chunks * CHUNK
    for _, samples, _ in recordings.sliced(blocks, size):
        y, state = stream.step(np.pad(samples, (0, size - len(samples)))[None, :, None], state)
        yield np.asarray(jax.nn.sigmoid(y))[0, : -(-len(samples) // CHUNK), 0]


def speech(stream: Streaming, blocks: Iterable[np.ndarray]) -> Iterator[Segment]:
    """The segments, as soon as each is over."""
    second = RATE / CHUNK
    place, start, quiet = 0, -1, -1
    for chances in probabilities(stream, blocks):
        for chance in chances.tolist():
            if chance >= BEGIN:
                start, quiet = (place if start < 0 else start), -1
            elif start >= 0 and chance < END:
                quiet = place if quiet < 0 else quiet
                if (place + 1 - quiet) / second >= SILENCE:
                    yield from segment(start / second, quiet / second)
                    start, quiet = -1, -1
            place += 1
    if start >= 0:
        yield from segment(start / second, (quiet if quiet >= 0 else place) / second)


def segment(start: float, end: float) -> Iterator[Segment]:
    """The segment with its margins, unless it is too short."""
    if end - start >= SHORTEST:
        yield Segment(round(max(start - MARGIN, 0.0), 3), round(end + MARGIN, 3))
