"""torch's world as fixtures, so that collecting these tests imports none of it; a table of differences at the end."""

from types import ModuleType

import pytest

from convzoo import extras
from tests.parity import torchvision_cpu
from tests.parity.cases import KINDS


def peer(name: str) -> ModuleType:
    try:
        return torchvision_cpu.load(name)
    except extras.MissingExtra as error:
        pytest.skip(f"{error}; make parity installs it")


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    return peer("torch")


@pytest.fixture(scope="session")
def torchvision(torch: ModuleType) -> ModuleType:
    return peer("torchvision")


@pytest.fixture(scope="session")
def timm(torchvision: ModuleType) -> ModuleType:
    return peer("timm")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: dict[str, dict[str, float]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, *kinds in (row for key, row in report.user_properties if key == "largest differences"):
            found = rows.setdefault(name, {})
            found.update((kind, max(value, found.get(kind, 0.0))) for kind, value in kinds)
    if rows:
        terminalreporter.section("largest differences from the peers, float64, in units of the largest value")
        for name, found in rows.items():
            cells = (f"  {kind} {found[kind]:.1e}" if kind in found else "" for kind in KINDS)
            terminalreporter.write_line(f"{name:32}" + "".join(f"{cell:21}" for cell in cells).rstrip())
