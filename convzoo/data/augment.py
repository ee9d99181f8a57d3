"""Augmentation on the device: pure functions of a batch and a key, every example changed on its own, shapes kept.

Reading a signal at shifted or stretched places is one product with hat functions, max(0, 1 - |place - sample|): linear
interpolation, and zero beyond the ends.
"""

import jax
import jax.numpy as jnp
from jax import random
from jaxtyping import Array, Float, Int, Key

SHIFT, DEGREES, SCALE = 1.0, 12.0, 0.1  # of pictures: pixels, degrees, and the share of 1


def affine(key: Key[Array, ""], batch: int, shift: float) -> tuple[Float[Array, "batch 2 2"], Float[Array, "batch 2"]]:
    """Random rotations with scaling, and shifts of up to ``shift`` along both axes."""
    turn, size, move = random.split(key, 3)
    angle = jnp.deg2rad(random.uniform(turn, (batch,), minval=-DEGREES, maxval=DEGREES))
    scale = random.uniform(size, (batch,), minval=1 - SCALE, maxval=1 + SCALE)
    cosine, sine = scale * jnp.cos(angle), scale * jnp.sin(angle)
    matrix = jnp.stack([jnp.stack([cosine, -sine], -1), jnp.stack([sine, cosine], -1)], -2)
    return matrix, random.uniform(move, (batch, 2), minval=-shift, maxval=shift)


def pictures(
    x: Float[Array, "batch height width channels"], key: Key[Array, ""]
) -> Float[Array, "batch height width channels"]:
    """Shifts by up to a pixel, turns by up to 12 degrees and scales by up to 10 %, about the middle."""
    batch, height, width, _ = x.shape
    matrix, move = affine(key, batch, SHIFT)
    middle = jnp.array([height - 1, width - 1]) / 2
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"), -1).reshape(-1, 2)
    place = jnp.einsum("bij,pj->bpi", matrix, grid - middle) + move[:, None] + middle
    down, right = hat(place[..., 0], height), hat(place[..., 1], width)
    return jnp.einsum("bph,bpw,bhwc->bpc", down, right, x).reshape(x.shape)


def crops(
    x: Float[Array, "batch height width channels"], key: Key[Array, ""], *, least: float, flip: bool
) -> Float[Array, "batch height width channels"]:
    """Shows a random part of each picture, at least the share ``least`` of each side, as large as the picture was; and
    mirrors half of them if ``flip``."""
    batch, height, width, _ = x.shape
    size, stretch, move, turn = random.split(key, 4)
    side = random.uniform(size, (batch, 1), minval=least, maxval=1)
    narrow = random.uniform(stretch, (batch, 2), minval=jnp.maximum(least / side, 0.9), maxval=1)
    share = side * narrow  # of height and width
    first = random.uniform(move, (batch, 2)) * (1 - share)
    mirrored = random.bernoulli(turn, 0.5, (batch, 1)) if flip else jnp.zeros((batch, 1), bool)

    def weights(axis: int, length: int) -> Array:
        place = (jnp.arange(length) + 0.5) / length * share[:, axis, None] + first[:, axis, None]
        return hat(jnp.clip(place * length - 0.5, 0, length - 1), length)

    rows, columns = weights(0, height), weights(1, width)
    columns = jnp.where(mirrored[..., None], columns[:, ::-1], columns)
    return jnp.einsum("bih,bjw,bhwc->bijc", rows, columns, x, optimize=True)


def places(x: Float[Array, "batch nodes 2"], key: Key[Array, ""], pixel: float) -> Float[Array, "batch nodes 2"]:
    """The same for the places of nodes, which run from -1 to 1 in steps of ``pixel``; the edges stay."""
    matrix, move = affine(key, x.shape[0], SHIFT * pixel)
    return jnp.einsum("bij,bnj->bni", matrix, x) + move[:, None]


