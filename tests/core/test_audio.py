"""Audio features against librosa, and the laws they keep under jit, grad and float64."""

import wave
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo.core import audio

librosa = pytest.importorskip("librosa", reason="librosa is not installed (the extra `audio`)")

RATE = 8000
SPEECH: dict[str, Any] = {"n_fft": 256, "hop": 80, "n_mels": 40, "window_length": 200}  # 25 and 10 ms
TRANSFORMS = {
    "speech": {"n_fft": 256, "hop": 80, "window_length": 200},
    "whole window": {"n_fft": 512, "hop": 128},
    "odd": {"n_fft": 255, "hop": 64, "window_length": 131},
    "not centred": {"n_fft": 256, "hop": 100, "center": False},
    "reflect": {"n_fft": 256, "hop": 80, "pad_mode": "reflect"},
    "edge": {"n_fft": 256, "hop": 80, "pad_mode": "edge"},
    "symmetric": {"n_fft": 256, "hop": 80, "pad_mode": "symmetric"},
    "hamming": {"n_fft": 256, "hop": 80, "window": "hamming"},
    "blackman": {"n_fft": 256, "hop": 80, "window": "blackman", "window_length": 201},
    "ones": {"n_fft": 256, "hop": 300, "window": "ones"},
}
BANKS = {
    "slaney": {"n_fft": 256, "n_mels": 40},
    "htk": {"n_fft": 512, "n_mels": 64, "scale": "htk"},
    "no norm": {"n_fft": 512, "n_mels": 32, "norm": None},
    "limits": {"n_fft": 512, "n_mels": 32, "fmin": 60, "fmax": 3500},
    "odd": {"n_fft": 301, "n_mels": 20, "scale": "htk", "norm": None},
}


