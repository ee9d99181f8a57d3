"""Classification: logits [batch, classes] against integer labels [batch]; masked examples count for nothing."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Batch = dict[str, Any]


@dataclass(frozen=True)
class Classification:
    """Cross-entropy with label smoothing (Szegedy et al. 2016, arXiv:1512.00567)."""

    label_smoothing: float = 0.0

    def __post_init__(self):
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it must be in [0, 1)")

    def loss(self, logits: Float[Array, "batch classes"], batch: Batch) -> Float[Array, ""]:
        """The mean cross-entropy of the real examples."""
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        target = optax.smooth_labels(jax.nn.one_hot(batch["label"], logits.shape[-1]), self.label_smoothing)
        return mean(optax.softmax_cross_entropy(logits, target), batch["mask"])

    def metrics(self, logits: Float[Array, "batch classes"], batch: Batch) -> dict[str, Array]:
        """What is logged of a training step: means over the real examples."""
        return {"accuracy": mean(logits.argmax(-1) == batch["label"], batch["mask"])}

    def score(self, logits: Float[Array, "batch classes"], batch: Batch) -> dict[str, Array]:
        """One figure an example, [batch], of which an evaluation takes the mean over the real ones."""
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        return {
            "accuracy": logits.argmax(-1) == batch["label"],
            "loss": optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"]),
        }

    def predict(self, logits: Float[Array, "batch classes"]) -> Float[Array, "batch classes"]:
        """Probabilities."""
        return jax.nn.softmax(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))


def mean(values: Array, mask: Array) -> Array:
    """The mean where the mask is True; 0 where it is so nowhere."""
    values = jnp.where(mask, values, 0)
    return values.sum() / jnp.maximum(mask.sum(), 1)
