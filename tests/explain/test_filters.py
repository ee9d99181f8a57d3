"""Kernels by hand: what a map obeys, what kernels are, what is drawn, and what is said about it."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convzoo import core
from convzoo.explain import answers, drawn, filters
from convzoo.explain.filters import KERNELS, Kernel, along, feature_map, kernel

SEVERAL = (*KERNELS, "gaussian:1.5", "gabor:30,5", "1 2 3; 4 5 6", "2")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [(3,), (4,), (3, 3), (2, 5)])
def test_a_map_is_the_sums_of_products(window, stride):
    x, values = noise(*(17, 14)[: len(window)]), noise(*window, seed=1)
    pads = [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in window]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, pads), window)[(slice(None, None, stride),) * x.ndim]
    expected = (windows * values).sum(tuple(range(-x.ndim, 0)))
    np.testing.assert_allclose(feature_map(x, Kernel(values, ""), stride=stride), expected, atol=1e-5)


@pytest.mark.parametrize("name", SEVERAL)
def test_shifting_the_input_shifts_the_map(name):
    """To the last bit, the stride's multiples too."""
    x, found = noise(41, 38), kernel(name)
    for by, stride in (((3, 5), 1), ((0, 1), 1), ((2, 3), 2)):
        assert answers.shift_difference(x, found, by, stride=stride) == 0
    assert answers.shift_difference(x[:, 0], along(found), (7,)) == 0
    assert answers.shift_difference(x[:4], kernel("gaussian:2"), (1, 1)) is None


@pytest.mark.parametrize("name", SEVERAL)
def test_a_map_is_linear(name):
    one, other, found = noise(20, 21), noise(20, 21, seed=1), kernel(name)
    both = 2 * feature_map(one, found) - 3 * feature_map(other, found)
    np.testing.assert_allclose(feature_map(2 * one - 3 * other, found), both, atol=1e-4)
    scaled = found._replace(values=-2 * found.values)
    np.testing.assert_allclose(feature_map(one, scaled), -2 * feature_map(one, found), rtol=1e-5, atol=1e-6)


@given(st.data())
def test_a_step_is_a_pixel_of_the_map(data):
    rank = data.draw(st.sampled_from([1, 2]))
    window = data.draw(st.tuples(*[st.integers(1, 4)] * rank))
    stride, padding = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["HALF", "VALID"]))
    x, found = noise(*(9, 8)[:rank]), Kernel(noise(*window, seed=1), "")
    expected = feature_map(x, found, stride=stride, padding=padding)
    at = data.draw(st.tuples(*[st.integers(0, size - 1) for size in expected.shape]))
    taken = filters.step(x, found, at, stride=stride, padding=padding)
    np.testing.assert_allclose(taken.total, expected[at], atol=1e-5)
    np.testing.assert_array_equal(taken.products, taken.window * found.values)
    with pytest.raises(ValueError, match=r"position .* is not in the output"):
        filters.step(x, found, expected.shape, stride=stride, padding=padding)


def test_the_jitted_function_is_differentiable():
    """What is answered most raises the answer most: the gradient of one pixel is the kernel, where its window lies."""
    x, values = noise(9, 9), KERNELS["emboss"].values
    gradient = jax.grad(lambda x: filters.slide(x, values)[4, 6])(x)
    np.testing.assert_array_equal(gradient[3:6, 5:8], values)
    assert np.count_nonzero(gradient) == np.count_nonzero(values)


# --- along a sound, over a graph --------------------------------------------------------------------------------------


def test_a_kernel_of_one_row_is_a_kernel_along_each_row():
    x, row = noise(6, 30), kernel("-1 2 0.5 1;")
    assert row.values.shape == (1, 4)
    expected = np.stack([feature_map(line, along(row)) for line in x])
    np.testing.assert_allclose(feature_map(x, row), expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted({*SEVERAL} - {"1 2 3; 4 5 6"}))
def test_a_sound_is_a_picture_that_changes_along_one_axis(name):
    """So its map is the picture's: from left to right, or, where columns cancel, from top to bottom."""
    sound, found = drawn.pluck(60), kernel(name)
    picture = np.tile(sound, (60, 1))
    picture = picture.T if along(found).told == "the sums of its rows" else picture
    seen = feature_map(picture, found)
    middle = seen[:, 30] if along(found).told == "the sums of its rows" else seen[30]
    assert np.abs(middle).max() > 0.01
    np.testing.assert_allclose(middle, feature_map(sound, along(found)), atol=1e-5)


def test_along_takes_the_columns_then_the_rows_then_the_middle_row():
    assert along(KERNELS["vertical edges"]).values.tolist() == [-3, 0, 3]
    assert along(KERNELS["horizontal edges"]).values.tolist() == [-3, 0, 3]
    assert along(kernel("1 -1; -1 1")).values.tolist() == [-1, 1]
    assert along(kernel("0 0 0;")).values.tolist() == [0, 0, 0]


