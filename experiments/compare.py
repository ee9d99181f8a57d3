"""Four modalities, one convolution: train each on the ten digits, then write one table and one page.

    python -m experiments.compare --workdir DIR [--seeds 3] [--full] [--only 'drawn-*'] [--steps N] [--fresh]
        [--recordings FSDD]

Its way: plan, then for each row data, model, train, evaluate, then draw; each is a function below. Rows are kept in
DIR/rows as they are made, so a comparison that was stopped goes on where it stood; --fresh trains every row again.
Where there are people's recordings of the digits (FSDD; by default those in $CONVZOO_TEST_DATA), a fifth row is theirs.
"""

import argparse
import dataclasses
import fnmatch
import hashlib
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

import convzoo
from convzoo import data, environment, train
from convzoo.models import layernet
from convzoo.models.graphnet import GraphNet
from convzoo.models.mlp import MLP
from convzoo.train import Experiment, State
from experiments import report
from experiments.report import Mistake, Row

MODALITIES = ("seen", "drawn", "heard", "spelled")
KINDS = {"seen": "picture", "drawn": "graph", "heard": "waveform", "spelled": "word"}
SPANS = {"seen": "pixels", "drawn": "hops", "heard": "frames", "spelled": "bytes"}
INPUTS = {"drawn": ["ink", "x", "y"]}
EXTRA = {"test_accent": "unseen accents", "test_both": "both unseen"}
FRACTIONS = (0.01, 0.05, 0.2)
MOST_MISTAKES = 12


@dataclass(frozen=True)
class Entry:
    """One row to be made; ``variant`` says what is different about a contrast."""

    modality: str
    experiment: Experiment
    variant: str = ""

    @property
    def name(self) -> str:
        parts = (self.modality, self.variant, f"{self.experiment.data.fraction:g}")
        return "-".join(part.replace(" ", "_").replace(",", "") for part in parts if part)


def plan(*, steps: int | None = None, recordings: str = "") -> list[Entry]:
    """The four rows, and one more where there are recordings of people."""
    entries = []
    for modality in MODALITIES:
        experiment = importlib.import_module(f"configs.digits_{modality}").CONFIG
        entries.append(Entry(modality, shortened(experiment, steps)))
    if recordings:
        experiment = importlib.import_module("configs.digits_recorded").CONFIG
        experiment = dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, folder=recordings))
        entries.append(Entry("heard", shortened(experiment, steps), "people"))
    return entries


def recorded() -> str:
    """The folder of recordings in the folder of test data, or "" where there is none."""
    folder = Path(os.environ.get("CONVZOO_TEST_DATA", ""), "fsdd").resolve()
    return str(folder) if "CONVZOO_TEST_DATA" in os.environ and folder.is_dir() else ""


def contrasts(main: Sequence[Entry]) -> list[Entry]:
    """What makes the four rows worth reading: other edges, raw sound, no convolution, less data. Networks in contrast
    have about as many parameters as the one they are compared with."""
    base = {entry.modality: entry.experiment for entry in main if not entry.variant}

    def changed(modality: str, variant: str, model: Any = None, **source: Any) -> Entry:
        experiment = base[modality]
        model = model or experiment.model
        return Entry(
            modality,
            dataclasses.replace(experiment, model=model, data=dataclasses.replace(experiment.data, **source)),
            variant,
        )

    one, two = GraphNet(taps=1, width=144), GraphNet(taps=2, width=102)
    entries = [
        changed("drawn", "two taps", two, edges="mean"),
        changed("drawn", "one tap (GCN)", one, edges="gcn"),
        changed("drawn", "nine taps, no places", places=False),
        changed("drawn", "two taps, no places", two, edges="mean", places=False),
        changed("drawn", "one tap (GCN), no places", one, edges="gcn", places=False),
        changed("drawn", "no edges", one, edges="none"),
        *(changed("drawn", variant, model) for variant, model in LAYERS.items()),
        changed("heard", "raw waveform", base["heard"].model.clone(**WAVE), features="wave"),
        changed("seen", "no convolution", MLP(widths=(236, 236))),
        changed("heard", "no convolution", MLP(widths=(32, 32))),
        changed("spelled", "no convolution", MLP(widths=(110, 64))),
    ]
    for modality in MODALITIES:
        entries += [changed(modality, "", fraction=fraction) for fraction in FRACTIONS]
    return entries


# The standard graph layers, in networks of the same size: edges without a direction.
LAYERS = {
    "GAT": layernet.GRAPHNET_GAT,
    "GIN": layernet.GRAPHNET_GIN,
    "GraphSAGE, max": layernet.GRAPHNET_SAGE,
    "EdgeConv": layernet.GRAPHNET_EDGECONV,
}
WAVE = {"depths": (1, 1, 1, 1), "width": 8, "window": 11, "stem": "pooled"}