def log_mel(
    x: Float[Array, "batch frames mels"],
    length: Int[Array, " batch"],
    key: Key[Array, ""],
    *,
    speed: float = 0.15,
    shift: float = 4,
    bend: float = 0.0,
    warp: float = 0.1,
    tilt: float = 1.0,
    frames: int = 12,
    bands: int = 6,
) -> tuple[Float[Array, "batch frames mels"], Int[Array, " batch"]]:
    """Stretches time and the frequency axis, shifts in time, and masks a stretch of frames and one of bands with zeros.

    Args:
      x: log-mel features, zeros after each sound's length.
      length: frames of each sound.
      key: what follows from it is all that is random.
      speed: the largest relative change of speed.
      shift: the largest number of frames cut off the front, or put there.
      bend: the largest relative change of speed within a sound, whose duration it leaves.
      warp: the largest relative stretch of the band axis, as of another speaker's throat; half of it, in bands over
        all of them, is the largest shift.
      tilt: the largest gain of the outermost bands, in units of the features, sloping over the bands.
      frames: the longest stretch masked in time (SpecAugment, Park et al. 2019, arXiv:1904.08779).
      bands: the widest stretch masked in bands.

    Returns:
      Features and their new lengths.
    """
    batch, size, mels = x.shape
    fast, late, stretch, move, lean, hide_time, hide_band = random.split(key, 7)

    def draw(key, limit):
        return random.uniform(key, (batch, 1), minval=-limit, maxval=limit)

    rate, start = 1 + draw(fast, speed), draw(late, shift)
    new = jnp.clip(jnp.ceil((length[:, None] - start) / rate), 1, size).astype(length.dtype)
    when = jnp.arange(size) * rate + start
    if bend:
        when = bent(when, length[:, None], random.fold_in(key, 7), bend)
    where = jnp.arange(mels) * (1 + draw(stretch, warp)) + draw(move, warp / 2 * mels)
    where = jnp.clip(where, 0, mels - 1)
    x = jnp.einsum("bts,bsm,bnm->btn", hat(when, size), x, hat(where, mels), optimize=True)
    x = x + draw(lean, tilt)[..., None] * jnp.linspace(-1, 1, mels)
    keep_time = stretches(hide_time, jnp.broadcast_to(new, (batch, 1)), frames, size)
    keep_band = stretches(hide_band, jnp.full((batch, 1), mels), bands, mels)
    inside = jnp.arange(size) < new
    return x * (keep_time & inside)[..., None] * keep_band[:, None], new[:, 0]


def wave(
    x: Float[Array, "batch samples 1"],
    length: Int[Array, " batch"],
    key: Key[Array, ""],
    *,
    speed: float = 0.15,
    shift: float = 400,
    decibels: float = 6,
    tilt: float = 0.5,
    noise: float = 0.1,
    silence: float = 0.0,
) -> tuple[Float[Array, "batch samples 1"], Int[Array, " batch"]]:
    """Changes speed (and with it pitch), start, loudness and timbre, and adds noise.

    Args:
      x: sounds, zeros after each one's length.
      length: samples of each.
      key: what follows from it is all that is random.
      speed: the largest relative change of speed.
      shift: the largest number of samples cut off the front, or put there.
      decibels: the largest gain.
      tilt: the largest weight with which the sample before is added, which tilts the spectrum.
      noise: the largest standard deviation of the noise.
      silence: the largest number of samples of silence, or of noise, that are put before each sound, and after it.

    Returns:
      Sounds and their new lengths.
    """
    batch, size, _ = x.shape
    fast, late, loud, lean, level, hiss = random.split(key, 6)

    def draw(key, limit):
        return random.uniform(key, (batch, 1), minval=-limit, maxval=limit)

    rate, start = 1 + draw(fast, speed), draw(late, shift)
    new, when = (length[:, None] - start) / rate, jnp.arange(size) * rate + start
    if silence:
        before, after = silence * jnp.square(random.uniform(random.fold_in(key, 6), (2, batch, 1)))  # mostly short
        new, when = new + before + after, when - before * rate
    new = jnp.clip(jnp.ceil(new), 1, size).astype(length.dtype)
    left = jnp.floor(when).astype(jnp.int32)
    part = when - left
    padded = jnp.pad(x[..., 0], ((0, 0), (1, 1)))  # a zero before and a zero after: what lies beyond the ends

    def read(index):
        return jnp.take_along_axis(padded, jnp.clip(index + 1, 0, size + 1), axis=1)

    y = read(left) * (1 - part) + read(left + 1) * part
    y = y + draw(lean, tilt) * jnp.pad(y, ((0, 0), (1, 0)))[:, :-1]
    y = y + random.uniform(level, (batch, 1), maxval=noise) * random.normal(hiss, y.shape)
    y = y * 10 ** (draw(loud, decibels) / 20) * (jnp.arange(size) < new)
    return y[..., None], new[:, 0]


def bent(
    when: Float[Array, "batch frames"], length: Int[Array, "batch 1"], key: Key[Array, ""], most: float
) -> Float[Array, "batch frames"]:
    """Moves places between 0 and ``length`` forth and back by one turn of a sine, of any phase; both ends stay."""
    depth, turn = random.split(key)
    phase = random.uniform(turn, length.shape, maxval=2 * jnp.pi)
    wide = length * random.uniform(depth, length.shape, maxval=most) / (2 * jnp.pi)
    return when + wide * (jnp.sin(2 * jnp.pi * when / length + phase) - jnp.sin(phase))


