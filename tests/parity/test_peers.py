"""The peers load beside a CPU torch, and in the versions that constraints.txt pins."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.parity
PINNED = dict(
    line.split("==") for line in (Path(__file__).parents[2] / "constraints.txt").read_text().split() if "==" in line
)


@pytest.mark.parametrize("name", ["torch", "torchvision", "timm", "torch_geometric"])
def test_versions_are_the_pinned_ones(name, request):
    assert request.getfixturevalue(name).__version__.split("+")[0] == PINNED[name]


def test_torchvision_and_timm_compute(torch, torchvision, timm):
    x = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        assert torchvision.models.alexnet().eval()(x).shape == (1, 1000)
        assert timm.create_model("resnet18", num_classes=10).eval()(x).shape == (1, 10)