def named(entries: Sequence[Entry], patterns: Sequence[str]) -> list[Entry]:
    """Those whose name fits one of the shell patterns."""
    return [entry for entry in entries if any(fnmatch.fnmatchcase(entry.name, pattern) for pattern in patterns)]


def shortened(experiment: Experiment, steps: int | None) -> Experiment:
    return dataclasses.replace(experiment, steps=steps) if steps else experiment


def make(entry: Entry, seeds: Sequence[int]) -> Row:
    """Trains one network with every seed through one compiled update, and tells how it did."""
    begun = time.perf_counter()
    experiment = entry.experiment
    source = experiment.data
    tests = {split: data.load(source, split, batch_size=256) for split in ("test", *EXTRA) if split in source.splits}
    runs = [data.load(source, batch_size=experiment.batch_size, seed=seed) for seed in seeds]
    example = runs[0].example
    states = [train.init(experiment, example, seed=seed) for seed in seeds]
    compiling = time.perf_counter()
    update = train.compile_update(experiment).lower(states[0], example).compile()
    compile_seconds = time.perf_counter() - compiling

    trained, curves, training = [], [], 0.0
    for seed, state, batches in zip(seeds, states, runs, strict=True):
        clock = Clock()

        def evaluate(state: State, clock: Clock = clock) -> dict[str, float]:
            with clock:
                return train.evaluate(experiment, state, tests["test"].in_order())

        title = f"{entry.modality}{', ' * bool(entry.variant)}{entry.variant} {seed}"
        started = time.perf_counter()
        state, logged = train.fit(experiment, state, batches, update, evaluate=evaluate, title=title)
        training += time.perf_counter() - started - clock.seconds
        trained.append(state)
        curves.append(curve(logged))

    probabilities = [train.predict(experiment, state, tests["test"].in_order()) for state in trained]
    labels = source.arrays("test")["label"]
    params, macs = price(experiment)
    return Row(
        modality=entry.modality,
        dataset=source.name,
        model=type(experiment.model).__name__,
        params=params,
        macs=macs,
        receptive_field=field(entry),
        train_examples=runs[0].examples,
        test_examples=len(labels),
        accuracies=[float((p.argmax(-1) == labels).mean()) for p in probabilities],
        examples_per_second=len(seeds) * experiment.steps * experiment.batch_size / training,
        compile_seconds=compile_seconds,
        seconds=time.perf_counter() - begun,
        extra={
            told: [train.evaluate(experiment, state, tests[split].in_order())["accuracy"] for state in trained]
            for split, told in EXTRA.items()
            if split in tests
        },
        curve=curves,
        confusion=confusion(probabilities, labels).tolist(),
        classes=list(source.classes),
        mistakes=mistakes(entry, probabilities, labels),
        filters=first_filters(trained[0].params),
        filter_labels=INPUTS.get(entry.modality, []),
        fraction=source.fraction,
        variant=entry.variant,
    )


class Clock:
    """Adds up the time spent inside it."""

    def __init__(self):
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.begun = time.perf_counter()

    def __exit__(self, *error: Any) -> None:
        self.seconds += time.perf_counter() - self.begun


def curve(logged: Iterable[dict[str, float]]) -> dict[str, list[float]]:
    """What was logged, as columns."""
    trained = [line for line in logged if "loss" in line]
    tested = [line for line in logged if "test_accuracy" in line]
    return {
        "step": [line["step"] for line in trained],
        "loss": [line["loss"] for line in trained],
        "test_step": [line["step"] for line in tested],
        "test_accuracy": [line["test_accuracy"] for line in tested],
    }


def price(experiment: Experiment) -> tuple[int, int]:
    """(parameters, multiply-adds an example), the latter as the mean over the test split."""
    examples = len(experiment.data.arrays("test")["label"])
    whole = data.load(experiment.data, "test", batch_size=examples).example
    cost = convzoo.cost(experiment.model, whole["input"])
    return cost.params, cost.macs // examples


def field(entry: Entry) -> str:
    """What the last local layer sees of the input."""
    example = data.load(entry.experiment.data, "test", batch_size=1).example["input"]
    shape = example if entry.modality == "drawn" else example.shape
    spans = [info.field for info in convzoo.feature_info(entry.experiment.model, shape).values() if info.field]
    if not spans:
        return "everything"
    unit = "samples" if getattr(entry.experiment.data, "features", "") == "wave" else SPANS[entry.modality]
    return " × ".join(map(str, spans[-1])) + f" {unit}"


