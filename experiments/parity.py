"""The zoo beside its peers: every shrunk network's output, waypoints, gradients and statistics against timm's,
torchvision's or a plain torch network's, in float64 with every array filled from a seed.

    python -m experiments.parity [PATTERN] [--output docs/parity.md]

Needs the extra ``parity``. ``make parity`` holds the same differences to their bounds; this prints and keeps them.
"""

import argparse
import fnmatch
import importlib.metadata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import convzoo
from convzoo import zoo
from tests.parity import cases, peers, torchvision_cpu

PAGE = """\
# The zoo beside its peers

`python -m experiments.parity` wrote this page. Each line is a shrunk network of ours and the same network by the peer
whose names the table holds: every parameter and every running statistic filled from a seed with values that hide
nothing, in float64, in evaluation and in training. A number is the largest difference of an array from the peer's, in
units of the largest value in it, over all arrays of the kind: the output, every waypoint, the gradient of every
parameter and of the input, the running statistics after a step of training.

{lines}

With {versions}.
`make parity` holds outputs, waypoints and statistics to 1e-9 and gradients to 1e-8, and writes the peers' figures to
which `make test` holds convzoo on machines without torch.

Two things were set aside, and are said here. torch's hard sigmoid rounds its slope of 1/6 to float32 whatever the
dtype, so the peers of MobileNet V3 got one that does not. And a bias that only a batch norm sees has no gradient in
training but rounding, in the peer and here: both are held to be under 1e-9, and compared in evaluation.

## Names

{count} names. Those with a peer have the same names and shapes of arrays, the same number of parameters and, at the
size of the peer's pictures, the same number of multiply-adds as torch counts (`make parity`, on shapes alone). A name
can have several tables: timm's, torchvision's and others' names for the same arrays.

| table | names | |
| --- | --- | --- |
{names}
"""
PACKAGES = ("jax", "flax", "torch", "torchvision", "timm")


def compare(name: str, table: str) -> dict[str, float]:
    """The largest difference of each kind, in units of the largest value of the array it is in."""
    case = cases.CASES[name]
    expected = peers.theirs(torchvision_cpu.load("torch"), case, table)
    return cases.worst(cases.differences(cases.ours_once(name), expected))


def row(name: str, table: str, found: dict[str, float]) -> list[str]:
    model = type(cases.CASES[name].model).__name__
    return [model, name, table, *(f"{found[kind]:.1e}" if kind in found else "–" for kind in cases.KINDS)]


def document(rows: Sequence[Sequence[str]]) -> str:
    """docs/parity.md."""
    heads = ("class", "network", "table", *cases.KINDS)
    counts = Counter(table for tables in zoo.STYLES.values() for table in tables)
    return PAGE.format(
        lines="\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)),
        versions=", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES),
        count=len(convzoo.list_models()),
        names="\n".join(f"| {table} | {counts[table]} | {', '.join(named(table))} |" for table in counts),
    )


def named(table: str) -> list[str]:
    return [name for name in convzoo.list_models() if table in zoo.STYLES.get(name, ())]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="*", help="networks to compare, as a shell pattern")
    parser.add_argument("--output", type=Path, help="where the page goes; docs/parity.md if all are compared")
    options = parser.parse_args(arguments)
    rows = []
    for name in fnmatch.filter(cases.CASES, options.pattern):
        for table in cases.CASES[name].tables:
            rows.append(row(name, table, compare(name, table)))
            print("  ".join(cell.ljust(width) for cell, width in zip(rows[-1], (12, 26, 26, 8, 8, 8, 8), strict=True)))
    if not rows:
        parser.error(f"no network matches {options.pattern!r}; there are {', '.join(cases.CASES)}")
    everything = sum(len(case.tables) for case in cases.CASES.values())
    output = options.output or (Path("docs/parity.md") if len(rows) == everything else None)
    if output:
        output.write_text(document(rows))
        print(output)


if __name__ == "__main__":
    main()
