"""PyTorch's ``.pth``, ``.pt`` and ``.bin`` files as numpy arrays, without torch and without running anything.

Since PyTorch 1.6 such a file is a zip: ``data.pkl`` tells how tensors lie in storages, ``data/0``, ``data/1``, ... are
the storages' bytes. Tensors, parameters, dicts, lists, strings and numbers are built (``pickles.Machine``), all else is
refused. Older files are no zips; they are refused too, but for those of a package whose hash is known.
"""

import hashlib
import math
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from convzoo.weights.pickles import Damaged, Machine, Refused

DTYPES: dict[str, Any] = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}
OLD = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # the number that opens a file of PyTorch before 1.6
CONVERT = (
    "open it once where PyTorch is at hand and write it anew: "
    "torch.save(torch.load(path, weights_only=True), 'new.pth'), or its state_dict with safetensors.torch.save_file"
)
# Old files that are read all the same, by the same whitelist, because their bytes are known.
KNOWN_OLD = {"579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db": "efficientnet-lite0-57934424.pth"}
LONGEST_PICKLE = 2**28  # bytes; a large network's takes some hundred thousand


class Kind(NamedTuple):
    """What stands for ``torch.FloatStorage`` and its like."""

    dtype: np.dtype


class Storage(NamedTuple):
    """A run of values; ``values()`` reads them."""

    key: str
    size: int
    values: Callable[[], np.ndarray]


class Tensor(NamedTuple):
    """A tensor that was not read yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        values = self.storage.values()
        strides = tuple(step * values.itemsize for step in self.stride)
        if not math.prod(self.shape):
            return np.empty(self.shape, values.dtype)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False)


def read(path: Path) -> Any:
    """The value that was saved: dicts and lists of numpy arrays, strings and numbers.

    Raises:
      Refused: it holds, or does, something else; nothing was run.
      Damaged: it is no such file, or not whole.
    """
    with path.open("rb") as file:
        opening = file.read(len(OLD))
    if opening == OLD:
        return read_old(path)
    if not zipfile.is_zipfile(path):
        raise Damaged(f"{path} is no file that torch.save wrote: it is not a zip file, and no older form either")
    return read_zip(path)


def read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        try:
            entries = {info.filename: info for info in archive.infolist()}
            found = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
            if len(found) != 1:
                raise Damaged(f"{path} is a zip file, but not torch.save's: it holds {len(found)} entries 'data.pkl'")
            root = found[0].removesuffix("data.pkl")
            if any(name.startswith(f"{root}code/") for name in entries):
                raise Refused(f"{path} is a TorchScript program; save its state_dict alone")
            if f"{root}byteorder" in entries and content(archive, entries[f"{root}byteorder"], path) != b"little":
                raise Refused(f"{path} was written on a big-endian machine; {CONVERT}")
            if entries[found[0]].file_size > LONGEST_PICKLE:
                raise Damaged(f"{path}: its data.pkl has {entries[found[0]].file_size} bytes, which no network needs")
            storages: dict[str, Storage] = {}

            def storage(given: Any) -> Storage:
                kind, key, size = identity(given, path)
                if key not in storages:
                    info = entries.get(f"{root}data/{key}")
                    wanted = size * kind.dtype.itemsize
                    if info is None or info.file_size != wanted:
                        has = "is missing" if info is None else f"has {info.file_size} bytes"
                        raise Damaged(f"{path}: storage {key!r} {has}; {size} values of {kind.dtype} take {wanted}")
                    data: list[np.ndarray] = []

                    def values() -> np.ndarray:
                        if not data:
                            data.append(np.frombuffer(content(archive, info, path), kind.dtype))
                        return data[0]

                    storages[key] = Storage(key, size, values)
                if storages[key].size != size:
                    raise Damaged(f"{path}: storage {key!r} has once {storages[key].size} values and once {size}")
                return storages[key]

            pickle = content(archive, entries[found[0]], path)
            value = Machine(calls(path), storage, str(path)).run(BytesIO(pickle))
            if sum(entries[f"{root}data/{key}"].file_size for key in storages) > path.stat().st_size:
                raise Damaged(f"{path}: its storages are larger than the file; they overlap")
            return arrays(value)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, KeyError) as error:
            raise Damaged(f"{path} is damaged: {error}") from error


def content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    """An entry's bytes, checked against its checksum. torch.save compresses nothing, so what unpacks to much more than
    the file holds is not its work."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise Refused(f"{path}: {info.filename} is compressed, which torch.save never does; {CONVERT}")
    return archive.read(info)


