"""Attributions: their laws on shrunk networks over pictures and sounds, and captum's figures."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo.explain import attribution, faithfulness, waypoints
from convzoo.explain.faithfulness import METHODS
from convzoo.explain.occlusion import cover, occlusion
from convzoo.models.mlp import MLP
from tests.models.test_models import CASES, assert_near, fill, filled, forward, inputs
from tests.parity import attributions, cases

LINEAR = MLP(widths=(), num_classes=5)
NAMES = ("cifar", "basic 1d")


def given(name: str):
    x = inputs(name)
    return CASES[name].model, filled(name), x, jnp.arange(len(x))


def linear():
    """A linear network over pictures of 9 by 11, and its row for each example's class, [batch, height, width, 2]."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 9, 11, 2)), jnp.float32)
    variables, target = fill(LINEAR, x), jnp.array([4, 0, 2])
    rows = variables["params"]["head"]["kernel"].T[target].reshape(x.shape)
    return (LINEAR, variables, x, target), rows


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", METHODS)
def test_examples_are_explained_each_by_itself(name, method):
    """[batch, *space], of pictures and of sounds; turning the batch turns the maps; under jit the same."""
    model, variables, x, target = given(name)
    found = METHODS[method](model, variables, x, target)
    assert found.shape == x.shape[:-1]
    assert np.abs(found).max() > 0
    assert_near(METHODS[method](model, variables, x[::-1], target[::-1])[::-1], found, 1e-4)


def test_a_linear_network_is_its_rows():
    """Whatever the method: the gradient, its product with the input, what is lost where a place is hidden."""
    network, rows = linear()
    x = network[2]
    assert_near(attribution.gradient(*network), rows, 1e-5)
    assert_near(attribution.saliency(*network), jnp.abs(rows).max(axis=-1), 1e-5)
    assert_near(attribution.smoothgrad(*network, samples=3), jnp.abs(rows).max(axis=-1), 1e-5)
    base = jnp.flip(x, 0)
    found = attribution.integrated_gradients(*network, baseline=base, steps=4)
    assert_near(found.values, rows * (x - base), 1e-5)
    np.testing.assert_allclose(found.gap, 0, atol=1e-5)
    assert_near(occlusion(*network, window=1, hidden=base), (rows * (x - base)).sum(axis=-1), 1e-4)


def test_occlusion_is_the_mean_over_the_windows_that_cover_a_place():
    """Windows that do not fit evenly, in chunks that do not either."""
    network, rows = linear()
    contributions = np.asarray((rows * network[2]).sum(axis=-1))
    assert cover(9, 4, 3).shape == (3, 9)
    assert cover(11, 5, 2).shape == (4, 11)
    total, count = np.zeros((3, 9, 11)), np.zeros((9, 11))
    for top in (0, 3, 6):
        for left in (0, 2, 4, 6):
            rows_, columns = slice(top, top + 4), slice(left, left + 5)
            total[:, rows_, columns] += contributions[:, rows_, columns].sum(axis=(1, 2), keepdims=True)
            count[rows_, columns] += 1
    assert_near(occlusion(*network, window=(4, 5), stride=(3, 2), chunk=7), total / count, 1e-4)
    with pytest.raises(ValueError, match=r"a stride of \(4, 6\) leaves places out between windows of \(4, 5\)"):
        occlusion(*network, window=(4, 5), stride=(4, 6))


def test_integrated_gradients_are_complete():
    """The sum is f(x) - f(baseline) but for the gap that is told, which closes as the steps grow."""
    model, variables, x, target = given("cifar")
    whole = attribution.scores(model, variables, x, target) - attribution.scores(model, variables, 0 * x, target)
    gaps = []
    for steps in (4, 50):
        found = attribution.integrated_gradients(model, variables, x, target, steps=steps)
        np.testing.assert_allclose(found.values.sum(axis=(1, 2, 3)) - whole, found.gap, atol=1e-4)
        gaps.append(float(np.abs(found.gap).max() / np.abs(whole).max()))
    assert gaps[1] < 0.02
    assert gaps[1] < gaps[0]


def test_smoothgrad_without_noise_is_saliency():
    assert_near(attribution.smoothgrad(*given("cifar"), noise=0.0), attribution.saliency(*given("cifar")), 1e-5)


