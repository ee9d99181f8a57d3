"""What a batch is made of: the embedded sets, each a frozen value that turns stored examples into batches.

arrays(split)            numpy, one row an example; read and prepared once a process
batch(rows, mask, key)   rows on the device -> a batch; pure; a key augments
"""

import functools
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from convzoo.data import augment, graphs, home

DIGITS = tuple("0123456789")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
Rows = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """An embedded set. ``fraction`` is the share of the training split to use, the same in every class.

    Attributes:
      name: what the set is called in the data folder.
      classes: names of the labels.
      splits: names of the splits; "train" comes first.
      whole: whether a split is one example, a graph, and so a batch.
    """

    fraction: float = field(default=1.0, kw_only=True)

    name: ClassVar[str]
    classes: ClassVar[tuple[str, ...]] = DIGITS
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    whole: ClassVar[bool] = False

    def __post_init__(self):
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction={self.fraction} must be more than 0 and at most 1")

    def arrays(self, split: str) -> Rows:
        """Every example of ``split``, one a row, read-only, in the order in which they are stored.

        Always "label" int32; the rest is what ``batch`` takes. ``fraction`` has no say here.

        Raises:
          ValueError: the set has no such split.
        """
        self._check(split)
        plain = {each.name: each.default for each in fields(self) if each.name in ("augment", "fraction")}
        return _arrays(replace(self, **plain), split, str(home.folder()))

    def sizes(self, rows: Rows, batch_size: int) -> tuple[tuple[str, int], ...]:
        """Static sizes that ``batch`` needs for ``batch_size`` of these rows, by name; only graphs have any."""
        return ()

    def batch(self, rows: Rows, mask: Array, key: Array | None = None, **sizes: int) -> dict[str, Any]:
        """A batch of rows [batch, ...]; False in ``mask`` marks a row as padding; with a key the rows are augmented."""
        raise NotImplementedError

    def show(self, split: str, index: int) -> dict[str, Any]:
        """Example ``index`` of ``split`` as plain lists and strings, for somebody to look at (or listen to)."""
        raise NotImplementedError

    def _build(self, split: str) -> dict[str, np.ndarray]:
        raise NotImplementedError

    def _stored(self, split: str) -> list[dict[str, Any]]:
        self._check(split)
        return _stored(self.name, split, str(home.folder()))

    def _check(self, split: str) -> None:
        if split not in self.splits:
            raise ValueError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")


@functools.lru_cache(maxsize=16)
def _arrays(source: Source, split: str, folder: str) -> dict[str, np.ndarray]:
    labels = np.array([example["label"] for example in source._stored(split)], np.int32)
    arrays = source._build(split) | {"label": labels}
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


@functools.lru_cache(maxsize=16)
def _stored(name: str, split: str, folder: str) -> list[dict[str, Any]]:
    return home.read(name, split)


@dataclass(frozen=True)
class Seen(Source):
    """Pictures of digits. input float32 [batch, 8, 8, 1], 0 (paper) to 1 (ink)."""

    augment: bool = True

    name: ClassVar[str] = "digits_seen"

    def _build(self, split):
        pictures = np.stack([example["image"] for example in self._stored(split)])
        return {"input": pictures.astype(np.float32) / 240}

    def batch(self, rows, mask, key=None):
        x = rows["input"]
        if self.augment and key is not None:
            x = augment.pictures(x, key)
        return {"input": x, "label": rows["label"], "mask": mask}

    def show(self, split, index):
        return {"pixels": self.arrays(split)["input"][index, :, :, 0].tolist()}


# How edges are told apart: number of taps, tap of each stored direction.
EDGES = {
    "direction": (9, tuple(range(9))),
    "mean": (2, (1, 1, 1, 1, 0, 1, 1, 1, 1)),
    "gcn": (1, (0,) * 9),
    "none": (1, (0,) * 9),
}