@pytest.mark.parametrize("window", [(3, 3), (2, 3), (5, 4)])
def test_a_grid_is_a_graph(window):
    space = 7, 9
    places = np.indices(space).reshape(2, -1).T.astype(np.float32)
    edges, expected = filters.plane_edges(places, window), core.grid_edges(space, window)
    for name in ("senders", "receivers", "taps", "weight", "num_receivers"):
        np.testing.assert_array_equal(getattr(edges, name), getattr(expected, name), err_msg=name)
    x, found = noise(*space), Kernel(noise(*window, seed=1), "")
    over_graph = filters.graph_map(x.reshape(-1), edges, found).reshape(space)
    np.testing.assert_allclose(over_graph, feature_map(x, found), atol=1e-5)


def test_an_irregular_graph_is_answered_like_a_picture():
    """A plain surface by nothing, a ramp by its slope; no two nodes lie near each other, a step holds about one."""
    places = filters.scattered(12)
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
    assert distance.min() >= filters.NEAR
    assert 0.9 < len(places) / 11**2 < 1.5
    edges, vertical = filters.plane_edges(places, (3, 3)), KERNELS["vertical edges"]
    whole = np.bincount(edges.receivers, minlength=len(places)) == 9
    assert whole.mean() > 0.6
    flat = filters.graph_map(np.ones(len(places), np.float32), edges, vertical)
    assert np.all(flat[whole] == 0)
    ramp = filters.graph_map(places[:, 1].copy(), edges, vertical)
    assert np.all(ramp[whole] > 3)
    assert abs(ramp[whole].mean() - 6) < 0.3
    own = edges.senders[edges.taps == 4] == edges.receivers[edges.taps == 4]
    assert np.all(own)


# --- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.1, 1, 2.5, 10])
def test_gaussians_sum_to_one_and_are_as_wide_as_they_say(sigma):
    values = filters.gaussian(sigma).values.astype(float)
    assert values.sum() == pytest.approx(1, abs=1e-6)
    reach = len(values) // 2
    spread = np.sqrt((values.sum(0) * np.arange(-reach, reach + 1) ** 2).sum())
    assert spread == pytest.approx(sigma if sigma >= 1 else 0, abs=0.03 * sigma)


def test_two_gaussians_are_one():
    """3 pixels and then 4 are 5: variances add."""
    x = np.zeros((61, 61), np.float32)
    x[30, 30] = 1
    twice = feature_map(feature_map(x, filters.gaussian(3)), filters.gaussian(4))
    np.testing.assert_allclose(twice, feature_map(x, filters.gaussian(5)), atol=0.02 * twice.max())


@pytest.mark.parametrize("angle", [0, 30, 45, 75])
def test_turning_the_input_turns_the_map_of_a_turned_gabor(angle):
    x = noise(24, 24)
    turned = feature_map(np.rot90(x).copy(), filters.gabor(angle + 90, 5))
    np.testing.assert_allclose(turned, np.rot90(feature_map(x, filters.gabor(angle, 5))), atol=1e-6)


@pytest.mark.parametrize("angle", [0, 45, 90, 135])
def test_gabors_answer_the_stripes_of_their_angle(angle):
    row, column = np.indices((40, 40))
    energy = {}
    for other in (0, 45, 90, 135):
        turn = np.radians(other)
        stripes = np.cos(2 * np.pi / 4 * (column * np.cos(turn) - row * np.sin(turn))).astype(np.float32)
        energy[other] = answers.summary(stripes, filters.gabor(angle)).energy
    assert energy.pop(angle) > 50 * max(energy.values())
    assert abs(filters.gabor(angle).values.sum()) < 1e-6


