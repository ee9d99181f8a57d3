"""An experiment: values, what they may be, the schedule they make, and what makes two runs the same run."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import tasks
from convzoo.train import Experiment
from convzoo.train.experiment import decayed
from tests.train.toys import NORMED, Points, Toy, experiment


def test_is_a_value():
    run = experiment()
    assert run == experiment()
    assert hash(run) == hash(experiment())
    assert run != experiment(seed=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.steps = 3  # pyright: ignore[reportAttributeAccessIssue]


def changed(name: str, value: Any) -> Experiment:
    return dataclasses.replace(experiment(), **{name: value})


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("batch_size", 0, "batch_size is 0; it must be at least 1"),
        ("steps", 0, "steps is 0; it must be at least 1"),
        ("learning_rate", -0.1, "learning_rate is -0.1; it must be in"),
        ("learning_rate", float("nan"), "learning_rate is nan"),
        ("learning_rate", float("inf"), "learning_rate is inf"),
        ("warmup", 1.5, r"warmup is 1.5; it must be in \[0, 1\]"),
        ("weight_decay", -1.0, "weight_decay is -1.0"),
        ("clip_norm", -1.0, "clip_norm is -1.0"),
        ("seed", -1, "seed is -1; it must be in"),
        ("seed", 2**31, "seed is 2147483648; it must be in"),
        ("log_every", -1, "log_every is -1; it must be at least 0"),
        ("eval_every", -1, "eval_every is -1"),
        ("checkpoint_every", -5, "checkpoint_every is -5"),
        ("optimizer", "lion", r"optimizer 'lion' is not known; it must be one of \('adamw', 'adam', 'sgd'\)"),
        ("dtype", "float8", "dtype 'float8' is not known; it must be one of"),
    ],
)
def test_what_does_not_fit_is_told(field, value, told):
    with pytest.raises(ValueError, match=told):
        changed(field, value)


def test_dtype_is_the_models():
    assert experiment(dtype="bfloat16").model == Toy(dtype="bfloat16")
    assert experiment(Toy(dtype="bfloat16")).model.dtype == "bfloat16"
    assert experiment(Toy(dtype="bfloat16"), dtype="float32").model == Toy(dtype="float32")


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.1), (40, 0.5), (30, 0.0), (10, 1.0), (2, 0.1), (1, 0.1)])
def test_schedule(steps, warmup):
    run = experiment(steps=steps, warmup=warmup, learning_rate=0.2)
    found = np.array([run.schedule()(step) for step in range(steps + 1)])
    warm = max(1, round(warmup * steps))
    step = np.arange(steps + 1)
    cosine = 0.1 * (1 + np.cos(np.pi * np.clip((step - warm) / max(steps - warm, 1), 0, 1)))
    np.testing.assert_allclose(found, np.where(step < warm, 0.2 * step / warm, cosine), rtol=1e-5, atol=1e-8)
    assert found[min(warm, steps)] == pytest.approx(0.2)


def test_what_decays():
    shapes = jax.eval_shape(lambda: NORMED.init(jax.random.key(0), jnp.zeros((1, 8, 4)), train=False))
    kinds: dict[str, set[bool]] = {}
    for path, value in jax.tree_util.tree_leaves_with_path(decayed(shapes["params"])):
        kinds.setdefault(path[-1].key, set()).add(value)
    assert kinds == {"kernel": {True}, "bias": {False}, "scale": {False}}


def test_smoke_is_two_steps():
    small = experiment(steps=900, batch_size=64, eval_every=30).smoke()
    assert (small.steps, small.batch_size, small.eval_every) == (2, 4, 0)
    assert experiment(batch_size=2).smoke().batch_size == 2
    assert small.model == experiment().model


def test_identity_tells_runs_apart():
    run = experiment().identity()
    assert run == experiment().identity()
    assert experiment(log_every=3, eval_every=3, checkpoint_every=3).identity() == run
    changes = {
        "model": Toy(width=17),
        "task": tasks.Classification(label_smoothing=0.2),
        "data": Points((5,)),
        "batch_size": 3,
        "steps": 13,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "annealing": "halving",
        "warmup": 0.2,
        "weight_decay": 0.2,
        "decay_within": "conv0",
        "clip_norm": 2.0,
        "dtype": "bfloat16",
        "seed": 5,
        "start": Points((6,)),
        "head_steps": 1,
        "layer_decay": 0.5,
    }
    assert changes.keys() | {"log_every", "eval_every", "checkpoint_every"} == {
        field.name for field in dataclasses.fields(experiment())
    }
    digests = {changed(name, value).identity()["digest"] for name, value in changes.items()}
    assert len(digests | {run["digest"]}) == len(changes) + 1
    for name, value in changes.items():
        theirs = changed(name, value).identity()
        differing = {field for field in run if theirs.get(field) != run[field]} - {"digest"}
        assert differing
        assert all(field.split(".")[0] in (name, "model") for field in differing)
