"""Files as torch.save writes them, and as somebody who means harm would, made without torch."""

import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

Entries = dict[str, bytes]
FLOAT = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def number(n: int) -> bytes:
    return b"\x8a" + bytes([8]) + struct.pack("<q", n)  # LONG1 of eight bytes


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def storage(key: str, size: int, kind: bytes = FLOAT) -> bytes:
    return tuple_of(text("storage"), kind, text(key), text("cpu"), number(size)) + b"Q"


def tensor(key: str, size: int, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, kind: bytes = FLOAT):
    sizes, steps = (tuple_of(*map(number, each)) for each in (shape, stride))
    hooks = b"ccollections\nOrderedDict\n)R"
    return REBUILD + tuple_of(storage(key, size, kind), number(offset), sizes, steps, b"\x89", hooks) + b"R"


def dict_of(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(name) + value for name, value in items.items()) + b"u"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def write(
    path: Path, body: bytes, storages: dict[str, bytes] | None = None, more: dict[str, bytes] | None = None
) -> Path:
    """A zip as torch.save makes it, with the pickle ``body``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", program(body))
        archive.writestr("archive/byteorder", "little")
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
        for name, data in (more or {}).items():
            archive.writestr(f"archive/{name}", data)
    return path


def saved(path: Path, state: dict[str, np.ndarray]) -> Path:
    """A state dict of float32 arrays."""
    bodies = {}
    for i, (name, array) in enumerate(state.items()):
        stride = tuple(step // array.itemsize for step in array.strides)
        bodies[name] = tensor(str(i), array.size, array.shape, stride)
    return write(path, dict_of(**bodies), {str(i): a.tobytes() for i, a in enumerate(state.values())})


class Evil:
    """What a careless reader would run."""

    def __init__(self, call: Any, *arguments: Any, state: Any = None):
        self.reduced = (call, arguments) if state is None else (call, arguments, state)

    def __reduce__(self):
        return self.reduced


def pickled(value: Any, protocol: int) -> bytes:
    """Python's own pickle of a value, without its end, as the body of a file."""
    file = io.BytesIO()
    pickle.Pickler(file, protocol).dump(value)
    return file.getvalue()[:-1]
