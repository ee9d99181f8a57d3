"""The configs train in the session's data folder, on stand-ins for the sets that come from outside."""

from pathlib import Path

import filelock
import pytest

from convzoo import data
from tests.data.conftest import data_folder as data_folder
from tests.data.outside import write_commands, write_fashion, write_folder, write_recordings


@pytest.fixture(scope="session", autouse=True)
def outside(data_folder: Path) -> None:
    data_folder.mkdir(exist_ok=True, parents=True)
    with filelock.FileLock(data_folder / ".outside.lock"):
        if not (data_folder / "garments").exists():
            write_folder(data_folder / "garments", {"train": 2, "test": 1}, data.FashionMnist.classes)
            write_fashion(data_folder / "fashion_mnist")
            write_recordings(data_folder / "fsdd")
            write_commands(data_folder / "speech_commands", data.Commands().classes)
