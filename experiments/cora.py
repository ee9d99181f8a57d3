"""Many seeds of one citation network in one program, beside torch_geometric's runs one after the other.

    python -m experiments.cora [--config cora_gcn] [--seeds 100] [--peer-seeds 100] [--folder DIR] [--graph cora]

One compiled program initialises, trains and tests every seed: the ordinary update, mapped over the seeds and scanned
over the epochs. The last epoch counts; there is no early stopping. Any set in the same layout runs: --graph pubmed.

The peer runs twice: on dense features, as in torch_geometric's examples, and with dropout and product on the nonzeros
alone, as here. With fewer --peer-seeds than --seeds its time is scaled, which its line says.
"""

import argparse
import dataclasses
import importlib
import math
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from convzoo import data, environment, train
from convzoo.data import planetoid
from convzoo.extras import MissingExtra, need
from convzoo.models.nodenet import NodeNet
from convzoo.train import Experiment


class Runs(NamedTuple):
    """Test accuracy by seed, and seconds: all, and of these compiling."""

    accuracy: np.ndarray
    seconds: float
    compiling: float = 0.0


def ours(experiment: Experiment, seeds: int, at_once: int) -> Runs:
    """Every seed through one program, ``at_once`` of them together."""
    begun = time.perf_counter()
    batch, test = (data.load(experiment.data, split, batch_size=1).example for split in ("train", "test"))

    @jax.jit
    def program(keys, batch, test):
        def start(key):
            return train.init(experiment, batch, seed=key)

        def epoch(states, _):
            return jax.vmap(train.update, (None, 0, None))(experiment, states, batch)[0], None

        states = jax.vmap(start)(keys)
        states, _ = jax.lax.scan(epoch, states, None, experiment.steps)

        def accuracy(state):
            logits, _ = experiment.model.apply({"params": state.params}, test["input"], train=False)
            return experiment.task.metrics(logits, test)["accuracy"]

        return jax.lax.map(accuracy, states)

    seeds_of = [jnp.arange(at, at + at_once) for at in range(0, seeds, at_once)]  # the last may run some too many
    compiling = time.perf_counter()
    compiled = program.lower(seeds_of[0], batch, test).compile()
    compiling = time.perf_counter() - compiling
    found = [np.asarray(compiled(keys, batch, test)) for keys in seeds_of]
    return Runs(np.concatenate(found)[:seeds], time.perf_counter() - begun, compiling)


def theirs(experiment: Experiment, seeds: int, *, sparse: bool) -> Runs:
    """torch_geometric's layers in the same recipe, one run after the other, its normalised edges cached. ``sparse``:
    dropout and the first product are of the features' nonzeros."""
    torch: Any = need("torch", extra="parity")
    layers: Any = need("torch_geometric.nn", extra="parity")
    net: Any = experiment.model
    found = planetoid.read(experiment.data.graph, experiment.data.folder)
    nodes = np.arange(len(found.label))
    rows, columns, values = planetoid.rows_of(found, nodes)
    places, values = torch.from_numpy(np.stack([rows, columns])), torch.from_numpy(values)
    x = torch.zeros(len(nodes), found.width)
    x[places[0], places[1]] = values
    ends, label = torch.from_numpy(found.edges).long(), torch.from_numpy(found.label).long()
    splits = {name: torch.from_numpy(np.asarray(index)).long() for name, index in found.splits.items()}
    drop, functional = net.dropout, torch.nn.functional

    class SparseLinear(torch.nn.Module):
        def __init__(self, linear):
            super().__init__()
            self.weight = linear.weight

        def forward(self, x):
            return torch.sparse.mm(x, self.weight.T)

    class Peer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            if net.layer == "gcn":
                self.first = layers.GCNConv(found.width, net.width, cached=True, bias=net.bias)
                self.second = layers.GCNConv(net.width, net.num_classes, cached=True, bias=net.bias)
                self.act = torch.relu
            else:
                self.first = layers.GATConv(found.width, net.width, heads=net.heads, dropout=drop)
                wide = net.width * net.heads
                self.second = layers.GATConv(wide, net.num_classes, heads=1, concat=False, dropout=drop)
                self.act = functional.elu
            if sparse:
                self.first.lin = SparseLinear(self.first.lin)

        def forward(self, x):
            if sparse:
                kept = functional.dropout(values, drop, self.training)
                x = torch.sparse_coo_tensor(places, kept, x.shape, is_coalesced=True)
            else:
                x = functional.dropout(x, drop, self.training)
            x = functional.dropout(self.act(self.first(x, ends)), drop, self.training)
            return self.second(x, ends)

    begun, accuracy = time.perf_counter(), []
    for seed in range(seeds):
        torch.manual_seed(seed)
        peer = Peer()
        decay = experiment.weight_decay
        groups = [
            {"params": peer.first.parameters(), "weight_decay": decay},
            {"params": peer.second.parameters(), "weight_decay": 0.0 if experiment.decay_within else decay},
        ]
        optimiser = torch.optim.Adam(groups, lr=experiment.learning_rate)
        for _ in range(experiment.steps):
            peer.train()
            optimiser.zero_grad()
            chosen = splits["train"]
            functional.cross_entropy(peer(x)[chosen], label[chosen]).backward()
            optimiser.step()
        peer.eval()
        with torch.no_grad():
            right = peer(x).argmax(1)[splits["test"]] == label[splits["test"]]
        accuracy.append(float(right.float().mean()))
    return Runs(np.array(accuracy), time.perf_counter() - begun)


