"""What networks are said to do, measured: moving with shifts, seeing far, being alike.

    python -m experiments.measure --out docs [--images FOLDER] [--workdir runs/measure] [--seeds 3] [--blurs 0 3]
        [--garments FOLDER] [--steps N] [--only shifts blur fields similarity]

Photographs are seen by efficientnet_lite0 with its real weights: those that scikit-image carries, nine cuts of each, or
the middle of each in FOLDER. The digits are seen, drawn, heard and spelled by the four networks of
experiments.compare, trained here as there and kept in the workdir. Writes OUT/measures.csv, a row a figure, and
OUT/measures_*.png, one for each part.
"""

import argparse
import csv
import dataclasses
import functools
import importlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import convzoo
from configs.digits_seen import CONFIG as DIGITS
from convzoo import core, data, environment, train
from convzoo.data import images
from convzoo.explain.equivariance import Shifted, rate, shift_equivariance, together
from convzoo.explain.fields import Field, effective_field
from convzoo.explain.similarity import cka_matrix
from convzoo.extras import need
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.train import Experiment
from experiments import measure_pictures as pictures
from experiments.compare import MODALITIES

FIELDS = ("part", "network", "waypoint", "what", "at", "value")
SHIFTS = tuple(range(1, 9))
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket")
CUTS = 3  # along each side of a photograph
PIXEL = 2 / 7  # between the places of drawn digits
EXAMPLES, ROUNDS, EACH = 300, 10, 20
NET = "efficientnet_lite0"


class Known(NamedTuple):
    """A network with variables for it."""

    model: Any
    variables: Any
    recipe: Any = None


@dataclasses.dataclass(frozen=True)
class Placed(data.Seen):
    """Digits twice as large, 16 by 16, in the middle of an empty picture of 28 by 28."""

    classes: ClassVar[tuple[str, ...]] = data.Seen.classes

    def batch(self, rows, mask, key=None):
        made = super().batch(rows, mask, key)
        x = core.resize(made["input"], 16)
        return made | {"input": jnp.pad(x, ((0, 0), (6, 6), (6, 6), (0, 0)))}


# --- networks and what they are shown -------------------------------------------------------------------------------


@functools.cache
def pretrained() -> Known:
    return Known(*convzoo.load(NET))


@functools.cache
def untrained() -> Known:
    model = pretrained().model
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 224, 224, 3)))
    return Known(model, variables, pretrained().recipe)


