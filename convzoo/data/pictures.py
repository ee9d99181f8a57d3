"""Sets of pictures from outside, each a frozen value: an image folder, Fashion-MNIST's four files, a TFDS set.

Pictures are bytes until they are on the device, where they are augmented and normalised.
"""

import contextlib
import functools
import gzip
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from convzoo.data import augment, home, images
from convzoo.data.sources import Source
from convzoo.extras import need, reachable

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Examples(NamedTuple):
    """A split: labels int32 [examples], and ``picture(index)``, uint8 [height, width, channels]."""

    labels: np.ndarray
    picture: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Pictures(Source):
    """Pictures of one size. input float32 [batch, height, width, channels], by ``mean`` and ``std`` of 0 to 1.

    Attributes:
      zoom: augmented pictures show at least this share of each side, somewhere; 1: all of it.
      flip: augmented pictures are mirrored half the time.
    """

    _: KW_ONLY
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    augment: bool = True
    zoom: float = 0.7
    flip: bool = True

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.zoom <= 1 or len(self.mean) != len(self.std) or not all(self.std):
            raise ValueError(f"zoom={self.zoom} must be in (0, 1], mean={self.mean} and std={self.std} of one length")

    def examples(self, split: str) -> Examples:
        """The split, read as it is asked for."""
        raise NotImplementedError

    def arrays(self, split: str) -> dict[str, np.ndarray]:
        self._check(split)
        found = self.examples(split)
        with ThreadPoolExecutor(4) as readers:
            pictures = list(readers.map(found.picture, range(len(found.labels))))
        return {"input": np.stack(pictures), "label": found.labels}

    def batch(self, rows, mask, key=None):
        x = rows["input"].astype(jnp.float32) / 255
        if self.augment and key is not None:
            x = augment.crops(x, key, least=self.zoom, flip=self.flip)
        x = (x - jnp.array(self.mean)) / jnp.array(self.std)
        return {"input": x, "label": rows["label"], "mask": mask}

    def show(self, split, index):
        return {"pixels": self.examples(split).picture(index).tolist()}


# --- Fashion-MNIST --------------------------------------------------------------------------------------------------

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
IDX = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class FashionMnist(Pictures):
    """Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747, MIT): 60,000 and 10,000 grey pictures of 28 by 28.

    ``folder`` holds the four idx files, packed with gzip or not. "": ``fashion_mnist`` in the data folder, or where the
    Debian package dataset-fashion-mnist puts them.
    """

    folder: str = ""
    _: KW_ONLY
    mean: tuple[float, ...] = (0.286,)
    std: tuple[float, ...] = (0.353,)
    zoom: float = 0.85

    name: ClassVar[str] = "fashion_mnist"
    classes: ClassVar[tuple[str, ...]] = (
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
    )  # fmt: skip

    def arrays(self, split):
        self._check(split)
        given = (home.folder() / self.name, DEBIAN)
        folder = Path(self.folder).expanduser() if self.folder else next((p for p in given if p.is_dir()), given[0])
        return dict(zip(("input", "label"), idx_pair(folder, split), strict=True))

    def examples(self, split):
        found = self.arrays(split)
        return Examples(found["label"], found["input"].__getitem__)


