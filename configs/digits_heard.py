"""Ten digits, heard: a 1-D residual network on the log-mel spectrogram of eSpeak NG's voices.

python -m experiments.train digits_heard
"""

from convzoo import data, tasks
from convzoo.models.resnet import ResNet
from convzoo.nn import Basic
from convzoo.train import Experiment

CONFIG = Experiment(
    model=ResNet(depths=(1, 1, 1), block=Basic, num_classes=10, width=24, window=5, stem="plain", ranks=(1,)),
    task=tasks.Classification(label_smoothing=0.1),
    data=data.Heard(),
    steps=940,
    eval_every=94,
)
