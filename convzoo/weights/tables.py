"""A peer's flat dict of arrays <-> our tree of variables, by the tables in ``families``, used both ways."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
from flax.traverse_util import flatten_dict, unflatten_dict

from convzoo.weights.families import FAMILIES, Row, Shape

PREFIX = "module."  # of every key, where a whole DataParallel was saved
IGNORED = "num_batches_tracked"  # PyTorch counts the batches a norm has seen, and computes nothing with it


class Mismatch(ValueError):
    """Given arrays and a model do not fit each other; the message lists everything that does not."""


def from_peer(state: Mapping[str, Any], family: str, like: Mapping[str, Any]) -> dict[str, Any]:
    """A peer's arrays as our variables; their dtypes stay.

    Args:
      state: ``{key: array}``, as PyTorch names and lays them out. A ``module.`` before every key is taken off.
      family: a name in ``FAMILIES``.
      like: the variables, or their shapes (``jax.eval_shape`` of ``model.init``), of the model to fill.

    Raises:
      Mismatch: arrays that are missing, unknown or of another shape, all of them, with their likely counterparts.
      ValueError: an unknown family, or ``like`` is not of it.
    """
    if all(key.startswith(PREFIX) for key in state):
        state = {key.removeprefix(PREFIX): array for key, array in state.items()}
    state = {key: array for key, array in state.items() if not key.endswith(IGNORED)}
    rows = matched(flatten_dict(like, sep="/"), family)
    expected = {key: tuple(leaf.shape) for key, leaf in jax.eval_shape(lambda v: to_peer(v, family), like).items()}
    check(expected, {key: tuple(array.shape) for key, array in state.items()}, family)
    return unflatten_dict({path: to_ours(state[key], row) for path, (key, row) in rows.items()}, sep="/")


def to_peer(variables: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Our variables as a peer's flat dict, views of them where that goes; the inverse of ``from_peer``, to the bit.

    Raises:
      ValueError: an unknown family, or paths that it does not have, all of them.
    """
    flat = flatten_dict(variables, sep="/")
    return {key: to_theirs(flat[path], row) for path, (key, row) in matched(flat, family).items()}


def matched(paths: Iterable[str], family: str) -> dict[str, tuple[str, Row]]:
    """{our path: (their key, its row)}."""
    if family not in FAMILIES:
        raise ValueError(f"there is no family {family!r} of weights; there are {', '.join(FAMILIES)}")
    paths = list(paths)
    numbers = numbered(paths)
    found, unknown = {}, []
    for path in paths:
        known = numbers[unit(path)]
        hits = (
            (key, row) for row in FAMILIES[family] if (key := renamed(path, row.ours, row.theirs, known)) is not None
        )
        if hit := next(hits, None):
            found[path] = hit
        else:
            unknown.append(path)
    if unknown:
        raise ValueError(f"the table of {family} has no row for {', '.join(unknown)}")
    return found


def unit(path: str) -> str:
    """``params/stage0_block2/conv1/kernel -> stage0_block2``."""
    return path.split("/")[1]


def numbered(paths: Iterable[str]) -> dict[str, dict[str, int]]:
    """{unit: the numbers that follow from the whole tree}; see ``families``."""
    children: dict[str, set[str]] = {}
    for path in paths:
        children.setdefault(unit(path), set()).add(path.split("/")[2])
    found = {name: re.fullmatch(r"stage(\d+)_[a-z]+(\d+)(_norm)?", name) for name in children}
    places = {name: (int(place[1]), int(place[2])) for name, place in found.items() if place}
    blocks = sorted(set(places.values()))
    whole = {"N": len(blocks), "S": len({stage for stage, _ in blocks})}
    order = {name: {"n": blocks.index(place)} for name, place in places.items()}
    flags = {"e": "expand", "g": "excite", "d": "depthwise0"}
    layers = {name: {flag: int(child in found) for flag, child in flags.items()} for name, found in children.items()}
    return {name: whole | layers[name] | order.get(name, {}) for name in children}


def renamed(name: str, before: str, after: str, known: Mapping[str, int] | None = None) -> str | None:
    """``name`` rewritten from the pattern ``before`` to the pattern ``after``; None if it does not match.

    ``known``: numbers that ``after`` may use beside those in ``before``.
    """
    pieces = re.split(r"\{(\w+)\}", before)
    pattern = "".join(f"(?P<{piece}>\\d+)" if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
    found = re.fullmatch(pattern, name)
    if not found:
        return None
    numbers = {**(known or {}), **{key: int(value) for key, value in found.groupdict().items()}}

    def total(hole: re.Match[str]) -> str:
        terms = (term.split("*") for term in hole[1].split("+"))
        return str(sum(math.prod(int(f) if f.isdigit() else numbers[f] for f in factors) for factors in terms))

    return re.sub(r"\{([\w+*]+)\}", total, after)


def to_ours(array: Any, row: Row) -> Any:
    if row.axes == "same":
        return array
    if row.axes == "column":
        return array.reshape(-1)
    if row.axes in ("flat", "linear"):
        array = array.reshape(array.shape[0], -1, *row.space)
    if row.axes == "tall":
        array = array[..., 0]
    array = array.transpose(*range(2, array.ndim), 1, 0)
    return array.reshape(-1, array.shape[-1]) if row.axes in ("flat", "point") else array


def to_theirs(array: Any, row: Row) -> Any:
    if row.axes == "same":
        return array
    if row.axes == "column":
        return array.reshape(-1, 1, 1)
    if row.axes == "flat":
        array = array.reshape(*row.space, -1, array.shape[-1])
    elif row.axes == "point":
        array = array.reshape(1, 1, *array.shape)
    array = array.transpose(array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))
    if row.axes == "tall":
        return array[..., None]
    return array.reshape(array.shape[0], -1) if row.axes in ("flat", "linear") else array


def check(expected: Mapping[str, Shape], given: Mapping[str, Shape], family: str) -> None:
    """Raises Mismatch with every difference between the two."""
    missing = {key: shape for key, shape in expected.items() if key not in given}
    extra = {key: shape for key, shape in given.items() if key not in expected}
    misshapen = [key for key, shape in expected.items() if key in given and given[key] != shape]
    if not (missing or extra or misshapen):
        return
    lines = [f"missing {key} {shape}{likely(key, shape, extra, 'given')}" for key, shape in missing.items()]
    lines += [f"extra {key} {shape}{likely(key, shape, missing, 'missing')}" for key, shape in extra.items()]
    lines += [f"misshapen {key}: given {given[key]}, the model has {expected[key]}" for key in misshapen]
    raise Mismatch(
        f"these arrays do not fit the model (table {family}, {len(expected)} arrays): {len(missing)} missing, "
        f"{len(extra)} extra, {len(misshapen)} misshapen\n  " + "\n  ".join(lines)
    )


def likely(key: str, shape: Shape, others: Mapping[str, Shape], what: str) -> str:
    """The nearest name among ``others``, those of the same shape first."""
    alike = [other for other in others if others[other] == shape]
    near = difflib.get_close_matches(key, alike, 1, 0.3) or difflib.get_close_matches(key, others, 1, 0.7)
    return f"; likely {near[0]} {others[near[0]]}, {what}" if near else ""
