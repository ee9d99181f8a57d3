"""Photographs of every form come out right; the broken ones are named."""

import warnings

import numpy as np
import pytest
from PIL import Image

from convzoo.data import images
from convzoo.weights import Recipe

SMALL = Recipe(size=(16, 16), crop=1.0)
WIDE = np.linspace(0, 255, 48, dtype=np.uint8)[None, :].repeat(32, 0)  # dark on the left, light on the right
COLOUR = np.stack([WIDE, WIDE // 2, 255 - WIDE], -1)


def opened(image, path, **options) -> np.ndarray:
    image.save(path, **options)
    return np.asarray(images.open_image(path)).astype(int)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "gif"])
def test_colour(suffix, tmp_path):
    found = opened(
        Image.fromarray(COLOUR), tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {})
    )
    assert np.abs(found - COLOUR).max() <= (40 if suffix == "gif" else 0)


def test_grey_palette_and_black_and_white(tmp_path):
    assert (opened(Image.fromarray(WIDE), tmp_path / "l.png") == WIDE[..., None]).all()
    assert np.abs(opened(Image.fromarray(COLOUR).quantize(256), tmp_path / "p.png") - COLOUR).max() < 40
    bits = opened(Image.fromarray(WIDE).convert("1", dither=Image.Dither.NONE), tmp_path / "1.png")
    assert set(np.unique(bits)) == {0, 255}


def test_sixteen_bits(tmp_path):
    deep = WIDE.astype(np.uint16) * 257
    assert (opened(Image.fromarray(deep), tmp_path / "a.png") == WIDE[..., None]).all()
    dark = deep // 512  # a dark photograph stays dark
    assert opened(Image.fromarray(dark), tmp_path / "b.png").max() <= 1
    assert (opened(Image.fromarray(deep.astype(np.int32)), tmp_path / "c.tif") == WIDE[..., None]).all()
    assert (opened(Image.fromarray(WIDE.astype(np.float32) / 255), tmp_path / "d.tif") == WIDE[..., None]).all()


def test_what_is_transparent_lies_on_white(tmp_path):
    alpha = np.zeros_like(WIDE)
    alpha[:, 24:] = 255
    found = opened(Image.fromarray(np.dstack([COLOUR, alpha])), tmp_path / "rgba.png")
    assert (found[:, :24] == 255).all()
    assert (found[:, 24:] == COLOUR[:, 24:]).all()
    grey = opened(Image.fromarray(np.dstack([WIDE, alpha])), tmp_path / "la.png")
    assert (grey[:, :24] == 255).all()
    palette = Image.fromarray(WIDE // 128).convert("P")
    assert (opened(palette, tmp_path / "p.png", transparency=0)[:, :20] == 255).all()


def test_cmyk(tmp_path):
    image = Image.fromarray(COLOUR).convert("CMYK")
    assert np.abs(opened(image, tmp_path / "a.jpg", quality=98) - COLOUR).max() < 24
    assert np.abs(opened(image, tmp_path / "a.tif") - COLOUR).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(WIDE)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # how the camera was held
    turned = stored.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else stored
    turned.save(tmp_path / "a.png", exif=exif)
    found = np.asarray(images.open_image(tmp_path / "a.png"))
    np.testing.assert_array_equal(found[..., 0], WIDE)


def test_damaged_exif_is_no_reason_to_fail(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.open_image(tmp_path / "a.jpg").size == (48, 32)


def test_huge_images(tmp_path, monkeypatch):
    before = Image.MAX_IMAGE_PIXELS
    Image.new("L", (16000, 8000), 200).save(tmp_path / "a.png")
    found = images.prepared(tmp_path / "a.png", SMALL)
    assert found.shape == (16, 16, 3)
    np.testing.assert_allclose(found[0, 0], (200 / 255 - np.array(SMALL.mean)) / SMALL.std, rtol=1e-5)
    monkeypatch.setattr(images, "LARGEST", 10_000)
    with pytest.raises(images.Unreadable, match=r"a\.png: 16000 x 8000 pixels are more than 10,000"):
        images.open_image(tmp_path / "a.png")
    monkeypatch.setattr(images, "LARGE", 100)
    Image.fromarray(COLOUR).resize((480, 320)).save(tmp_path / "b.jpg", quality=95)
    monkeypatch.setattr(images, "LARGEST", 480 * 320 // 4)
    assert images.open_image(tmp_path / "b.jpg", least=20).size == (60, 40)  # decoded at an eighth
    assert before == Image.MAX_IMAGE_PIXELS


def test_very_long_images(tmp_path):
    Image.fromarray(np.full((3, 20000), 128, np.uint8)).save(tmp_path / "a.png")
    assert images.prepared(tmp_path / "a.png", Recipe()).shape == (224, 224, 3)


def test_channels(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    grey = Recipe(size=(16, 16), mean=(0.5,), std=(0.5,))
    assert images.prepared(tmp_path / "a.png", grey).shape == (16, 16, 1)
    five = images.prepared(tmp_path / "a.png", grey._replace(mean=(0.5,) * 5, std=(0.5,) * 5))
    np.testing.assert_array_equal(five[..., 3:], five[..., :2])


def test_modes_and_sizes():
    image = Image.fromarray(COLOUR)
    assert images.fitted(image, Recipe(size=(16, 24), crop=0.9)).size == (24, 16)
    assert images.fitted(image, Recipe(size=(16, 16), crop=0.9, mode="squash")).size == (16, 16)
    assert np.asarray(images.centre(image, 60, 40))[0, 0].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"interpolation 'cubic' must be one of .*bicubic"):
        images.fitted(image, Recipe(interpolation="cubic"))
    with pytest.raises(ValueError, match="crop mode 'border'"):
        images.fitted(image, Recipe(mode="border"))


def test_broken_files_are_named_and_the_others_come_out(tmp_path):
    good = [tmp_path / f"{i}.png" for i in range(5)]
    for i, path in enumerate(good):
        Image.new("RGB", (20, 30), (i * 50,) * 3).save(path)
    (tmp_path / "text.jpg").write_bytes(b"hello")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "cut.png").write_bytes(good[0].read_bytes()[:40])
    (tmp_path / "folder.jpg").mkdir()
    bad = [tmp_path / name for name in ("text.jpg", "empty.png", "cut.png", "folder.jpg", "missing.jpg")]
    files = [each for pair in zip(good, bad, strict=True) for each in pair]
    batches = list(images.stream(files, SMALL, 4))
    assert [len(batch.files) + len(batch.failed) for batch in batches] == [4, 4, 2]
    assert [path for batch in batches for path in batch.files] == good
    levels = [image[0, 0, 0] for batch in batches for image in batch.images]
    np.testing.assert_allclose(levels, (np.arange(5) * 50 / 255 - SMALL.mean[0]) / SMALL.std[0], rtol=1e-5)
    failed = {path: why for batch in batches for path, why in batch.failed.items()}
    assert list(failed) == bad
    assert failed[tmp_path / "missing.jpg"] == "no such file"
    assert failed[tmp_path / "text.jpg"] == "no image that is known here"
    assert images.in_folder(tmp_path) == sorted([*good, *bad[:3]])
