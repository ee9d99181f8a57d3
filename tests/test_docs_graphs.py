"""What docs/graphs.md shows is what comes out."""

import doctest
from pathlib import Path


def test_the_python_in_the_page_prints_what_it_says():
    page = Path(__file__).parents[1] / "docs" / "graphs.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried >= 8
    assert not failed
