"""Norms, gate and stochastic depth against Flax's and against numpy, and what they keep in half precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from convzoo import core

SHAPES = [(4, 9, 6), (3, 4, 5, 6), (2, 3, 2, 4, 6)]
on_shapes = pytest.mark.parametrize("shape", SHAPES, ids=["line", "picture", "volume"])


def values(*shapes, seed=0) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.normal(size=shape)) for shape in shapes]


def flat_mean(x, axes):
    return np.asarray(x, np.float64).mean(axes, keepdims=True)


@on_shapes
def test_layer_norm_is_flaxs(shape, x64):
    x, scale, bias = values(shape, 6, 6)
    expected: Any = nn.LayerNorm(epsilon=1e-6).apply({"params": {"scale": scale, "bias": bias}}, x)
    np.testing.assert_allclose(core.layer_norm(x, scale, bias), expected, atol=1e-12)
    np.testing.assert_allclose(core.layer_norm(x), (expected - bias) / scale, atol=1e-10)


@on_shapes
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm_is_flaxs(shape, groups, x64):
    x, scale, bias = values(shape, 6, 6)
    expected: Any = nn.GroupNorm(groups, epsilon=1e-5).apply({"params": {"scale": scale, "bias": bias}}, x)
    np.testing.assert_allclose(core.group_norm(x, groups, scale, bias), expected, atol=1e-12)
    np.testing.assert_allclose(core.group_norm(x, groups), (expected - bias) / scale, atol=1e-10)


@on_shapes
def test_batch_norm_is_flaxs(shape, x64):
    x, mean, scale, bias = values(shape, 6, 6, 6)
    variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": {"mean": mean, "var": mean**2}}
    expected: Any = nn.BatchNorm(use_running_average=True, epsilon=1e-5).apply(variables, x)
    np.testing.assert_allclose(core.batch_norm(x, mean, mean**2, scale, bias), expected, atol=1e-12)


@on_shapes
def test_moments_are_numpys(shape, x64):
    x = values(shape)[0]
    axes = tuple(range(len(shape) - 1))
    mean, variance, count = core.moments(x, axes)
    assert mean.shape == variance.shape == (*[1] * len(axes), 6)
    assert count == x.size / 6
    np.testing.assert_allclose(mean, flat_mean(x, axes), atol=1e-12)
    np.testing.assert_allclose(variance, np.asarray(x).var(axes, keepdims=True), atol=1e-12)


@on_shapes
def test_masked_places_stay_out_of_moments(shape, x64):
    """An all-false mask gives zeros."""
    x = values(shape)[0]
    mask = np.random.default_rng(1).integers(0, 2, shape[:-1]).astype(bool)
    axes = tuple(range(len(shape) - 1))
    mean, variance, count = core.moments(x, axes, jnp.asarray(mask)[..., None])
    kept = np.asarray(x)[mask]
    np.testing.assert_allclose(mean.ravel(), kept.mean(0), atol=1e-12)
    np.testing.assert_allclose(variance.ravel(), kept.var(0), atol=1e-12)
    np.testing.assert_array_equal(jnp.ravel(count), mask.sum())
    nothing = core.moments(x, axes, jnp.zeros((*shape[:-1], 1), bool))
    assert [float(jnp.abs(a).max()) for a in nothing] == [0, 0, 1]


@on_shapes
def test_global_response_norm_is_its_formula(shape, x64):
    x, scale, bias = values(shape, 6, 6)
    axes = tuple(range(1, x.ndim - 1))
    power = np.sqrt(np.square(np.asarray(x)).sum(axes, keepdims=True))
    expected = x + scale * (x * power / (power.mean(-1, keepdims=True) + 1e-6)) + bias
    np.testing.assert_allclose(core.global_response_norm(x, scale, bias), expected, atol=1e-12)


@on_shapes
def test_squeeze_excite_is_its_formula(shape, x64):
    x, down, down_bias, up, up_bias = values(shape, (6, 2), 2, (2, 6), 6)
    pooled = np.asarray(x).reshape(shape[0], -1, 6).mean(1)
    gates = 1 / (1 + np.exp(-(np.maximum(pooled @ down + down_bias, 0) @ up + up_bias)))
    expected = x * gates.reshape(shape[0], *[1] * (len(shape) - 2), 6)
    np.testing.assert_allclose(core.squeeze_excite(x, down, down_bias, up, up_bias), expected, atol=1e-12)
    hard = core.squeeze_excite(x, down, down_bias, up, up_bias, activation=jnp.zeros_like, gate=lambda x: 0 * x + 2)
    np.testing.assert_allclose(hard, 2 * x)


@on_shapes
@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm_is_its_formula(shape, size, x64):
    x = values(shape)[0]
    near = [np.square(np.asarray(x)[..., max(c - size // 2, 0) : c + size // 2 + 1]).sum(-1) for c in range(6)]
    expected = x / (2 + 0.3 * np.stack(near, -1)) ** 0.75
    np.testing.assert_allclose(core.local_response_norm(x, size, alpha=0.3), expected, atol=1e-12)


def test_a_size_without_a_middle_is_named():
    with pytest.raises(ValueError, match="size=4 must be odd and positive: as many channels before as after"):
        core.local_response_norm(jnp.ones((2, 3, 6)), 4)


def test_without_global_no_place_sees_all():
    """A NaN stays where it is, in every operation over all places; outside the context it is everywhere."""
    x = jnp.zeros((1, 5, 6)).at[0, 2].set(jnp.nan)
    gate = [jnp.zeros((6, 2)), jnp.zeros(2), jnp.zeros((2, 6)), jnp.zeros(6)]
    whole = {
        "gate": lambda x: core.squeeze_excite(x, *gate),
        "response": lambda x: core.global_response_norm(x, ONE, ONE),
        "group": lambda x: core.group_norm(x, 2, ONE, ONE),
        "mean": lambda x: x + core.global_mean(x)[:, None],
        "masked mean": lambda x: x + core.global_mean(x, jnp.ones((1, 5), bool))[:, None],
        "max": lambda x: x + core.global_max(x)[:, None],
    }
    for name, operation in whole.items():
        operation = jax.jit(operation)
        assert jnp.isnan(operation(x)).any(-1).all(), name
        with core.without_global():
            assert jnp.isnan(operation(x)).any(-1).tolist() == [[False, False, True, False, False]], name
        assert jnp.isnan(operation(x)).any(-1).all(), name


ONE = jnp.ones(6)


def batch(x, mask):
    mean, variance, _ = core.moments(x, range(x.ndim - 1), mask)
    return core.batch_norm(x, mean.ravel(), variance.ravel(), ONE, ONE)


NORMS = {
    "layer": lambda x: core.layer_norm(x, ONE, ONE),
    "group": lambda x: core.group_norm(x, 2, ONE, ONE),
    "batch": lambda x: batch(x, None),
    "masked batch": lambda x: batch(x, jnp.ones((*x.shape[:-1], 1), bool)),
    "response": lambda x: core.global_response_norm(x, ONE, ONE),
    "local": lambda x: core.local_response_norm(x, alpha=0.1),
}
on_norms = pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)


@on_norms
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_statistics_of_half_precision_are_kept_in_float32(norm, dtype):
    """A mean of 200 deviations of 1: in bfloat16 the sum of 4,000 places would stop growing, the variance be lost."""
    x = (values((2, 2000, 6))[0] + 200).astype(dtype)
    y = jax.jit(norm)(x)
    assert y.dtype == dtype
    exact = norm(x.astype("float32"))
    tolerance = 4 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(y.astype("float32"), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["layer", "group", "batch", "masked batch"])
def test_a_large_mean_does_not_lose_the_variance(name):
    x = values((2, 500, 6))[0].astype("float32")
    np.testing.assert_allclose(NORMS[name](x + 1000), NORMS[name](x + 0), atol=2e-3)


@on_norms
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_gradients_of_a_constant_input_are_finite(norm, value):
    gradient = jax.jit(jax.grad(lambda x: jnp.square(norm(x)).sum()))(jnp.full((2, 5, 6), value))
    assert jnp.isfinite(gradient).all()


@on_norms
def test_gradients_are_the_slopes(norm, x64):
    x, direction = values((2, 7, 6), (2, 7, 6))

    def loss(x):
        return jnp.sin(norm(x)).sum()

    @jax.jit
    def slopes(x):
        step = 1e-6 * direction
        return jnp.vdot(jax.grad(loss)(x), direction), (loss(x + step) - loss(x - step)) / 2e-6

    np.testing.assert_allclose(*slopes(x), rtol=1e-6, atol=1e-8)


# --- stochastic depth -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES[:2], ids=["line", "picture"])
def test_stochastic_depth_keeps_or_drops_whole_examples(shape):
    x = jnp.abs(values((64, *shape[1:]))[0].astype("float32")) + 1
    y = core.stochastic_depth(x, jax.random.key(0), 0.25)
    kept = np.asarray(y).reshape(64, -1)[:, 0] > 0
    assert 0 < kept.sum() < 64
    np.testing.assert_array_equal(np.asarray(y)[~kept], 0)
    np.testing.assert_allclose(np.asarray(y)[kept], np.asarray(x)[kept] / 0.75, rtol=1e-6)
    np.testing.assert_array_equal(core.stochastic_depth(x, jax.random.key(0), 0.0), x)
    assert not jnp.array_equal(y, core.stochastic_depth(x, jax.random.key(1), 0.25))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_stochastic_depth_keeps_the_mean_and_the_dtype(dtype):
    y = core.stochastic_depth(jnp.ones((20_000, 1), dtype), jax.random.key(0), 0.3)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.mean(dtype="float32"), 1, atol=0.02)


@pytest.mark.parametrize("rate", [1, 1.5, -0.1])
def test_a_wrong_rate_is_named(rate):
    with pytest.raises(ValueError, match=rf"rate is {rate}; it must be in \[0, 1\)"):
        core.stochastic_depth(jnp.ones((2, 3)), jax.random.key(0), rate)


@pytest.mark.parametrize("groups", [0, 4, -1])
def test_groups_that_do_not_divide_are_named(groups):
    with pytest.raises(ValueError, match=f"groups={groups} must divide the 6 channels"):
        core.group_norm(jnp.ones((2, 3, 6)), groups)
