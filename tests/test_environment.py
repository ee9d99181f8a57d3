"""The settings that a command restarts itself with."""

import json
import os
import subprocess
import sys

import pytest

from convzoo import environment

SCRIPT = """
import json, os, sys
from convzoo import environment
environment.restart()
print(json.dumps([sys.argv[1:], os.environ.get("GLIBC_TUNABLES"), os.environ.get("XLA_FLAGS"), environment.settings()]))
"""


def told(**variables: str) -> list:
    kept = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", "XLA_FLAGS")}
    command = [sys.executable, "-c", SCRIPT, "a b", "--c"]
    done = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")
def test_a_restarted_process_has_them_and_its_arguments():
    arguments, allocator, _, missing = told()
    assert arguments == ["a b", "--c"]
    assert allocator == environment.ALLOCATOR
    assert missing == {}


def test_what_a_user_has_set_stays():
    _, allocator, flags, _ = told(GLIBC_TUNABLES="glibc.malloc.hugetlb=1", XLA_FLAGS="--xla_cpu_enable_fast_math=false")
    assert (allocator, flags) == ("glibc.malloc.hugetlb=1", "--xla_cpu_enable_fast_math=false")


def test_elsewhere_only_the_cache_is_set(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(environment, "CPU", tmp_path / "cpuinfo")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    assert environment.settings() == {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "convzoo" / "jax")}


def test_wide_vectors_only_where_the_processor_has_them(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    for flags, expected in (("fpu avx2 sse", None), ("fpu avx512f avx512dq", environment.VECTORS)):
        (tmp_path / "cpuinfo").write_text(f"flags\t: {flags} \n")
        monkeypatch.setattr(environment, "CPU", tmp_path / "cpuinfo")
        assert environment.settings().get("XLA_FLAGS") == expected
