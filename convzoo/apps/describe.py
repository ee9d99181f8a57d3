"""What a named model is given: an input to ask its cost and waypoints with."""

import fnmatch
from functools import partial
from typing import Any

import numpy as np

from convzoo.data.graphs import Graphs
from convzoo.models.molnet import MolNet
from convzoo.nn import Model
from convzoo.weights import recipe as recipes
from convzoo.zoo import shapes_of, works

BYTES, NODES = 128, 16
SOUNDS = {
    "crepe_*": ("1024 samples", (1, 1024, 1)),
    "matchboxnet*": ("100 frames x 64", (1, 100, 64)),
    "quartznet*": ("100 frames x 64", (1, 100, 64)),
    "tcn": ("100 frames x 64", (1, 100, 64)),
    "*": ("16000 samples", (1, 16_000, 1)),
}


def example(name: str, model: Model) -> tuple[str, Any]:
    """(what it is called, an input or its shape): a sound, an image of the usual size, or what else the model takes."""
    if getattr(model, "ranks", ()) == (1,):
        return next(found for pattern, found in SOUNDS.items() if fnmatch.fnmatchcase(name, pattern))
    height, width = recipes.usual(name, 0).size
    shapes = {
        f"{height} x {width} x 3": (1, height, width, 3),
        f"{BYTES} bytes": (1, BYTES),
    }
    for told, shape in shapes.items():
        if works(partial(shapes_of, model), shape):
            return told, shape
    if isinstance(model, MolNet):
        return f"a chain of {NODES} atoms", path(NODES, len(model.atoms), len(model.bonds))
    return f"a path of {NODES} nodes", path(NODES)


def path(nodes: int, columns: int = 3, features: int = 0) -> Graphs:
    """A graph of nodes in a row, each with an edge from itself and its neighbours, taps as in a window of three."""
    pairs = [(s, r, s - r + 1) for r in range(nodes) for s in (r - 1, r, r + 1) if 0 <= s < nodes]
    senders, receivers, taps = np.array(pairs, np.int32).T
    return Graphs(
        nodes=np.zeros((nodes, columns), np.float32),
        edges={
            "tap": taps,
            "weight": np.ones(len(taps), np.float32),
            "features": np.zeros((len(taps), features), np.float32),
        },
        receivers=receivers,
        senders=senders,
        globals=None,
        n_node=np.array([nodes], np.int32),
        n_edge=np.array([len(taps)], np.int32),
    )
