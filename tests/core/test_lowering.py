"""Every way of computing a convolution against float64 lax: values, derivatives, batching, loops, shards."""

import itertools
import json
import math
import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jax.sharding import PartitionSpec as P

from convzoo import core, zoo
from convzoo.core import graph, neighbours
from convzoo.core.lowering import WAYS, choice, conv, dense, kernel_grad, native
from convzoo.core.shapes import Geometry, out_space

without_native = pytest.mark.skipif(native.why_not("float64") != "", reason=native.why_not("float64"))

# One geometry for each way, small enough to compile in no time: (x, kernel, geometry).
ONE = (1, 1)
REPRESENTATIVE = {
    "plain": ((2, 6, 5, 3), (3, 2, 3, 4), Geometry((2, 1), ((1, 1), (0, 1)), ONE, (1, 2))),
    "product": ((2, 7, 6, 3), (2, 2, 3, 4), Geometry((2, 2), ((1, 0), (0, 0)), ONE, ONE)),
    "patches": ((2, 7, 6, 3), (3, 2, 3, 4), Geometry((2, 1), ((1, 0), (2, 0)), ONE, (2, 1))),
    "shuffle": ((2, 4, 3, 3), (3, 4, 3, 4), Geometry(ONE, ((1, 2), (2, 1)), (2, 2), ONE)),
    "phase": ((2, 4, 3, 4), (3, 2, 1, 4), Geometry(ONE, ((1, 2), (2, 1)), (2, 3), ONE, 4)),
    "shift": ((2, 6, 7, 4), (3, 2, 1, 4), Geometry((1, 2), ((1, 1), (1, 0)), ONE, (2, 1), 4)),
    "shift_border": ((2, 7, 6, 4), (3, 3, 1, 8), Geometry((2, 1), ((1, 1), (1, 1)), ONE, ONE, 4)),
    "shift_image": ((3, 9, 4), (3, 1, 4), Geometry((1,), ((4, 0),), (1,), (2,), 4)),
    "native": ((2, 9, 7, 6), (3, 2, 3, 8), Geometry((2, 1), ((1, 1), (1, 0)), ONE, (1, 2), 2)),
    "group": ((2, 5, 6, 8), (3, 3, 2, 12), Geometry(ONE, ((1, 1), (1, 1)), ONE, ONE, 4)),
}
on_ways = pytest.mark.parametrize(
    "way", [pytest.param(way, marks=without_native) if way == "native" else way for way in REPRESENTATIVE]
)


def arrays(*shapes, dtype=jnp.float64, seed=0):
    random = np.random.default_rng(seed)
    return tuple(jnp.asarray(random.standard_normal(shape), dtype) for shape in shapes)


def near(ours, expected, tolerance=1e-11):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance * max(1, np.abs(b).max())), ours, expected
    )


@st.composite
def geometries(draw):
    """(space, window, channels in a group, out in a group, geometry)."""
    rank = draw(st.sampled_from([1, 2, 3]))

    def several(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(rank))

    window, steps, dilated = several(1, 4 - (rank == 3)), several(1, 3), draw(st.booleans())
    pads = tuple(zip(several(-1, 3), several(-1, 3), strict=True))
    ones = (1,) * rank
    groups = draw(st.sampled_from([1, 2, 4]))
    geometry = Geometry(ones if dilated else steps, pads, steps if dilated else ones, several(1, 2), groups)
    space = several(2, 8 - 2 * (rank == 3))
    return space, window, draw(st.sampled_from([1, 1, 3])), draw(st.integers(1, 2)), geometry


@settings(max_examples=12)
@given(case=geometries())
def test_every_way_that_fits_equals_lax_in_float64(case):
    space, window, inner, outer, geometry = case
    out, groups = out_space(space, window, geometry), geometry.groups
    assume(min(out) > 0)
    with jax.enable_x64(True):
        x, kernel, y = arrays((2, *space, inner * groups), (*window, inner, outer * groups), (2, *out, outer * groups))
        there = [way for name, way in WAYS.items() if name != "native" or not native.why_not("float64")]
        fitting = [way for way in there if way.fits(geometry, x.shape[-1], window)]
        values = jax.jit(lambda x, kernel: [way.conv(x, kernel, geometry) for way in fitting])(x, kernel)
        grads = jax.jit(lambda x, y: [way.kernel_grad(x, y, geometry, window) for way in fitting])(x, y)
        for value, grad in zip(values, grads, strict=True):
            near((value, grad), (values[0], grads[0]))


