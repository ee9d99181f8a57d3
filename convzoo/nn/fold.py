"""Batch norms taken into the layers before them, for inference."""

import re
from typing import Any

import jax
import jax.numpy as jnp

from convzoo.nn.layers import BatchNorm
from convzoo.nn.model import Model

# The name of a batch norm, and the layers beside it whose output it may take; "" is the layer that owns the norm.
BEFORE = ((r"norm", ("",)), (r"(.+)_norm", (r"\1",)), (r"norm(\d+)", (r"dense\1", r"conv\1")))
LINEAR = {"kernel", "own", "bias"}  # what a layer may own that is linear in all of them together


def fold(model: Model, variables: dict[str, Any]) -> dict[str, Any]:
    """``variables`` for inference with every batch norm folded into the layer before it.

    ``model.apply`` takes them as they are: a norm that has a ``bias`` and no ``scale`` only adds it. Exact to
    rounding, in any family but graph attention; a model without batch norm comes back as it is. Where a ReLU or a
    maximum lies between the two (``model.norm_after_activation``), only scales that are not negative pass through it.

    Args:
      model: whose norms they are; it knows their epsilon.
      variables: ``params`` and ``batch_stats``, of arrays.

    Returns:
      ``{"params": ...}``, whose kernels hold the scales; there are no statistics, and training is an error.

    Raises:
      ValueError: a norm does not follow a layer with a kernel, or has a negative scale behind a ReLU or a maximum.
    """
    behind = getattr(model, "norm_after_activation", False)
    epsilon = getattr(model, "epsilon", BatchNorm.epsilon)
    params = jax.tree.map(lambda leaf: leaf, variables["params"])  # its dicts are changed below
    fold_level(params, variables.get("batch_stats", {}), epsilon, behind, ())
    return {"params": params}


def fold_level(params: dict[str, Any], statistics: Any, epsilon: float, behind: bool, path: tuple[str, ...]) -> None:
    for name, held in statistics.items():
        if "mean" not in held:
            fold_level(params[name], held, epsilon, behind, (*path, name))
            continue
        layer = layer_before(params, name)
        if layer is None:
            raise ValueError(f"no layer with a kernel is known before the batch norm {'/'.join((*path, name))}")
        norm = params[name]
        if behind and (norm["scale"] < 0).any():
            raise ValueError(f"{name} has negative scales, which do not pass through what is before it")
        gain = norm["scale"] * jax.lax.rsqrt(held["var"] + epsilon).astype(norm["scale"].dtype)
        for leaf in LINEAR & set(layer):
            layer[leaf] = layer[leaf] * gain.astype(layer[leaf].dtype)
        shift = jnp.asarray(norm["bias"] - held["mean"] * gain, norm["bias"].dtype)
        params[name] = {"bias": shift}


def layer_before(params: dict[str, Any], name: str) -> dict[str, Any] | None:
    """What the layer owns whose output the batch norm takes; None where no such layer is known."""
    for known, places in BEFORE:
        found = re.fullmatch(known, name)
        for place in places if found else ():
            layer = params.get(found.expand(place)) if found and place else params
            if layer and "mlp" in layer:  # the last of a perceptron
                dense = [each for each in layer["mlp"] if re.fullmatch(r"dense\d+", each)]
                layer = layer["mlp"][max(dense, key=lambda each: int(each[5:]))]
            if layer and "kernel" in layer and (not place or set(layer) <= LINEAR):
                return layer
    return None
