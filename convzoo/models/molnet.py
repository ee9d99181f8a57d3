"""A network for molecules: a tuple with jraph.GraphsTuple's fields, atoms and bonds as categories -> [graphs, tags].

The GIN of the Open Graph Benchmark (Hu et al. 2020, arXiv:2005.00687; Xu et al. 2019, arXiv:1810.00826): every column
of an atom's (a bond's) categories has a vector for each value, which are summed; layers hear ``relu(atom + bond)`` of
their neighbours, then a perceptron of two layers, batch norm, ReLU (not after the last) and dropout; then the mean over
the atoms.
"""

from collections import OrderedDict
from itertools import accumulate
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from convzoo import core
from convzoo.models.graphnet import listed
from convzoo.nn import ACTIVATIONS, BatchNorm, Dense, Model, Perceptron
from convzoo.nn.model import Features

# How many values each column of OGB's features can have: element, chirality, degree, charge, hydrogens, radicals,
# hybridisation, aromatic, in a ring; bond type, stereo, conjugated.
ATOMS = (119, 5, 12, 12, 10, 6, 6, 2, 2)
BONDS = (5, 6, 2)


class Categories(Model):
    """The sum over columns of a vector for each value: [rows, columns] whole numbers -> [rows, features]."""

    sizes: tuple[int, ...]
    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "rows columns"]) -> Float[Array, "rows out"]:
        if x.shape[1] != len(self.sizes):
            raise ValueError(f"{self.name} has {x.shape[1]} columns of categories; it must have {len(self.sizes)}")
        shape = (sum(self.sizes), self.features)
        table = self.param("table", nn.initializers.xavier_uniform(), shape, self.param_dtype).astype(self.dtype)
        sizes = jnp.asarray(self.sizes)
        first = jnp.asarray([0, *accumulate(self.sizes)][:-1])
        return table[jnp.clip(x.astype(jnp.int32), 0, sizes - 1) + first].sum(1)


class MolNet(Model):
    """Waypoints ``stem``, ``conv0`` ..., ``pooled``. ``num_classes=0``: no head, the output is ``pooled``."""

    depth: int = 5
    width: int = 300
    num_classes: int = 128
    dropout: float = 0.5
    atoms: tuple[int, ...] = ATOMS
    bonds: tuple[int, ...] = BONDS

    @nn.compact
    def __call__(
        self, x: Any, *, train: bool = False, node_mask: Bool[Array, " nodes"] | None = None
    ) -> tuple[Float[Array, "graphs out"], Features]:
        """``node_mask``: False for the nodes of padding graphs, to keep them out of the norms' statistics."""
        features = OrderedDict()
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        edges, graph_id, mask = listed(x, 1)
        mask = mask if node_mask is None else mask & node_mask
        h = features["stem"] = Categories(self.atoms, self.width, name="stem", **own)(jnp.asarray(x.nodes))
        for index in range(self.depth):
            columns = jnp.asarray(x.edges["features"])
            bonds = Categories(self.bonds, self.width, name=f"bonds{index}", **own)(columns)
            epsilon = self.param(f"epsilon{index}", nn.initializers.zeros, (), self.param_dtype).astype(self.dtype)
            y = core.graph_layers.gine(h, bonds, epsilon, edges)
            mlp = Perceptron((2 * self.width, self.width), norm=True, name=f"mlp{index}", **own)
            y = BatchNorm(name=f"norm{index}", **own)(mlp(y, train=train, mask=mask), train=train, mask=mask)
            y = ACTIVATIONS["relu"](y) if index + 1 < self.depth else y
            h = features[f"conv{index}"] = nn.Dropout(self.dropout, deterministic=not train, name=f"drop{index}")(y)
        pooled = features["pooled"] = core.readout(h, graph_id, x.n_node.shape[0], kind="mean", mask=mask)
        return (Dense(self.num_classes, name="head", **own)(pooled) if self.num_classes else pooled), features


MOLNET_PCBA = MolNet()
