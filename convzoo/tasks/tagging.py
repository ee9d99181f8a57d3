"""Tagging: logits [batch, tags] against yes or no for each tag; a label of NaN is not known and counts for nothing."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from convzoo.extras import need
from convzoo.tasks.classification import Batch, mean


@dataclass(frozen=True)
class Tagging:
    """A sigmoid and a binary cross-entropy a tag. Labels are float [batch, tags]: 0, 1 or NaN."""

    def loss(self, logits: Float[Array, "batch tags"], batch: Batch) -> Float[Array, ""]:
        """The mean cross-entropy of the known labels of the real examples."""
        known = ~jnp.isnan(batch["label"]) & batch["mask"][:, None]
        return mean(entropy(logits, batch), known)

    def metrics(self, logits: Float[Array, "batch tags"], batch: Batch) -> dict[str, Array]:
        """What is logged of a training step: the share of the known labels of the real examples that are right."""
        known = ~jnp.isnan(batch["label"]) & batch["mask"][:, None]
        return {"accuracy": mean((logits > 0) == (batch["label"] > 0), known)}

    def score(self, logits: Float[Array, "batch tags"], batch: Batch) -> dict[str, Array]:
        """One figure an example, [batch], of which an evaluation takes the mean over the real ones: of those of its
        labels that are known, the share that is right and the mean cross-entropy."""
        known = ~jnp.isnan(batch["label"])
        parts = {"accuracy": (logits > 0) == (batch["label"] > 0), "loss": entropy(logits, batch)}
        return {name: jax.vmap(mean)(values, known) for name, values in parts.items()}

    def predict(self, logits: Float[Array, "batch tags"]) -> Float[Array, "batch tags"]:
        """Probabilities."""
        return jax.nn.sigmoid(logits.astype(jnp.promote_types(logits.dtype, jnp.float32)))

    def over_all(self, predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Average precision over a whole split, [examples, tags]: the mean over the tags that have both a known yes and
        a known no, as the Open Graph Benchmark counts it (Hu et al. 2020, arXiv:2005.00687); NaN if no tag has."""
        average_precision = need("sklearn.metrics", extra="data").average_precision_score
        found = []
        for chance, label in zip(predictions.T, labels.T, strict=True):
            known = ~np.isnan(label)
            if {0.0, 1.0} <= set(np.unique(label[known])):
                found.append(average_precision(label[known], chance[known]))
        return {"average_precision": float(np.mean(found)) if found else float("nan")}


def entropy(logits: Float[Array, "batch tags"], batch: Batch) -> Float[Array, "batch tags"]:
    """Binary cross-entropy; of a label that is not known, of a no."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return optax.sigmoid_binary_cross_entropy(logits, jnp.nan_to_num(batch["label"]))