def test_each_way_has_a_case():
    assert set(REPRESENTATIVE) == set(WAYS) - {"lax"}
    for way, (x, kernel, geometry) in REPRESENTATIVE.items():
        assert WAYS[way].fits(geometry, x[-1], kernel[:-2]), way


@on_ways
def test_derivatives_of_derivatives_loops_and_remat(way, x64):
    """grad, jvp of grad, grad of grad through checkpoint and scan: all in one program for each way."""
    x_shape, k_shape, geometry = REPRESENTATIVE[way]
    x, kernel, dx, dk = arrays(x_shape, k_shape, x_shape, k_shape)

    def everything(name):
        def op(x, kernel):
            return conv(x, kernel, geometry, name)

        def loss(x, kernel):
            return jnp.sin(jax.checkpoint(op)(x, kernel)).sum()

        def scanned(x, kernel):
            return jax.lax.scan(lambda total, scale: (total + loss(x, kernel * scale), None), 0.0, jnp.arange(3.0))[0]

        grad = jax.grad(scanned, (0, 1))
        value, hessian = jax.jvp(grad, (x, kernel), (dx, dk))
        twice = jax.grad(lambda x, k: sum(jnp.square(g).sum() for g in grad(x, k)), (0, 1))(x, kernel)
        return op(x, kernel), value, hessian, twice

    near(jax.jit(partial(everything, way))(), jax.jit(partial(everything, "lax"))(), 1e-10)


@on_ways
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_vmap_of_a_gradient(way, axes, x64):
    x_shape, k_shape, geometry = REPRESENTATIVE[way]
    shapes = [(2, *s) if axis == 0 else s for s, axis in zip((x_shape, k_shape), axes, strict=True)]
    x, kernel = arrays(*shapes)

    def step(name, x, kernel):
        y, back = jax.vjp(lambda x, kernel: conv(x, kernel, geometry, name), x, kernel)
        return y, back(jnp.cos(y))

    ours = jax.jit(jax.vmap(partial(step, way), in_axes=axes))(x, kernel)
    near(ours, jax.jit(jax.vmap(partial(step, "lax"), in_axes=axes))(x, kernel))


@on_ways
def test_shard_map_keeps_track_of_what_varies(way, x64):
    x_shape, k_shape, geometry = REPRESENTATIVE[way]
    x, kernel = arrays(x_shape, k_shape)
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))

    def step(name, x, kernel):
        y, back = jax.vjp(lambda x, kernel: conv(x, kernel, geometry, name), x, kernel)
        return y, *back(y)

    sharded = jax.shard_map(
        partial(step, way),
        mesh=mesh,
        in_specs=(P("batch"), P()),
        out_specs=(P("batch"), P("batch"), P()),
        check_vma=True,
    )
    near(jax.jit(sharded)(x, kernel), jax.jit(partial(step, "lax"))(x, kernel))


@on_ways
def test_float32_is_as_close_as_its_rounding(way, x64):
    x_shape, k_shape, geometry = REPRESENTATIVE[way]
    x, kernel = arrays(x_shape, k_shape)
    y = dense.lax_conv(x, kernel, geometry)
    exact = y, dense.lax_kernel_grad(x, y, geometry, k_shape[:-2])
    low = [a.astype("float32") for a in (x, kernel, y)]
    ours = jax.jit(lambda x, kernel, y: (
        WAYS[way].conv(x, kernel, geometry), WAYS[way].kernel_grad(x, y, geometry, k_shape[:-2])
    ))(*low)  # fmt: skip
    assert all(a.dtype == jnp.float32 for a in ours)
    near(ours, exact, 2e-6)


