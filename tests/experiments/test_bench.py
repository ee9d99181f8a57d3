"""The benchmark of whole networks: every mode runs, a CSV is resumed, tables go where their markers are."""

import math

import jax
import pytest

import convzoo
from convzoo.zoo import MODELS, Cost
from experiments import bench_models, flax_networks
from experiments.timing import read

ROOF = {"gflops": 100.0, "gbs": 10.0}


@pytest.mark.parametrize("mode", bench_models.MODES)
def test_every_mode_of_a_network(mode, monkeypatch):
    monkeypatch.setitem(bench_models.MODES, mode, 2)
    row = bench_models.measure("mlp", mode, ROOF, 0.01, compiled=False)
    assert row["ms"] > 0
    assert row["ratio_lax"] > 0
    assert math.isnan(row["ratio_torch"])  # no peer has this network
    assert set(row) <= set(bench_models.FIELDS)
    assert 2e3 / (row["ms"] + 0.005) - 0.01 <= row["per_second"] <= 2e3 / (row["ms"] - 0.005) + 0.01  # both rounded


@pytest.mark.parametrize("name", flax_networks.NETWORKS)
def test_flaxs_own_networks_cost_what_ours_do(name):
    x = jax.ShapeDtypeStruct((1, 224, 224, 3), "float32")
    ours, theirs = convzoo.create(name), flax_networks.NETWORKS[name]

    def sizes(model):
        params = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), x)["params"]
        return sorted(leaf.shape for leaf in jax.tree.leaves(params))

    assert sizes(theirs) == sizes(ours)


def test_a_run_resumes_and_its_tables_replace_the_old_ones(tmp_path, monkeypatch):
    path, docs = tmp_path / "runs" / "zoo.csv", tmp_path / "docs"
    bench_models.bench([("mlp", "forward")], path, 0.01, peers=False)
    bench_models.bench([("mlp", "forward"), ("mlp", "train")], path, 0.01, peers=False)
    assert [(row["model"], row["mode"]) for row in read(path)] == [("mlp", "forward"), ("mlp", "train")]
    docs.mkdir()
    page = "# Title\n<!-- zoo: python -m experiments.bench_models -->\nold\n<!-- end of zoo -->\nlast\n"
    (docs / "models.md").write_text(page)
    monkeypatch.setattr(convzoo, "list_models", lambda: ["mlp"])  # the others cost a minute
    bench_models.write(path.parent, docs)
    written = (docs / "models.md").read_text()
    assert "| mlp | 0.12 | 0.000 |" in written
    assert "old" not in written
    assert written.startswith("# Title\n")
    assert written.endswith("<!-- end of zoo -->\nlast\n")


def test_what_is_measured_has_a_name(monkeypatch):
    monkeypatch.setattr(convzoo, "cost", lambda model, shape: Cost(1, 1, 1))  # theirs takes a minute
    named = {name for name, _ in bench_models.plan([], quick=False)}
    assert named <= {*MODELS, *bench_models.VARIANTS}
    assert {name for name, _ in bench_models.zoo_rows()} == {
        name for name, model in MODELS.items() if not isinstance(model, bench_models.OF_GRAPHS)
    }
