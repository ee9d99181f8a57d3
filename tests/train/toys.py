"""What the engine's tests train: a network that compiles in no time, points to tell apart, and a look at a folder."""

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from convzoo import tasks, train
from convzoo.models.resnet import ResNet
from convzoo.nn import Basic, Dense, Model

CLASSES = 3


class Toy(Model):
    """Two dense layers with dropout between them; no statistics."""

    width: int = 16
    dropout: float = 0.5

    @nn.compact
    def __call__(self, x, *, train: bool = False):
        own: dict[str, Any] = {"dtype": self.dtype, "param_dtype": self.param_dtype}
        features = OrderedDict()
        x = features["hidden"] = jax.nn.relu(Dense(self.width, name="hidden", **own)(x))
        x = nn.Dropout(self.dropout, deterministic=not train, name="dropout")(x)
        return Dense(CLASSES, name="head", **own)(x), features


NORMED = ResNet(depths=(1,), block=Basic, num_classes=CLASSES, width=4, stem="plain", ranks=(1,))


@dataclass(frozen=True)
class Points:
    """Clouds of points around three corners: [batch, channels], or [batch, *space, channels] of one value each."""

    shape: tuple[int, ...] = (4,)

    def at(self, step: int, size: int = 16) -> dict[str, Any]:
        rng = np.random.default_rng(step)
        label = rng.integers(0, CLASSES, size)
        x = 0.5 * rng.normal(size=(size, *self.shape))
        x[..., :CLASSES] += np.eye(CLASSES)[label].reshape(size, *(1,) * (len(self.shape) - 1), CLASSES)
        return {
            "input": jnp.asarray(x, jnp.float32),
            "label": jnp.asarray(label, jnp.int32),
            "mask": jnp.ones(size, bool),
        }


POINTS, SOUNDS = Points(), Points((8, 4))


def experiment(model: Model = Toy(), **fields: Any) -> train.Experiment:  # noqa: B008 a frozen value
    """A short run; the toys' own where nothing else is said."""
    return train.Experiment(**{"model": model, "task": tasks.Classification(), "data": POINTS, "steps": 12} | fields)


def leaves(tree: Any) -> dict[str, np.ndarray]:
    """Every array of a tree by its path; random keys as their data."""
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        plain = jax.random.key_data(leaf) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        found[jax.tree_util.keystr(path, simple=True, separator="/")] = np.array(plain)
    return found


def assert_same(one: Any, other: Any) -> None:
    """Two trees hold the same arrays, to the last bit."""
    one, other = leaves(one), leaves(other)
    assert one.keys() == other.keys()
    for path, array in one.items():
        assert array.dtype == other[path].dtype, path
        assert array.tobytes() == other[path].tobytes(), path


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder (None: a folder) with its bytes."""
    return {str(p.relative_to(folder)): None if p.is_dir() else p.read_bytes() for p in sorted(folder.rglob("*"))}
