"""A way of our own: ``native.cc``, built by the machine's C++ compiler when a convolution is first lowered for a CPU.

It is built once for each dtype, for this processor, into ``$XDG_CACHE_HOME/convzoo`` or ``~/.cache/convzoo``. Without a
compiler, or with ``CONVZOO_NATIVE=0``, the ways written in JAX compute everything; ``why_not`` tells what is missing.
"""

import ctypes
import functools
import hashlib
import itertools
import math
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax
import numpy as np

from convzoo.core.lowering.finish import PLAIN, Finish
from convzoo.core.lowering.grouped import mirrored_kernel_grad
from convzoo.core.lowering.windows import Array, is_depthwise, is_dilated
from convzoo.core.shapes import Geometry, out_space

SOURCES = {  # each a library of its own, and the functions in it
    "native.cc": ("convzoo_conv", "convzoo_kernel_grad"),
    "neighbours.cc": ("convzoo_neighbour_sum", "convzoo_neighbour_dot"),
}
HEADER = Path(__file__).with_name("threads.h")
FLAGS = ("-std=c++20", "-O3", "-ffp-contract=fast", "-fPIC", "-shared", "-w")
ONLY_GCC = ("-march=native", "-fno-ivopts")  # tried first, then without: another compiler may refuse them
REALS = {"float32": "float", "float64": "double"}
MOST_TAPS = 4096  # the offsets of a window are kept on the stack
TARGETS = SOURCES["native.cc"]
ACTIVATIONS = ("none", "relu", "relu6", "hard_swish", "silu", "gelu")  # in the order of native.cc
ONLY_SINGLE = ("silu", "gelu")


def folder() -> Path:
    """Where the built libraries lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "convzoo"


def compiler() -> str | None:
    return next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))), None)


def processor() -> str:
    """What a library is built for: the instructions of this processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    known = {line for line in lines if line.startswith(("flags", "Features", "model name"))}
    return "\n".join([platform.machine(), platform.processor(), *sorted(known)])


def why_not(dtype: str, source: str = "native.cc") -> str:
    """Why there are no kernels of our own for this dtype; "" where there are."""
    return build(dtype, source)[0]


@functools.cache
def build(dtype: str, source: str) -> tuple[str, str]:
    """(why it could not be built, the suffix under which XLA knows its functions)."""
    if os.environ.get("CONVZOO_NATIVE") == "0":
        return "CONVZOO_NATIVE is 0", ""
    if os.name != "posix":
        return "they are built on Linux and macOS only", ""
    if dtype not in REALS:
        return f"there is none for {dtype}, only for {' and '.join(REALS)}", ""
    if (program := compiler()) is None:
        return "there is no C++ compiler: c++, g++ or clang++", ""
    texts = (HEADER.with_name(source).read_text(), HEADER.read_text())
    made_of = (*texts, jax.__version__, program, processor(), dtype, *FLAGS, *ONLY_GCC)
    mark = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]
    path = folder() / f"native-{mark}.so"
    try:
        if not path.exists():
            compile_to(path, program, dtype, source)
        if path.stat().st_uid != os.getuid():
            return f"{path} belongs to another user", ""
        library = ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}", ""
    for name in SOURCES[source]:
        jax.ffi.register_ffi_target(f"{name}_{mark}", jax.ffi.pycapsule(getattr(library, name)), platform="cpu")
    return "", mark


def compile_to(path: Path, program: str, dtype: str, source: str) -> None:
    """Builds the library beside its place and moves it there, so that no process ever loads half of one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        command = [
            program,
            *FLAGS,
            f"-DREAL={REALS[dtype]}",
            "-isystem",
            jax.ffi.include_dir(),
            str(HEADER.with_name(source)),
            "-o",
            made,
        ]
        for extra in (ONLY_GCC, ()):
            result = subprocess.run([*command, *extra], capture_output=True, text=True, timeout=300, check=False)
            if result.returncode == 0:
                made.replace(path)
                return
    raise OSError(f"{program} could not build {source}: {result.stderr.strip().splitlines()[-1:]}")


def fits(geometry: Geometry, channels: int, window: tuple[int, ...]) -> bool:
    """Whether the kernels compute such a convolution, where they could be built."""
    phases = all(i == 1 or s == 1 for i, s in zip(geometry.in_dilation, geometry.stride, strict=True))
    return phases and math.prod(window) <= MOST_TAPS


def is_offered(geometry: Geometry, channels: int, outer: int) -> bool:
    """Whether to prefer them. Depthwise with a multiplier is left to the sums of shifted inputs: a group has too few
    outputs for a vector, and none lies along the channels."""
    return channels == 1 or outer == channels or not is_depthwise(geometry, channels)


def numbers(x: Array, kernel: tuple[int, ...], geometry: Geometry, out: tuple[int, ...]) -> np.ndarray:
    """The geometry as ``native.cc`` reads it: of three spatial axes, the first of size 1 where there are fewer."""
    firsts = [before for before, _ in geometry.pads]
    axes = zip(x.shape[1:-1], out, kernel[:-2], geometry.stride, firsts, geometry.dilation, strict=True)
    dilated = (1,) * (5 - x.ndim) + geometry.in_dilation
    every = [(1, 1, 1, 1, 0, 1)] * (5 - x.ndim) + list(axes)
    return np.array(
        [x.shape[0], x.shape[-1], kernel[-1], geometry.groups, *itertools.chain(*every), *dilated], np.int64
    )


def call(target: str, shape: tuple[int, ...], *arrays: Array, **attributes: np.ndarray) -> Array:
    dtype = arrays[0].dtype
    missing, mark = build(dtype.name, next(source for source, names in SOURCES.items() if target in names))
    if missing:
        raise RuntimeError(f"convzoo's own kernels for {dtype} are not there: {missing}")
    return jax.ffi.ffi_call(f"{target}_{mark}", jax.ShapeDtypeStruct(shape, dtype))(*arrays, **attributes)


def finishes(geometry: Geometry, activation: str, dtype: str) -> bool:
    """Whether the kernels can finish such a convolution; of a dilated one some phases may store nothing."""
    known = activation in ACTIVATIONS and (dtype == "float32" or activation not in ONLY_SINGLE)
    return known and not is_dilated(geometry)


def native_conv(x: Array, kernel: Array, geometry: Geometry, finish: Finish = PLAIN, *more: Array) -> Array:
    out = out_space(x.shape[1:-1], kernel.shape[:-2], geometry)
    shape = (x.shape[0], *out, kernel.shape[-1])
    after = np.array([finish.scale, finish.bias, finish.residual, ACTIVATIONS.index(finish.activation)], np.int64)
    return call(TARGETS[0], shape, x, kernel, *more, geometry=numbers(x, kernel.shape, geometry, out), finish=after)


def native_kernel_grad(x: Array, y: Array, geometry: Geometry, window: tuple[int, ...]) -> Array:
    if is_dilated(geometry):  # the same sum with x and y exchanged is a plain strided one
        return mirrored_kernel_grad(x, y, geometry, window, native_kernel_grad)
    shape = (*window, x.shape[-1] // geometry.groups, y.shape[-1])
    return call(TARGETS[1], shape, x, y, geometry=numbers(x, shape, geometry, y.shape[1:-1]))
