"""The arithmetic of windows: sizes per axis, padding by name, output sizes, and the errors that speak of them."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

Size = int | Sequence[int]
Padding = str | Sequence[tuple[int, int]]
PADDINGS = ("HALF", "SAME", "CAUSAL", "VALID")
AXES = {1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}


class Geometry(NamedTuple):
    """How a window slides: everything of a convolution that is not an array. One entry per spatial axis."""

    stride: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    in_dilation: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1


def rank_of(x, what: str = "x") -> int:
    """The number of spatial axes of ``[batch, *space, channels]``: 1, 2 or 3.

    Raises:
      ValueError: any other number of axes.
    """
    rank = x.ndim - 2
    if rank not in AXES:
        raise ValueError(
            f"{what} must be [batch, *space, channels] with 1, 2 or 3 spatial axes; got shape {tuple(x.shape)}, "
            f"{x.ndim} axes" + ("; add the batch axis: x[None]" if rank == 0 else "")
        )
    return rank


def per_axis(size: Size, rank: int, what: str = "size", least: int = 1) -> tuple[int, ...]:
    """``3, rank=2 -> (3, 3)``; a sequence must already have one entry per spatial axis.

    Raises:
      ValueError: a sequence of another length, or an entry that is no integer of at least ``least``.
    """
    sizes = tuple(size) if isinstance(size, Sequence | np.ndarray) else (size,) * rank
    if len(sizes) != rank:
        raise ValueError(f"{what}={sizes} has {len(sizes)} entries; the input has {rank} spatial axes {AXES[rank]}")
    for axis, entry in zip(AXES[rank], sizes, strict=True):
        if isinstance(entry, bool) or not hasattr(entry, "__index__") or entry < least:
            raise ValueError(f"{what} along {axis} is {entry!r}; it must be an integer of at least {least}")
    return tuple(int(entry) for entry in sizes)


def reach(window: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    """How far a window stretches past its first tap: ``(k - 1) * dilation``."""
    return tuple((k - 1) * d for k, d in zip(window, dilation, strict=True))


def resolve_padding(
    padding: Padding, space: Sequence[int], window: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding by name -> (before, after) per axis.

    ``"HALF"`` centres the window, ``(k - 1) * dilation // 2`` before and the rest after (PyTorch's ``k // 2`` for odd
    k); ``"SAME"`` is TensorFlow's, which at stride 2 is not HALF; ``"CAUSAL"`` puts all before; ``"VALID"`` none.

    Raises:
      ValueError: an unknown name, or pairs that are not one (before, after) per spatial axis.
    """
    rank = len(space)
    if isinstance(padding, str):
        reaches = reach(window, dilation)
        if padding == "HALF":
            return tuple((r // 2, r - r // 2) for r in reaches)
        if padding == "CAUSAL":
            return tuple((r, 0) for r in reaches)
        if padding == "VALID":
            return ((0, 0),) * rank
        if padding == "SAME":
            total = [max((-(-n // s) - 1) * s + r + 1 - n, 0) for n, s, r in zip(space, stride, reaches, strict=True)]
            return tuple((t // 2, t - t // 2) for t in total)
        raise ValueError(f"padding {padding!r} is not known; it must be one of {PADDINGS} or (before, after) pairs")
    several = isinstance(padding, Sequence | np.ndarray)
    pairs = [tuple(pair) if isinstance(pair, Sequence | np.ndarray) else pair for pair in padding] if several else []
    if len(pairs) != rank or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError(
            f"padding {padding!r} must be one (before, after) pair for each of the {rank} spatial axes {AXES[rank]}"
        )
    for axis, pair in zip(AXES[rank], pairs, strict=True):
        if not all(hasattr(p, "__index__") for p in pair):
            raise ValueError(f"padding along {axis} is {pair!r}; both entries must be integers")
    return tuple((int(before), int(after)) for before, after in pairs)


def out_space(space: Sequence[int], window: Sequence[int], geometry: Geometry) -> tuple[int, ...]:
    """Output size per axis; at least 0."""
    sizes = []
    for n, k, s, (before, after), inner, d in zip(space, window, *geometry[:4], strict=True):
        dilated = (n - 1) * inner + 1 if n else 0
        sizes.append(max((dilated + before + after - (k - 1) * d - 1) // s + 1, 0))
    return tuple(sizes)


def check_fits(space: Sequence[int], window: Sequence[int], geometry: Geometry) -> None:
    """Raises ValueError, naming the axis, where a window is longer than the padded input."""
    for axis, n, k, pad, d, out in zip(
        AXES[len(space)],
        space,
        window,
        geometry.pads,
        geometry.dilation,
        out_space(space, window, geometry),
        strict=True,
    ):
        if out < 1:
            raise ValueError(
                f"along {axis} the window spans {(k - 1) * d + 1} (window {k}, dilation {d}) but the input has {n} "
                f"with padding {pad}: nothing is left; use a smaller window, more padding or a larger input"
            )


def wide(x):
    """``x`` in the dtype that sums are kept in: at least float32."""
    return x if jnp.finfo(x.dtype).bits >= 32 else x.astype(jnp.float32)


def check_floating(**arrays) -> None:
    """Raises TypeError unless every named array is floating and all share one dtype."""
    for name, array in arrays.items():
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"{name} has dtype {array.dtype}; it must be floating (float32, bfloat16, float64, ...)")
    dtypes = {name: str(array.dtype) for name, array in arrays.items()}
    if len(set(dtypes.values())) > 1:
        raise TypeError(f"dtypes differ: {dtypes}; cast one of them, for example x.astype(kernel.dtype)")
