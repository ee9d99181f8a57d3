"""Causal networks in pieces: the whole file's output, whatever the pieces; and networks that cannot are told."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo.models import quartznet, resnet, silero, tcn
from convzoo.nn import Basic, Model, Streaming
from tests.models.test_models import fill


class Case(NamedTuple):
    model: Any
    channels: int
    stride: int
    samples: int


CASES = {
    "tcn": Case(tcn.TCN(widths=(6, 8, 8), num_classes=5), 3, 1, 61),
    "wavenet": Case(tcn.WaveNet(cycles=2, depth=3, width=6, skip=8, num_classes=5), 1, 1, 61),
    "quartznet": Case(
        quartznet.QuartzNet(
            blocks=(quartznet.Block(6, 5, stride=2), quartznet.Block(8, 3, 2, dilation=2, residual=True)),
            num_classes=5,
            padding="CAUSAL",
        ),
        3,
        2,
        61,
    ),
    "silero": Case(silero.SILERO_VAD, 1, 512, 3000),
}
CHUNKS = [1, 2, 3, 7, 61]


@functools.cache
def whole(name: str) -> tuple[Any, np.ndarray, np.ndarray]:
    model, channels, _, samples = CASES[name]
    x = np.random.default_rng(0).normal(size=(2, samples, channels)).astype(np.float32)
    variables = fill(model, x)
    return variables, x, np.asarray(jax.jit(functools.partial(model.apply, train=False))(variables, x)[0])


@pytest.mark.parametrize("size", CHUNKS)
@pytest.mark.parametrize("name", CASES)
def test_chunks_give_what_the_whole_gives(name, size):
    model, channels, stride, samples = CASES[name]
    variables, x, expected = whole(name)
    stream = Streaming(model, variables)
    state = stream.init_state(2, channels)
    size = size * 64 if stride == 512 else size
    found, forms = [], set()
    for start in range(0, samples, size):
        y, state = stream.step(x[:, start : start + size], state)
        found.append(y)
        forms.add(str(jax.tree.map(jnp.shape, state.past)))
        assert state.waiting.shape[1] < stride
    found.append(stream.finish(state))
    np.testing.assert_allclose(np.concatenate(found, axis=1), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert len(forms) == 1, "memory does not grow"


def test_the_same_chunk_size_compiles_once():
    variables, x, _ = whole("tcn")
    stream = Streaming(CASES["tcn"].model, variables)
    state = stream.init_state(2, 3)
    _, state = stream.step(x[:, :5], state)
    with jax.no_tracing():
        _, state = stream.step(x[:, 5:10], state)


def test_an_empty_chunk_changes_nothing():
    variables, x, _ = whole("quartznet")
    stream = Streaming(CASES["quartznet"].model, variables)
    state = stream.init_state(2, 3)
    _, state = stream.step(x[:, :5], state)
    y, after = stream.step(x[:, :0], state)
    assert y.shape == (2, 0, 5)
    jax.tree.map(np.testing.assert_array_equal, state, after)


POOLED = resnet.ResNet(depths=(1,), block=Basic, width=4, stem="plain", padding="CAUSAL", ranks=(1,))
LOOKING: dict[str, tuple[Model, str]] = {
    "half": (quartznet.QuartzNet(blocks=(quartznet.Block(6, 5),)), "in two pieces it gives something else than for"),
    "pooled": (POOLED, r"for sounds of \d+ samples its output is \(1, 1000\), not"),
}


@pytest.mark.parametrize(("model", "message"), LOOKING.values(), ids=LOOKING)
def test_networks_that_look_ahead_are_told(model, message):
    variables = fill(model, jnp.zeros((1, 40, 3)))
    with pytest.raises(ValueError, match=message):
        Streaming(model, variables).init_state(1, 3)
