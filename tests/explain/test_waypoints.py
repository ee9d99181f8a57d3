"""A shrunk network of every family opened at a waypoint: what is put there is felt, and nothing else changes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo.explain import waypoints
from tests.models.test_models import CASES, assert_near, filled, forward, inputs

FAMILIES = {type(case.model): name for name, case in reversed(CASES.items())}.values()
OFF = {"gin": {"pooled"}}  # each layer is read out by itself, and then they are joined
UNOPTIMISED = {"xla_backend_optimization_level": 0}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_value_put_back_changes_nothing_and_another_all_that_follows(name):
    case, variables, x = CASES[name], filled(name), inputs(name)
    order = case.waypoints.split()
    there = waypoints.traced(case.model, variables, x).waypoints()
    assert set(order) - set(there) == OFF.get(name, set())
    middle = there[len(there) // 2]

    @partial(jax.jit, compiler_options=UNOPTIMISED)
    def through(variables, x):
        value, onward = waypoints.opened(case.model, variables, x, middle)
        other = value + jax.random.normal(jax.random.key(0), value.shape)
        return value, waypoints.answer(case.model, variables, x), onward(value), onward(other)

    value, (y, features), same, other = through(variables, x)
    assert_near(value, features[middle], 1e-5)
    assert_near(same[0], y, 1e-4)
    jax.tree.map(partial(assert_near, tolerance=1e-4), same[1], features)
    assert not np.allclose(other[0], y, rtol=1e-3)
    for before in order[: order.index(middle)]:
        np.testing.assert_array_equal(other[1][before], same[1][before])


def test_the_gradient_before_a_linear_head_is_the_heads_row():
    """With jit, grad and vmap around; a change there is a change of the output."""
    model, variables, x = CASES["cifar"].model, filled("cifar"), inputs("cifar")
    apply = waypoints.perturbed(model, variables, "pooled")

    @partial(jax.jit, compiler_options=UNOPTIMISED)
    @jax.vmap
    def rows(one):
        delta = jnp.zeros((1, model.width * 4))
        return jax.jacobian(lambda delta: apply(one[None], delta)[0][0])(delta)[:, 0]

    kernel = variables["params"]["head"]["kernel"]
    assert_near(rows(x), jnp.broadcast_to(kernel.T, (len(x), *kernel.T.shape)), 1e-5)
    y, _ = apply(x, 0.0)
    moved, features = apply(x, 0.5)
    assert_near(moved - y, jnp.broadcast_to(0.5 * kernel.sum(axis=0), y.shape), 1e-4)
    assert_near(features["pooled"], forward(model)(variables, x)[1]["pooled"] + 0.5, 1e-5)


def test_waypoints_that_are_not_on_the_way_are_told():
    with pytest.raises(ValueError, match="ResNet: it has no waypoint 'stage9'; on the way are stem, stage0, stage"):
        waypoints.opened(CASES["cifar"].model, filled("cifar"), inputs("cifar"), "stage9")
    with pytest.raises(ValueError, match="the output does not depend on 'pooled'; on the way are conv0, conv1"):
        waypoints.perturbed(CASES["gin"].model, filled("gin"), "pooled")(inputs("gin"), 0.0)


def test_every_array_is_known_by_the_first_waypoint_that_needs_it():
    uses = waypoints.first_uses(CASES["efficientnet"].model, filled("efficientnet"), inputs("efficientnet"))
    for kind in ("params", "batch_stats"):
        for name, below in uses[kind].items():
            assert set(jax.tree.leaves(below)) == {name.split("_")[0]}
