"""One data folder for the whole session, however many workers; each set is prepared when first asked for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """CONVZOO_DATA, new and empty at the start of the session; the first worker that needs a set builds it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "convzoo_data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVZOO_DATA", str(folder))
        yield folder
