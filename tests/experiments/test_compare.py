"""The comparison: its rows, what is kept of them, its contrasts, and the figures it draws from probabilities."""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convzoo
from convzoo import data, train
from convzoo.data.batching import Packs
from experiments import compare
from experiments.compare import MODALITIES, confusion, contrasts, curve, first_filters, main, mistakes, plan
from experiments.report import COLUMNS, Row, read_json
from tests.data.outside import write_recordings
from tests.once import once

SHORT = ["--seeds", "1", "--steps", "2", "--recordings", ""]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a comparison of one seed and two steps; not to be changed."""

    def make(folder):
        assert main(["--workdir", str(folder), *SHORT]) == 0

    return once(tmp_path_factory, "comparison", make)


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "out"))


@pytest.fixture
def remade(monkeypatch, whole):
    """The names of the rows that are made, each from the finished comparison instead of by training."""
    rows, names = {row.modality: row for row in read_json(whole / "comparison.json")}, []

    def make(entry, seeds):
        names.append(entry.name)
        return rows[entry.modality]

    monkeypatch.setattr(compare, "make", make)
    return names


def names(*modalities: str) -> list[str]:
    return [f"{modality}-1" for modality in modalities]


def test_people_are_one_more_row(tmp_path, monkeypatch):
    folder = write_recordings(tmp_path / "test_data" / "fsdd")
    monkeypatch.setenv("CONVZOO_TEST_DATA", str(folder.parent))
    assert compare.recorded() == str(folder.resolve())
    assert [entry.variant for entry in plan(recordings=compare.recorded())] == [*[""] * 4, "people"]
    row = compare.make(plan(steps=2, recordings=compare.recorded())[-1], range(1))
    assert (row.modality, row.dataset, row.variant) == ("heard", "digits_recorded", "people")
    assert (row.train_examples, row.test_examples) == (120, 120)
    monkeypatch.delenv("CONVZOO_TEST_DATA")
    assert compare.recorded() == ""


# --- what it leaves -------------------------------------------------------------------------------------------------


def test_the_table(whole):
    header, *rows = csv.reader((whole / "comparison.csv").read_text().splitlines())
    assert tuple(header) == COLUMNS
    assert [row[0] for row in rows] == list(MODALITIES)
    for row in (dict(zip(header, row, strict=True)) for row in rows):
        assert row["dataset"] == f"digits_{row['modality']}"
        assert all(row.values()), row
        for column in ("params", "macs", "train_examples", "test_examples"):
            assert int(row[column]) > 0
        for column in ("examples_per_second", "compile_seconds", "seconds"):
            assert float(row[column]) > 0
        assert 0 <= float(row["accuracy_mean"]) <= 1
        assert float(row["accuracy_std"]) == 0


def test_the_rows_are_complete(whole):
    for row, entry in zip(read_json(whole / "comparison.json"), plan(), strict=True):
        source = entry.experiment.data
        assert (row.modality, row.dataset, row.classes) == (entry.modality, source.name, list(source.classes))
        assert row.train_examples == len(source.arrays("train")["label"])
        assert row.test_examples == len(source.arrays("test")["label"])
        found = np.array(row.confusion)
        np.testing.assert_array_equal(found.sum(1), np.bincount(source.arrays("test")["label"], minlength=10))
        assert row.accuracies == [pytest.approx(np.trace(found) / row.test_examples)]
        assert row.curve[0]["test_accuracy"] == [pytest.approx(row.accuracies[0])]
        assert row.curve[0]["step"] == row.curve[0]["test_step"] == [2]
        assert 0 < len(row.mistakes) <= compare.MOST_MISTAKES
        assert row.filters
        assert row.receptive_field.split()[-1] == compare.SPANS[row.modality]
    extra = {row.modality: sorted(row.extra) for row in read_json(whole / "comparison.json")}
    assert extra == {"seen": [], "drawn": [], "heard": sorted(compare.EXTRA.values()), "spelled": []}


def test_the_report(whole):
    page = (whole / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "python -m experiments.compare" in page
    assert not [path.name for path in whole.rglob(".*")]


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_kept_rows_are_not_made_again(copy, whole, remade, capsys):
    assert main(["--workdir", str(copy), *SHORT]) == 0
    assert remade == []
    assert capsys.readouterr().out.count("kept from an earlier run") == 4
    assert read_json(copy / "comparison.json") == read_json(whole / "comparison.json")


def test_some_rows_alone(tmp_path, remade, capsys):
    patterns = ["drawn-1", "drawn-G*", "drawn-EdgeConv-1"]
    assert main(["--workdir", str(tmp_path), *SHORT, "--full", "--only", *patterns]) == 0
    assert remade == ["drawn-1", "drawn-GAT-1", "drawn-GIN-1", "drawn-GraphSAGE_max-1", "drawn-EdgeConv-1"]
    assert main(["--workdir", str(tmp_path), *SHORT, "--only", "drown-*"]) == 1
    assert "no row is called drown-*" in capsys.readouterr().err


@pytest.mark.parametrize("changes", [["--steps", "3"], ["--seeds", "2"], ["--fresh"]], ids=" ".join)
def test_changed_rows_are_made_again(copy, remade, changes):
    assert main(["--workdir", str(copy), *SHORT, *changes]) == 0
    assert remade == names(*MODALITIES)


def test_a_changed_experiment_is_made_again(copy, remade, monkeypatch):
    def changed(**options):
        entries = plan(**options)
        experiment = dataclasses.replace(entries[1].experiment, learning_rate=0.01)
        return [entries[0], dataclasses.replace(entries[1], experiment=experiment), *entries[2:]]

    monkeypatch.setattr(compare, "plan", changed)
    assert main(["--workdir", str(copy), *SHORT]) == 0
    assert remade == names("drawn")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"7", b'{"digest": 3}', b"\xff", '{{"digest": "{digest}", "row": {{"modality": "heard"}}}}']
    + [f'{{{{"digest": "{{digest}}", "row": {row}}}}}' for row in ("null", "[]", "5")],
    ids=repr,
)
def test_a_garbled_row_is_made_again(copy, remade, text):
    path = copy / "rows" / "heard-1.json"
    digest = json.loads(path.read_text())["digest"]
    path.write_bytes(text if isinstance(text, bytes) else text.format(digest=digest).encode())
    assert main(["--workdir", str(copy), *SHORT]) == 0
    assert remade == names("heard")
    assert json.loads(path.read_text())["digest"] == digest


def test_a_stopped_comparison_goes_on(tmp_path, remade, monkeypatch, capsys):
    instead = compare.make

    def stopping(entry, seeds):
        if entry.modality == "heard":
            raise train.Interrupted("stopped after step 1: nothing saved")
        return instead(entry, seeds)

    with monkeypatch.context() as patch:
        patch.setattr(compare, "make", stopping)
        assert main(["--workdir", str(tmp_path), *SHORT]) == 130
    assert f"stopped; the same command goes on after the rows in {tmp_path / 'rows'}" in capsys.readouterr().err
    assert remade == names("seen", "drawn")
    assert not (tmp_path / "report.html").exists()
    assert main(["--workdir", str(tmp_path), *SHORT]) == 0
    assert remade == names("seen", "drawn", "heard", "spelled")
    assert (tmp_path / "report.html").exists()


def test_a_run_that_diverges_is_told(tmp_path, monkeypatch, capsys):
    def diverge(entry, seeds):
        raise train.Diverged("step 3: loss is nan")

    monkeypatch.setattr(compare, "make", diverge)
    assert main(["--workdir", str(tmp_path), *SHORT]) == 1
    assert "Diverged: step 3: loss is nan" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--seeds", "--steps"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_too_few_is_told(tmp_path, capsys, option, value):
    with pytest.raises(SystemExit):
        main(["--workdir", str(tmp_path), option, value])
    assert f"{option} is {value}; it must be at least 1" in capsys.readouterr().err


# --- contrasts ------------------------------------------------------------------------------------------------------


def test_names_are_unique_and_make_files():
    entries = [*plan(), *contrasts(plan())]
    found = [entry.name.lower() for entry in entries]
    assert len(set(found)) == len(found)
    paths = {compare.kept(Path("x"), entry, range(3))[0] for entry in entries}
    assert len(paths) == len(entries)
    assert all(path.parent == Path("x/rows") for path in paths)
    labels = [(entry.modality, entry.variant, entry.experiment.data.fraction) for entry in entries]
    assert len(set(labels)) == len(labels)


def test_the_contrasts_are_those_asked_for():
    entries = contrasts(plan())
    by = {(entry.modality, entry.variant): entry.experiment for entry in entries if entry.variant}
    on_graphs = {variant: run for (kind, variant), run in by.items() if kind == "drawn"}
    drawn = {(getattr(run.model, "taps", 0), run.data.places, run.data.edges) for run in on_graphs.values()}
    assert {"GAT", "GIN", "GraphSAGE, max", "EdgeConv"} <= on_graphs.keys()
    assert drawn >= {(taps, places, edges) for taps, edges in ((1, "gcn"), (2, "mean")) for places in (True, False)}
    assert drawn >= {(9, False, "direction"), (1, True, "none")}
    assert by["heard", "raw waveform"].data.features == "wave"
    assert {kind for kind, variant in by if variant == "no convolution"} == {"seen", "heard", "spelled"}
    for modality in MODALITIES:
        fractions = [e.experiment.data.fraction for e in entries if e.modality == modality and not e.variant]
        assert fractions == [0.01, 0.05, 0.2]


def params(entry: compare.Entry) -> int:
    example = data.load(entry.experiment.data, "test", batch_size=2).example["input"]
    return convzoo.cost(entry.experiment.model, example).params


def test_contrasts_have_as_many_parameters():
    base = {entry.modality: params(entry) for entry in plan()}
    found = {entry.name: params(entry) / base[entry.modality] for entry in contrasts(plan()) if entry.variant}
    assert {name: ratio for name, ratio in found.items() if not 0.85 <= ratio <= 1.15} == {}


@pytest.mark.parametrize("fraction", compare.FRACTIONS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_one_compiled_update_serves_every_seed(modality, fraction):
    entry = next(e for e in contrasts(plan()) if (e.modality, e.experiment.data.fraction) == (modality, fraction))
    run = entry.experiment
    loaded = [data.load(run.data, batch_size=run.batch_size, seed=seed) for seed in range(3)]
    assert len({batches.sizes for batches in loaded if not isinstance(batches, Packs)}) == 1


@pytest.mark.slow
def test_the_full_comparison_runs(tmp_path):
    assert main(["--workdir", str(tmp_path), "--full", "--seeds", "2", "--steps", "2", "--recordings", ""]) == 0
    entries = [*plan(), *contrasts(plan())]
    assert sorted(path.stem for path in (tmp_path / "rows").iterdir()) == sorted(entry.name for entry in entries)
    assert len(read_json(tmp_path / "comparison.json")) == len(entries)
    assert len((tmp_path / "comparison.csv").read_text().splitlines()) == 5


# --- figures from probabilities -------------------------------------------------------------------------------------

LABELS = np.array([0, 1, 2, 1])
FIRST = np.array([[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.0, 0.4, 0.6], [0.1, 0.8, 0.1]], np.float32)
SECOND = np.array([[0.2, 0.2, 0.6], [0.0, 0.1, 0.9], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], np.float32)


def test_confusion_counts_over_seeds():
    np.testing.assert_array_equal(confusion([FIRST], LABELS), [[1, 0, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(confusion([FIRST, SECOND], LABELS), [[1, 0, 1], [2, 1, 1], [0, 0, 2]])


def test_mistakes_are_the_surest_and_each_once():
    found = mistakes(plan()[0], [FIRST, SECOND], LABELS)
    assert [(m.true, m.predicted, round(m.probability, 6)) for m in found] == [
        ("1", "2", 0.9),  # the second seed was surer than the first
        ("0", "2", 0.6),
        ("1", "0", 0.5),
    ]
    assert all(m.kind == "picture" for m in found)
    source = plan()[0].experiment.data
    assert [m.data for m in found] == [source.show("test", index) for index in (1, 0, 3)]
    assert mistakes(plan()[0], [FIRST[[0, 3]]], LABELS[[0, 3]]) == []


def test_mistakes_are_not_too_many():
    wrong = np.tile(np.array([[0.0, 1.0, 0.0]], np.float32), (40, 1))
    assert len(mistakes(plan()[0], [wrong], np.zeros(40, int))) == compare.MOST_MISTAKES


def test_curves_are_columns():
    logged = [{"step": 2, "loss": 0.5, "accuracy": 0.1}, {"step": 2, "test_accuracy": 0.3}, {"step": 4, "loss": 0.25}]
    assert curve(logged) == {"step": [2, 4], "loss": [0.5, 0.25], "test_step": [2], "test_accuracy": [0.3]}


def test_first_filters():
    kernel = jnp.arange(6.0).reshape(3, 1, 2)
    assert first_filters({"stem": {"kernel": kernel}}) == kernel.tolist()
    assert first_filters({"block0": {"conv1": {"kernel": kernel}}}) == kernel.tolist()
    assert first_filters({"dense0": {"kernel": kernel}}) == []


def test_where_it_was_made():
    told = compare.about(["--workdir", "x"])
    assert told["Command"] == "python -m experiments.compare --workdir x"
    assert jax.__version__ in told["Versions"]
    assert all(isinstance(value, str) for value in told.values())


def test_a_row_survives_being_kept(whole):
    row = read_json(whole / "comparison.json")[2]
    assert Row.from_json(json.loads(json.dumps(row.to_json()))) == row
