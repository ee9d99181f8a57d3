"""Every config: a run card that tells where a figure comes from, a command that parses, a smoke form that trains."""

import importlib
import re
import shlex

import numpy as np
import pytest

from convzoo import train
from experiments import train as script

DURATION = re.compile(r"\d[\d.,]*\s*(s|seconds?|min|minutes?|h|hours?)\b")
COMMAND = re.compile(r"^\s*python -m experiments\.train (.+)$", re.MULTILINE)

pytestmark = pytest.mark.parametrize("name", script.names())


def card(name: str) -> str:
    return importlib.import_module(f"configs.{name}").__doc__ or ""


def test_the_run_card_is_complete(name):
    text = card(name)
    assert script.summary(name).endswith("."), "its first line is a sentence"
    assert COMMAND.search(text), "it gives the command"
    assert re.search(r"^Source: \S", text, re.MULTILINE), "it names the source"
    told = re.search(r"^(Expected|Measured): (.+(?:\n.+)*)", text, re.MULTILINE)
    assert told, "a line starts with Expected: or Measured:"
    assert re.search(r"\d", told[2]), "it gives a number"
    assert re.search(r"measured|not yet run", text, re.IGNORECASE), "it was run, or says that it was not yet"
    assert DURATION.search(text), "it gives the time it takes"


def test_its_command_parses(name):
    found = COMMAND.search(card(name))
    assert found
    experiment, options = script.parse(shlex.split(found[1]))
    assert options.config == name
    assert experiment == script.config(name)


def test_it_is_a_value(name):
    experiment = script.config(name)
    assert experiment == script.config(name)
    assert hash(experiment) == hash(script.config(name))
    assert experiment.identity() == script.config(name).identity()


def test_its_smoke_form_trains_two_steps(name, tmp_path):
    state = script.run(script.config(name).smoke(), tmp_path / "run", shown=False)
    assert int(state.step) == 2
    folder = train.Workdir(tmp_path / "run", script.config(name).smoke())
    assert folder.steps() == [2]
    last = folder.metrics.read_text().splitlines()[-1]
    assert re.search(r'"step": 2, .*"test_accuracy": \d', last)
    assert all(np.isfinite(leaf).all() for leaf in map(np.asarray, state.params.values()) if leaf.dtype.kind == "f")