def test_grad_cam_before_a_mean_and_a_linear_head_is_cam():
    """The class's row over the channels (Zhou et al. 2016); Grad-CAM++'s weights are then known, too."""
    model, variables, x, target = given("cifar")
    features = forward(model)(variables, x)[1]["stage2"]
    places = features.shape[1] * features.shape[2]
    slope = variables["params"]["head"]["kernel"].T[target][:, None, None] / places
    found = attribution.grad_cam(model, variables, x, target)
    assert_near(found.places, jax.nn.relu((slope * features).sum(axis=-1)), 1e-4)
    assert found.map.shape == x.shape[:-1]
    alpha = 1 / (2 + features.sum(axis=(1, 2), keepdims=True) * slope)
    expected = jax.nn.relu((places * alpha * jax.nn.relu(slope) * features).sum(axis=-1))
    assert_near(attribution.grad_cam_plus_plus(model, variables, x, target).places, expected, 1e-4)


def test_networks_and_waypoints_without_places_are_told():
    with pytest.raises(ValueError, match="'pooled' has no places"):
        attribution.grad_cam(*given("cifar"), waypoint="pooled")
    network, _ = linear()
    with pytest.raises(ValueError, match="MLP has no waypoint with places"):
        attribution.grad_cam(*network)


def test_curves_begin_and_end_where_they_must():
    """The photograph, what is left of it, and areas below straight lines; ties at random."""
    model, variables, x, target = given("cifar")
    pointed = attribution.saliency(model, variables, x, target)
    found = faithfulness.curves(model, variables, x, target, pointed, steps=9)

    def chances(x):
        return jax.nn.softmax(forward(model)(variables, x)[0])[jnp.arange(len(x)), target]

    for curve, begin, end in (
        (found.deletion, x, 0 * x),
        (found.insertion, faithfulness.blurred(x), x),
    ):
        assert_near(curve[:, 0], chances(begin), 1e-4)
        assert_near(curve[:, -1], chances(end), 1e-4)
    assert_near(found.deletion_area, np.trapezoid(found.deletion, found.shares, axis=1), 1e-5)
    ranks = faithfulness.ranks_of(jnp.where(jnp.arange(64) < 32, 2.0, 1.0).reshape(1, 8, 8)).ravel()
    assert set(np.asarray(ranks[:32])) == set(range(32))
    assert list(np.asarray(ranks[:32])) != list(range(32))


def test_a_map_of_what_counts_has_better_areas():
    """Of a linear network the contributions are the best order there is, and their negative the worst."""
    network, rows = linear()
    right = (rows * network[2]).sum(axis=-1)
    best, worst = (faithfulness.curves(*network, each, start=0.0) for each in (right, -right))
    assert (best.deletion_area < worst.deletion_area).all()
    assert (best.insertion_area > worst.insertion_area).all()


def test_weights_are_ruined_from_the_head_down():
    """Each step changes one part more, arrays keep their values, and rank correlations tell how maps follow."""
    model, variables, x, target = given("cifar")
    uses = waypoints.first_uses(model, variables, x)
    steps = OrderedDict(faithfulness.cascade(model, variables, x))
    assert list(steps) == ["head", "stage2", "stage1", "stage0", "stem"]
    gone = set()
    for name, ruined in steps.items():
        gone.add(name)
        for old, new, use in zip(*map(jax.tree.leaves, (variables, ruined, uses)), strict=True):
            np.testing.assert_array_equal(np.sort(np.ravel(old)), np.sort(np.ravel(new)))
            assert np.array_equal(old, new) == (use not in gone)
    found = faithfulness.sanity(attribution.saliency, model, variables, x, target)
    assert list(found) == list(steps)
    assert float(np.abs(found["stem"]).max()) < 0.8


def test_rank_correlation():
    one = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 4)), jnp.float32)
    np.testing.assert_allclose(faithfulness.rank_correlation(one, jnp.exp(one)), 1, atol=1e-5)
    np.testing.assert_allclose(faithfulness.rank_correlation(one, -one), -1, atol=1e-5)
    np.testing.assert_array_equal(faithfulness.rank_correlation(one, 0 * one), 0)


def test_blurring_keeps_what_is_even_and_smooths_the_rest():
    x = inputs("basic 1d")
    np.testing.assert_allclose(faithfulness.blurred(0 * x + 3), 3, rtol=1e-5)
    assert np.square(np.diff(faithfulness.blurred(x), axis=1)).mean() < 0.1 * np.square(np.diff(x, axis=1)).mean()


@pytest.mark.parametrize("name", attributions.KEPT)
def test_gives_captums_figures(name):
    """At the same weights, in float64; tests/parity compares live."""
    found, expected = cases.figures(attributions.ours(name)), attributions.golden()[name]
    attributions.check(found, expected)
