"""Whole networks: convzoo against the same network through lax and against torch, and what each name costs.

    python -m experiments.bench_models [NAME...] [--quick] [--out runs/bench/models.csv]    # docs/speed.md's; resumes
    python -m experiments.bench_models --profile NAME    # where the time of a forward pass and a step goes
    python -m experiments.bench_models --growth          # time and memory over batch, resolution, width and depth
    python -m experiments.bench_models --zoo             # every name of the zoo; resumes
    python -m experiments.bench_models --write docs      # the tables and pictures of earlier runs

Modes: ``forward`` (batch 8), ``folded`` (the same, batch norm folded on both sides), ``latency`` (batch 1), ``train``
(a step of SGD with momentum, batch 16). Every figure is the median of rounds in which the peers take turns, float32, as
many threads as the machine has cores. torch is timed where torch and timm are installed, in four ways: eager and
compiled, channels first and last.
"""

import argparse
import datetime
import functools
import json
import math
import os
import re
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

import convzoo
from convzoo import core, environment
from convzoo.core.lowering import native
from convzoo.extras import need
from convzoo.models import gcnii, gin, graphnet, layernet, molnet, nodenet
from convzoo.nn import Model
from convzoo.zoo import MODELS
from experiments import flax_networks
from experiments.timing import THREADS, append, peak_bytes, peaks, quartiles, read, rounds
from tests.parity import torchvision_cpu

MODES = {"forward": 8, "folded": 8, "latency": 1, "train": 16}  # the batch of each
HEADLINE = ("convnext_tiny", "convnextv2_tiny", "resnet50", "efficientnet_b0", "mobilenetv3_large_100")
MEASURED_WHOLE = ("convnext_tiny", "resnet50", "efficientnet_b0")
ONLY_FORWARD = ("alexnet", "vgg16")
VARIANTS: dict[str, Model] = {  # what the zoo has no name for
    "resnet18 1d": MODELS["resnet18"].clone(ranks=(1,), num_classes=35),
    "resnet18 3d": MODELS["resnet18"].clone(ranks=(3,), num_classes=11),
}
OTHERS = ("resnext50_32x4d", "vgg11_bn", "mobilenetv2_100", "efficientnet_lite0", "cifar_resnet20", "bytenet", "mlp")
SPACES = {
    "resnet18 1d": (16000, 1),
    "resnet18 3d": (32, 32, 32, 1),
    "mlp": (28, 28, 1),
    "bytenet": (512,),
    "m5": (8000, 1),
    "m11": (8000, 1),
    "matchboxnet_3x2x64": (100, 64),
    "quartznet5x5": (500, 64),
    "quartznet15x5": (500, 64),
    "tcn": (500, 40),
    "wavenet": (4000, 1),
    "silero_vad": (16384, 1),
    "crepe_tiny": (1024, 1),
    "crepe_full": (1024, 1),
}
OF_GRAPHS = (molnet.MolNet, nodenet.NodeNet, gcnii.GCNII, gin.GIN, graphnet.GraphNet, layernet.LayerNet)
FIELDS = (
    *("model", "mode", "batch", "ms", "low", "high", "lax_ms", "eager_ms", "eager_last_ms", "compile_ms"),
    *("compile_last_ms", "ratio_lax", "ratio_torch", "compile_s", "compile_lax_s", "peak_mb", "peak_lax_mb"),
    *("per_second", "gmacs", "gflops", "peak_gflops", "load", "rounds", "date", "flax_ms"),
)


def model_of(name: str) -> Model:
    return VARIANTS.get(name) or convzoo.create(name)


def example(name: str, batch: int) -> jax.Array:
    """A batch for the model: noise, or bytes."""
    space = SPACES.get(name) or ((32, 32, 3) if name.startswith("cifar") else (224, 224, 3))
    random = np.random.default_rng(0)
    if len(space) == 1:
        return jnp.asarray(random.integers(0, 256, (batch, *space)), jnp.int32)
    return jnp.asarray(random.standard_normal((batch, *space)), jnp.float32)


