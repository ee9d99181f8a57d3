"""Laws of ``conv`` and ``conv_transpose``, over drawn ranks, windows, strides, dilations, groups and paddings."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax

from convzoo.core import conv, conv_transpose, force

OPS = {"conv": conv, "conv_transpose": conv_transpose}
NAMES = ("HALF", "SAME", "CAUSAL", "VALID")


class Case(NamedTuple):
    """A convolution without its values: shapes, and the arguments of ``conv``."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    arguments: dict[str, Any]

    @property
    def reach(self) -> list[int]:
        return [(k - 1) * d for k, d in zip(self.kernel[:-2], self.arguments["dilation"], strict=True)]


def case(x, kernel, *, stride=1, dilation=1, groups=1, padding="HALF") -> Case:
    rank = len(x) - 2
    sizes = {"stride": (stride,) * rank, "dilation": (dilation,) * rank}
    return Case(x, kernel, {**sizes, "groups": groups, "padding": padding})


@st.composite
def cases(draw, ranks=(1, 2, 3), paddings=(*NAMES, "pairs")) -> Case:
    rank = draw(st.sampled_from(ranks))

    def per_axis(least, most):
        return tuple(draw(st.integers(least, most)) for _ in range(rank))

    window, stride, dilation = per_axis(1, 4 if rank < 3 else 3), per_axis(1, 3), per_axis(1, 3 if rank < 3 else 2)
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    space = tuple(r + 1 + extra for r, extra in zip(reach, per_axis(0, 4 if rank < 3 else 2), strict=True))
    groups, inner, outer = draw(st.sampled_from([(1, 2, 3), (1, 3, 1), (2, 2, 1), (3, 1, 1), (3, 1, 2), (12, 1, 1)]))
    padding = draw(st.sampled_from(paddings))
    if padding == "pairs":  # the second entry may crop, as long as one window is left
        padding = tuple(draw(st.tuples(st.integers(0, r), st.integers(-min(n - r - 1, 1), r)))
                        for n, r in zip(space, reach, strict=True))  # fmt: skip
    arguments = {"stride": stride, "dilation": dilation, "groups": groups, "padding": padding}
    return Case((2, *space, groups * inner), (*window, inner, groups * outer), arguments)


DENSE = case((2, 7, 6, 3), (3, 3, 3, 4), stride=2)
REPRESENTATIVE = {
    "dense": DENSE,
    "one wide": case((2, 7, 6, 4), (1, 1, 4, 3), stride=2),
    "depthwise": case((2, 9, 6), (4, 1, 12), dilation=2, groups=6, padding="CAUSAL"),
    "grouped": case((2, 7, 6, 4), (2, 3, 2, 6), groups=2, padding="SAME"),
    "many groups": case((2, 9, 24), (3, 2, 24), groups=12),
    "volumes": case((2, 5, 4, 4, 2), (3, 2, 1, 2, 3), padding="VALID"),
}
on_representatives = pytest.mark.parametrize("case", REPRESENTATIVE.values(), ids=REPRESENTATIVE)
on_both = pytest.mark.parametrize("name", OPS)


def values(*shapes, dtype: Any = np.float64, seed=0) -> list[Any]:
    generator = np.random.default_rng(seed)
    return [jnp.asarray(generator.normal(size=shape), dtype) for shape in shapes]


