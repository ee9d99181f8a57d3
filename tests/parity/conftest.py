"""torch's world as fixtures, so that collecting these tests imports none of it."""

from types import ModuleType

import pytest

from tests.parity import torchvision_cpu


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    return torchvision_cpu.load("torch")


@pytest.fixture(scope="session")
def torchvision(torch: ModuleType) -> ModuleType:
    return torchvision_cpu.load("torchvision")


@pytest.fixture(scope="session")
def timm(torchvision: ModuleType) -> ModuleType:
    return torchvision_cpu.load("timm")
