"""AlexNet, one tower and the two of 2012: [batch, height, width, channels] -> [batch, num_classes].

One tower: Krizhevsky 2014, arXiv:1404.5997, as torchvision has it: no local response normalisation, dropout before the
first two dense layers. Two towers: Krizhevsky, Sutskever & Hinton, NIPS 2012; they meet in the third convolution, so
the other three are grouped. Both bring features to 6 by 6 by adaptive average pooling, which does nothing at 224 pixels
(one tower) and at 227 (two towers, whose first convolution pads nothing: the paper's 224 do not give its 55 places).
"""

from collections import OrderedDict
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Float

from convzoo import core
from convzoo.nn import Conv, Dense, Model
from convzoo.nn.model import Features

# features, window, stride, padding
LAYERS = (
    (64, 11, 4, 2),
    (192, 5, 1, 2),
    (384, 3, 1, 1),
    (256, 3, 1, 1),
    (256, 3, 1, 1),
)
POOLED = (0, 1, 4)


class AlexNet(Model):
    """Waypoints ``conv0`` to ``conv4`` (before pooling), ``pooled``, ``dense0``, ``dense1``.

    ``num_classes=0``: no head, the output is ``dense1``.
    """

    num_classes: int = 1000
    hidden: int = 4096
    dropout: float = 0.5

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch out"], Features]:
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.take(x, (2,))
        for index, (width, window, stride, pad) in enumerate(LAYERS):
            sides: dict[str, Any] = {"padding": ((pad, pad),) * 2, "bias": True, "activation": "relu"}
            x = features[f"conv{index}"] = Conv(width, window, stride, name=f"conv{index}", **sides, **own)(x)
            if index in POOLED:
                x = core.max_pool(x, 3, stride=2, padding="VALID")
        x = features["pooled"] = core.adaptive_avg_pool(x, 6)
        x = x.reshape(x.shape[0], -1)
        for index in range(2):
            x = nn.Dropout(self.dropout, deterministic=not train, name=f"dropout{index}")(x)
            x = features[f"dense{index}"] = Dense(self.hidden, activation="relu", name=f"dense{index}", **own)(x)
        return (Dense(self.num_classes, name="head", **own)(x) if self.num_classes else x), features


# features, window, stride, padding, groups, initial bias
TOWERS = (
    (96, 11, 4, 0, 1, 0.0),
    (256, 5, 1, 2, 2, 1.0),
    (384, 3, 1, 1, 1, 0.0),
    (384, 3, 1, 1, 2, 1.0),
    (256, 3, 1, 1, 2, 1.0),
)
NORMED = (0, 1)


class AlexNet2012(Model):
    """Waypoints ``conv0`` to ``conv4`` (before norm and pooling), ``pooled``, ``dense0``, ``dense1``.

    ``num_classes=0``: no head, the output is ``dense1``. Constants of the norm and of the first values are the paper's.
    """

    num_classes: int = 1000
    hidden: int = 4096
    dropout: float = 0.5

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], *, train: bool = False
    ) -> tuple[Float[Array, "batch out"], Features]:
        features = OrderedDict()
        own: dict[str, Any] = {"initial": "normal_01", "dtype": self.dtype, "param_dtype": self.param_dtype}
        x = self.take(x, (2,))
        for index, (width, window, stride, pad, groups, bias) in enumerate(TOWERS):
            sides: dict[str, Any] = {"groups": groups, "padding": ((pad, pad),) * 2, "activation": "relu"}
            conv = Conv(width, window, stride, bias=True, initial_bias=bias, name=f"conv{index}", **sides, **own)
            x = features[f"conv{index}"] = conv(x)
            if index in NORMED:
                x = core.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=2.0)
            if index in POOLED:
                x = core.max_pool(x, 3, stride=2, padding="VALID")
        x = features["pooled"] = core.adaptive_avg_pool(x, 6)
        x = x.reshape(x.shape[0], -1)
        for index in range(2):
            dense = Dense(self.hidden, initial_bias=1.0, activation="relu", name=f"dense{index}", **own)
            x = features[f"dense{index}"] = dense(x)
            x = nn.Dropout(self.dropout, deterministic=not train, name=f"dropout{index}")(x)
        return (Dense(self.num_classes, name="head", **own)(x) if self.num_classes else x), features


ALEXNET = AlexNet()
ALEXNET_2012 = AlexNet2012()
