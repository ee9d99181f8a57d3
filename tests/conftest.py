"""What every test shares: shapes checked at run time, a kept compilation cache, derandomised hypothesis, fixtures."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import jaxtyping
import pytest

import tests.typecheck

# Before any part of convzoo is imported: every annotated shape and dtype becomes a check.
jaxtyping.install_import_hook("convzoo", f"{tests.typecheck.__name__}.typecheck")

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convzoo" / "jax"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    CACHE.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(CACHE))
    jax.config.update("jax_compilation_cache_max_size", 2 * 2**30)  # bounded, and so locked between workers
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

hypothesis.settings.register_profile("fast", max_examples=25, derandomize=True, deadline=None)
hypothesis.settings.register_profile("slow", max_examples=500, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture
def strict() -> Iterator[None]:
    """No silent dtype promotion (optax's schedules need it, so this cannot be global)."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def x64() -> Iterator[None]:
    """float64 exists."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked() -> Iterator[None]:
    """The run-time shape checks are off, so that an error is the one a user would see."""
    checked = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", checked)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of recordings, graphs and photographs that CONVZOO_TEST_DATA names; its tests skip without it."""
    name = os.environ.get("CONVZOO_TEST_DATA")
    if not name:
        pytest.skip("CONVZOO_TEST_DATA is not set: it names the folder of real recordings, graphs and photographs")
    folder = Path(name).resolve()
    if not folder.is_dir():
        pytest.fail(f"CONVZOO_TEST_DATA={name} is not a folder")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The parity tests' differences; here, because the process that leads workers reads no other conftest."""
    rows: dict[str, dict[str, float]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, *kinds in (row for key, row in report.user_properties if key == "largest differences"):
            found = rows.setdefault(name, {})
            found.update((kind, max(value, found.get(kind, 0.0))) for kind, value in kinds)
    if rows:
        from tests.parity.cases import KINDS  # it imports convzoo, whose shapes are to be checked

        terminalreporter.section("largest differences from the peers, float64, in units of the largest value")
        for name, found in rows.items():
            cells = (f"  {kind} {found[kind]:.1e}" if kind in found else "" for kind in KINDS)
            terminalreporter.write_line(f"{name:32}" + "".join(f"{cell:21}" for cell in cells).rstrip())
