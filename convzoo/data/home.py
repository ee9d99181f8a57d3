"""Where the prepared sets live, and how one is prepared: once, whole or not at all."""

import contextlib
import fcntl
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from convzoo.extras import need


def folder() -> Path:
    """The folder of prepared sets: ``$CONVZOO_DATA``, ``$XDG_DATA_HOME/convzoo`` or ``~/.local/share/convzoo``."""
    if given := os.environ.get("CONVZOO_DATA"):
        return Path(given).expanduser()
    base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(base).expanduser() / "convzoo"


def prepare(name: str) -> Any:
    """The TFDS builder of the embedded set ``name``, its files made first if they are not there yet.

    The set is built in a hidden folder beside its place and moved there at the end, so an interrupted preparation
    leaves no half-made set behind, and of two processes one builds while the other waits. What comes back reads with
    ``as_data_source``; so does ``tfds.builder(name, data_dir=folder())``.

    Raises:
      ValueError: there is no embedded set of that name.
      ImportError: tensorflow_datasets, or what the set is made with, is not installed; it names the extra.
    """
    need("tensorflow_datasets", extra="data")
    from convzoo.data.builders import BUILDERS

    if name not in BUILDERS:
        raise ValueError(f"no embedded set is called {name!r}; there are {', '.join(BUILDERS)}")
    return _prepare(BUILDERS[name])


def read(name: str, split: str) -> list[dict[str, Any]]:
    """Every stored example of ``split`` of the embedded set ``name``, which is prepared if need be."""
    builder = prepare(name)
    with quiet():
        source = builder.as_data_source(split)
        return [source[index] for index in range(len(source))]


def _prepare(kind: Any) -> Any:
    """``prepare`` for one class of builder."""
    place = folder() / kind.name / str(kind.VERSION)
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder() / f".{kind.name}.lock"):
            if not place.exists():
                _build(kind, place)
    return kind(data_dir=folder(), file_format="array_record")


def _build(kind: Any, place: Path) -> None:
    prefix = f".{kind.name}-"
    for left in folder().glob(prefix + "*"):  # whoever made it was killed: it held the lock that is ours now
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder()) as workshop:
        builder = kind(data_dir=workshop, file_format="array_record")
        given = need("tensorflow_datasets", extra="data").download.DownloadConfig(manual_dir=folder())
        with quiet():
            builder.download_and_prepare(download_config=given)
        Path(builder.data_dir).replace(place)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps back what TFDS prints and logs: that it downloads, though it does not, and that OpenCV would be faster."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds the lock file ``path``; the system lets go of it when the process ends, however it ends."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