def sounds(seed: int = 0, samples: int = 4001, dtype: type = np.float32) -> np.ndarray:
    """[3, samples]: a chirp from 50 Hz to 3.9 kHz, noise, and both after half a silence."""
    time = np.arange(samples) / RATE
    chirp = np.sin(2 * np.pi * (50 * time + (3900 - 50) / (2 * time[-1]) * time**2))
    noise = np.random.default_rng(seed).normal(size=samples)
    late = np.where(np.arange(samples) < samples // 2, 0, 0.3 * chirp + 0.1 * noise)
    return np.stack([chirp, noise, late]).astype(dtype)


def in_librosa(arguments: dict) -> dict:
    names = {"hop": "hop_length", "window_length": "win_length"}
    renamed = {names.get(name, name): value for name, value in arguments.items()}
    scale = renamed.pop("scale", "slaney")
    return renamed | ({"htk": True} if scale == "htk" else {})


def assert_near(ours, theirs, tolerance: float) -> None:
    """Equal in shape and, relative to the largest magnitude, in value."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("arguments", TRANSFORMS.values(), ids=TRANSFORMS)
def test_stft_is_librosas(arguments):
    x = sounds()
    theirs = librosa.stft(x, **in_librosa(arguments)).swapaxes(1, 2)
    ours = jax.jit(partial(audio.stft, **arguments))(x)
    assert ours.dtype == jnp.complex64
    assert_near(ours, theirs, 1e-6)


@pytest.mark.parametrize("arguments", TRANSFORMS.values(), ids=TRANSFORMS)
def test_stft_in_float64(arguments, x64):
    x = sounds(dtype=np.float64)
    ours = jax.jit(partial(audio.stft, **arguments))(x)
    assert ours.dtype == jnp.complex128
    assert_near(ours, librosa.stft(x, **in_librosa(arguments)).swapaxes(1, 2), 1e-12)


@pytest.mark.parametrize("length", [None, 3000, 4001, 4100])
@pytest.mark.parametrize("name", ["speech", "whole window", "odd", "not centred", "hamming", "ones"])
def test_istft_is_librosas_and_undoes_stft(name, length, x64):
    arguments = TRANSFORMS[name] | ({"hop": 128} if name == "ones" else {})
    x = sounds(dtype=np.float64)
    theirs = librosa.stft(x, **in_librosa(arguments))
    arguments = {key: value for key, value in arguments.items() if key != "pad_mode"}
    back = librosa.istft(theirs, length=length, **in_librosa(arguments))
    ours = jax.jit(partial(audio.istft, length=length, **arguments))(theirs.swapaxes(1, 2))
    inner = slice(64, 3800 if length is None else min(length, 3800))  # without the ends, where windows are near zero
    assert ours.shape == back.shape
    assert_near(ours[:, inner], back[:, inner], 1e-9)
    assert_near(ours[:, inner], x[:, inner], 1e-9)


@pytest.mark.parametrize(("size", "hop"), [(5, 2), (3, 3), (2, 7), (40, 1), (1, 1)])
def test_overlap_add_is_the_transpose_of_frame(size, hop, x64):
    x = jnp.asarray(sounds(samples=40, dtype=np.float64))
    frames = audio.frame(x, size, hop)
    other = jnp.cos(jnp.arange(frames.size)).reshape(frames.shape)
    added = audio.overlap_add(other, hop)
    np.testing.assert_allclose(jnp.vdot(frames, other), jnp.vdot(x[:, : added.shape[1]], added), rtol=1e-12)


def decibels() -> np.ndarray:
    """[3, mels, frames], as librosa has them."""
    mel = librosa.feature.melspectrogram(y=sounds(), sr=RATE, **in_librosa(SPEECH))
    return librosa.power_to_db(mel, top_db=None)


@pytest.mark.parametrize("count", [1, 13, 40])
def test_mfcc_is_librosas(count):
    theirs = librosa.feature.mfcc(S=decibels(), n_mfcc=count).swapaxes(1, 2)
    assert_near(jax.jit(partial(audio.mfcc, count=count))(decibels().swapaxes(1, 2)), theirs, 1e-5)


@pytest.mark.parametrize("width", [3, 9, 11])
def test_delta_is_librosas(width):
    theirs = librosa.feature.delta(decibels(), width=width).swapaxes(1, 2)
    assert_near(jax.jit(partial(audio.delta, width=width))(decibels().swapaxes(1, 2)), theirs, 1e-5)


RATES = [(8000, 16000), (16000, 8000), (22050, 16000), (44100, 8000), (16000, 22050), (48000, 44100)]


@pytest.mark.parametrize(("rate", "new"), RATES)
def test_resampling_is_librosas(rate, new):
    theirs = librosa.resample(sounds(), orig_sr=rate, target_sr=new, res_type="polyphase")
    assert_near(jax.jit(partial(audio.resample, rate=rate, new_rate=new))(sounds()), theirs, 1e-5)


@pytest.mark.parametrize(("rate", "new"), RATES)
def test_a_steep_filter_keeps_what_both_rates_can_hold(rate, new):
    time = np.arange(6000) / rate
    tone = 0.42 * min(rate, new)
    x = np.sin(2 * np.pi * tone * time)[None]
    ours = audio.resample(jnp.asarray(x, jnp.float32), rate, new, width=64, beta=14.8, rolloff=0.95)
    y = np.sin(2 * np.pi * tone * np.arange(ours.shape[1]) / new)[None]
    inner = slice(ours.shape[1] // 4, -ours.shape[1] // 4)
    assert_near(ours[:, inner], y[:, inner], 2e-5)


def test_features_of_recordings_are_librosas(test_data):
    """Everything that is made of a sound, on real ones."""
    x = np.stack([read(path, samples=4000) for path in sorted((test_data / "fsdd").glob("*.wav"))[::90]])
    spectra = librosa.stft(x, **in_librosa(TRANSFORMS["speech"]))
    ours = audio.stft(jnp.asarray(x), **TRANSFORMS["speech"])
    assert_near(ours, spectra.swapaxes(1, 2), 1e-4)
    back = audio.istft(ours, hop=80, window_length=200, length=4000)
    assert_near(back, librosa.istft(spectra, hop_length=80, win_length=200, n_fft=256, length=4000), 1e-4)
    levels = librosa.power_to_db(librosa.feature.melspectrogram(y=x, sr=RATE, **in_librosa(SPEECH)), top_db=None)
    log_mels = audio.log_mel(jnp.asarray(x), rate=RATE, **SPEECH) * (10 / np.log(10))
    coefficients = librosa.feature.mfcc(S=levels, n_mfcc=13)
    assert_near(audio.mfcc(log_mels, 13), coefficients.swapaxes(1, 2), 1e-4)
    assert_near(audio.delta(audio.mfcc(log_mels, 13)), librosa.feature.delta(coefficients).swapaxes(1, 2), 1e-4)
    upsampled = librosa.resample(x, orig_sr=RATE, target_sr=16_000, res_type="polyphase")
    assert_near(audio.resample(jnp.asarray(x), RATE, 16_000), upsampled, 1e-4)


@pytest.mark.parametrize("arguments", BANKS.values(), ids=BANKS)
def test_filters_are_librosas(arguments):
    theirs = librosa.filters.mel(sr=RATE, dtype=np.float64, **in_librosa(arguments)).T
    assert_near(audio.mel_filterbank(RATE, **arguments), theirs, 1e-12)


@pytest.mark.parametrize("power", [1.0, 2.0, 1.5])
@pytest.mark.parametrize("arguments", BANKS.values(), ids=BANKS)
def test_mel_spectrogram_is_librosas(arguments, power):
    x = sounds()
    arguments = {"hop": 80, "power": power} | arguments
    theirs = librosa.feature.melspectrogram(y=x, sr=RATE, **in_librosa(arguments)).swapaxes(1, 2)
    ours = jax.jit(partial(audio.mel_spectrogram, rate=RATE, **arguments))(x)
    assert ours.dtype == jnp.float32
    assert_near(ours, theirs, 1e-5)


# In float32 energies ten orders of magnitude under the loudest are rounding, librosa's as much as ours.
@pytest.mark.parametrize(("dtype", "floor"), [(np.float64, 1e-10), (np.float32, 1e-7)])
def test_log_mel_is_librosas_decibels(dtype, floor, x64):
    x = sounds(dtype=dtype)
    mel = librosa.feature.melspectrogram(y=x, sr=RATE, **in_librosa(SPEECH)).swapaxes(1, 2)
    ours = audio.log_mel(jnp.asarray(x), rate=RATE, floor=floor, **SPEECH)
    assert ours.dtype == dtype
    assert_near(ours * 10 / np.log(10), librosa.power_to_db(mel, ref=1, amin=floor, top_db=None), 1e-4)


def test_log_mel_of_recordings_is_librosas(test_data):
    paths = sorted((test_data / "fsdd").glob("*.wav"))[::27]
    assert len(paths) == 100
    x = np.stack([read(path, samples=8000) for path in paths])
    mel = librosa.feature.melspectrogram(y=x, sr=RATE, **in_librosa(SPEECH)).swapaxes(1, 2)
    ours = audio.log_mel(jnp.asarray(x), rate=RATE, **SPEECH)
    assert_near(ours * 10 / np.log(10), librosa.power_to_db(mel, ref=1, amin=1e-10, top_db=None), 1e-4)


def read(path: Path, samples: int) -> np.ndarray:
    """The recording, cut or filled with silence to ``samples``, in -1..1."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        sound = np.frombuffer(file.readframes(samples), np.int16) / np.float32(32768)
    return np.pad(sound, (0, samples - len(sound)))


@pytest.mark.parametrize(("size", "hop"), [(5, 2), (3, 3), (2, 7), (40, 1), (1, 1)])
def test_frames_are_slices(size, hop):
    x = sounds(samples=40)
    frames = audio.frame(jnp.asarray(x), size, hop)
    slices = [x[:, start : start + size] for start in range(0, 40 - size + 1, hop)]
    np.testing.assert_array_equal(frames, np.stack(slices, axis=1))


def features(x: jax.Array) -> jax.Array:
    return audio.log_mel(x, rate=RATE, **SPEECH)


def test_jit_equals_eager_and_traces_once(strict):
    traces = 0

    @jax.jit
    def traced(x):
        nonlocal traces
        traces += 1
        return features(x)

    for seed in range(3):
        x = jnp.asarray(sounds(seed))
        assert_near(traced(x), features(x), 1e-5)
    assert traces == 1


def test_batching_changes_nothing():
    x = jnp.asarray(sounds())
    np.testing.assert_allclose(features(x)[1:2], features(x[1:2]), rtol=1e-5, atol=1e-5)
    assert_near(jax.vmap(lambda one: features(one[None])[0])(x), features(x), 1e-5)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_gradients_are_finite_even_in_silence(power):
    def loudness(x):
        return audio.log_mel(x, rate=RATE, n_fft=256, hop=80, n_mels=40, power=power).mean()

    gradient = jax.grad(loudness)(jnp.concatenate([jnp.asarray(sounds()), jnp.zeros((1, 4001))]))
    assert jnp.isfinite(gradient).all()
    assert jnp.abs(gradient[:3]).max(axis=1).min() > 0
    assert not gradient[3].any()


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_gradients_are_the_slopes(power, x64):
    def energy(x):
        return audio.mel_spectrogram(x, rate=RATE, n_fft=64, hop=20, n_mels=8, power=power).sum()

    x = jnp.asarray(sounds(samples=200, dtype=np.float64)[1:2])
    direction = jnp.asarray(sounds(1, 200, np.float64)[1:2])
    slope = (energy(x + 1e-6 * direction) - energy(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(jnp.vdot(jax.grad(energy)(x), direction), slope, rtol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    x = jnp.asarray(sounds(), dtype)
    assert features(x).dtype == jnp.float32
    np.testing.assert_array_equal(features(x), features(x.astype("float32")))


def test_empty_filters_warn():
    with pytest.warns(UserWarning, match="hold none of the 33 bins; raise n_fft=64 or lower n_mels=40"):
        audio.mel_filterbank(RATE, 64, 40)


GOOD: dict[str, Any] = {"rate": RATE, "n_fft": 256, "hop": 80, "n_mels": 40}
WRONG = {
    "n_fft=0": "n_fft=0 must be positive",
    "hop=-1": "hop=-1 must be positive",
    "n_mels=0": "n_mels=0 must be positive",
    "rate=0": "rate=0 must be positive",
    "floor=0": "floor=0 must be positive",
    "power=0": "power=0 must be positive",
    "window_length=300": "window_length=300 is longer than n_fft=256",
    "window='kaiser'": "window='kaiser' is unknown; known are 'hann', 'hamming'",
    "pad_mode='wrap'": "pad_mode='wrap' is unknown; known are 'constant'",
    "scale='bark'": "scale='bark' is unknown; known are 'slaney', 'htk'",
    "norm='l2'": "norm='l2' is unknown; known are 'slaney', None",
    "fmax=5000": "fmax=5000 do not fit 0 <= fmin < fmax <= rate / 2 = 4000.0",
    "fmin=-1": "fmin=-1 and fmax=4000.0 do not fit",
    "center=False, n_fft=8192": "the samples axis holds 4001, fewer than one frame of size=8192",
}


@pytest.mark.parametrize(("change", "message"), WRONG.items(), ids=WRONG)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(ValueError) as error:
        audio.log_mel(jnp.asarray(sounds()), **GOOD | eval(f"dict({change})"))
    assert message in str(error.value)


SPECTRA = jnp.zeros((1, 30, 129), "complex64")
WRONG_CALLS = {
    "bins": (lambda: audio.istft(SPECTRA, hop=80, n_fft=300), "129 bins and window_length=300 do not fit n_fft=300"),
    "spectra": (lambda: audio.istft(SPECTRA[0], hop=80), r"must be [batch, frames, bins], none empty; got (30, 129)"),
    "hop": (lambda: audio.istft(SPECTRA, hop=0), "hop=0 must be positive"),
    "count": (lambda: audio.mfcc(jnp.zeros((1, 9, 40)), 41), "count=41 must be at least 1 and at most the number"),
    "width": (lambda: audio.delta(jnp.zeros((1, 9, 40)), 4), "width=4 must be odd and at least 3"),
    "frames": (lambda: audio.delta(jnp.zeros((1, 8, 40))), "the frames axis holds 8, fewer than width=9"),
    "rate": (lambda: audio.resample(jnp.zeros((1, 8)), 8000, 0), "new_rate=0 must be positive"),
}


@pytest.mark.parametrize(("call", "message"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_calls_are_named(call, message, unchecked):
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)


@pytest.mark.parametrize("shape", [(4000,), (1, 4000, 1), (0, 4000), (1, 0)])
def test_wrong_shapes_are_named(shape, unchecked):
    with pytest.raises(ValueError, match=r"\[batch, samples\], neither empty; got \(" + str(shape)[1:-1]):
        features(jnp.zeros(shape))


def test_integers_are_refused(unchecked):
    with pytest.raises(TypeError, match="got int16; divide 16-bit samples by 32768 first"):
        features(jnp.zeros((1, 4000), "int16"))
