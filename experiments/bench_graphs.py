"""How fast graph layers are, against torch_geometric's and plain segment_sum, in the same run.

    python -m experiments.bench_graphs [--out runs/bench/graphs.csv] [--quick] [--plot docs/graphs_speed.png]

Neighbour sum, GCN, GAT and GIN layers, forward and training (gradients in parameters and input), at Cora's size, at
170 k nodes and 2.3 M edges, and on 256 molecules. The edges are arguments, sorted by receiver, and nothing is prepared
outside the timing but GCN's weights. torch_geometric has its cached normalisation and, where that is faster, a sparse
matrix. Figures are medians of rounds in which the peers take turns. Memory is the most that a run holds beyond its
input: by XLA's plan, without four bytes an edge and a node in which the kernel sorts, and by torch's profiler.
"""

import argparse
import csv
import functools
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from convzoo import core, environment
from convzoo.core import graph_layers, messages
from convzoo.extras import need
from experiments.timing import rounds


class Size(NamedTuple):
    """Nodes, edges (self-loops not counted), channels in, channels out, heads."""

    nodes: int
    edges: int
    inner: int
    outer: int
    heads: int = 8


SIZES = {
    "cora": Size(2_708, 10_556, 64, 64),
    "large": Size(170_000, 2_300_000, 128, 128),
    "molecules": Size(256 * 26, 256 * 56, 64, 64),
}
LAYERS = ("sum", "gcn", "gat", "gin")
MODES = ("forward", "training")
FIELDS = (
    "size",
    "layer",
    "mode",
    "ours_ms",
    "segment_ms",
    "torch_ms",
    "times_torch",
    "ours_mb",
    "torch_mb",
)


