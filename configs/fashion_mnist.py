"""Fashion-MNIST: the CIFAR form of ResNet, 8 layers deep, on 28 by 28 grey pictures of ten kinds of clothing.

    python -m experiments.train fashion_mnist

One epoch, far from converged. With --model.depths '(3, 3, 3)' it is ResNet-20, three times slower, and with
--steps 9370 ten epochs; neither was run.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; 60,000 to train, 10,000 to test, from four idx files (the
Debian package dataset-fashion-mnist, or --data.folder DIR).

Measured: 76.2 % of the 10,000 after 937 steps, one seed; 330 images/s at the end, about 190 s an epoch at that rate, on
2 CPU cores (2026-11-23, jax 0.10.2; stopped and resumed once, most of it beside other work in 400 s). Not run on a GPU.
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
