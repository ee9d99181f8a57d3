"""Feature visualisation: answers rise, seeds and batches do not matter, waves are orthogonal, errors tell."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import convzoo
from convzoo.data.graphs import Graphs, trace
from convzoo.explain import canvas, maps
from convzoo.explain.objectives import (
    OUTPUT,
    alike,
    answers,
    between,
    channel,
    direction,
    diverse,
    logit,
    neuron,
    readout,
    scores,
)
from convzoo.explain.visualise import ascend, climb, looked, visualise, visualise_graph, visualise_sound
from convzoo.models.graphnet import GRAPHNET
from convzoo.models.resnet import RESNET18
from convzoo.models.wavecnn import M5
from tests.parity.cases import filled

NET = RESNET18.clone(depths=(1, 1), width=8, num_classes=5)
SHAPE = (24, 32)
MEAN, STD = (0.5,) * 3, (0.25,) * 3
OBJECTIVES = (channel("stage0", 3), neuron("stage1", 5), logit(2), between(logit(1), channel("stem", 0), 0.25))


def started(model, x):
    """Random weights."""
    shapes = jax.eval_shape(lambda x: model.init(random.key(1), x, train=False), x)
    return jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), filled(shapes))


@pytest.fixture(scope="module")
def variables():
    return started(NET, jnp.zeros((1, *SHAPE, 3)))


@pytest.fixture(scope="module")
def risen(variables):
    return ascend(NET, variables, OBJECTIVES, canvas.images(SHAPE, MEAN, STD), steps=40)


@functools.partial(jax.jit, static_argnums=0)
def apply(model, variables, x):
    return model.apply(variables, x, train=False)


def values(model, variables, objectives, x):
    """[objectives, inputs]: every objective's answer to every input."""
    found = looked(model, variables, x, len(x))
    output, features = jax.eval_shape(functools.partial(apply, model), variables, x)
    weights, _ = readout(objectives, {name: a.shape[1:] for name, a in {**features, OUTPUT: output}.items()})
    each = [np.einsum("opc,ipc->oi", w, found[name]) for name, w in weights.items()]
    return np.sum(each, axis=0)


def test_the_answers_rise(risen):
    assert np.all(risen.after > risen.before + 0.5 * np.abs(risen.before))


def test_the_answers_rise_above_any_random_image(variables):
    """Random weights answer noise most, so here the waves do not fall and all steps go the same way."""
    free = canvas.images(SHAPE, MEAN, STD, 0.0, canvas.Jitter(0, 0, 0))
    risen = ascend(NET, variables, OBJECTIVES, free, steps=40, rate=0.2)
    noise = (np.random.default_rng(0).uniform(size=(32, *SHAPE, 3)).astype(np.float32) - 0.5) / 0.25
    best = values(NET, variables, OBJECTIVES, jnp.asarray(noise)).max(axis=1)
    assert np.all(risen.after > best + 0.2 * np.abs(best))


def test_pictures(variables, risen):
    made = visualise(NET, variables, OBJECTIVES, shape=SHAPE, steps=40, normalise=(MEAN, STD))
    assert made.shape == (4, *SHAPE, 3)
    assert made.dtype == np.float32
    assert 0 <= made.min() < made.max() <= 1
    margin = canvas.JITTER.margin(SHAPE)
    np.testing.assert_array_equal(made, risen.inputs[:, margin:-margin, margin:-margin])  # the same seed
    assert np.abs(visualise(NET, variables, OBJECTIVES[:1], shape=SHAPE, steps=1, seed=1)[0] - made[0]).max() > 0.1


def test_what_else_is_in_the_batch_does_not_matter(variables):
    several, alone = (
        visualise(NET, variables, objectives, shape=SHAPE, steps=5) for objectives in (OBJECTIVES, OBJECTIVES[:2])
    )
    np.testing.assert_allclose(several[:2], alone, atol=1e-3)


def test_other_channels_need_no_other_program(variables):
    compiled: Any = climb
    visualise(NET, variables, [channel("stage0", 0)], shape=SHAPE, steps=1)
    before = compiled._cache_size()
    visualise(NET, variables, [channel("stage0", 7)], shape=SHAPE, steps=2)
    assert compiled._cache_size() == before


def test_the_diverse_differ(variables):
    made = {}
    for strength in (1e-6, 3.0):
        objectives = diverse(channel("stage0", 3), 3, strength)
        made[strength] = ascend(NET, variables, objectives, canvas.images(SHAPE, MEAN, STD), steps=40)
    likeness = {}
    for strength, found in made.items():
        x = jnp.asarray((found.inputs - 0.5) / 0.25)
        seen = looked(NET, variables, x, 3)
        square = {"stage0": jnp.ones((3, 3)) - jnp.eye(3)}
        likeness[strength] = float(alike(seen, ({}, square)).mean())
    assert likeness[3.0] < likeness[1e-6] - 0.02
    assert np.all(made[3.0].after > made[3.0].before)


