"""Pictures of a kernel at work: the colours say the numbers, at the right places; files are whole or not there."""

import numpy as np
import pytest

from convzoo.explain import drawn, filters, sheet, sliding
from convzoo.explain.draw import NEGATIVE, POSITIVE
from convzoo.explain.filters import KERNELS, along, feature_map
from convzoo.explain.sheet import OUTSIDE, Panel, grey, panel, short, signed

pytest.importorskip("PIL.Image", reason="Pillow is not installed (the extra `data`)")
VERTICAL = KERNELS["vertical edges"]


def colours(picture: np.ndarray, where: Panel) -> np.ndarray:
    """The middle of every cell."""
    boxes = [[where.cells((row, column)) for column in range(where.columns)] for row in range(where.rows)]
    return np.array([[picture[int(y + h / 2), int(x + w / 2)] for x, y, w, h in line] for line in boxes])


def unframed(shape: tuple[int, int], at: tuple[int, ...], reach: int) -> np.ndarray:
    """True where no frame can lie."""
    away = np.abs(np.moveaxis(np.indices(shape), 0, -1) - np.array(at)).max(-1)
    return away > reach


def test_signed_colours():
    assert signed(np.array([3.0, -3.0, 0.0, 99.0]), 3).tolist() == [[*POSITIVE], [*NEGATIVE], [255] * 3, [*POSITIVE]]
    assert signed(np.zeros(2), 0).tolist() == [[255] * 3] * 2
    half = signed(np.array(1.5), 3)
    np.testing.assert_allclose(half, (np.array(POSITIVE) + 255) / 2, atol=1)


def test_numbers_in_few_letters():
    told = [short(value) for value in (0, -0.001, 1, -1, 0.5, 1 / 9, -2.856, 100, 12345.6)]
    assert told == ["0", "0", "1", "-1", "0.5", "0.11", "-2.86", "100", "1.2e+04"]


def test_input_and_map_lie_side_by_side():
    x = drawn.face(32)
    found = feature_map(x, VERTICAL)
    picture = sliding.triple(x, VERTICAL, at=(4, 4))
    free = unframed(x.shape, (4, 4), 3)
    seen = colours(picture, panel(x.shape, (30, 48, 340, 340)))
    np.testing.assert_array_equal(seen[free], grey(x)[free])
    answered = colours(picture, panel(x.shape, (630, 48, 340, 340)))
    np.testing.assert_array_equal(answered[free], signed(found, float(np.abs(found).max()))[free])
    other = sliding.triple(x, VERTICAL, at=(20, 20))
    assert (other != picture).any(-1).mean() < 0.02  # the frames, and where they are said to be


@pytest.mark.parametrize("shape", [(40, 300), (300, 40), (1, 1), (9, 700), (60,), (5000,), (1,)])
@pytest.mark.parametrize("name", ["edge_h", "gaussian:5", "1 -1;"])
def test_any_shape_and_kernel_is_drawn(shape, name):
    x = np.random.default_rng(0).random(shape, np.float32)
    kernel = filters.kernel(name) if len(shape) == 2 else along(filters.kernel(name))
    for stride in (1, 2):
        picture = sliding.triple(x, kernel, stride=stride)
        assert picture.shape[1] == 1000
        assert picture.dtype == np.uint8
        frame = sliding.frame(sliding.shrunk(x), kernel, (0,) * x.ndim, stride=stride)
        assert frame.shape[1] == 840


@pytest.mark.parametrize("stride", [1, 2])
def test_each_step_lands_on_its_pixel(stride):
    """As many pictures as answers; in each the answers so far, and under the window the padded input."""
    x = drawn.cross(9)
    found = feature_map(x, VERTICAL, stride=stride)
    pictures = list(sliding.frames(x, VERTICAL, stride=stride))
    assert len(pictures) == found.size
    answered = panel(found.shape, (466, 48, 344, 344))
    expected = signed(found, float(np.abs(found).max()))
    for count, (at, picture) in enumerate(zip(np.ndindex(found.shape), pictures, strict=True)):
        seen = colours(picture, answered)
        np.testing.assert_array_equal(seen[at], expected[at])
        order = np.arange(found.size).reshape(found.shape)
        away = unframed(found.shape, at, 1)
        early, late = away & (order <= count), away & (order > count)
        for where, colour in ((early, expected[early]), (late, np.array(OUTSIDE))):  # the two rays cross some
            assert not where.any() or (seen[where] == colour).all(-1).mean() > 0.85
    at = (2, 1)
    index = int(np.ravel_multi_index(at, found.shape))
    np.testing.assert_array_equal(pictures[index], sliding.frame(x, VERTICAL, at, stride=stride))


