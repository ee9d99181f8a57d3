"""A residual graph network: any tuple with jraph.GraphsTuple's fields -> [graphs, num_classes].

The residual network of ``resnet.py`` with the neighbours listed (Li et al. 2019, DeepGCNs, arXiv:1904.03751, has the
same idea): its block is the same two convolutions and a skip. ``edges`` holds ``tap`` (which slice of the kernel, int)
and optionally ``weight``; without ``tap`` every edge uses the only one. Reads out the mean and the maximum.
"""

from collections import OrderedDict
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.nn import Dense, GraphBlock, GraphConvNorm, Model
from convzoo.nn.model import Features


class GraphNet(Model):
    """Waypoints ``stem``, ``block0`` ..., ``pooled``. ``num_classes=0``: no head, the output is ``pooled``."""

    depth: int = 3
    width: int = 48
    taps: int = 9
    num_classes: int = 10
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, x: Any, *, train: bool = False, node_mask: Bool[Array, " nodes"] | None = None
    ) -> tuple[Float[Array, "graphs out"], Features]:
        """``node_mask``: False for the nodes of padding graphs, to keep them out of the norms' statistics."""
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        edges, graph_id, mask = listed(x, self.taps)
        mask = mask if node_mask is None else mask & node_mask
        nodes = x.nodes.astype(self.dtype)
        nodes = GraphConvNorm(self.width, self.taps, name="stem", **own)(nodes, edges, train=train, mask=mask)
        features["stem"] = nodes
        for index in range(self.depth):
            block = GraphBlock(self.width, self.taps, name=f"block{index}", **own)
            nodes = features[f"block{index}"] = block(nodes, edges, train=train, mask=mask)
        graphs = x.n_node.shape[0]
        parts = [core.readout(nodes, graph_id, graphs, kind=kind, mask=mask) for kind in ("mean", "max")]
        y = features["pooled"] = jnp.concatenate(parts, -1)
        y = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(y)
        return (Dense(self.num_classes, name="head", **own)(y) if self.num_classes else y), features


def listed(x: Any, taps: int) -> tuple[core.Edges, Array, Array]:
    """(edges, graph id of each node, mask of real nodes) of a graph tuple; what its counts do not cover is padding.

    Raises:
      ValueError: a field is missing, or an array is not as long as its fellows.
    """
    missing = [name for name in ("nodes", "edges", "senders", "receivers", "n_node", "n_edge") if not hasattr(x, name)]
    if missing:
        raise ValueError(f"a graph is a tuple with jraph.GraphsTuple's fields; {type(x).__name__} lacks {missing}")
    if len(x.nodes.shape) != 2 or x.senders.shape != x.receivers.shape or x.senders.ndim != 1:
        raise ValueError(
            f"nodes must be [nodes, channels], senders and receivers [edges]; got {tuple(x.nodes.shape)}, "
            f"{tuple(x.senders.shape)}, {tuple(x.receivers.shape)}"
        )
    size, graphs = x.nodes.shape[0], x.n_node.shape[0]
    mask = jnp.arange(size) < x.n_node.sum()
    graph_id = jnp.repeat(jnp.arange(graphs), x.n_node, total_repeat_length=size)
    labels = x.edges if isinstance(x.edges, dict) else {}
    real = jnp.arange(x.senders.shape[0]) < x.n_edge.sum()
    tap = labels["tap"] if "tap" in labels and taps > 1 else jnp.zeros_like(x.senders)
    weight = labels["weight"] if "weight" in labels else jnp.ones(x.senders.shape[0], jnp.float32)
    receivers = jnp.where(real, x.receivers, size)
    return core.Edges(x.senders, receivers, tap, weight, size), jnp.where(mask, graph_id, graphs), mask


GRAPHNET = GraphNet()
