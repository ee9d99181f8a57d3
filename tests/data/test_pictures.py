"""Sets of pictures from outside, through the same door: folders, Fashion-MNIST's files, TFDS; streamed where large."""

import gzip
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import data
from convzoo.data import augment, pictures, pipeline
from tests.data.outside import write_fashion, write_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder") / "photos", {"train": 7, "test": 3})


def plain(folder, **fields) -> data.Folder:
    return data.Folder(str(folder), size=(12, 16), crop=1.0, augment=False, mean=(0.0,) * 3, std=(1.0,) * 3, **fields)


def test_a_folder_with_parts(folder):
    source = plain(folder)
    assert source.classes == ("dark", "light")
    batches = data.load(source, batch_size=4)
    assert batches.examples == 14
    assert batches.example["input"].shape == (4, 12, 16, 3)
    for batch in data.load(source, "test", batch_size=4).in_order():
        found = (np.asarray(batch["input"]).mean((1, 2, 3)) > 0.5).astype(int)
        np.testing.assert_array_equal(found[batch["mask"]], batch["label"][batch["mask"]])


def test_a_folder_without_parts_holds_some_out(tmp_path):
    source = plain(write_folder(tmp_path, {"": 20}))
    train, test = (source.examples(split).labels for split in ("train", "test"))
    assert len(train) + len(test) == 40
    assert 0 < len(test) < 20
    names = [f"{i}.png" for i in range(1000)]
    assert 150 < sum(map(pictures.held_out, names)) < 250


def test_a_folder_that_is_not_there_or_empty(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder '.*gone' of class folders"):
        data.load(data.Folder(str(tmp_path / "gone")), batch_size=2)
    with pytest.raises(ValueError, match="holds no class folders"):
        data.load(data.Folder(str(tmp_path)), batch_size=2)
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds no image files for train"):
        data.load(data.Folder(str(tmp_path)), batch_size=2)
    with pytest.raises(FileNotFoundError, match="but none called test, val"):
        data.load(data.Folder(str(tmp_path)), "test", batch_size=2)
    with pytest.raises(ValueError, match="no split 'rest'"):
        data.load(data.Folder(str(tmp_path)), "rest", batch_size=2)


def test_streaming_gives_what_holding_gives(folder, monkeypatch):
    source = plain(folder)
    held = list(data.load(source, "test", batch_size=4).in_order())
    monkeypatch.setattr(pipeline, "LARGEST", 0)
    streamed = data.load(source, "test", batch_size=4)
    assert isinstance(streamed, data.Streamed)
    for one, other in zip(held, streamed.in_order(), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)


def test_streaming_is_a_function_of_the_step(folder, monkeypatch):
    monkeypatch.setattr(pipeline, "LARGEST", 0)
    source = data.Folder(str(folder), size=(12, 16))
    first, second = (data.load(source, batch_size=4, seed=3) for _ in range(2))
    later = second.at(5)
    for step in range(6):
        batch = first.at(step)
    jax.tree.map(np.testing.assert_array_equal, batch, later)
    epoch = [np.asarray(first.at(step)["label"]) for step in range(first.epoch_steps)]
    assert len(np.concatenate(epoch)) == 12
    part = data.load(data.Folder(str(folder), size=(12, 16), fraction=0.5), batch_size=2)
    assert part.examples == 8


def test_fashion_mnist(tmp_path):
    source = data.FashionMnist(folder=str(write_fashion(tmp_path)), augment=False)
    batch = next(data.load(source, "test", batch_size=8).in_order())
    assert batch["input"].shape == (8, 28, 28, 1)
    np.testing.assert_array_equal(batch["label"][:4], [0, 1, 2, 3])
    np.testing.assert_allclose(np.asarray(batch["input"])[3] * 0.353 + 0.286, 30 / 255, atol=1e-6)
    assert len(source.classes) == 10


def test_fashion_mnist_packed_or_not(tmp_path):
    folder = write_fashion(tmp_path)
    path = next(folder.glob("t10k-images*"))
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    assert len(data.FashionMnist(folder=str(folder)).arrays("test")["input"]) == 20


def test_fashion_mnist_missing_and_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="apt install dataset-fashion-mnist"):
        data.FashionMnist(folder=str(tmp_path)).arrays("train")
    folder = write_fashion(tmp_path / "files")
    labels = next(folder.glob("train-labels*"))
    whole = labels.read_bytes()
    for broken in (whole[:20], gzip.compress(b"\0\0\x08"), gzip.compress(gzip.decompress(whole)[:-1]), b""):
        labels.write_bytes(broken)
        with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte\.gz is (damaged|no whole idx file)"):
            data.FashionMnist(folder=str(folder)).arrays("train")