def test_the_table_of_products_has_their_signs():
    """On the edge of a step: nothing on the left, 1 times 1 on the right, three times."""
    x = np.zeros((8, 8), np.float32)
    x[:, 4:] = 1
    picture = sliding.frame(x, VERTICAL, (4, 3))
    low = 48 + 344 + 30 + 24
    products = [[picture[low + 4 + 50 * row, 422 + 4 + 50 * column] for column in range(3)] for row in range(3)]
    assert np.array(products).tolist() == [[[255] * 3, [255] * 3, [*POSITIVE]]] * 3
    assert picture[low + 20, 650].tolist() == [*POSITIVE]  # 3, the largest answer
    opposite = sliding.frame(1 - x, VERTICAL, (4, 3))
    assert opposite[low + 20, 650].tolist() == [*NEGATIVE]


def test_what_is_large_is_shrunk():
    x = np.random.default_rng(0).random((64, 48), np.float32)
    small = sliding.shrunk(x)
    assert small.shape == (16, 12)
    np.testing.assert_allclose(small, x.reshape(16, 4, 12, 4).mean((1, 3)), atol=1e-6)
    assert sliding.shrunk(small) is small
    sound = np.zeros(1000, np.float32)
    sound[700:720] = 1
    assert sliding.shrunk(sound).shape == (32,)
    assert sliding.shrunk(sound).sum() == 20
    assert sliding.shrunk(sound[690:700]).shape == (10,)


def test_one_kernel_everywhere():
    """The picture's colours are those of its map; the graph's that of each node, where no frame and line is."""
    x = drawn.face(32)
    picture = sliding.everywhere(x, VERTICAL)
    found = feature_map(x, VERTICAL)
    seen = colours(picture, panel(x.shape, (630, 284, 340, 320)))
    same = (seen == signed(found, float(np.abs(found).max()))).all(-1)
    assert same.mean() > 0.98
    places, values = sliding.on_graph(x)
    answers = filters.graph_map(values, filters.plane_edges(places, (3, 3)), VERTICAL)
    step = 310 / sliding.ACROSS
    points = np.rint(np.stack([652 + (places[:, 0] + 0.5) * step, 630 + (places[:, 1] + 0.5) * step])).astype(int)
    expected = signed(answers, float(np.abs(answers).max()))
    np.testing.assert_array_equal(picture[tuple(points)], expected)
    for other in (filters.kernel("gabor:20"), filters.kernel("1 -1;")):
        assert (
            sliding.everywhere(np.zeros((20, 90), np.float32), other, np.zeros(30, np.float32)).shape == picture.shape
        )


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_are_written_and_read_again(tmp_path, suffix):
    from PIL import Image

    pictures = list(sliding.frames(drawn.face(8), VERTICAL, stride=2))
    path = tmp_path / f"face{suffix}"
    assert sheet.save(path, iter(pictures), milliseconds=50) == 16
    with Image.open(path) as found:
        assert (getattr(found, "n_frames", 1), found.size) == (16, (840, 628))
        for index in (0, 7, 15):
            found.seek(index)
            difference = np.abs(np.asarray(found.convert("RGB"), int) - pictures[index])
            assert difference.mean() < (1.5 if suffix == ".gif" else 1e-9)
            assert found.info["duration"] == (50 if index < 15 else 2000)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_pictures_are_written_whole_or_not_at_all(tmp_path):
    from PIL import Image

    picture = sliding.triple(drawn.cross(16), VERTICAL)
    sheet.save(tmp_path / "a.PNG", [picture])
    with Image.open(tmp_path / "a.PNG") as found:
        np.testing.assert_array_equal(np.asarray(found), picture)

    def broken():
        yield picture
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        sheet.save(tmp_path / "b.gif", broken())
    with pytest.raises(ValueError, match=r"b\.jpg: pictures are written as \.png, \.gif, \.webp"):
        sheet.save(tmp_path / "b.jpg", [picture])
    with pytest.raises(ValueError, match=r"2 pictures make an animation"):
        sheet.save(tmp_path / "b.png", [picture, picture])
    with pytest.raises(FileNotFoundError, match="none is no folder"):
        sheet.save(tmp_path / "none" / "b.png", [picture])
    assert [each.name for each in tmp_path.iterdir()] == ["a.PNG"]
