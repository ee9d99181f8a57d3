"""The experiments on people's recordings, on stand-ins for them: rows are kept, runs exported, filters drawn."""

import csv

import numpy as np
import pytest

import convzoo
from convzoo import data
from convzoo.data.sounds import SPEAKERS
from experiments import export, filters, hearing
from experiments import train as script
from tests.data.conftest import data_folder as data_folder
from tests.data.outside import few_takes, write_recordings
from tests.once import once


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> str:
    return str(once(tmp_path_factory, "recorded", write_recordings))


def test_the_plan(recorded):
    runs = list(hearing.plan(recorded, 5))
    rows = [run.row for run in runs]
    assert [rows.count(row) for row in dict.fromkeys(rows)] == [5, 5, 6, 1, 1, 1, 1]
    assert [run.name for run in runs if run.row == "speaker left out"] == list(SPEAKERS)
    assert len({run.experiment.identity()["digest"] for run in runs}) == len(runs)
    for run in runs:
        trained, (tested, split) = run.experiment.data, run.tests["test"]
        assert split == "test"
        assert tested.name == trained.name
        assert trained.name == ("digits_voiced" if run.row.startswith("synthetic") else "digits_recorded")


def test_what_is_learned_from_synthetic_voices_is_tested_on_people(recorded, data_folder):
    few_takes(data_folder)
    source, takes = data.Voiced(folder=recorded), 3 * 8 * 10  # of one voice in eight accents
    sizes = {split: len(source._stored(split)) for split in source.splits}
    assert sizes == {"train": 6960 + takes, "test": 120, "people": 240}
    assert {example.get("speaker") for example in source._stored("people")} == set(SPEAKERS)
    assert all("voice" in example for example in source._stored("train"))


def test_rows_are_kept(recorded, tmp_path, capsys, monkeypatch):
    command = ["--workdir", str(tmp_path), "--folder", recorded, "--steps", "2", "--seeds", "2", "--only", "log-mel"]
    assert hearing.main(command) == 0
    assert "over 2" in capsys.readouterr().out
    monkeypatch.setattr(hearing, "make", lambda run: pytest.fail("it was made before"))
    assert hearing.main(command) == 0
    header, *lines = csv.reader((tmp_path / "hearing.csv").read_text().splitlines())
    assert header == ["row", "run", "test", "accuracy"]
    assert [line[:3] for line in lines] == [["log-mel", f"seed {seed}", "test"] for seed in range(2)]
    monkeypatch.undo()
    assert hearing.main([*command[:2], "--folder", str(tmp_path), "--only", "raw*"]) == 1
    assert "holds no DIGIT_SPEAKER_INDEX.wav" in capsys.readouterr().err


def test_a_run_is_exported_and_its_filters_drawn(recorded, tmp_path, capsys):
    own = ["digits_recorded_wave", "--workdir", str(tmp_path / "run"), "--data.folder", recorded, "--steps", "2"]
    assert export.main([*own, "--out", str(tmp_path / "a.safetensors")]) == 1
    assert "holds no checkpoint yet" in capsys.readouterr().err
    assert script.main([*own, "--batch_size", "4"]) == 1
    assert "another experiment" in capsys.readouterr().err
    assert script.main([*own, "--resume"]) == 0
    assert export.main([*own, "--out", str(tmp_path / "a.safetensors")]) == 0
    assert "step 2" in capsys.readouterr().out
    _, variables, _ = convzoo.load("m5", tmp_path / "a.safetensors", example=(1, 8000, 1))
    assert variables["params"]["stage0_conv0"]["kernel"].shape == (80, 1, 32)
    assert filters.main([*own, "--out", str(tmp_path / "a.png")]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    peaks = [int(number) for number in capsys.readouterr().out.split("peaks at ")[1].split(" Hz")[0].split(", ")]
    assert peaks == sorted(peaks)
    assert np.all(np.asarray(peaks) <= 4000)
    assert export.main(["digits_recorded_wave"]) == 2
