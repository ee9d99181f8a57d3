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


@pytest.mark.parametrize("shape", [(4000,), (1, 4000, 1), (0, 4000), (1, 0)])
def test_wrong_shapes_are_named(shape, unchecked):
    with pytest.raises(ValueError, match=r"\[batch, samples\], neither empty; got \(" + str(shape)[1:-1]):
        features(jnp.zeros(shape))


def test_integers_are_refused(unchecked):
    with pytest.raises(TypeError, match="got int16; divide 16-bit samples by 32768 first"):
        features(jnp.zeros((1, 4000), "int16"))
