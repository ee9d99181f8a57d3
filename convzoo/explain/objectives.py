"""What an input is optimised for: a number read off a network's waypoints.

Every objective is a weighted sum of answers: of a channel, of one place of it (a neuron), along a direction in the
space of channels, or of a class (Olah, Mordvintsev & Schubert 2017, "Feature Visualization",
doi:10.23915/distill.00007). They are values: they can be added, scaled and compared.

    2 * channel("stage3", 7) - logit(281)        between(channel("stage5", 3), logit(207), 0.5)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

OUTPUT = "output"  # the waypoint that is what a network puts out
MIDDLE = "middle"  # of the places of a waypoint

Place = tuple[int, ...] | str | None


@dataclass(frozen=True)
class Term:
    """``weight`` times the answer at a waypoint: of one channel, or along a vector; at one place, or (None) the mean
    over all."""

    waypoint: str
    direction: int | tuple[float, ...]
    place: Place = None
    weight: float = 1.0


@dataclass(frozen=True)
class Objective:
    """A sum of terms. Equal objectives with ``apart`` above 0 are kept from looking alike, the more the larger."""

    terms: tuple[Term, ...]
    apart: float = 0.0

    def __add__(self, other: "Objective") -> "Objective":
        return replace(self, terms=self.terms + other.terms)

    def __mul__(self, factor: float) -> "Objective":
        return replace(self, terms=tuple(replace(term, weight=factor * term.weight) for term in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return -1 * self

    def __sub__(self, other: "Objective") -> "Objective":
        return self + -other


def channel(waypoint: str, index: int) -> Objective:
    """The mean of a channel over all places."""
    return Objective((Term(waypoint, index),))


def neuron(waypoint: str, index: int, place: Place = MIDDLE) -> Objective:
    """A channel at one place, by default the middle one."""
    return Objective((Term(waypoint, index, place),))


def direction(waypoint: str, vector: Sequence[float] | np.ndarray, place: Place = None) -> Objective:
    """The product with a vector of all channels, mean over all places or at one."""
    return Objective((Term(waypoint, tuple(map(float, vector)), place),))


def logit(index: int) -> Objective:
    """A class, before the softmax; of a network that puts out a class for every place the mean over them."""
    return Objective((Term(OUTPUT, index),))


def between(one: Objective, other: Objective, share: float) -> Objective:
    """From ``one`` (share 0) to ``other`` (share 1)."""
    return (1 - share) * one + share * other


def diverse(objective: Objective, count: int, strength: float = 1.0) -> tuple[Objective, ...]:
    """``count`` equal objectives whose inputs are to differ in style: the cosine between the Gram matrices of their
    features (the objective's first waypoint) costs ``strength`` times the answer's size."""
    return (replace(objective, apart=strength),) * count


# what a compiled program is given -------------------------------------------------------------------------------------

Answers = Mapping[str, Float[Array, "objectives places channels"]]
Readout = tuple[dict[str, Array], dict[str, Array]]


def answers(output: Array, features: Mapping[str, Array], count: int) -> dict[str, Array]:
    """{waypoint: [count, places, channels]} of a batch of ``count`` inputs, the places of an image or the nodes of a
    graph in row-major order; what has no places has one."""
    return {name: a.reshape(count, -1, a.shape[-1]) for name, a in {**features, OUTPUT: output}.items()}


def readout(objectives: Sequence[Objective], shapes: Mapping[str, tuple[int, ...]]) -> Readout:
    """What ``scores`` and ``alike`` multiply features with, as arrays: other channels need no other program.

    Args:
      shapes: of one example's features at every waypoint, ``[*places, channels]``.

    Returns:
      {waypoint: [objectives, places, channels]} and, of the diverse, {waypoint: [objectives, objectives]}.

    Raises:
      ValueError: there is no such waypoint, channel or place; it names those that exist.
    """
    weights: dict[str, Any] = {}
    for row, objective in enumerate(objectives):
        for term in objective.terms:
            shape = shapes.get(term.waypoint)
            if shape is None:
                raise ValueError(f"there is no waypoint {term.waypoint!r}; there are {', '.join(shapes)}")
            if term.waypoint not in weights:
                weights[term.waypoint] = np.zeros((len(objectives), *shape), np.float32)
            spot = where(term, shape[:-1])
            share = term.weight / np.prod([len(each) for each in spot], initial=1)
            weights[term.waypoint][(row, *np.ix_(*spot))] += share * vector(term, shape[-1])
    apart: dict[str, Any] = {}
    for row, one in enumerate(objectives):
        for column, other in enumerate(objectives):
            if one.apart and one == other and row != column:
                square = apart.setdefault(one.terms[0].waypoint, np.zeros((len(objectives),) * 2, np.float32))
                square[row, column] = one.apart
    places = {name: jnp.asarray(w.reshape(len(objectives), -1, w.shape[-1])) for name, w in weights.items()}
    return places, {name: jnp.asarray(square) for name, square in apart.items()}


def vector(term: Term, channels: int) -> np.ndarray:
    """The direction in the space of channels."""
    if isinstance(term.direction, tuple):
        if len(term.direction) != channels:
            raise ValueError(
                f"{term.waypoint} has {channels} channels; the direction has {len(term.direction)} numbers"
            )
        return np.asarray(term.direction, np.float32)
    if not 0 <= term.direction < channels:
        raise ValueError(f"{term.waypoint} has the channels 0 to {channels - 1}; there is no {term.direction}")
    return np.eye(1, channels, term.direction, dtype=np.float32)[0]


def where(term: Term, places: tuple[int, ...]) -> list[Any]:
    """The places that count, along every axis."""
    if term.place is None:
        return [np.arange(size) for size in places]
    at = tuple(size // 2 for size in places) if term.place == MIDDLE else term.place
    if len(at) != len(places) or isinstance(at, str) or not all(0 <= a < n for a, n in zip(at, places, strict=True)):
        raise ValueError(f"{term.waypoint} has the places {list(places)}; there is no {term.place}")
    return [np.array([each]) for each in at]


def scores(found: Answers, given: Readout) -> Float[Array, " objectives"]:
    """How strong each objective's answer is."""
    return sum((jnp.einsum("opc,opc->o", found[name], w) for name, w in given[0].items()), start=jnp.zeros(()))


def alike(found: Answers, given: Readout) -> Float[Array, " objectives"]:
    """How much each looks like its fellows: the mean cosine of Gram matrices, times ``apart``; 0 for the others."""
    total = jnp.zeros(len(next(iter(found.values()))))
    for name, square in given[1].items():
        gram = jnp.einsum("opc,opd->ocd", found[name], found[name])
        flat = gram.reshape(len(gram), -1)
        flat = flat / jnp.maximum(jnp.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
        fellows = jnp.maximum((square != 0).sum(axis=1), 1)
        total = total + (square * (flat @ flat.T)).sum(axis=1) / fellows
    return total


def shapes_of(model: Any, variables: Any, given: Any, count: int) -> dict[str, tuple[int, ...]]:
    """{waypoint: [*places, channels]} of one of ``count`` examples; nothing is computed."""
    output, features = jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, given)
    return {
        name: a.shape[1:] if a.shape[0] == count else (a.shape[0] // count, *a.shape[1:])
        for name, a in {**features, OUTPUT: output}.items()
    }