def test_objectives_are_linear(variables):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, *SHAPE, 3)), jnp.float32)
    vector = np.zeros(8)
    vector[3] = 2
    one, other = channel("stage0", 3), logit(1)
    found = values(
        NET, variables, [one, other, 2 * one - other, direction("stage0", vector), between(one, other, 0.3)], x
    )
    np.testing.assert_allclose(found[2], 2 * found[0] - found[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[3], 2 * found[0], rtol=1e-4)
    np.testing.assert_allclose(found[4], 0.7 * found[0] + 0.3 * found[1], rtol=1e-4, atol=1e-5)
    output, features = apply(NET, variables, x)
    np.testing.assert_allclose(found[0], features["stage0"][..., 3].mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found[1], output[:, 1], rtol=1e-4)
    height, width = features["stage1"].shape[1:3]
    middle = values(NET, variables, [neuron("stage1", 5)], x)[0]
    np.testing.assert_allclose(middle, features["stage1"][:, height // 2, width // 2, 5], rtol=1e-4)


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        (channel("stage9", 0), r"no waypoint 'stage9'; there are stem, stage0, stage1, pooled, output"),
        (channel("stage0", 8), r"stage0 has the channels 0 to 7; there is no 8"),
        (logit(5), r"output has the channels 0 to 4"),
        (neuron("stage0", 0, (99, 0)), r"stage0 has the places \[6, 8\]; there is no \(99, 0\)"),
        (direction("stage0", (1, 2)), r"stage0 has 8 channels; the direction has 2 numbers"),
    ],
)
def test_what_does_not_exist_is_told(variables, objective, told):
    with pytest.raises(ValueError, match=told):
        visualise(NET, variables, [objective], shape=SHAPE, steps=1)


def test_progress_and_cancelling(variables):
    seen = []
    visualise(NET, variables, OBJECTIVES[:1], shape=SHAPE, steps=11, told=lambda step, of: seen.append((step, of)))
    assert seen == [(8, 11), (11, 11)]

    def stop(step, of):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        visualise(NET, variables, OBJECTIVES[:1], shape=SHAPE, steps=11, told=stop)


# what is painted ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [(6, 9), (8, 8), (15,)])
def test_the_waves_are_orthogonal_and_can_be_found_again(space):
    shape = (1, 2, *space[:-1], space[-1] // 2 + 1, 1)
    size = int(np.prod(shape))
    units = np.eye(size, dtype=np.float32).reshape(size, *shape[1:])
    painted = np.asarray(canvas.waves(jnp.asarray(units), space, 1.0)).reshape(size, -1)
    gram = painted @ painted.T
    inner = np.ones(shape[1:-1], bool)  # waves at frequency 0 and at half the rate are their own conjugates
    inner[..., 0] = False
    inner[..., -1] &= space[-1] % 2 == 1
    inner = inner.ravel()
    np.testing.assert_allclose(gram[inner], np.diag(np.diag(gram))[inner], atol=1e-5)
    parameters = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    image = np.asarray(canvas.waves(jnp.asarray(parameters), space, 1.0))[0, ..., 0]
    again = np.fft.rfftn(image, norm="ortho") / canvas.falling(space, 1.0)
    np.testing.assert_allclose(np.stack([again.real, again.imag]).ravel()[inner], parameters.ravel()[inner], atol=1e-4)


def test_the_colours_are_orthogonal_axes():
    np.testing.assert_allclose(canvas.AXES.T @ canvas.AXES, np.eye(3), atol=1e-3)
    covariance = canvas.colours() @ canvas.colours().T
    assert covariance.min() > 0.6  # red, green and blue go together in photographs


def test_a_view_without_jitter_is_the_middle():
    x = random.uniform(random.key(0), (2, 20, 24, 3))
    view = jax.jit(canvas.view, static_argnums=(2, 3))
    seen = view(random.key(1), x, (12, 10), canvas.Jitter(0, 0, 0))
    np.testing.assert_allclose(seen, x[:, 4:16, 7:17], atol=1e-5)
    moved = view(random.key(1), x, (12, 10), canvas.Jitter())
    assert 0 <= moved.min() < moved.max() <= 1


# sounds, graphs -------------------------------------------------------------------------------------------------------


def as_channel(waves):
    return waves[..., None]


def test_sounds():
    net = M5.clone(num_classes=3)
    own = started(net, jnp.zeros((1, 4096, 1)))
    made = ascend(net, own, [logit(0), logit(1)], canvas.sounds(4096, as_channel, 1.0), steps=12)
    assert np.all(made.after > made.before)
    waves = visualise_sound(net, own, [logit(0)], given=as_channel, samples=4096, level=1.0, steps=1)
    assert waves.shape == (1, 4096)
    np.testing.assert_allclose(np.square(waves).mean(), 1, rtol=1e-3)


def test_graphs():
    picture = trace(np.ones((4, 5), np.float32))
    edges = {"tap": picture["taps"], "weight": np.ones(len(picture["taps"]), np.float32)}
    counts = np.array([20], np.int32), np.array([len(picture["taps"])], np.int32)
    graph = Graphs(picture["nodes"], edges, picture["receivers"], picture["senders"], None, *counts)
    net = GRAPHNET.clone(depth=1, width=8)
    own = started(net, graph)
    low, high = picture["nodes"].copy(), picture["nodes"].copy()
    low[:, 0] = 0
    awake = int(apply(net, own, graph)[1]["stem"][7].argmax())  # a ReLU that is 0 has no slope
    objectives = [logit(4), neuron("stem", awake, (7,)), channel("block0", 1)]
    found = ascend(net, own, objectives, canvas.graphs(graph, low, high, 0.1), steps=40)
    assert np.all(found.after > found.before)
    made = visualise_graph(net, own, objectives, graph, low=low, high=high, steps=40)
    np.testing.assert_array_equal(made, found.inputs)
    assert made.shape == (3, 20, 3)
    np.testing.assert_array_equal(made[0, :, 1:], picture["nodes"][:, 1:])  # places stay
    for row, objective in enumerate(objectives):  # several graphs side by side answer as each alone
        output, features = apply(net, own, graph._replace(nodes=jnp.asarray(made[row])))
        shapes = {name: a.shape if len(a) == 20 else a.shape[1:] for name, a in features.items()}
        weights = readout([objective], shapes | {OUTPUT: output.shape[1:]})
        alone = scores(answers(output, features, 1), weights)
        np.testing.assert_allclose(alone, found.after[row : row + 1], rtol=1e-4, atol=1e-5)


# the real network -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_network_is_sure_of_what_was_made_for_it():
    pytest.importorskip("safetensors", reason="safetensors is not installed (the extra `weights`)")
    model, variables, recipe = convzoo.load("efficientnet_lite0")
    classes = [985]
    made = visualise(
        model, variables, [logit(c) for c in classes], shape=(64, 64), steps=32, normalise=(recipe.mean, recipe.std)
    )
    logits, _ = apply(model, variables, (made - np.array(recipe.mean)) / np.array(recipe.std))
    assert np.asarray(logits).argmax(axis=1).tolist() == classes


# pictures of maps and kernels -----------------------------------------------------------------------------------------


def test_feature_maps_and_montages(variables):
    x = np.random.default_rng(2).normal(size=(*SHAPE, 3)).astype(np.float32)
    found = maps.feature_maps(NET, variables, x)
    assert list(found) == ["stem", "stage0", "stage1", "pooled"]
    np.testing.assert_allclose(found["stage1"], apply(NET, variables, x[None])[1]["stage1"][0], atol=1e-4)
    sheet = maps.montage(found["stage0"], 4, least=16, columns=2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * 12 + 2, 2 * 16 + 2, 3)
    assert maps.montage(found["pooled"]).shape[2] == 3
    with pytest.raises(ValueError, match=r"\[height, width, channels\]"):
        maps.montage(np.zeros((1, 2, 3, 4)))


def test_the_most_variable_come_first():
    values = np.zeros((4, 4, 3))
    values[0, 0], values[1, 1, 2] = (1, 0, 5), -5
    assert maps.strongest(values, 2).tolist() == [2, 0]
    assert maps.strongest(np.array([0.0, -3.0, 1.0]), 2).tolist() == [1, 2]
    warm, cool, none = maps.signed(np.array([2.0, -2.0, 0.0]))
    assert warm[0] > warm[2]
    assert cool[2] > cool[0]
    assert none.tolist() == [255, 255, 255]


def test_first_kernels(variables):
    kernel = maps.first_kernel(variables["params"])
    assert kernel.shape == (7, 7, 3, 8)
    pictures = maps.kernel_pictures(kernel, 5, least=14)
    assert pictures.shape == (5, 14, 14, 3)
    strongest = kernel[..., maps.powerful(kernel)[0]]
    shown = pictures[0, ::2, ::2].astype(float) - 127.5
    np.testing.assert_allclose(shown, 127.5 * strongest / np.abs(strongest).max(), atol=0.51)
    assert maps.kernels(kernel, 4, least=7, columns=4).shape == (7, 4 * 7 + 3 * 2, 3)
    with pytest.raises(ValueError, match="no convolution"):
        maps.first_kernel({"head": {"kernel": np.zeros((3, 4))}})
    with pytest.raises(ValueError, match=r"\[height, width, in, out\]"):
        maps.kernels(np.zeros((3, 1, 4)))
