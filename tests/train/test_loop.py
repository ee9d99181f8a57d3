"""The loop: what is logged, evaluated and saved when; a NaN, a Ctrl-C and their clean ends."""

import json
import math
import signal
import threading

import jax
import jax.numpy as jnp
import pytest

from convzoo import train
from tests.train.toys import assert_same, contents, experiment


def start() -> train.State:
    return train.State(jnp.zeros((), jnp.int32), {"w": jnp.ones(3)}, {}, (), jax.random.key(0))


class Steps:
    """Batches that are their step; Ctrl-C arrives while those in ``stops`` are drawn."""

    def __init__(self, *stops: int):
        self.stops, self.drawn = stops, []

    def at(self, step: int) -> int:
        self.drawn.append(step)
        if step in self.stops:
            signal.raise_signal(signal.SIGINT)
        return step


def update(state, batch):
    """Adds up the batches; the loss is the step."""
    state = state._replace(step=state.step + 1, params={"w": state.params["w"] + batch})
    return state, {"loss": jnp.float32(batch + 1), "accuracy": jnp.float32(0.5)}


def spoiled(step: int, name: str, value: float):
    """An update with one metric replaced at one step."""

    def spoil(state, batch):
        state, metrics = update(state, batch)
        return state, metrics | ({name: jnp.float32(value)} if batch + 1 == step else {})

    return spoil


@pytest.fixture
def folder(tmp_path):
    """A run's folder for 12 steps with a checkpoint every third."""
    folder = train.Workdir(tmp_path / "run", experiment(checkpoint_every=3, log_every=5, eval_every=4))
    folder.open(resume=False)
    return folder


def fit(folder, state, batches, update=update, **options):
    return train.fit(folder.experiment, state, batches, update, workdir=folder, shown=False, **options)


def lines(folder) -> list[dict[str, float]]:
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def test_reports_when_it_should(folder):
    evaluated = []

    def evaluate(state):
        evaluated.append(int(state.step))
        return {"accuracy": 0.25}

    batches = Steps()
    state, logged = fit(folder, start(), batches, evaluate=evaluate)
    assert int(state.step) == 12
    assert batches.drawn == list(range(12))
    assert evaluated == [4, 8, 12]
    assert logged == lines(folder)
    assert [line["step"] for line in logged if "loss" in line] == [5, 10, 12]
    assert [line["loss"] for line in logged if "loss" in line] == [5, 10, 12]
    assert [line for line in logged if "loss" not in line] == [{"step": s, "test_accuracy": 0.25} for s in evaluated]
    assert folder.steps() == [9, 12]


def test_never_means_at_the_end(tmp_path):
    folder = train.Workdir(tmp_path, experiment(checkpoint_every=0, log_every=0, eval_every=0))
    folder.open(resume=False)
    _, logged = fit(folder, start(), Steps(), evaluate=lambda state: {"loss": 1.0})
    assert [line["step"] for line in logged] == [12, 12]
    assert folder.steps() == [12]


def test_goes_on_from_its_state(folder):
    batches = Steps()
    fit(folder, start()._replace(step=jnp.int32(9)), batches)
    assert batches.drawn == [9, 10, 11]
    assert fit(folder, start()._replace(step=jnp.int32(12)), Steps())[1] == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["loss", "grad_norm"])
def test_what_is_not_finite_stops_the_run(folder, name, value):
    told = rf"step 8: {name} is {value}; the last good checkpoint is step 6; try a lower learning rate"
    with pytest.raises(train.Diverged, match=told):
        fit(folder, start(), Steps(), spoiled(8, name, value))
    assert folder.steps() == [3, 6]
    assert [line["step"] for line in lines(folder)] == [5]
    resumed, _ = fit(folder, folder.restore(start()), Steps())
    assert_same(resumed, fit(folder, folder.restore(start()), Steps())[0])


def test_a_first_step_that_is_not_finite(folder):
    with pytest.raises(train.Diverged, match="step 1: loss is nan; try a lower"):
        fit(folder, start(), Steps(), spoiled(1, "loss", math.nan))
    assert folder.steps() == []


def test_a_state_that_is_not_finite_is_not_saved(folder):
    def explode(state, batch):
        state, metrics = update(state, batch)
        return state._replace(params={"w": jnp.where(batch == 5, jnp.inf, state.params["w"])}), metrics

    with pytest.raises(train.Diverged, match="step 6: params/w is inf; the last good checkpoint is step 3"):
        fit(folder, start(), Steps(), explode)
    assert folder.steps() == [3]


def test_an_evaluation_that_is_not_finite_stops_the_run(folder):
    with pytest.raises(train.Diverged, match="step 4: test_loss is nan; the last good checkpoint is step 3"):
        fit(folder, start(), Steps(), evaluate=lambda state: {"accuracy": 0.1, "loss": math.nan})
    assert not folder.metrics.exists()


def test_without_a_folder_a_nan_still_stops():
    with pytest.raises(train.Diverged, match="step 2: loss is nan; try a lower"):
        train.fit(experiment(), start(), Steps(), spoiled(2, "loss", math.nan), shown=False)


def test_ctrl_c_saves_and_says_how_to_go_on(folder, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(train.Interrupted, match=rf"stopped after step 5: saved at step 5 in {folder.path}; .*--resume"):
        fit(folder, start(), Steps(4))
    assert signal.getsignal(signal.SIGINT) is before
    assert folder.steps() == [3, 5]

    whole = train.Workdir(tmp_path / "whole", folder.experiment)
    whole.open(resume=False)
    unbroken, _ = fit(whole, start(), Steps())
    resumed, _ = fit(folder, folder.restore(start()), Steps())
    assert_same(resumed, unbroken)
    assert lines(folder) == lines(whole)


def test_ctrl_c_in_the_last_step_is_too_late(folder):
    state, _ = fit(folder, start(), Steps(11))
    assert int(state.step) == 12
    assert folder.steps() == [9, 12]


def test_a_second_ctrl_c_is_an_ordinary_one(folder):
    class Twice(Steps):
        def at(self, step):
            super().at(step)
            return super().at(step)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(folder, start(), Twice(4))
    assert signal.getsignal(signal.SIGINT) is before
    assert folder.steps() == [3]


def test_ctrl_c_without_a_folder():
    with pytest.raises(train.Interrupted, match="stopped after step 3: nothing saved"):
        train.fit(experiment(), start(), Steps(2), update, shown=False)


def test_ctrl_c_and_a_nan_keep_the_good_checkpoint(folder):
    with pytest.raises(train.Diverged, match="step 5: loss is nan; the last good checkpoint is step 3"):
        fit(folder, start(), Steps(4), spoiled(5, "loss", math.nan))
    assert folder.steps() == [3]


def test_runs_in_any_thread(folder):
    thread = threading.Thread(target=fit, args=(folder, start(), Steps()))
    thread.start()
    thread.join()
    assert folder.steps() == [9, 12]


def test_the_bar_tells_how_it_goes(capsys):
    train.fit(experiment(log_every=4), start(), Steps(), update, title="adding up")
    told = capsys.readouterr().out
    for piece in ("adding up", "12/12", "loss 12", "accuracy 0.5", "examples/s"):
        assert piece in told
    train.fit(experiment(), start(), Steps(), update, shown=False)
    assert capsys.readouterr().out == ""


def test_nothing_else_is_written(folder):
    fit(folder, start(), Steps())
    top = {name.split("/")[0] for name in contents(folder.path)}
    assert top == {"experiment.json", "metrics.jsonl", "checkpoints"}
    places = [name for name in contents(folder.path / "checkpoints") if "/" not in name]
    assert places == ["00000009", "00000012"]
