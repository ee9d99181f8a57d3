"""A stack of one graph layer that classifies nodes: any tuple with jraph.GraphsTuple's fields -> [nodes, num_classes].

GCN (Kipf & Welling 2017, arXiv:1609.02907) and GAT (Veličković et al. 2018, arXiv:1710.10903) as their papers' networks
for citations: dropout before every layer, an activation between. Edges come prepared, self-loops and weights in
``edges["weight"]``; ``edges["table"]`` may hold ``core.sort_edges`` of them. Nodes may be ``core.SparseRows``: dropout
then falls on the nonzeros, which is the same thing and takes a hundredth of the memory.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.models.graphnet import listed
from convzoo.nn import (
    ACTIVATIONS,
    BatchNorm,
    ChebConv,
    GATConv,
    GATv2Conv,
    GCNConv,
    GINConv,
    Model,
    SAGEConv,
)
from convzoo.nn.model import Features

# A layer by name, from (its width, whether it is the last, the network, what every layer takes).
Make = Callable[[int, bool, "NodeNet", dict[str, Any]], Model]
LAYERS: dict[str, Make] = {
    "gcn": lambda width, last, net, own: GCNConv(width, bias=net.bias, normalise=False, **own),
    "sage": lambda width, last, net, own: SAGEConv(width, **own),
    "gin": lambda width, last, net, own: GINConv((net.width, width), **own),
    "chebyshev": lambda width, last, net, own: ChebConv(width, **own),
    "gat": lambda width, last, net, own: GATConv(width, **attention(last, net), **own),
    "gatv2": lambda width, last, net, own: GATv2Conv(width, **attention(last, net), **own),
}
WITH_TABLE = ("gcn", "sage", "gin", "gat", "gatv2")
WITH_DROPOUT = ("gat", "gatv2")


def attention(last: bool, net: "NodeNet") -> dict[str, Any]:
    heads = net.last_heads if last else net.heads
    return {"heads": heads, "concat": not last, "dropout": net.dropout, "loops": False}


class NodeNet(Model):
    """Waypoints ``conv0`` ...; the last layer is ``head``, or with ``num_classes=0`` there is none.

    ``residual``: a layer's input is added to its output where they are as wide.
    ``width`` is a head's for attention. Of raw edges (no ``edges["weight"]``) a GCN sums neighbours as they are.
    ``bias`` is a GCN's; Kipf's own code has none. ``norm``: batch norm before the activations.
    """

    layer: str = "gcn"
    depth: int = 2
    width: int = 16
    heads: int = 1
    last_heads: int = 1
    num_classes: int = 7
    dropout: float = 0.5
    activation: str = "relu"
    residual: bool = False
    bias: bool = True
    norm: bool = False

    @nn.compact
    def __call__(
        self, x: Any, *, train: bool = False, node_mask: Bool[Array, " nodes"] | None = None
    ) -> tuple[Float[Array, "nodes out"], Features]:
        """``node_mask``: False for the nodes of padding graphs, to keep them out of the norms' statistics."""
        if self.layer not in LAYERS:
            raise ValueError(f"layer {self.layer!r} is not known; it must be one of {tuple(LAYERS)}")
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        edges, _, mask = listed(x, 1)
        mask = mask if node_mask is None else mask & node_mask
        named: dict[str, Any] = {}
        if self.layer in WITH_TABLE and isinstance(x.edges, dict):
            named["table"] = x.edges.get("table")
        if self.layer in WITH_DROPOUT:
            named["train"] = train
        h, layer = x.nodes, LAYERS[self.layer]
        for index in range(self.depth - 1):
            h = drop(self, h, f"drop{index}", train)
            y = layer(self.width, False, self, {**own, "name": f"conv{index}"})(h, edges, **named)
            y = BatchNorm(name=f"norm{index}", **own)(y, train=train, mask=mask) if self.norm else y
            y = ACTIVATIONS[self.activation](y)
            h = features[f"conv{index}"] = y + h if self.residual and y.shape == h.shape else y
        if not self.num_classes:
            return h, features
        h = drop(self, h, f"drop{self.depth - 1}", train)
        return layer(self.num_classes, True, self, {**own, "name": "head"})(h, edges, **named), features


def drop(net: Any, x: Any, name: str, train: bool) -> Any:
    """Dropout at the network's rate on rows, or on the values of sparse ones."""
    fall = nn.Dropout(net.dropout, deterministic=not train, name=name, parent=net)
    if not isinstance(x, core.SparseRows):
        return fall(jnp.asarray(x, net.dtype))
    return x._replace(edges=x.edges._replace(weight=fall(x.edges.weight)))


GCN = NodeNet()
GAT = NodeNet(layer="gat", width=8, heads=8, dropout=0.6, activation="elu")
GATV2 = GAT.clone(layer="gatv2")
GRAPHSAGE = NodeNet(layer="sage", width=64)
CHEBNET = NodeNet(layer="chebyshev")
