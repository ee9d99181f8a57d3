"""Graph sets: text files, raw pickles, networkx, points, molecules; batches in one shape; sampled neighbourhoods."""

import dataclasses
import functools
import pickle
import sys
import types
import urllib.error
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from convzoo import core, data, train
from convzoo.data import batching, graph_sets, planetoid
from convzoo.data.tudataset import GraphSet, read_tudataset
from convzoo.models import molnet
from convzoo.models.gin import GIN
from convzoo.models.nodenet import NodeNet

# --- TUDataset ------------------------------------------------------------------------------------------------------

FILES = {
    "A": "1, 2\n2, 1\n2, 3\n3, 2\n4, 5\n5, 4\n4, 4\n",
    "graph_indicator": "1\n1\n1\n2\n2\n3\n",
    "graph_labels": "1\n-1\n1\n",
    "node_labels": "7\n7\n3\n3\n9\n9\n",
    "node_attributes": " 0.5\n 1.5\n 2.5\n 3.5\n 4.5\n 5.5\n",
    "edge_labels": "0\n0\n2\n2\n0\n0\n2\n",
}


def write_set(folder, **changes):
    place = folder / "TINY"
    place.mkdir()
    for part, text in (FILES | changes).items():
        if text is not None:
            (place / f"TINY_{part}.txt").write_text(text)
    return place