def test_crops():
    x = jax.random.uniform(jax.random.key(0), (64, 20, 30, 3))
    same = augment.crops(x, jax.random.key(1), least=1.0, flip=False)
    np.testing.assert_allclose(same, x, atol=1e-5)
    flipped = np.asarray(augment.crops(x, jax.random.key(1), least=1.0, flip=True))
    mirrored = [np.allclose(a, b[:, ::-1], atol=1e-5) for a, b in zip(flipped, np.asarray(x), strict=True)]
    kept = [np.allclose(a, b, atol=1e-5) for a, b in zip(flipped, np.asarray(x), strict=True)]
    assert sum(mirrored) + sum(kept) == 64
    assert 16 < sum(mirrored) < 48
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, 40)[None, None, :, None], (64, 40, 40, 1))
    shown = np.asarray(augment.crops(ramp, jax.random.key(2), least=0.5, flip=False))
    span = shown[:, 0, -1, 0] - shown[:, 0, 0, 0]
    assert 0.45 <= span.min() < 0.6
    assert 0.9 < span.max() <= 1.0
    assert shown[:, 0, 0, 0].min() >= 0


def test_tfds_offline_is_told_quickly(monkeypatch):
    monkeypatch.setattr(pictures, "reachable", lambda url: False)
    before = time.perf_counter()
    with pytest.raises(ConnectionError, match=r"cifar10 is not prepared in .* and there is no network"):
        data.load(data.Tfds("cifar10", size=(32, 32)), batch_size=2)
    with pytest.raises(ValueError, match="TFDS has no set 'no_such_set'"):
        data.load(data.Tfds("no_such_set"), batch_size=2)
    assert time.perf_counter() - before < 20


@pytest.mark.parametrize(("name", "test"), [("cifar10", "test"), ("imagenet2012", "validation")])
def test_tfds(name, test, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")
    monkeypatch.setattr(pictures, "reachable", lambda url: True)
    pictures.tfds_builder.cache_clear()
    with tfds.testing.mock_data(num_examples=5):
        source = data.Tfds(name, size=(32, 32), test=test)
        batch = data.load(source, batch_size=4).example
        assert batch["input"].shape == (4, 32, 32, 3)
        assert len(source.classes) == {"cifar10": 10, "imagenet2012": 1000}[name]
        assert len(list(data.load(source, "test", batch_size=4).in_order())) == 2
    pictures.tfds_builder.cache_clear()


def test_a_real_tfds_set():
    data.prepare("digits_seen")
    source = data.Tfds("digits_seen", size=(8, 8), mean=(0.0,), std=(1.0,), augment=False)
    batch = next(data.load(source, "test", batch_size=16).in_order())
    expected = next(data.load(data.Seen(), "test", batch_size=16).in_order())
    np.testing.assert_array_equal(batch["label"], expected["label"])
    np.testing.assert_allclose(batch["input"], expected["input"] * 240 / 255, atol=1e-6)
    assert source.classes == tuple("0123456789")


def test_what_makes_no_sense():
    with pytest.raises(ValueError, match="zoom=0"):
        data.FashionMnist(zoom=0)
    with pytest.raises(ValueError, match="of one length"):
        data.Folder(mean=(0.5,))
