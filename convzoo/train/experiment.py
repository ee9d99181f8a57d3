"""What a run is: values only. Model, task and data are held as values and touched through their functions alone."""

import dataclasses
import hashlib
import json
import math
import re
import sys
from functools import partial
from typing import Any

import jax
import optax

RANGES = {
    "batch_size": (1, math.inf),
    "steps": (1, math.inf),
    "learning_rate": (0, sys.float_info.max),
    "warmup": (0, 1),
    "weight_decay": (0, sys.float_info.max),
    "clip_norm": (0, sys.float_info.max),
    "head_steps": (0, math.inf),
    "seed": (0, 2**31 - 1),
    "log_every": (0, math.inf),
    "eval_every": (0, math.inf),
    "checkpoint_every": (0, math.inf),
}
CHOICES = {
    "optimizer": ("adamw", "adam", "sgd"),
    "annealing": ("cosine", "halving", "none"),
    "dtype": ("", "float32", "bfloat16", "float64"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A training run, as values.

    Attributes:
      model: a frozen model; ``init`` and ``apply`` are what is used of it.
      task: the loss and the metrics (``convzoo.tasks``).
      data: a source of ``convzoo.data``.
      batch_size: examples in a step.
      steps: updates in the whole run.
      optimizer: "adamw", "adam" (the decay is part of the gradient) or "sgd" (Nesterov momentum 0.9).
      learning_rate: its peak, after a linear warm-up and before a cosine decay to 0.
      annealing: "cosine", "halving" (after each seventh of the steps, without a warm-up) or "none" (the peak to the
        end).
      warmup: the share of the steps spent warming up.
      weight_decay: decoupled but for "adam", on kernels only: never on norms or biases.
      decay_within: the child whose kernels alone decay; empty: all do.
      clip_norm: gradients are scaled down to this norm; 0: never.
      start: where the run begins: ``start.variables(model)`` gives parameters and statistics, or
        None; None: at random.
      head_steps: for so many steps the head alone is trained, on what the rest gives without training.
      layer_decay: the learning rate falls by this factor from each layer to the one below it (Clark et al. 2020,
        arXiv:2003.10555); 1: the same for all.
      dtype: what is computed in ("float32", "bfloat16"); parameters stay as the model says. Empty: as the model says.
      seed: initialisation, order, augmentation and dropout follow from it.
      log_every, eval_every, checkpoint_every: in steps; 0: only at the end.
    """

    model: Any
    task: Any
    data: Any
    batch_size: int = 64
    steps: int
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    annealing: str = "cosine"
    warmup: float = 0.1
    weight_decay: float = 0.05
    decay_within: str = ""
    clip_norm: float = 1.0
    start: Any = None
    head_steps: int = 0
    layer_decay: float = 1.0
    dtype: str = ""
    seed: int = 0
    log_every: int = 20
    eval_every: int = 0
    checkpoint_every: int = 500

    def __post_init__(self):
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                fits = f"at least {least}" if most == math.inf else f"in [{least}, {most}]"
                raise ValueError(f"{name} is {getattr(self, name)}; it must be {fits}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay is {self.layer_decay}; it must be more than 0 and at most 1")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is not known; it must be one of {known}")
        if self.dtype and self.dtype != self.model.dtype:
            object.__setattr__(self, "model", self.model.clone(dtype=self.dtype))

    def schedule(self) -> optax.Schedule:
        """Learning rate by step."""
        if self.annealing == "none":
            return optax.linear_schedule(
                0.0 if self.warmup else self.learning_rate, self.learning_rate, round(self.warmup * self.steps)
            )
        if self.annealing == "halving":
            return optax.exponential_decay(self.learning_rate, max(self.steps // 7, 1), 0.5, staircase=True)
        warm = max(1, round(self.warmup * self.steps))
        return optax.warmup_cosine_decay_schedule(0.0, self.learning_rate, warm, max(self.steps, warm + 1))

    def transformation(self) -> optax.GradientTransformation:
        """The optimiser."""
        clip = [optax.clip_by_global_norm(self.clip_norm)] if self.clip_norm else []
        decay = optax.add_decayed_weights(self.weight_decay, mask=partial(decayed, within=self.decay_within))
        direction = optax.trace(0.9, nesterov=True) if self.optimizer == "sgd" else optax.scale_by_adam()
        both = (decay, direction) if self.optimizer == "adam" else (direction, decay)
        layers = [layerwise(self.layer_decay)] if self.layer_decay < 1 else []
        return optax.chain(*clip, *both, *layers, optax.scale_by_learning_rate(self.schedule()))

    def smoke(self) -> "Experiment":
        """The same run, two steps long."""
        return dataclasses.replace(self, batch_size=min(self.batch_size, 4), steps=2, eval_every=0)

    def identity(self) -> dict[str, str]:
        """What must be the same for a run to be this one: every field, spelled out, but how often it reports."""
        free = ("log_every", "eval_every", "checkpoint_every")
        fields: dict[str, str] = {}
        for own in dataclasses.fields(self):
            value = getattr(self, own.name)
            if own.name in free:
                continue
            if not dataclasses.is_dataclass(value):
                fields[own.name] = repr(value)
                continue
            fields[own.name] = type(value).__name__
            inner = [f.name for f in dataclasses.fields(value) if f.name not in ("parent", "name")]
            fields |= {f"{own.name}.{name}": repr(getattr(value, name)) for name in inner}
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        return {**fields, "digest": digest}


def layerwise(factor: float) -> optax.GradientTransformation:
    """Scales the updates of each layer but the last by ``factor`` once more than those of the layer above it."""

    def scaled(updates: Any, params: Any = None) -> Any:
        names = sorted(updates, key=height)
        rates = {name: factor ** (len(names) - 1 - place) for place, name in enumerate(names)}
        return {name: jax.tree.map(lambda u, rate=rates[name]: u * rate, updates[name]) for name in updates}

    return optax.stateless(scaled)


FLOORS = {"stem": 0, "embedding": 0, "conv": 1, "stage": 1, "block": 1, "dense": 3, "hidden": 3, "head": 4}


def height(name: str) -> tuple[Any, ...]:
    """Where a layer of that name stands: stem, stages and their blocks in order, what comes between, head."""
    word = re.match("[a-z]*", name)
    assert word
    return FLOORS.get(word[0], 2), [int(number) for number in re.findall(r"\d+", name)], name


def decayed(params: Any, within: str = "") -> Any:
    """True for the parameters that decay: those with more than one axis, so neither norms nor biases; of the child
    ``within`` alone if one is named."""

    def chosen(path: Any, p: Any) -> bool:
        return p.ndim > 1 and (not within or path[0].key == within)

    return jax.tree_util.tree_map_with_path(chosen, params)
