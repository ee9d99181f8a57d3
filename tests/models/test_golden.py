"""Networks against the figures that their peers gave at the same weights; ``make parity`` writes them, with torch."""

import pytest

from tests.parity import cases


@pytest.mark.parametrize("name", cases.CASES)
def test_gives_the_peers_figures(name):
    found = cases.figures(cases.ours(cases.CASES[name]))
    cases.check(cases.apart(found, cases.golden(name)))


def test_every_file_is_used():
    assert {path.stem for path in cases.GOLDEN.iterdir()} == set(cases.CASES)
