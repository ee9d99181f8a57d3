"""Sound to features and back: framing, the short-time Fourier transform and its inverse, mel filters, log-mel, MFCC.

    wave [batch, samples] -> frame [batch, frames, size] -> stft [batch, frames, bins] -> mel [batch, frames, mels]

Time stays the spatial axis and frequency becomes the channels: a log-mel is a 1-D grid like any other. Every function
is pure, batched, differentiable and safe under jit; sizes are Python numbers. float16 and bfloat16 waves are computed
in float32, float64 waves in float64. Conventions and numbers are librosa 0.11's (McFee et al. 2015), transposed:
librosa puts frequency before time and returns filters as [mels, bins]. The mel scales are those of Slaney's Auditory
Toolbox (1998) and of HTK.
"""

import functools
import math
import warnings

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float

from convzoo.core.conv import conv

# Cosine series a0 - a1 cos(2 pi t) + a2 cos(4 pi t), t in [0, 1): periodic windows, as librosa's fftbins=True.
WINDOWS = {"hann": (0.5, 0.5), "hamming": (0.54, 0.46), "blackman": (0.42, 0.5, 0.08), "ones": (1.0,)}
PAD_MODES = ("constant", "edge", "reflect", "symmetric")
SCALES = ("slaney", "htk")
NORMS = ("slaney", None)
LANES = 64  # new samples that are made at once where a period of the two rates has fewer