def test_a_set_is_read_from_its_text(tmp_path):
    found = read_tudataset(write_set(tmp_path))
    np.testing.assert_array_equal(found.nodes, np.eye(3)[[1, 1, 0, 0, 2, 2]])
    np.testing.assert_array_equal(found.n_node, [3, 2, 1])
    np.testing.assert_array_equal(found.n_edge, [4, 3, 0])
    np.testing.assert_array_equal(found.senders, [1, 0, 2, 1, 0, 1, 0])
    np.testing.assert_array_equal(found.receivers, [0, 1, 1, 2, 0, 0, 1])
    np.testing.assert_array_equal(found.features[:, 1], [0, 0, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(found.label, [1, 0, 1])
    both = read_tudataset(tmp_path, "TINY", attributes=True)
    np.testing.assert_array_equal(both.nodes[:, 3], [0.5, 1.5, 2.5, 3.5, 4.5, 5.5])


def test_a_set_without_features_has_its_degrees(tmp_path):
    bare = dict.fromkeys(("node_labels", "node_attributes", "edge_labels"))
    found = read_tudataset(write_set(tmp_path, **bare))
    np.testing.assert_array_equal(found.nodes.argmax(1), [1, 2, 1, 2, 1, 0])
    assert found.features.shape == (7, 0)


WRONG_SETS = {
    "missing": ({"A": None, "graph_labels": None}, OSError, "lacks TINY_A.txt, TINY_graph_labels.txt"),
    "far": ({"A": "1, 9\n"}, ValueError, "names nodes 1 to 9; there are 6"),
    "across": ({"A": "1, 2\n3, 4\n"}, ValueError, "line 2: an edge between two graphs"),
    "text": ({"A": "1, x\n"}, ValueError, "TINY_A.txt: .* x"),
    "triples": ({"A": "1, 2, 3\n"}, ValueError, "a pair of nodes a line; it holds 3 numbers"),
    "indicator": ({"graph_indicator": "1\n1\n1\n2\n2\n4\n"}, ValueError, "must ascend from 1 to 3"),
    "short": ({"node_labels": "1\n2\n"}, ValueError, "has 2 lines for 6 nodes"),
}


@pytest.mark.parametrize(("change", "error", "message"), WRONG_SETS.values(), ids=WRONG_SETS)
def test_a_malformed_set_is_named(change, error, message, tmp_path):
    with pytest.raises(error, match=message):
        read_tudataset(write_set(tmp_path, **change))


def test_the_real_sets_have_their_published_sizes(test_data):
    mutag, proteins = (read_tudataset(test_data / "tu" / name) for name in ("MUTAG", "PROTEINS"))
    assert (len(mutag.label), len(mutag.nodes), len(mutag.senders), mutag.nodes.shape[1]) == (188, 3371, 7442, 7)
    assert (len(proteins.label), len(proteins.nodes), len(proteins.senders)) == (1113, 43471, 162088)
    assert (np.bincount(mutag.label).tolist(), mutag.features.shape[1]) == ([63, 125], 4)


# --- Planetoid ------------------------------------------------------------------------------------------------------


def tiny() -> planetoid.NodeSet:
    """Twelve nodes in a ring, one apart; two classes."""
    ring = np.arange(11)
    both = np.concatenate([np.stack([ring, (ring + 1) % 11]), np.stack([(ring + 1) % 11, ring])], 1)
    splits = {"train": np.array([0, 5]), "val": np.array([1]), "test": np.array([8, 9, 11])}
    return planetoid.NodeSet(
        np.arange(13), np.arange(12) % 4, np.ones(12, np.float32), 4, np.arange(12) % 2, both, splits
    )


def write_npz(folder, found: planetoid.NodeSet):
    arrays: dict[str, Any] = {
        "x_indptr": found.indptr,
        "x_indices": found.columns,
        "x_data": found.values,
        "x_shape": [12, found.width],
    }
    arrays |= {"y": found.label, "edges": found.edges, **found.splits}
    np.savez(folder / "ring.npz", **arrays)


def test_training_sees_what_the_whole_graph_would_show(tmp_path):
    """The outputs of the labelled nodes from their two-hop neighbourhood, sparse or dense, are the whole graph's."""
    write_npz(tmp_path, tiny())
    for weights, layer in (("gcn", "gcn"), ("loops", "gat")):
        near = data.Planetoid("ring", str(tmp_path), weights=weights)
        model = NodeNet(layer=layer, width=3, num_classes=2, heads=2 if layer == "gat" else 1)
        outputs = []
        for source in (near, data.Planetoid("ring", str(tmp_path), weights=weights, hops=0, sparse=False)):
            batch = data.load(source, batch_size=1).example
            variables = jax.jit(functools.partial(model.init, train=False))(jax.random.key(0), batch["input"])
            y, _ = jax.jit(functools.partial(model.apply, train=False))(variables, batch["input"])
            outputs.append(np.asarray(y)[np.asarray(batch["mask"])])
        assert data.load(near, batch_size=1).example["label"].shape == (10,)
        np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)


def test_citations_are_read_as_published(test_data):
    found = planetoid.read("cora", test_data / "planetoid")
    assert (len(found.label), found.width, found.edges.shape[1]) == (2708, 1433, 10556)
    assert {name: len(index) for name, index in found.splits.items()} == {"train": 140, "val": 500, "test": 1000}
    batch = data.load(data.Planetoid("cora", str(test_data / "planetoid")), batch_size=1).example
    assert (batch["label"].shape[0], int(batch["mask"].sum())) == (1664, 140)


def write_raw(folder) -> None:
    """Eight raw files: nodes 0 to 7 known, of which two are for training, 8, 10 and 11 tested, 9 described nowhere."""
    sparse: Any = pytest.importorskip("scipy.sparse")
    x = sparse.csr_matrix(np.eye(8, 5, dtype=np.float32))
    tested = sparse.csr_matrix(np.full((3, 5), 2, np.float32))
    one_hot = np.eye(2, dtype=np.int32)
    graph = {node: [(node + 1) % 12, node] for node in range(12)}
    parts = {"x": x[:2], "allx": x, "tx": tested, "y": one_hot[[0, 1]], "ally": one_hot[[0, 1] * 4]}
    parts |= {"ty": one_hot[[1, 1, 0]], "graph": graph}
    for part, value in parts.items():
        (folder / f"ind.raw.{part}").write_bytes(pickle.dumps(value, protocol=2))
    (folder / "ind.raw.test.index").write_text("11\n8\n10\n")


def test_raw_files_are_read(tmp_path):
    write_raw(tmp_path)
    found = planetoid.read("raw", tmp_path)
    assert (len(found.label), found.width, found.edges.shape[1]) == (12, 5, 24)
    np.testing.assert_array_equal(found.label[8:], [1, 0, 0, 1])
    np.testing.assert_array_equal(np.diff(found.indptr)[8:], [5, 0, 5, 5])
    np.testing.assert_array_equal(found.splits["test"], [8, 10, 11])


def test_a_raw_file_that_would_run_is_refused(tmp_path):
    write_raw(tmp_path)
    (tmp_path / "ind.raw.graph").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r"ind.raw.graph is no Planetoid file: it asks for os.system"):
        planetoid.read("raw", tmp_path)


def test_no_network_is_told_at_once(tmp_path, monkeypatch):
    def refuse(*_, timeout):
        assert timeout <= 10
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(planetoid.urllib.request, "urlopen", refuse)
    with pytest.raises(OSError, match=r"cora is not in .* cannot be fetched .*no network.*put cora.npz"):
        planetoid.read("cora", tmp_path)


