"""The pictures of the course in docs/course, every number in them measured here.

    python -m experiments.course [--out docs/course] [--only NAME ...]

A few minutes on two CPU cores. What is published elsewhere (accuracies on ImageNet) is a table with its source.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import convzoo
from convzoo import core, environment
from convzoo.explain import drawn, filters
from convzoo.extras import MissingExtra, need
from convzoo.models.efficientnet import gated
from experiments.course_networks import BLUE, GREEN, GREY, RED, alexnet, blocks, panels, residuals, scaling

DOTS = 110  # an inch


# --- 1 and 2: the kernel, stacked -------------------------------------------------------------------------------------


def kernel() -> Any:
    """Three drawn pictures under four kernels: the maps, signed, and the mean size of an answer."""
    names = ("horizontal edges", "vertical edges", "diagonal edges", "blur")
    figure, grid = panels(3, 5, 10, 6.2)
    for (name, draw), line in zip(drawn.PICTURES.items(), grid, strict=True):
        x = draw(64)
        line[0].imshow(x, cmap="gray", vmin=0, vmax=1)
        line[0].set_title(name, fontsize=9)
        for panel, which in zip(line[1:], names, strict=True):
            found = filters.feature_map(x, filters.kernel(which))
            limit = float(np.abs(filters.kernel(which).values).sum()) / 2  # the most that values of 0 to 1 can give
            panel.imshow(found, cmap="RdBu_r", vmin=-limit, vmax=limit)
            panel.set_title(f"{which}: {np.abs(found).mean():.3f}", fontsize=9)
    for panel in grid.flat:
        panel.set_axis_off()
    figure.suptitle("red: positive, blue: negative; the numbers are the mean size of an answer", fontsize=9)
    return figure


def fields() -> Any:
    """How far each waypoint of four networks sees; how a stack of 3-wide averages weighs what it sees."""
    networks = {
        "CIFAR ResNet-20": convzoo.create("cifar_resnet20", width=4, ranks=(1,)),
        "ResNet-18": convzoo.create("resnet18", width=4, ranks=(1,)),
        "EfficientNet-B0": gated(0.25, 1.0).clone(ranks=(1,)),
        "ConvNeXt-A": convzoo.create("convnext_atto", widths=(4, 4, 4, 4), ranks=(1,)),
    }
    figure, (grown, bell) = panels(1, 2, 9.5)
    for colour, (name, model) in zip((GREY, BLUE, RED, GREEN), networks.items(), strict=True):
        spans = [info.field[0] for info in convzoo.feature_info(model, (1, 256, 3)).values() if info.field]
        grown.plot(range(len(spans)), spans, "o-", color=colour, label=name)
        grown.annotate(
            str(spans[-1]), (len(spans) - 1, spans[-1]), xytext=(4, 3), textcoords="offset points", fontsize=8
        )
    grown.axhline(224, color="black", lw=0.8, ls=":")
    grown.text(0, 235, "a photograph's 224 pixels", fontsize=8)
    grown.set(yscale="log", xlabel="waypoint: stem, stage 0, stage 1, ...", ylabel="receptive field, pixels")
    grown.set(title="what can change a place", xlim=(-0.3, 8.6))
    grown.legend(fontsize=8, loc="lower right")

    middle, places = 100, np.arange(201) - 100
    for colour, layers in ((GREEN, 4), (BLUE, 16), (RED, 64)):

        def answer(x, layers=layers):
            for _ in range(layers):
                x = core.conv(x, jnp.ones((3, 1, 1)) / 3)
            return x[0, middle, 0]

        weights = np.asarray(jax.grad(answer)(jnp.zeros((1, 201, 1))))[0, :, 0]
        width = float((weights * places**2).sum() ** 0.5)
        told = f"{layers} layers: field {np.count_nonzero(weights)}, deviation {width:.1f}"
        bell.plot(places, weights / weights.max(), color=colour, label=told)
        bell.plot([-layers, layers], [-0.02 - layers / 900] * 2, color=colour, lw=3)
    bell.set(xlabel="place in the input", ylabel="weight, the middle's is 1", xlim=(-75, 75), ylim=(-0.15, 1.5))
    bell.set_title("how much it changes it: a stack of 3-wide averages")
    bell.legend(fontsize=8, loc="upper right")
    return figure


# --- 7: one dimension -----------------------------------------------------------------------------------------------


def sound() -> Any:
    """A kernel on a chirp; all of them, which is a spectrogram; the fields of causal stacks."""
    rate, size, hop, bins = 8000, 256, 64, (16, 48, 80)
    time = np.arange(rate) / rate
    wave = np.sin(2 * np.pi * (200 * time + 1400 * time**2)).astype(np.float32)
    place = np.arange(size)[:, None]
    tones = np.exp(-2j * np.pi * place * np.arange(size // 2 + 1) / size) * np.hanning(size + 1)[:-1, None]
    kernels = jnp.asarray(np.concatenate([tones.real, tones.imag], 1)[:, None], jnp.float32)
    slid = core.conv(jnp.asarray(wave)[None, :, None], kernels, stride=hop, padding="VALID")
    power = np.hypot(*np.split(np.asarray(slid[0]), 2, axis=-1))
    figure, (answers, spectrum, heard) = panels(1, 3, 12)
    for colour, found in zip((GREEN, BLUE, RED), bins, strict=True):
        answers.plot(
            np.arange(len(power)) * hop / rate, power[:, found], color=colour, label=f"{found * rate // size} Hz"
        )
    answers.set(xlabel="seconds", ylabel="size of the answer", title="three kernels along a chirp")
    answers.set_ylim(-3, 80)
    answers.legend(fontsize=8, loc="upper center", ncols=3)
    spectrum.imshow(power.T, origin="lower", aspect="auto", extent=(0, 1, 0, rate / 2000), cmap="magma")
    spectrum.set(xlabel="seconds", ylabel="kHz", title=f"{kernels.shape[-1] // 2} of them: a spectrogram")
    networks = {
        "TCN: dilations 1 to 32": (convzoo.create("tcn", widths=(4,) * 6), 40),
        "WaveNet: 1 to 512, twice": (convzoo.create("wavenet", width=4, skip=4), 1),
        "TCN without dilation": (None, 0),
    }
    for colour, (name, (model, channels)) in zip((BLUE, RED, GREY), networks.items(), strict=True):
        if model is None:
            spans = [1 + 4 * (block + 1) for block in range(20)]
        else:
            infos = convzoo.feature_info(model, (1, 500, channels))
            spans = [info.field[0] for at, info in infos.items() if at.startswith("block") and info.field]
        heard.plot(range(1, len(spans) + 1), spans, ".-", color=colour, label=f"{name}: {spans[-1]:,}")
    heard.set(yscale="log", xlabel="blocks", ylabel="receptive field, steps", title="how far back a causal stack hears")
    heard.legend(fontsize=8)
    return figure


# --- 8: graphs ------------------------------------------------------------------------------------------------------


def graph() -> Any:
    """A kernel over a grid and over nodes thrown at random; a message in a club; nodes becoming alike."""
    networkx: Any = need("networkx", extra="graphs")
    figure, grid = panels(1, 4, 13, 3.5)
    x, edge = drawn.cross(32), filters.kernel("horizontal edges")
    limit = 3.0
    grid[0].imshow(filters.feature_map(x, edge), cmap="RdBu_r", vmin=-limit, vmax=limit)
    grid[0].set_title("'horizontal edges' over a grid", fontsize=9)
    places = filters.scattered(32)
    rows, columns = np.rint(places).astype(int).T
    found = filters.graph_map(x[rows, columns], filters.plane_edges(places, (3, 3)), edge)
    grid[1].scatter(places[:, 1], places[:, 0], c=found, cmap="RdBu_r", vmin=-limit, vmax=limit, s=9)
    grid[1].set_title(f"and over {len(places)} listed nodes", fontsize=9)
    grid[1].invert_yaxis()
    grid[1].set_aspect("equal")

    club = networkx.karate_club_graph()
    pairs = np.array(club.edges).T
    senders, receivers = np.concatenate([pairs, pairs[::-1]], 1)
    known = [jnp.asarray(each) for each in (senders, receivers, np.zeros(len(senders), np.int32))]
    edges = core.gcn_edges(core.Edges(known[0], known[1], known[2], jnp.ones(len(senders)), len(club)))
    told, hops = jnp.zeros((len(club), 1)).at[16].set(1.0), np.full(len(club), 6)
    for hop in range(6):
        hops = np.where((np.asarray(told[:, 0]) > 0) & (hops == 6), hop, hops)
        told = core.graph_conv(told, jnp.ones((1, 1, 1)), edges)
    where = networkx.kamada_kawai_layout(club)
    networkx.draw_networkx(club, where, ax=grid[2], node_color=hops, cmap="viridis", node_size=110, font_size=6,
        font_color="white", edge_color="0.75", vmax=6)  # fmt: skip
    counts = ", ".join(f"{int((hops <= hop).sum())}" for hop in range(6))
    grid[2].set_title(f"member 16's secret after 0, 1, ... 5 layers:\n{counts} members know", fontsize=9)

    degree = np.bincount(np.asarray(edges.receivers), minlength=len(club))[:, None]
    start = alone = skip = jax.random.normal(jax.random.key(0), (len(club), 64))
    shares = []
    for _ in range(33):
        flat = [np.asarray(each) / degree**0.5 for each in (alone, skip)]
        shares.append([np.linalg.norm(each - each.mean(0)) / np.linalg.norm(each) for each in flat])
        alone, skip = (core.graph_conv(each, jnp.eye(64)[None], edges) for each in (alone, skip))
        skip = (skip + start) / 2
    for colour, label, values in zip(
        (RED, BLUE), ("alone", "half of the start kept"), zip(*shares, strict=True), strict=True
    ):
        grid[3].plot(values, color=colour, label=label)
    grid[3].set(xlabel="layers", ylim=(0, 1.05))
    grid[3].set_title("share of the features that differs\nbetween members", fontsize=9)
    grid[3].legend(fontsize=8)
    for panel in grid[:3]:
        panel.set_axis_off()
    return figure


PICTURES: dict[str, Callable[[], Any]] = {
    "kernel": kernel,
    "fields": fields,
    "alexnet": alexnet,
    "residuals": residuals,
    "scaling": scaling,
    "blocks": blocks,
    "sound": sound,
    "graph": graph,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.course", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/course"), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=tuple(PICTURES), default=tuple(PICTURES), metavar="NAME")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        plots: Any = need("matplotlib.pyplot", extra="plots")
        for name in options.only:
            figure, path = PICTURES[name](), options.out / f"{name}.png"
            figure.savefig(path, dpi=DOTS)
            plots.close(figure)
            print(path, f"{path.stat().st_size / 1e3:.0f} kB")
    except MissingExtra as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
