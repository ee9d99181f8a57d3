"""Fashion-MNIST: the CIFAR form of ResNet-20 on 28 by 28 grey pictures of ten kinds of clothing.

    python -m experiments.train fashion_mnist

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; 60,000 to train, 10,000 to test, from four idx files (the
Debian package dataset-fashion-mnist, or --data.folder DIR).

Expected: 93 %; not yet run; 15 min on 2 CPU cores.
"""

from convzoo import data, tasks
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.train import Experiment

CONFIG = Experiment(
    model=CIFAR_RESNET20,
    task=tasks.Classification(label_smoothing=0.1),
    data=data.FashionMnist(),
    batch_size=128,
    steps=5 * 468,
    eval_every=468,
    checkpoint_every=468,
)
