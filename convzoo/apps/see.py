"""What a network sees in a photograph: what it says, where it looked, and what its layers answered to, as one page."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from convzoo.apps import classify
from convzoo.data import images
from convzoo.explain import attribution, faithfulness, objectives, seen, visualise, waypoints

EXPLAINED = 3  # classes, by Grad-CAM
POINTS = 14  # of a deletion or insertion curve
DEPTHS, CHANNELS = 4, 2  # waypoints whose most excited channels are visualised, and how many of each
SIZE, STEPS = 96, 64  # of a visualisation
FLAT = 0.02  # a visualisation that varies less stayed where it began

Told = Callable[[int, int], None]
answer = jax.jit(waypoints.answer, static_argnums=0)


class Attributed(NamedTuple):
    """A method's map of the likeliest class [height, width], its two areas (smaller and larger are better), seconds."""

    map: np.ndarray
    deletion: float
    insertion: float
    seconds: float


class Excited(NamedTuple):
    """A channel: its largest answer, its map [places, places], and what it looks for [size, size, 3], if that was
    asked."""

    waypoint: str
    channel: int
    peak: float
    map: np.ndarray
    visualised: np.ndarray | None


class Seen(NamedTuple):
    """Everything the page tells. ``photograph`` is what the network was shown, uint8 [height, width, 3]."""

    file: Path
    model: str
    weights: str
    photograph: np.ndarray
    predictions: tuple[classify.Prediction, ...]
    cams: list[np.ndarray]
    attributed: dict[str, Attributed]
    features: dict[str, np.ndarray]
    excited: list[Excited]
    seconds: dict[str, float]


def see(
    found: classify.Classifier,
    file: Path,
    name: str = classify.DEFAULT,
    *,
    top: int = 5,
    fast: bool = False,
    told: Told = lambda done, of: None,
) -> Seen:
    """Looks at a photograph with a classifier.

    Args:
      top: how many classes are told.
      fast: no feature visualisations, which take the longest.
      told: called with the share of the work done, and of how much; what it raises stops the work.

    Raises:
      ValueError: the file is no image, or the network has no waypoint with places.
    """
    model, variables, recipe = found
    x = jnp.asarray(images.prepared(file, recipe))[None]
    done, seconds = Count(told, len(faithfulness.METHODS) + 4), {}
    with clock(seconds, "predicting", done):
        output, passed = answer(model, variables, x)
        features = {waypoint: np.asarray(each[0]) for waypoint, each in passed.items()}
        chances = np.asarray(jax.nn.softmax(output[0]))
        order = np.argsort(-chances, kind="stable")[: min(top, len(chances))]
        predictions = tuple(classify.Prediction(int(i), *found.label(int(i)), float(chances[i])) for i in order)
    target = jnp.asarray(order[:1])
    with clock(seconds, "Grad-CAM", done):
        several = jnp.asarray(order[:EXPLAINED])
        cams = attribution.grad_cam(model, variables, jnp.repeat(x, len(several), axis=0), several).map
    pointed = {}
    for method, function in faithfulness.METHODS.items():
        with clock(seconds, method, done):
            pointed[method] = np.asarray(function(model, variables, x, target))
    with clock(seconds, "deletion and insertion", done):
        curves = faithfulness.curves(
            model, variables, jnp.repeat(x, len(pointed), axis=0), jnp.repeat(target, len(pointed)),
            np.concatenate(list(pointed.values())), steps=POINTS, chunk=3,
        )  # fmt: skip
    areas = zip(pointed, curves.deletion_area, curves.insertion_area, strict=True)
    attributed = {
        method: Attributed(pointed[method][0], float(less), float(more), seconds[method])
        for method, less, more in areas
    }
    with clock(seconds, "visualising", done):
        excited = most_excited(features)
        if not fast and x.shape[-1] == 3:
            excited = visualised(found, excited, lambda now, of: done.within(now / of))
    return Seen(
        file, name, recipe.source, shown(x[0], recipe), predictions, list(np.asarray(cams)), attributed, features,
        excited, seconds,
    )  # fmt: skip


def most_excited(features: dict[str, np.ndarray]) -> list[Excited]:
    """The channels with the largest mean answers at some waypoints with places, evenly by depth, the first left out."""
    placed = [name for name, each in features.items() if each.ndim == 3 and each.shape[0] * each.shape[1] > 1]
    chosen = dict.fromkeys(placed[round(i)] for i in np.linspace(min(1, len(placed) - 1), len(placed) - 1, DEPTHS))
    return [
        Excited(name, int(channel), float(features[name][..., channel].max()), features[name][..., channel], None)
        for name in chosen
        for channel in np.argsort(-features[name].mean(axis=(0, 1)), kind="stable")[:CHANNELS]
    ]


def visualised(found: classify.Classifier, excited: list[Excited], told: Told) -> list[Excited]:
    """The same with what each channel looks for; of a channel that no picture woke up there is none."""
    pictures = visualise.visualise(
        found.model,
        found.variables,
        [objectives.channel(each.waypoint, each.channel) for each in excited],
        shape=(SIZE, SIZE),
        steps=STEPS,
        normalise=(found.recipe.mean, found.recipe.std),
        told=told,
    )
    woken = [picture if picture.std() > FLAT else None for picture in pictures]
    return [each._replace(visualised=picture) for each, picture in zip(excited, woken, strict=True)]


def shown(x: Any, recipe: Any) -> np.ndarray:
    """A normalised image as uint8 [height, width, 3]."""
    values = np.clip(np.asarray(x) * np.float32(recipe.std) + np.float32(recipe.mean), 0, 1)
    return np.round(255 * values[..., np.arange(3) % values.shape[-1]]).astype(np.uint8)


def write(told: Seen, path: Path) -> None:
    """The page, one file that needs nothing else."""
    path.write_text(seen.page(told), encoding="utf-8")


def entry(told: Seen) -> dict[str, Any]:
    """What ``--json`` prints."""
    methods = {
        name: {key: round(value, 4) for key, value in each._asdict().items() if key != "map"}
        for name, each in told.attributed.items()
    }
    return {
        "file": str(told.file),
        "model": told.model,
        "weights": told.weights,
        "predictions": [each._asdict() for each in told.predictions],
        "attribution": methods,
        "waypoints": {name: list(each.shape) for name, each in told.features.items()},
        "excited": [
            {"waypoint": each.waypoint, "channel": each.channel, "peak": round(each.peak, 4)} for each in told.excited
        ],
        "seconds": {name: round(each, 2) for name, each in told.seconds.items()},
    }


def lines(told: Seen) -> Iterator[str]:
    """The same as text."""
    for each in told.predictions:
        yield f"  {each.probability:6.1%}  {each.name}"
    yield f"  {'':22}deletion  insertion"
    for name, each in told.attributed.items():
        yield f"  {name:22}{each.deletion:8.3f}  {each.insertion:9.3f}"


class Count:
    """Tells how much of the work is done, in whole and in parts of a piece, in hundredths of a piece."""

    def __init__(self, told: Told, pieces: int):
        self.told, self.pieces, self.done = told, pieces, 0

    def within(self, share: float) -> None:
        self.told(round(100 * (self.done + share)), 100 * self.pieces)

    def next(self) -> None:
        self.done += 1
        self.within(0)


@contextmanager
def clock(seconds: dict[str, float], name: str, done: Count) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
    done.next()