def hat(place: Float[Array, "*any"], size: int) -> Float[Array, "*any size"]:
    """Weights of the ``size`` samples around each place: linear interpolation, and zero beyond the ends."""
    return jax.nn.relu(1 - jnp.abs(place[..., None] - jnp.arange(size)))


def stretches(key: Key[Array, ""], span: Int[Array, "batch 1"], widest: int, size: int) -> Array:
    """bool [batch, size]: False in one random stretch of up to ``widest`` slots among the first ``span``."""
    wide, begin = random.split(key)
    width = random.uniform(wide, span.shape, maxval=widest)
    first = random.uniform(begin, span.shape) * jnp.maximum(span - width, 0)
    slot = jnp.arange(size)
    return (slot < first) | (slot >= first + width)


def channel(
    x: Float[Array, "batch samples 1"],
    length: Int[Array, " batch"],
    key: Key[Array, ""],
    *,
    decibels: float = 12,
    points: int = 8,
    least: float = 5,
    most: float = 45,
) -> Float[Array, "batch samples 1"]:
    """Sounds as through another microphone in another room.

    Args:
      x: sounds, zeros after each one's length.
      length: samples of each.
      key: what follows from it is all that is random.
      decibels: the standard deviation of the gain at each of ``points`` frequencies, evenly spread over the octaves;
        between them it is interpolated.
      least, most: the bounds of the signal-to-noise ratio, in decibels; the noise is anything from white to brown.
    """
    batch, size, _ = x.shape
    shape, level, colour, hiss = random.split(key, 4)
    bins = jnp.arange(1, size // 2 + 2)
    where = jnp.log2(bins) / jnp.log2(bins[-1]) * 2 - 1  # the upper half of the octaves is all that is heard
    gain = hat(jnp.maximum(where, 0) * (points - 1), points) @ random.normal(shape, (points, batch)) * decibels
    x = filtered(x[..., 0], 10 ** (gain.T / 20))
    slope = random.uniform(colour, (batch, 1), maxval=1.0)
    noise = filtered(random.normal(hiss, x.shape), jnp.maximum(bins, size // 100) ** -slope)
    inside = jnp.arange(size) < length[:, None]
    ratio = 10 ** (-random.uniform(level, (batch, 1), minval=least, maxval=most) / 20)
    y = (x + noise * ratio * loudness(x, inside) / loudness(noise, inside)) * inside
    return (y / loudness(y, inside))[..., None]


def energies(
    x: Float[Array, "batch frames mels"],
    key: Key[Array, ""],
    *,
    spread: float = 1.5,
    dynamics: tuple[float, float] = (-0.3, 0.6),
) -> Float[Array, "batch frames mels"]:
    """Energies of a synthetic voice as of a real mouth: resonances broader, soft sounds louder or softer.

    Args:
      x: energies of mel bands.
      key: what follows from it is all that is random.
      spread: the largest half-width, in bands, that each band's energy is spread over, as a resonance is (Lorentz's
        curve): a formant synthesiser leaves valleys between its resonances that people's voices do not have.
      dynamics: the bounds of an exponent: every frame is scaled by that power of its energy, relative to the loudest.
    """
    wide, deep = random.split(key)
    batch, _, mels = x.shape
    distance = jnp.arange(mels)[:, None] - jnp.arange(mels)
    width = random.uniform(wide, (batch, 1, 1), minval=0.1, maxval=spread)
    curve = 1 / (1 + jnp.square(distance / width))
    x = jnp.einsum("btm,bnm->btn", x, curve / curve.sum(axis=-1, keepdims=True))
    loud = x.sum(axis=-1, keepdims=True) + 1e-6
    low, high = dynamics
    return x * (loud / loud.max(axis=1, keepdims=True)) ** random.uniform(deep, (batch, 1, 1), minval=low, maxval=high)


def filtered(x: Float[Array, "batch samples"], gain: Float[Array, "batch bins"]) -> Float[Array, "batch samples"]:
    """Each frequency of a sound times a gain, none of them delayed."""
    return jnp.fft.irfft(jnp.fft.rfft(x) * gain, x.shape[1])


def loudness(x: Float[Array, "batch samples"], inside: Array) -> Float[Array, "batch 1"]:
    """The root mean square of each sound."""
    power = (jnp.square(x) * inside).sum(axis=1, keepdims=True) / inside.sum(axis=1, keepdims=True)
    return jnp.sqrt(jnp.maximum(power, 1e-12))