def confusion(probabilities: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """[true, predicted] counts, over all seeds."""
    counts = np.zeros((probabilities[0].shape[-1],) * 2, int)
    for p in probabilities:
        np.add.at(counts, (labels, p.argmax(-1)), 1)
    return counts


def mistakes(entry: Entry, probabilities: Sequence[np.ndarray], labels: np.ndarray) -> list[Mistake]:
    """The test examples that a seed got wrong with the highest probability, each once."""
    source, worst = entry.experiment.data, {}
    for p in probabilities:
        for index in np.flatnonzero(p.argmax(-1) != labels):
            if p[index].max() > worst.get(index, (0.0, 0))[0]:
                worst[index] = (float(p[index].max()), int(p[index].argmax()))
    ranked = sorted(worst.items(), key=lambda item: -item[1][0])[:MOST_MISTAKES]
    return [
        Mistake(
            kind=KINDS[entry.modality],
            data=source.show("test", int(index)),
            true=source.classes[labels[index]],
            predicted=source.classes[predicted],
            probability=probability,
        )
        for index, (probability, predicted) in ranked
    ]


def first_filters(params: Any) -> list[Any]:
    """The kernel of the first convolution, [*window, in, out]; empty where there is none."""
    for path in (("stem",), ("block0", "conv1"), ("stage0_conv0",)):
        found = params
        for name in path:
            found = found.get(name, {})
        if "kernel" in found:
            return np.asarray(found["kernel"], np.float32).round(4).tolist()
    return []


def kept(folder: Path, entry: Entry, seeds: Sequence[int]) -> tuple[Path, str]:
    """Where a row is kept, and the digest of everything it depends on."""
    everything = [entry.experiment.identity()["digest"], list(seeds), convzoo.__version__, jax.__version__]
    digest = hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:16]
    return folder / "rows" / f"{entry.name}.json", digest


def made(folder: Path, entry: Entry, seeds: Sequence[int], *, fresh: bool) -> Row:
    """The row, from the folder if it was made before, else made and kept there."""
    path, digest = kept(folder, entry, seeds)
    if path.exists() and not fresh:
        try:
            stored = json.loads(path.read_text())
            if stored["digest"] == digest:
                print(f"{entry.name}: kept from an earlier run (--fresh trains it again)")
                return Row.from_json(stored["row"])
        except (ValueError, KeyError, TypeError):
            print(f"{path} cannot be read; its row is made again")
    row = make(entry, seeds)
    path.parent.mkdir(parents=True, exist_ok=True)
    train.write_atomically(path, json.dumps({"digest": digest, "row": row.to_json()}))
    print(
        f"{entry.name}: {100 * row.accuracy_mean:.2f} % ± {100 * row.accuracy_std:.2f}, {row.seconds:.0f} s", flush=True
    )
    return row


def about(arguments: Sequence[str]) -> dict[str, str]:
    """Where and how the figures were made."""
    device = jax.devices()[0]
    return {
        "Command": " ".join(["python -m experiments.compare", *arguments]),
        "Date": time.strftime("%Y-%m-%d"),
        "Machine": f"{device.device_kind} ({device.platform}), {processor()}, Python {platform.python_version()}",
        "Versions": f"convzoo {convzoo.__version__}, jax {jax.__version__}",
    }


def processor() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.machine()}, {cores} CPU cores"


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m experiments.compare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True, metavar="DIR", help="where the table and the page go")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds a row (default: 3)")
    parser.add_argument("--full", action="store_true", help="add the contrasts")
    parser.add_argument("--only", nargs="+", default=["*"], metavar="NAME", help="rows of these names, as in DIR/rows")
    parser.add_argument("--steps", type=int, metavar="N", help="train every row this many steps only")
    parser.add_argument("--fresh", action="store_true", help="train rows again that were kept")
    told = "people's recordings of the digits; '': none (default: fsdd in $CONVZOO_TEST_DATA)"
    parser.add_argument("--recordings", default=recorded(), metavar="FSDD", help=told)
    options = parser.parse_args(arguments)
    for name in ("seeds", "steps"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name} is {value}; it must be at least 1")
    try:
        run(options, arguments)
    except (train.Interrupted, KeyboardInterrupt):
        print(f"stopped; the same command goes on after the rows in {options.workdir / 'rows'}", file=sys.stderr)
        return 130
    except (train.Diverged, ImportError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Makes the rows, then draws them."""
    begun, folder, seeds = time.perf_counter(), options.workdir, range(options.seeds)
    planned = plan(steps=options.steps, recordings=options.recordings)
    entries = named(planned, options.only)
    more = named(contrasts(planned), options.only) if options.full else []
    if not (entries or more):
        raise OSError(f"no row is called {' or '.join(options.only)}")
    for entry in (*entries, *more):
        if entry.experiment.data.name != data.Recorded.name:
            data.prepare(entry.experiment.data.name)
    rows = [made(folder, entry, seeds, fresh=options.fresh) for entry in entries]
    other = [made(folder, entry, seeds, fresh=options.fresh) for entry in more]
    report.write_csv(rows, folder / "comparison.csv")
    report.write_json([*rows, *other], folder / "comparison.json")
    report.write(rows, folder / "report.html", contrasts=other, about=about(arguments))
    print(f"{time.perf_counter() - begun:.0f} s: {folder / 'report.html'}, {folder / 'comparison.csv'}")


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