def test_a_citation_network_is_a_tfds_builder(tmp_path, monkeypatch):
    """From the files in the data folder; without them and without a network the error says what to do."""
    pytest.importorskip("tensorflow_datasets")
    from convzoo.data.builders.planetoid import Planetoid

    def built(folder):
        monkeypatch.setenv("CONVZOO_DATA", str(tmp_path / folder))
        make: Any = Planetoid
        builder = make(config="cora", data_dir=tmp_path / folder, file_format="array_record")
        builder.download_and_prepare()
        return builder.as_data_source("full")

    (tmp_path / "there" / "planetoid").mkdir(parents=True)
    write_npz(tmp_path / "there" / "planetoid", tiny())
    (tmp_path / "there" / "planetoid" / "ring.npz").rename(tmp_path / "there" / "planetoid" / "cora.npz")
    (found,) = built("there")
    expected = tiny()
    for name, value in {**expected._asdict(), **expected.splits}.items():
        if name != "splits":
            np.testing.assert_array_equal(found[name], value)

    def refuse(*_, timeout):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(planetoid.urllib.request, "urlopen", refuse)
    (tmp_path / "empty" / "planetoid").mkdir(parents=True)
    with pytest.raises(OSError, match=r"cora is not in .* cannot be fetched .*no network"):
        built("empty")


WRONG_NODES = {
    "edges": ({"edges": np.array([[0], [12]])}, r"edges hold indices 0 to 12; they must be in \[0, 12\)"),
    "columns": ({"columns": np.full(12, 4)}, r"columns hold indices 4 to 4; they must be in \[0, 4\)"),
    "pairs": ({"edges": np.zeros((3, 2), int)}, r"edges must be \[2, edges\]; got \(3, 2\)"),
    "rows": ({"indptr": np.arange(12)}, "features of 11 nodes, labels of 12"),
}


@pytest.mark.parametrize(("change", "message"), WRONG_NODES.values(), ids=WRONG_NODES)
def test_wrong_indices_are_named(change, message, tmp_path):
    write_npz(tmp_path, tiny()._replace(**change))
    with pytest.raises(ValueError, match=message):
        planetoid.read("ring", tmp_path)


# --- batches --------------------------------------------------------------------------------------------------------


def random_set(count: int = 40) -> GraphSet:
    """Graphs of 1 to 9 nodes, one of 30."""
    generator = np.random.default_rng(0)
    made = []
    for index in range(count):
        nodes = 30 if index == 7 else int(generator.integers(1, 10))
        senders, receivers = generator.integers(0, nodes, (2, int(generator.integers(0, 3 * nodes))))
        features = generator.normal(size=(len(senders), 2))
        made.append(graph_sets.single(generator.normal(size=(nodes, 3)), senders, receivers, features, index % 2))
    return graph_sets.join(made)


def test_a_run_compiles_twice_and_tells_its_padding():
    """Training and tests share one shape, whatever graphs a batch holds."""
    graphs = random_set()
    packs = batching.load(graphs, np.arange(30), batch_size=8)
    test = batching.load(graphs, np.arange(30, 40), budget=packs.budget)
    traced = []

    @jax.jit
    def update(batch):
        traced.append("update")
        return core.readout(batch["input"].nodes, batch["graph_id"], len(batch["label"]), kind="sum")

    @jax.jit
    def evaluate(batch):
        traced.append("evaluate")
        return batch["mask"].sum()

    shapes = set()
    for step in range(3 * packs.epoch_steps):
        batch = packs.at(step)
        update(batch)
        shapes.add(str(jax.tree.map(np.shape, batch)))
    assert sum(int(evaluate(batch)) for batch in [*packs.in_order(), *test.in_order()]) == 40
    assert traced == ["update", "evaluate"]
    assert len(shapes) == 1
    batches = list(packs.in_order())
    empty = 1 - sum(batch["node_mask"].sum() for batch in batches) / (len(batches) * packs.budget.nodes)
    assert packs.padding.nodes == pytest.approx(empty)
    largest = np.sort(graphs.n_node)[-8:].sum()
    assert packs.padding.nodes < 1 - graphs.n_node[:30].sum() / (len(batches) * largest)
    assert str(packs.padding).startswith(f"padding: {empty:.1%} of nodes, ")