def filled(model: nn.Module, x: jax.Array) -> dict[str, Any]:
    """Variables from numpy: to initialise a large network takes longer than to measure it."""
    random = np.random.default_rng(1)

    def value(path, leaf):
        if path[-1].key in ("scale", "var"):
            return jnp.ones(leaf.shape, leaf.dtype)
        fan_in = max(1, math.prod(leaf.shape[:-1]))
        return jnp.asarray(random.standard_normal(leaf.shape, np.float32) * fan_in**-0.5 * (leaf.ndim > 1))

    shapes = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), x)
    return jax.tree_util.tree_map_with_path(value, shapes)


# --- convzoo and lax --------------------------------------------------------------------------------------------------


def sgd() -> optax.GradientTransformation:
    return optax.sgd(1e-3, momentum=0.9)


def training_step(model: nn.Module) -> Callable:
    """(params, batch_stats, opt_state, x) -> the first three anew; the classes are made up."""

    def step(params, statistics, moment, x):
        labels = jnp.arange(len(x)) % model.num_classes  # pyright: ignore[reportAttributeAccessIssue]

        def loss(params):
            (logits, _), new = model.apply(
                {"params": params, **statistics}, x, train=True, mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(0)},
            )  # fmt: skip
            each = jnp.broadcast_to(jnp.expand_dims(labels, range(1, logits.ndim - 1)), logits.shape[:-1])
            return optax.softmax_cross_entropy_with_integer_labels(logits, each).mean(), new

        grads, new = jax.grad(loss, has_aux=True)(params)
        updates, moment = sgd().update(grads, moment)
        return optax.apply_updates(params, updates), new, moment

    return step


def ours(model: Any, mode: str, x: jax.Array, way: str | None) -> tuple[Callable, float, float]:
    """(run, seconds to compile, peak MB) of a network as it is, or with every convolution of convzoo by ``way``."""
    variables = filled(model, x)
    if mode == "train":
        params = variables.pop("params")
        kept = [params, variables, sgd().init(params)]
        program, args = jax.jit(training_step(model), donate_argnums=(0, 1, 2)), (*kept, x)
    else:
        kept = [convzoo.fold(model, variables) if mode == "folded" else variables]
        program, args = jax.jit(lambda variables, x: model.apply(variables, x, train=False)[0]), (*kept, x)
    start = time.perf_counter()
    with core.force(way):
        compiled = program.lower(*args).compile()
    seconds = time.perf_counter() - start

    def run():
        result = compiled(*kept, x)
        if mode == "train":
            kept[:] = result
        return result

    return run, seconds, peak_bytes(compiled) / 1e6


# --- torch ------------------------------------------------------------------------------------------------------------


def torch_network(name: str) -> Any:
    """timm's network of this name, or torchvision's; None where there is none, or torch is not installed."""
    if name in OTHERS:
        return None
    try:
        timm, torchvision, torch = map(torchvision_cpu.load, ("timm", "torchvision", "torch"))
    except ImportError:
        return None
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    if name in VARIANTS:
        classes = model_of(name).num_classes  # pyright: ignore[reportAttributeAccessIssue]
        return of_rank(torch, torchvision.models.resnet18(num_classes=classes), len(SPACES[name]) - 1)
    if name == "alexnet":  # timm has none
        return torchvision.models.get_model(name, weights=None)
    return timm.create_model(name) if timm.is_model(name) else None


def of_rank(torch: Any, net: Any, rank: int) -> Any:
    """torchvision's ResNet over ``rank`` axes instead of two, from one channel."""
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, torch.nn.Conv2d):
                channels = 1 if layer is net.conv1 else layer.in_channels, layer.out_channels
                sizes = layer.kernel_size[0], layer.stride[0], layer.padding[0]
                new = getattr(torch.nn, f"Conv{rank}d")(*channels, *sizes, bias=False)
            elif isinstance(layer, torch.nn.BatchNorm2d):
                new = getattr(torch.nn, f"BatchNorm{rank}d")(layer.num_features)
            elif isinstance(layer, torch.nn.MaxPool2d):
                new = getattr(torch.nn, f"MaxPool{rank}d")(layer.kernel_size, layer.stride, layer.padding)
            elif isinstance(layer, torch.nn.AdaptiveAvgPool2d):
                new = getattr(torch.nn, f"AdaptiveAvgPool{rank}d")(1)
            else:
                continue
            setattr(parent, name, new)
    return net


