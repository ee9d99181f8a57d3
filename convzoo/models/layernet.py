"""``graphnet.py`` with any graph layer in its blocks: a tuple with jraph.GraphsTuple's fields -> [graphs, num_classes].

A linear stem, blocks of layer, batch norm and a skip, then the mean and the maximum over nodes. Taps are left alone, so
the layers hear a neighbour's features and not its direction: compare with ``GraphNet``, which has a kernel a tap.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.models.graphnet import listed
from convzoo.nn import ACTIVATIONS, BatchNorm, Dense, EdgeConv, GATConv, GATv2Conv, GINConv, Model, SAGEConv
from convzoo.nn.model import Features

HEADS = 4
LAYERS: dict[str, Callable[..., Model]] = {
    "edge_conv": lambda width, **own: EdgeConv((width, width), **own),
    "gat": lambda width, **own: GATConv(width // HEADS, heads=HEADS, loops=False, **own),
    "gatv2": lambda width, **own: GATv2Conv(width // HEADS, heads=HEADS, loops=False, **own),
    "gin": lambda width, **own: GINConv((width, width), **own),
    "sage_max": lambda width, **own: SAGEConv(width, kind="max", **own),
    "sage_mean": lambda width, **own: SAGEConv(width, **own),
}


class LayerNet(Model):
    """Waypoints ``stem``, ``block0`` ..., ``pooled``. ``num_classes=0``: no head, the output is ``pooled``."""

    layer: str = "gat"
    depth: int = 6
    width: int = 64
    num_classes: int = 10
    dropout: float = 0.0

    @property
    def norm_after_activation(self) -> bool:
        """EdgeConv takes a maximum between its perceptron and the norm (``convzoo.fold``)."""
        return self.layer == "edge_conv"

    @nn.compact
    def __call__(
        self, x: Any, *, train: bool = False, node_mask: Bool[Array, " nodes"] | None = None
    ) -> tuple[Float[Array, "graphs out"], Features]:
        """``node_mask``: False for the nodes of padding graphs, to keep them out of the norms' statistics."""
        if self.layer not in LAYERS or self.width % HEADS:
            raise ValueError(
                f"layer {self.layer!r} of width {self.width}: it must be one of {tuple(LAYERS)}, the width a multiple "
                f"of {HEADS}"
            )
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        edges, graph_id, mask = listed(x, 1)
        mask = mask if node_mask is None else mask & node_mask
        h = features["stem"] = Dense(self.width, name="stem", **own)(jnp.asarray(x.nodes, self.dtype))
        for index in range(self.depth):
            y = LAYERS[self.layer](self.width, name=f"conv{index}", **own)(h, edges)
            y = BatchNorm(name=f"norm{index}", **own)(y, train=train, mask=mask)
            h = features[f"block{index}"] = ACTIVATIONS["relu"](h + y)
        graphs = x.n_node.shape[0]
        parts = [core.readout(h, graph_id, graphs, kind=kind, mask=mask) for kind in ("mean", "max")]
        y = features["pooled"] = jnp.concatenate(parts, -1)
        y = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(y)
        return (Dense(self.num_classes, name="head", **own)(y) if self.num_classes else y), features


GRAPHNET_EDGECONV = LayerNet(layer="edge_conv", width=84)
GRAPHNET_GAT = LayerNet(layer="gat", width=140)
GRAPHNET_GIN = LayerNet(layer="gin", width=100)
GRAPHNET_SAGE = LayerNet(layer="sage_max", width=100)
