"""The graph experiments: many seeds in one program are the runs one by one; folds; figures drawn from rows."""

import dataclasses

import jax
import numpy as np
import pytest

from configs.cora_gcn import CONFIG
from convzoo import core, data, train
from convzoo.models.gcnii import GCNII
from convzoo.models.nodenet import NodeNet
from experiments import bench_graphs, cora, depth, gin
from tests.data.test_graph_sets import tiny, write_npz


@pytest.fixture
def ring(tmp_path):
    write_npz(tmp_path, tiny())
    source = data.Planetoid("ring", str(tmp_path))
    return dataclasses.replace(CONFIG, model=NodeNet(width=4, num_classes=2), data=source, steps=6)


def test_seeds_together_are_seeds_alone(ring):
    """Initialisation, dropout and updates of every seed are those of a run of its own."""
    together = cora.ours(ring, 3, at_once=2)
    assert together.accuracy.shape == (3,)
    batches, test = (data.load(ring.data, split, batch_size=1) for split in ("train", "test"))
    update, alone = train.compile_update(ring), []
    for seed in range(3):
        state = train.init(ring, batches.example, seed=seed)
        state, _ = train.fit(ring, state, batches, update, shown=False)
        alone.append(train.evaluate(ring, state, test.in_order())["accuracy"])
    np.testing.assert_allclose(together.accuracy, alone, rtol=1e-6)


def test_the_command_tells_mean_error_and_spread(ring, capsys):
    folder = ring.data.folder
    arguments = ["--graph", "ring", "--folder", folder, "--seeds", "2", "--steps", "2", "--peer-seeds", "0"]
    assert cora.main(arguments) == 0
    line = capsys.readouterr().out
    assert line.startswith("convzoo, cora_gcn: ")
    assert "one run's standard deviation" in line
    assert "2 seeds" in line
    assert cora.told("x", cora.Runs(np.array([0.8, 0.82]), 3.0)).startswith("x: 81.00 % ± 1.00, one run's standard dev")


def test_folds_are_a_partition_with_equal_shares():
    label = np.array([0] * 63 + [1] * 125)
    parts = gin.folds(label, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(188))
    shares = [(label[part] == 0).sum() for part in parts]
    assert max(shares) - min(shares) <= 1


def test_every_fold_has_as_many_batches():
    from convzoo.data import batching
    from tests.data.test_graph_sets import random_set

    graphs = random_set()
    budget = batching.choose_budget(graphs.n_node, graphs.n_edge, 8)
    found = [gin.every(graphs, kept, budget) for kept in (np.arange(9), np.arange(20, 30))]
    assert len(found[0]) == len(found[1])
    assert [sum(int(batch["mask"].sum()) for batch in batches) for batches in found] == [9, 10]


def test_a_benchmarks_graphs_are_of_the_size_it_says():
    for name, size in bench_graphs.SIZES.items():
        if name == "large":
            continue
        ends = bench_graphs.graph(size, name == "molecules")
        assert abs(ends.shape[1] / size.edges - 1) < 0.05
        assert 0 <= ends.min() <= ends.max() < size.nodes
        assert (np.diff(ends[1]) >= 0).all()


@pytest.mark.parametrize("layer", bench_graphs.LAYERS)
def test_a_benchmark_compares_the_same_thing(layer):
    size = bench_graphs.Size(30, 120, 8, 8, 2)
    ends = bench_graphs.graph(size, False)
    outputs = []
    call, arguments = bench_graphs.ours(layer, size, ends)
    for way in (None, "lax"):
        with core.force(way):
            outputs.append(np.asarray(jax.jit(call).lower(*arguments).compile()(*arguments)))
    np.testing.assert_allclose(*outputs, rtol=1e-3, atol=1e-4)


def test_depth_is_drawn_from_its_rows(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [f"{m},{n},{k},0,0.5,1" for m, n in (("graphs", 2), ("images", 20)) for k in ("plain", "residual")]
    (tmp_path / "depth.csv").write_text("\n".join([",".join(depth.FIELDS), *rows]) + "\n")
    depth.draw(tmp_path / "depth.csv", tmp_path / "depth.png")
    assert (tmp_path / "depth.png").stat().st_size > 1000
    assert depth.graph(4, "residual", "x").model == CONFIG.model.clone(depth=4, width=64, residual=True)
    assert depth.graph(4, "initial residual", "x").model == GCNII(depth=4)
    assert depth.image(20, "plain").model.shortcut == "none"
