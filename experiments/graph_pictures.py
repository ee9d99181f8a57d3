"""The pictures of docs/graphs.md: the law on a small grid, what a GCN makes of a club, which edges mattered.

    python -m experiments.graph_pictures [--out docs]

The club is Zachary's (1977), which networkx carries: 34 members, who went with whom when it split.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convzoo import core, environment
from convzoo.apps import graph
from convzoo.extras import MissingExtra, need

SPACE, WINDOW, CENTRE = (3, 4), 3, 5
MEMBER = "8"  # one between the two sides


def law(path: Path) -> Path:
    """A window on a grid, the same as listed neighbours, and the tap of every edge as a matrix."""
    plots: Any = need("matplotlib.pyplot", extra="plots")
    edges = core.grid_edges(SPACE, WINDOW)
    senders, receivers, taps = (np.asarray(a) for a in edges[:3])
    colours, nodes = plots.get_cmap("Set1")(np.arange(WINDOW**2)), edges.num_receivers
    rows, columns = np.divmod(np.arange(nodes), SPACE[1])
    heard = receivers == CENTRE
    figure, (slid, listed, matrix) = plots.subplots(1, 3, figsize=(12, 3.9), layout="constrained")

    for node in range(nodes):
        slid.add_patch(plots.Rectangle((columns[node] - 0.5, rows[node] - 0.5), 1, 1, fc="white", ec="0.6"))
    for sender, tap in zip(senders[heard], taps[heard], strict=True):
        corner = columns[sender] - 0.5, rows[sender] - 0.5
        slid.add_patch(plots.Rectangle(corner, 1, 1, fc=colours[tap], ec="black", alpha=0.75))
        slid.annotate(f"tap {tap}", (columns[sender], rows[sender] + 0.3), ha="center", va="center", fontsize=8)
    slid.set_title(f"the kernel slides: its window over place {CENTRE}")

    around = senders[heard] != CENTRE
    for sender, tap in zip(senders[heard][around], taps[heard][around], strict=True):
        ends = [(columns[n], rows[n]) for n in (CENTRE, sender)]
        arrow = {"arrowstyle": "->", "color": colours[tap], "lw": 2, "shrinkA": 13, "shrinkB": 13}
        listed.annotate("", *ends, arrowprops=arrow)
    own = taps[heard][~around][0]
    face = [colours[own] if node == CENTRE else "white" for node in range(nodes)]
    listed.scatter(columns, rows, s=420, c=face, edgecolors="black", zorder=3)
    listed.set_title(f"the neighbours are listed: whom node {CENTRE} hears")

    for panel in (slid, listed):
        for node in range(nodes):
            panel.annotate(str(node), (columns[node], rows[node]), ha="center", va="center", zorder=4)
        panel.set(xlim=(-0.7, SPACE[1] - 0.3), ylim=(SPACE[0] - 0.3, -0.7), aspect="equal")
        panel.set_axis_off()

    table = np.ones((nodes, nodes, 4))
    table[receivers, senders] = colours[taps]
    matrix.imshow(table)
    for sender, receiver, tap in zip(senders, receivers, taps, strict=True):
        matrix.annotate(str(tap), (sender, receiver), ha="center", va="center", fontsize=7)
    matrix.set(xlabel="sender", ylabel="receiver", xticks=range(nodes), yticks=range(nodes))
    matrix.set_title("all edges, and through which tap")
    figure.savefig(path, dpi=120)
    plots.close(figure)
    return path


def club() -> graph.Loaded:
    """Zachary's club as a person's own graph."""
    networkx: Any = need("networkx", extra="graphs")
    found = networkx.karate_club_graph()
    pairs = np.array(found.edges, int).T
    labels = [found.nodes[member]["club"] for member in found]
    return graph.Loaded(list(map(str, found)), None, labels, np.concatenate([pairs, pairs[::-1]], 1), [])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.graph_pictures", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        made = [law(options.out / "graphs_law.png")]
        loaded = club()
        result = graph.learn(loaded)
        node = loaded.names.index(MEMBER)
        made += [
            path.replace(path.with_name(f"graphs_{path.name}")) for path in graph.draw(loaded, result, options.out)
        ]
        made += [graph.draw_why(loaded, result, node, graph.why(result, node), options.out / "graphs_why.png")]
    except MissingExtra as error:
        print(error, file=sys.stderr)
        return 1
    print(*(f"{part} {share:.1%}" for part, share in result.accuracy.items()), *made, sep="\n")
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
