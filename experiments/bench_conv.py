"""How fast the core's convolutions are, against XLA's own and against torch, and the sweep that chooses the ways.

    python -m experiments.bench_conv [--quick] [--out runs/bench/conv.csv]    # the rows of docs/speed.md; resumes
    python -m experiments.bench_conv --sweep                                  # measures every way, writes ways.json
    python -m experiments.bench_conv --plot docs                              # the roofline of the CSV, with matplotlib

Every figure is the median of rounds in which the peers take turns, so that a busy machine slows all alike; ``low`` and
``high`` are its quartiles. torch is timed where it is installed. float32, as many threads as the machine has cores.
"""

import argparse
import csv
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from convzoo import core, environment
from convzoo.core.lowering import choice
from convzoo.core.shapes import Geometry, out_space
from experiments.timing import THREADS, append, peak_bytes, peaks, quartiles, read, rounds

WAYS_FILE = Path(choice.__file__).with_name("ways.json")


@dataclass(frozen=True)
class Case:
    """One operator on one shape; ``groups=0`` is depthwise."""

    row: str
    space: tuple[int, ...]
    channels: int
    window: int
    out: int = 0
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    batch: int = 8
    padding: str = "HALF"
    transposed: bool = False
    quick: bool = field(default=False, compare=False)

    @property
    def arguments(self) -> dict:
        groups = self.groups or self.channels
        return {"stride": self.stride, "dilation": self.dilation, "groups": groups, "padding": self.padding}

    @property
    def kernel(self) -> tuple[int, ...]:
        window = (self.window,) * len(self.space)
        return (*window, self.channels // (self.groups or self.channels), self.out or self.channels)

    @property
    def name(self) -> str:
        extra = [f"s{self.stride}"] * (self.stride > 1) + [f"d{self.dilation}"] * (self.dilation > 1)
        extra += [f"g{self.groups}"] * (self.groups > 1) + [self.padding.lower()] * (self.padding != "HALF")
        shape = "x".join(map(str, (self.batch, *self.space, self.channels)))
        return " ".join([f"{shape}>{self.out or self.channels} k{self.window}", *extra])

    def arrays(self):
        random = np.random.default_rng(0)
        shapes = ((self.batch, *self.space, self.channels), self.kernel)
        return tuple(jnp.asarray(random.standard_normal(shape), jnp.float32) for shape in shapes)


DEPTHWISE = [
    Case("depthwise 2d", (n, n), c, k, stride=s, groups=0, quick=quick)
    for n, c, k, s, quick in [
        (112, 96, 3, 1, False), (112, 96, 3, 2, True), (56, 144, 3, 1, False), (56, 96, 7, 1, True),
        (56, 144, 5, 2, False), (28, 192, 5, 1, True), (28, 192, 7, 1, False), (28, 240, 3, 2, False),
        (14, 384, 7, 1, False), (14, 480, 3, 1, False), (14, 672, 5, 2, False),
    ]
]  # fmt: skip
ROWS = [
    *DEPTHWISE,
    Case("depthwise 1d", (4000,), 64, 3, groups=0, quick=True),
    Case("depthwise 1d", (1000,), 128, 15, groups=0),
    Case("depthwise 1d", (4000,), 64, 80, groups=0, stride=4),
    Case("depthwise 1d", (4000,), 64, 3, groups=0, dilation=8, padding="CAUSAL"),
    Case("depthwise 3d", (16, 28, 28), 48, 3, groups=0, batch=2, quick=True),
    Case("depthwise 3d", (8, 14, 14), 96, 3, groups=0, batch=4, stride=2),
    Case("grouped", (27, 27), 96, 5, out=256, groups=2, quick=True),
    Case("grouped", (28, 28), 128, 3, groups=8),
    Case("grouped", (56, 56), 128, 3, groups=32),
    Case("grouped", (14, 14), 512, 3, groups=32, quick=True),
    Case("grouped", (14, 14), 512, 3, groups=64),
    Case("1x1 and patchify", (56, 56), 64, 1, out=256, quick=True),
    Case("1x1 and patchify", (14, 14), 1024, 1, out=256),
    Case("1x1 and patchify", (56, 56), 256, 1, out=512, stride=2),
    Case("1x1 and patchify", (224, 224), 3, 4, out=96, stride=4, padding="VALID", quick=True),
    Case("1x1 and patchify", (28, 28), 192, 2, out=384, stride=2, padding="VALID"),
    Case("dense", (56, 56), 64, 3, out=64, quick=True),
    Case("dense", (28, 28), 128, 3, out=128),
    Case("dense", (14, 14), 256, 3, out=256),
    Case("dense", (56, 56), 128, 3, out=128, stride=2),
    Case("stem", (224, 224), 3, 7, out=64, stride=2, quick=True),
    Case("stem", (224, 224), 3, 3, out=32, stride=2),
    Case("transposed", (28, 28), 128, 4, out=64, stride=2, transposed=True, quick=True),
    Case("transposed", (28, 28), 128, 3, out=64, stride=2, transposed=True),
    Case("transposed", (8, 14, 14), 64, 2, out=32, stride=2, batch=2, padding="VALID", transposed=True),
    Case("transposed", (8, 14, 14), 64, 3, out=32, stride=2, batch=2, transposed=True),
]

# --- one operator ----------------------------------------------------------------------------------------------------


def step_of(case: Case, mode: str) -> Callable:
    op = core.conv_transpose if case.transposed else core.conv

    def forward(x, kernel):
        return op(x, kernel, **case.arguments)

    def both(x, kernel, ct):
        y, back = jax.vjp(forward, x, kernel)
        return y, *back(ct)

    return forward if mode == "forward" else both


def compiled(case: Case, mode: str, lowering: str | None) -> tuple[Callable, float, int, Any]:
    """(run, seconds to compile, peak bytes, y)."""
    args = case.arrays()
    with core.force(lowering):
        shape = jax.eval_shape(step_of(case, "forward"), *args)
        args = args if mode == "forward" else (*args, jnp.ones(shape.shape, shape.dtype))
        start = time.perf_counter()
        program = jax.jit(step_of(case, mode)).lower(*args).compile()
        seconds = time.perf_counter() - start
    return (lambda: program(*args)), seconds, peak_bytes(program), shape


def torch_runs(case: Case, mode: str) -> dict[str, Callable]:
    """Channels first and channels last; nothing where torch is not installed."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {}
    torch.set_num_threads(THREADS)
    rank, functional = len(case.space), torch.nn.functional
    op = getattr(functional, f"conv{'_transpose' * case.transposed}{rank}d")
    left, right = (case.window - 1) * case.dilation // 2, -(-(case.window - 1) * case.dilation // 2)
    padding = {"HALF": left, "VALID": 0, "CAUSAL": 0}[case.padding]
    uneven = (left != right and case.padding == "HALF" and not case.transposed) or case.padding == "CAUSAL"
    pad = ((case.window - 1) * case.dilation, 0) if case.padding == "CAUSAL" else (left, right)

    def runs(last: bool) -> Callable:
        x, kernel = (np.asarray(a) for a in case.arrays())
        order = (rank, rank + 1) if case.transposed else (rank + 1, rank)
        x = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
        kernel = torch.from_numpy(kernel.transpose(*order, *range(rank)).copy())
        if last:
            form = {2: torch.channels_last, 3: torch.channels_last_3d}[rank]
            x, kernel = x.to(memory_format=form), kernel.to(memory_format=form)
        options = {k: v for k, v in case.arguments.items() if k != "padding"}
        if not uneven:
            options["padding"] = padding

        def forward():
            return op(functional.pad(x, pad * rank) if uneven else x, kernel, **options)

        def run():
            with torch.inference_mode():
                forward()

        if mode == "forward":
            return run
        x.requires_grad_()
        kernel.requires_grad_()
        ct = torch.ones_like(forward())

        def train():
            x.grad = kernel.grad = None
            forward().backward(ct)

        return train

    return {"torch_first": runs(False)} | ({"torch_last": runs(True)} if rank > 1 else {})


def measure(case: Case, mode: str, roof: dict[str, float], seconds: float) -> dict:
    ours, seconds_ours, memory, y = compiled(case, mode, None)
    lax, seconds_lax, memory_lax, _ = compiled(case, mode, "lax")
    times = rounds({"convzoo": ours, "lax": lax, **torch_runs(case, mode)}, seconds)
    low, middle, high = quartiles(times["convzoo"])
    medians = {name: statistics.median(values) for name, values in times.items()}
    torch = min((medians[name] for name in medians if name.startswith("torch")), default=math.nan)
    x, kernel = case.arrays()
    taps = math.prod(kernel.shape[:-1])
    macs = math.prod(x.shape[:-1]) * math.prod(kernel.shape) if case.transposed else math.prod(y.shape) * taps
    gflop = 2 * macs * (1 if mode == "forward" else 3) / 1e9
    moved = (x.nbytes + kernel.nbytes + 4 * math.prod(y.shape)) * (1 if mode == "forward" else 3) / 1e9
    return {
        "row": case.row, "case": case.name, "mode": mode, "ms": round(middle, 3), "low": round(low, 3),
        "high": round(high, 3), **{f"{name}_ms": round(medians[name], 3) for name in medians if name != "convzoo"},
        "ratio_lax": round(medians["lax"] / middle, 3), "ratio_torch": round(torch / middle, 3),
        "compile_s": round(seconds_ours, 2), "compile_lax_s": round(seconds_lax, 2), "peak_mb": round(memory / 1e6, 1),
        "peak_lax_mb": round(memory_lax / 1e6, 1),
        "gflops": round(gflop / middle * 1e3, 1), "gbs": round(moved / middle * 1e3, 2),
        "intensity": round(gflop / moved, 2), "peak_gflops": round(roof["gflops"]), "peak_gbs": round(roof["gbs"], 1),
        "load": round(os.getloadavg()[0], 1), "rounds": len(times["convzoo"]),
    }  # fmt: skip


FIELDS = (
    *("row", "case", "mode", "ms", "low", "high", "lax_ms", "torch_first_ms", "torch_last_ms", "ratio_lax"),
    *(
        "ratio_torch",
        "compile_s",
        "compile_lax_s",
        "peak_mb",
        "peak_lax_mb",
        "gflops",
        "gbs",
        "intensity",
        "peak_gflops",
    ),
    *("peak_gbs", "load", "rounds"),
)


# --- steps under vmap and scan ----------------------------------------------------------------------------------------


def step_rows(seconds: float) -> list[dict]:
    """A training step of a 3x3 convolution over 4 kernels by vmap, and 10 steps inside lax.scan, against the loop."""
    random = np.random.default_rng(0)
    x = jnp.asarray(random.standard_normal((64, 16, 16, 32)), jnp.float32)
    kernels = jnp.asarray(random.standard_normal((4, 3, 3, 32, 32)), jnp.float32) * 0.05

    def step(kernel):
        return kernel - 1e-3 * jax.grad(lambda k: jnp.square(core.conv(x, k)).mean())(kernel)

    one, many = jax.jit(step), jax.jit(jax.vmap(step))
    ten = jax.jit(lambda k: jax.lax.scan(lambda k, _: (step(k), None), k, None, length=10)[0])

    def loop(count, run):
        kernel = kernels[0]
        for _ in range(count):
            kernel = run(kernel)
        return kernel

    times = rounds(
        {
            "vmap": lambda: many(kernels), "four": lambda: [one(kernel) for kernel in kernels],
            "scan": lambda: ten(kernels[0]), "ten": lambda: loop(10, one),
        },
        seconds * 2,
    )  # fmt: skip
    return [
        row_of("step", title, "64x16x16x32>32 k3", {"convzoo": times[name], base: times[base]}, base)
        for name, base, title in (("vmap", "four", "vmap over 4 kernels"), ("scan", "ten", "10 steps in lax.scan"))
    ]


def graph_rows(seconds: float, nodes: int = 170_000, edges: int = 2_300_000, channels: int = 128) -> list[dict]:
    """``graph_conv``, degrees as in a citation graph, against the same by segment_sum and by PyTorch Geometric's
    GCNConv, from an edge list (``torch_first``) and from a sparse matrix (``torch_last``)."""
    random = np.random.default_rng(0)
    popular = random.zipf(1.8, nodes).clip(1, 2000)
    senders = random.integers(0, nodes, edges)
    receivers = random.choice(nodes, edges, p=popular / popular.sum())
    weight, x = (random.standard_normal(shape, np.float32) for shape in ((edges,), (nodes, channels)))
    kernel = random.standard_normal((1, channels, channels), np.float32) * channels**-0.5
    integers = [jnp.asarray(a, jnp.int32) for a in (senders, receivers, np.zeros(edges))]
    listed = core.Edges(integers[0], integers[1], integers[2], jnp.asarray(weight), nodes)
    arrays = jnp.asarray(x), jnp.asarray(kernel), jnp.ones((nodes, channels))

    def runs(way):
        def forward(x, kernel, _, listed):
            return core.graph_conv(x, kernel, listed)

        def both(x, kernel, ct, listed):
            y, back = jax.vjp(lambda x, kernel: core.graph_conv(x, kernel, listed), x, kernel)
            return y, *back(ct)

        with core.force(way):  # the edges are arguments
            programs = [jax.jit(run).lower(*arrays, listed).compile() for run in (forward, both)]
        return [lambda program=program: program(*arrays, listed) for program in programs]

    peers = {
        mode: {"convzoo": fast, "segment_sum": slow}
        for mode, fast, slow in zip(("forward", "both"), runs(None), runs("lax"), strict=True)
    }
    for name, (forward, both) in geometric_runs(senders, receivers, weight, x, kernel).items():
        peers["forward"][name], peers["both"][name] = forward, both
    return [
        row_of(mode, "graph_conv", f"{nodes} nodes {edges} edges x{channels}", rounds(own, seconds * 4), "segment_sum")
        for mode, own in peers.items()
    ]


def geometric_runs(senders, receivers, weight, x, kernel) -> dict[str, tuple[Callable, Callable]]:
    """{peer: (forward, forward and gradients)} of GCNConv without its own normalisation; empty where not installed."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
        from torch_geometric.nn import GCNConv  # pyright: ignore[reportMissingImports]
    except ImportError:
        return {}
    torch.set_num_threads(THREADS)
    nodes, channels = x.shape
    layer = GCNConv(channels, channels, normalize=False, bias=False)
    with torch.no_grad():
        layer.lin.weight.copy_(torch.from_numpy(kernel[0].T.copy()))
    pairs, factors = torch.from_numpy(np.stack([senders, receivers])), torch.from_numpy(weight)
    matrix = torch.sparse_coo_tensor(pairs.flip(0), factors, (nodes, nodes)).coalesce().to_sparse_csr()
    leaf, ct = torch.from_numpy(x.copy()).requires_grad_(), torch.ones(nodes, channels)

    def both_of(*graph):
        def forward():
            with torch.inference_mode():
                layer(leaf, *graph)

        def both():
            leaf.grad = layer.lin.weight.grad = None
            layer(leaf, *graph).backward(ct)

        return forward, both

    return {"torch_first": both_of(pairs, factors), "torch_last": both_of(matrix)}


def row_of(mode: str, row: str, case: str, times: dict[str, list[float]], base: str) -> dict:
    """A line of the CSV without a roof: ``base`` stands where lax stands elsewhere."""
    middle = {name: statistics.median(values) for name, values in times.items()}
    low, own, high = quartiles(times["convzoo"])
    torch = {f"{name}_ms": round(ms, 3) for name, ms in middle.items() if name.startswith("torch")}
    return {
        "row": row, "case": case, "mode": mode, "ms": round(own, 3), "low": round(low, 3), "high": round(high, 3),
        "lax_ms": round(middle[base], 3), **torch, "ratio_lax": round(middle[base] / own, 3),
        "ratio_torch": round(min(torch.values(), default=math.nan) / own, 3),
        "load": round(os.getloadavg()[0], 1), "rounds": len(times["convzoo"]),
    }  # fmt: skip


# --- the sweep --------------------------------------------------------------------------------------------------------

SWEEP = [
    *ROWS,
    *(
        Case("sweep", (n, n), c, k, stride=s, groups=0, batch=b)
        for n, c, k, s, b in [
            (112, 32, 3, 1, 1), (56, 24, 3, 1, 32), (28, 96, 3, 1, 1), (14, 96, 3, 1, 64), (7, 768, 7, 1, 8),
            (7, 960, 3, 1, 8), (7, 1152, 5, 1, 1), (8, 32, 3, 1, 64), (32, 32, 3, 2, 16),
        ]
    ),
    *(
        Case("sweep", (n,), c, k, groups=0, batch=b)
        for n, c, k, b in [(100, 64, 11, 32), (16000, 16, 9, 2), (100, 128, 3, 1)]
    ),
    *(
        Case("sweep", (n, n), c, k, out=o, stride=s, batch=b)
        for n, c, o, k, s, b in [
            (8, 16, 16, 3, 1, 64), (32, 16, 32, 3, 2, 32), (7, 512, 512, 3, 1, 8), (28, 1, 16, 3, 1, 64),
            (8, 32, 64, 1, 2, 64), (7, 2048, 512, 1, 1, 8), (56, 24, 72, 1, 1, 1),
        ]
    ),
    *(
        Case("sweep", (n,), c, k, out=o, stride=s, batch=b)
        for n, c, o, k, s, b in [
            (100, 40, 64, 3, 1, 64), (100, 64, 64, 3, 2, 64), (4000, 1, 64, 80, 4, 16), (100, 64, 64, 1, 1, 64),
        ]
    ),
    *(
        Case("sweep", (n, n), c, 3, groups=g, stride=s, batch=b)
        for n, c, g, s, b in [(56, 128, 32, 2, 8), (28, 256, 32, 1, 8), (16, 128, 4, 1, 64), (32, 256, 16, 1, 1)]
    ),
    Case("sweep", (16, 16, 16), 16, 3, out=16, batch=4),
    Case("sweep", (16, 16, 16), 8, 3, out=16, stride=2, batch=4),
    Case("sweep", (100,), 64, 4, out=32, stride=2, batch=16, transposed=True),
]  # fmt: skip


def sweep(seconds: float, raw: Path) -> None:
    """Times each fitting way on each shape, conv and kernel_grad and, where it differs, the input gradient."""
    done = json.loads(raw.read_text()) if raw.exists() else {}
    for case in SWEEP:
        x, kernel = case.arrays()
        jaxpr = jax.make_jaxpr(step_of(case, "both"))(
            x, kernel, jnp.ones(jax.eval_shape(step_of(case, "forward"), x, kernel).shape)
        )
        for eqn in equations(jaxpr.jaxpr):
            operation = {"convzoo_conv": "conv", "convzoo_kernel_grad": "kernel_grad"}.get(eqn.primitive.name)
            if operation is None:
                continue
            shapes = [v.aval.shape for v in eqn.invars]
            geometry = eqn.params["geometry"]
            key = json.dumps([operation, shapes, geometry, eqn.params.get("window")])
            if key not in done:
                done[key] = time_ways(operation, shapes, geometry, eqn.params.get("window"), seconds)
                raw.parent.mkdir(parents=True, exist_ok=True)
                raw.write_text(json.dumps(done))
                print(key[:110], {n: round(t, 2) for n, t in done[key]["ms"].items()}, flush=True)
    write_table(done)


def equations(jaxpr):
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in jax.extend.core.jaxprs_in_params(eqn.params):
            yield from equations(inner)


def time_ways(operation: str, shapes, geometry: Geometry, window, seconds: float) -> dict:
    random = np.random.default_rng(0)
    a, b = (jnp.asarray(random.standard_normal(shape), jnp.float32) for shape in shapes)
    window = window or b.shape[:-2]
    out = b.shape[1:-1] if operation == "kernel_grad" else out_space(a.shape[1:-1], window, geometry)
    peers, compile_s, timed = {}, {}, set()
    for name, way in choice.WAYS.items():
        run = getattr(way, operation)
        if way.fits(geometry, a.shape[-1], window) and run not in timed:
            timed.add(run)
            extra = (geometry, window) if operation == "kernel_grad" else (geometry,)
            start = time.perf_counter()
            program = jax.jit(lambda a, b, run=run, extra=extra: run(a, b, *extra)).lower(a, b).compile()
            compile_s[name] = time.perf_counter() - start
            peers[name] = lambda program=program: program(a, b)
    times = rounds(peers, seconds)
    outer = b.shape[-1]
    return {
        "kind": choice.kind_of(operation, geometry, a.shape[-1], window),
        "features": choice.features_of(a.shape[0], a.shape[1:-1], out, geometry, a.shape[-1], outer, window),
        "ms": {name: statistics.median(values) for name, values in times.items()},
        "compile_s": compile_s,
    }


def write_table(done: dict) -> None:
    """Ways from the fastest on, a second of compilation counted as an eighth of the time; XLA's own is preferred where
    nothing is 15 % faster."""
    table: dict[str, list] = {}
    for entry in done.values():
        cost = {name: ms * (1 + entry["compile_s"][name] / 8) for name, ms in entry["ms"].items()}
        for name in cost:
            if name in ("lax", "plain"):
                cost[name] *= 0.85
        own = min(cost["lax"], cost.get("plain", math.inf))
        if "plain" in cost and own == min(cost.values()):
            cost["plain"] = 0  # the same convolution, and fast inside a scan too
        ways = sorted(cost, key=lambda name: cost[name])
        table.setdefault(entry["kind"], []).append([entry["features"], ways[: ways.index("lax") + 1]])
    lines = (
        f" {json.dumps(kind)}: [\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n ]"
        for kind, rows in sorted(table.items())
    )
    WAYS_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def errors(done: Path) -> None:
    """Prints, for each way, its largest float32 error over the shapes of the sweep, batch 1, against lax in float64."""
    worst: dict[tuple[str, str], float] = {}
    for key in json.loads(done.read_text()):
        operation, shapes, geometry, window = json.loads(key)
        geometry = geometry_of(*geometry)
        if operation == "kernel_grad":
            shapes = [[1, *shapes[0][1:]], [1, *shapes[1][1:]]]
            extra, channels, window = (geometry, tuple(window)), shapes[0][-1], tuple(window)
        else:
            shapes = [[1, *shapes[0][1:]], shapes[1]]
            extra, channels, window = (geometry,), shapes[0][-1], tuple(shapes[1][:-2])
        random = np.random.default_rng(0)
        arrays = [random.standard_normal(shape) for shape in shapes]
        with jax.enable_x64(True):
            exact = jax.jit(lambda a, b: getattr(choice.WAYS["lax"], operation)(a, b, *extra))(*arrays)  # noqa: B023
        exact = np.asarray(exact)
        for name, way in choice.WAYS.items():
            if way.fits(geometry, channels, window):
                single = [jnp.asarray(a, jnp.float32) for a in arrays]
                found = jax.jit(lambda a, b: getattr(way, operation)(a, b, *extra))(*single)  # noqa: B023
                error = float(np.abs(np.asarray(found) - exact).max() / np.abs(exact).max())
                worst[name, operation] = max(worst.get((name, operation), 0.0), error)
    for name in choice.WAYS:
        print(
            name,
            *(f"{operation} {worst.get((name, operation), math.nan):.1e}" for operation in ("conv", "kernel_grad")),
        )


def geometry_of(stride, pads, in_dilation, dilation, groups) -> Geometry:
    """From JSON's lists."""
    return Geometry(tuple(stride), tuple((a, b) for a, b in pads), tuple(in_dilation), tuple(dilation), groups)


# --- pictures and tables ----------------------------------------------------------------------------------------------


def tell(path: Path) -> None:
    """Prints one line of a table for each kind of operator: the range and the median of its ratios."""
    rows = read(path)
    print("| operator | mode | against lax | against torch | compile, against lax |\n|---|---|---|---|---|")
    for name, mode in dict.fromkeys((row["row"], row["mode"]) for row in rows):
        own = [row for row in rows if (row["row"], row["mode"]) == (name, mode)]
        cells = [spread([row[key] for row in own]) for key in ("ratio_lax", "ratio_torch")]
        cells.append(spread([row["compile_s"] / row["compile_lax_s"] for row in own]))
        print(f"| {name} ({len(own)}) | {mode} | {' | '.join(cells)} |")


def spread(values: list[float]) -> str:
    values = [value for value in values if not math.isnan(value)]
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else "-"
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def plot(path: Path, folder: Path) -> None:
    """``folder/speed_roofline.png``: GFLOP/s over FLOP per byte, below the machine's measured peaks, and
    ``folder/speed_ratios.png``: every row's ratio to lax and to torch."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    rows = [row for row in read(path) if not math.isnan(row["ratio_lax"])]
    names = list(dict.fromkeys(row["row"] for row in rows if not math.isnan(row["gflops"])))
    under = [row for row in rows if row["row"] in names]
    top, slope = (max(row[peak] for row in under) for peak in ("peak_gflops", "peak_gbs"))
    modes = {"forward": "o", "both": "^"}
    figure, axes = plt.subplots(figsize=(8, 5))
    span = np.geomspace(0.3, 2000, 100)
    axes.loglog(span, np.minimum(top, slope * span), color="black", label=f"peak {top:.0f} GFLOP/s, {slope:.0f} GB/s")
    for index, name in enumerate(names):
        for mode, marker in modes.items():
            own = [row for row in under if (row["row"], row["mode"]) == (name, mode)]
            places = [row["intensity"] for row in own], [row["gflops"] for row in own]
            axes.scatter(*places, marker=marker, color=f"C{index}", label=name if mode == "forward" else None)
    axes.set(
        xlabel="FLOP per byte that must move", ylabel="GFLOP/s", title="circles: forward, triangles: with gradients"
    )
    axes.legend(fontsize=8)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "speed_roofline.png", dpi=110, bbox_inches="tight")

    figure, both = plt.subplots(1, 2, figsize=(10, 0.5 + 0.45 * len(names)), sharey=True)
    for axes, key, title in zip(
        both, ("ratio_lax", "ratio_torch"), ("against lax", "against torch's best"), strict=True
    ):
        for (mode, marker), offset in zip(modes.items(), (0.15, -0.15), strict=True):
            own = [row for row in under if row["mode"] == mode]
            places = [-names.index(row["row"]) + offset for row in own]
            axes.scatter([row[key] for row in own], places, marker=marker, s=22, label=mode)
        axes.axvline(1, color="black", linewidth=1)
        axes.set(xscale="log", title=f"{title}; right of the line convzoo is faster")
        axes.set_xticks(
            [t for t in (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200) if axes.get_xlim()[0] < t < axes.get_xlim()[1]]
        )
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.title.set_fontsize(9)
    both[0].set_yticks([-i for i in range(len(names))], names)
    both[0].legend(["forward", "with gradients"], fontsize=8)
    figure.savefig(folder / "speed_ratios.png", dpi=110, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a third of the rows, under 3 minutes")
    parser.add_argument("--sweep", action="store_true", help="measure every way on every shape and write ways.json")
    parser.add_argument("--errors", action="store_true", help="print each way's largest error over an earlier sweep")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="draw an earlier run, print its table")
    parser.add_argument("--row", default="", help="only rows whose name contains this")
    parser.add_argument("--seconds", type=float, default=1.5, help="for the timing of one row")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/conv.csv"))
    args = parser.parse_args()
    if args.plot:
        tell(args.out)
        return plot(args.out, args.plot)
    if args.errors:
        return errors(args.out.with_name("sweep.json"))
    if args.sweep:
        return sweep(args.seconds / 4, args.out.with_name("sweep.json"))
    done = set()
    if args.out.exists():
        with args.out.open() as file:
            done = {(row["case"], row["row"], row["mode"]) for row in csv.DictReader(file)}
    roof = peaks()
    print(f"peaks: {roof['gflops']:.0f} GFLOP/s, {roof['gbs']:.1f} GB/s; {THREADS} threads")
    seconds = args.seconds / 3 if args.quick else args.seconds
    for case in ROWS:
        for mode in ("forward", "both"):
            if args.row in case.row and (case.quick or not args.quick) and (case.name, case.row, mode) not in done:
                row = measure(case, mode, roof, seconds)
                append(args.out, FIELDS, row)
                print(*(f"{name}={row.get(name, '')}" for name in FIELDS[:11]), flush=True)
    others = {"vmap over 4 kernels": lambda: step_rows(seconds)}
    if not args.quick:
        others["graph_conv"] = lambda: graph_rows(seconds)
    for name, rows in others.items():
        if args.row in name and name not in {row for _, row, _ in done}:
            for row in rows():
                append(args.out, FIELDS, row)
                print(*(f"{name}={row.get(name, '')}" for name in FIELDS[:11]), flush=True)


if __name__ == "__main__":
    environment.restart()
    main()