@pytest.mark.parametrize("height", [1, 5, 29, 31, 60])
@pytest.mark.parametrize("batch", [1, 3, 4])
def test_blocks_of_rows_of_any_height(height, batch, x64):
    """Heights around a block of rows of the depthwise kernel gradient, whole and broken."""
    geometry = Geometry(ONE, ((1, 1), (1, 1)), ONE, ONE, 2)
    x, y = arrays((batch, height, 3, 2), (batch, height, 3, 2))
    ours = jax.jit(lambda x, y: WAYS["shift_border"].kernel_grad(x, y, geometry, (3, 3)))(x, y)
    near(ours, dense.lax_kernel_grad(x, y, geometry, (3, 3)))


# --- the choice -----------------------------------------------------------------------------------------------------


def test_lowering_is_an_argument_and_a_context():
    x, kernel = arrays((1, 8, 8, 4), (3, 3, 1, 4), dtype=jnp.float32)

    def convolutions(**arguments):
        step = jax.grad(lambda x, k: jnp.square(core.conv(x, k, groups=4, **arguments)).sum(), (0, 1))
        return jax.jit(step).lower(x, kernel).as_text().count("stablehlo.convolution")

    assert (convolutions(), convolutions(lowering="lax")) == (0, 3)
    with core.force("lax"):
        assert convolutions() == 3
        assert convolutions(lowering="shift") == 0
    with pytest.raises(ValueError, match="way 'fft' is not known"):
        core.conv(x, kernel, groups=4, lowering="fft")


def test_a_forced_way_that_does_not_fit_falls_back():
    x, kernel = arrays((1, 8, 4), (3, 4, 4), dtype=jnp.float32)
    np.testing.assert_allclose(core.conv(x, kernel, lowering="shift"), core.conv(x, kernel), rtol=1e-5)


# --- kernels of our own -----------------------------------------------------------------------------------------------

SHAPES = [  # space, window, stride, dilation, pads, groups, in and out channels of a group
    *[((9, 30), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), 1, inner, o) for inner in (1, 3, 17) for o in (1, 16, 70)],
    *[((9, 30), (3, 5), (s, s), (2, 1), ((2, 2), (2, 2)), g, 1, 1) for s in (1, 2) for g in (2, 7, 16, 43, 100)],
    *[((9, 13), (3, 3), (2, 1), (1, 1), ((1, 1), (1, 1)), g, 4, outer) for g in (2, 8) for outer in (4, 20)],
    ((200,), (1,), (1,), (1,), ((0, 0),), 1, 24, 40),
    ((200,), (80,), (4,), (1,), ((38, 38),), 1, 1, 32),
    ((50,), (9,), (1,), (3,), ((24, 0),), 40, 1, 1),
    ((8, 8), (4, 4), (4, 4), (1, 1), ((0, 0), (0, 0)), 1, 3, 96),
    ((8, 9, 7), (3, 3, 3), (2, 1, 1), (1, 1, 1), ((1, 1),) * 3, 1, 5, 9),
    ((8, 9, 7), (3, 2, 3), (1, 2, 1), (1, 1, 2), ((1, 1), (-1, 1), (2, 2)), 33, 1, 1),
    ((3, 3), (3, 3), (1, 1), (1, 1), ((4, 4), (4, 4)), 1, 2, 2),  # some windows lie in the padding whole
    ((70,), (1,), (1,), (1,), ((0, 0),), 1, 512, 40),  # places a page apart
    ((2, 21), (1, 1), (1, 2), (1, 1), ((0, 0), (0, 0)), 2, 256, 20),
    ((3, 12), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), 1, 512, 24),
]  # fmt: skip


@without_native
@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_native_kernels_at_every_remainder_of_their_blocks(case, x64):
    space, window, stride, dilation, pads, groups, inner, outer = case
    geometry = Geometry(stride, pads, (1,) * len(space), dilation, groups)
    out = out_space(space, window, geometry)
    for batch in (1, 3):
        x, kernel, y = arrays(
            (batch, *space, inner * groups), (*window, inner, outer * groups), (batch, *out, outer * groups)
        )
        ours = jax.jit(lambda x, k, y: (
            native.native_conv(x, k, geometry), native.native_kernel_grad(x, y, geometry, window)
        ))(x, kernel, y)  # fmt: skip
        near(ours, (dense.lax_conv(x, kernel, geometry), dense.lax_kernel_grad(x, y, geometry, window)))


