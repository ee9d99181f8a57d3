"""The tab in which a message passes over a small graph: picked, typed or drawn; computed by ``core``, step by step."""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from convzoo import core
from convzoo.core import messages
from convzoo.extras import need
from convzoo.web import look, uploads

NODES, EDGES, ROUNDS = 40, 200, 5
WIDTH, HEIGHT, MARGIN = 400, 300, 34  # of graph.html's drawings
LARGEST = 1e6  # a node's value
GRAPHS = {  # as edge lists
    "path": "0-1 1-2 2-3 3-4 4-5",
    "ring": "0-1 1-2 2-3 3-4 4-5 5-6 6-7 7-0",
    "star": "0-1 0-2 0-3 0-4 0-5 0-6",
    "tree": "0-1 0-2 1-3 1-4 2-5 2-6",
    "two groups": "0-1 0-2 1-2 1-3 2-3 0-3 3-4 4-5 4-6 5-6 5-7 6-7 4-7",
    "grid": "0-1 1-2 3-4 4-5 6-7 7-8 0-3 3-6 1-4 4-7 2-5 5-8",
    "alone": "0-1 2",
}
# How a node takes what it hears, itself included: a weight for each message, and how they become one number.
RULES: dict[str, tuple[str, str]] = {
    "GCN: over √(degree · degree)": ("gcn", "sum"),
    "mean": ("mean", "sum"),
    "sum": ("sum", "sum"),
    "max": ("max", "max"),
}


def build(gradio: Any, report: Path | None) -> None:
    gradio.HTML(
        "<p class='cz-lead'>On a graph the neighbours are listed, not implied. Each round, every node takes a weighted "
        "sum of what its neighbours hold.</p>"
    )
    with gradio.Row():
        named = gradio.Dropdown(list(GRAPHS), value="two groups", label="Graph", elem_id="graph-name", min_width=140)
        rule = gradio.Dropdown(list(RULES), value=next(iter(RULES)), label="How messages add up", min_width=230)
        rounds = gradio.Slider(1, ROUNDS, 3, step=1, label="Rounds", min_width=140)
    first = passed(typed(GRAPHS["two groups"]), next(iter(RULES)), 3)
    stage = gradio.HTML(
        first,
        html_template=look.script("graph.html"),
        js_on_load=look.script("graph.js"),
        apply_default_css=False,
        elem_id="graph-stage",
    )
    said = gradio.HTML(elem_id="graph-said", apply_default_css=False)
    text = gradio.Textbox(
        GRAPHS["two groups"],
        label="Edges, as pairs of numbers; a number alone is a node",
        elem_id="graph-text",
        max_length=4000,
    )

    def edited(event: gradio.EventData, rule: str, rounds: float) -> Any:  # type: ignore[name-defined]
        graph = checked(vars(event).get("_data") or {})
        return passed(graph, rule, rounds), written(graph), ""

    options = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    answer, outputs = uploads.answered(3), [stage, text, said]
    named.input(answer(lambda name, *rest: again(GRAPHS[name], *rest)), [named, rule, rounds], outputs, **options)
    text.submit(answer(again), [text, rule, rounds], outputs, **options)
    stage.edited(answer(edited), [rule, rounds], outputs, **options)
    changed = answer(lambda graph, rule, rounds: (passed(checked(graph), rule, rounds), gradio.skip(), ""))
    rule.input(changed, [stage, rule, rounds], outputs, **options)
    rounds.input(changed, [stage, rule, rounds], outputs, **options)


def again(text: str, rule: str, rounds: float) -> tuple[dict[str, Any], str, str]:
    graph = typed(text)
    return passed(graph, rule, rounds), written(graph), ""


def typed(text: str) -> dict[str, Any]:
    """A graph from pairs of numbers ("0-1 1-2"), laid out; node 0 holds 1, the others 0.

    Raises:
      ValueError: something that is no pair, or too many nodes or edges.
    """
    edges, most = [], -1
    for part in re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text).strip()):
        if part and not re.fullmatch(r"\d{1,4}(-\d{1,4})?", part):
            raise uploads.Refused(f"“{part[:40]}” is no pair of nodes; write 0-1 1-2 2-0, a number for each node.")
        ends = sorted(int(end) for end in part.split("-") if end)
        most = max([most, *ends])
        edges += [(a, b) for a, b in itertools.pairwise(ends) if a != b]
    if most < 0:
        raise uploads.Refused("There is no node yet; write 0-1 1-2 2-0, or click into the drawing.")
    if most >= NODES:
        raise uploads.Refused(f"Node {most} is too many: the page draws nodes 0 to {NODES - 1}.")
    places = laid_out(most + 1, edges := sorted(set(edges)))
    nodes = [{"x": x, "y": y, "value": float(i == 0)} for i, (x, y) in enumerate(places)]
    return checked({"nodes": nodes, "edges": edges})


