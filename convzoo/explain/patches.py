"""The parts of images that excite a channel most, cut to what it sees (Zeiler & Fergus 2013, arXiv:1311.2901)."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from convzoo import core
from convzoo.explain.objectives import OUTPUT


class Patch(NamedTuple):
    """An image and the part of it, rows ``top`` to before ``bottom`` and columns ``left`` to before ``right``, that one
    place of a waypoint sees, and how strongly the channel answers there."""

    image: int
    value: float
    top: int
    bottom: int
    left: int
    right: int

    def cut(self, images: Any) -> np.ndarray:
        """The part of its image [height, width, ...]."""
        return images[self.image][self.top : self.bottom, self.left : self.right]


def most_exciting(
    model: Any,
    variables: Any,
    images: np.ndarray,
    wanted: Mapping[str, Sequence[int]],
    *,
    count: int = 4,
    batch_size: int = 8,
) -> dict[tuple[str, int], list[Patch]]:
    """The ``count`` images in which a channel's strongest answer is strongest, with the part that place sees.

    Args:
      images: [images, height, width, channels], normalised as the network wants them.
      wanted: {waypoint: channels}; the waypoint ``"output"`` is what the network puts out.

    Returns:
      {(waypoint, channel): patches}, the strongest first, at most one an image. What has no places sees everything.

    Raises:
      ValueError: there is no such waypoint; it names those that exist.
    """
    tops: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    sizes: dict[str, tuple[int, ...]] = {}
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        filled = np.pad(batch, [(0, batch_size - len(batch)), (0, 0), (0, 0), (0, 0)])
        found = waypoints(model, variables, filled)
        for name, channels in wanted.items():
            if name not in found:
                raise ValueError(f"there is no waypoint {name!r}; there are {', '.join(found)}")
            sizes[name] = found[name].shape[1:-1]
            chosen = np.asarray(found[name][: len(batch)])[..., np.asarray(channels, int)]
            flat = chosen.reshape(len(batch), -1, len(channels))
            tops[name].append(np.stack([flat.max(axis=1), flat.argmax(axis=1)]))
    look = looking(model, variables, images.shape[1:])
    patches = {}
    for name, channels in wanted.items():
        within = seen(look, name, images.shape[1:3], sizes[name])
        values, places = np.concatenate(tops[name], axis=1)
        for column, channel in enumerate(channels):
            order = np.argsort(-values[:, column], kind="stable")[:count]
            patches[name, channel] = [
                Patch(int(image), float(values[image, column]), *within(int(places[image, column]))) for image in order
            ]
    return patches


@functools.partial(jax.jit, static_argnums=0)
def waypoints(model: Any, variables: Any, x: Any) -> dict[str, Any]:
    """Every waypoint of a batch, and the output; in no order, since jit sorts the keys of a dict."""
    output, features = model.apply(variables, x, train=False)
    return {**features, OUTPUT: output}


Look = Callable[[int, int, bool], Mapping[str, np.ndarray]]


def looking(model: Any, variables: Any, shape: tuple[int, ...]) -> Look:
    """From (axis, cut, before) to {waypoint: [places along the axis], True where a place sees pixels before the cut (or
    not before it)} for an image [height, width, channels]. Means over all places do not count."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), variables)  # hide no NaN: 0 * NaN is NaN

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def reached(zeros: Any, x: Any) -> Any:
        with core.without_global():
            return {
                name: [jnp.isnan(a).any(axis=(0, other, 3)) for other in (2, 1)]
                for name, a in model.apply(zeros, x, train=False)[1].items()
                if a.ndim == 4
            }

    @functools.cache
    def look(axis: int, cut: int, before: bool) -> Mapping[str, np.ndarray]:
        pixel = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        x = np.where((pixel < cut) == before, np.float32(np.nan), np.zeros((1, *shape), np.float32))
        return {name: np.asarray(both[axis]) for name, both in reached(zeros, x).items()}

    return look


def seen(look: Look, waypoint: str, shape: tuple[int, ...], places: tuple[int, ...]) -> Callable[[int], Any]:
    """From the row-major number of a place to (top, bottom, left, right): what its windows reach of the image."""
    if len(places) != 2:
        return lambda place: (0, shape[0], 0, shape[1])
    rows, columns = (spans(look, waypoint, axis, shape[axis], places[axis]) for axis in (0, 1))
    return lambda place: (*rows[place // places[1]].tolist(), *columns[place % places[1]].tolist())


def spans(look: Look, waypoint: str, axis: int, length: int, places: int) -> np.ndarray:
    """[places, 2]: the first pixel that each place along an axis sees, and the one after its last.

    Found by bisection, so exact whatever the padding. All places see alike, a stride apart, so two at an end tell how
    far all others see to the other end.
    """

    def first(place: int) -> int:
        return bisected(length, lambda cut: look(axis, cut + 1, True)[waypoint][place])

    def last(place: int) -> int:
        return bisected(length, lambda cut: not look(axis, cut, False)[waypoint][place])

    place, inner = np.arange(places), min(1, places - 1)
    low, high = first(places - 1), last(0)
    lows = low - (low - first(places - 1 - inner)) * (places - 1 - place)
    highs = high + (last(inner) - high) * place
    return np.clip(np.stack([lows, highs], axis=1), 0, length)


def bisected(size: int, holds: Callable[[int], Any]) -> int:
    """The first of 0, ..., size - 1 for which ``holds``, which stays true from there on; size if it never does."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
