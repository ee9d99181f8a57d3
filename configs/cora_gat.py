"""Cora by a GAT: Veličković's network and split, 8 heads of 8, dropout 0.6 on features and attention.

    python -m experiments.train cora_gat

Source: Veličković et al. 2018, arXiv:1710.10903; the Planetoid split. 200 epochs, the last one counts: the paper stops
early on validation loss and accuracy. Many seeds in one program: python -m experiments.cora --config cora_gat

Expected: 83.0 ± 0.7 % (the paper's).
Measured: 82.27 ± 0.15 % over 20 seeds (a run's standard deviation 0.68), 55 s for all of them, 17 s of it compiling, on
2 busy CPU cores (2026-11-23, jax 0.10.2; python -m experiments.cora --config cora_gat --seeds 20).
"""

import dataclasses

from configs.cora_gcn import CONFIG as GCN
from convzoo import data
from convzoo.models.nodenet import GAT

CONFIG = dataclasses.replace(
    GCN,
    model=GAT,
    data=data.Planetoid("cora", weights="loops"),
    learning_rate=0.005,
    decay_within="",
)
