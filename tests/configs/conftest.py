"""The configs train on the session's data folder; those of real sets where CONVZOO_TEST_DATA has them."""

import contextlib
from pathlib import Path

import pytest

from experiments import train as script
from tests.data.conftest import data_folder as data_folder

REAL = {"planetoid": "planetoid", "tudataset": "tu"}


@pytest.fixture(autouse=True)
def real_sets(request: pytest.FixtureRequest) -> None:
    """Real sets as links in the data folder, or the test skips."""
    if not request.node.name.startswith("test_its_smoke_form"):
        return
    source = script.config(request.getfixturevalue("name")).data
    if source.name not in REAL:
        return
    test_data, folder = (Path(request.getfixturevalue(name)) for name in ("test_data", "data_folder"))
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / source.name).symlink_to(test_data / REAL[source.name])