DILATED = [  # space, window, in_dilation, dilation, pads, groups, in and out channels of a group
    ((5, 7), (3, 3), (2, 2), (1, 1), ((2, 2), (1, 1)), 1, 3, 20),
    ((5, 7), (4, 2), (2, 3), (1, 1), ((2, 1), (1, 0)), 1, 17, 5),
    ((5, 7), (1, 1), (2, 2), (1, 1), ((0, 1), (0, 0)), 1, 3, 4),  # outputs that no tap reaches
    ((5, 7), (5, 3), (2, 1), (2, 2), ((3, 5), (2, 2)), 40, 1, 1),
    ((9,), (7,), (3,), (2,), ((4, 9),), 4, 2, 3),
    ((4, 3, 5), (3, 3, 3), (2, 2, 2), (1, 1, 1), ((1, 2),) * 3, 17, 1, 1),
    ((4, 3, 5), (2, 2, 2), (2, 2, 2), (1, 1, 1), ((1, 1),) * 3, 1, 4, 3),
]


@without_native
@pytest.mark.parametrize("case", DILATED, ids=str)
def test_native_kernels_of_a_dilated_input(case, x64):
    space, window, dilated, dilation, pads, groups, inner, outer = case
    geometry = Geometry((1,) * len(space), pads, dilated, dilation, groups)
    out = out_space(space, window, geometry)
    x, kernel, y = arrays((2, *space, inner * groups), (*window, inner, outer * groups), (2, *out, outer * groups))
    ours = jax.jit(lambda x, k, y: (
        native.native_conv(x, k, geometry), native.native_kernel_grad(x, y, geometry, window)
    ))(x, kernel, y)  # fmt: skip
    near(ours, (dense.lax_conv(x, kernel, geometry), dense.lax_kernel_grad(x, y, geometry, window)))


FOLLOWED = [  # channels, outputs, groups, activation
    *[(6, 150, 3, activation) for activation in core.ACTIVATIONS],
    (37, 45, 1, "gelu"),
    (37, 37, 37, "gelu"),
    (24, 24, 24, "relu6"),
]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(("channels", "outer", "groups", "activation"), FOLLOWED)
def test_what_follows_a_convolution_is_computed_with_it(channels, outer, groups, activation, dtype, x64):
    x, kernel, scale, bias, residual = arrays(
        (2, 5, 35, channels), (3, 3, channels // groups, outer), (outer,), (outer,), (2, 5, 18, outer), dtype=dtype
    )
    own = {"stride": (1, 2), "groups": groups}
    rounding = 1e-14 if dtype == jnp.float64 else 2e-6

    def together(x, some):
        return core.conv(x, kernel, **own, **some, activation=activation)

    def apart(x, some):
        y = core.conv(x, kernel, **own) * some.get("scale", 1) + some.get("bias", 0)
        return core.ACTIVATIONS[activation](y + some.get("residual", 0))

    given = {"scale": scale, "bias": bias, "residual": residual}
    for names in [(), ("scale", "residual"), tuple(given)]:
        some = {name: given[name] for name in names}
        near(jax.jit(together)(x, some), jax.jit(apart)(x, some), rounding)
    if activation in ("gelu", "relu6"):
        some = {"scale": scale, "bias": bias}
        for change in (
            lambda f: jax.grad(lambda x, some: jnp.sin(f(x, some)).sum(), (0, 1)),
            lambda f: jax.vmap(lambda x, some: f(x[None], some)[0], (0, None)),
        ):
            near(jax.jit(change(together))(x, some), jax.jit(change(apart))(x, some), 10 * rounding)


@without_native
@pytest.mark.parametrize("activation", [name for name in native.ACTIVATIONS if name != "none"])
def test_what_follows_keeps_nan_and_infinity(activation):
    x = jnp.asarray([jnp.nan, jnp.inf, -jnp.inf, -1e30, 1e30, -100.0, 100.0, 0.0])[None, :, None]
    ours = core.conv(x, jnp.ones((1, 1, 1)), activation=activation)
    expected = core.ACTIVATIONS[activation](x)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)


