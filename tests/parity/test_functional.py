"""The core's functions and their gradients against torch.nn.functional (and timm, torchvision), in float64.

A line of a table is a setting. Shapes are ours, channels last; a peer's side moves axes inside what torch
differentiates, so values and gradients are compared as they come.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import core
from convzoo.nn import BatchNorm
from tests.parity.cases import UNOPTIMISED, check, differences, uniform, worst

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("x64")]


@pytest.fixture
def agree(torch, record_property, request):
    """``agree(ours, theirs, *shapes)``: the same values and gradients for arrays of these shapes."""

    def compare(ours, theirs, *shapes):
        arrays = [uniform(f"argument {i}", shape) for i, shape in enumerate(shapes)]
        tensors = [torch.from_numpy(array).requires_grad_() for array in arrays]
        expected = theirs(*tensors)
        weights = uniform("weights", tuple(expected.shape))
        (expected * torch.from_numpy(weights)).sum().backward()

        @partial(jax.jit, compiler_options=UNOPTIMISED)
        def value_and_gradients(arrays, weights):
            value, pull = jax.vjp(ours, *arrays)
            return value, pull(weights)

        found, gradients = value_and_gradients(arrays, weights)
        differing = differences(
            {"/output": np.asarray(found), **{f"/gradient/{i}": np.asarray(g) for i, g in enumerate(gradients)}},
            {"/output": expected.detach().numpy(), **{f"/gradient/{i}": t.grad.numpy() for i, t in enumerate(tensors)}},
        )
        record_property(
            "largest differences", [request.function.__name__.removeprefix("test_"), *worst(differing).items()]
        )
        check(differing)

    return compare


def first(x: Any) -> Any:
    return x.movedim(-1, 1)


def last(x: Any) -> Any:
    return x.movedim(1, -1)


def kernel(k: Any) -> Any:
    """[*window, in, out] -> [out, in, *window]"""
    return k.movedim((-1, -2), (0, 1))


# space, window, channels a group in and out, then what both take, then padding: ours and torch's
CONVS = [
    ((11,), (3,), (4, 5), {}, "HALF", 1),
    ((11,), (5,), (4, 5), {"stride": 2}, "HALF", 2),
    ((13,), (3,), (2, 3), {"groups": 3, "dilation": 4}, "HALF", 4),
    ((12,), (4,), (2, 3), {"stride": 3}, "VALID", 0),
    ((12,), (4,), (2, 3), {}, ((3, 3),), 3),
    ((9, 8), (3, 3), (4, 5), {}, "HALF", 1),
    ((9, 8), (3, 3), (4, 5), {"stride": 2}, "HALF", 1),
    ((9, 8), (1, 1), (4, 5), {}, "HALF", 0),
    ((9, 8), (1, 1), (4, 5), {"stride": 2}, "HALF", 0),
    ((9, 8), (1, 5), (4, 5), {"stride": (2, 1)}, "HALF", (0, 2)),
    ((9, 8), (3, 5), (2, 3), {"groups": 4, "dilation": (2, 1)}, "HALF", 2),
    ((9, 8), (3, 3), (1, 1), {"groups": 6}, "HALF", 1),
    ((9, 8), (3, 3), (1, 1), {"groups": 6, "stride": 2}, "HALF", 1),
    ((9, 8), (3, 3), (1, 2), {"groups": 6, "dilation": 2}, "HALF", 2),
    ((15, 13), (11, 11), (3, 4), {"stride": 4}, ((2, 2), (2, 2)), 2),
    ((8, 12), (4, 4), (3, 5), {"stride": 4}, "VALID", 0),
    ((5, 6, 7), (3, 3, 3), (3, 4), {"stride": (1, 2, 2)}, "HALF", 1),
    ((5, 6, 7), (3, 1, 3), (1, 1), {"groups": 4, "dilation": (1, 1, 2)}, "HALF", (1, 0, 2)),
]


@pytest.mark.parametrize(("space", "window", "channels", "settings", "padding", "theirs"), CONVS)
def test_conv(space, window, channels, settings, padding, theirs, torch, agree):
    operation = getattr(torch.nn.functional, f"conv{len(space)}d")
    inner, outer = channels
    groups = settings.get("groups", 1)
    agree(
        partial(core.conv, padding=padding, **settings),
        lambda x, k: last(operation(first(x), kernel(k), padding=theirs, **settings)),
        (2, *space, inner * groups),
        (*window, inner, outer * groups),
    )


# space, window, what both take, ours by name, and per axis from the last what torch's pad takes first
PADDED = [
    ((11,), (3,), {"dilation": 2}, "CAUSAL", (4, 0)),
    ((11,), (2,), {"stride": 2}, "CAUSAL", (1, 0)),
    ((9, 8), (3, 2), {}, "CAUSAL", (1, 0, 2, 0)),
    ((9, 8), (3, 3), {"stride": 2}, "SAME", (0, 1, 1, 1)),
    ((8, 8), (5, 5), {"stride": 2}, "SAME", (1, 2, 1, 2)),
    ((10, 7), (2, 3), {"stride": 3}, "SAME", (1, 1, 0, 1)),
    ((9, 8), (3, 3), {"dilation": 2}, "SAME", (2, 2, 2, 2)),
    ((9, 8), (2, 4), {}, "HALF", (1, 2, 0, 1)),
    ((9, 8), (3, 3), {}, ((0, 2), (1, 3)), (1, 3, 0, 2)),
    ((5, 6, 7), (2, 3, 3), {"stride": 2}, "SAME", (1, 1, 0, 1, 0, 1)),
]


@pytest.mark.parametrize(("space", "window", "settings", "padding", "theirs"), PADDED)
def test_padding(space, window, settings, padding, theirs, torch, agree):
    functional = torch.nn.functional
    operation = getattr(functional, f"conv{len(space)}d")
    agree(
        partial(core.conv, padding=padding, **settings),
        lambda x, k: last(operation(functional.pad(first(x), theirs), kernel(k), **settings)),
        (2, *space, 3),
        (*window, 3, 4),
    )


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 9), (13, 7)])
def test_same_is_timms(stride, size, torch, timm, agree):
    same = timm.layers.conv2d_same
    agree(
        partial(core.conv, stride=stride, padding="SAME"),
        lambda x, k: last(same(first(x), kernel(k), stride=(stride, stride))),
        (2, *size, 3),
        (3, 5, 3, 4),
    )


# space, window, channels a group in and out, what both take, padding: ours and torch's
TRANSPOSED = [
    ((7,), (3,), (4, 5), {}, "HALF", 1),
    ((7,), (5,), (4, 5), {"stride": 3}, "HALF", 2),
    ((7,), (4,), (2, 3), {"stride": 2, "groups": 2}, ((1, 1),), 1),
    ((5, 6), (3, 3), (4, 5), {"stride": 2}, "HALF", 1),
    ((5, 6), (2, 2), (4, 5), {"stride": 2}, "VALID", 0),
    ((5, 6), (3, 3), (2, 3), {"dilation": 2}, "VALID", 0),
    ((5, 6), (3, 5), (1, 1), {"stride": (1, 2), "groups": 4}, "HALF", (1, 2)),
    ((3, 4, 5), (3, 3, 3), (2, 3), {"stride": 2}, "HALF", 1),
]


@pytest.mark.parametrize(("space", "window", "channels", "settings", "padding", "theirs"), TRANSPOSED)
def test_conv_transpose(space, window, channels, settings, padding, theirs, torch, agree):
    operation = getattr(torch.nn.functional, f"conv_transpose{len(space)}d")
    inner, outer = channels
    groups = settings.get("groups", 1)

    def weight(k):
        """[*window, in / groups, out] -> [in, out / groups, *window]"""
        k = k.movedim((-2, -1), (0, 1)).unflatten(1, (groups, outer))
        return k.transpose(0, 1).flatten(0, 1)

    agree(
        partial(core.conv_transpose, padding=padding, **settings),
        lambda x, k: last(operation(first(x), weight(k), padding=theirs, **settings)),
        (2, *space, inner * groups),
        (*window, inner, outer * groups),
    )


# space, window, stride, padding: ours and torch's
POOLS = [
    ((11,), 3, 2, "HALF", 1),
    ((11,), 4, None, "VALID", 0),
    ((9, 8), 3, 2, "HALF", 1),
    ((9, 8), 3, 2, "VALID", 0),
    ((9, 8), (2, 3), (2, 1), ((1, 1), (1, 1)), (1, 1)),
    ((5, 6, 7), 3, 2, "HALF", 1),
]


@pytest.mark.parametrize("kind", ["max", "avg counting padding", "avg"])
@pytest.mark.parametrize(("space", "window", "stride", "padding", "theirs"), POOLS)
def test_pools(kind, space, window, stride, padding, theirs, torch, agree):
    pool = getattr(torch.nn.functional, f"{kind[:3]}_pool{len(space)}d")
    if kind == "max":
        ours, settings = core.max_pool, {}
    else:
        counting = kind != "avg"
        ours, settings = partial(core.avg_pool, count_padding=counting), {"count_include_pad": counting}
    agree(
        partial(ours, window=window, stride=stride, padding=padding),
        lambda x: last(pool(first(x), window, stride, theirs, **settings)),
        (2, *space, 3),
    )


@pytest.mark.parametrize(
    ("space", "size"), [((7,), 3), ((7,), 11), ((2, 3), 6), ((9, 13), (6, 4)), ((8, 6), (4, 3)), ((5, 6, 7), (2, 3, 4))]
)
def test_adaptive_avg_pool(space, size, torch, agree):
    pool = getattr(torch.nn.functional, f"adaptive_avg_pool{len(space)}d")
    agree(partial(core.adaptive_avg_pool, size=size), lambda x: last(pool(first(x), size)), (2, *space, 3))


LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@pytest.mark.parametrize("method", ["linear", "linear corners", "nearest", "nearest_exact"])
@pytest.mark.parametrize(
    ("space", "size"), [((7,), 13), ((13,), 5), ((4, 6), (9, 6)), ((7, 9), (4, 20)), ((3, 4, 5), (6, 3, 7))]
)
def test_resize(space, size, method, torch, agree):
    linear, corners = method.startswith("linear"), method.endswith("corners")
    settings = {"align_corners": corners} if linear else {}
    mode = LINEAR[len(space)] if linear else method.replace("_", "-")
    agree(
        partial(core.resize, size=size, method=method.split()[0], align_corners=corners),
        lambda x: last(torch.nn.functional.interpolate(first(x), size, mode=mode, **settings)),
        (2, *space, 3),
    )


SPACES = [(7,), (5, 4), (2, 3, 4)]


@pytest.mark.parametrize("space", SPACES)
def test_group_norm(space, torch, agree):
    norm = torch.nn.functional.group_norm
    agree(
        lambda x, scale, bias: core.group_norm(x, 3, scale, bias, epsilon=1e-3),
        lambda x, scale, bias: last(norm(first(x), 3, scale, bias, eps=1e-3)),
        (3, *space, 6), (6,), (6,),
    )  # fmt: skip


@pytest.mark.parametrize("space", [(), *SPACES])
def test_layer_norm(space, torch, agree):
    norm = torch.nn.functional.layer_norm
    agree(
        lambda x, scale, bias: core.layer_norm(x, scale, bias, epsilon=1e-3),
        lambda x, scale, bias: norm(x, (6,), scale, bias, eps=1e-3),
        (3, *space, 6), (6,), (6,),
    )  # fmt: skip


@pytest.mark.parametrize("space", [(), *SPACES])
def test_batch_norm_of_given_statistics(space, torch, agree):
    norm = torch.nn.functional.batch_norm
    mean, var = uniform("mean", (6,)), uniform("var", (6,), 0.5, 1.5)
    agree(
        lambda x, scale, bias: core.batch_norm(x, jnp.asarray(mean), jnp.asarray(var), scale, bias),
        lambda x, scale, bias: last(norm(first(x), torch.from_numpy(mean), torch.from_numpy(var), scale, bias)),
        (3, *space, 6), (6,), (6,),
    )  # fmt: skip


@pytest.mark.parametrize("space", [(), *SPACES])
@pytest.mark.parametrize("momentum", [0.9, 0.7])
def test_batch_norm_of_batch_statistics(space, momentum, torch, agree):
    """Two steps; the running statistics are compared as output, and carry no gradient in torch."""
    layer = BatchNorm(momentum=momentum, dtype="float64", param_dtype="float64")

    def ours(x, scale, bias):
        stats: Any = {"mean": jnp.zeros(6), "var": jnp.ones(6)}
        for step in (1, 2):
            variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
            y, state = layer.apply(variables, step * x, train=True, mutable=["batch_stats"])
            stats = state["batch_stats"]
        kept = jax.lax.stop_gradient(jnp.stack([stats["mean"], stats["var"]]))
        return jnp.concatenate([y.reshape(-1, 6), kept])

    def theirs(x, scale, bias):
        mean, var = torch.zeros(6, dtype=x.dtype), torch.ones(6, dtype=x.dtype)
        for step in (1, 2):
            y = torch.nn.functional.batch_norm(first(step * x), mean, var, scale, bias, True, 1 - momentum)
        return torch.cat([last(y).reshape(-1, 6), mean[None], var[None]])

    agree(ours, theirs, (3, *space, 6), (6,), (6,))


def test_global_response_norm(torch, timm, agree):
    def theirs(x, scale, bias):
        norm = timm.layers.grn.GlobalResponseNorm(6, channels_last=True).double()
        return torch.func.functional_call(norm, {"weight": scale, "bias": bias}, x)

    agree(core.global_response_norm, theirs, (2, 4, 5, 6), (6,), (6,))


def test_squeeze_excite(torch, torchvision, agree):
    gate = torchvision.ops.SqueezeExcitation(6, 2).double()

    def theirs(x, down, down_bias, up, up_bias):
        weights = {"fc1.weight": down.T[..., None, None], "fc1.bias": down_bias}
        weights |= {"fc2.weight": up.T[..., None, None], "fc2.bias": up_bias}
        return last(torch.func.functional_call(gate, weights, first(x)))

    agree(core.squeeze_excite, theirs, (2, 4, 5, 6), (6, 2), (2,), (2, 6), (6,))
