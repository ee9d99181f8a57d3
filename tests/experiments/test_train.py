"""The command that trains: what --help says, what overrides do, what a slip is answered with."""

import json
import re

import pytest

from convzoo import train
from experiments import train as script
from experiments.train import config, main, override, overrides, parse

SMALL = ["digits_seen", "--model.depths", "1", "--model.width", "4", "--batch_size", "16", "--steps", "6"]


def told(capsys, *arguments: str) -> str:
    """What argparse says before it ends the program."""
    with pytest.raises(SystemExit):
        parse(arguments)
    out = capsys.readouterr()
    return " ".join((out.out + out.err).split())


def test_help_lists_the_configs_and_every_override(capsys):
    text = told(capsys, "--help")
    for name in script.names():
        assert f"{name} {script.summary(name)}" in text
        for option, value in overrides(config(name)):
            assert re.search(rf"--{re.escape(option)} (\w+ or )*{type(value).__name__}\b", text)
    assert "--data.edges str (digits_drawn)" in text
    assert re.search(r"--model\.width int \([\w, ]*digits_drawn, digits_heard, [\w, ]*digits_seen, [\w, ]*\)", text)
    assert "--workdir DIR" in text
    assert "--resume" in text


@pytest.mark.parametrize("name", script.names())
def test_help_of_a_config_gives_types_and_values(capsys, name):
    text = told(capsys, name, "--help")
    for option, value in overrides(config(name)):
        assert f"--{option} {type(value).__name__}, {value!r} " in text


def test_every_field_that_is_a_plain_value_can_be_overridden():
    names = [name for name, _ in overrides(config("digits_seen"))]
    assert {"steps", "seed", "learning_rate", "dtype", "checkpoint_every"} <= set(names)
    assert {"model.width", "model.depths", "task.label_smoothing", "data.augment", "data.fraction"} <= set(names)
    assert not {"model", "task", "data", "model.parent", "model.name", "model.block"} & set(names)


def test_an_unknown_config_suggests_the_nearest():
    with pytest.raises(SystemExit, match="there is no config 'digit_sen'; did you mean 'digits_seen'"):
        parse(["digit_sen"])
    with pytest.raises(SystemExit, match=r"there is no config 'zzz'; there are: .*digits_drawn, .*digits_spelled"):
        parse(["zzz"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--step", "--steps"),
        ("--learning-rate=0.1", "--learning_rate"),
        ("--model.widht", "--model.width"),
        ("--data.augmnt", "--data.augment"),
        ("--resumee", "--resume"),
        ("--work_dir", "--workdir"),
    ],
)
def test_an_unknown_override_suggests_the_nearest(typed, meant):
    name = typed.split("=")[0]
    with pytest.raises(SystemExit, match=f"digits_seen has no override '{name}'; did you mean '{meant}'"):
        parse(["digits_seen", typed, "3"])


def test_an_override_of_another_config_is_unknown():
    with pytest.raises(SystemExit, match=r"digits_seen has no override '--data.edges'"):
        parse(["digits_seen", "--data.edges", "gcn"])


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("--steps", "many", "int"),
        ("--steps", "1.5", "int"),
        ("--steps", "True", "int"),
        ("--learning_rate", "fast", "float"),
        ("--learning_rate", "[1]", "float"),
        ("--model.depths", "1.5", "tuple"),
        ("--model.depths", "('a',)", "tuple"),
        ("--model.depths", "{[]: 1}", "tuple"),
        ("--data.augment", "1", "bool"),
        ("--data.augment", "maybe", "bool"),
    ],
)
def test_a_wrong_type_is_named(capsys, option, value, kind):
    assert f"argument {option}: {value!r} is no {kind}" in told(capsys, "digits_seen", option, value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "digits_seen: steps is 0; it must be at least 1"),
        (["--optimizer", "lion"], "digits_seen: optimizer 'lion' is not known"),
        (["--dtype", "float13"], "digits_seen: dtype 'float13' is not known"),
        (["--data.fraction", "2"], "digits_seen: fraction=2.0 must be"),
        (["--task.label_smoothing", "1"], "digits_seen: label_smoothing is 1.0; it must be in"),
        (["--seed", "-1"], "digits_seen: seed is -1"),
    ],
)
def test_a_value_that_does_not_fit_is_told(arguments, message):
    with pytest.raises(SystemExit) as ended:
        parse(["digits_seen", *arguments])
    assert message in str(ended.value)


