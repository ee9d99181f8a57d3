"""A run's folder: whose run it is, its metrics, its checkpoints.

    workdir/experiment.json          the experiment, spelled out; a folder belongs to one experiment for good
    workdir/metrics.jsonl            one JSON object a line
    workdir/checkpoints/00000500/    orbax's files in state/, what arrays these are in arrays.json, and the sizes and
                                     hashes of all of them in manifest.json

A checkpoint is written beside its place and moved there when it is complete, so one that is there is whole; damage that
comes later is found by its hashes and told, never loaded.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import jax

from convzoo.train.experiment import Experiment
from convzoo.train.step import State

KEPT = 2  # the newest checkpoints that stay


class CheckpointError(RuntimeError):
    """A folder or a checkpoint cannot be used; nothing was changed."""


class Workdir:
    """The folder of one run."""

    def __init__(self, path: str | os.PathLike[str], experiment: Experiment):
        self.path, self.experiment = Path(path).resolve(), experiment
        self.metrics = self.path / "metrics.jsonl"

    def open(self, *, resume: bool) -> None:
        """Makes the folder this run's own, or, to resume, makes sure it is.

        Raises:
          CheckpointError: the folder holds a run and ``resume`` is False, or another experiment's run.
        """
        card = self.path / "experiment.json"
        mine = self.experiment.identity()
        if card.exists():
            try:
                theirs = read_object(card)
            except (OSError, ValueError) as error:
                raise CheckpointError(f"{card} cannot be read ({error}); choose another --workdir") from error
            differing = sorted(k for k in mine.keys() | theirs.keys() if mine.get(k) != theirs.get(k) and k != "digest")
            if differing:
                told = "; ".join(f"{k}: {theirs.get(k)} there, {mine.get(k)} here" for k in differing)
                raise CheckpointError(
                    f"{self.path} holds the run of another experiment ({told}); choose another --workdir"
                )
            if not resume and (self.metrics.exists() or self.steps()):
                raise CheckpointError(f"{self.path} already holds this run: add --resume, or choose another --workdir")
            return
        leftover = building(card)  # of a run killed as it began
        if self.path.exists() and (not self.path.is_dir() or set(self.path.iterdir()) - {leftover}):
            raise CheckpointError(f"{self.path} exists and is no run's folder; choose another --workdir")
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(card, json.dumps(mine, indent=1))

    def steps(self) -> list[int]:
        """The steps of the checkpoints, ascending."""
        folder = self.path / "checkpoints"
        return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []

    def place(self, step: int) -> Path:
        return self.path / "checkpoints" / f"{step:08d}"

    def save(self, state: State) -> Path:
        """Writes a checkpoint, whole or not at all, and lets go of the oldest."""
        step = int(state.step)
        place = self.place(step)
        if place.exists():
            return place
        beside = place.with_name(".building")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        with checkpointer() as orbax:
            orbax.save(beside / "state", state)
            orbax.wait_until_finished()
        write_atomically(beside / "arrays.json", json.dumps(form(state), indent=1))
        write_atomically(beside / "manifest.json", json.dumps(manifest(beside), indent=1))
        beside.replace(place)
        for old in self.steps()[:-KEPT]:
            shutil.rmtree(self.place(old))
        return place

    def restore(self, state: State) -> State:
        """The newest checkpoint in the structure of ``state``, or ``state`` itself where there is none.

        Raises:
          CheckpointError: the newest checkpoint is damaged or does not fit ``state``.
        """
        steps = self.steps()
        if not steps:
            self.forget_after(int(state.step))
            return state
        place = self.place(steps[-1])
        check(place)
        there, here = read_object(place / "arrays.json"), form(state)
        if differing := [k for k in sorted(there.keys() | here.keys()) if there.get(k) != here.get(k)]:
            told = "; ".join(f"{k}: {there.get(k, 'nothing')} there, {here.get(k, 'nothing')} here" for k in differing)
            raise CheckpointError(f"{place} does not fit this experiment's state ({told})")
        try:
            with checkpointer() as orbax:
                restored = orbax.restore(place / "state", jax.eval_shape(lambda: state))
        except Exception as error:
            raise CheckpointError(f"{place} cannot be restored: {error}") from error
        self.forget_after(int(restored.step))
        return restored

    def forget_after(self, step: int) -> None:
        """Drops what was logged after ``step``: it will be logged again."""
        if not self.metrics.exists():
            return
        kept = []
        for line in self.metrics.read_text(errors="replace").splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # a line cut short when the process was killed
        write_atomically(self.metrics, "".join(line + "\n" for line in kept))

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Adds a line to the metrics."""
        with self.metrics.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")


def checkpointer():
    import orbax.checkpoint as ocp

    return ocp.StandardCheckpointer()


def form(state: State) -> dict[str, str]:
    """The type of every array, by its path: ``{"params/stem/kernel": "float32[3,3,1,32]"}``."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): str(jax.typeof(leaf)) for path, leaf in leaves}


def manifest(folder: Path) -> dict[str, list]:
    """Size and SHA-256 of every file below ``folder``."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): [p.stat().st_size, hashlib.sha256(p.read_bytes()).hexdigest()] for p in files}


def check(place: Path) -> None:
    """Raises CheckpointError, naming the files, unless a checkpoint is what was written."""
    try:
        expected = read_object(place / "manifest.json")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{place} has no readable manifest ({error}); {remedy(place)}") from error
    found = manifest(place)
    damaged = sorted(name for name in expected if found.get(name) != expected[name])
    if damaged:
        raise CheckpointError(f"{place} is damaged: {', '.join(damaged)} changed or missing; {remedy(place)}")


def remedy(place: Path) -> str:
    return f"nothing was changed; remove {place} to resume from the checkpoint before it"


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises OSError or ValueError unless there is one, with something in it."""
    found = json.loads(path.read_text())
    if not isinstance(found, dict) or not found:
        raise ValueError("it holds no JSON object")
    return found


def building(path: Path) -> Path:
    """Where a file is written before it is moved to its place."""
    return path.with_name(f".{path.name}.building")


def write_atomically(path: Path, text: str) -> None:
    """Writes a file, whole or not at all."""
    beside = building(path)
    with beside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
