"""The experiment's own parts: what is shown, how examples are paired, how the table is kept; all of it once, slowly."""

import csv

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import measure
from tests.data.conftest import data_folder as data_folder


def read(path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_placed_digits_are_the_digits_in_an_empty_picture():
    small = np.random.default_rng(0).random((3, 8, 8, 1)).astype(np.float32)
    rows = {"input": jnp.asarray(small), "label": jnp.arange(3)}
    x = np.asarray(measure.Placed().batch(rows, jnp.ones(3, bool))["input"])
    assert x.shape == (3, 28, 28, 1)
    np.testing.assert_allclose(x.sum((1, 2, 3)), x[:, 6:22, 6:22].sum((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(x.sum((1, 2, 3)), 4 * small.sum((1, 2, 3)), rtol=0.1)


def test_pairs_are_of_one_class():
    labels = np.array([3, 1, 1, 3, 3, 1])
    first, second = (measure.paired(labels, np.random.default_rng(seed)) for seed in range(2))
    np.testing.assert_array_equal(labels[first], [1] * measure.EACH + [3] * measure.EACH)
    np.testing.assert_array_equal(labels[first], labels[second])
    assert (first != second).any()


def test_sounds_are_described_by_what_is_real():
    values = jnp.asarray([[[1.0], [3.0], [90.0], [90.0]], [[2.0], [4.0], [6.0], [90.0]]])
    batch = {"input": jnp.zeros((2, 8, 1)), "length": jnp.asarray([4, 5])}
    np.testing.assert_allclose(measure.described(values, batch), [[2], [4]])


def test_drawings_are_described_by_their_own_nodes():
    batch = {"graph_id": jnp.asarray([0, 0, 1]), "label": jnp.zeros(2), "node_mask": jnp.asarray([True, True, False])}
    np.testing.assert_allclose(measure.described(jnp.asarray([[1.0], [2.0], [9.0]]), batch), [[1.5], [0]])
    np.testing.assert_allclose(measure.described(jnp.ones((2, 5)), batch), 1)


@pytest.mark.parametrize(("count", "expected"), [(100, 20), (63, 9), (54, 18), (7, 7), (23, 1)])
def test_batches_leave_none_over(count, expected):
    assert measure.even(count) == expected


def test_a_part_replaces_its_own_rows_alone(tmp_path):
    path = tmp_path / "measures.csv"
    measure.write(path, "fields", [("a", "stem", "effective field", "", 3.0)])
    measure.write(path, "shifts", [("a", "stem", "error", 1, 0.5), ("a", "stem", "error", 2, 0.0)])
    measure.write(path, "fields", [("a", "stem", "effective field", "", 4.0)])
    assert [(row["part"], row["at"], row["value"]) for row in read(path)] == [
        ("shifts", "1", "0.5"),
        ("shifts", "2", "0"),
        ("fields", "", "4"),
    ]


def test_a_folder_without_photographs_is_told(tmp_path, capsys):
    assert measure.main(["--out", str(tmp_path), "--images", str(tmp_path), "--only", "similarity"]) == 1
    assert f"{tmp_path} holds no image files" in capsys.readouterr().err


@pytest.mark.slow
def test_every_part_runs(tmp_path, data_folder):
    command = ["--out", str(tmp_path), "--workdir", str(tmp_path / "runs"), "--steps", "2", "--seeds", "1"]
    assert measure.main(command) == 0
    rows = read(tmp_path / "measures.csv")
    assert {row["part"] for row in rows} == set(measure.PARTS)
    assert all(np.isfinite(float(row["value"])) for row in rows)
    for part in measure.PARTS:
        assert (tmp_path / f"measures_{part}.png").stat().st_size > 10_000
    inside = [row for row in rows if row["part"] == "shifts" and row["what"] == "error inside"]
    whole = [
        row for row in inside if row["network"] == measure.NET and row["at"] == "8" and row["waypoint"] == "stage2"
    ]
    assert [float(row["value"]) for row in whole] == [pytest.approx(0, abs=1e-3)]
