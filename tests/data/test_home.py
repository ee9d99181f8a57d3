"""Preparing: once, whole or not at all, without TensorFlow, and readable by name."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from convzoo import data
from convzoo.data import home

COUNTS = {
    "digits_seen": {"train": 1437, "test": 360},
    "digits_drawn": {"train": 1437, "test": 360},
    "digits_heard": {"train": 4020, "test": 1200, "test_accent": 1340, "test_both": 400},
    "digits_spelled": {"train": 7000, "test": 7000, "rest": 56000},
}
# A process that prepares digits_seen, and stops for good after ten examples if it is told to.
SCRIPT = """
import sys, time
from convzoo.data import home
from convzoo.data.builders import BUILDERS

kind = BUILDERS["digits_seen"]
generate = kind._generate_examples

def slowly(self, *args):
    for index, example in enumerate(generate(self, *args)):
        if index == 10:
            print("stopped", file=sys.__stdout__, flush=True)
            time.sleep(600)
        yield example

if "stop" in sys.argv:
    kind._generate_examples = slowly
print(home.prepare("digits_seen").info.splits["train"].num_examples)
"""


def start(folder: Path, *args: str) -> subprocess.Popen:
    environment = os.environ | {"CONVZOO_DATA": str(folder)}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *args]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("CONVZOO_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", COUNTS)
def test_prepares_and_reads_back_by_name(name, data_folder, capfd):
    builder = data.prepare(name)
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == COUNTS[name]
    assert capfd.readouterr() == ("", ""), "preparing says nothing"
    tfds: Any = importlib.import_module("tensorflow_datasets")
    source = tfds.builder(name, data_dir=data_folder).as_data_source("train")
    assert len(source) == COUNTS[name]["train"]
    assert 0 <= source[len(source) - 1]["label"] < 10
    assert "tensorflow" not in sys.modules


def test_reads_where_the_builder_is_unknown(data_folder):
    data.prepare("digits_drawn")
    code = f"""
        import tensorflow_datasets as tfds
        source = tfds.builder("digits_drawn", data_dir={str(data_folder)!r}).as_data_source("test[:50%]")
        print(len(source), source[0]["nodes"].shape[1])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["180", "3"]


def test_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("CONVZOO_DATA", str(tmp_path))
    assert home.folder() == tmp_path
    monkeypatch.delenv("CONVZOO_DATA")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home.folder() == tmp_path / "convzoo"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert home.folder() == Path.home() / ".local" / "share" / "convzoo"


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match=r"no embedded set is called 'digits'; there are digits_seen, "):
        data.prepare("digits")


def test_a_failing_preparation_leaves_nothing(empty, monkeypatch):
    from convzoo.data.builders import BUILDERS

    def fail(self, pictures, labels):
        yield 0, next(iter(generate(self, pictures, labels)))[1]
        raise RuntimeError("the disk is full")

    generate: Any = BUILDERS["digits_seen"]._generate_examples
    with monkeypatch.context() as patch:
        patch.setattr(BUILDERS["digits_seen"], "_generate_examples", fail)
        with pytest.raises(RuntimeError, match="the disk is full"):
            data.prepare("digits_seen")
    assert [path.name for path in empty.rglob("*") if not path.name.endswith(".lock")] == ["digits_seen"]
    assert data.prepare("digits_seen").info.splits["train"].num_examples == 1437


def test_a_killed_preparation_leaves_nothing_half_made(empty):
    with start(empty, "stop") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        process.send_signal(signal.SIGKILL)
    assert list(empty.glob(".digits_seen-*")), "it was killed while it wrote"
    assert not list(empty.glob("digits_seen/*"))
    assert data.prepare("digits_seen").info.splits["test"].num_examples == 360
    assert not list(empty.glob(".digits_seen-*")), "what the killed process left is gone"


def test_two_processes_at_once_prepare_once(empty):
    processes = [start(empty) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["1437\n", "1437\n"]
    assert [path.name for path in empty.glob("digits_seen/*")] == ["1.0.0"]


def test_a_prepared_set_is_not_prepared_again(data_folder):
    place = Path(data.prepare("digits_seen").data_dir)
    assert place == data_folder / "digits_seen" / "1.0.0"
    before = place.stat().st_mtime_ns
    time.sleep(0.01)
    data.prepare("digits_seen")
    assert place.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("digits_seen", "tensorflow_datasets", "data"),
        ("digits_seen", "sklearn.datasets", "data"),
        ("digits_heard", "espeakng_loader", "speech"),
        ("digits_spelled", "num2words", "spelled"),
    ],
)
def test_a_missing_package_names_its_extra(name, module, extra, empty, monkeypatch):
    import convzoo.data.builders  # noqa: F401  what follows is the lack of one module alone

    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"convzoo\[{extra}\]"):
        data.prepare(name)
    assert not list(empty.glob(f"{name}/*"))
