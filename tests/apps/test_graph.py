"""A person's own graph: four formats in, classes out, what is wrong named."""

import json

import numpy as np
import pytest

from convzoo.apps import graph
from convzoo.cli import main

PICTURES = ("graph", "embedding", "why")


def two_cliques() -> list[tuple[str, str]]:
    """Two groups of nine that talk among themselves, one bridge."""
    names = [[f"{side}{i}" for i in range(9)] for side in "ab"]
    return [(x, y) for group in names for i, x in enumerate(group) for y in group[:i]] + [("a0", "b0")]


def write(folder, kind: str = "txt"):
    """The graph in one format, its labels beside it or inside."""
    pairs = two_cliques()
    path, labels = folder / f"graph.{kind}", folder / "labels.csv"
    if kind == "txt":
        path.write_text("# a comment\n" + "\n".join(f"{a}\t{b}" for a, b in [*pairs, pairs[0], ("a1", "a1")]))
        labels.write_text("\n".join(f"{s}{i},{s}-side" for s in "ab" for i in range(8)))
        return path, labels
    networkx = pytest.importorskip("networkx")
    made = networkx.Graph(pairs)
    made.add_node("alone")
    for node in made:
        if node[1:] != "8" and node != "alone":
            made.nodes[node]["label"] = f"{node[0]}-side"
    if kind == "json":
        path.write_text(json.dumps(networkx.node_link_data(made, edges="edges")))
    else:
        getattr(networkx, f"write_{kind}")(made, path)
    return path, None


@pytest.mark.parametrize("kind", ["txt", "graphml", "json"])
def test_a_graph_is_read_and_what_is_odd_about_it_is_told(kind, tmp_path):
    loaded = graph.read(*write(tmp_path, kind))
    notes = "; ".join(loaded.notes)
    assert loaded.edges.shape == (2, 146)
    assert loaded.features is None
    assert "no features: a node's own name is its feature" in notes
    if kind == "txt":
        assert (len(loaded.names), loaded.labels.count(None)) == (18, 2)
        assert "2 edges that came twice or join a node to itself count once" in notes
    else:
        assert "1 nodes have no edge" in notes
        assert "3 nodes have no label" in notes
    assert loaded.labels[loaded.names.index("b3")] == "b-side"


def test_gml_is_read(tmp_path):
    (tmp_path / "g.gml").write_text(
        'graph [ node [ id 0 label "x" ] node [ id 1 label "y" ] edge [ source 0 target 1 ] ]'
    )
    loaded = graph.read(tmp_path / "g.gml")
    assert (loaded.names, loaded.labels, loaded.edges.tolist()) == (["0", "1"], ["x", "y"], [[0, 1], [1, 0]])


