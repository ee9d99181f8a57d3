"""Fashion-MNIST: the CIFAR form of ResNet, 8 layers deep, on 28 by 28 grey pictures of ten kinds of clothing.

    python -m experiments.train fashion_mnist

With --model.depths '(3, 3, 3)' it is ResNet-20, three times slower; not run.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; 60,000 to train, 10,000 to test, from four idx files (the
Debian package dataset-fashion-mnist, or --data.folder DIR).

Expected: 88 %; not yet run; 3 min on 2 CPU cores.
"""

from convzoo import data, tasks
from convzoo.models.resnet import CIFAR_RESNET20
from convzoo.train import Experiment

CONFIG = Experiment(
    model=CIFAR_RESNET20.clone(depths=(1, 1, 1)),
    task=tasks.Classification(label_smoothing=0.1),
    data=data.FashionMnist(),
    steps=937,
    eval_every=468,
    checkpoint_every=200,
)
