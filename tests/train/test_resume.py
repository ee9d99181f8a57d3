"""A run as a process of its own: killed at any moment, or stopped by Ctrl-C, it goes on bit for bit."""

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

from convzoo import data, train
from experiments.train import parse
from tests.once import once
from tests.train.toys import assert_same

ROOT = Path(__file__).parents[2]
RUN = shlex.split(
    "digits_seen --model.depths 1 --model.width 4 --batch_size 16 --steps 30 "
    "--log_every 2 --eval_every 7 --checkpoint_every 3"
)


def process(folder: Path, *more: str) -> subprocess.Popen:
    """``python -m experiments.train`` in ``folder``; it finds what was compiled before."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": jax.config.values["jax_compilation_cache_dir"] or "",
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**31),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    command = [sys.executable, "-m", "experiments.train", *RUN, "--workdir", str(folder), *more]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | cache, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(running: subprocess.Popen) -> tuple[str, str]:
    out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    return out, err


def reached(folder: Path, step: int, running: subprocess.Popen) -> None:
    """Waits until the run has saved ``step`` or a later one."""
    places = folder / "checkpoints"
    while not any(int(p.name) >= step for p in places.glob("[0-9]*")):
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.002)


def final(folder: Path) -> tuple[train.State, str]:
    """The state a run ended with and everything it logged."""
    run, _ = parse([*RUN])
    example = data.load(run.data, batch_size=run.batch_size).example
    place = train.Workdir(folder, run)
    place.open(resume=True)
    logged = place.metrics.read_text()
    assert place.steps()[-1] == run.steps
    return place.restore(train.init(run, example)), logged


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    data.prepare("digits_seen")
    return final(once(tmp_path_factory, "unbroken", lambda folder: finish(process(folder))))


def assert_ended_equal(folder: Path, unbroken: tuple[train.State, str]) -> None:
    state, logged = final(folder)
    assert_same(state, unbroken[0])
    assert logged == unbroken[1]


def kill(running: subprocess.Popen) -> None:
    running.kill()
    running.communicate()
    assert running.returncode == -signal.SIGKILL


def killed_and_resumed(folder: Path, seed: int) -> None:
    """Kills the run twice, at random moments, then lets it end."""
    chance = random.Random(seed)
    first = chance.randrange(0, 12)
    for step in (first, chance.randrange(first + 6, 24)):
        running = process(folder, "--resume")
        reached(folder, step, running)
        time.sleep(chance.uniform(0, 0.15))
        kill(running)
    finish(process(folder, "--resume"))


@pytest.mark.parametrize("seed", [0])
def test_killed_and_resumed_ends_equal(tmp_path, unbroken, seed):
    killed_and_resumed(tmp_path / "run", seed)
    assert_ended_equal(tmp_path / "run", unbroken)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
def test_killed_at_many_moments(tmp_path, unbroken, seed):
    killed_and_resumed(tmp_path / "run", seed)
    assert_ended_equal(tmp_path / "run", unbroken)


def test_ctrl_c_and_the_command_it_prints(tmp_path, unbroken):
    folder = tmp_path / "a run's folder"
    running = process(folder)
    reached(folder, 3, running)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    told, command = err.strip().splitlines()[-2:]
    stopped = max(int(p.name) for p in (folder / "checkpoints").iterdir())
    assert 3 <= stopped < 30
    assert told == f"stopped after step {stopped}: saved at step {stopped} in {folder}; go on with --resume"

    python, *arguments = shlex.split(command)
    assert python == "python"
    again = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert_ended_equal(folder, unbroken)