def test_it_learns_tells_why_and_writes(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path, labels = write(tmp_path)
    arguments = [str(path), "--labels", str(labels), "--steps", "40", "--why", "a8", "--out", str(tmp_path / "out")]
    assert main(["graph", *arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["classes"] == ["a-side", "b-side"]
    assert told["accuracy"]["test"] == 1.0 > told["most_common"]
    assert {edge["to"][0] for edge in told["why"][:5]} | {edge["from"][0] for edge in told["why"][:5]} == {"a"}
    rows = (tmp_path / "out" / "predictions.csv").read_text().splitlines()
    assert (len(rows), rows[0]) == (19, "node,predicted,probability,label")
    assert {row.split(",")[1] for row in rows if row.startswith("b8")} == {"b-side"}
    assert all((tmp_path / "out" / f"{name}.png").stat().st_size > 1000 for name in PICTURES)
    assert [path.rsplit("/", 1)[1] for path in told["files"]] == ["predictions.csv", *(f"{n}.png" for n in PICTURES)]


@pytest.mark.parametrize("layer", ["sage", "gat"])
def test_it_is_told_as_text(layer, tmp_path, capsys):
    path, labels = write(tmp_path)
    assert main(["graph", str(path), "--labels", str(labels), "--steps", "40", "--layer", layer]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "18 nodes, 73 edges"
    assert told[-2].startswith(f"{layer}, 2 classes: train 100.0% of 8, val 100.0% of 2, test 100.0% of 6")
    assert told[-1] == "always the commonest class: test 50.0%"


def test_a_large_graph_is_drawn_in_part(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(graph, "DRAWN", 8)
    loaded = graph.read(*write(tmp_path))
    result = graph.learn(loaded, steps=10)
    assert [path.name for path in graph.draw(loaded, result, tmp_path)] == ["graph.png", "embedding.png"]


def test_more_names_than_a_layer_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "LARGEST", 17)
    loaded = graph.read(*write(tmp_path))
    with pytest.raises(ValueError, match="layer 'sage' takes the names of at most 17 nodes as features, these are 18"):
        graph.learn(loaded, "sage", steps=1)
    assert graph.learn(loaded, "gat", steps=1).probabilities.shape == (18, 2)


def test_a_mask_finds_the_edge_that_matters():
    """A path whose first node alone says the class of the third: the two edges between them matter, the rest do not."""
    features = np.zeros((6, 2), np.float32)
    features[:, 0] = [1, 0, 0, -1, 0, 0]
    edges = np.array([[0, 1, 3, 4], [1, 2, 4, 5]])
    loaded = graph.Loaded(
        list("abcdef"), features, ["x", "x", "x", "y", "y", "y"], np.concatenate([edges, edges[::-1]], 1), []
    )
    result = graph.learn(loaded, steps=60)
    found = graph.why(result, 2, steps=50)
    assert {(edge.sender, edge.receiver) for edge in found[:2]} == {(0, 1), (1, 2)}
    assert all(edge.sender < 3 and edge.receiver < 3 for edge in found)


WRONG = {
    "no such file": ({"graph": None}, [], "No such file"),
    "one name": ({"graph": "a b\nc\n"}, [], "line 2: 'c' must hold two nodes"),
    "empty": ({"graph": "# nothing\n"}, [], "holds no node"),
    "unknown node": ({"graph": "a b\n", "labels": "z,1\n"}, ["--labels"], "labels, line 1: the graph has no node 'z'"),
    "letters": ({"graph": "a b\n", "features": "a,x\n"}, ["--features"], "features must be numbers"),
    "some": ({"graph": "a b\n", "features": "a,1\n"}, ["--features"], "1 of 2 nodes have features, of lengths"),
    "infinite": ({"graph": "a b\n", "features": "a,inf\n"}, ["--features"], "features must be finite"),
    "unlabelled": ({"graph": "a b\n"}, [], "there are 0 classes of"),
    "no layer": (
        {"graph": "a b\nc d\n", "labels": "a,1\nb,1\nc,2\nd,2\n"},
        ["--labels", "--layer"],
        "layer '.*' is not known",
    ),
    "no node": ({"graph": "a b\n"}, ["--why"], "--why '.*why': the graph has no such node"),
    "single": ({"graph": "a b\nb c\n", "labels": "a,1\nb,1\nc,2\n"}, ["--labels"], r"2 classes of \[2, 1\] nodes"),
}


@pytest.mark.parametrize(("files", "options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(files, options, message, tmp_path, capsys):
    import re

    for name, text in files.items():
        if text is not None:
            (tmp_path / name).write_text(text)
    more = [part for option in options for part in (option, str(tmp_path / option[2:]))]
    assert main(["graph", str(tmp_path / "graph"), *more]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_malformed_files_of_every_format_are_named(tmp_path, capsys):
    for kind in ("graphml", "gml", "json"):
        (tmp_path / f"g.{kind}").write_text("{ nonsense")
        assert main(["graph", str(tmp_path / f"g.{kind}")]) == 1
        assert f"g.{kind} cannot be read as {kind}" in capsys.readouterr().err
