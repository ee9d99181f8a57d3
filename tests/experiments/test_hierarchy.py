"""The figure of the hierarchy: which classes it shows, its cells, and (slow) the whole of it."""

import numpy as np
import pytest

from convzoo.explain import maps
from experiments import hierarchy

RNG = np.random.default_rng(0)


def test_the_surest_classes_come_first_and_once():
    logits = np.array([[0, 9, 0], [0, 0, 1], [0, 5, 0], [2, 0, 0]], np.float32)
    assert hierarchy.likeliest(logits) == [1, 0, 2]


def test_sizes_keep_the_shape():
    pytest.importorskip("PIL.Image")
    wide = hierarchy.sized(np.zeros((10, 40, 3), np.uint8), 60)
    assert wide.shape == (60, 60, 3)
    rows = np.flatnonzero((wide < 255).any(axis=(1, 2)))
    assert rows.min() == 22  # 15 of 60 rows in the middle, the rest is white
    assert len(rows) == 15
    few = RNG.integers(0, 255, (3, 3, 3), np.uint8)
    np.testing.assert_array_equal(hierarchy.sized(few, 60)[10::20, 10::20], few)  # a few pixels stay pixels


def test_the_figure(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra `plots`)")
    image = pytest.importorskip("PIL.Image")
    patches = [[RNG.integers(0, 255, (9, 7, 3), np.uint8) for _ in range(4)] for _ in range(2)]
    pictures = RNG.uniform(size=(2, 20, 20, 3)).astype(np.float32)
    kernels = maps.kernel_pictures(RNG.normal(size=(3, 3, 3, 8)).astype(np.float32))
    row = hierarchy.Row("stage0, 2 channels", ["0", "1"], pictures, patches)
    path = hierarchy.draw(tmp_path / "a.png", kernels, [row, row], "a network")
    drawn = np.asarray(image.open(path).convert("RGB"))
    assert drawn.shape[1] > 1000
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 1000


def test_what_cannot_be_drawn(tmp_path, capsys):
    pytest.importorskip("safetensors", reason="safetensors is not installed (the extra `weights`)")
    assert hierarchy.main(["--out", str(tmp_path), "--images", str(tmp_path)]) == 1
    assert "holds no image files" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole(tmp_path, capsys):
    pytest.importorskip("skimage", reason="scikit-image is not installed (the extra `demo`)")
    assert hierarchy.main(["--out", str(tmp_path), "--steps", "2"]) == 0
    told = capsys.readouterr().out
    assert [line.split(":")[0] for line in told.splitlines()[:-1]] == [
        "stem",
        *(f"stage{n}" for n in range(7)),
        "output",
    ]
    assert (tmp_path / "hierarchy.png").stat().st_size > 100_000
