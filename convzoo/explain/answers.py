"""What a kernel's map shows, in numbers: where it answers most, how evenly, and that it moves with its input."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from convzoo.explain.filters import Kernel, feature_map


class Answer(NamedTuple):
    """An answer and its position in the map."""

    value: float
    at: tuple[int, ...]


class Summary(NamedTuple):
    """A map in numbers, of the positions whose window lies inside the input.

    ``energy`` is the mean of the squared answers, ``half`` the smallest share of the positions that holds half of it
    (0.5 for an even map, near 0 where the kernel answers in few places).
    """

    lowest: Answer
    highest: Answer
    energy: float
    half: float

    @property
    def strongest(self) -> Answer:
        return max(self.lowest, self.highest, key=lambda answer: abs(answer.value))


def inside(space: Sequence[int], window: Sequence[int], stride: int = 1) -> tuple[slice, ...]:
    """The positions of a HALF map whose window lies inside the input; all, along an axis where there are none."""
    slices = []
    for n, k in zip(space, window, strict=True):
        before, last = (k - 1) // 2, n - k
        first, stop = -(-before // stride), (last + before) // stride + 1
        slices.append(slice(first, stop) if first < stop else slice(None))
    return tuple(slices)


def summary(
    x: Float[np.ndarray, "*space"],
    kernel: Kernel,
    *,
    stride: int = 1,
    found: Float[np.ndarray, "*new_space"] | None = None,
) -> Summary:
    """What the map shows, in numbers; ``found`` is the map where it is known already."""
    part = inside(x.shape, kernel.values.shape, stride)
    whole = feature_map(x, kernel, stride=stride) if found is None else found
    starts = [each.indices(n)[0] for each, n in zip(part, whole.shape, strict=True)]
    seen = np.asarray(whole[part])

    def answer(flat: np.intp) -> Answer:
        place = np.unravel_index(flat, seen.shape)
        return Answer(float(seen[place]), tuple(int(p) + s for p, s in zip(place, starts, strict=True)))

    power = np.sort(np.square(seen, dtype=np.float64), axis=None)[::-1]
    total = power.sum()
    half = (np.searchsorted(np.cumsum(power), total / 2) + 1) / power.size if total else 0.0
    return Summary(answer(seen.argmin()), answer(seen.argmax()), float(total / power.size), float(half))


def shift_difference(
    x: Float[np.ndarray, "*space"], kernel: Kernel, by: Sequence[int], *, stride: int = 1
) -> float | None:
    """The largest difference between the map of the shifted input and the shifted map, where both see the input alone.

    The input is shifted by leaving out its first rows and columns, ``by`` times the stride of them; the maps are
    without padding. None where the rest is smaller than the window.
    """
    if any(n - stride * b < k for n, b, k in zip(x.shape, by, kernel.values.shape, strict=True)):
        return None
    whole = feature_map(x, kernel, stride=stride, padding="VALID")
    shifted = feature_map(x[tuple(slice(stride * b, None) for b in by)], kernel, stride=stride, padding="VALID")
    return float(np.abs(whole[tuple(slice(b, None) for b in by)] - shifted).max())


def by_part(
    found: Float[np.ndarray, "height width"], parts: Mapping[str, Bool[np.ndarray, "height width"]]
) -> dict[str, float]:
    """The mean size of the answers in each part, and elsewhere; a part without pixels is left out."""
    elsewhere = ~np.any(list(parts.values()), axis=0)
    masks = {**parts, "elsewhere": elsewhere}
    return {name: float(np.abs(found)[mask].mean()) for name, mask in masks.items() if mask.any()}


def ratios(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """How much stronger one map is than another: the strongest answer, and the sum of the squares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        strongest = np.abs(one).max() / np.abs(other).max()
        energy = np.square(one, dtype=np.float64).sum() / np.square(other, dtype=np.float64).sum()
    return float(strongest), float(energy)