def identity(given: Any, path: Path) -> tuple[Kind, str, int]:
    """The kind, key and number of values of a storage, from the id that a pickle gives."""
    match given:
        case ("storage", pickled, str(key), str(), int(size), *_) if isinstance(getattr(pickled, "make", None), Kind):
            if size >= 0 and not isinstance(size, bool):
                return pickled.make, key, size
    raise Damaged(f"{path}: a storage is named in a way that torch.save does not have")


def calls(path: Path) -> dict[str, Any]:
    """All that a checkpoint may name."""

    def ordered(items: Any = ()) -> dict:
        if not isinstance(items, list | tuple) or not all(isinstance(i, list | tuple) and len(i) == 2 for i in items):
            raise Damaged(f"{path}: an OrderedDict is not made of pairs")
        return dict(items)

    def tensor(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> Tensor:
        return checked(Tensor(storage, offset, shape, stride), path)

    def parameter(data: Any, requires_grad: Any = True, hooks: Any = ()) -> Tensor:
        if not isinstance(data, Tensor):
            raise Damaged(f"{path}: a parameter is made of a {type(data).__name__}, not of a tensor")
        return data

    return {
        "collections.OrderedDict": ordered,
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_parameter": parameter,
        **{f"torch.{name}Storage": Kind(np.dtype(dtype)) for name, dtype in DTYPES.items()},
    }


def checked(tensor: Tensor, path: Path) -> Tensor:
    """The tensor, if it lies inside its storage.

    Raises:
      Damaged: it does not, or is not described by numbers.
    """
    storage, offset, shape, stride = tensor
    numbers = [offset, *shape, *stride] if isinstance(shape, tuple) and isinstance(stride, tuple) else [None]
    if not isinstance(storage, Storage) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise Damaged(f"{path}: a tensor is not described by a storage, an offset, a shape and strides")
    values = math.prod(shape)
    last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=False)) if values else offset
    if len(shape) != len(stride) or len(shape) > 16 or values > storage.size or (values and last >= storage.size):
        raise Damaged(
            f"{path}: a tensor of shape {shape}, strides {stride} and offset {offset} does not lie inside its storage "
            f"{storage.key!r} of {storage.size} values"
        )
    return tensor


def arrays(value: Any, depth: int = 0, done: dict[int, Any] | None = None) -> Any:
    """The tensors in a value as arrays. A pickle can make a list hold itself, or one list many thousand times: depth is
    bounded, and nothing is turned twice."""
    done = {} if done is None else done
    if isinstance(value, Tensor):
        return value.array()
    if not isinstance(value, dict | list | tuple):
        return value if isinstance(value, str | int | float | bool | None) else f"<{type(value).__name__}>"
    if id(value) not in done:
        done[id(value)] = "..."
        if depth < 8:
            if isinstance(value, dict):
                done[id(value)] = {key: arrays(inner, depth + 1, done) for key, inner in value.items()}
            else:
                done[id(value)] = [arrays(inner, depth + 1, done) for inner in value]
    return done[id(value)]


# --- files of PyTorch before 1.6 ------------------------------------------------------------------------------------


def read_old(path: Path) -> Any:
    """An old file whose hash is known: four pickles, a list of keys, and the storages one after another.

    Raises:
      Refused: the file is not one of those.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() not in KNOWN_OLD:
        raise Refused(f"{path} is a file of PyTorch before 1.6 (no zip), which is not read here; {CONVERT}")
    file, what = BytesIO(data), str(path)
    found: dict[str, Any] = {}
    kinds: dict[str, Kind] = {}

    def storage(given: Any) -> Storage:
        kind, key, size = identity(given, path)
        kinds[key] = kind
        return Storage(key, size, lambda: found[key])

    for _ in range(3):  # the opening number, the version, the sizes of types
        Machine({}, storage, what).run(file)
    value = Machine(calls(path), storage, what).run(file)
    for key in Machine({}, storage, what).run(file):
        size = int.from_bytes(file.read(8), "little")
        found[key] = np.frombuffer(file.read(size * kinds[key].dtype.itemsize), kinds[key].dtype)
    return arrays(value)