def assert_near(ours, theirs, tolerance: float) -> None:
    """Equal in shape and, relative to the largest magnitude, in value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * np.abs(theirs).max())


# --- the same written with lax alone --------------------------------------------------------------------------------


def lax_conv(x, kernel, *, stride, dilation, groups, padding):
    reach = [(k - 1) * d for k, d in zip(kernel.shape, dilation, strict=False)]
    by_name = {"HALF": [(r // 2, r - r // 2) for r in reach], "CAUSAL": [(r, 0) for r in reach]}
    axes = "DHW"[-len(stride) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        stride,
        by_name.get(padding, padding) if isinstance(padding, str) else padding,
        rhs_dilation=dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
    )


def lax_conv_transpose(x, kernel, *, stride, dilation, groups, padding):
    """The transpose of the convolution that takes ``new_space`` to ``space``, by lax's own rule for it."""
    space, window = x.shape[1:-1], kernel.shape[:-2]
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    if padding == "CAUSAL":  # an output looks back, so the convolution it transposes looks ahead
        padding = [(0, r + 1 - s) for r, s in zip(reach, stride, strict=True)]
    if padding == "SAME":
        new_space = [n * s for n, s in zip(space, stride, strict=True)]
    else:
        named = {"VALID": [(0, 0)] * len(space), "HALF": [(r // 2, r - r // 2) for r in reach]}
        cuts = named[padding] if isinstance(padding, str) else padding
        new_space = [
            (n - 1) * s + 1 + r - before - after
            for n, s, r, (before, after) in zip(space, stride, reach, cuts, strict=True)
        ]
    inner, outer = kernel.shape[-2], kernel.shape[-1] // groups
    back = kernel.reshape(*window, inner, groups, outer).swapaxes(-1, -3).reshape(*window, outer, groups * inner)
    forward = partial(lax_conv, kernel=back, stride=stride, dilation=dilation, groups=groups, padding=padding)
    shape = (x.shape[0], *new_space, kernel.shape[-1])
    return jax.linear_transpose(forward, jax.ShapeDtypeStruct(shape, x.dtype))(x)[0]


LAX = {"conv": lax_conv, "conv_transpose": lax_conv_transpose}


def naive(x, kernel, *, stride, dilation, groups, padding):
    """``conv``, read off its definition in numpy."""
    reach = [(k - 1) * d for k, d in zip(kernel.shape, dilation, strict=False)]
    if padding == "SAME":
        total = [max((-(-n // s) - 1) * s + r + 1 - n, 0) for n, s, r in zip(x.shape[1:], stride, reach, strict=False)]
        padding = [(t // 2, t - t // 2) for t in total]
    named = {
        "HALF": [(r // 2, r - r // 2) for r in reach],
        "CAUSAL": [(r, 0) for r in reach],
        "VALID": [(0, 0) for _ in reach],
    }
    pads = named[padding] if isinstance(padding, str) else padding
    x = np.pad(x, [(0, 0), *((before, max(after, 0)) for before, after in pads), (0, 0)])
    x = x[(slice(None), *(slice(0, min(after, 0) or None) for _, after in pads))]
    out = [(n - r - 1) // s + 1 for n, r, s in zip(x.shape[1:], reach, stride, strict=False)]
    inner, outer = kernel.shape[-2], kernel.shape[-1] // groups
    y = np.zeros((x.shape[0], *out, kernel.shape[-1]))
    for place in np.ndindex(*out):
        for tap in np.ndindex(*kernel.shape[:-2]):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation, strict=True))
            for group in range(groups):
                sent = x[(slice(None), *at, slice(group * inner, (group + 1) * inner))]
                own = slice(group * outer, (group + 1) * outer)
                y[(slice(None), *place, own)] += sent @ kernel[(*tap, slice(None), own)]
    return y


# --- values ---------------------------------------------------------------------------------------------------------


@on_both
@settings(max_examples=20)
@given(case=cases())
def test_equals_lax_in_float64(name, case):
    with jax.enable_x64(True):
        x, kernel = values(case.x, case.kernel)
        ours = jax.jit(partial(OPS[name], **case.arguments))(x, kernel)
        theirs = jax.jit(partial(LAX[name], **case.arguments))(x, kernel)
        assert ours.dtype == jnp.float64
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@settings(max_examples=15)
@given(case=cases())
def test_is_its_definition(case):
    with jax.enable_x64(True):
        x, kernel = values(case.x, case.kernel)
        expected = naive(np.asarray(x), np.asarray(kernel), **case.arguments)
        np.testing.assert_allclose(conv(x, kernel, **case.arguments), expected, atol=1e-12)


def derivatives(op, x, kernel, dx, dk, ct):
    """Every derivative of ``op``: both gradients, a directional derivative and a second one along (dx, dk)."""

    def loss(x, kernel):
        return (jnp.sin(op(x, kernel)) * ct).sum()

    gradient = jax.grad(loss, (0, 1))
    first, second = jax.jvp(gradient, (x, kernel), (dx, dk))
    return jax.jvp(op, (x, kernel), (dx, dk))[1], first, second


@on_both
@settings(max_examples=7)
@given(case=cases())
def test_every_derivative_equals_laxs(name, case):
    with jax.enable_x64(True):
        ours = partial(OPS[name], **case.arguments)
        out = jax.eval_shape(ours, *values(case.x, case.kernel)).shape
        args = values(case.x, case.kernel, case.x, case.kernel, out)
        found = jax.jit(partial(derivatives, ours))(*args)
        expected = jax.jit(partial(derivatives, partial(LAX[name], **case.arguments)))(*args)
        with force("lax"):
            forced = jax.jit(partial(derivatives, ours))(*args)
        for other in (expected, forced):
            jax.tree.map(partial(np.testing.assert_allclose, atol=1e-10), found, other)


BATCHED = {"x": (1, None), "kernel": (None, 0), "both": (-1, 1)}


@on_both
@pytest.mark.parametrize("axes", BATCHED.values(), ids=BATCHED)
@on_representatives
def test_vmap_is_a_loop(name, axes, case, x64):
    """Also of gradients, which is how a whole training step is batched over seeds."""

    def moved(shape, axis):
        return shape if axis is None else np.insert(shape, len(shape) if axis < 0 else axis, 3)

    def step(op, x, kernel):
        y, back = jax.vjp(partial(op, **case.arguments), x, kernel)
        return y, back(jnp.sin(y))

    x, kernel = values(*map(moved, (case.x, case.kernel), axes))
    batched = jax.jit(jax.vmap(partial(step, OPS[name]), axes))(x, kernel)
    one = jax.jit(partial(step, LAX[name]))
    for index in range(3):
        args = [a if axis is None else jnp.take(a, index, axis) for a, axis in zip((x, kernel), axes, strict=True)]
        jax.tree.map(lambda b, o: np.testing.assert_allclose(b[index], o, atol=1e-12), batched, one(*args))  # noqa: B023


@on_both
@pytest.mark.parametrize("case", [DENSE, REPRESENTATIVE["depthwise"]], ids=["dense", "depthwise"])
def test_scan_and_remat_change_nothing(name, case, x64):
    x, kernels = values(case.x, (2, *case.kernel))

    def total(op, kernels):
        return jax.lax.scan(lambda sum_, kernel: (sum_ + jnp.sin(op(x, kernel)).sum(), None), 0.0, kernels)[0]

    op = partial(OPS[name], **case.arguments)
    expected = jax.jit(jax.grad(lambda kernels: sum(jnp.sin(op(x, kernel)).sum() for kernel in kernels)))(kernels)
    np.testing.assert_allclose(jax.jit(jax.grad(partial(total, jax.checkpoint(op))))(kernels), expected, atol=1e-12)


@on_both
@on_representatives
@pytest.mark.parametrize("dtype", ["bfloat16"])
def test_half_precision_is_close(name, case, dtype):
    """As close as rounding the inputs and the result allows, forward and backward."""
    x, kernel = values(case.x, case.kernel, dtype=dtype)

    def step(x, kernel):
        y, back = jax.vjp(partial(OPS[name], **case.arguments), x, kernel)
        return y, *back(y)

    low, high = jax.jit(step)(x, kernel), jax.jit(step)(x.astype("float32"), kernel.astype("float32"))
    tolerance = 4 * float(jnp.finfo(dtype).eps)
    for ours, exact in zip(low, high, strict=True):
        assert ours.dtype == dtype
        assert_near(ours.astype("float32"), exact, tolerance)


# --- padding --------------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(case=cases(paddings=["SAME"]))
def test_same_is_half_at_stride_one(case):
    """For odd windows; at other strides SAME is TensorFlow's (equal to lax's above) and HALF PyTorch's."""
    window = [k + 1 - k % 2 for k in case.kernel[:-2]]
    arguments = case.arguments | {"stride": 1}
    x, kernel = values(case.x, (*window, *case.kernel[-2:]), dtype=np.float32)
    same, half = (conv(x, kernel, **arguments | {"padding": padding}) for padding in ("SAME", "HALF"))
    np.testing.assert_array_equal(same, half)
    assert same.shape[:-1] == x.shape[:-1]


def test_same_is_not_half_at_stride_two():
    x, kernel = values((1, 8, 1), (3, 1, 1), dtype=np.float32)
    same, half = (conv(x, kernel, stride=2, padding=padding) for padding in ("SAME", "HALF"))
    assert same.shape == half.shape
    assert not jnp.allclose(same, half)
    np.testing.assert_allclose(conv(x, kernel, stride=2, padding=[(0, 1)]), same, rtol=1e-6)
    np.testing.assert_allclose(conv(x, kernel, stride=2, padding=[(1, 1)]), half, rtol=1e-6)


@given(case=cases(paddings=["CAUSAL"]))
@settings(max_examples=8)
@on_both
def test_causal_never_sees_what_comes_after(name, case):
    """Along every axis alone: output ``r`` sees inputs up to ``r * stride``, or ``r // stride`` transposed."""
    op = jax.jit(partial(OPS[name], **case.arguments))
    x, kernel, other = map(np.asarray, values(case.x, case.kernel, case.x, dtype=np.float32))
    y = np.asarray(op(jnp.asarray(x), jnp.asarray(kernel)))
    for axis, stride in enumerate(case.arguments["stride"], start=1):
        for now in range(x.shape[axis]):
            later = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - 1 - axis)) > now
            changed = np.asarray(op(jnp.asarray(np.where(later, other, x)), jnp.asarray(kernel)))
            seen = now // stride + 1 if name == "conv" else (now + 1) * stride
            seen_alone = (slice(None),) * axis + (slice(0, seen),)
            np.testing.assert_allclose(changed[seen_alone], y[seen_alone], rtol=1e-5, atol=1e-5)


@given(case=cases(paddings=NAMES))
@settings(max_examples=8)
def test_shifting_the_input_shifts_the_output(case):
    """By ``stride`` places in, one place out, wherever the border is not seen: here behind a margin of zeros."""
    margins = [(r + s) * 2 for r, s in zip(case.reach, case.arguments["stride"], strict=True)]
    x, kernel = values(case.x, case.kernel, dtype=np.float32)
    x = jnp.pad(x, [(0, 0), *((m, m) for m in margins), (0, 0)])
    op = jax.jit(partial(conv, **case.arguments))
    axes = tuple(range(1, x.ndim - 1))
    shifted = op(jnp.roll(x, case.arguments["stride"], axes), kernel)
    np.testing.assert_allclose(shifted, jnp.roll(op(x, kernel), (1,) * len(axes), axes), rtol=1e-5, atol=1e-5)


# --- tracing, export ------------------------------------------------------------------------------------------------


@on_both
def test_one_trace_per_shape(name):
    traces = []

    @jax.jit
    def op(x, kernel):
        traces.append(x.shape)
        return OPS[name](x, kernel, **DENSE.arguments)

    for seed in range(3):
        op(*values(DENSE.x, DENSE.kernel, dtype=np.float32, seed=seed))
    op(*values((5, *DENSE.x[1:]), DENSE.kernel, dtype=np.float32))
    assert traces == [DENSE.x, (5, *DENSE.x[1:])]


def test_sizes_may_be_integers_tuples_lists_and_numpys(unchecked):
    x, kernel = values(DENSE.x, DENSE.kernel, dtype=np.float32)
    expected = conv(x, kernel, stride=2, padding=[(1, 0), (1, 0)])
    strides: list[Any] = [(2, 2), [np.int64(2), 2], np.array([2, 2]), np.int64(2)]
    paddings: list[Any] = [[[1, 0], (np.int64(1), np.int64(0))], np.array([[1, 0], [1, 0]])]
    for stride in strides:
        for padding in paddings:
            np.testing.assert_array_equal(conv(x, kernel, stride=stride, padding=padding), expected)


def test_force_chooses_the_way_for_derivatives_too():
    x, kernel = values((1, 8, 4), (3, 1, 4), dtype=np.float32)

    def loss(x, kernel):
        return jnp.square(conv(x, kernel, groups=4)).sum()

    def text():
        return jax.jit(jax.grad(loss, (0, 1))).lower(x, kernel).as_text()

    assert "stablehlo.convolution" not in text()
    with force("lax"):
        assert text().count("stablehlo.convolution") == 3
        with force(None):
            assert "stablehlo.convolution" not in text()
    with pytest.raises(ValueError, match=r"way 'winograd' is not known; it must be one of \['group', 'lax'"):
        force("winograd")


@on_both
@on_representatives
def test_exports_for_every_platform(name, case):
    args = values(case.x, case.kernel, dtype=np.float32)
    op = jax.jit(partial(OPS[name], **case.arguments))
    exported = export.export(op, platforms=("cpu", "cuda", "tpu"))(*args)
    again = export.deserialize(exported.serialize())
    np.testing.assert_allclose(again.call(*args), op(*args), rtol=1e-5, atol=1e-5)


def test_an_export_carries_the_cpus_way_to_no_other_platform():
    args = values((1, 8, 8, 6), (3, 3, 1, 6), dtype=np.float32)
    for platform, convolutions in {"cpu": 0, "cuda": 1, "tpu": 1}.items():
        exported = export.export(jax.jit(partial(conv, groups=6)), platforms=(platform,))(*args)
        assert exported.mlir_module().count("stablehlo.convolution") == convolutions, platform


@on_both
@on_representatives
def test_exports_with_a_symbolic_batch(name, case):
    x, kernel = values((4, *case.x[1:]), case.kernel, dtype=np.float32)
    shape = export.symbolic_shape(", ".join(["batch", *map(str, case.x[1:])]))
    op = jax.jit(partial(OPS[name], **case.arguments))
    exported = export.export(op)(jax.ShapeDtypeStruct(shape, x.dtype), kernel)
    np.testing.assert_allclose(exported.call(x, kernel), op(x, kernel), rtol=1e-5, atol=1e-5)


@on_both
@on_representatives
def test_an_empty_batch_is_fine(name, case):
    x, kernel = values((0, *case.x[1:]), case.kernel, dtype=np.float32)
    y = OPS[name](x, kernel, **case.arguments)
    assert y.shape == (0, *OPS[name](jnp.zeros(case.x), kernel, **case.arguments).shape[1:])


# --- errors ---------------------------------------------------------------------------------------------------------

X, KERNEL = jnp.zeros((2, 8, 8, 4)), jnp.zeros((3, 3, 4, 6))
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no batch": ({"x": X[0, 0]}, r"x must be \[batch, \*space, channels\] .* got shape \(8, 4\), 2 axes; .* x\[None\]"),
    "too many axes": ({"x": jnp.zeros((1,) * 6)}, r"1, 2 or 3 spatial axes; got shape \(1, 1, 1, 1, 1, 1\), 6 axes"),
    "rank": ({"kernel": KERNEL[0]}, r"kernel .* = \(3, 4, 6\) has 1 window axes; x .* = \(2, 8, 8, 4\) has 2 spatial"),
    "channels": ({"x": X[..., :3]}, r"takes 4 input channels a group; x has 3 channels in 1 groups, so 3 a group"),
    "channels a group": ({"groups": 2}, r"takes 4 input channels a group; x has 4 channels in 2 groups, so 2 a group"),
    "groups": ({"groups": 3}, r"groups=3 must divide the input channels 4 and the output channels 6"),
    "groups of outputs": (
        {"groups": 4, "kernel": KERNEL[:, :, :1]},
        r"groups=4 must divide the input channels 4 and the output channels 6",
    ),
    "no groups": ({"groups": 0}, r"groups is 0; it must be an integer of at least 1"),
    "half a group": ({"groups": 1.5}, r"groups is 1.5; it must be an integer of at least 1"),
    "empty kernel": ({"kernel": KERNEL[:0]}, r"kernel .* = \(0, 3, 4, 6\) has an empty axis"),
    "padding name": ({"padding": "half"}, r"padding 'half' is not known; it must be one of \('HALF', 'SAME', 'CAUSAL'"),
    "padding number": ({"padding": 1}, r"padding 1 must be one \(before, after\) pair for each of the 2 spatial axes"),
    "no padding": ({"padding": None}, r"padding None must be one \(before, after\) pair for each of the 2 spatial"),
    "padding pair": (
        {"padding": (1, 1)},
        r"padding \(1, 1\) must be one \(before, after\) pair .* \('height', 'width'",
    ),
    "padding pairs": ({"padding": [(1, 1)]}, r"pair for each of the 2 spatial axes \('height', 'width'\)"),
    "padding triple": ({"padding": [(1, 1), (1, 1, 1)]}, r"must be one \(before, after\) pair"),
    "padding fraction": ({"padding": [(1, 1), (1, 0.5)]}, r"padding along width is \(1, 0.5\); both .* be integers"),
    "stride length": ({"stride": (2,)}, r"stride=\(2,\) has 1 entries; the input has 2 spatial axes \('height', 'wid"),
    "zero stride": ({"stride": (1, 0)}, r"stride along width is 0; it must be an integer of at least 1"),
    "half a stride": ({"stride": 0.5}, r"stride along height is 0.5; it must be an integer of at least 1"),
    "true stride": ({"stride": True}, r"stride along height is True; it must be an integer of at least 1"),
    "array stride": (
        {"stride": np.array([1, 0])},
        r"stride along width is np.int64\(0\); it must be an integer of at least 1",
    ),
    "dilation length": ({"dilation": (1, 1, 1)}, r"dilation=\(1, 1, 1\) has 3 entries; the input has 2 spatial axes"),
    "zero dilation": ({"dilation": 0}, r"dilation along height is 0; it must be an integer of at least 1"),
}
WRONG_TYPES = {
    "integers": ({"x": X.astype(int)}, r"x has dtype int32; it must be floating"),
    "integer kernel": ({"kernel": KERNEL.astype(int)}, r"kernel has dtype int32; it must be floating"),
    "mixed": (
        {"x": X.astype("bfloat16")},
        r"dtypes differ: .*'x': 'bfloat16', 'kernel': 'float32'.*; cast one of them",
    ),
}


def call(op, change):
    arguments = {"x": X, "kernel": KERNEL} | change
    return op(arguments.pop("x"), arguments.pop("kernel"), **arguments)


@on_both
@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(name, change, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call(OPS[name], change)


@on_both
@pytest.mark.parametrize(("change", "message"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_wrong_dtypes_are_named(name, change, message, unchecked):
    with pytest.raises(TypeError, match=message):
        call(OPS[name], change)


TOO_LONG = {
    "time": ((1, 4, 1), (5, 1, 1), {}, r"along time the window spans 5 \(window 5, dilation 1\) but the input has 4"),
    "width": ((1, 9, 4, 1), (3, 3, 1, 1), {"dilation": 2}, r"along width the window spans 5 \(window 3, dilation 2\)"),
    "depth": (
        (1, 2, 9, 9, 1),
        (3, 1, 1, 1, 1),
        {},
        r"along depth the window spans 3 .* with padding \(0, 0\): nothing",
    ),
    "cropped": ((1, 4, 1), (1, 1, 1), {"padding": [(-2, -2)]}, r"along time .* input has 4 with padding \(-2, -2\)"),
}


@pytest.mark.parametrize(("x", "kernel", "arguments", "message"), TOO_LONG.values(), ids=TOO_LONG)
def test_a_window_longer_than_the_input_is_named(x, kernel, arguments, message):
    with pytest.raises(ValueError, match=message):
        conv(jnp.zeros(x), jnp.zeros(kernel), **{"padding": "VALID"} | arguments)


def test_a_transpose_that_cuts_everything_is_named():
    with pytest.raises(ValueError, match=r"along time .* nothing is left"):
        conv_transpose(jnp.zeros((1, 2, 1)), jnp.zeros((1, 1, 1)), padding=[(1, 1)])
