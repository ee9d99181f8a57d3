"""The field of 169,343 computer science papers, told from their titles, abstracts and citations, by a GCN.

    python -m experiments.train ogbn_arxiv

Source: Hu et al. 2020, arXiv:2005.00687: three layers of 256 with batch norm and dropout 0.5, Adam at 0.01, 500 epochs
of the whole graph, citations both ways. Needs the extra ogb and a download of 80 MB.

Expected: 71.7 ± 0.3 % (OGB's own GCN).
Measured: not yet run; about 2 h on 2 CPU cores by the time of its neighbour sums.
"""

from convzoo import data, tasks
from convzoo.models.nodenet import NodeNet
from convzoo.train import Experiment

CONFIG = Experiment(
    model=NodeNet(depth=3, width=256, num_classes=40, norm=True),
    task=tasks.Classification(),
    data=data.OgbNodes("ogbn-arxiv"),
    batch_size=1,
    steps=500,
    optimizer="adam",
    learning_rate=0.01,
    annealing="none",
    warmup=0.0,
    weight_decay=0.0,
    clip_norm=0.0,
)