def torch_runs(name: str, mode: str, batch: int, compiled: bool) -> dict[str, Callable]:
    """Eager and compiled, channels first and last, each with a network of its own."""
    if torch_network(name) is None:
        return {}
    torch: Any = need("torch", extra="parity")

    forms = {False: torch.contiguous_format}
    if name not in VARIANTS or len(SPACES[name]) == 4:  # one axis knows no other form
        forms[True] = torch.channels_last_3d if name in VARIANTS else torch.channels_last

    def runs(last: bool, compile_it: bool) -> Callable:
        net, form = torch_network(name), forms[last]
        net = net.train() if mode == "train" else net.eval()
        if mode == "folded":
            net = torch.fx.experimental.optimization.fuse(net)
        net = net.to(memory_format=form)
        x = torch.from_numpy(np.moveaxis(np.asarray(example(name, batch)), -1, 1).copy()).to(memory_format=form)
        call = torch.compile(net) if compile_it else net
        if mode != "train":

            def infer():
                with torch.inference_mode():
                    call(x)

            return infer
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
        labels = torch.arange(batch) % model_of(name).num_classes  # pyright: ignore[reportAttributeAccessIssue]

        def train():
            optimizer.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(call(x), labels).backward()
            optimizer.step()

        return train

    if mode == "folded":
        import torch.fx.experimental.optimization  # pyright: ignore[reportMissingImports]
    torch._dynamo.reset()
    found = {}
    for label, last, compile_it in (
        ("eager", False, False), ("eager_last", True, False), ("compile", False, True), ("compile_last", True, True),
    ):  # fmt: skip
        if last not in forms or (compile_it and not compiled):
            continue
        try:
            run = runs(last, compile_it)
            run()
            found[label] = run
        except Exception as error:  # torch's compiler raises its own kinds, and some networks it cannot trace
            print(f"  torch {label}: {type(error).__name__}: {str(error).splitlines()[0][:100]}", flush=True)
    return found


# --- the rows ---------------------------------------------------------------------------------------------------------


