"""A photograph's way through the network, and what a channel of it looks for: the work behind the tab ``Hierarchy``."""

from functools import cache
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from convzoo.apps import classify
from convzoo.data import images
from convzoo.explain import attribution, objectives, visualise
from convzoo.extras import need
from convzoo.web.work import Told

STEPS, SIDE = 96, 128  # of a visualisation: its steps and its pixels


class Walked(NamedTuple):
    """A photograph as the network is given it, pixels uint8 [height, width, 3] and normalised; the probability of every
    class; and the maps of every waypoint."""

    pixels: np.ndarray
    input: np.ndarray
    chances: np.ndarray
    features: dict[str, np.ndarray]


@cache
def network() -> classify.Classifier:
    """The network whose weights came with a package; one for everybody."""
    return classify.classifier()


@cache
def program() -> Any:
    return jax.jit(lambda variables, x: network().model.apply(variables, x, train=False))


@cache
def labels() -> list[tuple[str, int]]:
    """(name, index) of every class."""
    found = network()
    return [(found.label(index).name, index) for index in range(found.model.num_classes)]


def through(pixels: UInt8[np.ndarray, "height width 3"], told: Told) -> Walked:
    """The photograph's way through all layers."""
    told(0, 3)
    found = network()
    told(1, 3)
    fitted = images.fitted(need("PIL.Image", extra="data").fromarray(pixels), found.recipe)
    x = images.normalised(fitted, found.recipe)
    logits, features = program()(found.variables, x[None])
    chances = np.asarray(jax.nn.softmax(logits[0]))
    told(2, 3)
    looked(x, int(chances.argmax()))  # compiled here, where there is a progress bar
    told(3, 3)
    return Walked(np.asarray(fitted), x, chances, {name: np.asarray(each[0]) for name, each in features.items()})


def looked(x: Float[np.ndarray, "height width channels"], index: int) -> Float[np.ndarray, "height width"]:
    """Where the network looked for a class."""
    found = network()
    return np.asarray(attribution.grad_cam(found.model, found.variables, x[None], np.array([index])).map[0])


def wished(waypoint: str, index: int, told: Told) -> Float[np.ndarray, "height width 3"]:
    """The picture that a channel answers most, in 0..1."""
    found = network()
    wish = [objectives.channel(waypoint, index)]
    normalise = found.recipe.mean, found.recipe.std
    return visualise.visualise(
        found.model, found.variables, wish, shape=(SIDE, SIDE), steps=STEPS, normalise=normalise, told=told
    )[0]
