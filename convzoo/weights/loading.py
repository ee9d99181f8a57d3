"""Weights for a model given as a value: its shapes, its tree filled from a file, its new head."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict

from convzoo.nn import Model
from convzoo.weights import fitting
from convzoo.weights.fitting import flat


@dataclass(eq=False)
class Shaper:
    """Asks a model for its variables' shapes, by numbers of classes and of input channels, each question once.

    ``example``: an input, or its shape; channels are changed where it is a shape of three or more axes.
    """

    model: Model
    example: Any
    known: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)

    @property
    def channels(self) -> int:
        return self.example[-1] if self.has_channels else 3

    @property
    def is_shape(self) -> bool:
        return isinstance(self.example, tuple | list) and all(isinstance(n, int) for n in self.example)

    @property
    def has_channels(self) -> bool:
        return self.is_shape and len(self.example) > 2

    def init(self, classes: int, channels: int, key: jax.Array) -> dict[str, Any]:
        x = self.example
        if self.has_channels:
            x = jnp.zeros((*self.example[:-1], channels))
        elif self.is_shape:
            x = jnp.zeros(self.example, jnp.int32)
        return cast(Any, sized(self.model, classes).init(key, x, train=False))

    def __call__(self, classes: int, channels: int) -> dict[str, Any]:
        if (classes, channels) not in self.known:
            made = jax.eval_shape(partial(self.init, classes, channels), jax.random.key(0))
            self.known[classes, channels] = made
        return self.known[classes, channels]


def sized(model: Model, classes: int) -> Model:
    """The model with so many classes."""
    return model if getattr(model, "num_classes", classes) == classes else model.clone(num_classes=classes)


def image_shape(model: Model, size: tuple[int, int], channels: int = 3) -> tuple[int, ...]:
    """The shape of an input of a model that takes images of that size (or sounds, or volumes, of about that)."""
    rank = getattr(model, "ranks", (2,))[0]
    return (1, *(size * 2)[:rank], channels)


def refitted(held: Mapping[str, Any], shaper: Shaper, classes: int, channels: int | None, seed: int) -> dict[str, Any]:
    """``held``, the variables of a file, with a head for ``classes`` and a stem for ``channels`` (None: its own)."""
    has = flat(held)
    place = fitting.layout(shaper, classes or 1, shaper.channels)
    own = next((has[path].shape[-2] for path in place.stem), shaper.channels)
    wide = channels or own
    wanted = flat(shaper(classes, wide))
    stem = place.stem if wide != own else ()
    new = [path for path, leaf in wanted.items() if path not in stem and np.shape(has.get(path, 0.0)) != leaf.shape]
    made: dict[str, Any] = {}
    if new:
        dtype = next(iter(flat(held["params"]).values())).dtype
        made = jax.jit(partial(leaves, shaper, classes, wide, new))(jax.random.key(seed))
        made = {path: np.asarray(array).astype(dtype) for path, array in made.items()}

    def leaf(path: str) -> Any:
        return fitting.adapt_stem(has[path], wide) if path in stem else made[path] if path in made else has[path]

    return unflatten_dict({path: kept(leaf(path)) for path in wanted}, sep="/")


def leaves(shaper: Shaper, classes: int, channels: int, paths: list[str], key: jax.Array) -> dict[str, Any]:
    """Some of a fresh network's variables; under jit the others are not computed."""
    made = flat(shaper.init(classes, channels, key))
    return {path: made[path] for path in paths}


def kept(array: Any) -> Any:
    """On the device; in NumPy where JAX, as it is set, would make the numbers narrower."""
    array = np.array(array, order="C")
    return jnp.asarray(array) if jax.dtypes.canonicalize_dtype(array.dtype) == array.dtype else array
