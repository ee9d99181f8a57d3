"""MUTAG by a GIN: do 188 nitro compounds change genes, told from atoms and bonds.

    python -m experiments.train mutag_gin

Source: Xu et al. 2019, arXiv:1810.00826: 4 layers after the input, two-layer perceptrons, dropout 0.5, Adam at 0.01,
halved every 50 of 350 epochs. This card trains one fold of ten; all of them, by the paper's protocol and the stricter
one: python -m experiments.gin --folder DIR/MUTAG

Expected: 89.4 ± 5.6 % (the paper's, its epoch chosen on the test folds).
Measured, ten folds: 88.9 ± 7.7 % by the paper's protocol, 84.6 ± 8.0 at the last epoch, 83.9 ± 6.2 with the epoch
chosen on validation only; 126 s for all twenty runs on 2 busy CPU cores (2026-11-23, jax 0.10.2). One fold: not yet
run.
"""

from convzoo import data, tasks
from convzoo.models.gin import GIN_SMALL
from convzoo.train import Experiment

CONFIG = Experiment(
    model=GIN_SMALL,
    task=tasks.Classification(),
    data=data.TUDataset("MUTAG"),
    batch_size=32,
    steps=350 * 6,
    optimizer="adam",
    learning_rate=0.01,
    annealing="halving",
    warmup=0.0,
    weight_decay=0.0,
    clip_norm=0.0,
)
