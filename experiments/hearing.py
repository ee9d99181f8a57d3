"""Spoken digits on real recordings: five seeds, each speaker left out in turn, and synthetic voices tested on people.

    python -m experiments.hearing --workdir DIR [--folder FSDD] [--seeds 5] [--only PATTERN] [--steps N]

FSDD holds the recordings of the Free Spoken Digit Dataset (default: ``fsdd`` in the data folder). Every run is kept in
DIR/rows as it is made, so what was stopped goes on where it stood; the table is hearing.csv and on the screen.
"""

import argparse
import csv
import dataclasses
import fnmatch
import hashlib
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

import convzoo
from configs import digits_recorded, digits_recorded_wave, digits_voiced
from convzoo import data, environment, train
from convzoo.data.sounds import SPEAKERS
from convzoo.train import Experiment


class Run(NamedTuple):
    """One network to train; ``row`` is what it is averaged in, ``tests`` the sets and splits that it is tested on."""

    row: str
    name: str
    experiment: Experiment
    tests: dict[str, tuple[data.Source, str]]


def plan(folder: str, seeds: int) -> Iterator[Run]:
    """Every run: the row's name, what is trained, what it is tested on."""
    log_mel, wave = (
        dataclasses.replace(config, data=dataclasses.replace(config.data, folder=folder))
        for config in (digits_recorded.CONFIG, digits_recorded_wave.CONFIG)
    )
    for row, experiment in (("log-mel", log_mel), ("raw waveform", wave)):
        for seed in range(seeds):
            seeded = dataclasses.replace(experiment, seed=seed)
            yield Run(row, f"seed {seed}", seeded, {"test": (experiment.data, "test")})
    for speaker in SPEAKERS:
        source = dataclasses.replace(log_mel.data, left_out=speaker)
        left_out = dataclasses.replace(log_mel, data=source)
        yield Run("speaker left out", speaker, left_out, {"test": (source, "test")})
    pictured = digits_voiced.CONFIG
    pictured = dataclasses.replace(pictured, data=dataclasses.replace(pictured.data, folder=folder))
    for row, like, change in (
        ("synthetic, log-mel", log_mel, {"features": "log_mel", "channel": False}),
        ("synthetic, channel", log_mel, {"features": "log_mel"}),
        ("synthetic, picture, plain", pictured, {"channel": False}),
        ("synthetic, picture", pictured, {}),
    ):
        source = dataclasses.replace(pictured.data, **change)
        tests = {"test": (source, "test"), "people": (source, "people")}
        yield Run(row, "seed 0", dataclasses.replace(like, data=source), tests)


def make(run: Run) -> dict[str, float]:
    """Trains, and tells the share that is right of each test."""
    experiment = run.experiment
    batches = data.load(experiment.data, batch_size=experiment.batch_size, seed=experiment.seed)
    state = train.init(experiment, batches.example)
    title = f"{run.row}, {run.name}"
    state, _ = train.fit(experiment, state, batches, train.compile_update(experiment), title=title)
    loaded = {name: data.load(source, split, batch_size=256) for name, (source, split) in run.tests.items()}
    return {name: train.evaluate(experiment, state, test.in_order())["accuracy"] for name, test in loaded.items()}


def made(run: Run, folder: Path) -> dict[str, float]:
    """The figures of a run, from the folder if it was made before, else made and kept there."""
    path = folder / "rows" / f"{run.row} {run.name}.json".replace(" ", "_").replace(",", "")
    everything = [run.experiment.identity()["digest"], convzoo.__version__, jax.__version__]
    digest = hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:16]
    if path.exists():
        kept = json.loads(path.read_text())
        if kept["digest"] == digest:
            return kept["found"]
    begun = time.perf_counter()
    found = make(run)
    path.parent.mkdir(parents=True, exist_ok=True)
    train.write_atomically(path, json.dumps({"digest": digest, "found": found}))
    told = ", ".join(f"{name} {share:.2%}" for name, share in found.items())
    print(f"{run.row}, {run.name}: {told}, {time.perf_counter() - begun:.0f} s", flush=True)
    return found


def write(found: dict[str, list[tuple[str, dict[str, float]]]], path: Path) -> None:
    """The table, as a file and on the screen."""
    lines = [("row", "run", "test", "accuracy")]
    for row, runs in found.items():
        lines += [(row, name, test, f"{share:.4f}") for name, shares in runs for test, share in shares.items()]
        shares = [share["test"] for _, share in runs]
        spread = f" ± {100 * statistics.stdev(shares):.2f}" if len(shares) > 1 else ""
        print(f"{row:20} {100 * statistics.mean(shares):6.2f} %{spread} over {len(shares)}")
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.hearing", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True, metavar="DIR", help="where rows and table go")
    parser.add_argument("--folder", default="fsdd", metavar="FSDD", help="the recordings (fsdd in the data folder)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="of the first two rows (5)")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="rows that match a shell pattern")
    parser.add_argument("--steps", type=int, metavar="N", help="train every network this many steps only")
    options = parser.parse_args(arguments)
    found: dict[str, list[tuple[str, dict[str, float]]]] = {}
    try:
        for run in plan(options.folder, options.seeds):
            if fnmatch.fnmatch(run.row, options.only):
                steps = options.steps or run.experiment.steps
                short = run._replace(experiment=dataclasses.replace(run.experiment, steps=steps))
                found.setdefault(run.row, []).append((run.name, made(short, options.workdir)))
    except (train.Interrupted, KeyboardInterrupt):
        print("stopped; the same command goes on after the runs that are made", file=sys.stderr)
        return 130
    except (train.Diverged, ImportError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if not found:
        parser.error(f"no row matches {options.only!r}")
    write(found, options.workdir / "hearing.csv")
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