@without_native
def test_what_follows_is_one_call_in_inference_and_two_operations_under_a_gradient():
    x, kernel, bias = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4, 4)), jnp.ones(4)

    def f(x):
        return core.conv(x, kernel, bias=bias, activation="gelu")

    assert "erf" not in jax.jit(f).lower(x).as_text()
    assert "erf" in jax.jit(jax.grad(lambda x: f(x).sum())).lower(x).as_text()
    with core.force("lax"):
        assert "erf" in jax.jit(f).lower(x).as_text()


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"activation": "swish"}, ValueError, "'swish' is not known; it must be one of"),
        ({"bias": jnp.ones(3)}, ValueError, r"bias has shape \(3,\); the result \(2, 8, 5\) needs \(5,\)"),
        ({"residual": jnp.ones((2, 7, 5))}, ValueError, r"residual has shape \(2, 7, 5\)"),
        ({"residual": jnp.ones((2, 8, 5), jnp.bfloat16)}, TypeError, "dtypes differ"),
    ],
)
def test_what_cannot_follow_is_named(given, error, told, unchecked):
    with pytest.raises(error, match=told):
        core.conv(jnp.ones((2, 8, 4)), jnp.ones((3, 4, 5)), **given)


@without_native
def test_native_kernels_round_alike_whatever_thread_does_what():
    x, kernel = arrays((5, 40, 40, 20), (3, 3, 20, 36), dtype=jnp.float32)
    step = jax.jit(jax.value_and_grad(lambda x, k: jnp.sin(core.conv(x, k)).sum(), (0, 1)))
    first = step(x, kernel)
    for _ in range(10):
        jax.tree.map(np.testing.assert_array_equal, step(x, kernel), first)


PLAIN = """
import jax, jax.numpy as jnp
from convzoo import core
from convzoo.core.lowering import native
x, k = jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4, 4))
{}
"""


def printed(lines: str, **environment: str) -> str:
    script = PLAIN.format(lines)
    done = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_a_compiler_the_ways_in_jax_compute_the_same(tmp_path):
    show = "print(native.why_not('float32')); print(float(core.conv(x, k).sum()))"
    value = str(float(core.conv(jnp.ones((2, 8, 8, 4)), jnp.ones((3, 3, 4, 4))).sum()))
    assert printed(show, CONVZOO_NATIVE="0").split("\n")[:2] == ["CONVZOO_NATIVE is 0", value]
    assert printed(show, PATH=str(tmp_path)).split("\n")[:2] == [
        "there is no C++ compiler: c++, g++ or clang++", value
    ]  # fmt: skip
    (tmp_path / "c++").write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    (tmp_path / "c++").chmod(0o755)
    told, found, *_ = printed(
        show, PATH=f"{tmp_path}:{os.environ['PATH']}", XDG_CACHE_HOME=str(tmp_path), CXX="c++"
    ).split("\n")
    assert "could not build native.cc" in told
    assert "broken" in told
    assert found == value
    assert not list((tmp_path / "convzoo").iterdir()), "a failed build leaves nothing behind"


