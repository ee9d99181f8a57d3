"""Which of 128 biological assays a molecule answers to, by a GIN over its atoms and bonds.

    python -m experiments.train ogbg_molpcba

Source: Hu et al. 2020, arXiv:2005.00687, whose "GIN" this is: five layers of 300, dropout 0.5, Adam at 0.001, batches
of 512, the scaffold split of 437,929 molecules; labels that are not known count for nothing; the mean over the assays
of average precision. OGB trains 100 epochs and tests the one that validated best; here the last one counts. Needs the
extra ogb and a download.

Expected: 22.7 ± 0.3 % average precision (OGB's own GIN without a virtual node).
Measured: not yet run; about 60 h on 2 CPU cores by the time of a step on made molecules.
"""

from convzoo import data, tasks
from convzoo.models.molnet import MOLNET_PCBA
from convzoo.train import Experiment

CONFIG = Experiment(
    model=MOLNET_PCBA,
    task=tasks.Tagging(),
    data=data.OgbMolecules("ogbg-molpcba"),
    batch_size=512,
    steps=100 * 685,
    optimizer="adam",
    learning_rate=0.001,
    annealing="none",
    warmup=0.0,
    weight_decay=0.0,
    clip_norm=0.0,
    eval_every=685,
)
