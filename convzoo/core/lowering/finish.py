"""What may follow a convolution before its result is written: a factor and a bias for each channel, a residual, an
activation."""

from typing import NamedTuple

from convzoo.core.activations import ACTIVATIONS
from convzoo.core.lowering.windows import Array
from convzoo.core.shapes import wide


class Finish(NamedTuple):
    """Which of scale, bias and residual are given, and the activation's name."""

    scale: bool = False
    bias: bool = False
    residual: bool = False
    activation: str = "none"


PLAIN = Finish()


def finished(y: Array, finish: Finish, *more: Array) -> Array:
    """``activation(y * scale + bias + residual)``, in the dtype of ``y``; scale and bias in at least float32."""
    left, dtype = iter(more), y.dtype
    if finish.scale:
        y = wide(y) * next(left)
    if finish.bias:
        y = wide(y) + next(left)
    y = y.astype(dtype)
    if finish.residual:
        y = next(left) + y
    return ACTIVATIONS[finish.activation](y)
