"""Timing for the benchmarks: peers that take turns, the machine's peaks, and rows of a CSV that is resumed."""

import csv
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
MOST_WARM, FEW_PAGES = 8, 8  # rounds; pages of 2 MB where the system has them


def taken() -> int:
    """How many pages this process has been given: the system fills each with zeros, which a steady state is without."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def rounds(peers: dict[str, Callable], seconds: float, least: int = 3, most: int = 25) -> dict[str, list[float]]:
    """Milliseconds of each peer in interleaved rounds, once it needs no more memory; one that takes longer than
    ``seconds`` is timed once."""
    slow, cold = {}, list(peers)
    for _ in range(MOST_WARM):
        for name in list(cold):
            start, pages = time.perf_counter(), taken()
            jax.block_until_ready(peers[name]())
            slow[name] = time.perf_counter() - start
            if slow[name] > 4 * seconds or taken() - pages <= FEW_PAGES:
                cold.remove(name)
    times = {name: [slow[name] * 1e3] for name in peers}
    order, end, count = list(peers), time.perf_counter() + seconds, 0
    while count < least or (count < most and time.perf_counter() < end):
        for name in order:
            if slow[name] > seconds:
                continue
            if slow[name] < seconds / 20:
                jax.block_until_ready(peers[name]())  # another library's threads may still be spinning
            start = time.perf_counter()
            jax.block_until_ready(peers[name]())
            times[name].append((time.perf_counter() - start) * 1e3)
        order, count = order[1:] + order[:1], count + 1
    return {name: values[1:] or values for name, values in times.items()}


def quartiles(values: list[float]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return low, middle, high


def peaks() -> dict[str, float]:
    """GFLOP/s of a large matrix product and GB/s of adding one in place to 64 MB: the roof of every figure."""
    a, kept = jnp.ones((3072, 3072)), [jnp.ones((16, 2**20))]
    product, add = jax.jit(lambda a: a @ a), jax.jit(lambda b: b + 1, donate_argnums=0)
    size = kept[0].nbytes

    def copy():
        kept[0] = add(kept[0])
        return kept[0]

    times = rounds({"product": lambda: product(a), "copy": copy}, 4.0)
    best = {name: min(values) for name, values in times.items()}
    return {"gflops": 2 * 3072**3 / best["product"] / 1e6, "gbs": 2 * size / best["copy"] / 1e6}


def peak_bytes(program: Any) -> int:
    """What a compiled program holds at most: arguments, results and what lies between."""
    memory = program.memory_analysis()
    sizes = ("temp_size_in_bytes", "argument_size_in_bytes", "output_size_in_bytes")
    return sum(getattr(memory, size, 0) for size in sizes)


def append(path: Path, fields: Sequence[str], row: dict) -> None:
    """Adds a line to a CSV, which is begun if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fields, restval="")
        if new:
            writer.writeheader()
        writer.writerow(row)


def read(path: Path) -> list[dict]:
    with path.open() as file:
        return [{k: number(v) for k, v in row.items()} for row in csv.DictReader(file)]


def number(text: str):
    try:
        return float(text) if text else math.nan
    except ValueError:
        return text