def test_no_config_is_told(capsys):
    assert "the following arguments are required: CONFIG" in told(capsys)
    assert "the following arguments are required: CONFIG" in told(capsys, "--steps", "3")


def test_overrides_reach_every_part():
    base = config("digits_seen")
    typed = (
        "digits_seen --steps 7 --learning_rate 1 --model.depths 1,2 --model.width=8 --model.padding SAME "
        "--task.label_smoothing 0.2 --data.augment false --data.fraction 0.5 --dtype bfloat16 --resume"
    )
    changed, options = parse(typed.split())
    assert options.resume
    assert (changed.steps, changed.learning_rate, changed.seed) == (7, 1.0, base.seed)
    assert type(changed.learning_rate) is float
    expected = base.model.clone(depths=(1, 2), width=8, padding="SAME", dtype="bfloat16")
    assert changed.model == expected
    assert (changed.task.label_smoothing, changed.data.augment, changed.data.fraction) == (0.2, False, 0.5)
    assert base == config("digits_seen")


def test_the_config_may_come_last():
    assert parse(["--steps", "7", "--resume", "--workdir=x", "--seed=3", "digits_seen"])[0].steps == 7


def test_no_override_is_the_config():
    assert parse(["digits_seen"])[0] == override(config("digits_seen"), {}) == config("digits_seen")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A short run's folder."""
    folder = tmp_path_factory.mktemp("train") / "run"
    assert main([*SMALL, "--checkpoint_every", "2", "--log_every", "1", "--workdir", str(folder)]) == 0
    return folder


def test_a_run_leaves_metrics_and_checkpoints(finished):
    lines = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6, 6]
    assert lines[0].keys() == {"step", "loss", "accuracy", "grad_norm", "learning_rate"}
    assert lines[-1].keys() == {"step", "test_accuracy", "test_loss", "test_examples"}
    assert sorted(p.name for p in (finished / "checkpoints").iterdir()) == ["00000004", "00000006"]


def test_a_finished_run_resumed_is_finished(finished, capsys):
    before = (finished / "metrics.jsonl").read_bytes()
    assert main([*SMALL, "--workdir", str(finished), "--resume"]) == 0
    assert (finished / "metrics.jsonl").read_bytes() == before
    assert f"step 6: {finished / 'metrics.jsonl'}" in capsys.readouterr().out


def test_a_folder_in_use_is_told(finished, capsys):
    assert main([*SMALL, "--workdir", str(finished)]) == 1
    assert "CheckpointError" in (err := capsys.readouterr().err)
    assert "add --resume" in err
    assert main([*SMALL, "--seed", "1", "--workdir", str(finished), "--resume"]) == 1
    assert "another experiment (seed: 0 there, 1 here)" in capsys.readouterr().err


def test_a_run_that_diverges_is_told(tmp_path, capsys):
    wild = ["--optimizer", "sgd", "--learning_rate", "1e30", "--clip_norm", "0", "--checkpoint_every", "1"]
    assert main([*SMALL, *wild, "--workdir", str(tmp_path / "run")]) == 1
    told = r"Diverged: step (\d): (loss|grad_norm|params\S*) is (nan|inf); the last good checkpoint is step (\d); try a"
    found = re.match(told, capsys.readouterr().err)
    assert found
    assert 1 <= int(found[4]) < int(found[1])
    assert (tmp_path / "run" / "checkpoints" / f"{int(found[4]):08d}").is_dir()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), train.Interrupted("stopped after step 4: saved")])
def test_ctrl_c_prints_the_command_to_go_on(tmp_path, monkeypatch, capsys, error):
    def stop(*_, **__):
        raise error

    monkeypatch.setattr(script, "run", stop)
    folder = str(tmp_path / "it's here")
    assert main(["digits_seen", "--workdir", folder, "--resume", "--seed", "3"]) == 130
    told, command = capsys.readouterr().err.splitlines()
    assert told.startswith("stopped ")
    quoted = "'" + folder.replace("'", "'\"'\"'") + "'"
    assert command.strip() == f"python -m experiments.train digits_seen --workdir {quoted} --seed 3 --resume"