def measure(
    name: str, mode: str, roof: dict[str, float], seconds: float, peers: bool = True, compiled: bool = True
) -> dict:
    """One row; without ``peers`` only convzoo, without ``compiled`` torch as it is."""
    model, batch = model_of(name), MODES[mode]
    x = example(name, batch)
    run, compile_s, peak = ours(model, mode, x, None)
    runs, compile_lax, peak_lax = {"convzoo": run}, math.nan, math.nan
    if peers:
        runs["lax"], compile_lax, peak_lax = ours(model, mode, x, "lax")
        if name in flax_networks.NETWORKS and mode != "folded":  # Flax folds nothing
            runs["flax"], *_ = ours(flax_networks.NETWORKS[name], mode, x, None)
        runs |= torch_runs(name, mode, batch, compiled)
    times = rounds(runs, seconds)
    low, middle, high = quartiles(times["convzoo"])
    medians = {peer: statistics.median(values) for peer, values in times.items()}
    torch = min((medians[peer] for peer in medians if peer not in ("convzoo", "lax", "flax")), default=math.nan)
    macs = convzoo.cost(model, x.shape).macs * (3 if mode == "train" else 1)
    return {
        "model": name, "mode": mode, "batch": batch, "ms": round(middle, 2), "low": round(low, 2),
        "high": round(high, 2), **{f"{peer}_ms": round(ms, 2) for peer, ms in medians.items() if peer != "convzoo"},
        "ratio_lax": round(medians.get("lax", math.nan) / middle, 3), "ratio_torch": round(torch / middle, 3),
        "compile_s": round(compile_s, 2), "compile_lax_s": round(compile_lax, 2), "peak_mb": round(peak, 1),
        "peak_lax_mb": round(peak_lax, 1), "per_second": round(batch / middle * 1e3, 2),
        "gmacs": round(macs / 1e9, 3), "gflops": round(2 * macs / middle / 1e6, 1),
        "peak_gflops": round(roof["gflops"]), "load": round(os.getloadavg()[0], 1), "rounds": len(times["convzoo"]),
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip


def plan(names: list[str], quick: bool) -> list[tuple[str, str]]:
    if names:
        return [(name, mode) for name in names for mode in MODES]
    if quick:
        return [(name, mode) for name in ("efficientnet_b0", "resnet50") for mode in ("forward", "latency")]
    rows = [(name, "forward") for name in (*HEADLINE, *ONLY_FORWARD)]
    rows += [(name, mode) for mode in ("train", "latency", "folded") for name in MEASURED_WHOLE]
    rows += [(name, mode) for name in (*VARIANTS, *OTHERS) for mode in ("forward", "train")]
    return rows + [
        (name, mode) for mode in ("train", "latency", "folded") for name in HEADLINE if (name, mode) not in rows
    ]


def finished(path: Path) -> set[tuple[str, str]]:
    return {(row["model"], row["mode"]) for row in read(path)} if path.exists() else set()


def bench(rows: list[tuple[str, str]], path: Path, seconds: float, peers: bool = True, compiled: bool = True) -> None:
    done, roof = finished(path), peaks()
    print(f"peaks: {roof['gflops']:.0f} GFLOP/s, {roof['gbs']:.1f} GB/s; {THREADS} threads")
    print("kernels of our own:", native.why_not("float32") or "yes")
    for name, mode in rows:
        if (name, mode) not in done:
            row = measure(name, mode, roof, seconds, peers, compiled)
            append(path, FIELDS, row)
            shown = ("model", "mode", "ms", "ratio_lax", "ratio_torch", "compile_s", "compile_lax_s", "gflops")
            print(*(f"{field}={row[field]}" for field in shown), flush=True)
            jax.clear_caches()


# --- where the time goes ----------------------------------------------------------------------------------------------


def profile(name: str, mode: str, times: int = 3) -> list[tuple[float, float, str]]:
    """[(milliseconds a call, calls, operation)], the longest first, of XLA's own events."""
    run, *_ = ours(model_of(name), mode, example(name, MODES[mode]), None)
    for _ in range(2):
        jax.block_until_ready(run())
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(times):
                jax.block_until_ready(run())
        (found,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(found))
    spent: defaultdict[str, float] = defaultdict(float)
    calls: defaultdict[str, float] = defaultdict(float)
    for plane in data.planes:
        for line in plane.lines:
            for event in line.events:
                kind = re.sub(r"(\.\d+)+$", "", event.name)
                if re.fullmatch(r"[a-z_\-]+", kind):  # XLA's operations, not the functions of its runtime
                    spent[kind] += event.duration_ns / 1e6 / times
                    calls[kind] += 1 / times
    return sorted(((ms, calls[kind], kind) for kind, ms in spent.items()), reverse=True)


# --- how cost grows ---------------------------------------------------------------------------------------------------

RESNET = MODELS["resnet18"]
GROWTH: dict[str, list[tuple[float, Model, tuple[int, ...]]]] = {
    "batch": [(n, RESNET, (n, 112, 112, 3)) for n in (1, 2, 4, 8, 16, 32, 64)],
    "resolution": [(n, RESNET, (8, n, n, 3)) for n in (32, 64, 112, 160, 224, 320)],
    "width": [(n, RESNET.clone(width=n), (8, 112, 112, 3)) for n in (16, 32, 48, 64, 96, 128)],
    "depth": [(8 * n + 2, RESNET.clone(depths=(n,) * 4), (8, 112, 112, 3)) for n in (1, 2, 3, 4, 6, 8)],
}


def growth(path: Path, seconds: float) -> None:
    """Time and memory of ResNet-18 as one of its sizes grows, forward and training."""
    found = json.loads(path.read_text()) if path.exists() else []
    done = {(row["axis"], row["size"], row["mode"]) for row in found}
    for axis, points in GROWTH.items():
        for size, model, shape in points:
            for mode in ("forward", "train"):
                if (axis, size, mode) in done:
                    continue
                x = jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)
                run, _, peak = ours(model, mode, x, None)
                middle = statistics.median(rounds({"convzoo": run}, seconds)["convzoo"])
                macs = convzoo.cost(model, shape).macs * (3 if mode == "train" else 1)
                row = {"axis": axis, "size": size, "mode": mode, "ms": middle, "peak_mb": peak, "gmacs": macs / 1e9}
                print(*(f"{key}={value if isinstance(value, str) else round(value, 2)}" for key, value in row.items()))
                found.append(row)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(found))


