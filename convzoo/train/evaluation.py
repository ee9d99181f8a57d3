"""A trained network's scores and probabilities over a whole split."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import jax
import numpy as np

from convzoo.train.experiment import Experiment
from convzoo.train.step import Batch, State, inputs


@partial(jax.jit, static_argnums=(0, 1))
def forward(model: Any, task: Any, params: Any, batch_stats: Any, batch: Batch):
    args, named = inputs(batch)
    logits, _ = model.apply({"params": params, "batch_stats": batch_stats}, *args, train=False, **named)
    return task.score(logits, batch), task.predict(logits)


def evaluate(experiment: Experiment, state: State, batches: Iterable[Batch]) -> dict[str, float]:
    """The task's scores, as means over the real examples of ``batches``, and ``examples``, their number; and what a
    task tells of all its predictions together (``over_all``)."""
    totals: dict[str, float] = {}
    examples = 0
    over_all = getattr(experiment.task, "over_all", None)
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for batch in batches:
        scores, predictions = forward(experiment.model, experiment.task, state.params, state.batch_stats, batch)
        mask = np.asarray(batch["mask"])
        examples += int(mask.sum())
        if over_all:
            kept.append((np.asarray(predictions)[mask], np.asarray(batch["label"])[mask]))
        for name, values in scores.items():
            totals[name] = totals.get(name, 0.0) + float(np.asarray(values, np.float64)[mask].sum())
    if not examples:
        raise ValueError("there is nothing to evaluate: no batch holds a real example")
    told = {name: total / examples for name, total in totals.items()}
    if over_all:
        told |= over_all(*(np.concatenate(each) for each in zip(*kept, strict=True)))
    return {**told, "examples": examples}


def predict(experiment: Experiment, state: State, batches: Iterable[Batch]) -> np.ndarray:
    """The task's predictions (for classification: probabilities [examples, classes]) of the real examples, in order."""
    found = []
    for batch in batches:
        _, predictions = forward(experiment.model, experiment.task, state.params, state.batch_stats, batch)
        found.append(np.asarray(predictions)[np.asarray(batch["mask"])])
    return np.concatenate(found)
