"""What a process must start with for convolutions on a CPU to run at full speed, and to compile only once.

XLA gives its temporaries back after every call, and glibc gives large ones back to the system, which then fills every
page with zeros again: half the time of a memory-bound convolution. Pages of 2 MB, where the system has them, are found
faster than those of 4 KB: up to a quarter of a training step. And LLVM uses half of the vector registers of
AVX-512 unless it is told otherwise. Both are read once, glibc's when a process starts and XLA's when JAX does. Compiled
programs are kept in ``$XDG_CACHE_HOME/convzoo/jax`` or ``~/.cache/convzoo/jax`` and found again by the next process.
"""

import os
import sys
from pathlib import Path

# One arena, because the others ask the system for everything above 64 MB whatever the rest says.
ALLOCATOR = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "arena_max": 1,
        "mmap_max": 0,
        "trim_threshold": 2**34,
        "top_pad": 2**28,
        "hugetlb": 1,  # glibc 2.35; madvise alone, nothing is reserved
    }.items()
)
VECTORS = "--xla_cpu_prefer_vector_width=512"
CPU = Path("/proc/cpuinfo")


def settings() -> dict[str, str]:
    """The variables to add to the environment; none that is set already is changed. Off Linux only the cache's."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "convzoo" / "jax"
    wanted = {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    if sys.platform.startswith("linux"):
        wanted["GLIBC_TUNABLES"] = ALLOCATOR
    if CPU.exists() and " avx512f " in CPU.read_text():
        wanted["XLA_FLAGS"] = VECTORS
    return {name: value for name, value in wanted.items() if name not in os.environ}


def restart() -> None:
    """Starts this process anew, with its own arguments, where ``settings`` are missing; the first call of a command."""
    if missing := settings():
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | missing)


if __name__ == "__main__":
    print(*(f"export {name}='{value}'" for name, value in settings().items()), sep="\n")