def draw_growth(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    measured = [axis for axis in GROWTH if axis in {row["axis"] for row in rows}]
    figure, panels = plt.subplots(2, len(measured), figsize=(13, 5.5), sharey="row", squeeze=False)
    for column, axis in enumerate(measured):
        for mode, color in (("forward", "C0"), ("train", "C1")):
            own = sorted(
                (row for row in rows if (row["axis"], row["mode"]) == (axis, mode)), key=lambda row: row["size"]
            )
            sizes = [row["size"] for row in own]
            for panel, key in zip(panels[:, column], ("ms", "peak_mb"), strict=True):
                panel.loglog(sizes, [row[key] for row in own], "o-", color=color, label=mode, markersize=4)
            last = own[-1]
            expected = [last["ms"] * row["gmacs"] / last["gmacs"] for row in own]
            panels[0, column].loglog(sizes, expected, ":", color=color, label=f"as its multiply-adds ({mode})")
        panels[1, column].set_xlabel(axis)
        for panel in panels[:, column]:
            panel.set_xticks(sizes, [str(size) for size in sizes], fontsize=8)
            panel.minorticks_off()
    panels[0, 0].set_ylabel("ms a call")
    panels[1, 0].set_ylabel("peak MB")
    panels[0, 0].legend(fontsize=7)
    figure.suptitle("ResNet-18 (112 pixels, batch 8, 64 wide where not the axis): time and memory")
    figure.savefig(path, dpi=110, bbox_inches="tight")


# --- tables -----------------------------------------------------------------------------------------------------------


def ratio_table(rows: list[dict]) -> str:
    lines = [
        "| network | mode | ms | against torch's best | which | against lax | against Flax | compile s, against lax |",
        "|---" * 8 + "|",
    ]
    for row in rows:
        peers = {key: row[key] for key in FIELDS[7:11] if not blank(row[key])}
        best = min(peers, key=lambda key: peers[key]).removesuffix("_ms").replace("_", ", ") if peers else "-"
        compiling = f"{row['compile_s']:.1f}, {row['compile_s'] / row['compile_lax_s']:.2f}"
        lines.append(
            f"| {row['model']} | {row['mode']}, batch {row['batch']:.0f} | {row['ms']:.0f} "
            f"({row['low']:.0f} to {row['high']:.0f}) | {cell(row['ratio_torch'])} | {best} | "
            f"{cell(row['ratio_lax'])} | {cell(row['flax_ms'] / row['ms'])} | {compiling} |"
        )
    return "\n".join(lines)


def zoo_names() -> list[str]:
    """Every name but graphs, whose cost is their edges."""
    return [name for name in convzoo.list_models() if not isinstance(MODELS[name], OF_GRAPHS)]


def zoo_table(rows: list[dict]) -> str:
    lines = [
        "| name | parameters, M | multiply-adds, G | forward, items/s | training, items/s |",
        "|---|---|---|---|---|",
    ]
    held = {(row["model"], row["mode"]): row for row in rows}
    for name in zoo_names():
        cost = convzoo.cost(convzoo.create(name), example(name, 1).shape)
        speeds = [
            f"{held[name, mode]['per_second']:.1f}" if (name, mode) in held else "-" for mode in ("forward", "train")
        ]
        lines.append(f"| {name} | {cost.params / 1e6:.2f} | {cost.macs / 1e9:.3f} | {' | '.join(speeds)} |")
    return "\n".join(lines)


def blank(value: Any) -> bool:
    return value == "" or (isinstance(value, float) and math.isnan(value))


def cell(value: Any) -> str:
    return "-" if blank(value) else f"{value:.2f}"


def write(folder: Path, docs: Path) -> None:
    """Replaces the tables between markers in ``docs`` by those of the runs in ``folder``."""
    for page, mark, sources, table in (
        ("speed.md", "networks", ["models.csv"], ratio_table),
        ("models.md", "zoo", ["zoo.csv", "models.csv"], zoo_table),  # of a network in both the longer run counts
    ):
        rows = [row for name in sources if (folder / name).exists() for row in read(folder / name)]
        if rows:
            path = docs / page
            start, end = f"<!-- {mark}: python -m experiments.bench_models -->", f"<!-- end of {mark} -->"
            before, rest = path.read_text().split(start)
            after = rest.split(end)[1]
            path.write_text(f"{before}{start}\n{table(rows)}\n{end}{after}")
    if (folder / "growth.json").exists():
        draw_growth(json.loads((folder / "growth.json").read_text()), docs / "speed_growth.png")


LARGEST_TRAINED = 6.0  # G multiply-adds: a step of larger networks takes half a minute and more on two cores


def zoo_rows() -> list[tuple[str, str]]:
    """Every name; training where a step does not take minutes."""
    rows = []
    for name in zoo_names():
        macs = convzoo.cost(convzoo.create(name), example(name, 1).shape).macs
        rows += [(name, mode) for mode in ("forward", "train") if mode == "forward" or macs < LARGEST_TRAINED * 1e9]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="networks, all modes of each; the table's where none is named")
    parser.add_argument(
        "--quick", action="store_true", help="two networks forward, without torch.compile: under 3 minutes"
    )
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES, help="only these")
    parser.add_argument(
        "--no-compile", action="store_true", help="leave torch.compile out: it takes a minute a network"
    )
    parser.add_argument("--profile", metavar="NAME", help="print where the time of a forward pass and of a step goes")
    parser.add_argument("--growth", action="store_true", help="time and memory over batch, resolution, width, depth")
    parser.add_argument("--zoo", action="store_true", help="every name, convzoo alone")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="tables and pictures of earlier runs")
    parser.add_argument("--seconds", type=float, default=6.0, help="for the timing of one row")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/models.csv"))
    args = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)  # compiling is measured too
    if unknown := sorted(set(args.names) - set(MODELS) - set(VARIANTS)):
        parser.error(
            f"unknown: {', '.join(unknown)}; convzoo models lists the names, and there are {', '.join(VARIANTS)}"
        )
    if args.write:
        write(args.out.parent, args.write)
    elif args.profile:
        for mode in ("forward", "train"):
            lines = profile(args.profile, mode)
            total = sum(ms for ms, *_ in lines)
            print(f"{args.profile} {mode}: {total:.0f} ms over all threads")
            for ms, calls, kind in lines[:15]:
                print(f"  {ms:9.2f} ms {calls:6.0f} calls  {kind}")
    elif args.growth:
        growth(args.out.with_name("growth.json"), args.seconds / 6)
    elif args.zoo:
        bench(zoo_rows(), args.out.with_name("zoo.csv"), args.seconds / 3, peers=False)
    else:
        rows = [row for row in plan(args.names, args.quick) if row[1] in args.modes]
        compiled = not (args.quick or args.no_compile)
        bench(rows, args.out, args.seconds / 6 if args.quick else args.seconds, compiled=compiled)


if __name__ == "__main__":
    environment.restart()
    main()
