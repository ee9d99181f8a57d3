"""torch's world as fixtures, so that collecting these tests imports none of it."""

import warnings
from types import ModuleType

import pytest

from convzoo import extras
from tests.parity import torchvision_cpu


def peer(name: str) -> ModuleType:
    try:
        return torchvision_cpu.load(name)
    except extras.MissingExtra as error:
        pytest.skip(f"{error}; make parity installs it")


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    return peer("torch")


@pytest.fixture(scope="session")
def torchvision(torch: ModuleType) -> ModuleType:
    return peer("torchvision")


@pytest.fixture(scope="session")
def timm(torchvision: ModuleType) -> ModuleType:
    return peer("timm")


@pytest.fixture(scope="session")
def torch_geometric(torch: ModuleType) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it compiles some functions with torch.jit when imported
        return peer("torch_geometric")
