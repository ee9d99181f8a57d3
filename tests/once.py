"""What takes long is made once a session, however many workers there are."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> Path:
    """The folder that ``make`` filled, in this worker or in another."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            beside = folder.with_name(f"{name}.building")
            make(beside)
            beside.replace(folder)
    return folder
