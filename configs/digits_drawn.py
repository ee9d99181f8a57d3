"""Ten digits, drawn: a residual graph network on the ink of the same pictures, one tap for each of nine directions.

python -m experiments.train digits_drawn
"""

from convzoo import data, tasks
from convzoo.models.graphnet import GRAPHNET
from convzoo.train import Experiment

CONFIG = Experiment(
    model=GRAPHNET,
    task=tasks.Classification(label_smoothing=0.1),
    data=data.Drawn(),
    steps=880,
    eval_every=88,
)
