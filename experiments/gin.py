"""Ten-fold cross-validation of GIN on a set in TUDataset's format, all folds in one program, by two protocols.

    python -m experiments.gin --folder DIR/MUTAG [--epochs 350] [--batch 32] [--width 32] [--seed 0]

"paper": nine folds train, one tests; the epoch is the one whose mean test accuracy over the folds is best, so the test
folds choose it (Xu et al. 2019, arXiv:1810.00826). "last epoch": the same runs without choosing. "strict": eight folds
train, one validates and chooses the epoch of that run, one tests.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs.mutag_gin import CONFIG
from convzoo import environment, train
from convzoo.data import batching
from convzoo.data.tudataset import GraphSet, read_tudataset
from convzoo.train import Experiment

FOLDS = 10


def folds(label: np.ndarray, seed: int) -> list[np.ndarray]:
    """Ten parts with the same share of every class."""
    generator = np.random.default_rng(seed)
    order = np.concatenate([generator.permutation(np.flatnonzero(label == value)) for value in np.unique(label)])
    return [np.sort(order[start::FOLDS]) for start in range(FOLDS)]


def stacked(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def run(experiment: Experiment, graphs: GraphSet, epochs: int, batch_size: int, seed: int) -> dict[str, Any]:
    """Accuracies [epochs, runs] on validation and test: ten runs by the paper's protocol, then ten by the stricter."""
    parts = folds(graphs.label, seed)
    budget = batching.choose_budget(graphs.n_node, graphs.n_edge, batch_size)
    runs = []
    for strict in (False, True):
        for fold in range(FOLDS):
            out = {fold, (fold + 1) % FOLDS} if strict else {fold}
            kept = np.concatenate([part for index, part in enumerate(parts) if index not in out])
            packs = batching.load(graphs, np.sort(kept), seed=len(runs), budget=budget)
            runs.append((packs, parts[(fold + 1) % FOLDS], parts[fold]))
    steps = max(packs.epoch_steps for packs, _, _ in runs)
    experiment = dataclasses.replace(experiment, steps=epochs * steps, batch_size=batch_size)
    print(f"{steps} steps an epoch, batches of {budget}, {runs[0][0].padding}", flush=True)

    held = [
        stacked(some) for some in zip(*(every(graphs, kept, budget) for _, *two in runs for kept in two), strict=True)
    ]
    update = jax.jit(jax.vmap(partial(train.update, experiment)), donate_argnums=0)

    @jax.jit
    def right(states, batches):
        def one(state, batch):
            variables = {"params": state.params, "batch_stats": state.batch_stats}
            logits, _ = experiment.model.apply(variables, batch["input"], train=False, node_mask=batch["node_mask"])
            return jnp.sum((logits.argmax(-1) == batch["label"]) & batch["mask"])

        return jax.vmap(lambda state, two: jax.vmap(partial(one, state))(two))(states, batches)

    states = jax.vmap(lambda key: train.init(experiment, runs[0][0].example, seed=key))(jnp.arange(len(runs)) + seed)
    held = [jax.tree.map(lambda a: a.reshape(len(runs), 2, *a.shape[1:]), each) for each in held]
    sizes = np.array([[len(validate), len(test)] for _, validate, test in runs])
    curve = []
    for epoch in range(epochs):
        for step in range(epoch * steps, (epoch + 1) * steps):
            states, _ = update(states, stacked([packs.at(step) for packs, _, _ in runs]))
        curve.append(sum(np.asarray(right(states, each)) for each in held) / sizes)
    compiled = update._cache_size() + right._cache_size()  # type: ignore[attr-defined]
    return {"curve": np.stack(curve), "compiled": compiled}


def every(graphs: GraphSet, kept: np.ndarray, budget: batching.Budget) -> list[dict[str, Any]]:
    """All batches of some graphs; as many for every fold, so the last ones may be empty."""
    packs = batching.load(graphs, kept, budget=budget)
    most = 2 * max(1, -(-len(kept) // budget.graphs))
    found = list(packs.in_order())
    return found + [batching.pack(graphs, np.zeros(0, int), budget)] * (most - len(found))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.gin", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", required=True, metavar="DIR", help="a set in TUDataset's format")
    parser.add_argument("--epochs", type=int, default=350, metavar="N")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="graphs a batch")
    parser.add_argument("--width", type=int, default=32, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the folds, the order and the weights")
    options = parser.parse_args(arguments)
    begun = time.perf_counter()
    try:
        graphs = read_tudataset(options.folder)
    except (OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    classes = int(graphs.label.max()) + 1
    experiment = dataclasses.replace(CONFIG, model=CONFIG.model.clone(width=options.width, num_classes=classes))
    found = run(experiment, graphs, options.epochs, options.batch, options.seed)
    test, validation = 100 * found["curve"][:, :, 1], 100 * found["curve"][:, FOLDS:, 0]
    paper, strict = test[:, :FOLDS], test[:, FOLDS:]
    best = int(paper.mean(1).argmax())
    chosen = strict[validation.argmax(0), np.arange(FOLDS)]
    lines = {
        f"paper's protocol (epoch {best + 1} chosen on the test folds)": paper[best],
        "last epoch": paper[-1],
        "strict (epoch chosen on validation only)": chosen,
    }
    for name, accuracy in lines.items():
        print(f"{name}: {accuracy.mean():.1f} % ± {accuracy.std():.1f} over {FOLDS} folds")
    print(f"{found['compiled']} compilations, {time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