@dataclass(frozen=True)
class Drawn(Source):
    """Graphs of the ink of digits. input: ``Graphs``, nodes [N, 3] intensity, x, y (or [N, 1] without ``places``).

    edges says what an edge knows of its direction:
      "direction": nine taps, a 3 x 3 window's; weight 1
      "mean": two taps, the node itself and the mean of its neighbours
      "gcn": one tap, itself included, weight 1 / sqrt(degree of sender · degree of receiver)
      "none": one tap, the node itself alone

    Node and edge counts are static: those of the ``batch_size`` largest graphs together, and one node more. label and
    mask are [batch + 1], the last one the padding graph's; also "graph_id", "node_mask" and "edge_mask".
    """

    edges: str = "direction"
    places: bool = True
    augment: bool = True

    name: ClassVar[str] = "digits_drawn"

    def __post_init__(self):
        super().__post_init__()
        if self.edges not in EDGES:
            raise ValueError(f"edges={self.edges!r} is unknown; known are {', '.join(EDGES)}")

    @property
    def taps(self) -> int:
        """How many kinds of edges there are."""
        return EDGES[self.edges][0]

    def _build(self, split):
        made = [self._edges(example) for example in self._stored(split)]
        n_node, n_edge = ([len(example[name]) for example in made] for name in ("nodes", "tap"))
        padded = {name: pad([example[name] for example in made]) for name in made[0]}
        return padded | {"n_node": np.array(n_node, np.int32), "n_edge": np.array(n_edge, np.int32)}

    def _edges(self, stored: dict[str, Any]) -> dict[str, np.ndarray]:
        senders, receivers, taps = (np.asarray(stored[name]) for name in ("senders", "receivers", "taps"))
        if self.edges == "none":
            senders, receivers, taps = (ends[taps == graphs.SELF] for ends in (senders, receivers, taps))
        degree = np.bincount(receivers, minlength=len(stored["nodes"])).astype(np.float32)  # itself included
        weight = {
            "direction": np.ones(len(taps)),
            "mean": np.where(taps == graphs.SELF, 1, 1 / np.maximum(degree[receivers] - 1, 1)),
            "gcn": 1 / np.sqrt(degree[senders] * degree[receivers]),
            "none": np.ones(len(taps)),
        }[self.edges]
        return {
            "nodes": np.asarray(stored["nodes"])[:, : 3 if self.places else 1],
            "senders": senders,
            "receivers": receivers,
            "tap": np.array(EDGES[self.edges][1], np.int32)[taps],
            "weight": weight.astype(np.float32),
        }

    def sizes(self, rows, batch_size):
        return sizes_of_largest(rows, batch_size)

    def batch(self, rows, mask, key=None, *, nodes, edges):
        if self.augment and self.places and key is not None:
            moved = augment.places(rows["nodes"][..., 1:], key, pixel=2 / 7)
            rows = rows | {"nodes": jnp.concatenate([rows["nodes"][..., :1], moved], axis=-1)}
        return padded_batch(rows, mask, nodes, edges)

    def show(self, split, index):
        stored = self._stored(split)[index]
        nodes = np.asarray(stored["nodes"])[:, [1, 2, 0]].tolist()
        pairs = np.stack([stored["senders"], stored["receivers"]], axis=1)
        return {"nodes": nodes, "edges": pairs[pairs[:, 0] != pairs[:, 1]].tolist()}


def sizes_of_largest(rows: Rows, batch_size: int) -> tuple[tuple[str, int], ...]:
    """Static sizes of the ``batch_size`` largest graphs together, and one node more."""
    nodes, edges = (int(np.resize(np.sort(rows[name])[::-1], batch_size).sum()) for name in ("n_node", "n_edge"))
    return ("nodes", nodes + 1), ("edges", edges)


def padded_batch(rows: Rows, mask: Array, nodes: int, edges: int) -> dict[str, Any]:
    """Rows of graphs as one batch."""
    packed, where = graphs.compact(rows, mask, nodes=nodes, edges=edges)
    return {"input": packed, "label": jnp.append(rows["label"], 0), "mask": jnp.append(mask, False), **where}


@dataclass(frozen=True)
class Spelled(Source):
    """Numbers in words, seven languages. input int32 [batch, 48] UTF-8 bytes, zeros after ``length``.

    The label is the number's last digit; no number is in two splits, whatever the language.
    """

    name: ClassVar[str] = "digits_spelled"
    splits: ClassVar[tuple[str, ...]] = ("train", "test", "rest")
    longest: ClassVar[int] = 48

    def _build(self, split):
        texts = [np.frombuffer(example["text"], np.uint8) for example in self._stored(split)]
        return {"input": pad(texts, self.longest), "length": np.array([len(text) for text in texts], np.int32)}

    def batch(self, rows, mask, key=None):
        return {
            "input": rows["input"].astype(jnp.int32),
            "length": rows["length"],
            "label": rows["label"],
            "mask": mask,
        }

    def show(self, split, index):
        stored = self._stored(split)[index]
        return {"text": _text(stored["text"]), "language": _text(stored["language"])}


def pad(arrays: list[np.ndarray], size: int | None = None) -> np.ndarray:
    """Stacks arrays of different lengths, zeros after each."""
    longest = max(map(len, arrays)) if size is None else size
    stacked = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return stacked


def _text(stored: bytes | str) -> str:
    return stored.decode() if isinstance(stored, bytes) else stored