@functools.lru_cache(maxsize=4)
def idx_pair(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [examples, height, width, 1] and labels int32 of a split, as MNIST and its kin are stored.

    Raises:
      FileNotFoundError: the folder lacks a file; it says where the files come from.
      ValueError: a file is damaged.
    """
    pictures, labels = (
        idx(folder, f"{IDX[split]}-{part}-ubyte") for part in ("images-idx3", "labels-idx1")
    )  # fmt: skip
    if pictures.ndim != 3 or labels.ndim != 1 or len(pictures) != len(labels):
        raise ValueError(f"{folder}: pictures {pictures.shape} and labels {labels.shape} of {split} do not go together")
    return pictures[..., None], labels.astype(np.int32)


def idx(folder: Path, name: str) -> np.ndarray:
    """One idx file of bytes: two zeros, 8 for bytes, the number of axes, their lengths, the values."""
    found = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if found is None:
        raise FileNotFoundError(
            f"{folder} holds no {name} or {name}.gz; apt install dataset-fashion-mnist puts the four files into "
            f"{DEBIAN}, or give the folder that has them: folder="
        )
    try:
        data = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{found} is damaged: {error}") from error
    axes = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    shape = tuple(np.frombuffer(data[4 : 4 + 4 * axes], ">u4").tolist()) if len(data) >= 4 + 4 * axes else ()
    if not axes or len(data) != 4 + 4 * axes + int(np.prod(shape)):
        raise ValueError(f"{found} is no whole idx file of bytes")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


# --- a folder -------------------------------------------------------------------------------------------------------

PARTS = {"train": ("train", "training"), "test": ("test", "val", "validation", "valid")}
HELD_OUT = 5  # where a folder has no parts, one file in so many is for the test, chosen by its name


@dataclass(frozen=True)
class Folder(Pictures):
    """Image files in class folders: ``folder/train/CLASS/file`` and ``folder/test/CLASS/file``; or
    ``folder/CLASS/file``, of which a fifth, chosen by the files' names, is held out for the test.

    ``folder`` is relative to the data folder, or absolute.

    ``size`` is what every picture is brought to: its shorter side resized to size / ``crop``, the centre cut out.
    """

    folder: str = ""
    _: KW_ONLY
    size: tuple[int, int] = (224, 224)
    crop: float = 0.875
    interpolation: str = "bicubic"
    mode: ClassVar[str] = "center"

    name: ClassVar[str] = "folder"

    @property
    def root(self) -> Path:
        """The folder, found from the data folder if it is relative."""
        found = home.folder() / Path(self.folder).expanduser()
        if not self.folder or not found.is_dir():
            raise FileNotFoundError(f"there is no folder {str(found)!r} of class folders; give one: folder=")
        return found

    def part(self, split: str) -> Path | None:
        return next((self.root / name for name in PARTS[split] if (self.root / name).is_dir()), None)

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return images.classes_of(self.part("train") or self.root)

    def examples(self, split):
        self._check(split)
        part, classes = self.part(split), self.classes
        if part is None and self.part("train") is not None:
            raise FileNotFoundError(f"{self.root} has a folder for training, but none called {', '.join(PARTS[split])}")
        files = images.labelled(part or self.root, classes)
        if part is None:
            files = [(path, label) for path, label in files if held_out(path.name) == (split == "test")]
        if not files:
            raise ValueError(f"{part or self.root} holds no image files for {split} in its class folders")
        labels = np.array([label for _, label in files], np.int32)
        return Examples(labels, lambda index: self.read(files[index][0]))

    def read(self, path: Path) -> np.ndarray:
        least = round(max(self.size) / self.crop)
        found = images.fitted(images.open_image(path, channels=len(self.mean), least=least), self)
        values = np.asarray(found)
        return values[..., None] if values.ndim == 2 else values


def held_out(name: str) -> bool:
    return zlib.crc32(name.encode()) % HELD_OUT == 0


# --- TFDS -----------------------------------------------------------------------------------------------------------

TFDS_HOST = "https://storage.googleapis.com"


@dataclass(frozen=True)
class Tfds(Pictures):
    """Any TFDS set of pictures with a label that can be read as a data source: ``Tfds("cifar10", size=(32, 32))``.

    ``test`` is the split to test on ("validation" for imagenet2012). Prepared on first use, in the data folder, which
    needs a network or, for some, files fetched by hand.
    """

    dataset: str = ""
    _: KW_ONLY
    size: tuple[int, int] = (224, 224)
    crop: float = 1.0
    interpolation: str = "bicubic"
    test: str = "test"
    mode: ClassVar[str] = "center"

    name: ClassVar[str] = "tfds"

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.builder.info.features["label"].names)

    @property
    def builder(self) -> Any:
        return tfds_builder(self.dataset, str(home.folder()))

    def examples(self, split):
        self._check(split)
        builder, part = self.builder, self.test if split == "test" else split
        source = builder.as_data_source(part)
        labels = np.array(labels_of(builder, part), np.int32)
        image = need("PIL.Image", extra="data")

        def picture(index: int) -> np.ndarray:
            values = np.asarray(source[index]["image"])
            grey = values.shape[-1] == 1
            found = images.fitted(image.fromarray(values[..., 0] if grey else values), self)
            values = np.asarray(found.convert("L" if len(self.mean) == 1 else "RGB"))
            return values[..., None] if values.ndim == 2 else values

        return Examples(labels, picture)


def labels_of(builder: Any, part: str) -> list[int]:
    """The labels of a split, the pictures left undecoded (but by TFDS's mock, which cannot)."""
    skip = need("tensorflow_datasets", extra="data").decode.SkipDecoding()
    for decoders in ({"image": skip}, None):
        source = builder.as_data_source(part, decoders=decoders)
        with contextlib.suppress(ModuleNotFoundError):
            return [int(source[index]["label"]) for index in range(len(source))]
    raise ImportError(f"{builder.name} cannot be read without TensorFlow")


@functools.lru_cache(maxsize=4)
def tfds_builder(name: str, folder: str) -> Any:
    """The builder of a prepared set.

    Raises:
      ValueError: TFDS has no such set, or it has no ``image`` and ``label``.
      ConnectionError: it is not prepared yet, and there is no network; told within seconds.
    """
    tfds = need("tensorflow_datasets", extra="data")
    try:
        builder = tfds.builder(name, data_dir=folder, file_format="array_record", try_gcs=False)
    except tfds.core.DatasetNotFoundError as error:
        raise ValueError(f"TFDS has no set {name!r}") from error
    if missing := {"image", "label"} - set(builder.info.features or ()):
        raise ValueError(f"{name} is no set of labelled pictures: it has no {', '.join(sorted(missing))}")
    if not builder.data_path.exists():
        if not reachable(TFDS_HOST):
            raise ConnectionError(
                f"{name} is not prepared in {folder}, and there is no network to fetch it; prepare it where there is "
                f'one, python -c "import tensorflow_datasets as tfds; tfds.builder({name!r}, data_dir={folder!r}, '
                "file_format='array_record').download_and_prepare()\", and copy the folder"
            )
        with home.quiet():
            builder.download_and_prepare()
    return builder
