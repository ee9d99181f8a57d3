"""Networks against the figures that their peers gave at the same weights; ``make parity`` writes them, with torch.

Every family and every kind of block is held to its peer; its variants, which differ in a field, are slow tests.
"""

import pytest

from tests.parity import cases

VARIANTS = (
    "vgg",
    "vgg_large",
    "resnet_basic_stride16",
    "resnet_bottleneck_stride8",
    "wide_resnet",
    "mobilenetv2_stride8",
    "tf_mobilenetv3",
    "efficientnet_stride8",
    "efficientnet_lite",
    "convnext_stride8",
)


def marked(name: str):
    return pytest.param(name, marks=pytest.mark.slow) if name in VARIANTS else name


@pytest.mark.parametrize("name", [marked(name) for name in cases.CASES])
def test_gives_the_peers_figures(name):
    found = cases.figures(cases.ours(cases.CASES[name]))
    cases.check(cases.apart(found, cases.golden(name)))


def test_every_file_is_used():
    assert {path.stem for path in cases.GOLDEN.iterdir()} == set(cases.CASES)
