"""convzoo filter: what it prints and writes, over drawn pictures, photographs, the user's files and sounds."""

import json

import numpy as np
import pytest

from convzoo import cli
from convzoo.apps import filtering, photographs
from convzoo.data import images
from convzoo.explain import drawn

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (the extra `data`)")


def told(capsys, *arguments: str) -> dict:
    assert cli.main(["filter", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert not err
    return json.loads(out)


def refused(capsys, *arguments: str) -> str:
    assert cli.main(["filter", *arguments]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert "Traceback" not in err
    return err


def test_what_is_drawn_is_told_in_numbers(capsys):
    face = told(capsys, "face", "--kernel", "vertical edges")
    assert face["input"] == {"name": "face", "shape": [64, 64]}
    assert face["kernel"]["values"] == [[-1, 0, 1]] * 3
    assert face["shift"] == {"by": [3, 5], "difference": 0}
    assert face["map"]["highest"]["value"] == pytest.approx(-face["map"]["lowest"]["value"], rel=1e-5)
    assert min(face["parts"]["eyes"], face["parts"]["mouth"]) > 5 * face["parts"]["elsewhere"]
    cross = told(capsys, "cross", "--kernel", "edge_h", "--size", "33", "--stride", "2")
    assert cross["map"]["shape"] == [17, 17]
    assert cross["shift"] == {"by": [6, 10], "difference": 0}
    assert "parts" not in cross
    assert told(capsys, "diag", "--kernel", "edge_h")["cross_to_diag"]["strongest"] == 3
    assert told(capsys, "diag", "--kernel", "1 -1; -1 1", "--size", "9")["cross_to_diag"]["energy"] > 0
    nothing = told(capsys, "diag", "--kernel", "0 0 0 0 0 0 0 0 0")
    assert nothing["cross_to_diag"] == {"strongest": None, "energy": None}


def test_and_in_words(capsys, tmp_path):
    assert cli.main(["filter", "cross", "--kernel", "-1 -1 -1 0 0 0 1 1 1", "--out", str(tmp_path / "a.png")]) == 0
    out, _ = capsys.readouterr()
    assert out.splitlines() == [
        "cross, 64 x 64 pixels; typed in (3 x 3): what looks like the kernel itself",
        "  highest answer +3.000 at row 31, column 9",
        "  lowest answer -3.000 at row 33, column 9",
        "  half of the energy is in 1.2% of the map",
        "  shifted by 3 rows and 5 columns, the input's map is the map shifted: difference 0",
        "  the cross is answered 3.00 times as strongly as the diagonal, with 4.23 times the energy",
        f"{tmp_path / 'a.png'}: 1000 x 442 pixels",
    ]
    assert cli.main(["filter", "face", "--kernel", "gaussian:10"]) == 0
    assert "eyes" in capsys.readouterr().out


@pytest.mark.parametrize(("suffix", "count"), [(".png", 1), (".gif", 16), (".webp", 16)])
def test_pictures_are_written(capsys, tmp_path, suffix, count):
    path = tmp_path / f"cross{suffix}"
    found = told(capsys, "cross", "--kernel", "sharpen", "--stride", "4", "--out", str(path))
    assert found["out"] == str(path)
    with image.open(path) as written:
        assert getattr(written, "n_frames", 1) == count
        assert written.size == ((1000, 442) if count == 1 else (840, 628))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_same_kernel_everywhere(capsys, tmp_path):
    path = tmp_path / "all.png"
    told(capsys, "face", "--kernel", "vertical", "--everywhere", "--out", str(path))
    with image.open(path) as written:
        assert written.size == (1000, 986)
    assert "--everywhere needs --out" in refused(capsys, "face", "--kernel", "blur", "--everywhere")
    animated = "face", "--kernel", "blur", "--everywhere", "--out", str(tmp_path / "all.gif")
    assert "--everywhere draws one picture, a .png" in refused(capsys, *animated)


@pytest.mark.parametrize("name", photographs.NAMES)
def test_photographs_by_name_need_no_network(name):
    pytest.importorskip("skimage", reason="scikit-image is not installed (the extra `demo`)")
    found = photographs.photograph(name, longest=300)
    assert found.shape[2] == 3
    assert max(found.shape) <= 300
    assert found.std() > 10


def test_the_users_photograph(test_data, capsys):
    file = next(iter(sorted((test_data / "imagenet_samples").rglob("*.JPEG"))))
    found = told(capsys, str(file), "--kernel", "gabor:45", "--size", "128")
    assert max(found["input"]["shape"]) == 128
    assert found["shift"]["difference"] == 0
    x = filtering.read(str(file), 128)
    assert x.dtype == np.float32
    assert 0 <= x.min() < x.max() <= 1


def test_a_drawn_name_may_be_a_file(tmp_path, capsys, monkeypatch):
    """Brightness as in Pillow; a file comes before a name."""
    monkeypatch.chdir(tmp_path)
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    picture = image.fromarray(colours)
    picture.save("face", "PNG")
    expected = np.asarray(picture.convert("L")) / 255
    np.testing.assert_allclose(filtering.read("face"), expected, atol=0.003)
    assert "parts" not in told(capsys, "face", "--kernel", "blur")


def test_a_sound_is_read_along(tmp_path, capsys):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (the extra `audio`)")
    pytest.importorskip("soxr", reason="soxr is not installed (the extra `audio`)")
    sound = drawn.pluck(filtering.RATE)
    path = tmp_path / "a.wav"
    soundfile.write(path, sound, filtering.RATE, subtype="FLOAT")
    found = told(capsys, str(path), "--kernel", "vertical edges", "--out", str(tmp_path / "a.gif"))
    assert found["kernel"]["values"] == [-3, 0, 3]
    assert found["shift"] == {"by": [3], "difference": 0}
    slope = np.convolve(sound, [3, 0, -3], "valid")
    assert found["map"]["highest"]["value"] == pytest.approx(slope.max(), abs=1e-5)
    assert found["map"]["highest"]["at"] == [int(slope.argmax()) + 1]
    with image.open(tmp_path / "a.gif") as written:
        assert getattr(written, "n_frames", 1) == 32
    for flag in ([], ["--everywhere"]):
        assert cli.main(["filter", str(path), "--kernel", "edge_h", "--out", str(tmp_path / "a.png"), *flag]) == 0
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    capsys.readouterr()
    assert "b.wav: " in refused(capsys, str(tmp_path / "b.wav"), "--kernel", "blur")


def test_only_the_first_minute_of_a_sound(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed (the extra `audio`)")
    pytest.importorskip("soxr", reason="soxr is not installed (the extra `audio`)")
    soundfile.write(tmp_path / "long.wav", np.zeros(70 * filtering.RATE, np.float32), filtering.RATE)
    assert len(filtering.read(str(tmp_path / "long.wav"))) == 60 * filtering.RATE


def test_what_cannot_be_read_is_told(tmp_path, capsys):
    broken, text, out = tmp_path / "a.png", tmp_path / "notes.txt", tmp_path / "out.png"
    image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)).save(broken)
    broken.write_bytes(broken.read_bytes()[:800])
    text.write_text("a face")
    blur = "--kernel", "blur", "--out", str(out)
    assert f"convzoo: {broken}: " in refused(capsys, str(broken), *blur)
    assert f"{text}: no image that is known here" in refused(capsys, str(text), *blur)
    assert "none.png: no such file" in refused(capsys, str(tmp_path / "none.png"), *blur)
    assert f"{tmp_path}: " in refused(capsys, str(tmp_path), *blur)
    assert "'fase' is no file and no input that is known here: face, cross, diag, " in refused(capsys, "fase", *blur)
    assert "is no kernel that is known here" in refused(capsys, "face", "--kernel", "blurr", "--out", str(out))
    assert "8 to 1024 pixels high and wide; 5 is not" in refused(capsys, "face", "--size", "5", *blur)
    assert "at most 1024 pixels a side" in refused(capsys, str(text), "--size", "5000", *blur)
    assert "pictures are written as" in refused(capsys, "face", "--kernel", "blur", "--out", str(tmp_path / "a.jpg"))
    assert not out.exists()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.png", "notes.txt"]


def test_a_large_photograph_is_averaged_down(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (40, 1600, 3), np.uint8)
    image.fromarray(colours).save(tmp_path / "wide.png")
    found = photographs.photograph(tmp_path / "wide.png", longest=160)
    assert found.shape == (10, 160, 3)  # of what is more than 16 times as long as wide the middle is taken
    middle = colours[:, 480:1120].reshape(10, 4, 160, 4, 3).mean((1, 3))
    np.testing.assert_allclose(found, middle, atol=1)
    with pytest.raises(images.Unreadable, match="no such file"):
        photographs.photograph(tmp_path / "none.png")
