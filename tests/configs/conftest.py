"""The configs train in the session's data folder, on stand-ins for the pictures that come from outside; graph sets are
real ones, where CONVZOO_TEST_DATA has them."""

import contextlib
from pathlib import Path

import filelock
import pytest

from convzoo import data
from experiments import train as script
from tests.data.conftest import data_folder as data_folder
from tests.data.outside import few_takes, write_commands, write_fashion, write_folder, write_recordings

# Their parts are tested by themselves and in digits_recorded's card; two steps of these take the longest of all.
SLOW = [f"test_its_smoke_form_trains_two_steps[{name}]" for name in ("digit_strings", "digits_voiced")]
REAL = {"planetoid": "planetoid", "tudataset": "tu"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.name in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def outside(data_folder: Path) -> None:
    data_folder.mkdir(exist_ok=True, parents=True)
    with filelock.FileLock(data_folder / ".outside.lock"):
        if not (data_folder / "garments").exists():
            write_folder(data_folder / "garments", {"train": 2, "test": 1}, data.FashionMnist.classes)
            write_fashion(data_folder / "fashion_mnist")
            write_recordings(data_folder / "fsdd")
            few_takes(data_folder)
            write_commands(data_folder / "speech_commands", data.Commands().classes)


@pytest.fixture(autouse=True)
def real_sets(request: pytest.FixtureRequest) -> None:
    """Real sets as links in the data folder, or the test skips."""
    if not request.node.name.startswith("test_its_smoke_form"):
        return
    source = script.config(request.getfixturevalue("name")).data
    if source.name == "ogb":
        pytest.skip("a set of OGB is a download")
    if source.name not in REAL:
        return
    test_data, folder = (Path(request.getfixturevalue(name)) for name in ("test_data", "data_folder"))
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / source.name).symlink_to(test_data / REAL[source.name])