def test_names_formulas_and_numbers():
    assert kernel("vertical edges") == kernel("Vertical_Edges") == kernel("vertical") == KERNELS["vertical edges"]
    assert kernel("edge_h") == kernel(" EDGE H ") == KERNELS["horizontal edges"]
    assert kernel("gaussian: 2").values.shape == (13, 13)
    assert kernel("gabor:45").name == "gabor:45,4,2"
    assert kernel("gabor:45, 6, 1.5").values.shape == (11, 11)
    for text in (
        "-1 0 1 -1 0 1 -1 0 1",
        "-1,0,1;-1,0,1;-1,0,1",
        "-1 0 1\n-1 0 1\n-1 0 1\n",
        "-1.0, 0 1 -1 0 1e0 -1 0 1",
    ):
        np.testing.assert_array_equal(kernel(text).values, KERNELS["vertical edges"].values, err_msg=text)
    np.testing.assert_array_equal(kernel(" ".join(["1/9"] * 9)).values, KERNELS["blur"].values)
    assert kernel(" ".join(map(str, range(25)))).values.shape == (5, 5)
    assert kernel("1 2 3; 4 5 6").values.tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("edge_x", r"'edge_x' is no kernel that is known here: vertical edges, .*gaussian:SIGMA, gabor:ANGLE"),
        ("", "is no kernel"),
        ("nan 1 1 1", "is no kernel"),
        ("1 2 3", r"3 numbers do not fill a square kernel; type 9 \(3 x 3\) or 25"),
        ("1 2; 3", r"must have one length; these have \[2, 1\]"),
        ("1 2 3 1/0", "'1/0' is no weight"),
        ("1e7", "'1e7' is no weight; .* at most 1,000,000"),
        ("1--2", "'1--2' is no weight"),
        (" ".join(["1"] * 64**2), "64 x 64 is too large; at most 63 x 63"),
        ("gaussian", "it is gaussian:SIGMA"),
        ("gaussian:1,2", "it is gaussian:SIGMA"),
        ("gaussian:0", r"sigma is 0; it must be 0.1 to 10.33 pixels"),
        ("gaussian:99", "sigma is 99"),
        ("gaussian:wide", "'wide' is no weight"),
        ("gabor:10,1", "a wavelength of 2 to 126 pixels; got 10.0, 1.0"),
        ("gabor:10,60", "sigma is 30"),
    ],
)
def test_what_is_no_kernel_is_told_what_would_be(text, told):
    with pytest.raises(ValueError, match=told):
        kernel(text)


def test_a_kernel_of_another_rank_is_refused():
    with pytest.raises(ValueError, match=r"the kernel \[3, 3\] must have the axes of the input, \[5\]"):
        feature_map(np.zeros(5, np.float32), KERNELS["blur"])


# --- what is drawn, and said ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [12, 33, 64, 200])
def test_horizontal_edges_answer_the_cross_and_barely_the_diagonal(size):
    def compared(name: str) -> tuple[float, float]:
        part = answers.inside((size, size), kernel(name).values.shape)
        return answers.ratios(*(feature_map(draw(size), kernel(name))[part] for draw in (drawn.cross, drawn.diag)))

    strongest, energy = compared("edge_h")
    assert strongest == 3
    assert 3.5 < energy < 4.5
    np.testing.assert_allclose(compared("vertical edges"), compared("edge_h"), rtol=1e-6)
    assert compared("diagonal edges")[1] < energy < compared("antidiagonal edges")[1]
    if size >= 33:
        assert compared("gabor:90") > (5, 50)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_vertical_edges_light_up_eyes_and_mouth(size):
    found, masks = feature_map(drawn.face(size), KERNELS["vertical edges"]), drawn.face_parts(size)
    part = answers.inside((size, size), (3, 3))
    told = answers.by_part(found[part], {name: mask[part] for name, mask in masks.items()})
    assert min(told["eyes"], told["mouth"]) > 2.9 * told["elsewhere"]
    strongest = answers.summary(drawn.face(size), KERNELS["vertical edges"]).strongest.at
    assert any(mask[strongest] for mask in masks.values())
    inside = sum(np.square(found)[part][mask[part]].sum() for mask in masks.values()) / np.square(found)[part].sum()
    assert inside > 0.85


@pytest.mark.parametrize("name", drawn.PICTURES)
def test_pictures_are_drawn_at_any_size(name):
    for size in (8, 13, 64, 301):
        picture = drawn.PICTURES[name](size)
        assert picture.shape == (size, size)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < 0.55 < 0.6 < picture.max() <= 1
    with pytest.raises(ValueError, match="8 to 1024 pixels high and wide; 7 is not"):
        drawn.PICTURES[name](7)
    half, whole = (drawn.face(size) for size in (40, 80))
    np.testing.assert_allclose(half, whole.reshape(40, 2, 40, 2).mean((1, 3)), atol=0.2)


def test_a_summary_says_where_and_how_evenly():
    x = np.zeros((20, 30), np.float32)
    x[7, 9], x[0, 0], x[15, 20] = 2, 100, -1
    told = answers.summary(x, kernel("0 0 0 0 1 0 0 0 0"))
    assert told.highest == (2, (7, 9))
    assert told.lowest == (-1, (15, 20))
    assert told.strongest == told.highest
    assert told.energy == pytest.approx(5 / (18 * 28))  # the corner's window is not inside the input
    assert told.half == pytest.approx(1 / (18 * 28))
    even = answers.summary(np.ones((20, 30), np.float32), KERNELS["blur"])
    assert even.half == pytest.approx(0.5, abs=0.01)
    assert answers.summary(np.zeros((5, 5), np.float32), KERNELS["blur"]).half == 0
