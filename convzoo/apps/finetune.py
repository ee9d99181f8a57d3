"""Where a run of fine-tuning begins: at loaded weights."""

from dataclasses import dataclass
from typing import Any

import convzoo.zoo as zoo
from convzoo.nn import Model


@dataclass(frozen=True)
class Pretrained:
    """Weights for ``Experiment.start``, as ``convzoo.load`` finds them; the head is new where its classes differ.

    ``source`` "": the package that ships weights of ``name``. ``name`` "": none, the run begins at random, to compare.
    """

    name: str
    source: str = ""

    def variables(self, model: Model) -> dict[str, Any] | None:
        """The weights, in the shapes of ``model``.

        Raises:
          ValueError: the weights are of another network.
        """
        if not self.name:
            return None
        made, variables, _ = zoo.load(self.name, self.source or None, num_classes=getattr(model, "num_classes", 0))
        if type(made) is not type(model):
            raise ValueError(f"{self.name} is a {type(made).__name__}, the model of this run a {type(model).__name__}")
        return variables
