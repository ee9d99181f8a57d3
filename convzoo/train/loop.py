"""The loop: batches through the update, with logging, evaluation, checkpoints, and a clean end whatever happens."""

import math
import signal
import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from convzoo.train.checkpoint import Workdir
from convzoo.train.experiment import Experiment
from convzoo.train.log import Bar
from convzoo.train.step import State


class Diverged(RuntimeError):
    """A metric, or the state itself, is no longer finite."""


class Interrupted(RuntimeError):
    """The run was stopped by Ctrl-C; its state is saved."""


def fit(
    experiment: Experiment,
    state: State,
    batches: Any,
    update: Callable[[State, Any], tuple[State, dict[str, jax.Array]]],
    *,
    workdir: Workdir | None = None,
    evaluate: Callable[[State], dict[str, float]] | None = None,
    title: str = "training",
    shown: bool = True,
) -> tuple[State, list[dict[str, float]]]:
    """Trains from ``state.step`` to ``experiment.steps``.

    Args:
      batches: ``batches.at(step)`` gives the batch of a step.
      update: from ``compile_update``; it takes the state over.
      workdir: where metrics and checkpoints go; None: nowhere.
      evaluate: called every ``eval_every`` steps and at the end; its figures are logged with the prefix ``test_``.

    Returns:
      The final state and what was logged: one dict a line, each with its ``step``.

    Raises:
      Diverged: a metric, or what is to be saved, is not finite; the message names step and metric, the last good
        checkpoint stays.
      Interrupted: Ctrl-C; the state was saved (if there is a workdir) after the step that was under way.
    """
    logged: list[dict[str, float]] = []
    pending: list[tuple[int, dict[str, jax.Array]]] = []

    def check(step: int, values: dict[str, float]) -> dict[str, float]:
        for name, value in values.items():
            if not math.isfinite(value):
                saved = workdir.steps() if workdir else []
                where = f"the last good checkpoint is step {saved[-1]}; " if saved else ""
                raise Diverged(f"step {step}: {name} is {value}; {where}try a lower learning rate")
        return values

    def settle() -> dict[str, float]:
        """Brings the metrics of the steps since the last call to the host and checks every one."""
        latest: dict[str, float] = {}
        for step, metrics in jax.device_get(pending):
            latest = check(step, {name: float(value) for name, value in metrics.items()})
        pending.clear()
        return latest

    def record(step: int, values: dict[str, float]) -> None:
        logged.append({"step": step, **values})
        if workdir:
            workdir.log(step, values)

    start, last = int(state.step), experiment.steps
    with Stop() as stop, Bar(title, last, start, experiment.batch_size, shown=shown) as bar:
        for step in range(start + 1, last + 1):
            state, metrics = update(state, batches.at(step - 1))
            pending.append((step, metrics))

            def due(every: int, step: int = step) -> bool:
                return step == last or (every > 0 and step % every == 0)

            if due(experiment.log_every):
                latest = settle()
                record(step, latest)
                bar.advance(step, latest)
            if evaluate and due(experiment.eval_every):
                settle()
                record(step, check(step, {f"test_{name}": value for name, value in evaluate(state).items()}))
            if workdir and (due(experiment.checkpoint_every) or stop.asked):
                settle()
                check(step, unsound(state))
                workdir.save(state)
            if stop.asked and step < last:
                saved = f"saved at step {step} in {workdir.path}; go on with --resume" if workdir else "nothing saved"
                raise Interrupted(f"stopped after step {step}: {saved}")
    return state, logged


def unsound(state: State) -> dict[str, float]:
    """The arrays of a state that are not finite, each with the first such value. A step's metrics are those before its
    update, so they cannot tell."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(state._replace(key=())):
        values = np.asarray(leaf)
        wrong = values[~np.isfinite(values)]
        if wrong.size:
            found[jax.tree_util.keystr(path, simple=True, separator="/")] = float(wrong[0])
    return found


class Stop:
    """Turns the first Ctrl-C into a wish, granted between two steps; the second one is an ordinary Ctrl-C."""

    def __init__(self):
        self.asked = False

    def __enter__(self) -> "Stop":
        self.mine = threading.current_thread() is threading.main_thread()
        if self.mine:
            self.before = signal.signal(signal.SIGINT, self.note)
        return self

    def __exit__(self, *error: Any) -> None:
        if self.mine:
            signal.signal(signal.SIGINT, self.before)

    def note(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
