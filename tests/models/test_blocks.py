"""What kernels start as, the rounding and scaling of channels, and what a gate passes."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import zoo
from convzoo.models.mobilenet import V2, rounded, scaled
from convzoo.models.mobilenetv3 import LARGE
from convzoo.nn import Basic, Conv, ConvNeXtBlock, Dense, InvertedResidual, SqueezeExcite


def started(layer, shape) -> np.ndarray:
    return np.asarray(jax.jit(layer.init)(jax.random.key(0), jnp.zeros(shape))["params"]["kernel"])


@pytest.mark.parametrize(
    ("initial", "groups", "expected"),
    [
        ("he", 1, math.sqrt(2 / (9 * 48))),  # truncated, so a little narrower at the same variance
        ("he_out", 1, math.sqrt(2 / (9 * 96))),
        ("he_out", 48, math.sqrt(2 / (9 * 2))),  # an input reaches the two outputs of its group alone
        ("normal_02", 1, 0.02),
        ("normal_01", 48, 0.01),
    ],
)
def test_kernels_start_with_the_deviation_of_their_rule(initial, groups, expected):
    kernel = started(Conv(96, 3, groups=groups, initial=initial), (1, 4, 4, 48))
    assert kernel.shape == (3, 3, 48 // groups, 96)
    assert abs(kernel.mean()) < 4 * expected / math.sqrt(kernel.size)
    np.testing.assert_allclose(kernel.std(), expected, rtol=0.1)


def test_a_uniform_kernel_ends_at_its_bound():
    kernel = started(Dense(400, "uniform_out"), (1, 100))
    assert 0.99 / 20 < np.abs(kernel).max() <= 1 / 20
    np.testing.assert_allclose(kernel.std(), 1 / 20 / math.sqrt(3), rtol=0.02)


def test_a_bias_starts_where_it_is_told():
    layer = Conv(3, 1, bias=True, initial_bias=1.0)
    bias = jax.jit(layer.init)(jax.random.key(0), jnp.zeros((1, 4, 2)))["params"]["bias"]
    np.testing.assert_array_equal(bias, [1, 1, 1])


@pytest.mark.parametrize(("shortcut", "through"), [("project", 1), ("pad", 1), ("none", 0)])
def test_a_plain_block_has_no_way_around(shortcut, through):
    block, x = Basic(3, shortcut=shortcut), jnp.ones((1, 4, 4, 3))
    variables = jax.tree.map(jnp.zeros_like, block.init(jax.random.key(0), x, train=False))
    np.testing.assert_array_equal(block.apply(variables, x, train=False), through * x)


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, 8), (11.2, 16), (12, 16), (33.6, 32), (35, 32), (17, 16), (18, 24)]
)
def test_rounding(channels, expected):
    """18 would lose more than a tenth at 16."""
    assert rounded(channels) == expected


def test_scaling():
    deep = scaled(V2, 1.1, 1.2, keep_ends=True)
    assert [line.repeat for (line,) in deep] == [1, 3, 4, 5, 4, 4, 1]
    assert [line.width for (line,) in deep] == [16, 24, 32, 72, 104, 176, 352]
    assert [line.repeat for (line,) in scaled(V2, 1.0, 1.2)] == [2, 3, 4, 5, 4, 4, 2]
    assert scaled(LARGE, 1.0) == LARGE


def test_blocks_are_as_deep_as_published():
    depths = {
        name: sum(line.repeat for (line,) in zoo.MODELS[name].stages) for name in zoo.list_models("efficientnet_b?")
    }  # pyright: ignore[reportAttributeAccessIssue]
    assert list(depths.values()) == [16, 23, 23, 26, 32, 39, 45, 55]


def test_an_untrained_gate_halves_and_an_untrained_branch_is_small():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 6, 8)), jnp.float32)
    gate = SqueezeExcite(4)
    variables = jax.tree.map(lambda leaf: 0 * leaf, jax.jit(gate.init)(jax.random.key(0), x))
    halved: Any = gate.apply(variables, x)
    np.testing.assert_allclose(halved, x / 2, rtol=1e-6)
    block = ConvNeXtBlock(window=3)
    y: Any = block.apply(jax.jit(functools.partial(block.init, train=False))(jax.random.key(0), x), x, train=False)
    np.testing.assert_allclose(y, x, atol=1e-5)


@pytest.mark.parametrize(("features", "stride", "residual"), [(8, 1, True), (8, 2, False), (16, 1, False)])
def test_an_inverted_residual_adds_its_input_where_shapes_agree(features, stride, residual):
    x = jnp.ones((1, 6, 6, 8))
    block = InvertedResidual(features, stride=stride, hidden=16)
    variables = jax.jit(functools.partial(block.init, train=False))(jax.random.key(0), x)
    nothing = jax.tree.map(lambda leaf: 0 * leaf, variables)
    np.testing.assert_array_equal(np.asarray(block.apply(nothing, x, train=False)).max(), 1.0 if residual else 0.0)
