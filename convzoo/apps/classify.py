"""A trained classifier on photographs: the likeliest classes of each, or how often it is right over many."""

import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import convzoo.zoo as zoo
from convzoo.data import images
from convzoo.nn import Model
from convzoo.weights import Label, Recipe

DEFAULT = "efficientnet_lite0"
BATCH = 16
WNID = re.compile(r"(n\d{8})(?:_|$)")


class Classifier(NamedTuple):
    """A model with its weights and what it wants to be given."""

    model: Model
    variables: Any
    recipe: Recipe

    def label(self, index: int) -> Label:
        """What a class is called; its number where nobody told."""
        return self.recipe.labels[index] if self.recipe.labels else Label("", f"class {index}")


class Prediction(NamedTuple):
    """A class and how likely the network finds it."""

    index: int
    wnid: str
    name: str
    probability: float


class Outcome(NamedTuple):
    """A file and its predictions, the likeliest first; or why there are none."""

    file: Path
    predictions: tuple[Prediction, ...] = ()
    error: str = ""


class Score(NamedTuple):
    """Of ``examples`` the shares that were right, with 95 % intervals after Wilson; ``failed`` could not be read."""

    top1: float
    top5: float
    top1_interval: tuple[float, float]
    top5_interval: tuple[float, float]
    examples: int
    seconds: float
    images_per_second: float
    failed: dict[str, str]


def classifier(name: str = DEFAULT, source: str | None = None) -> Classifier:
    """A named model with weights, as ``convzoo.load`` finds them.

    Raises:
      ValueError: the model has no classes.
    """
    model, variables, recipe = zoo.load(name, source)
    if not getattr(model, "num_classes", 0) or not set(getattr(model, "ranks", (2,))) & {2}:
        raise ValueError(f"{name} does not tell classes of images")
    return Classifier(model, variables, recipe)


def probabilities(model: Model) -> Callable[[Any, Any], jax.Array]:
    """(variables, images) -> float32 [batch, classes]."""

    def run(variables: Any, x: Any) -> jax.Array:
        logits, _ = model.apply(variables, x, train=False)
        return jax.nn.softmax(jnp.asarray(logits, jnp.float32))

    return jax.jit(run)


def batches(found: Classifier, files: Sequence[Path], batch_size: int) -> Iterator[tuple[images.Prepared, np.ndarray]]:
    """Prepared files and their probabilities; the last batch is filled up, so that one program serves all."""
    run = probabilities(found.model)
    for batch in images.stream(files, found.recipe, batch_size):
        missing = batch_size - len(batch.files)
        filled = np.pad(batch.images, [(0, missing), (0, 0), (0, 0), (0, 0)])
        yield batch, np.asarray(run(found.variables, filled))[: len(batch.files)]


def photographs(given: Sequence[Path]) -> list[Path]:
    """The files given, and the image files in the folders given."""
    return [path for each in given for path in (images.in_folder(each) if each.is_dir() else [each])]


def predict(found: Classifier, files: Sequence[Path], *, top: int = 5, batch_size: int = BATCH) -> Iterator[Outcome]:
    """The likeliest classes of each file, in order, as they are found."""
    top = min(top, found.model.num_classes)
    done = 0
    for batch, chances in batches(found, files, max(1, min(batch_size, len(files)))):
        answers = dict(zip(batch.files, chances, strict=True))
        while done < len(files) and (files[done] in answers or files[done] in batch.failed):
            path = files[done]
            done += 1
            if path in answers:
                order = np.argsort(-answers[path], kind="stable")[:top]
                told = (Prediction(int(i), *found.label(int(i)), float(answers[path][i])) for i in order)
                yield Outcome(path, tuple(told))
            else:
                yield Outcome(path, error=batch.failed[path])


def evaluate(
    found: Classifier,
    folder: Path,
    *,
    batch_size: int = BATCH,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> Score:
    """How often the network is right over the image files of a folder.

    The right class is that of the class folder a file lies in, or of a WordNet id that begins its name.

    Args:
      told: called with the number of files done, and of all.

    Raises:
      ValueError: there are no image files, or some whose class cannot be told; the message names them.
    """
    truth = classes_of_files(folder, found.recipe.labels, found.model.num_classes)
    files = list(truth)
    right1 = right5 = done = 0
    failed: dict[str, str] = {}
    shape = (batch_size, *found.recipe.size, len(found.recipe.mean))
    run = jax.block_until_ready(probabilities(found.model)(found.variables, np.zeros(shape, np.float32)))
    del run  # compiled: the clock need not see it
    start = time.perf_counter()
    for batch, chances in batches(found, files, batch_size):
        labels = np.array([truth[path] for path in batch.files], int)
        order = np.argsort(-chances, axis=1, kind="stable")[:, :5]
        right1 += int((order[:, :1] == labels[:, None]).sum())
        right5 += int((order == labels[:, None]).sum())
        failed |= {str(path): why for path, why in batch.failed.items()}
        done += len(batch.files)
        told(done + len(failed), len(files))
    if not done:
        raise ValueError(f"none of the {len(files)} files in {folder} can be read")
    seconds = time.perf_counter() - start
    return Score(
        right1 / done, right5 / done, wilson(right1, done), wilson(right5, done), done, seconds, done / seconds, failed
    )


def classes_of_files(folder: Path, labels: Sequence[Label], classes: int) -> dict[Path, int]:
    """{file: class}.

    Raises:
      ValueError: some have none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    files = images.in_folder(folder)
    if not files:
        raise ValueError(f"{folder} holds no image files ({', '.join(images.SUFFIXES)})")
    wnids = {label.wnid: index for index, label in enumerate(labels) if label.wnid}
    names = {label.name.casefold(): index for index, label in enumerate(labels)}
    above = {path: path.relative_to(folder).parts[0] if path.parent != folder else "" for path in files}
    folders = sorted(set(above.values()) - {""})
    unnamed = not labels and len(folders) == classes  # nobody told names: the folders in order are the classes
    places = {name: index for index, name in enumerate(folders)} if unnamed else {}

    def class_of(path: Path) -> int | None:
        for text in (above[path], path.name):
            found = WNID.match(text)
            if found and found[1] in wnids:
                return wnids[found[1]]
        return names.get(above[path].casefold().replace("_", " "), places.get(above[path]))

    truth = {path: class_of(path) for path in files}
    lost = sorted({above[path] or path.name for path, label in truth.items() if label is None})
    if lost:
        listed = ", ".join(lost[:5] + ["..."] * (len(lost) > 5))
        raise ValueError(
            f"{folder}: no class of the model is called {listed}; a class folder or a file name begins with a WordNet "
            "id (n02123159), or a folder has a class's name"
        )
    return {path: label for path, label in truth.items() if label is not None}


def wilson(right: int, examples: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval for a share (Wilson 1927), 95 % by default."""
    share, square = right / examples, z * z / examples
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / examples + square / (4 * examples))
    return (max(0.0, middle - half) if right else 0.0), (min(1.0, middle + half) if right < examples else 1.0)
