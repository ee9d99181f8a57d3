"""GCNII: any tuple with jraph.GraphsTuple's fields -> [nodes, num_classes], at any depth.

Chen et al. 2020, arXiv:2007.02133. A GCN averages neighbours again and again until all nodes are alike; here every
layer adds a share of what the first one had, and its kernel is near the identity, the nearer the deeper it lies.
Dropout before every layer, ReLU after. Edges and nodes come prepared as ``NodeNet``'s.
"""

from collections import OrderedDict
from typing import Any

from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.models.graphnet import listed
from convzoo.models.nodenet import drop
from convzoo.nn import ACTIVATIONS, GCN2Conv, Model, Weights
from convzoo.nn.model import Features


class GCNII(Model):
    """Waypoints ``stem``, ``conv0`` ...; then ``head``, or with ``num_classes=0`` none."""

    depth: int = 64
    width: int = 64
    num_classes: int = 7
    dropout: float = 0.6
    alpha: float = 0.1
    theta: float = 0.5

    @nn.compact
    def __call__(
        self, x: Any, *, train: bool = False, node_mask: Bool[Array, " nodes"] | None = None
    ) -> tuple[Float[Array, "nodes out"], Features]:
        """``node_mask`` is taken for the sake of padded batches; nothing here looks at other graphs."""
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        edges, _, _ = listed(x, 1)
        table = x.edges.get("table") if isinstance(x.edges, dict) else None
        relu = ACTIVATIONS["relu"]
        kernel, bias = Weights(self.width, name="stem", **own)(x.nodes.shape[1])
        h = initial = features["stem"] = relu(core.times(drop(self, x.nodes, "drop", train), kernel) + bias)
        for index in range(self.depth):
            conv = GCN2Conv(index + 1, self.alpha, self.theta, normalise=False, name=f"conv{index}", **own)
            h = features[f"conv{index}"] = relu(conv(drop(self, h, f"drop{index}", train), initial, edges, table=table))
        if not self.num_classes:
            return h, features
        kernel, bias = Weights(self.num_classes, name="head", **own)(self.width)
        return core.product(drop(self, h, "drop_head", train), kernel) + bias, features


GCNII_64 = GCNII()
