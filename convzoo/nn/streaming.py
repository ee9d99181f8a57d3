"""A causal network over a sound that comes in pieces: what it gives for them is what it gives for the whole.

    stream = Streaming(model, variables)
    state = stream.init_state(batch=1, channels=1)
    for chunk in chunks:                            # [batch, time, channels], of any length
        output, state = stream.step(chunk, state)   # [batch, time / stride, out]: what can be told by now
    output = stream.finish(state)                   # the rest, if the sound ends between two strides

A causal convolution remembers the places that its window reaches back over, an LSTM its state, and a network with a
stride the samples that do not fill one yet; nothing else, so memory does not grow with the sound.
"""

import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from convzoo.nn.layers import STREAM
from convzoo.nn.model import Model

STRIDES = 2**9 * 3**2 * 5 * 7  # every stride divides this
PIECES = 4  # of how many strides each of the two pieces of the trial is


class State(NamedTuple):
    """``past``: what the layers remember. ``waiting``: samples that do not fill a stride yet."""

    past: Any
    waiting: Float[Array, "batch waiting channels"]


class Streaming(NamedTuple):
    """A causal model and its variables. A chunk of a new length compiles a new program, as a new shape always does."""

    model: Model
    variables: Any

    def init_state(self, batch: int = 1, channels: int = 1) -> State:
        """The state before the first sample.

        Raises:
          ValueError: the network cannot be streamed: its outputs have no time axis, or it looks ahead, or at all of
            time. Found by a trial of two short pieces of noise against the whole of it.
        """
        stride = self.stride(channels)
        x = jax.random.normal(jax.random.key(0), (batch, 2 * PIECES * stride, channels), self.model.dtype)
        halves = jnp.split(x, 2, axis=1)
        shapes = jax.eval_shape(functools.partial(run, self.model), self.variables, {}, halves[0])[1]
        past = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        state = State(past, x[:, :0])
        first, later = self.step(halves[0], state)
        found = jnp.concatenate([first, self.step(halves[1], later)[0]], axis=1)
        whole = jax.jit(functools.partial(plain, self.model))(self.variables, x)
        apart, largest = jnp.abs(found - whole).max(), jnp.abs(whole).max()
        if not apart <= 1e-4 * largest + 1e-6:
            raise ValueError(
                f"{type(self.model).__name__} cannot be streamed: in two pieces it gives something else than for the "
                f"whole (up to {apart:.2g} of {largest:.2g}). Every convolution must have padding='CAUSAL', and "
                "nothing may be computed from all of time"
            )
        return state

    def step(self, chunk: Float[Array | np.ndarray, "batch time channels"], state: State) -> tuple[Any, State]:
        """What the network can tell by the end of ``chunk``, and the state after it."""
        stride = self.stride(chunk.shape[2])
        x = jnp.concatenate([state.waiting, jnp.asarray(chunk, state.waiting.dtype)], axis=1)
        ready = x.shape[1] - x.shape[1] % stride
        if not ready:
            one = jax.ShapeDtypeStruct((x.shape[0], stride, x.shape[2]), x.dtype)
            y = jax.eval_shape(functools.partial(plain, self.model), self.variables, one)
            return jnp.zeros((y.shape[0], 0, *y.shape[2:]), y.dtype), State(state.past, x)
        y, past = streamed(self.model, self.variables, state.past, x[:, :ready])
        return y, State(past, x[:, ready:])

    def finish(self, state: State) -> Any:
        """What the samples that wait have to tell: at most one place."""
        x = state.waiting
        if x.shape[1]:
            return streamed(self.model, self.variables, state.past, x)[0]
        return self.step(x, state)[0]

    def stride(self, channels: int) -> int:
        """How many samples there are to a place of the output."""
        return stride_of(cast(Any, self.model), Variables(self.variables), channels)


class Variables:
    """Variables as the key of a cache: they are told apart by what they are, not by their values."""

    def __init__(self, tree: Any):
        self.tree = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)), tree)
        self.form = str(self.tree)

    def __hash__(self) -> int:
        return hash(self.form)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variables) and self.form == other.form


@functools.lru_cache(maxsize=64)
def stride_of(model: Model, variables: Variables, channels: int) -> int:
    x = jax.ShapeDtypeStruct((1, STRIDES, channels), jnp.dtype(model.dtype))
    shape = jax.eval_shape(functools.partial(plain, model), variables.tree, x).shape
    if len(shape) != 3 or STRIDES % shape[1]:
        raise ValueError(
            f"{type(model).__name__} cannot be streamed: for sounds of {STRIDES} samples its output is {shape}, not "
            "[batch, time / stride, out]"
        )
    return STRIDES // shape[1]


def plain(model: Model, variables: Any, x: Array) -> Any:
    """The output for a whole sound."""
    (y, _) = model.apply(variables, x, train=False)
    return y


def run(model: Model, variables: Any, past: Any, x: Array) -> tuple[Any, Any]:
    """The output for a piece, and what the layers remember after it."""
    (y, _), new = model.apply({**variables, **({STREAM: past} if past else {})}, x, train=False, mutable=[STREAM])
    return y, new.get(STREAM, {})


streamed = functools.partial(jax.jit, static_argnums=0)(run)