def test_packs_hold_every_graph_once_and_their_orders_follow_from_the_seed():
    packs = batching.load(random_set(), batch_size=8, seed=3)
    for order in (packs.plan(packs.kept), packs.planned(2)):
        np.testing.assert_array_equal(np.sort(np.concatenate(order)), np.arange(40))
    again = batching.load(random_set(), batch_size=8, seed=3)
    jax.tree.map(np.testing.assert_array_equal, packs.at(5), again.at(5))
    assert any((a != b).any() for a, b in zip(packs.planned(0), packs.planned(1), strict=False) if len(a) == len(b))


def test_packed_graphs_give_what_each_gives_alone():
    graphs = random_set(6)
    model = GIN(depth=2, width=5, dropout=0.0)
    packs = batching.load(graphs, batch_size=6)
    batch = jax.tree.map(jnp.asarray, next(packs.in_order()))
    variables = model.init(jax.random.key(0), batch["input"], train=False)
    y, _ = model.apply(variables, batch["input"], train=False, node_mask=batch["node_mask"])
    chosen = packs.plan(packs.kept)[0]
    for place, index in enumerate(chosen):
        alone = jax.tree.map(jnp.asarray, batching.pack(graphs, np.array([index]), packs.budget))
        expected, _ = model.apply(variables, alone["input"], train=False, node_mask=alone["node_mask"])
        np.testing.assert_allclose(y[place], expected[0], rtol=1e-4, atol=1e-5)


def test_a_graph_that_does_not_fit_is_named():
    graphs = random_set()
    small = batching.Budget(20, 200, 8)
    with pytest.raises(ValueError, match=r"graph 7 has 30 nodes and .* edges; a batch has room for 19 and 200"):
        batching.load(graphs, budget=small).at(0)
    with pytest.raises(ValueError, match="batch_size=0 and 40 graphs"):
        batching.load(graphs, batch_size=0)


def large_graph() -> tuple[batching.Large, core.Edges]:
    generator = np.random.default_rng(0)
    senders, receivers = generator.integers(0, 60, (2, 400))
    weight = generator.random(400).astype(np.float32)
    edges = core.Edges._make((senders, receivers, np.zeros(400, np.int32), weight, 60))
    return batching.large(generator.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 4, edges), edges


def test_a_full_sample_gives_what_the_whole_graph_gives():
    graph, edges = large_graph()
    model = NodeNet(layer="gcn", width=5, num_classes=4, dropout=0.0)
    chosen = np.array([3, 50, 7])
    budget = batching.sample_budget(graph, (400, 400), 3)
    batch = batching.sample(graph, chosen, (400, 400), budget, np.random.default_rng(0))
    variables = model.init(jax.random.key(0), batch["input"], train=False)
    y, _ = model.apply(variables, batch["input"], train=False)
    sizes = np.array([[60], [400]], np.int32)
    whole = data.Graphs._make((graph.nodes, {"weight": edges.weight}, edges.receivers, edges.senders, None, *sizes))
    expected, _ = model.apply(variables, jax.tree.map(jnp.asarray, whole), train=False)
    np.testing.assert_allclose(y[:3], expected[chosen], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(batch["label"][:3], chosen % 4)
    assert batch["mask"].sum() == 3


def test_samples_have_one_shape_and_no_more_neighbours_than_asked():
    graph, edges = large_graph()
    budget = batching.sample_budget(graph, (3, 2), 4)
    real = set(zip(edges.senders.tolist(), edges.receivers.tolist(), strict=True))
    shapes, generator = set(), np.random.default_rng(0)
    value = {tuple(row): index for index, row in enumerate(graph.nodes.tolist())}
    for start in range(0, 60, 4):
        batch = batching.sample(graph, np.arange(start, start + 4), (3, 2), budget, generator)
        shapes.add(str(jax.tree.map(np.shape, batch)))
        packed, count = batch["input"], int(batch["input"].n_edge[0])
        assert np.bincount(packed.receivers[:count])[:4].max() <= 3
        names = [value.get(tuple(row)) for row in packed.nodes.tolist()]
        for sender, receiver in zip(packed.senders[:count], packed.receivers[:count], strict=True):
            assert (names[sender], names[receiver]) in real
    assert len(shapes) == 1
    with pytest.raises(ValueError, match="a batch has room for 3 and 9"):
        batching.sample(graph, np.arange(8), (3, 2), batching.Budget(4, 9, 1), generator)


# --- from elsewhere -------------------------------------------------------------------------------------------------


def test_networkx_comes_back_as_it_went():
    networkx: Any = pytest.importorskip("networkx")
    graph = networkx.Graph()
    graph.add_nodes_from((name, {"x": [value, 1.0]}) for name, value in (("a", 0.5), ("b", 1.5), ("c", 2.5)))
    graph.add_edge("a", "b", w=2.0)
    graph.add_edge("b", "b", w=3.0)
    found = graph_sets.from_networkx(graph, edges="w")
    np.testing.assert_array_equal(found.nodes, [[0.5, 1], [1.5, 1], [2.5, 1]])
    told = set(zip(found.senders.tolist(), found.receivers.tolist(), found.features[:, 0].tolist(), strict=True))
    assert told == {(0, 1, 2.0), (1, 0, 2.0), (1, 1, 3.0)}
    joined = graph_sets.join([random_set(2)._replace(features=np.zeros((len(random_set(2).senders), 2), np.float32))])
    for original, index in ((found, 0), (joined, 1)):
        again = graph_sets.from_networkx(graph_sets.to_networkx(original, index), edges="x")
        jax.tree.map(np.testing.assert_allclose, again[:4], graph_sets.pick(original, index)[:4])
    batch = batching.pack(joined, np.array([1, 0]), batching.Budget(32, 64, 2))["input"]
    first, second = (graph_sets.to_networkx(batch, index) for index in (0, 1))
    assert [len(first), len(second)] == joined.n_node[[1, 0]].tolist()
    graph.add_node("d")
    with pytest.raises(ValueError, match="node 'd' has no attribute 'x', which 3 others have"):
        graph_sets.from_networkx(graph)


def test_points_hear_from_their_nearest():
    points = np.random.default_rng(0).normal(size=(30, 3))
    points[4] = points[3]
    found = graph_sets.from_points(points, 5)
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distance, np.inf)
    for node in range(30):
        mine = found.senders[found.receivers == node]
        assert node not in mine
        np.testing.assert_allclose(np.sort(distance[node, mine]), np.sort(distance[node])[:5])
    np.testing.assert_allclose(found.features[:, 3], distance[found.receivers, found.senders], rtol=1e-5)
    with pytest.raises(ValueError, match="neighbours=30 must be at least 1 and less than the 30 points"):
        graph_sets.from_points(points, 30)


