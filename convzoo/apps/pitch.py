"""The pitch of a voice or an instrument every 10 ms, by CREPE.

    for pitch in contour(network("crepe_tiny"), recordings.blocks(path, pitch.RATE)): ...

Frames of 1024 samples at 16 kHz are centred on multiples of 160 samples, mean and standard deviation taken out. A
frame's pitch is the mean of the nine bins around the likeliest, each weighted by how likely it is, as CREPE's authors
have it; or by ``torchcrepe``, by a sigmoid of that, as in its ``weighted_argmax``, without the noise that it adds.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import convzoo.zoo as zoo
from convzoo.core import audio
from convzoo.data import recordings
from convzoo.models.crepe import FRAME

RATE, HOP = 16_000, 160
FRAMES = 128  # at once
CENTS = 1997.3794084376191  # of the lowest bin, over 10 Hz
BIN = 20.0  # cents
VOICED = 0.5  # from this confidence on there is a pitch
WEIGHTINGS: dict[str, Callable[[Array], Array]] = {"crepe": lambda chance: chance, "torchcrepe": jax.nn.sigmoid}


class Pitch(NamedTuple):
    """Frame i is ``(first + i) / 100`` s into the sound; confidence 0 to 1."""

    first: int
    hertz: Float[np.ndarray, " frames"]
    confidence: Float[np.ndarray, " frames"]


Network = Callable[[Float[Array, "frames samples"]], tuple[Array, Array]]


def network(name: str = "crepe_tiny", source: str | None = None, *, weighting: str = "crepe") -> Network:
    """Frames [128, 1024] -> (hertz, confidence), with the weights that ``convzoo.load`` finds.

    Raises:
      ValueError: the weighting is neither "crepe" nor "torchcrepe".
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting={weighting!r} is unknown; known are {', '.join(WEIGHTINGS)}")
    model, variables, _ = zoo.load(name, source)
    run = jax.jit(functools.partial(pitches, model, WEIGHTINGS[weighting]))
    return lambda frames: run(variables, frames)


def pitches(model: Any, weigh: Callable[[Array], Array], variables: Any, frames: Array) -> tuple[Array, Array]:
    """(hertz, confidence) of each frame."""
    frames = frames - frames.mean(axis=1, keepdims=True)
    deviation = jnp.sqrt(jnp.square(frames).sum(axis=1, keepdims=True) / (FRAME - 1))
    logits, _ = model.apply(variables, (frames / jnp.maximum(deviation, 1e-10))[..., None], train=False)
    chance = jax.nn.sigmoid(logits)
    best = chance.argmax(axis=1)
    near = jnp.abs(jnp.arange(chance.shape[1]) - best[:, None]) <= 4
    weight = jnp.where(near, weigh(chance), 0)
    cents = (weight * (CENTS + BIN * jnp.arange(chance.shape[1]))).sum(axis=1) / weight.sum(axis=1)
    return 10 * 2 ** (cents / 1200), chance.max(axis=1)


def contour(find: Network, blocks: Iterable[np.ndarray]) -> Iterator[Pitch]:
    """The pitch of a sound that comes in blocks of samples at 16 kHz, 128 frames at a time."""
    span, half = HOP * (FRAMES - 1) + FRAME, np.zeros(FRAME // 2, np.float32)
    for start, samples, _ in recordings.sliced(itertools.chain([half], blocks, [half]), span, HOP * FRAMES):
        count = 1 + (len(samples) - FRAME) // HOP
        if count > 0:
            frames = audio.frame(jnp.asarray(np.pad(samples, (0, span - len(samples)))[None]), FRAME, HOP)[0]
            hertz, confidence = find(frames)
            yield Pitch(start // HOP, np.asarray(hertz)[:count], np.asarray(confidence)[:count])
