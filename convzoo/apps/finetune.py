"""Where a run of fine-tuning begins: at loaded weights."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

import convzoo.zoo as zoo
from convzoo.nn import Model


@dataclass(frozen=True)
class Pretrained:
    """Weights for ``Experiment.start``, as ``convzoo.load`` finds them.

    Where the classes differ the head is new, and zero, so that it says nothing before it has learned anything
    (Kolesnikov et al. 2020, arXiv:1912.11370).

    ``source`` "": the package that ships weights of ``network``. ``network`` "": none, the run begins at random.
    """

    network: str
    source: str = ""

    def variables(self, model: Model) -> dict[str, Any] | None:
        """The weights, in the shapes of ``model``.

        Raises:
          ValueError: the weights are of another network.
        """
        if not self.network:
            return None
        made, held, _ = zoo.load(self.network, self.source or None)
        if type(made) is not type(model):
            kinds = type(made).__name__, type(model).__name__
            raise ValueError(f"{self.network} is a {kinds[0]}, the model of this run a {kinds[1]}")
        classes = getattr(model, "num_classes", 0)
        if getattr(made, "num_classes", 0) == classes:
            return held
        _, variables, _ = zoo.load(self.network, self.source or None, num_classes=classes)
        params = variables["params"]
        new = {name: jax.tree.map(jnp.zeros_like, part) for name, part in params.items() if name == "head"}
        return {**variables, "params": {**params, **new}}
