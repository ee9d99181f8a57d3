"""The figures of experiments.measure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convzoo.explain.equivariance import Shifted
from convzoo.explain.fields import Field
from convzoo.extras import need

SHOWN = {"efficientnet_lite0": "efficientnet_lite0, photographs"}


class Table(NamedTuple):
    """A matrix with names."""

    rows: Sequence[str]
    columns: Sequence[str]
    values: np.ndarray


def plotting() -> Any:
    need("matplotlib", extra="plots").use("agg")
    return need("matplotlib.pyplot", extra="plots")


def shaded(plots: Any, count: int) -> list[Any]:
    """Colours from shallow to deep."""
    return [plots.get_cmap("viridis")(share) for share in np.linspace(0, 0.9, max(count, 2))]


def shifts(path: Path, found: Mapping[str, Shifted]) -> None:
    """Error over shift, a panel a network and a line a waypoint; the answers kept as the dashed line."""
    plots = plotting()
    figure, panels = plots.subplots(1, len(found), figsize=(3.4 * len(found), 3.6), sharey=True, layout="constrained")
    for panel, (network, each) in zip(panels, found.items(), strict=True):
        for colour, (waypoint, error) in zip(shaded(plots, len(each.error)), each.error.items(), strict=False):
            panel.plot(each.shifts, error, "o-", color=colour, markersize=3, label=waypoint)
        panel.plot(each.shifts, 1 - each.kept, "k--", label="answers changed")
        panel.set(title=SHOWN.get(network, f"digits {network}"), xlabel="shift", xticks=each.shifts, ylim=(-0.03, 1))
        panel.legend(fontsize=7, ncols=2)
    panels[0].set_ylabel("error: 0 equivariant, 1 unrelated")
    figure.savefig(path, dpi=150)
    plots.close(figure)


def blur(path: Path, found: Mapping[str, Mapping[int, Sequence[tuple[float, Shifted]]]]) -> None:
    """With and without: the deepest waypoint's error, the pooled one's, and the answers changed, over the shift."""
    plots = plotting()
    figure, panels = plots.subplots(len(found), 3, figsize=(10, 3.4 * len(found)), layout="constrained", squeeze=False)
    for row, (name, networks) in zip(panels, found.items(), strict=True):
        for colour, (window, runs) in zip(("tab:red", "tab:blue", "tab:green"), networks.items(), strict=False):
            told = f"blur {window}" if window else "strides as usual"
            shifted = [each for _, each in runs]
            deepest = [waypoint for waypoint in shifted[0].error if waypoint != "pooled"][-1]
            curves = (
                (f"{deepest}: error", [each.error[deepest] for each in shifted]),
                ("pooled: error", [each.error["pooled"] for each in shifted]),
                ("answers changed", [1 - each.kept for each in shifted]),
            )
            for panel, (title, values) in zip(row, curves, strict=True):
                accuracy = 100 * np.mean([share for share, _ in runs])
                panel.plot(shifted[0].shifts, np.mean(values, 0), "o-", color=colour, label=f"{told}, {accuracy:.1f} %")
                panel.fill_between(shifted[0].shifts, np.min(values, 0), np.max(values, 0), color=colour, alpha=0.15)
                panel.set(title=f"{name}, {title}", xlabel="shift, pixels", ylim=(0, None))
        row[0].legend(fontsize=8)
    figure.savefig(path, dpi=150)
    plots.close(figure)


def fields(path: Path, found: Mapping[str, Mapping[str, Mapping[str, Field]]]) -> None:
    """Sizes over depth, a panel a network; below, what the middle unit of some waypoints of the first sees."""
    plots = plotting()
    first = next(iter(found.values()))
    shown = [name for name in first["trained"] if name != "top"][1::2][:4]
    figure = plots.figure(figsize=(12, 9), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.5))
    for panel, (network, both) in zip(above.subplots(1, len(found)), found.items(), strict=True):
        names = list(both["trained"])
        for told, style in (("trained", "o-"), ("untrained", "s--")):
            panel.plot([both[told][name].side for name in names], style, label=told)
        panel.plot([both["trained"][name].theoretical for name in names], "k:", label="theoretical, on the input")
        panel.set(title=SHOWN.get(network, f"digits {network}"), ylabel="side", ylim=(0, None))
        panel.set_xticks(range(len(names)), names, rotation=60)
        panel.legend(fontsize=8)
    for row, told in zip(below.subplots(2, len(shown)), ("trained", "untrained"), strict=True):
        for panel, name in zip(row, shown, strict=True):
            weight = first[told][name].weight
            panel.imshow(np.sqrt(weight / weight.max()), cmap="magma", interpolation="nearest")
            panel.set(title=f"{name}, {told}: {first[told][name].side:.0f} pixels", xticks=[], yticks=[])
    figure.savefig(path, dpi=110)
    plots.close(figure)


def similarity(path: Path, tables: Mapping[tuple[str, str], Table]) -> None:
    """The matrices; the last one, of the modalities, is the large one."""
    plots = plotting()
    *small, ((_, _), large) = tables.items()
    figure = plots.figure(figsize=(13, 7), layout="constrained")
    left, right = figure.subfigures(1, 2)
    panels = [*left.subplots(2, 2).flat, right.subplots()]
    for panel, ((first, second), table) in zip(panels, [*small, (("", ""), large)], strict=True):
        shown = panel.imshow(table.values, vmin=0, vmax=1, cmap="viridis")
        panel.set_xticks(range(len(table.columns)), table.columns, rotation=90, fontsize=7)
        panel.set_yticks(range(len(table.rows)), table.rows, fontsize=7)
        if first:
            panel.set(ylabel=first, xlabel=second)
    panels[-1].set_title("four modalities, other examples of the same digits")
    right.colorbar(shown, ax=panels[-1], label="linear CKA, unbiased", shrink=0.6)
    figure.savefig(path, dpi=130)
    plots.close(figure)
