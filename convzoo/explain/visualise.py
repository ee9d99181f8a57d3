"""Feature visualisation: the input that makes a network answer most, by gradient ascent, many at once.

Olah, Mordvintsev & Schubert 2017, doi:10.23915/distill.00007. What is optimised differs between images, sounds and
graphs (canvas.py), what for is an ``Objective``; the ascent is one function for all.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import random
from jaxtyping import Array, ArrayLike

from convzoo.explain import canvas as canvases
from convzoo.explain.canvas import DECAY, JITTER, Canvas, Jitter
from convzoo.explain.objectives import Objective, Readout, alike, answers, readout, scores, shapes_of

STEPS, RATE = 256, 0.04
CHUNK = 8  # steps from one word of progress to the next

Told = Callable[[int, int], None]


class Found(NamedTuple):
    """The inputs [objectives, ...], and each objective's answer at the start and at the end, unmoved [objectives]."""

    inputs: np.ndarray
    before: np.ndarray
    after: np.ndarray


def visualise(
    model: Any,
    variables: Any,
    objectives: Sequence[Objective],
    *,
    shape: tuple[int, int] = (128, 128),
    steps: int = STEPS,
    seed: int = 0,
    normalise: tuple[Sequence[float], Sequence[float]] = ((0.5,) * 3, (0.5,) * 3),
    rate: float = RATE,
    decay: float = DECAY,
    jitter: Jitter = JITTER,
    told: Told | None = None,
) -> np.ndarray:
    """Images that make a network answer most, one for each objective.

    Args:
      shape: height and width of what the network is shown.
      normalise: mean and standard deviation by channel that the network's input wants, of values in 0..1 (a recipe's).
      rate: Adam's.
      decay: how the waves' amplitudes fall with their frequency; larger is smoother.
      told: called with the steps done, and of how many; what it raises stops the work.

    Returns:
      float32 [objectives, height, width, 3] in 0..1.

    Raises:
      ValueError: there is no such waypoint, channel or place; it names those that exist.
    """
    mean, std = (tuple(map(float, each)) for each in normalise)
    canvas = canvases.images((int(shape[0]), int(shape[1])), mean, std, decay, jitter)
    found = ascend(model, variables, objectives, canvas, steps=steps, seed=seed, rate=rate, told=told)
    margin = jitter.margin(shape)
    return found.inputs[:, margin : margin + shape[0], margin : margin + shape[1]]


def visualise_sound(
    model: Any,
    variables: Any,
    objectives: Sequence[Objective],
    *,
    given: Callable[[Array], Any],
    samples: int,
    level: float = 0.125,
    steps: int = STEPS,
    seed: int = 0,
    rate: float = RATE,
    told: Told | None = None,
) -> np.ndarray:
    """Waveforms that make a network answer most.

    Args:
      given: from waves [batch, samples] to what the network takes (log-mels, or the waves with a channel); a function
        that can be differentiated and lives on, since the compiled program is kept under it.
      level: the root mean square that the waves have, so that none wins by being loud.

    Returns:
      float32 [objectives, samples]. The other arguments and the errors are those of ``visualise``.
    """
    canvas = canvases.sounds(samples, given, level)
    return ascend(model, variables, objectives, canvas, steps=steps, seed=seed, rate=rate, told=told).inputs


def visualise_graph(
    model: Any,
    variables: Any,
    objectives: Sequence[Objective],
    graph: Any,
    *,
    low: Any = 0.0,
    high: Any = 1.0,
    noise: float = 0.1,
    steps: int = STEPS,
    seed: int = 0,
    rate: float = RATE,
    told: Told | None = None,
) -> np.ndarray:
    """Node features that make a network answer most; the edges stay.

    Args:
      graph: one graph, any tuple with jraph.GraphsTuple's fields.
      low, high: the range of the features, one number or an array that broadcasts to [nodes, features]; a feature stays
        as it is where both are the same.
      noise: the standard deviation of what is added in every step, as a share of the range.

    Returns:
      float32 [objectives, nodes, features]. The other arguments and the errors are those of ``visualise``.
    """
    canvas = canvases.graphs(graph, low, high, noise)
    return ascend(model, variables, objectives, canvas, steps=steps, seed=seed, rate=rate, told=told).inputs


def ascend(
    model: Any,
    variables: Any,
    objectives: Sequence[Objective],
    canvas: Canvas,
    *,
    steps: int = STEPS,
    seed: int = 0,
    rate: float = RATE,
    told: Told | None = None,
) -> Found:
    """Adam (Kingma & Ba 2014, arXiv:1412.6980) up every objective, all in one program.

    The same seed gives the same inputs, and what else is in the batch changes nothing but rounding.
    """
    if not objectives:
        raise ValueError("there are no objectives")
    key = random.key(seed)
    keys = jax.vmap(lambda row: random.fold_in(key, row))(jnp.arange(len(objectives)))
    parameters = jax.vmap(canvas.start)(keys)
    given = jax.eval_shape(lambda p: canvas.show(None, canvas.paint(p)), parameters)
    weights = readout(objectives, shapes_of(model, variables, given, len(objectives)))
    look = functools.partial(answer, model, canvas, variables, weights)
    before = look(parameters)
    state = parameters, optax.scale_by_adam().init(parameters)
    for first in range(0, steps, CHUNK):
        last = min(first + CHUNK, steps)
        state = climb(model, canvas, variables, weights, state, key, rate, first, last)
        if told is not None:
            jax.block_until_ready(state)
            told(last, steps)
    inputs = canvas.paint(state[0])
    return Found(*(np.asarray(each) for each in (inputs, before, look(state[0]))))


@functools.partial(jax.jit, static_argnums=(0, 1))
def answer(model: Any, canvas: Canvas, variables: Any, weights: Readout, parameters: Array) -> Array:
    """Each objective's answer to what is painted, unmoved."""
    given = canvas.show(None, canvas.paint(parameters))
    return scores(looked(model, variables, given, len(parameters)), weights)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(4,))
def climb(
    model: Any,
    canvas: Canvas,
    variables: Any,
    weights: Readout,
    state: tuple[Array, Any],
    key: Array,
    rate: ArrayLike,
    first: ArrayLike,
    last: ArrayLike,
) -> tuple[Array, Any]:
    """The steps from ``first`` to before ``last``."""

    def height(parameters: Array, step: Array) -> Array:
        given = canvas.show(random.fold_in(key, step), canvas.paint(parameters))
        found = looked(model, variables, given, len(parameters))
        answered = scores(found, weights)
        return (answered - jax.lax.stop_gradient(jnp.abs(answered)) * alike(found, weights)).sum()

    def step(number: Array, state: tuple[Array, Any]) -> tuple[Array, Any]:
        parameters, moments = state
        updates, moments = optax.scale_by_adam().update(jax.grad(height)(parameters, number), moments)
        return parameters + rate * jnp.asarray(updates), moments

    return jax.lax.fori_loop(first, last, step, state)


def looked(model: Any, variables: Any, given: Any, count: int) -> dict[str, Array]:
    """Every waypoint's answers to ``count`` inputs."""
    output, features = model.apply(variables, given, train=False)
    return answers(output, features, count)
