"""Depth, plain and with residuals, in two modalities: GCNs of 2 to 64 layers on Cora, ResNets of 20 to 110 on digits.

    python -m experiments.depth --out DIR [--folder DIR] [--seeds 3] [--only graphs | images]

A deep GCN averages neighbours until all nodes are alike (over-smoothing: Li et al. 2018, arXiv:1801.07606); a deep
plain network cannot be trained well (He et al. 2016, arXiv:1512.03385). Images are cured by adding a block's input to
its output; graphs by adding a share of what the first layer had (GCNII: Chen et al. 2020, arXiv:2007.02133). Writes
DIR/depth.csv, row by row (a second run goes on), and draws DIR/depth.png from it.
"""

import argparse
import csv
import dataclasses
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs.cora_gcn import CONFIG as CORA
from configs.digits_seen import CONFIG as DIGITS
from convzoo import data, environment, train
from convzoo.extras import need
from convzoo.models.gcnii import GCNII
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.train import Experiment

LAYERS = {"graphs": (2, 4, 8, 16, 32, 64), "images": (20, 32, 56, 110)}
NETWORKS = {"graphs": ("plain", "residual", "initial residual"), "images": ("plain", "residual")}
COLOURS = {"plain": "tab:red", "residual": "tab:blue", "initial residual": "tab:green"}
WIDTH = 64  # of the graph networks
FIELDS = ("modality", "layers", "network", "seed", "accuracy", "seconds")


def graph(layers: int, network: str, folder: str) -> Experiment:
    """Kipf's recipe with a deeper and wider network; from nine hops on, nearly the whole graph is in sight. A GCNII's
    dense first and last layers are not counted."""
    source = dataclasses.replace(CORA.data, folder=folder, hops=layers if layers <= 8 else 0)
    model, decays = CORA.model.clone(depth=layers, width=WIDTH, residual=network == "residual"), CORA.decay_within
    if network == "initial residual":
        model, decays = GCNII(depth=layers, width=WIDTH, num_classes=model.num_classes), ""
    return dataclasses.replace(CORA, model=model, data=source, decay_within=decays)


def image(layers: int, network: str) -> Experiment:
    """He's CIFAR network, 6 n + 2 layers, half as wide."""
    depths = ((layers - 2) // 6,) * 3
    model = CIFAR_RESNET20.clone(depths=depths, width=8, shortcut="pad" if network == "residual" else "none")
    return dataclasses.replace(DIGITS, model=model, steps=440)


def accuracies(experiment: Experiment, seeds: Sequence[int]) -> list[float]:
    """Test accuracy of each seed, through one compiled update."""
    loaded = [data.load(experiment.data, batch_size=experiment.batch_size, seed=seed) for seed in seeds]
    test = data.load(experiment.data, "test", batch_size=256)
    update, found = train.compile_update(experiment), []
    for seed, batches in zip(seeds, loaded, strict=True):
        state = train.init(experiment, batches.example, seed=seed)
        state, _ = train.fit(experiment, state, batches, update, shown=False)
        found.append(train.evaluate(experiment, state, test.in_order())["accuracy"])
    return found


def together(experiment: Experiment, seeds: Sequence[int]) -> list[float]:
    """The same of a whole graph, every seed in one program."""
    batch, test = (data.load(experiment.data, split, batch_size=1).example for split in ("train", "test"))

    @jax.jit
    def program(keys, batch, test):
        states = jax.vmap(lambda key: train.init(experiment, batch, seed=key))(keys)
        step = jax.vmap(partial(train.update, experiment), (0, None))
        states, _ = jax.lax.scan(lambda states, _: (step(states, batch)[0], None), states, None, experiment.steps)

        def score(state):
            logits, _ = experiment.model.apply({"params": state.params}, test["input"], train=False)
            return experiment.task.metrics(logits, test)["accuracy"]

        return jax.lax.map(score, states)

    return np.asarray(program(jnp.asarray(seeds), batch, test)).tolist()


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def draw(path: Path, out: Path) -> None:
    """One figure: accuracy over depth, plain and residual, a panel a modality."""
    plots: Any = need("matplotlib.pyplot", extra="plots")
    figure, panels = plots.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    rows = read(path)
    titles = {"graphs": "GCN on Cora", "images": "CIFAR ResNet on digits"}
    for panel, modality in zip(panels, titles, strict=True):
        for network in NETWORKS[modality]:
            mine = [row for row in rows if (row["modality"], row["network"]) == (modality, network)]
            layers = sorted({int(row["layers"]) for row in mine})
            values = [[100 * float(row["accuracy"]) for row in mine if int(row["layers"]) == n] for n in layers]
            if not values:
                continue
            colour = COLOURS[network]
            panel.plot(layers, [np.mean(v) for v in values], "o-", color=colour, label=network)
            panel.fill_between(layers, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15)
        panel.set(title=titles[modality], xlabel="layers", xscale="log")
        panel.set_xticks(LAYERS[modality], LAYERS[modality])
        panel.minorticks_off()
        panel.legend()
    panels[0].set_ylabel("test accuracy, %")
    figure.savefig(out, dpi=150)
    plots.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.depth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--folder", default="", metavar="DIR", help="where Cora lies")
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--only", choices=("graphs", "images"))
    parser.add_argument("--steps", type=int, metavar="N", help="updates, if not the recipe's")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    path, seeds = options.out / "depth.csv", range(options.seeds)
    made = {(row["modality"], int(row["layers"]), row["network"]) for row in read(path)}
    ways = {"graphs": (partial(graph, folder=options.folder), together), "images": (image, accuracies)}
    for modality, layers in [(modality, n) for modality, each in LAYERS.items() for n in each]:
        make, how = ways[modality]
        for network in NETWORKS[modality]:
            if (modality, layers, network) in made or options.only not in (None, modality):
                continue
            begun = time.perf_counter()
            experiment = make(layers, network)
            experiment = dataclasses.replace(experiment, steps=options.steps or experiment.steps)
            found, seconds = how(experiment, seeds), time.perf_counter() - begun
            new = not path.exists()
            with path.open("a", newline="") as file:
                writer = csv.writer(file)
                writer.writerows([FIELDS] * new)
                for seed, accuracy in zip(seeds, found, strict=True):
                    writer.writerow([modality, layers, network, seed, round(accuracy, 5), round(seconds, 1)])
            mean = 100 * float(np.mean(found))
            print(f"{modality}, {layers} layers, {network}: {mean:.1f} %, {seconds:.0f} s", flush=True)
    draw(path, options.out / "depth.png")
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
