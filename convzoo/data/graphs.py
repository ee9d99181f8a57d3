"""Graphs in batches of one shape: tracing a picture to a graph of its ink, and packing ragged graphs under jit.

A batch of graphs is one big graph with no edge between its parts. Its sizes are static: whatever nodes and edges are
left over belong to one more graph, the last, which is padding.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

TAPS = 9  # a 3 x 3 window in row-major order; the middle one is the node itself
SELF = 4


class Graphs(NamedTuple):
    """A batch of graphs: jraph.GraphsTuple's seven fields in its order, so ``GraphsTuple(*graphs)`` works.

    nodes [nodes, features]; edges a dict of [edges] arrays; receivers and senders int32 [edges], receivers ascending;
    n_node and n_edge int32 [graphs].
    """

    nodes: Any
    edges: Any
    receivers: Any
    senders: Any
    globals: Any
    n_node: Any
    n_edge: Any


def trace(picture: np.ndarray) -> dict[str, np.ndarray]:
    """The graph of the ink in ``picture`` [height, width]: a node for each pixel > 0, in row-major order.

    Returns nodes float32 [nodes, 3]: intensity, x to the right and y down, both -1 to 1; and int32 [edges] senders,
    receivers and taps. An edge runs to every node from itself and its inked neighbours. The tap is where the sender
    lies, seen from the receiver, in a 3 x 3 window in row-major order, as in ``core.grid_edges``: on a picture that is
    ink all over these are a grid's edges.
    """
    height, width = picture.shape
    rows, columns = np.nonzero(picture > 0)
    index = np.full((height + 2, width + 2), -1)
    index[rows + 1, columns + 1] = np.arange(len(rows))
    around = np.stack([index[rows + tap // 3, columns + tap % 3] for tap in range(TAPS)], axis=1)
    receivers, taps = np.nonzero(around >= 0)
    place = [2 * columns / max(width - 1, 1) - 1, 2 * rows / max(height - 1, 1) - 1]
    return {
        "nodes": np.stack([picture[rows, columns], *place], axis=1).astype(np.float32),
        "senders": around[receivers, taps].astype(np.int32),
        "receivers": receivers.astype(np.int32),
        "taps": taps.astype(np.int32),
    }


def compact(
    rows: dict[str, Array],
    mask: Bool[Array, " batch"],
    *,
    nodes: int,
    edges: int,
) -> tuple[Graphs, dict[str, Array]]:
    """Packs padded graphs into one batch of ``nodes`` nodes and ``edges`` edges by gathering; safe under jit.

    Args:
      rows: "nodes" [batch, most nodes, features]; "senders", "receivers", "tap" int32 and "weight" float32 [batch, most
        edges]; "n_node", "n_edge" int32 [batch]. Senders and receivers count from 0 in each graph.
      mask: graphs where it is False are left empty.
      nodes: more than the nodes of all the graphs together: the last one is always padding.
      edges: at least the edges of all the graphs together.

    Returns:
      The graphs, batch + 1 of them: the last has every unused node and edge, zeros, and its edges join the last node to
      itself with weight 0. And "graph_id" int32 [nodes], "node_mask" [nodes], "edge_mask" [edges].
    """
    n_node, n_edge = (jnp.where(mask, rows[name], 0) for name in ("n_node", "n_edge"))
    graph_id, node_mask, take_node, first = _slots(n_node, nodes)
    edge_graph, edge_mask, take_edge, _ = _slots(n_edge, edges)
    shift = jnp.append(first, 0)[edge_graph]

    def ends(name: str) -> Int[Array, " edges"]:
        return jnp.where(edge_mask, take_edge(rows[name]) + shift, nodes - 1)

    graphs = Graphs(
        nodes=take_node(rows["nodes"]),
        edges={"tap": take_edge(rows["tap"]), "weight": take_edge(rows["weight"])},
        receivers=ends("receivers"),
        senders=ends("senders"),
        globals=None,
        n_node=jnp.append(n_node, nodes - n_node.sum()),
        n_edge=jnp.append(n_edge, edges - n_edge.sum()),
    )
    return graphs, {"graph_id": graph_id, "node_mask": node_mask, "edge_mask": edge_mask}


def _slots(counts: Int[Array, " batch"], size: int) -> tuple[Array, Array, Any, Array]:
    """For ``size`` slots filled by ``counts`` items a graph: each slot's graph, whether it is used, how to fill it, and
    each graph's first slot."""
    ends = jnp.cumsum(counts)
    first = ends - counts
    slot = jnp.arange(size, dtype=counts.dtype)
    graph = jnp.searchsorted(ends, slot, side="right").astype(counts.dtype)
    used = graph < len(counts)
    safe = jnp.minimum(graph, len(counts) - 1)
    inside = jnp.where(used, slot - first[safe], 0)

    def take(values: Array) -> Array:
        taken = values[safe, inside]
        return jnp.where(used.reshape(-1, *[1] * (taken.ndim - 1)), taken, 0)

    return graph, used, take, first