def test_a_pixels_nearest_are_its_window():
    found = graph_sets.from_image(np.arange(25.0).reshape(5, 5, 1), 8)
    middle = found.receivers == 12
    np.testing.assert_array_equal(found.senders[middle], [6, 7, 8, 11, 13, 16, 17, 18])
    np.testing.assert_allclose(found.nodes[12], [12, 0, 0])


def test_molecules_are_their_atoms_and_bonds():
    pytest.importorskip("rdkit", reason="rdkit is not installed: pip install 'convzoo[molecules]'")
    ethanol = graph_sets.from_smiles("CCO")
    assert [graph_sets.ATOMS[i] for i in ethanol.nodes[:, : len(graph_sets.ATOMS)].argmax(1)] == ["C", "C", "O"]
    np.testing.assert_array_equal(ethanol.senders, [1, 0, 2, 1])
    np.testing.assert_array_equal(ethanol.receivers, [0, 1, 1, 2])
    benzene = graph_sets.from_smiles("c1ccccc1")
    assert benzene.features[:, graph_sets.BONDS.index("AROMATIC")].all()
    assert (len(benzene.nodes), len(benzene.senders)) == (6, 12)
    assert len(graph_sets.from_smiles("[He]").senders) == 0
    with pytest.raises(ValueError, match="'C1CC' is no molecule"):
        graph_sets.from_smiles("C1CC")


def test_ogb_is_asked_by_name():
    with pytest.raises(ValueError, match=r"'arxiv' is neither a node set \(ogbn-...\)"):
        graph_sets.from_ogb("arxiv", "")


