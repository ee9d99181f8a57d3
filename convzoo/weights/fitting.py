"""Somebody's arrays into a model's tree: the table is found by trying, the head and the stem give way where asked.

The rule for other input channels: one channel is given the sum over the file's channels, so that a grey image gives
what it gave as red, green and blue; n channels repeat the file's c in turn, times c / n.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from convzoo.weights import tables
from convzoo.weights.families import Row, Shape
from convzoo.weights.tables import Mismatch

PREFIXES = ("module.", "_orig_mod.")  # of every key, where the wrapper of a network was saved
NATIVE = "convzoo"  # keys that are our own paths
Shapes = Callable[[int, int], dict[str, Any]]  # (classes, channels) -> the variables' shapes


class Layout(NamedTuple):
    """Where the head and the stem are: the paths whose last, or last but one, axis is the classes, the channels."""

    head: tuple[str, ...]
    stem: tuple[str, ...]


def layout(shapes: Shapes, classes: int, channels: int) -> Layout:
    """Found by asking for one class, and one channel, more."""
    before = {path: leaf.shape for path, leaf in flat(shapes(classes, channels)).items()}
    after = {path: leaf.shape for path, leaf in flat(shapes(classes + 1, channels + 1)).items()}
    changed = [path for path in before if before[path] != after[path]]
    head = tuple(path for path in changed if before[path][-1] != after[path][-1])
    return Layout(head, tuple(path for path in changed if path not in head))


def flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return flatten_dict(tree, sep="/")


def rows_of(paths: Mapping[str, Any], family: str) -> dict[str, tuple[str, Row]]:
    """{our path: (the key in a file, its row)}. Raises ValueError where the table has no row for a path."""
    if family == NATIVE:
        return {path: (path, Row(path, path)) for path in paths}
    return tables.matched(paths, family)


def unprefixed(state: Mapping[str, Any]) -> dict[str, Any]:
    """Without what wraps every key, and without the counts that PyTorch's norms keep."""
    state = dict(state)
    for prefix in PREFIXES * 2:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): array for key, array in state.items()}
    return {key: array for key, array in state.items() if not key.endswith(tables.IGNORED)}


def fit(
    state: Mapping[str, Any],
    shapes: Shapes,
    families: Sequence[str],
    classes: int,
    channels: int,
    *,
    new_head: bool = False,
) -> tuple[dict[str, Any], str]:
    """The variables in ``state``, its head and stem as they are there, and the table that fitted.

    Args:
      state: arrays by somebody's names, or by our paths.
      shapes: the variables' shapes, by numbers of classes and input channels.
      families: the tables to try, beside our own paths.
      classes, channels: what the model has. Channels follow the file; so do classes if ``new_head``.
      new_head: the file's head may be another, or not be there.

    Raises:
      Mismatch: no table fits; the message is that of the nearest.
    """
    state = unprefixed(state)
    given = {key: tuple(array.shape) for key, array in state.items()}
    place = layout(shapes, classes or 1, channels)
    full = shapes(classes or 1, channels)
    worst: list[tuple[int, str, dict[str, Shape]]] = []
    for family in (NATIVE, *families):
        rows = rows_of(flat(full), family)
        held = held_classes(rows, place, given) if new_head else classes
        like = shapes(held, held_channels(rows, place, given, channels))
        rows = rows_of(flat(like), family)
        expected = expected_of(like, rows)
        wrong = sum(given.get(key) != shape for key, shape in expected.items()) + len(given.keys() - expected.keys())
        if not wrong:
            ours = {path: tables.to_ours(state[key], row) for path, (key, row) in rows.items()}
            return unflatten_dict(ours, sep="/"), family
        worst.append((wrong, family, expected))
    _, family, expected = min(worst, key=lambda found: found[0])
    try:
        tables.check(expected, given, family)
    except Mismatch as error:
        head = {rows_of(flat(full), family)[path][0] for path in place.head}
        if not new_head and all(given.get(key) == shape for key, shape in expected.items() if key not in head):
            raise Mismatch(f"{error}\nonly the head differs: num_classes={classes} makes a new one") from None
        raise
    raise AssertionError("a table that fits was not taken")


def expected_of(like: Mapping[str, Any], rows: Mapping[str, tuple[str, Row]]) -> dict[str, Shape]:
    leaves = flat(like)
    made = jax.eval_shape(lambda v: {key: tables.to_theirs(v[path], row) for path, (key, row) in rows.items()}, leaves)
    return {key: tuple(leaf.shape) for key, leaf in made.items()}


def held_classes(rows: Mapping[str, tuple[str, Row]], place: Layout, given: Mapping[str, Shape]) -> int:
    """How many classes a file's head has; 0 where it has none."""
    for path in place.head:
        key, row = rows[path]
        if given.get(key):
            return given[key][-1 if row.axes == "same" else 0]
    return 0


def held_channels(rows: Mapping[str, tuple[str, Row]], place: Layout, given: Mapping[str, Shape], default: int) -> int:
    """How many input channels a file's stem has."""
    for path in place.stem:
        key, row = rows[path]
        if len(given.get(key, ())) > 1:
            return given[key][-2 if row.axes == "same" else 1]
    return default


def adapt_stem(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A kernel [*window, in, out] for other input channels, by the rule at the top of this file."""
    has = kernel.shape[-2]
    if channels == has:
        return kernel
    wide = kernel.astype(np.promote_types(kernel.dtype, np.float32))
    if channels == 1:
        return wide.sum(-2, keepdims=True).astype(kernel.dtype)
    return (np.take(wide, np.arange(channels) % has, axis=-2) * (has / channels)).astype(kernel.dtype)


def to_timm(variables: Mapping[str, Any], family: str) -> dict[str, np.ndarray]:
    """The arrays as timm's ``load_state_dict(strict=True)`` wants them: also the counts of batches seen, all 0."""
    state = {key: np.asarray(array) for key, array in tables.to_peer(variables, family).items()}
    norms = [key.removesuffix("running_mean") for key in state if key.endswith("running_mean")]
    return state | {f"{norm}{tables.IGNORED}": np.zeros((), np.int64) for norm in norms}
