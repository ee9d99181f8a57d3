"""What an image must go through before a network, and what the network's classes are called."""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

Statistics = tuple[float, ...]


class Label(NamedTuple):
    """A class: its WordNet id ("" where it has none) and its name."""

    wnid: str
    name: str


class Recipe(NamedTuple):
    """What weights were trained to be given.

    Attributes:
      size: height and width of the input.
      crop: the share of the resized image's shorter side that the centre crop keeps.
      interpolation: "bilinear", "bicubic", "nearest", ... as Pillow names them.
      mean, std: by channel, of values from 0 to 1.
      labels: the classes in the order of the output; empty where they are not known.
      licence, source: of the weights, "" where not known.
      mode: "center": the shorter side is resized and the centre cut out; "squash": both sides are resized.
    """

    size: tuple[int, int] = (224, 224)
    crop: float = 0.875
    interpolation: str = "bilinear"
    mean: Statistics = (0.485, 0.456, 0.406)
    std: Statistics = (0.229, 0.224, 0.225)
    labels: tuple[Label, ...] = ()
    licence: str = ""
    source: str = ""
    mode: str = "center"


B_SIZES = (224, 0.875), (240, 0.882), (260, 0.89), (300, 0.904), (380, 0.922), (456, 0.934), (528, 0.942), (600, 0.949)
LITE_SIZES = (224, 0.875), (240, 0.882), (260, 0.89), (300, 0.904), (380, 0.92)
# By the beginning of a name, the longest having the last word: what differs from Recipe's own values. For files that
# say nothing; a hub folder's config.json is believed instead.
USUAL: dict[str, dict[str, Any]] = {
    "alexnet_2012": {"size": (227, 227), "crop": 227 / 256},
    "cifar_": {"size": (32, 32), "crop": 1.0},
    "convnext": {"interpolation": "bicubic"},
    "crepe_": {"size": (1024, 1024), "mean": (0.0,), "std": (1.0,)},  # of a sound the first is the samples
    "mobilenet": {"interpolation": "bicubic"},
    **{
        f"{prefix}efficientnet_{kind}{i}": {"size": (size, size), "crop": crop, "interpolation": "bicubic"}
        for prefix in ("", "tf_")
        for kind, sizes in (("b", B_SIZES), ("lite", LITE_SIZES))
        for i, (size, crop) in enumerate(sizes)
    },
    "silero_": {"size": (512, 512), "mean": (0.0,), "std": (1.0,)},
    "tf_efficientnet_lite": {"mean": (0.5,) * 3, "std": (0.5,) * 3},
}
# What the author of a table's weights gives them, where a name's usual recipe is another.
OF_TABLE: dict[str, dict[str, Any]] = {
    "efficientnet_lite_pytorch": {"mean": (127 / 255,) * 3, "std": (128 / 255,) * 3},  # (x - 127) / 128 on bytes
}
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@functools.cache
def imagenet() -> tuple[Label, ...]:
    """The 1000 classes of ImageNet-1k."""
    text = importlib.resources.files("convzoo.weights").joinpath("imagenet.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return tuple(Label(wnid, names.split(",")[0]) for wnid, names in rows)


def labels_of(classes: int, *, cifar: bool = False) -> tuple[Label, ...]:
    """What that many classes are called, if that is plain."""
    if cifar and classes == len(CIFAR10):
        return tuple(Label("", name) for name in CIFAR10)
    return imagenet() if classes == 1000 else ()


def usual(name: str, classes: int, source: str = "") -> Recipe:
    """The recipe of a file that tells none: its architecture's usual one."""
    own: dict[str, Any] = {}
    for prefix in sorted(USUAL, key=len):
        own |= USUAL[prefix] if name.startswith(prefix) else {}
    return Recipe(**own, labels=labels_of(classes, cifar=name.startswith("cifar_")), source=source)


def from_timm(config: Mapping[str, Any], source: str, classes: int) -> Recipe:
    """The recipe in the ``config.json`` of timm's hub layout: what timm's ``create_transform`` does for the model, at
    the size of training.

    Raises:
      ValueError: it has no such form, naming what is wrong.
    """
    own = {**config, **config.get("pretrained_cfg", {})}
    try:
        size = tuple(int(n) for n in own.get("input_size", (3, 224, 224)))[-2:]
        mean, std = (tuple(float(n) for n in own.get(key, getattr(Recipe(), key))) for key in ("mean", "std"))
        crop = float(own.get("crop_pct") or 0.875)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source}: config.json has a recipe that cannot be read: {error}") from error
    if len(size) != 2 or len(mean) != len(std):
        raise ValueError(f"{source}: config.json has input_size {own.get('input_size')}, mean {mean}, std {std}")
    return Recipe(
        size=size,
        crop=crop,
        interpolation=own.get("interpolation") or "bilinear",
        mean=mean,
        std=std,
        labels=named(own, classes),
        licence=own.get("license") or "",
        source=source,
        mode=own.get("crop_mode") or "center",
    )


def named(config: Mapping[str, Any], classes: int) -> tuple[Label, ...]:
    """The labels that a config tells, or the usual ones."""
    names = config.get("label_names")
    if isinstance(names, dict) and all(str(i) in names for i in range(len(names))):
        names = [names[str(i)] for i in range(len(names))]
    if not isinstance(names, list) or len(names) != classes:
        return labels_of(classes)
    told = config.get("label_descriptions") or {}
    known = dict(imagenet())
    return tuple(
        Label(str(name), known.get(name) or str(told.get(name, name))) if name in told or name in known
        else Label("", str(name))
        for name in names
    )  # fmt: skip


def to_json(recipe: Recipe) -> str:
    return json.dumps(recipe._asdict())


def from_json(text: str) -> Recipe:
    """The recipe that ``to_json`` wrote.

    Raises:
      ValueError: it did not write this.
    """
    try:
        own = json.loads(text)
        pairs = {key: tuple(own.pop(key)) for key in ("size", "mean", "std")}
        labels = tuple(Label(wnid, name) for wnid, name in own.pop("labels"))
        return Recipe(**pairs, labels=labels, **own)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"there is no recipe in {text[:60]!r}: {error}") from error


def adapted(recipe: Recipe, classes: int, channels: int | None) -> Recipe:
    """The recipe for another head and other channels: labels go where their number is wrong, and every channel gets the
    mean of the channels' statistics."""
    if len(recipe.labels) != classes:
        recipe = recipe._replace(labels=())
    if channels and channels != len(recipe.mean):
        mean, std = (sum(each) / len(each) for each in (recipe.mean, recipe.std))
        recipe = recipe._replace(mean=(mean,) * channels, std=(std,) * channels)
    return recipe