def test_an_ogb_set_is_one_batch(monkeypatch, tmp_path):
    """As the package gives it: citations one way, "valid" for val, labels [nodes, 1]."""
    found = {
        "edge_index": np.array([[0, 1, 2, 3], [1, 2, 0, 4]]),
        "edge_feat": None,
        "node_feat": np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32),
        "num_nodes": 6,
    }

    class NodePropPredDataset:
        def __init__(self, name: str, root: str):
            assert (name, root) == ("ogbn-tiny", str(tmp_path))

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int):
            return found, np.array([[0], [1], [2], [0], [1], [2]])

        def get_idx_split(self):
            return {"train": np.array([0, 3]), "valid": np.array([1, 4]), "test": np.array([2, 5])}

    package = types.ModuleType("ogb.nodeproppred")
    vars(package)["NodePropPredDataset"] = NodePropPredDataset
    monkeypatch.setitem(sys.modules, "ogb", types.ModuleType("ogb"))
    monkeypatch.setitem(sys.modules, "ogb.nodeproppred", package)
    source = data.OgbNodes("ogbn-tiny", str(tmp_path))
    assert source.classes == ("0", "1", "2")
    for split, inside in (("train", [0, 3]), ("val", [1, 4]), ("test", [2, 5])):
        batch = data.load(source, split, batch_size=1).example
        np.testing.assert_array_equal(np.flatnonzero(batch["mask"]), inside)
        np.testing.assert_array_equal(batch["input"].nodes, found["node_feat"])
        ends = {(int(a), int(b)) for a, b in zip(batch["input"].senders, batch["input"].receivers, strict=True)}
        pairs = {(0, 1), (1, 2), (2, 0), (3, 4)}
        assert ends == pairs | {(b, a) for a, b in pairs} | {(n, n) for n in range(6)}
    with pytest.raises(ValueError, match="it must be a whole node set, ogbn-"):
        data.OgbNodes("ogbg-molhiv")


def test_a_set_of_molecules_trains(monkeypatch, tmp_path):
    """As the package gives one: atoms and bonds as whole numbers, labels [1, labels] with NaN; the card's network, task
    and engine on it, tested by average precision."""
    from configs.ogbg_molpcba import CONFIG

    generator = np.random.default_rng(0)
    found = []
    for _ in range(30):
        nodes = int(generator.integers(2, 9))
        ends = np.stack([np.arange(nodes - 1), np.arange(1, nodes)])
        bonds = generator.integers(0, molnet.BONDS, (nodes - 1, 3))
        atoms = generator.integers(0, molnet.ATOMS, (nodes, 9))
        labels = np.array([[generator.integers(0, 2), np.nan, atoms[0, 0] % 2]])
        both = {"edge_index": np.concatenate([ends, ends[::-1]], 1), "edge_feat": np.concatenate([bonds, bonds])}
        found.append(({**both, "node_feat": atoms, "num_nodes": nodes}, labels))

    class GraphPropPredDataset:
        def __init__(self, name: str, root: str):
            assert (name, root) == ("ogbg-moltiny", str(tmp_path))

        def __len__(self) -> int:
            return len(found)

        def __getitem__(self, index: int):
            return found[index]

        def get_idx_split(self):
            return {"train": np.arange(20), "valid": np.arange(20, 25), "test": np.arange(25, 30)}

    package = types.ModuleType("ogb.graphproppred")
    vars(package)["GraphPropPredDataset"] = GraphPropPredDataset
    monkeypatch.setitem(sys.modules, "ogb", types.ModuleType("ogb"))
    monkeypatch.setitem(sys.modules, "ogb.graphproppred", package)
    source = data.OgbMolecules("ogbg-moltiny", str(tmp_path))
    assert source.classes == ("0", "1", "2")
    small = CONFIG.model.clone(depth=2, width=8, num_classes=3)
    experiment = dataclasses.replace(CONFIG, data=source, model=small, steps=2, batch_size=8)
    batches = data.load(source, batch_size=experiment.batch_size)
    state = train.init(experiment, batches.example)
    state, logged = train.fit(experiment, state, batches, train.compile_update(experiment), shown=False)
    assert np.isfinite(logged[-1]["loss"])
    test = data.load(source, "test", batch_size=8)
    np.testing.assert_array_equal(
        np.concatenate([batch["label"][batch["mask"]] for batch in test.in_order()]),
        np.concatenate([label for _, label in found[25:]]),
    )
    told = train.evaluate(experiment, state, test.in_order())
    assert told["examples"] == 5
    assert 0 < told["average_precision"] <= 1
    with pytest.raises(ValueError, match="it must be a whole set of molecules, ogbg-mol"):
        data.OgbMolecules("ogbg-ppa")


def test_an_experiment_trains_on_packs():
    """The engine takes packs as it takes any batches."""
    from convzoo import tasks

    graphs = random_set()
    packs = batching.load(graphs, batch_size=8)
    experiment = train.Experiment(
        model=GIN(depth=1, width=4), task=tasks.Classification(), data=data.Drawn(), steps=2, weight_decay=0.0
    )
    state = train.init(experiment, packs.example)
    _, logged = train.fit(experiment, state, packs, train.compile_update(experiment), shown=False)
    assert np.isfinite(logged[-1]["loss"])
