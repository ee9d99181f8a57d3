"""Patches: what lies outside a patch does not matter to its answer, all that is in its corners' rows does."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo.explain.patches import bisected, looking, most_exciting, spans, waypoints
from convzoo.models.efficientnet import EFFICIENTNET_B0, EfficientNet, plain
from convzoo.models.mobilenet import Blocks
from convzoo.models.resnet import RESNET18
from tests.explain.test_visualise import started

LINES = ((Blocks(1, 3, 2, 2, 8, 0.25),), (Blocks(1, 5, 2, 2, 8, 0.25),))
MODELS = {
    "HALF": RESNET18.clone(depths=(1, 1), width=8, num_classes=4),
    "SAME": EFFICIENTNET_B0.clone(stages=LINES, stem=8, top=16, num_classes=4, padding="SAME"),
}
SHAPE = (72, 90, 3)


@pytest.fixture(params=MODELS, scope="module")
def network(request):
    model = MODELS[request.param]
    return model, started(model, jnp.zeros((1, *SHAPE)))


def test_only_what_is_inside_matters(network):
    """By the gradient: outside a patch it is exactly 0, inside it reaches far."""
    model, variables = network
    if isinstance(model, EfficientNet):  # without gates, which are computed from all places; the windows are the same
        model = model.clone(stages=plain(model.stages))
        variables = started(model, jnp.zeros((1, *SHAPE)))
    images = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    found = most_exciting(model, variables, images, {"stem": [0], "stage0": [3], "stage1": [1]}, count=2, batch_size=2)

    @functools.partial(jax.jit, static_argnums=(1, 2))
    @jax.value_and_grad
    def strongest(x, name, channel):
        return waypoints(model, variables, x[None])[name][..., channel].max()

    for (name, channel), patches in found.items():
        assert len({patch.image for patch in patches}) == 2
        assert patches[0].value >= patches[1].value
        for patch in patches:
            value, slope = strongest(images[patch.image], name, channel)
            assert float(value) == pytest.approx(patch.value, rel=1e-4)
            rows, columns, _ = np.nonzero(slope)
            assert patch.top <= rows.min()
            assert rows.max() < patch.bottom
            assert patch.left <= columns.min()
            assert columns.max() < patch.right
            assert rows.max() - rows.min() >= 0.5 * (patch.bottom - patch.top)
            assert patch.cut(images).shape == (patch.bottom - patch.top, patch.right - patch.left, 3)


def test_the_spans_are_those_of_the_gradient(network):
    """With gates: exactly the pixels that reach a place through windows, at every place, borders included."""
    model, variables = network
    look = looking(model, variables, SHAPE)
    places = waypoints(model, variables, np.zeros((1, *SHAPE), np.float32))["stage1"].shape[2]
    found = spans(look, "stage1", 1, SHAPE[1], places)
    for place, (first, end) in enumerate(found):
        reached = [look(1, cut + 1, True)["stage1"][place] for cut in range(SHAPE[1])]
        beyond = [look(1, cut, False)["stage1"][place] for cut in range(SHAPE[1])]
        assert (first, end) == (reached.index(True), SHAPE[1] - beyond[::-1].index(True))


def test_what_has_no_places_sees_everything(network):
    model, variables = network
    images = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)
    (patches,) = most_exciting(model, variables, images, {"output": [2]}).values()
    assert [patch[2:] for patch in patches] == [(0, 72, 0, 90)] * 2
    logits = waypoints(model, variables, images)["output"][:, 2]
    assert [patch.image for patch in patches] == np.argsort(-np.asarray(logits)).tolist()
    with pytest.raises(ValueError, match=r"no waypoint 'stage7'; there are .*stage1"):
        most_exciting(model, variables, images, {"stage7": [0]})


def test_bisection():
    assert [bisected(10, lambda cut, edge=edge: cut >= edge) for edge in (0, 4, 9, 10)] == [0, 4, 9, 10]