@without_native
def test_exports_and_programs_for_several_devices_carry_none_of_our_kernels():
    text = printed(
        """
f = jax.jit(lambda x, k: core.conv(x, k))
print("convzoo_conv" in f.lower(x, k).as_text())
print("convzoo_conv" in jax.export.export(f)(x, k).mlir_module())
mesh = jax.make_mesh((2,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
spread = jax.device_put(x, jax.NamedSharding(mesh, jax.P("batch")))
print("convzoo_conv" in f.lower(spread, k).as_text())
print(float(abs(f(spread, k) - f(x, k)).max()) < 1e-4)
""",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert text.split() == ["True", "False", "False", "True"]


def test_the_table_names_ways_and_its_measured_shapes_are_found():
    table = choice.table()
    assert table, "ways.json is missing: python -m experiments.bench_conv --sweep"
    for kind, rows in table.items():
        operation = kind.split()[0]
        assert operation in ("conv", "kernel_grad")
        for features, ways in rows:
            assert len(features) == 8
            assert all(math.isfinite(feature) for feature in features)
            assert set(ways) <= set(WAYS)
    assert len(json.dumps(table)) < 50_000, "the table is part of the wheel"


def test_the_choice_always_fits():
    sizes = itertools.product([1, 8], [(5,), (14, 14), (4, 4, 4)], [1, 3], [1, 2], [1, 2], [1, 4, 8], [False, True])
    for batch, space, k, stride, dilation, groups, dilated in sizes:
        rank = len(space)
        ones, window = (1,) * rank, (k,) * rank
        geometry = Geometry(ones, ((k, k),) * rank, ones, (dilation,) * rank, groups)
        geometry = geometry._replace(**{"in_dilation" if dilated else "stride": (stride,) * rank})
        out = out_space(space, window, geometry)
        for operation in ("conv", "kernel_grad"):
            way = choice.choose(operation, batch, space, out, geometry, 8, 8, window)
            assert WAYS[way].fits(geometry, 8, window), (way, geometry)


def test_kernel_grad_is_the_gradient(x64):
    for x_shape, k_shape, geometry in REPRESENTATIVE.values():
        x, kernel = arrays(x_shape, k_shape)
        y, back = jax.vjp(lambda k: conv(x, k, geometry), kernel)  # noqa: B023
        near(kernel_grad(x, y, geometry, k_shape[:-2]), back(y)[0])


# --- sums over neighbours -------------------------------------------------------------------------------------------


@pytest.fixture
def many_edges(x64, monkeypatch):
    """Some nodes with many neighbours, some with none, padding among them; few, but sorted all the same."""
    monkeypatch.setattr(graph, "FEWEST_SORTED", 0)
    random, nodes, count = np.random.default_rng(0), 30, 300
    receivers = np.minimum(random.geometric(0.1, count) - 1, nodes + 1)  # the last two are out of range
    senders, taps = random.integers(0, nodes, count), random.integers(0, 4, count)  # the kernel has three
    senders, receivers, taps = (jnp.asarray(a, jnp.int32) for a in (senders, receivers, taps))
    return core.Edges(senders, receivers, taps, jnp.asarray(random.standard_normal(count)), nodes)


@pytest.mark.parametrize("kernel_shape", [(3, 4, 5), (1, 4, 2)])
def test_sorted_edges_change_no_value_and_no_derivative(many_edges, kernel_shape):
    x, kernel = arrays((30, 4), kernel_shape)

    def everything(op):
        def grads(x, kernel, weight):
            def loss(x, kernel, weight):
                return jnp.sin(op(x, kernel, many_edges._replace(weight=weight))).sum()

            return jax.grad(loss, (0, 1, 2))(x, kernel, weight)

        at = (x, kernel, many_edges.weight)
        twice = jax.grad(lambda *at: sum(jnp.square(g).sum() for g in grads(*at)), (0, 1, 2))(*at)
        over_x, over_all = jax.vmap(grads, (0, None, None)), jax.vmap(grads)
        both = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), at)
        return op(x, kernel, many_edges), jax.jvp(grads, at, at), twice, over_x(both[0], *at[1:]), over_all(*both)

    table = core.sort_edges(many_edges, kernel_shape[0], 30)
    with core.force("lax"):
        expected = jax.jit(lambda: everything(core.graph_conv))()
    near(jax.jit(lambda: everything(core.graph_conv))(), expected)  # kernels of our own, where there are
    with core.force("shift"):
        near(jax.jit(lambda: everything(lambda x, k, edges: core.graph_conv(x, k, edges, table)))(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("channels", "heads"), [(1, 1), (7, 1), (300, 1), (24, 3), (6, 6), (128, 2)])
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_our_kernels_sum_and_multiply_as_segment_sum_does(many_edges, dtype, channels, heads, order):
    """Edges out of range at either end among them; the same edges in their order at each target."""
    senders, targets = (np.array(a) for a in many_edges[:2])
    senders[:3], targets[3:6] = (-1, 30, 99), (-5, 30, 31)
    if order == "sorted":
        senders, targets = senders[np.argsort(targets)], np.sort(targets)
    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    x, y = (a.astype(dtype) for a in arrays((30, channels), (30, channels)))
    (weight,) = arrays((len(senders), heads))
    listed = jnp.asarray(senders, jnp.int32), jnp.asarray(targets, jnp.int32)
    summed = jax.jit(neighbours.neighbour_sum, static_argnums=4)(x, weight, *listed, 30)
    near(summed, neighbours.sum_anywhere(x, weight, *listed, size=30), tolerance)
    found = jax.jit(neighbours.neighbour_dot, static_argnums=4)(x, y, *listed, heads)
    real = (senders >= 0) & (senders < 30) & (targets >= 0) & (targets < 30)
    ends = (np.asarray(a)[i % 30].reshape(-1, heads, channels // heads) for a, i in ((x, senders), (y, targets)))
    by_head = np.einsum("ehc,ehc->eh", *ends)
    near(found, by_head * real[:, None], tolerance)


def test_a_sum_does_not_depend_on_the_threads():
    """However the targets are parted, each is summed in the order of its edges."""
    random = np.random.default_rng(0)
    senders, targets = random.integers(0, 500, (2, 20_000))
    x = jnp.asarray(random.normal(size=(500, 64)), jnp.float32)
    weight = jnp.asarray(random.normal(size=20_000), jnp.float32)
    run = jax.jit(neighbours.neighbour_sum, static_argnums=4)
    first = np.asarray(run(x, weight, senders, targets, 500))
    order = np.argsort(targets, kind="stable")
    np.testing.assert_array_equal(run(x, weight[order], senders[order], targets[order], 500), first)
    for _ in range(5):
        np.testing.assert_array_equal(run(x, weight, senders, targets, 500), first)


def test_edges_are_sorted_once_and_forgotten_with_their_arrays(many_edges):
    x = jnp.zeros((30, 4), "bfloat16")  # for which there are no kernels of our own

    def known(edges, taps=3):
        return graph.known_table(edges, taps, x)

    assert known(many_edges) is known(many_edges)
    copies = many_edges._replace(senders=many_edges.senders + 0)
    assert known(copies) is not known(many_edges)
    count = len(graph.sorted_tables)
    del copies
    known(many_edges, 4)
    assert len(graph.sorted_tables) == count


def test_traced_edges_are_sorted_by_a_table_that_goes_with_them(many_edges):
    x, kernel = arrays((30, 4), (3, 4, 5))
    traced, table = jax.jit(core.graph_conv), core.sort_edges(many_edges, 3, 30)
    expected = graph.convolve(x, kernel, many_edges)
    near(traced(x, kernel, many_edges), expected)
    near(traced(x, kernel, many_edges, table), expected)
    with core.force("shift"):
        near(traced(x, kernel, many_edges, table), expected)


def test_a_table_changes_no_cost(many_edges):
    x, kernel = arrays((30, 4), (3, 4, 5))
    table = core.sort_edges(many_edges, 3, 30)
    with_it, without = (
        zoo.count(jax.make_jaxpr(graph.convolve)(x, kernel, many_edges, t).jaxpr) for t in (table, None)
    )
    assert with_it == without
    assert without[0] > 0


def test_a_table_of_other_edges_is_refused(many_edges, unchecked):
    x, kernel = arrays((30, 4), (3, 4, 5))
    with pytest.raises(ValueError, match=r"table is of 300 edges between 30 nodes and 120 slots"):
        core.graph_conv(x, kernel, many_edges, core.sort_edges(many_edges, 4, 30))
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda edges: core.sort_edges(edges, 3, 30))(many_edges)
