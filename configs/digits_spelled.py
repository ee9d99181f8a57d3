"""The last digit of a number, spelled: a 1-D residual network on the UTF-8 bytes of number words in several languages.

python -m experiments.train digits_spelled
"""

from convzoo import data, tasks
from convzoo.models.bytenet import BYTENET
from convzoo.train import Experiment

CONFIG = Experiment(
    model=BYTENET,
    task=tasks.Classification(label_smoothing=0.1),
    data=data.Spelled(),
    steps=500,
    eval_every=50,
)
