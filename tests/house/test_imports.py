"""The floors of the house: imports point down, never sideways, and importing convzoo is light."""

import ast
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "convzoo"
FLOORS = {
    "core": 0,
    "environment": 0,
    "nn": 1,
    "models": 2,
    "weights": 3,
    "data": 3,
    "tasks": 3,
    "train": 3,
    "explain": 3,
    "zoo": 4,
    "apps": 5,
    "web": 6,
    "cli": 7,
    "__init__": 8,
    "__main__": 8,
}
LEAF = "extras"  # imports nothing of convzoo; everything but the core may import it
CORE_MAY_IMPORT = {"jax", "numpy", "jaxtyping", "convzoo"} | sys.stdlib_module_names
MODULE_SYSTEMS = ("flax.linen", "flax.nnx", "flax.experimental")
ON_DEMAND = ("tensorflow", "tensorflow_datasets", "librosa", "jraph", "matplotlib", "gradio", "torch")
FILES = sorted(PACKAGE.rglob("*.py"))


def modules(source: str, path: Path) -> Iterator[str]:
    """Every module that ``source`` at ``path`` imports, anywhere in it: ``from a import b`` counts as ``a.b``."""
    package = ".".join(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room(module: str) -> str:
    """The room that ``convzoo.x.y`` lies in; what is no room (``convzoo``, ``convzoo.create``) is the roof."""
    name = [*module.split("."), ""][1]
    return name if name in FLOORS or name == LEAF else "__init__"


def faults(source: str, path: Path) -> list[str]:
    """What the imports of ``source`` break, were it the file at ``path``."""
    home = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    found = []
    for module in modules(source, path):
        top = module.split(".")[0]
        if home == "core" and top not in CORE_MAY_IMPORT:
            found.append(f"core imports {module}; it may import jax, numpy and jaxtyping alone")
        elif home not in ("nn", "models") and (module == "flax" or f"{module}.".startswith(MODULE_SYSTEMS)):
            found.append(f"{home} imports {module}; flax's module system belongs to nn and models")
        if top in ("experiments", "configs", "tests"):
            found.append(f"{home} imports {module}, which the wheel does not hold")
        if top != "convzoo" or room(module) == home:
            continue
        if home == LEAF or (room(module) == LEAF and home == "core"):
            found.append(f"{home} imports {module}; it may import nothing of convzoo outside itself")
        elif room(module) != LEAF and FLOORS[room(module)] >= FLOORS[home]:
            found.append(f"{home} (floor {FLOORS[home]}) imports {module} (floor {FLOORS[room(module)]}): not below it")
    return found


def test_every_file_is_in_a_room():
    homes = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert homes <= {*FLOORS, LEAF}, f"give {sorted(homes - {*FLOORS, LEAF})} a floor in FLOORS"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    assert faults(path.read_text(), path) == []


@pytest.mark.parametrize(
    ("file", "source", "complaint"),
    [
        ("core/conv.py", "import flax", "core imports flax; it may import jax"),
        ("core/conv.py", "from convzoo.extras import need", "core imports convzoo.extras.need"),
        ("core/conv.py", "from ..nn import layers", "core (floor 0) imports convzoo.nn.layers (floor 1): not below it"),
        ("nn/layers.py", "import convzoo", "nn (floor 1) imports convzoo (floor 8): not below it"),
        ("nn/layers.py", "from convzoo import create", "nn (floor 1) imports convzoo.create (floor 8): not below it"),
        (
            "data/seen.py",
            "def f():\n    import convzoo.train.loop",
            "data (floor 3) imports convzoo.train.loop (floor 3)",
        ),
        ("train/loop.py", "from flax import linen as nn", "train imports flax.linen; flax's module system"),
        ("train/loop.py", "import flax.nnx", "train imports flax.nnx; flax's module system"),
        ("zoo.py", "from configs import mnist", "zoo imports configs.mnist, which the wheel does not hold"),
        ("extras.py", "from convzoo import core", "extras imports convzoo.core; it may import nothing of convzoo"),
        ("core/conv.py", "from convzoo.core import lowering\nfrom . import shapes\nimport math, jax.numpy", None),
        ("train/loop.py", "import flax.serialization, optax\nfrom convzoo import core, extras, models, nn", None),
        ("models/resnet.py", "import flax.linen as nn\nfrom convzoo.nn import Conv", None),
        ("__init__.py", "from convzoo.zoo import create\nfrom convzoo import core, train", None),
    ],
)
def test_the_rule_sees(file, source, complaint):
    found = faults(source, PACKAGE / file)
    assert [fault[: len(complaint)] for fault in found] == [complaint] if complaint else found == []


MEASURE = f"""
import json, sys, time
import jax, jax.numpy, flax, flax.linen
start = time.perf_counter()
import convzoo
seconds = time.perf_counter() - start
print(json.dumps([seconds, [name for name in {ON_DEMAND} if name in sys.modules]]))
"""


def test_importing_convzoo_is_light():
    runs = [subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, capture_output=True, text=True) for _ in range(3)]
    assert not any(run.returncode for run in runs), runs[0].stderr
    seconds, imported = zip(*(json.loads(run.stdout) for run in runs), strict=True)
    assert imported == ([], [], [])
    assert min(seconds) < 0.5, f"import convzoo adds {min(seconds):.2f} s to importing jax and flax"
