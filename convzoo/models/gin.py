"""Graph isomorphism network: any tuple with jraph.GraphsTuple's fields -> [graphs, num_classes].

Xu et al. 2019, arXiv:1810.00826: sums over neighbours, a perceptron of two layers with batch norm, and a linear map of
the summed nodes of every layer, the input included. Norms see real nodes alone.
"""

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.models.graphnet import listed
from convzoo.nn import ACTIVATIONS, BatchNorm, Dense, GINConv, Model
from convzoo.nn.model import Features


class GIN(Model):
    """Waypoints ``conv0`` ..., ``pooled``: the sums over nodes of every layer, side by side."""

    depth: int = 4
    width: int = 32
    num_classes: int = 2
    dropout: float = 0.5
    readout: str = "sum"

    @nn.compact
    def __call__(
        self, x: Any, *, train: bool = False, node_mask: Bool[Array, " nodes"] | None = None
    ) -> tuple[Float[Array, "graphs out"], Features]:
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        edges, graph_id, mask = listed(x, 1)
        mask = mask if node_mask is None else mask & node_mask
        h = jnp.asarray(x.nodes, self.dtype)
        found = [h]
        for index in range(self.depth):
            conv = GINConv((self.width, self.width), norm=True, name=f"conv{index}", **own)
            h = BatchNorm(name=f"norm{index}", **own)(conv(h, edges, train=train, mask=mask), train=train, mask=mask)
            h = features[f"conv{index}"] = ACTIVATIONS["relu"](h)
            found.append(h)
        graphs = x.n_node.shape[0]
        pooled = [core.readout(h, graph_id, graphs, kind=self.readout, mask=mask) for h in found]
        features["pooled"] = jnp.concatenate(pooled, -1)
        if not self.num_classes:
            return features["pooled"], features
        fall = nn.Dropout(self.dropout, deterministic=not train, name="dropout")
        scores = [fall(Dense(self.num_classes, name=f"head{i}", **own)(p)) for i, p in enumerate(pooled)]
        return sum(scores[1:], scores[0]), features


GIN_SMALL = GIN()
