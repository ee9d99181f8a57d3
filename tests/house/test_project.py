"""What the project's own files promise: the wheel, the pinned versions, and what no file may mention."""

import itertools
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from convzoo import extras

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
REQUIREMENTS = [*PROJECT["project"]["dependencies"], *itertools.chain.from_iterable(EXTRAS.values())]
# In pieces, or this file would mention them itself.
HOSTS = [f"{name}.org" for name in ("pypi", "pythonhosted", "download.pytorch", "anaconda")]
TEST_DATA = re.compile("[./]/" + "shared/|/work" + "/")


def canonical(requirement: str) -> str:
    """``PyYAML>=6`` and ``array_record[x]==1`` as registries spell them: pyyaml, array-record."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0]).lower()


def texts() -> dict[str, str]:
    """Every text file of the repository, by its path."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a clone: git cannot list the files")
    found = {}
    for name in listed.stdout.splitlines():
        try:
            found[name] = (ROOT / name).read_text()
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return found


def test_the_wheel_holds_convzoo_alone():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["convzoo"]}
    assert (ROOT / "convzoo" / "py.typed").exists()


def test_constraints_pin_everything():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    pinned = [canonical(line) for line in lines]
    assert pinned == sorted(set(pinned))
    assert {canonical(requirement) for requirement in REQUIREMENTS} - {"convzoo"} <= set(pinned)


def test_dependencies_have_lower_bounds_alone():
    bounded = re.compile(r"[\w.-]+(\[\w+\])?>=[\w.]+|convzoo\[[\w,]+\]")
    assert [requirement for requirement in REQUIREMENTS if not bounded.fullmatch(requirement)] == []


def test_no_file_names_a_registry_or_the_test_data():
    for name, text in texts().items():
        assert [host for host in HOSTS if host in text] == [], f"{name} names a registry's host"
        assert name == ".ci/run" or not TEST_DATA.search(text), f"{name} names the folder of test data"


def test_a_missing_package_names_its_extra():
    with pytest.raises(extras.MissingExtra, match=r"needs no_such_package, .*: pip install 'convzoo\[audio\]'"):
        extras.need("no_such_package.inside", extra="audio")
    assert extras.need("json.decoder", extra="audio").__name__ == "json.decoder"


def test_an_error_inside_a_package_is_not_a_missing_extra(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as error:
        extras.need("broken_package", extra="audio")
    assert not isinstance(error.value, extras.MissingExtra)