def frame(x: Float[Array, "batch samples"], size: int, hop: int) -> Float[Array, "batch frames size"]:
    """Cuts overlapping frames of ``size`` samples, one every ``hop``: frames = 1 + (samples - size) // hop.

    Samples after the last whole frame are left out, as in ``librosa.util.frame``.

    Raises:
      ValueError: ``x`` is not [batch, samples] or is shorter than one frame; ``size`` or ``hop`` is not positive.
    """
    _check_wave(x)
    _check_positive(size=size, hop=hop)
    samples = x.shape[1]
    if samples < size:
        raise ValueError(f"the samples axis holds {samples}, fewer than one frame of size={size}; pad the sound first")
    starts = hop * jnp.arange(1 + (samples - size) // hop)
    return x.at[:, starts[:, None] + jnp.arange(size)].get(mode="promise_in_bounds")


def stft(
    x: Float[Array, "batch samples"],
    *,
    n_fft: int,
    hop: int,
    window_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    pad_mode: str = "constant",
) -> Complex[Array, "batch frames bins"]:
    """The short-time Fourier transform, as ``librosa.stft``: bins = 1 + n_fft // 2, complex64 (complex128 for float64).

    Args:
      x: sounds, any floating dtype.
      n_fft: samples per transform.
      hop: samples from one frame to the next.
      window_length: samples under the window, at most ``n_fft`` (the default); zeros surround it on both sides.
      window: a name in ``WINDOWS``; all are periodic.
      center: pads ``n_fft // 2`` samples at both ends, so that frame i is centred on sample i * hop.
      pad_mode: what is padded: "constant" (zeros), "edge", "reflect" or "symmetric".

    Raises:
      ValueError: an argument is out of range, a name unknown, or ``x`` too short for one frame.
      TypeError: ``x`` holds no floating-point numbers.
    """
    _check_wave(x)
    _check_name("window", window, tuple(WINDOWS))
    _check_name("pad_mode", pad_mode, PAD_MODES)
    window_length = n_fft if window_length is None else window_length
    _check_positive(n_fft=n_fft, hop=hop, window_length=window_length)
    if window_length > n_fft:
        raise ValueError(f"window_length={window_length} is longer than n_fft={n_fft}; it may be at most n_fft")
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    if center:
        x = jnp.pad(x, ((0, 0), (n_fft // 2, n_fft // 2)), mode=pad_mode)
    taper = jnp.asarray(_window(window, window_length, n_fft), x.dtype)
    return jnp.fft.rfft(frame(x, n_fft, hop) * taper)


def istft(
    x: Complex[Array, "batch frames bins"],
    *,
    hop: int,
    n_fft: int | None = None,
    window_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    length: int | None = None,
) -> Float[Array, "batch samples"]:
    """The inverse of ``stft``, as ``librosa.istft``: windowed frames, added up, by the windows' squares.

    Args:
      x: what ``stft`` gave.
      hop, window_length, window, center: as they were in ``stft``.
      n_fft: samples per transform; None: 2 * (bins - 1), which is right where it was even.
      length: samples to give back, zeros where the frames end before; None: as far as they reach.

    Raises:
      ValueError: an argument is out of range, a name unknown, or ``x`` is not [batch, frames, bins] of ``n_fft``.
    """
    if x.ndim != 3 or 0 in x.shape:
        raise ValueError(f"spectra must be [batch, frames, bins], none empty; got {x.shape}")
    n_fft = 2 * (x.shape[2] - 1) if n_fft is None else n_fft
    window_length = n_fft if window_length is None else window_length
    _check_name("window", window, tuple(WINDOWS))
    _check_positive(n_fft=n_fft, hop=hop, window_length=window_length)
    if x.shape[2] != 1 + n_fft // 2 or window_length > n_fft:
        raise ValueError(
            f"{x.shape[2]} bins and window_length={window_length} do not fit n_fft={n_fft}, which has {1 + n_fft // 2} "
            "bins and takes windows up to its own length"
        )
    kind = jnp.finfo(x.dtype).dtype
    taper = _window(window, window_length, n_fft)
    before = n_fft // 2 if center else 0
    whole = n_fft + hop * (x.shape[1] - 1)
    end = whole - before if length is None and center else whole if length is None else before + length
    y = overlap_add(jnp.fft.irfft(x, n_fft).astype(kind) * jnp.asarray(taper, kind), hop)
    square = np.zeros(whole)
    for start in range(0, whole - n_fft + 1, hop):
        square[start : start + n_fft] += taper**2
    y = y / jnp.asarray(np.where(square > np.finfo(kind).tiny, square, 1), kind)
    return jnp.pad(y, ((0, 0), (0, max(end - whole, 0))))[:, before:end]


def overlap_add(x: Float[Array, "batch frames size"], hop: int) -> Float[Array, "batch samples"]:
    """Adds frames up, one every ``hop`` samples, the transpose of ``frame``: samples = size + hop * (frames - 1).

    Raises:
      ValueError: ``hop`` is not positive.
    """
    _check_positive(hop=hop)
    batch, frames, size = x.shape
    pieces = -(-size // hop)  # every frame is laid out as so many pieces of one hop, each added in its own shift
    x = jnp.pad(x, ((0, 0), (0, 0), (0, pieces * hop - size))).reshape(batch, frames, pieces, hop)
    shifted = [jnp.pad(x[:, :, i], ((0, 0), (i, pieces - 1 - i), (0, 0))) for i in range(pieces)]
    return functools.reduce(jnp.add, shifted).reshape(batch, -1)[:, : size + hop * (frames - 1)]


def mel_filterbank(
    rate: float,
    n_fft: int,
    n_mels: int,
    fmin: float = 0.0,
    fmax: float | None = None,
    *,
    scale: str = "slaney",
    norm: str | None = "slaney",
) -> Float[np.ndarray, "bins mels"]:
    """Triangular filters evenly spaced on a mel scale, as ``librosa.filters.mel`` transposed; numpy float64.

    Args:
      rate: samples per second.
      n_fft: samples per transform; bins = 1 + n_fft // 2.
      n_mels: number of filters.
      fmin: lower edge of the first filter, in hertz.
      fmax: upper edge of the last one; None means half the rate.
      scale: "slaney" (linear to 1 kHz, then logarithmic) or "htk" (logarithmic throughout).
      norm: "slaney" gives every filter the same area; None leaves every peak near one.

    Raises:
      ValueError: an argument is out of range or a name unknown.

    Warns:
      UserWarning: some filters are so narrow that they hold no bin and will always give zero.
    """
    _check_name("scale", scale, SCALES)
    _check_name("norm", norm, NORMS)
    _check_positive(rate=rate, n_fft=n_fft, n_mels=n_mels)
    fmax = rate / 2 if fmax is None else fmax
    if not 0 <= fmin < fmax <= rate / 2:
        raise ValueError(f"fmin={fmin} and fmax={fmax} do not fit 0 <= fmin < fmax <= rate / 2 = {rate / 2}")
    low, high = _hertz_to_mel(np.array([fmin, fmax]), scale)
    edges = _mel_to_hertz(np.linspace(low, high, n_mels + 2), scale)
    bins = np.fft.rfftfreq(n_fft, 1 / rate)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bank = np.maximum(0, np.minimum(rising, falling))
    if empty := np.flatnonzero((bank.max(axis=0) == 0) & (edges[:-2] > 0)).tolist():
        message = f"mel filters {empty} hold none of the {len(bins)} bins; raise n_fft={n_fft} or lower n_mels={n_mels}"
        warnings.warn(message, stacklevel=2)
    return bank * 2 / (edges[2:] - edges[:-2]) if norm else bank


def mel_spectrogram(
    wave: Float[Array, "batch samples"],
    *,
    rate: float,
    n_fft: int,
    hop: int,
    n_mels: int,
    window_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    pad_mode: str = "constant",
    power: float = 2.0,
    fmin: float = 0.0,
    fmax: float | None = None,
    scale: str = "slaney",
    norm: str | None = "slaney",
) -> Float[Array, "batch frames mels"]:
    """Energy per frame and mel band, as ``librosa.feature.melspectrogram``; float32 (float64 for float64).

    ``power`` is the exponent of the magnitude: 2 for energy, 1 for amplitude. Gradients are finite in silence too. The
    other arguments are those of ``stft`` and ``mel_filterbank``, with the same errors.
    """
    _check_positive(power=power)
    spectrum = stft(
        wave, n_fft=n_fft, hop=hop, window_length=window_length, window=window, center=center, pad_mode=pad_mode
    )
    energy = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    if power != 2:
        silent = energy == 0  # the root's slope is infinite there
        energy = jnp.where(silent, 0, jnp.where(silent, 1, energy) ** (power / 2))
    bank = mel_filterbank(rate, n_fft, n_mels, fmin, fmax, scale=scale, norm=norm)
    return jnp.matmul(energy, jnp.asarray(bank, energy.dtype), precision=lax.Precision.HIGHEST)


def log_mel(
    wave: Float[Array, "batch samples"],
    *,
    rate: float,
    n_fft: int,
    hop: int,
    n_mels: int,
    window_length: int | None = None,
    window: str = "hann",
    center: bool = True,
    pad_mode: str = "constant",
    power: float = 2.0,
    fmin: float = 0.0,
    fmax: float | None = None,
    scale: str = "slaney",
    norm: str | None = "slaney",
    floor: float = 1e-10,
) -> Float[Array, "batch frames mels"]:
    """The natural logarithm of the mel spectrogram, energies below ``floor`` raised to it: log(max(mel, floor)).

    Times 10 / ln(10) this is ``librosa.power_to_db(mel, ref=1, amin=floor, top_db=None)``. The recording's loudness
    is kept: nothing is subtracted and no range is cut. Below the floor the gradient is zero. The other arguments are
    those of ``mel_spectrogram``, with the same errors.
    """
    _check_positive(floor=floor)
    mel = mel_spectrogram(
        wave,
        rate=rate,
        n_fft=n_fft,
        hop=hop,
        n_mels=n_mels,
        window_length=window_length,
        window=window,
        center=center,
        pad_mode=pad_mode,
        power=power,
        fmin=fmin,
        fmax=fmax,
        scale=scale,
        norm=norm,
    )
    return jnp.log(jnp.maximum(mel, floor))


def mfcc(log_mel: Float[Array, "batch frames mels"], count: int = 20) -> Float[Array, "batch frames count"]:
    """Mel-frequency cepstral coefficients: the first ``count`` of the orthonormal DCT-II over the bands.

    Of decibels, ``log_mel(...) * 10 / ln(10)``, this is ``librosa.feature.mfcc(S=decibels, n_mfcc=count)``; of HTK's
    natural logarithms it is HTK's.

    Raises:
      ValueError: there are fewer bands than ``count``.
    """
    mels = log_mel.shape[-1]
    if not 1 <= count <= mels:
        raise ValueError(f"count={count} must be at least 1 and at most the number of bands, {mels}")
    basis = np.cos(np.pi / mels * np.outer(np.arange(mels) + 0.5, np.arange(count))) * np.sqrt(2 / mels)
    basis[:, 0] /= np.sqrt(2)
    return jnp.matmul(log_mel, jnp.asarray(basis, log_mel.dtype), precision=lax.Precision.HIGHEST)


def delta(x: Float[Array, "batch frames features"], width: int = 9) -> Float[Array, "batch frames features"]:
    """The slope over time of the line fitted to ``width`` frames around each; at the ends, of the line fitted to the
    first and last ``width`` frames: ``librosa.feature.delta`` (Savitzky & Golay 1964).

    Raises:
      ValueError: ``width`` is even or less than 3, or there are fewer frames.
    """
    if width < 3 or width % 2 == 0:
        raise ValueError(f"width={width} must be odd and at least 3")
    frames = x.shape[1]
    if frames < width:
        raise ValueError(f"the frames axis holds {frames}, fewer than width={width}")
    half = width // 2
    weights = np.arange(-half, half + 1) / (np.arange(-half, half + 1) ** 2).sum()
    inner = frames - 2 * half
    middle = sum(weight * x[:, i : i + inner] for i, weight in enumerate(weights.tolist()))
    return jnp.pad(middle, ((0, 0), (half, half), (0, 0)), mode="edge")


def resample(
    x: Float[Array, "batch samples"],
    rate: int,
    new_rate: int,
    *,
    width: int = 10,
    beta: float = 5.0,
    rolloff: float = 1.0,
) -> Float[Array, "batch new_samples"]:
    """Band-limited interpolation at another rate: new_samples = ceil(samples * new_rate / rate).

    A sinc of ``width`` zero crossings to each side under a Kaiser window of ``beta``, its band ending at ``rolloff``
    times that of the lower rate. As it stands it is ``librosa.resample(..., res_type="polyphase")``, which is
    ``scipy.signal.resample_poly``; width=64, beta=14.8, rolloff=0.95 is a steep filter with 140 dB of attenuation.

    Raises:
      ValueError: a rate is no positive whole number, or ``x`` is not [batch, samples].
    """
    _check_wave(x)
    _check_positive(rate=rate, new_rate=new_rate, width=width, rolloff=rolloff)
    common = math.gcd(rate, new_rate)
    down, up = rate // common, new_rate // common
    if down == up:
        return x
    samples = -(-x.shape[1] * up // down)
    taps, reach = _sinc(down, up, width, beta, rolloff)
    stride, made = down * (taps.shape[1] // up), taps.shape[1]  # so many old samples, and the new ones made of them
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    after = max(stride * (-(-samples // made) - 1) + len(taps) - reach - x.shape[1], 0)
    padded = jnp.pad(x, ((0, 0), (reach, after)))[..., None]
    y = conv(padded, jnp.asarray(taps, x.dtype)[:, None], stride=stride, padding="VALID")
    return y.reshape(x.shape[0], -1)[:, :samples]


@functools.cache
def _sinc(down: int, up: int, width: int, beta: float, rolloff: float) -> tuple[np.ndarray, int]:
    """Filters [taps, new samples], and how far the first reaches back.

    There is one for each of ``up`` new samples over ``down`` old ones; where those are few, for several times as many,
    each ``down`` taps further on: a product of matrices that are not too narrow.
    """
    scale = min(1.0, up / down)
    reach = math.ceil(width / scale) + down
    time = (np.arange(-reach, reach + 1)[:, None] - np.arange(up) * down / up) * scale
    inside = np.sqrt(np.maximum(1 - (time / width) ** 2, 0))
    taps = np.where(np.abs(time) <= width * (1 + 1e-12), np.sinc(rolloff * time) * np.i0(beta * inside), 0)
    taps = taps * (up / taps.sum())
    periods = max(LANES // up, 1)
    shifted = (np.pad(taps, ((i * down, (periods - 1 - i) * down), (0, 0))) for i in range(periods))
    return np.concatenate(list(shifted), axis=1), reach


def _window(name: str, length: int, size: int) -> np.ndarray:
    """The window of ``length`` samples in the middle of ``size``, zeros around it."""
    phase = 2 * np.pi * np.arange(length) / length
    taper = sum((-1) ** i * a * np.cos(i * phase) for i, a in enumerate(WINDOWS[name]))
    before = (size - length) // 2
    return np.pad(taper, (before, size - length - before))


# Slaney's scale: 3 mels per 200 Hz up to 1 kHz (mel 15), then 27 mels to every factor of 6.4.
def _hertz_to_mel(hertz: np.ndarray, scale: str) -> np.ndarray:
    if scale == "htk":
        return 2595 * np.log10(1 + hertz / 700)
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1000) / 1000) * 27 / np.log(6.4))


def _mel_to_hertz(mel: np.ndarray, scale: str) -> np.ndarray:
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def _check_wave(x: Array) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"sounds must be [batch, samples], neither empty; got {x.shape}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"sounds must be floating-point, got {x.dtype}; divide 16-bit samples by 32768 first")


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name}={number} must be positive")


def _check_name(what: str, given: str | None, known: tuple[str | None, ...]) -> None:
    if given not in known:
        raise ValueError(f"{what}={given!r} is unknown; known are {', '.join(map(repr, known))}")