def graph(size: Size, molecules: bool) -> np.ndarray:
    """Senders and receivers [2, edges]: degrees as uneven as a citation network's, or chains with rings."""
    generator = np.random.default_rng(0)
    if molecules:
        atoms, bonds = size.nodes // 256, size.edges // 512
        one = np.stack([np.arange(atoms - 1), np.arange(1, atoms)])
        rings = generator.integers(0, atoms - 5, (256, max(bonds - atoms + 1, 0)))
        parts = [
            np.concatenate([one, np.stack([ring, ring + 5])], 1) + atoms * index for index, ring in enumerate(rings)
        ]
        pairs = np.concatenate(parts, 1)
    else:
        popular = (size.nodes * generator.random(size.edges // 2) ** 2.5).astype(int)
        pairs = np.stack([popular, generator.integers(0, size.nodes, size.edges // 2)])
    both = np.concatenate([pairs, pairs[::-1]], 1)
    return both[:, np.lexsort((both[0], both[1]))]


def ours(layer: str, size: Size, ends: np.ndarray) -> tuple[Callable, tuple[Any, ...]]:
    """(function of parameters and input, its arguments)."""
    edges = core.Edges._make(
        (*map(jnp.asarray, (*ends.astype(np.int32), np.zeros(ends.shape[1], np.int32))), None, size.nodes)
    )
    edges = edges._replace(weight=jnp.ones(ends.shape[1], jnp.float32))
    edges = core.gcn_edges(edges) if layer == "gcn" else core.with_loops(edges) if layer == "gat" else edges
    arrays = filled(layer, size)

    def call(parameters, x, edges):
        if layer == "sum":
            return messages.neighbour_reduce(x, edges)
        if layer == "gcn":
            return messages.neighbour_reduce(core.product(x, parameters[0]), edges)
        if layer == "gin":
            first, second = parameters
            return core.product(jax.nn.relu(core.product(messages.neighbour_reduce(x, edges) + x, first)), second)
        kernel, source, target = parameters
        values = core.product(x, kernel).reshape(-1, *source.shape)
        return graph_layers.gat(values, source, target, edges)

    return call, (*map_arrays(arrays, jnp.asarray), edges)


def map_arrays(arrays, to):
    return [to(a) for a in arrays[0]], to(arrays[1])


@functools.lru_cache(maxsize=2)
def filled(layer: str, size: Size) -> tuple[list[np.ndarray], np.ndarray]:
    generator, head = np.random.default_rng(0), size.outer // size.heads
    shapes = {
        "sum": [],
        "gcn": [(size.inner, size.outer)],
        "gin": [(size.inner, size.outer), (size.outer, size.outer)],
        "gat": [(size.inner, size.outer), (size.heads, head), (size.heads, head)],
    }[layer]
    arrays = [generator.normal(size=shape).astype(np.float32) / 8 for shape in shapes]
    return arrays, generator.normal(size=(size.nodes, size.inner)).astype(np.float32)


def compiled(call: Callable, arguments: tuple[Any, ...], mode: str) -> tuple[Callable[[], Any], float]:
    """(run, megabytes of temporaries and result)."""

    # A gradient of ones would be simplified away, and so would a linear layer's forward pass if nothing kept it.
    def train(slopes, parameters, x, *graph):
        return jax.value_and_grad(lambda p, x: jnp.sum(slopes * call(p, x, *graph)), (0, 1))(parameters, x)

    if mode == "training":
        shape = jax.eval_shape(call, *arguments).shape
        arguments = (jnp.asarray(slopes_of(shape)), *arguments)
    program = jax.jit(call if mode == "forward" else train).lower(*arguments).compile()
    analysis = program.memory_analysis()
    held = analysis.temp_size_in_bytes + analysis.output_size_in_bytes if analysis else math.nan
    return lambda: program(*arguments), held / 1e6


def slopes_of(shape: tuple[int, ...]) -> np.ndarray:
    """What reaches a layer's output from above in training."""
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def theirs(layer: str, size: Size, ends: np.ndarray, mode: str) -> list[Callable[[], Any]]:
    """torch_geometric's ways: edges as a list, and where the layer takes it as a sparse matrix; [] if not installed."""
    try:
        torch: Any = need("torch", extra="parity")
        nn: Any = need("torch_geometric.nn", extra="parity")
    except ImportError:
        return []
    pairs, head = torch.from_numpy(ends.copy()), size.outer // size.heads
    arrays, nodes = filled(layer, size)
    x = torch.from_numpy(nodes.copy()).requires_grad_(mode == "training")
    ones = torch.ones(ends.shape[1])
    matrix = torch.sparse_coo_tensor(pairs.flip(0), ones, (size.nodes, size.nodes)).coalesce().to_sparse_csr()
    if layer == "gcn":
        net = nn.GCNConv(size.inner, size.outer, bias=False, cached=True)
    elif layer == "gat":
        net = nn.GATConv(size.inner, head, heads=size.heads, bias=False)
    elif layer == "gin":
        linear = functools.partial(torch.nn.Linear, bias=False)
        mlp = torch.nn.Sequential(linear(size.inner, size.outer), torch.nn.ReLU(), linear(size.outer, size.outer))
        net = nn.GINConv(mlp)
    else:
        net = nn.SimpleConv(aggr="sum")
    del arrays
    slopes = torch.from_numpy(slopes_of((size.nodes, size.inner if layer == "sum" else size.outer)))

    def way(edges: Any) -> Callable[[], Any]:
        def run():
            if mode == "forward":
                with torch.inference_mode():
                    return net(x, edges)
            net.zero_grad()
            x.grad = None
            return (slopes * net(x, edges)).sum().backward()

        return run

    return [way(pairs)] if layer == "gat" else [way(pairs), way(matrix)]


def peak(run: Callable[[], Any]) -> float:
    """Megabytes that torch holds at most during a run, beyond what it held before."""
    profiler: Any = need("torch.profiler", extra="parity")
    kinds = [profiler.ProfilerActivity.CPU]
    with profiler.profile(activities=kinds, profile_memory=True) as profile:
        run()
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    return most / 1e6


def medians(runs: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """Milliseconds, the peers taking turns."""
    return {name: statistics.median(times) for name, times in rounds(runs, seconds, most=40).items()}


def measure(name: str, layer: str, mode: str, seconds: float) -> dict[str, Any]:
    size = SIZES[name]
    ends = graph(size, name == "molecules")
    call, arguments = ours(layer, size, ends)
    ready = {"ours": compiled(call, arguments, mode)}
    with core.force("lax"):
        ready["segment"] = compiled(call, arguments, mode)
    runs = {way: run for way, (run, _) in ready.items()}
    peers = {f"torch{index}": run for index, run in enumerate(theirs(layer, size, ends, mode))}
    found = medians(runs | peers, seconds)
    best = min(peers, key=lambda way: found[way], default="")
    torch, memory = (found[best], peak(peers[best])) if best else (math.nan, math.nan)
    figures = [found["ours"], found["segment"], torch, torch / found["ours"], ready["ours"][1], memory]
    return dict(zip(FIELDS, [name, layer, mode, *(round(value, 3) for value in figures)], strict=True))


def curve(seconds: float, most: int) -> list[tuple[int, float, float]]:
    """(edges, our milliseconds, plain segment_sum's) of a neighbour sum of 32 channels, ten edges a node."""
    found = []
    for edges in (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000):
        if edges > most:
            break
        size = Size(edges // 10, edges, 32, 32)
        ends = graph(size, False)
        runs = {}
        for name, way in (("ours", None), ("segment", "lax")):
            with core.force(way):
                runs[name], _ = compiled(*ours("sum", size, ends), "forward")
        times = medians(runs, seconds)
        found.append((edges, times["ours"], times["segment"]))
        print(f"{edges:>10,} edges: {times['ours']:.2f} ms, segment_sum {times['segment']:.2f} ms", flush=True)
    return found


def draw(found: Sequence[tuple[int, float, float]], path: Path) -> None:
    plots: Any = need("matplotlib.pyplot", extra="plots")
    figure, panel = plots.subplots(figsize=(5, 3.6), layout="constrained")
    edges, mine, plain = zip(*found, strict=True)
    panel.loglog(edges, mine, "o-", label="convzoo")
    panel.loglog(edges, plain, "s--", label="segment_sum")
    panel.set(xlabel="edges", ylabel="milliseconds", title="neighbour sum, 32 channels")
    panel.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plots.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.bench_graphs", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench/graphs.csv"), metavar="FILE")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--layers", nargs="+", default=list(LAYERS), choices=LAYERS)
    parser.add_argument("--quick", action="store_true", help="a few rounds each")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw time over edges up to 10 M instead")
    options = parser.parse_args(arguments)
    seconds = 0.5 if options.quick else 5.0
    if options.plot:
        draw(curve(seconds, 300_000 if options.quick else 10_000_000), options.plot)
        return 0
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer: Any = csv.DictWriter(file, list(FIELDS))
        writer.writeheader()
        for name in options.sizes:
            for layer in options.layers:
                for mode in MODES:
                    row = measure(name, layer, mode, seconds)
                    writer.writerow(row)
                    file.flush()
                    print(
                        f"{name:10} {layer:4} {mode:9} ours {row['ours_ms']:9.2f} ms, segment_sum "
                        f"{row['segment_ms']:9.2f}, torch_geometric {row['torch_ms']:9.2f} "
                        f"({row['times_torch']:.2f} times ours); {row['ours_mb']:.0f} MB against {row['torch_mb']:.0f}",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
