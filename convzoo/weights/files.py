"""Files of weights: ``.safetensors``, ``.npz``, PyTorch's and ``.onnx``, read as flat dicts of numpy arrays;
``.safetensors`` written, whole or not at all.
"""

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from convzoo.extras import need
from convzoo.weights import torchfile
from convzoo.weights.pickles import Damaged

State = dict[str, np.ndarray]
TORCH = (".pth", ".pt", ".bin", ".ckpt")
SUFFIXES = (".safetensors", ".npz", *TORCH, ".onnx")
# Where training scripts keep the arrays; averages first.
INSIDE = ("state_dict_ema", "model_ema", "state_dict", "model")
DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


class Checkpoint(NamedTuple):
    """What a file holds: arrays by name, and the text beside them (a ``.safetensors`` file's alone has any)."""

    state: State
    metadata: dict[str, str]


def read(path: Path) -> Checkpoint:
    """The arrays of a file.

    Raises:
      ValueError: it has no suffix that is read here, is not whole, or holds what is refused (pickles.Refused).
      OSError: it cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path}: files of weights end in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path} is {'a folder, not a file' if path.is_dir() else 'not there'}")
    if suffix == ".safetensors":
        return read_safetensors(path)
    if suffix == ".onnx":
        return Checkpoint(read_onnx(path), {})
    found = read_npz(path) if suffix == ".npz" else torchfile.read(path)
    return Checkpoint(unwrapped(found, path), {})


def read_safetensors(path: Path) -> Checkpoint:
    library = need("safetensors", extra="weights")
    data = path.read_bytes()
    try:
        views = library.deserialize(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    except library.SafetensorError as error:
        raise Damaged(f"{path} is no whole safetensors file: {error}") from error
    unknown = sorted({view["dtype"] for _, view in views} - DTYPES.keys())
    if unknown:
        raise ValueError(f"{path} holds arrays of type {', '.join(unknown)}; read here are {', '.join(DTYPES)}")
    return Checkpoint(
        {name: np.frombuffer(view["data"], DTYPES[view["dtype"]]).reshape(view["shape"]) for name, view in views},
        metadata,
    )


def read_npz(path: Path) -> State:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise Damaged(f"{path} is no whole .npz file of plain arrays: {error}") from error


def read_onnx(path: Path) -> State:
    """The arrays that a network's graph begins with; the graph itself is not looked at."""
    library = need("onnx", extra="hearing")
    numpy_helper = need("onnx.numpy_helper", extra="hearing")
    try:
        graph = library.load(path, load_external_data=False).graph
        return {tensor.name: np.array(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    except Exception as error:  # protobuf's are no ValueErrors
        raise Damaged(f"{path} is no whole .onnx file with its arrays in it: {error}") from error


def unwrapped(value: Any, path: Path) -> State:
    """The dict of arrays in what a file holds: itself, or under one of the names that training scripts use.

    Raises:
      ValueError: there is none.
    """
    if isinstance(value, dict):
        inside = next((value[key] for key in INSIDE if isinstance(value.get(key), dict)), value)
        if inside and all(isinstance(array, np.ndarray) for array in inside.values()):
            return {str(key): array for key, array in inside.items()}
        told = [f"{key} ({type(inner).__name__})" for key, inner in inside.items() if not isinstance(inner, np.ndarray)]
        told = told[:8] + ["..."] * (len(told) > 8)
        listed = ", ".join(told) or "nothing"
        raise ValueError(f"{path} is no dict of arrays, nor has it one under {', '.join(INSIDE)}; it holds {listed}")
    raise ValueError(f"{path} holds a {type(value).__name__}, not a dict of arrays")


def write(path: Path, state: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Writes a ``.safetensors`` file beside its place and moves it there when it is complete.

    Raises:
      ValueError: the name does not end in ``.safetensors``, or an array's dtype cannot be written.
    """
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"{path}: weights are written as .safetensors")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder")
    library = need("safetensors.numpy", extra="weights")
    arrays = {name: np.asarray(array, order="C") for name, array in state.items()}
    known = {np.dtype(dtype) for dtype in DTYPES.values()}
    if wrong := [f"{name} ({array.dtype})" for name, array in arrays.items() if array.dtype not in known]:
        raise ValueError(f"these arrays have a dtype that safetensors has not: {', '.join(wrong)}")
    beside = path.with_name(f".{path.name}.{os.getpid()}.building")
    try:
        with beside.open("wb") as file:
            file.write(library.save(arrays, metadata=dict(metadata)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
