"""Cora by a GCN: Kipf's network, split and recipe, the loss on 140 of 2,708 papers.

    python -m experiments.train cora_gcn

Source: Kipf & Welling 2017, arXiv:1609.02907; the Planetoid split. 200 epochs, the last one counts: no early stopping.
A hundred seeds in one program, beside torch_geometric's hundred runs: python -m experiments.cora

Expected: 81.5 % (the paper's mean of 100 runs).
Measured: 81.49 ± 0.06 % over 100 seeds (a run's standard deviation 0.64), 32 s for all of them, 7 s of it compiling,
on 2 busy CPU cores (2026-11-23, jax 0.10.2; python -m experiments.cora --peer-seeds 20). In the same command
torch_geometric's runs, one after the other on dense features as in its own example: 81.53 ± 0.12 % over 20 seeds,
12.7 s a run, so 34 times as long (20 runs were timed, not 100). Kipf's own code has no biases; with them 81.33 ± 0.07 %
over 100 other seeds.
"""

from convzoo import data, tasks
from convzoo.models.nodenet import GCN
from convzoo.train import Experiment

CONFIG = Experiment(
    model=GCN.clone(bias=False),
    task=tasks.Classification(),
    data=data.Planetoid("cora"),
    batch_size=1,
    steps=200,
    optimizer="adam",
    learning_rate=0.01,
    annealing="none",
    warmup=0.0,
    weight_decay=5e-4,
    decay_within="conv0",
    clip_norm=0.0,
)