def told(name: str, runs: Runs) -> str:
    """A line: mean, its standard error, the standard deviation of one run, the time."""
    percent, count = 100 * runs.accuracy, len(runs.accuracy)
    spread = percent.std(ddof=1) if count > 1 else math.nan
    compiling = f" ({runs.compiling:.1f} s of it compiling)" if runs.compiling else ""
    return (
        f"{name}: {percent.mean():.2f} % ± {spread / count**0.5:.2f}, one run's standard deviation {spread:.2f}, "
        f"{count} seeds, {runs.seconds:.1f} s{compiling}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.cora", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", default="cora_gcn", help="a run card of a citation network (default: cora_gcn)")
    parser.add_argument("--seeds", type=int, default=100, metavar="N")
    parser.add_argument("--at-once", type=int, default=100, metavar="N", help="seeds in the program together")
    parser.add_argument("--peer-seeds", type=int, default=100, metavar="N", help="0: without torch_geometric")
    parser.add_argument("--steps", type=int, metavar="N", help="epochs, if not the card's")
    parser.add_argument("--folder", default="", metavar="DIR", help="where the set lies")
    parser.add_argument("--graph", default="", metavar="NAME", help="another set in the same layout")
    options = parser.parse_args(arguments)
    for name in ("seeds", "at_once"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} is {getattr(options, name)}; it must be at least 1")
    try:
        experiment: Experiment = importlib.import_module(f"configs.{options.config}").CONFIG
        source = dataclasses.replace(experiment.data, folder=options.folder or experiment.data.folder)
        source = dataclasses.replace(source, graph=options.graph or source.graph)
        classes = int(planetoid.read(source.graph, source.folder).label.max()) + 1
        assert isinstance(experiment.model, NodeNet)
        steps = options.steps or experiment.steps
        model = experiment.model.clone(num_classes=classes)
        experiment = dataclasses.replace(experiment, data=source, model=model, steps=steps)
        mine = ours(experiment, options.seeds, min(options.at_once, options.seeds))
        print(told(f"convzoo, {options.config}", mine), flush=True)
        for sparse in (False, True) if options.peer_seeds else ():
            name = f"torch_geometric, {'nonzeros' if sparse else 'dense features'}"
            peer = theirs(experiment, options.peer_seeds, sparse=sparse)
            print(told(name, peer))
            a, b = mine.seconds / options.seeds, peer.seconds / options.peer_seeds
            scaled = f" (scaled from {options.peer_seeds} runs)" * (options.peer_seeds != options.seeds)
            print(
                f"{options.seeds} runs: {mine.seconds:.0f} s against {b * options.seeds:.0f} s{scaled}; "
                f"{name} takes {b / a:.1f} times as long",
                flush=True,
            )
    except (MissingExtra, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
