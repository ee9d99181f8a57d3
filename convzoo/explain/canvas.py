"""What is optimised in place of an input: waves, from which the input is painted.

Images after Olah, Mordvintsev & Schubert 2017 (doi:10.23915/distill.00007): Fourier coefficients, scaled as the
spectrum of photographs falls (1 / frequency), in colours that do not correlate, squashed to 0..1; what the network
sees is a randomly moved, turned and scaled part. Sounds have the same waves along time. Graphs have each node's
features as they are. The steepest way up differs with the coordinates, the summit does not: with these, gradients reach
large and small structures alike.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from jaxtyping import Array, Float, Key

SIZE = 0.3  # the standard deviation of the waves at the start
DECAY = 1.3  # of an image's; photographs' fall with 1, and more lets shapes come before grain

# Principal axes of the colours of ImageNet's pixels, a column each, and the standard deviations along them: the
# figures of the colour augmentation of Krizhevsky, Sutskever & Hinton 2012 as published in Facebook's fb.resnet.torch.
AXES = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
VARIANCES = np.array([0.2175, 0.0188, 0.0045])


class Canvas(NamedTuple):
    """Three functions. ``start(key)``: the parameters of one input. ``paint(parameters)``: a batch of inputs.
    ``show(key, inputs)``: what the network is given, changed at random with a key, as it is without (None)."""

    start: Callable[[Key[Array, ""]], Array]
    paint: Callable[[Array], Array]
    show: Callable[[Any, Array], Any]


def colours() -> Float[np.ndarray, "3 3"]:
    """From uncorrelated colours to red, green and blue; its longest row has the length 1."""
    matrix = AXES * np.sqrt(VARIANCES)
    return (matrix / np.linalg.norm(matrix, axis=1).max()).astype(np.float32)


def falling(space: tuple[int, ...], decay: float) -> Float[np.ndarray, "*frequencies"]:
    """1 / frequency ** decay of every wave of ``rfftn``, the constant one as large as the longest wave's; their mean
    square is 1, so that the size of a step means the same whatever the decay."""
    axes = [np.fft.fftfreq(size) for size in space[:-1]] + [np.fft.rfftfreq(space[-1])]
    frequency = np.sqrt(sum(np.square(axis) for axis in np.meshgrid(*axes, indexing="ij")))
    amplitude = 1 / np.maximum(frequency, 1 / max(space)) ** decay
    return (amplitude / np.sqrt(np.square(amplitude).mean())).astype(np.float32)


def waves(
    parameters: Float[Array, "batch 2 *frequencies channels"], space: tuple[int, ...], decay: float
) -> Float[Array, "batch *space channels"]:
    """The sum of waves whose real and imaginary amplitudes are the parameters times ``falling``."""
    spectrum = jax.lax.complex(parameters[:, 0], parameters[:, 1]) * falling(space, decay)[..., None]
    return jnp.fft.irfftn(spectrum, s=space, axes=tuple(range(1, len(space) + 1)), norm="ortho")


def start_of(space: tuple[int, ...], channels: int) -> Callable[[Key[Array, ""]], Array]:
    """Random amplitudes for ``waves``."""
    return lambda key: SIZE * random.normal(key, (2, *space[:-1], space[-1] // 2 + 1, channels))


class Jitter(NamedTuple):
    """What an image goes through before every step: moved by up to so many pixels, turned by up to so many degrees,
    scaled by up to a share of 1."""

    pixels: float = 16.0
    degrees: float = 12.0
    scale: float = 0.2

    def margin(self, shape: tuple[int, int]) -> int:
        """Pixels that must surround an image so that the view seldom leaves it."""
        turned = np.sin(np.deg2rad(self.degrees)) + self.scale
        return int(np.ceil(self.pixels + turned * max(shape) / 2))


JITTER = Jitter()


@functools.lru_cache
def images(
    shape: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    decay: float = DECAY,
    jitter: Jitter = JITTER,
) -> Canvas:
    """RGB images [height, width, 3] in 0..1 with a margin of ``jitter.margin(shape)`` pixels all around."""
    margin = jitter.margin(shape)
    space = (shape[0] + 2 * margin, shape[1] + 2 * margin)

    def paint(parameters: Array) -> Array:
        return jax.nn.sigmoid(waves(parameters, space, decay) @ colours().T)

    def show(key: Any, x: Array) -> Array:
        seen = (
            x[:, margin : margin + shape[0], margin : margin + shape[1]] if key is None else view(key, x, shape, jitter)
        )
        return (seen - jnp.asarray(mean, x.dtype)) / jnp.asarray(std, x.dtype)

    return Canvas(start_of(space, 3), paint, show)


def view(
    key: Key[Array, ""], x: Float[Array, "batch height width channels"], shape: tuple[int, int], jitter: Jitter
) -> Float[Array, "batch high wide channels"]:
    """A part of every image around its middle, ``shape`` large: the same for all, moved, turned and scaled at random,
    read between the four nearest pixels; beyond the border the border's pixels go on."""
    turn, size, move = random.split(key, 3)
    angle = jnp.deg2rad(random.uniform(turn, minval=-jitter.degrees, maxval=jitter.degrees))
    scale = random.uniform(size, minval=1 - jitter.scale, maxval=1 + jitter.scale)
    matrix = scale * jnp.array([[jnp.cos(angle), -jnp.sin(angle)], [jnp.sin(angle), jnp.cos(angle)]])
    batch, height, width, channels = x.shape
    moved = random.uniform(move, (2,), minval=-jitter.pixels, maxval=jitter.pixels)
    grid = jnp.stack(jnp.meshgrid(*(jnp.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"), -1)
    place = jnp.clip(
        grid @ matrix.T + moved + jnp.array([height - 1, width - 1]) / 2, 0, jnp.array([height, width]) - 1.001
    )
    low = jnp.floor(place).astype(jnp.int32)
    share = (place - low)[..., None]
    # All images side by side as channels: a pixel is then one long read, and one long write on the way back.
    flat = jnp.moveaxis(x, 0, 2).reshape(height, width, batch * channels)
    row, column, down, right = low[..., 0], low[..., 1], share[..., 0, :], share[..., 1, :]
    above = flat[row, column] * (1 - right) + flat[row, column + 1] * right
    below = flat[row + 1, column] * (1 - right) + flat[row + 1, column + 1] * right
    seen = above * (1 - down) + below * down
    return jnp.moveaxis(seen.reshape(*shape, batch, channels), 2, 0)


@functools.lru_cache
def sounds(samples: int, given: Callable[[Array], Any], level: float, decay: float = 0.5, most: int = 400) -> Canvas:
    """Waveforms [samples] of the root mean square ``level``, moved in a circle by up to ``most`` samples; ``given``
    makes of waves [batch, samples] what the network takes."""

    def paint(parameters: Array) -> Array:
        wave = waves(parameters, (samples,), decay)[..., 0]
        return level * wave / jnp.sqrt(jnp.square(wave).mean(axis=1, keepdims=True) + 1e-12)

    def show(key: Any, x: Array) -> Any:
        return given(x if key is None else jnp.roll(x, random.randint(key, (), -most, most + 1), axis=1))

    return Canvas(start_of((samples,), 1), paint, show)


def copies(graph: Any, nodes: Array) -> Any:
    """A graph tuple with each of ``nodes`` [batch, nodes, features] on the edges of ``graph``, side by side."""
    batch, size, features = nodes.shape
    shift = size * jnp.arange(batch, dtype=graph.senders.dtype)[:, None]
    repeated = jax.tree.map(
        lambda a: jnp.tile(a, (batch, *(1,) * (a.ndim - 1))), (graph.edges, graph.n_node, graph.n_edge)
    )
    edges, n_node, n_edge = repeated
    return graph._replace(
        nodes=nodes.reshape(batch * size, features),
        edges=edges,
        senders=(graph.senders + shift).ravel(),
        receivers=(graph.receivers + shift).ravel(),
        n_node=n_node,
        n_edge=n_edge,
    )


def graphs(graph: Any, low: Any, high: Any, noise: float) -> Canvas:
    """The node features [nodes, features] of one graph, each between ``low`` and ``high`` (which may differ by node and
    feature); shown with normal noise of ``noise`` times that range."""
    low, high = (jnp.broadcast_to(jnp.asarray(each, jnp.float32), graph.nodes.shape) for each in (low, high))

    def start(key: Array) -> Array:
        return SIZE * random.normal(key, graph.nodes.shape)

    def paint(parameters: Array) -> Array:
        return low + (high - low) * jax.nn.sigmoid(parameters)

    def show(key: Any, x: Array) -> Any:
        return copies(graph, x if key is None else x + noise * (high - low) * random.normal(key, x.shape[1:]))

    return Canvas(start, paint, show)
