"""Laws of the measures: what must be exactly equivariant is, what a box sees is a box, what is the same is one."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import convzoo
from convzoo import core
from convzoo.explain.equivariance import rate, shift_equivariance, shifting, together
from convzoo.explain.fields import effective_field, side
from convzoo.explain.similarity import cka_matrix, linear_cka
from convzoo.models.bytenet import ByteNet
from convzoo.models.mobilenet import Blocks, MobileNet
from convzoo.models.resnet import ResNet
from convzoo.nn import Basic, Bottleneck, Conv, Model
from convzoo.zoo import Info


def values(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), "float32")


def smooth(*shape: int, seed: int = 0) -> jax.Array:
    """Noise without its finest detail, as photographs are."""
    return core.blur_pool(core.blur_pool(values(*shape, seed=seed), 5), 5)


class Stack(Model):
    """Convolutions with these strides, each kernel all ones or at random; blurs in place of strides if ``blur``."""

    strides: tuple[int, ...] = (1, 1)
    window: int = 3
    blur: int = 0
    activation: str = "relu"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False):
        features = OrderedDict()
        for index, stride in enumerate(self.strides):
            layer = Conv(8, self.window, 1 if self.blur else stride, activation=self.activation, name=f"conv{index}")
            x = layer(x)
            x = core.blur_pool(x, self.blur, stride=stride) if self.blur else x
            features[f"conv{index}"] = x
        features["pooled"] = core.global_mean(x)
        return features["pooled"], features


def started(model: Model, x: jax.Array) -> dict:
    """Kernels about 0, norms about 1."""
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    return jax.tree.map(lambda leaf: values(*leaf.shape) / 4 + (leaf.ndim == 1), shapes)


def info_of(model: Stack, rank: int) -> dict[str, Info]:
    """What ``feature_info`` finds by probing."""
    found, stride, field = {}, 1, 1
    for index, own in enumerate(model.strides):
        field, stride = field + stride * (model.window - 1), stride * own
        field += stride // own * (model.blur - 1) if model.blur else 0
        found[f"conv{index}"] = Info(8, (stride,) * rank, (field,) * rank)
    return found | {"pooled": Info(8, None, None)}


def measured(model: Stack, x: jax.Array, **named):
    return shift_equivariance(model, started(model, x), x, info_of(model, x.ndim - 2), **named)


def test_the_fields_used_here_are_those_that_probing_finds():
    model = Stack(strides=(2, 1), window=5, blur=3)
    assert info_of(model, 1) == convzoo.feature_info(model, (1, 64, 3))


# --- equivariance ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [(60,), (40, 36)], ids=["sound", "picture"])
def test_without_strides_shifts_pass_through(space):
    found = measured(Stack(), values(2, *space, 3))
    for name in ("conv0", "conv1"):
        assert found.inside[name]
        np.testing.assert_allclose(found.error[name], 0, atol=1e-6)


def test_a_stride_takes_its_own_multiples_alone_and_a_blur_lowers_the_rest():
    x = smooth(4, 72, 72, 3)
    plain, blurred = (measured(Stack(strides=(2, 2), blur=blur), x, batch_size=3) for blur in (0, 3))
    for found in (plain, blurred):
        assert found.shifts == tuple(range(1, 9))
        for name, stride in (("conv0", 2), ("conv1", 4)):
            whole = np.array(found.shifts) % stride == 0
            np.testing.assert_allclose(found.error[name][whole], 0, atol=1e-5)
            assert (found.error[name][~whole] > 0.01).all()
    for name in ("conv0", "conv1"):
        whole = np.array(plain.shifts) % {"conv0": 2, "conv1": 4}[name] == 0
        assert (blurred.error[name][~whole] < 0.7 * plain.error[name][~whole]).all()
    assert blurred.error["pooled"].mean() < plain.error["pooled"].mean()


def test_batches_do_not_change_the_figures():
    x = smooth(5, 40, 40, 3)
    whole, parts = (measured(Stack(strides=(2,)), x, batch_size=size, shifts=(3,)) for size in (5, 2))
    np.testing.assert_allclose(whole.error["conv0"], parts.error["conv0"], rtol=1e-4)
    np.testing.assert_array_equal(whole.kept, parts.kept)


def test_fields_that_are_too_large_are_told():
    found = measured(Stack(strides=(1, 1, 1), window=9), values(2, 32, 32, 3), shifts=(8,))
    assert dict(found.inside) == {"conv0": False, "conv1": False, "conv2": False, "pooled": False}
    assert measured(Stack(strides=(1, 1, 1)), values(2, 38, 38, 3), shifts=(8,)).inside["conv2"]


def test_an_answer_is_kept_where_nothing_moved():
    found = measured(Stack(strides=(2, 2)), values(6, 24, 24, 3), shifts=(0, 8))
    assert found.kept[0] == 1
    assert 0 <= found.kept[1] <= 1
    np.testing.assert_allclose([found.error[name][0] for name in found.error], 0, atol=1e-6)


def test_bytes_shift_too():
    model = ByteNet(widths=(8,), strides=(2,), embedding=8)
    x = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 72)), "int32")
    variables = started(model, x)
    info = {"embedded": Info(8, (1,), (1,)), "block0": Info(8, (2,), (9,)), "pooled": Info(16, None, None)}
    found = shift_equivariance(model, variables, x, info, shifts=(1, 2), length=jnp.full(3, 60))
    np.testing.assert_allclose(found.error["embedded"], 0, atol=1e-5)
    assert found.error["block0"][0] > 0.05
    assert found.error["block0"][1] < 1e-5


@pytest.mark.parametrize("block", [Basic, Bottleneck])
def test_a_blurred_resnet_has_the_same_tree_and_moves_better(block):
    x = smooth(4, 48, 3)
    info = {"stem": Info(4, (1,), (3,)), "stage0": Info(4, (1,), (7,)), "stage1": Info(8, (2,), (15,))}
    info["pooled"] = Info(8, None, None)
    trees, errors = [], []
    for blur in (0, 3):
        model = ResNet(depths=(1, 1), block=block, width=4, num_classes=0, stem="plain", blur=blur, ranks=(1,))
        trees.append(jax.eval_shape(model.init, jax.random.key(0), x))
        errors.append(shift_equivariance(model, started(model, x), x, info, shifts=(1, 2)).error["stage1"])
    assert trees[0] == trees[1]
    assert errors[1][0] < 0.7 * errors[0][0]
    np.testing.assert_allclose([error[1] for error in errors], 0, atol=1e-5)


@pytest.mark.parametrize("size", [7, 8])
def test_shifting_is_exact_for_whole_places_and_smooth_between(size):
    x = np.random.default_rng(0).normal(size=size)
    np.testing.assert_allclose((shifting(size, 2) @ x)[2:], x[:-2], atol=1e-5)
    np.testing.assert_allclose(shifting(size, 0), np.eye(size), atol=1e-6)
    np.testing.assert_allclose(shifting(size, 0.3).sum(1), 1, atol=1e-5)
    wave = np.cos(2 * np.pi * (np.arange(64) + 0.5) / 16)
    moved = np.cos(2 * np.pi * (np.arange(64) + 0.5 - 0.3) / 16)
    np.testing.assert_allclose((shifting(64, 0.3) @ wave)[16:48], moved[16:48], atol=0.02)


def test_unrelated_features_have_an_error_of_one():
    x, y = values(4000, 3), 5 + 2 * values(4000, 3, seed=1)
    assert rate(np.asarray(together(x, x))) == 0
    centred = y - 5
    assert rate(np.asarray(together(x, centred))) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shifts", [(-1, 2), (4, 20)])
def test_shifts_that_do_not_fit_are_told(shifts):
    with pytest.raises(ValueError, match=r"shifts .* must lie in 0 to 19, for inputs of \(20, 20\)"):
        shift_equivariance(Stack(), {}, values(1, 20, 20, 3), {}, shifts=shifts)


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rank", "window"), [(1, 5), (2, 3), (3, 3)])
def test_a_box_sees_a_box(rank, window):
    model, x = Stack(strides=(1,), window=window, activation="none"), values(2, *(9,) * rank, 1)
    variables = jax.tree.map(jnp.ones_like, started(model, x))
    found = effective_field(model, variables, x, info_of(model, rank))
    assert list(found) == ["conv0"]
    weight = found["conv0"].weight
    box = np.zeros_like(weight)
    box[(slice(4 - window // 2, 5 + window // 2),) * rank] = window**-rank
    np.testing.assert_allclose(weight, box, atol=1e-6)
    assert found["conv0"].side == pytest.approx(np.ceil(0.95 * window**rank) ** (1 / rank))
    assert found["conv0"].theoretical == pytest.approx(window)


def test_two_boxes_see_a_triangle():
    model, x = Stack(strides=(1, 1), activation="none"), values(1, 9, 1)
    variables = jax.tree.map(jnp.ones_like, started(model, x))
    weight = effective_field(model, variables, x, info_of(model, 1))["conv1"].weight
    np.testing.assert_allclose(weight, np.array([0, 0, 1, 2, 3, 2, 1, 0, 0]) / 9, atol=1e-6)


def test_the_effective_field_lies_within_the_theoretical_one():
    """Gates pass no gradient but keep their values, so nothing leaves the windows."""
    stages = ((Blocks(1, 3, 2, 2, 8, squeeze=0.25),), (Blocks(1, 5, 1, 2, 8, squeeze=0.25),))
    model, x = MobileNet(stages=stages, stem=4, top=0, num_classes=0, ranks=(1,)), values(4, 64, 3)
    variables = started(model, x)
    info = {"stem": Info(4, (2,), (3,)), "stage0": Info(8, (4,), (7,)), "stage1": Info(8, (4,), (23,))}
    info["pooled"] = Info(8, None, None)
    for waypoint, found in effective_field(model, variables, x, info).items():
        (reached,) = info[waypoint].field or (0,)
        assert np.ptp(np.flatnonzero(found.weight)) < reached
        assert 1 <= found.side <= found.theoretical == reached
        assert found.weight.sum() == pytest.approx(1)


def test_the_side_counts_the_strongest_places():
    assert side(np.full((4, 4), 1 / 16)) == 4
    assert side(np.array([0, 0.96, 0.04, 0])) == 1
    assert side(np.array([0.5, 0.5, 0, 0])) == 2


def test_bytes_have_no_gradient():
    with pytest.raises(TypeError, match="x has dtype int32; it must be floating"):
        effective_field(convzoo.create("bytenet"), {}, jnp.zeros((1, 8), "int32"), {})


# --- similarity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("features", [5, 300], ids=["few", "many"])
def test_rotating_and_scaling_change_nothing(unbiased, features):
    x = values(40, features)
    turned = 3 * x @ jnp.linalg.qr(values(features, features, seed=1))[0] + values(features, seed=2)
    assert float(linear_cka(x, x, unbiased=unbiased)) == pytest.approx(1, abs=1e-5)
    assert float(linear_cka(x, turned, unbiased=unbiased)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("features", [(5, 7), (300, 200), (3, 300)])
def test_the_forms_agree(unbiased, features):
    """By features, by examples, in a matrix, and written out as the papers do."""
    n = 30
    x, y = (values(n, width, seed=seed) for seed, width in enumerate(features))
    y = y.at[:, :3].add(2 * x[:, :3])
    k, m = (np.asarray(each, np.float64) @ np.asarray(each, np.float64).T for each in (x, y))

    def criterion(k, m):
        if not unbiased:
            centre = np.eye(n) - 1 / n
            return np.trace(k @ centre @ m @ centre)
        k, m = (each - np.diag(np.diag(each)) for each in (k, m))
        whole = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ m).sum()
        return (np.trace(k @ m) + whole) / (n * (n - 3))

    expected = criterion(k, m) / np.sqrt(criterion(k, k) * criterion(m, m))
    assert float(linear_cka(x, y, unbiased=unbiased)) == pytest.approx(expected, rel=1e-3)
    found = cka_matrix([x, y], [y, x], unbiased=unbiased)
    np.testing.assert_allclose(found, [[expected, 1], [1, expected]], rtol=1e-3)


def test_unrelated_layers_are_unlike_however_wide():
    x, y = values(50, 400), values(50, 10, 60, seed=1)
    assert abs(float(linear_cka(x, y))) < 0.05
    assert float(linear_cka(x, y, unbiased=False)) > 0.5  # why the unbiased one is the default


@pytest.mark.parametrize(("first", "second"), [(10, 9), (3, 3)])
def test_other_examples_are_refused(first, second, unchecked):
    with pytest.raises(ValueError, match=f"layers of {first} and {second} examples; they must be the same ones"):
        linear_cka(values(first, 2), values(second, 2))
    with pytest.raises(ValueError, match="at least 4"):
        cka_matrix([values(first, 2)], [values(second, 2)])
