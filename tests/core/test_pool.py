"""Pooling and resampling against loops over numpy slices and against ``jax.image``."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convzoo.core import (
    adaptive_avg_pool,
    avg_pool,
    blur_pool,
    global_max,
    global_mean,
    length_mask,
    max_pool,
    pad_channels,
)
from convzoo.core import resize as resample
from convzoo.core.shapes import resolve_padding


def values(shape, dtype=np.float32, seed=0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def masks(shape, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(bool)


# --- windows --------------------------------------------------------------------------------------------------------


@st.composite
def pools(draw):
    rank = draw(st.integers(1, 3))
    window, stride, extra = (
        tuple(draw(st.integers(*bounds)) for _ in range(rank)) for bounds in ((1, 3), (1, 3), (0, 3))
    )
    space = tuple(k + e for k, e in zip(window, extra, strict=True))
    padding = draw(st.sampled_from(["HALF", "SAME", "CAUSAL", "VALID", ((1, 0),) * rank, ((0, 1),) * rank]))
    return space, {"window": window, "stride": stride, "padding": padding}, draw(st.booleans())


def windows(x: np.ndarray, places: np.ndarray, window, stride, padding):
    """(place, the values of its real places [count, channels], how many of its places are padding) for each window."""
    n = x.shape[1:-1]
    if padding == "SAME":
        total = [max((-(-size // s) - 1) * s + k - size, 0) for size, k, s in zip(n, window, stride, strict=True)]
        padding = [(t // 2, t - t // 2) for t in total]
    named = {
        "HALF": [((k - 1) // 2, k // 2) for k in window],
        "CAUSAL": [(k - 1, 0) for k in window],
        "VALID": [(0, 0) for _ in window],
    }
    pads = named[padding] if isinstance(padding, str) else padding
    out = [(s + a + b - k) // d + 1 for s, (a, b), k, d in zip(n, pads, window, stride, strict=True)]
    for example, *place in np.ndindex(x.shape[0], *out):
        starts = [p * d - before for p, d, (before, _) in zip(place, stride, pads, strict=True)]
        cut = tuple(slice(max(a, 0), max(a + k, 0)) for a, k in zip(starts, window, strict=True))
        inside, real = x[(example, *cut)], places[(example, *cut)]
        yield (example, *place), inside[real], np.prod(window) - real.size


def shape_of(indices) -> tuple[int, ...]:
    return tuple(int(i) + 1 for i in np.max(indices, axis=0))


@settings(max_examples=15)
@given(pool=pools())
def test_windows_are_slices(pool):
    """The maximum is -inf and the mean 0 where no place is left."""
    space, arguments, use_mask = pool
    x = values((2, *space, 2))
    mask = masks((2, *space)) if use_mask else None
    places = np.ones((2, *space), bool) if mask is None else mask
    indices, inside, padded = zip(*windows(x, places, *arguments.values()), strict=True)
    shape = (*shape_of(indices), 2)

    @jax.jit
    def every(x, mask):
        means = [avg_pool(x, **arguments, mask=mask, count_padding=count_padding) for count_padding in (False, True)]
        return max_pool(x, **arguments, mask=mask), means

    most, means = every(jnp.asarray(x), mask)
    expected = [v.max(0) if len(v) else np.full(2, -np.inf) for v in inside]
    np.testing.assert_array_equal(most, np.reshape(expected, shape))
    for count_padding, found in enumerate(means):
        expected = [v.sum(0) / max(len(v) + count_padding * p, 1) for v, p in zip(inside, padded, strict=True)]
        np.testing.assert_allclose(found, np.reshape(expected, shape), rtol=1e-5, atol=1e-6)


def test_the_stride_is_the_window_unless_given():
    x = jnp.asarray(values((1, 6, 4, 1)))
    for pool in (max_pool, lambda *args, **named: avg_pool(*args, **named, count_padding=True)):
        np.testing.assert_array_equal(pool(x, (3, 2)), pool(x, (3, 2), stride=(3, 2)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_pools_keep_the_dtype_and_have_gradients(dtype, x64):
    x = jnp.asarray(values((2, 7, 6, 3)), dtype)
    mask = jnp.asarray(masks((2, 7, 6)))
    pools = {
        "max": lambda x: max_pool(x, 3, stride=2),
        "avg": lambda x: avg_pool(x, 3, stride=2, count_padding=False),
        "masked": lambda x: avg_pool(x, 3, stride=2, count_padding=False, mask=mask),
        "adaptive": lambda x: adaptive_avg_pool(x, (3, 2)),
        "blur": lambda x: blur_pool(x, 3, stride=2),
        "mean": lambda x: global_mean(x, mask),
        "global max": lambda x: global_max(x, mask),
        "linear": lambda x: resample(x, (5, 9)),
        "nearest": lambda x: resample(x, (5, 9), method="nearest"),
    }

    @jax.jit
    def every(x):
        found = {name: jax.vjp(pool, x) for name, pool in pools.items()}
        return {name: (y, back(jnp.ones_like(y))[0]) for name, (y, back) in found.items()}

    for name, (y, gradient) in every(x).items():
        assert y.dtype == dtype, name
        assert jnp.isfinite(gradient).all(), name
        # Each output is a mean or a choice: its weights sum to one.
        np.testing.assert_allclose(gradient.sum(dtype="float32"), y.size, rtol=0.02, err_msg=name)


def test_bfloat16_sums_are_kept_in_float32():
    x = jnp.ones((1, 600, 1), "bfloat16")
    mask = jnp.arange(600)[None] < 300
    assert float(avg_pool(x, 600, padding="VALID", count_padding=True)[0, 0, 0]) == 1
    assert float(avg_pool(x, 600, padding="VALID", count_padding=False, mask=mask)[0, 0, 0]) == 1
    assert [float(global_mean(x)[0, 0]), float(global_mean(x, mask)[0, 0])] == [1, 1]


# --- blurred strides ------------------------------------------------------------------------------------------------

BINOMIAL = {1: [1], 2: [1, 1], 3: [1, 2, 1]}


def blurring(n: int, k: int, stride: int, pad: tuple[int, int]) -> np.ndarray:
    """The matrix of a blur along one axis: binomial weights of the places that are there, which sum to one."""
    rows = np.zeros(((n + sum(pad) - k) // stride + 1, n))
    for row, tap in np.ndindex(len(rows), k):
        if 0 <= (place := row * stride - pad[0] + tap) < n:
            rows[row, place] = BINOMIAL[k][tap]
    return rows / np.maximum(rows.sum(1, keepdims=True), 1)


@settings(max_examples=10)
@given(pool=pools())
def test_a_blur_is_a_binomial_mean_of_real_places(pool):
    space, arguments, _ = pool
    x = expected = values((2, *space, 2))
    window, stride = arguments["window"], arguments["stride"]
    pads = resolve_padding(arguments["padding"], space, window, stride, (1,) * len(space))
    for axis, sizes in enumerate(zip(space, window, stride, pads, strict=True), start=1):
        expected = np.moveaxis(np.tensordot(blurring(*sizes), expected, (1, axis)), 0, axis)
    found = jax.jit(lambda x: blur_pool(x, **arguments))(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("space", [(9,), (8, 7), (4, 5, 6)])
def test_a_blur_keeps_what_is_constant_and_takes_what_alternates(space):
    """The finest detail is what a grid half as fine cannot hold; without a blur it becomes a constant."""
    constant = jnp.ones((1, *space, 1))
    np.testing.assert_allclose(blur_pool(constant, 5, stride=2), 1, rtol=1e-6)
    fine = constant * jnp.asarray((-1.0) ** np.indices(space).sum(0))[..., None]
    halved = (slice(None), *(slice(1, -1) for _ in space))
    np.testing.assert_allclose(blur_pool(fine, 3, stride=2)[halved], 0, atol=1e-6)
    np.testing.assert_array_equal(blur_pool(fine, 1, stride=2), 1)


# --- adaptive, global -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "size"), [((7,), 3), ((6, 7), (3, 2)), ((5, 4, 3), (2, 4, 5)), ((6, 6), 6), ((1,), 4)]
)
def test_adaptive_pooling_is_a_mean_of_parts(space, size):
    """Part p of n places is ``floor(p * n / parts)`` to ``ceil((p + 1) * n / parts)``, PyTorch's rule."""
    x = values((2, *space, 3))
    sizes = (size,) * len(space) if isinstance(size, int) else size
    found = adaptive_avg_pool(jnp.asarray(x), size)
    assert found.shape == (2, *sizes, 3)
    for place in np.ndindex(*sizes):
        cut = tuple(
            slice(p * n // parts, -(-(p + 1) * n // parts)) for p, n, parts in zip(place, space, sizes, strict=True)
        )
        expected = x[(slice(None), *cut)].reshape(2, -1, 3).mean(1)
        np.testing.assert_allclose(found[(slice(None), *place)], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("space", [(5,), (4, 3), (2, 3, 4)])
def test_global_pools_are_means_and_maxima(space):
    """Where no place is left the mean is 0 and the maximum -inf."""
    x, mask = values((4, *space, 3)), masks((4, *space))
    mask[-1] = False
    np.testing.assert_allclose(global_mean(jnp.asarray(x)), x.reshape(4, -1, 3).mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(global_max(jnp.asarray(x)), x.reshape(4, -1, 3).max(1))
    dirty = jnp.asarray(np.where(mask[..., None], x, np.nan))
    mean, most = global_mean(dirty, jnp.asarray(mask)), global_max(dirty, jnp.asarray(mask))
    for example in range(3):
        np.testing.assert_allclose(mean[example], x[example][mask[example]].mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(most[example], x[example][mask[example]].max(0))
    np.testing.assert_array_equal(mean[3], 0)
    np.testing.assert_array_equal(most[3], -np.inf)
    gradient = jax.grad(lambda x: global_mean(x, jnp.asarray(mask)).sum())(dirty)
    np.testing.assert_array_equal(gradient[3], 0)
    assert jnp.isfinite(gradient).all()


def test_length_masks():
    found = jax.jit(length_mask, static_argnums=1)(jnp.asarray([0, 2, 3, 9]), 3)
    np.testing.assert_array_equal(found, [[False] * 3, [True, True, False], [True] * 3, [True] * 3])


def test_channels_are_padded_with_zeros():
    x = values((2, 3, 4, 2))
    np.testing.assert_array_equal(pad_channels(jnp.asarray(x), 1, 3), np.pad(x, [(0, 0)] * 3 + [(1, 3)]))


# --- resampling -----------------------------------------------------------------------------------------------------

RESIZED = {"line": ((5,), (8,)), "shrink": ((9,), (4,)), "picture": ((4, 7), (7, 4)), "volume": ((3, 2, 4), (2, 5, 4))}


@pytest.mark.parametrize(("space", "size"), RESIZED.values(), ids=RESIZED)
def test_resampling_is_jax_images(space, size):
    """Without anti-aliasing: its ``linear`` is ours, its ``nearest`` our ``nearest_exact``."""
    x = jnp.asarray(values((2, *space, 3)))
    for ours, theirs in (("linear", "linear"), ("nearest_exact", "nearest")):
        expected = jax.image.resize(x, (2, *size, 3), theirs, antialias=False)
        np.testing.assert_allclose(resample(x, size, method=ours), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=10)
@given(old=st.integers(1, 9), new=st.integers(1, 9))
def test_resampling_is_its_formula(old, new):
    x = values((1, old, 2))
    nearest = x[:, [place * old // new for place in range(new)]]
    np.testing.assert_array_equal(resample(jnp.asarray(x), new, method="nearest"), nearest)
    places = np.linspace(0, old - 1, new) if new > 1 else np.zeros(1)
    corners = np.stack([np.interp(places, np.arange(old), x[0, :, channel]) for channel in range(2)], -1)[None]
    np.testing.assert_allclose(resample(jnp.asarray(x), new, align_corners=True), corners, rtol=1e-5, atol=1e-6)
    centres = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    linear = np.stack([np.interp(centres, np.arange(old), x[0, :, channel]) for channel in range(2)], -1)[None]
    np.testing.assert_allclose(resample(jnp.asarray(x), new), linear, rtol=1e-5, atol=1e-6)


def test_the_same_size_is_the_same_picture():
    x = jnp.asarray(values((2, 5, 4, 3)))
    for method, align_corners in itertools.product(("linear", "nearest", "nearest_exact"), (False, True)):
        np.testing.assert_array_equal(resample(x, (5, 4), method=method, align_corners=align_corners), x)


# --- errors ---------------------------------------------------------------------------------------------------------

X = jnp.zeros((2, 8, 4, 3))
WRONG = {
    "rank": (lambda: max_pool(X[0, 0], 2), r"1, 2 or 3 spatial axes; got shape \(4, 3\), 2 axes; add the batch axis"),
    "window": (lambda: max_pool(X, (2, 2, 2)), r"window=\(2, 2, 2\) has 3 entries; the input has 2 spatial axes"),
    "zero window": (lambda: max_pool(X, (2, 0)), r"window along width is 0; it must be an integer of at least 1"),
    "stride": (lambda: max_pool(X, 2, stride=0), r"stride along height is 0; it must be an integer of at least 1"),
    "padding": (lambda: max_pool(X, 2, padding="NONE"), r"padding 'NONE' is not known; it must be one of"),
    "too long": (
        lambda: avg_pool(X, 5, padding="VALID", count_padding=True),
        r"along width the window spans 5 .* but the input has 4",
    ),
    "mask": (
        lambda: max_pool(X, 2, mask=jnp.ones((2, 8), bool)),
        r"mask \(2, 8\) must be \[batch, \*space\] of x, \(2, 8, 4\)",
    ),
    "mean's mask": (lambda: global_mean(X, jnp.ones((2, 8), bool)), r"mask \(2, 8\) must be \[batch, \*space\] of x"),
    "max's mask": (lambda: global_max(X, jnp.ones((2, 8), bool)), r"mask \(2, 8\) must be \[batch, \*space\] of x"),
    "size": (lambda: resample(X, (2, 2, 2)), r"size=\(2, 2, 2\) has 3 entries; the input has 2 spatial axes"),
    "method": (lambda: resample(X, 2, method="cubic"), r"method 'cubic' is not known; it must be 'linear', 'nearest'"),
    "blur": (lambda: blur_pool(X, 5, padding="VALID"), r"along width the window spans 5 .* but the input has 4"),
    "adaptive": (lambda: adaptive_avg_pool(X, (2, 0)), r"size along width is 0; it must be an integer of at least 1"),
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("pool", [max_pool, blur_pool, resample])
def test_integers_are_refused(pool, unchecked):
    with pytest.raises(TypeError, match="x has dtype int32; it must be floating"):
        pool(X.astype(int), 2)