def photographs(folder: Path | None, size: int) -> np.ndarray:
    """[cuts, size, size, 3], as the network wants them."""
    if folder is not None:
        files = images.in_folder(folder)
        if not files:
            raise ValueError(f"{folder} holds no image files")
        recipe = pretrained().recipe._replace(size=(size, size))
        return np.stack([images.prepared(path, recipe) for path in files])
    image, shown = need("PIL.Image", extra="data"), need("skimage.data", extra="demo")
    recipe = pretrained().recipe._replace(size=(size * 7 // 5,) * 2)
    starts = np.linspace(0, size * 7 // 5 - size, CUTS).astype(int)
    whole = [
        images.normalised(images.fitted(image.fromarray(getattr(shown, n)()), recipe), recipe) for n in PHOTOGRAPHS
    ]
    return np.stack([x[top : top + size, left : left + size] for x in whole for top in starts for left in starts])


def trained(experiment: Experiment, seeds: Sequence[int], folder: Path) -> list[Known]:
    """The network after each seed's training, from the folder if it was trained before."""
    update, found = train.compile_update(experiment), []
    for seed in seeds:
        mine = dataclasses.replace(experiment, seed=seed)
        kept = train.Workdir(folder.with_name(f"{folder.name}-{seed}"), mine)
        kept.open(resume=True)
        batches = data.load(mine.data, batch_size=mine.batch_size, seed=seed)
        state = kept.restore(train.init(mine, batches.example))
        state, _ = train.fit(mine, state, batches, update, workdir=kept, title=f"{folder.name} {seed}")
        found.append(Known(mine.model, {"params": state.params, "batch_stats": state.batch_stats}))
    return found


def digits(modality: str, options: argparse.Namespace) -> Experiment:
    experiment = importlib.import_module(f"configs.digits_{modality}").CONFIG
    return dataclasses.replace(experiment, steps=options.steps or experiment.steps)


def examples(experiment: Experiment, count: int) -> dict[str, Any]:
    """A batch of so many random examples of the test split."""
    source = experiment.data
    arrays = source.arrays("test")
    chosen = np.sort(np.random.default_rng(0).permutation(len(arrays["label"]))[:count])
    rows = {name: jnp.asarray(array[chosen]) for name, array in arrays.items()}
    return source.batch(rows, jnp.ones(len(chosen), bool), None, **dict(source.sizes(rows, len(chosen))))


def given(batch: dict[str, Any]) -> dict[str, Any]:
    """What a network is to be told of a batch beside its input."""
    return {name: batch[name] for name in ("length", "node_mask") if name in batch}


def even(count: int, most: int = 20) -> int:
    """The largest batch that leaves none over, so that one program serves all."""
    return max(size for size in range(1, most + 1) if count % size == 0)


# --- shifts ---------------------------------------------------------------------------------------------------------


def shifts(options: argparse.Namespace) -> Iterator[tuple]:
    """Shift equivariance of efficientnet_lite0 and of the four networks of the digits."""
    x = photographs(options.images, 224 + max(SHIFTS))
    model, variables, _ = pretrained()
    info = convzoo.feature_info(model, (1, 224, 224, 3))
    found = {NET: shift_equivariance(model, variables, x, info, shifts=SHIFTS, batch_size=even(len(x)))}
    for modality in MODALITIES:
        experiment = digits(modality, options)
        (known,) = trained(experiment, [0], options.workdir / modality)
        found[modality] = MOVES[modality](known, experiment)
    for name, each in found.items():
        yield from rows_of(name, each)
    pictures.shifts(options.out / "measures_shifts.png", found)


def rows_of(network: str, found: Shifted) -> Iterator[tuple]:
    for waypoint, errors in found.error.items():
        for shift, error in zip(found.shifts, errors, strict=True):
            yield network, waypoint, "error inside" if found.inside[waypoint] else "error", shift, error
    for shift, kept in zip(found.shifts, found.kept, strict=True):
        yield network, "", "answers kept", shift, kept


def moved(known: Known, experiment: Experiment, around: int = max(SHIFTS)) -> Shifted:
    """Pictures on an empty sheet, ``around`` pixels wider at each side; sounds and words after so many empty places."""
    batch = examples(experiment, EXAMPLES)
    x, named = np.asarray(batch["input"]), given(batch)
    empty = x.min() if x.ndim == 4 else 0
    sides = [(0, 0), *((around, around if x.ndim == 4 else 0) for _ in x.shape[1 : max(2, x.ndim - 1)])]
    x = np.pad(x, [*sides, *[(0, 0)] * (x.ndim - len(sides))], constant_values=empty)
    named = {name: length + around for name, length in named.items()}
    window = [1, *x.shape[1:]]
    window[1 : len(sides)] = [n - max(SHIFTS) for n in window[1 : len(sides)]]
    info = convzoo.feature_info(known.model, tuple(window))
    return shift_equivariance(*known[:2], x, info, shifts=SHIFTS, batch_size=100, **named)


def moved_graph(known: Known, experiment: Experiment) -> Shifted:
    """A drawing is shifted by adding to the places of its nodes; each node's features are to stay."""
    batch = examples(experiment, EXAMPLES)
    look = jax.jit(lambda x: known.model.apply(known.variables, x, train=False, **given(batch)))
    graph, real, answers = batch["input"], np.asarray(batch["node_mask"]), np.asarray(batch["mask"])
    output, base = look(graph)
    errors, kept = {name: [] for name in base}, []
    for shift in SHIFTS:
        found, after = look(graph._replace(nodes=graph.nodes.at[:, 1:].add(shift * PIXEL)))
        for name, values in after.items():
            mask = real if len(values) == len(real) else answers
            errors[name].append(rate(np.asarray(together(values[mask], base[name][mask]))))
        kept.append(np.mean((np.argmax(found, -1) == np.argmax(output, -1))[answers]))
    whole = {name: name != "pooled" for name in errors}
    return Shifted(SHIFTS, {n: np.array(e) for n, e in errors.items()}, whole, np.array(kept))  # type: ignore[arg-type]


MOVES = {
    "seen": functools.partial(moved, around=12),  # they are 8 by 8: so they stay clear of the borders
    "drawn": moved_graph,
    "heard": moved,
    "spelled": moved,
}


def blur(options: argparse.Namespace) -> Iterator[tuple]:
    """A small CIFAR ResNet with and without anti-aliased strides, the same recipe: accuracy and equivariance."""
    sources: dict[str, Any] = {"digits": Placed()}
    if options.garments:
        sources["garments"] = data.FashionMnist(str(options.garments))
    found: dict[str, dict[int, list[tuple[float, Shifted]]]] = {}
    for name, source in sources.items():
        for window in options.blurs:
            model = CIFAR_RESNET20.clone(depths=(1, 1, 1), width=8, blur=window)
            experiment = dataclasses.replace(DIGITS, model=model, data=source, steps=options.steps or 440)
            runs = trained(experiment, range(options.seeds), options.workdir / f"{name}-{window}")
            for seed, known in enumerate(runs):
                accuracy, shifted = right(known, experiment), moved(known, experiment)
                found.setdefault(name, {}).setdefault(window, []).append((accuracy, shifted))
                network = f"{name}, blur {window}, seed {seed}"
                yield network, "", "accuracy", "", accuracy
                yield from rows_of(network, shifted)
    pictures.blur(options.out / "measures_blur.png", found)


def right(known: Known, experiment: Experiment) -> float:
    """The share of (at most 1,000) test pictures that is told right."""
    batch = examples(experiment, 1000)
    output = jax.jit(lambda variables, x: known.model.apply(variables, x, train=False)[0])(
        known.variables, batch["input"]
    )
    return float(np.mean(np.argmax(output, -1) == np.asarray(batch["label"])))


# --- fields ---------------------------------------------------------------------------------------------------------


def fields(options: argparse.Namespace) -> Iterator[tuple]:
    """Effective receptive fields, trained and not."""
    size = 448
    x = photographs(options.images, size)
    x = x[:: max(1, len(x) // 16)][:16]
    info = convzoo.feature_info(pretrained().model, (1, size, size, 3))
    found: dict[str, dict[str, Mapping[str, Field]]] = {}
    for told, known in (("trained", pretrained()), ("untrained", untrained())):
        found.setdefault(NET, {})[told] = effective_field(*known[:2], x, info, batch_size=8)
    for modality in ("seen", "heard"):
        experiment = digits(modality, options)
        batch = examples(experiment, 64)
        (known,) = trained(experiment, [0], options.workdir / modality)
        first = train.init(experiment, {"input": batch["input"], **given(batch)})
        start = {"params": first.params, "batch_stats": first.batch_stats}
        info = convzoo.feature_info(known.model, batch["input"].shape)
        for told, variables in (("trained", known.variables), ("untrained", start)):
            made = effective_field(known.model, variables, batch["input"], info, batch_size=64)
            found.setdefault(modality, {})[told] = made
    for network, both in found.items():
        for told, each in both.items():
            for waypoint, field in each.items():
                yield f"{network}, {told}", waypoint, "effective field", "", field.side
                yield f"{network}, {told}", waypoint, "theoretical field", "", field.theoretical
    pictures.fields(options.out / "measures_fields.png", found)


# --- similarity -----------------------------------------------------------------------------------------------------


def similarity(options: argparse.Namespace) -> Iterator[tuple]:
    """Linear CKA: of a network with itself, untrained and of another seed; of the four modalities."""
    x = photographs(options.images, 224)[:100]
    one, other = (features(known, {"input": x}, even(len(x))) for known in (pretrained(), untrained()))
    made = {
        (NET, NET): (one, one),
        (NET, "untrained"): (one, other),
        ("untrained", "untrained"): (other, other),
    }
    seeds = trained(digits("seen", options), [0, 1], options.workdir / "seen")
    batch = examples(digits("seen", options), EXAMPLES)
    first, second = (features(known, batch, len(batch["label"])) for known in seeds)
    made["seen, seed 0", "seen, seed 1"] = first, second
    tables = {
        names: pictures.Table(
            [*a], [*b], np.asarray(cka_matrix([*map(jnp.asarray, a.values())], [*map(jnp.asarray, b.values())]))
        )
        for names, (a, b) in made.items()
    }
    tables["modalities", "modalities"] = modalities(options)
    for (first, second), table in tables.items():
        for row, values in zip(table.rows, table.values, strict=True):
            for column, value in zip(table.columns, values, strict=True):
                yield f"{first} | {second}", row, "CKA", column, value
    pictures.similarity(options.out / "measures_similarity.png", tables)


def features(known: Known, batch: dict[str, Any], batch_size: int) -> dict[str, np.ndarray]:
    """Every waypoint of every example."""
    look = jax.jit(lambda variables, x: known.model.apply(variables, x, train=False)[1])
    parts = [look(known.variables, x) for x in np.split(np.asarray(batch["input"]), len(batch["input"]) // batch_size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def modalities(options: argparse.Namespace) -> "pictures.Table":
    """Waypoints of all four networks, each the mean over its places. What one network sees another cannot hear, so
    examples are paired by class, at random, ``ROUNDS`` times; also within one network, where that gives the ceiling."""
    values: dict[str, dict[str, np.ndarray]] = {}
    labels: dict[str, np.ndarray] = {}
    for modality in MODALITIES:
        experiment = digits(modality, options)
        (known,) = trained(experiment, [0], options.workdir / modality)
        batch = examples(experiment, 2 * EXAMPLES)
        look = jax.jit(lambda variables, x, also, known=known: known.model.apply(variables, x, train=False, **also)[1])
        found, real = look(known.variables, batch["input"], given(batch)), np.asarray(batch["mask"])
        values[modality] = {name: np.asarray(described(each, batch))[real] for name, each in found.items()}
        labels[modality] = np.asarray(batch["label"])[real]
    random = np.random.default_rng(0)

    def drawn() -> list[jax.Array]:
        chosen = {modality: paired(labels[modality], random) for modality in values}
        return [
            jnp.asarray(layer[chosen[modality]]) for modality, layers in values.items() for layer in layers.values()
        ]

    mean = np.mean([cka_matrix(drawn(), drawn()) for _ in range(ROUNDS)], axis=0)
    names = [f"{modality} {name}" for modality, layers in values.items() for name in layers]
    return pictures.Table(names, names, (mean + mean.T) / 2)


def paired(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """``EACH`` random examples of every class, class by class."""
    return np.concatenate([random.choice(np.flatnonzero(labels == label), EACH) for label in np.unique(labels)])


def described(values: jax.Array, batch: dict[str, Any]) -> jax.Array:
    """The mean over an example's real places, [examples, channels]."""
    if "graph_id" in batch:
        nodes, count = len(batch["graph_id"]), len(batch["label"])
        return (
            core.readout(values, batch["graph_id"], count, mask=batch["node_mask"]) if len(values) == nodes else values
        )
    if values.ndim == 2:
        return values
    if "length" not in batch:
        return core.global_mean(values)
    full, places = batch["input"].shape[1], values.shape[1]
    return core.global_mean(values, core.length_mask(-(-batch["length"] * places // full), places))


# --- all of it ------------------------------------------------------------------------------------------------------

PARTS = {"shifts": shifts, "blur": blur, "fields": fields, "similarity": similarity}


def write(path: Path, part: str, rows: Sequence[tuple]) -> None:
    """The table with this part's rows in place of those it had."""
    before = list(csv.reader(path.read_text().splitlines()))[1:] if path.exists() else []
    lines = [line for line in before if line[0] != part]
    lines += [[part, *map(str, row[:-1]), f"{float(row[-1]):.4g}"] for row in rows]
    lines.sort(key=lambda line: [*PARTS].index(line[0]))
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([FIELDS, *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.measure", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the table and the figures go")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="photographs (default: scikit-image's)")
    parser.add_argument("--workdir", type=Path, default=Path("runs/measure"), metavar="DIR", help="of trained networks")
    parser.add_argument("--garments", type=Path, metavar="FOLDER", help="Fashion-MNIST's files: blur on these too")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of networks with and without blur (3)")
    parser.add_argument(
        "--blurs", type=int, nargs="+", default=[0, 3], metavar="N", help="their windows; 0: none (0 3)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="train every network this many steps only")
    parser.add_argument("--only", nargs="+", default=list(PARTS), choices=PARTS, metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for part in options.only:
            begun = time.perf_counter()
            write(options.out / "measures.csv", part, list(PARTS[part](options)))
            print(f"{part}: {time.perf_counter() - begun:.0f} s", flush=True)
    except (train.Interrupted, KeyboardInterrupt):
        print(f"stopped; what was trained is in {options.workdir}", file=sys.stderr)
        return 130
    except (train.Diverged, train.CheckpointError, ImportError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