def laid_out(nodes: int, edges: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """Places that keep neighbours close (Fruchterman & Reingold 1991), in graph.html's drawing."""
    networkx: Any = need("networkx", extra="graphs")
    graph = networkx.Graph()
    graph.add_nodes_from(range(nodes))
    graph.add_edges_from(edges)
    start = {i: (math.cos(2 * math.pi * i / nodes), math.sin(2 * math.pi * i / nodes)) for i in range(nodes)}
    found = networkx.spring_layout(graph, pos=start, seed=0, iterations=200)
    points = np.array([found[i] for i in range(nodes)])
    low, high = points.min(0), points.max(0)
    share = (points - low) / np.where(high - low > 1e-6, high - low, 1) if nodes > 1 else np.full((1, 2), 0.5)
    placed = MARGIN + share * (np.array([WIDTH, HEIGHT]) - 2 * MARGIN)
    return [(round(float(x), 1), round(float(y), 1)) for x, y in placed]


def checked(given: Any) -> dict[str, Any]:
    """A graph as the browser sent it, with nothing in it but finite numbers within bounds.

    Raises:
      ValueError: it is none.
    """
    try:
        nodes = [{key: float(node[key]) for key in ("x", "y", "value")} for node in given["nodes"]]
        edges = [(int(a), int(b)) for a, b in given["edges"]]
    except (KeyError, TypeError, ValueError) as error:
        raise uploads.Refused("That is no graph.") from error
    if not 0 < len(nodes) <= NODES or len(edges) > EDGES:
        raise uploads.Refused(f"A graph here has 1 to {NODES} nodes and at most {EDGES} edges.")
    if any(not 0 <= end < len(nodes) for edge in edges for end in edge):
        raise uploads.Refused("An edge names a node that is not there.")
    if any(not abs(value) <= LARGEST for node in nodes for value in node.values()):
        raise uploads.Refused(f"A node's value is a number up to {LARGEST:,.0f}.")
    return {"nodes": nodes, "edges": edges}


def written(graph: dict[str, Any]) -> str:
    """The edges as text that ``typed`` reads; nodes without an edge stand alone."""
    joined = {end for edge in graph["edges"] for end in edge}
    lone = (str(i) for i in range(len(graph["nodes"])) if i not in joined)
    return " ".join([*(f"{a}-{b}" for a, b in graph["edges"]), *lone])


def passed(graph: dict[str, Any], rule: str, rounds: float) -> dict[str, Any]:
    """The graph with what its nodes hold after each round, and who sends what with which weight."""
    weighing, kind = RULES[rule]
    pairs = np.array([*graph["edges"], *((b, a) for a, b in graph["edges"])], np.int32).reshape(-1, 2)
    values = np.array([[node["value"]] for node in graph["nodes"]], np.float32)
    edges, run = weighed(weighing, pairs, len(values))
    held = [values]
    for _ in range(min(max(int(rounds), 1), ROUNDS)):
        held.append(np.asarray(run(jnp.asarray(held[-1]), edges)))
    weights = sorted(
        zip(*(np.asarray(part).tolist() for part in (edges.senders, edges.receivers, edges.weight)), strict=True)
    )
    return {
        **graph,
        "rounds": [each[:, 0].astype(float).tolist() for each in held],
        "messages": weights,
        "kind": kind,
    }


def weighed(rule: str, pairs: np.ndarray, nodes: int) -> tuple[core.Edges, Callable[..., Any]]:
    """The edges with self-loops and their weights, and the function that sums over them."""
    ends = jnp.asarray(pairs)
    plain = core.Edges(ends[:, 0], ends[:, 1], jnp.zeros(len(ends), jnp.int32), jnp.ones(len(ends)), nodes)
    kernel = jnp.ones((1, 1, 1))
    if rule == "gcn":
        return messages.gcn_edges(plain), lambda x, edges: core.graph_conv(x, kernel, edges)
    edges = messages.with_loops(plain)
    if rule == "mean":
        share = 1 / messages.degree(edges)[edges.receivers]
        return edges._replace(weight=share), lambda x, edges: core.graph_conv(x, kernel, edges)
    return edges, partial(messages.neighbour_reduce, kind=rule)
