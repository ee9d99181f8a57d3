"""Recipes of the graph papers: Adam with the decay in the gradient, of one child alone; rates that stay or halve."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from convzoo.train.experiment import decayed
from tests.train.toys import experiment as toy


def test_adam_takes_the_decay_as_part_of_the_gradient():
    params = {
        "conv0": {"kernel": jnp.full((2, 2), 3.0), "bias": jnp.ones(2)},
        "conv1": {"kernel": jnp.full((2, 2), 3.0)},
    }
    recipe = toy(optimizer="adam", annealing="none", warmup=0.0, weight_decay=0.5, decay_within="conv0", clip_norm=0.0)
    transformation = recipe.transformation()
    zeros = {"conv0": {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}, "conv1": {"kernel": jnp.zeros((2, 2))}}
    updates: Any
    updates, _ = transformation.update(zeros, transformation.init(params), params)
    # Adam's first step has the size of the learning rate, whatever that of the gradient.
    np.testing.assert_allclose(updates["conv0"]["kernel"], -recipe.learning_rate, rtol=1e-4)
    np.testing.assert_array_equal(updates["conv0"]["bias"], 0)
    np.testing.assert_array_equal(updates["conv1"]["kernel"], 0)
    assert decayed(params) == {"conv0": {"kernel": True, "bias": False}, "conv1": {"kernel": True}}


def test_learning_rates_stay_or_halve():
    constant: Any = toy(annealing="none", warmup=0.0, steps=70).schedule()
    halving: Any = toy(annealing="halving", steps=70).schedule()
    peak = toy().learning_rate
    np.testing.assert_allclose([float(constant(step)) for step in (0, 35, 69)], peak)
    np.testing.assert_allclose([float(halving(step)) / peak for step in (0, 9, 10, 69)], [1, 1, 0.5, 0.5**6])
    warmed: Any = toy(annealing="none", warmup=0.1, steps=70).schedule()
    np.testing.assert_allclose([float(warmed(step)) / peak for step in (0, 7, 69)], [0, 1, 1], atol=1e-6)
    assert isinstance(toy(annealing="none").transformation(), optax.GradientTransformation)
