"""A peer's flat dict of arrays <-> our tree of variables: a table of names and axis orders per family, used both ways.

A row pairs our path with the peer's key. ``{n}`` in it stands for a number, ``{n+1}`` for the number after it: with
``("stage{s}_block{b}/conv{c}/kernel", "layer{s+1}.{b}.conv{c}.weight")`` our ``stage0_block2/conv1/kernel`` is their
``layer1.2.conv1.weight``.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
from flax.traverse_util import flatten_dict, unflatten_dict

Shape = tuple[int, ...]


class Row(NamedTuple):
    """``axes``: ``"same"``, or ``"kernel"``: theirs ``[out, in, *window]``, ours ``[*window, in, out]``. ``space``: the
    shape of the places that a dense kernel's inputs are flattened from, channels first there, channels last here."""

    ours: str
    theirs: str
    axes: str = "same"
    space: Shape = ()


def dense(ours: str, theirs: str, space: Shape = ()) -> tuple[Row, ...]:
    """A kernel and its bias."""
    return (
        Row(f"params/{ours}/kernel", f"{theirs}.weight", "kernel", space),
        Row(f"params/{ours}/bias", f"{theirs}.bias"),
    )


def conv_norm(ours: str, conv: str, norm: str) -> tuple[Row, ...]:
    """A convolution without bias and its batch norm."""
    return (
        Row(f"params/{ours}/kernel", f"{conv}.weight", "kernel"),
        Row(f"params/{ours}/norm/scale", f"{norm}.weight"),
        Row(f"params/{ours}/norm/bias", f"{norm}.bias"),
        Row(f"batch_stats/{ours}/norm/mean", f"{norm}.running_mean"),
        Row(f"batch_stats/{ours}/norm/var", f"{norm}.running_var"),
    )


RESIDUAL = (
    *conv_norm("stem", "conv1", "bn1"),
    *conv_norm("stage{s}_block{b}/conv{c}", "layer{s+1}.{b}.conv{c}", "layer{s+1}.{b}.bn{c}"),
)
FAMILIES: dict[str, tuple[Row, ...]] = {
    "alexnet": (
        *dense("conv0", "features.0"),
        *dense("conv1", "features.3"),
        *dense("conv2", "features.6"),
        *dense("conv3", "features.8"),
        *dense("conv4", "features.10"),
        *dense("dense0", "classifier.1", space=(6, 6)),
        *dense("dense1", "classifier.4"),
        *dense("head", "classifier.6"),
    ),
    "resnet": (
        *RESIDUAL,
        *conv_norm("stage{s}_block{b}/skip", "layer{s+1}.{b}.downsample.0", "layer{s+1}.{b}.downsample.1"),
        *dense("head", "fc"),
    ),
    "cifar_resnet": (*RESIDUAL, *dense("head", "linear")),
}
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
    found, unknown = {}, []
    for path in paths:
        hits = ((key, row) for row in FAMILIES[family] if (key := renamed(path, row.ours, row.theirs)) is not None)
        if hit := next(hits, None):
            found[path] = hit
        else:
            unknown.append(path)
    if unknown:
        raise ValueError(f"the table of {family} has no row for {', '.join(unknown)}")
    return found


def renamed(name: str, before: str, after: str) -> str | None:
    """``name`` rewritten from the pattern ``before`` to the pattern ``after``; None if it does not match."""
    pieces = re.split(r"\{(\w+)\}", before)
    pattern = "".join(f"(?P<{piece}>\\d+)" if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
    found = re.fullmatch(pattern, name)
    if not found:
        return None
    return re.sub(r"\{(\w+)\+?(\d*)\}", lambda hole: str(int(found[hole[1]]) + int(hole[2] or 0)), after)


def to_ours(array: Any, row: Row) -> Any:
    if row.axes == "same":
        return array
    if row.space:
        array = array.reshape(array.shape[0], -1, *row.space)
    array = array.transpose(*range(2, array.ndim), 1, 0)
    return array.reshape(-1, array.shape[-1]) if row.space else array


def to_theirs(array: Any, row: Row) -> Any:
    if row.axes == "same":
        return array
    if row.space:
        array = array.reshape(*row.space, -1, array.shape[-1])
    array = array.transpose(array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))
    return array.reshape(array.shape[0], -1) if row.space else array


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
