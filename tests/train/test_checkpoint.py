"""A run's folder: what goes in comes out to the bit, and what is not in order is told and left as it is."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from convzoo import train
from convzoo.train.checkpoint import KEPT
from tests.train.toys import NORMED, SOUNDS, Toy, assert_same, contents, experiment

RUN = experiment()


def state(step: int = 0) -> train.State:
    """A state of two arrays, which differ by step."""
    return train.State(
        jnp.int32(step), {"a": jnp.arange(4.0) + step}, {"mean": jnp.full(2, step / 3)}, (), jax.random.key(1)
    )


@pytest.fixture
def folder(tmp_path):
    folder = train.Workdir(tmp_path / "run", RUN)
    folder.open(resume=False)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A finished run's folder, with checkpoints at 3 and 6; not to be changed."""
    folder = train.Workdir(tmp_path_factory.mktemp("saved") / "run", RUN)
    folder.open(resume=False)
    for step in (3, 6):
        folder.log(step, {"loss": 1 / step})
        folder.save(state(step))
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    """A copy of it, to be damaged."""
    shutil.copytree(saved.path, tmp_path / "run")
    return train.Workdir(tmp_path / "run", RUN)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Toy(), {}),
        (Toy(param_dtype="bfloat16"), {"optimizer": "sgd"}),
        (NORMED, {"data": SOUNDS, "dtype": "bfloat16"}),
    ],
    ids=["adamw", "half-precision parameters", "norms"],
)
def test_what_is_saved_comes_back(tmp_path, model, fields):
    run = experiment(model, **fields)
    batch = run.data.at(0)
    folder, update = train.Workdir(tmp_path, run), train.compile_update(run)
    folder.open(resume=False)
    now, _ = update(train.init(run, batch), batch)
    folder.save(now)
    back = folder.restore(train.init(run, batch, seed=9))
    assert jax.tree.structure(back) == jax.tree.structure(now)
    assert_same(back, now)
    assert_same(update(back, run.data.at(1)), update(now, run.data.at(1)))


def test_nothing_saved_is_the_start(folder):
    assert folder.steps() == []
    assert_same(folder.restore(state()), state())


def test_the_newest_stay(folder):
    for step in (2, 4, 6, 8):
        folder.save(state(step))
    assert KEPT == 2
    assert folder.steps() == [6, 8]
    assert_same(folder.restore(state()), state(8))


def test_a_checkpoint_is_never_written_over(folder):
    place = folder.save(state(4))
    before = contents(place)
    assert folder.save(state(4)._replace(params={"a": jnp.zeros(4)})) == place
    assert contents(place) == before


def test_what_was_logged_later_is_forgotten(folder):
    folder.save(state(4))
    for step in (2, 4, 6):
        folder.log(step, {"loss": 0.5})
    with folder.metrics.open("ab") as file:
        file.write(b'{"step": 8, "lo\xff')
    folder.restore(state())
    assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [2, 4]


def test_what_was_logged_before_any_checkpoint_is_forgotten(folder):
    folder.log(2, {"loss": 0.5})
    folder.restore(state())
    assert folder.metrics.read_text() == ""


# --- whose folder it is ---------------------------------------------------------------------------------------------


def refused(path: Path, told: str, *, resume: bool, run: train.Experiment = RUN) -> None:
    """Opening (and restoring) fails, saying ``told``, and changes not one byte."""
    before = contents(path) if path.is_dir() else path.read_bytes()

    def use():
        folder = train.Workdir(path, run)
        folder.open(resume=resume)
        folder.restore(state())

    with pytest.raises(train.CheckpointError, match=told):
        use()
    assert (contents(path) if path.is_dir() else path.read_bytes()) == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_new_or_empty_folder_is_taken(tmp_path, resume):
    for path in (tmp_path / "a" / "b", tmp_path / "c"):
        (tmp_path / "c").mkdir(exist_ok=True)
        train.Workdir(path, RUN).open(resume=resume)
        assert json.loads((path / "experiment.json").read_text()) == RUN.identity()


def test_a_run_goes_on_only_with_resume(saved):
    refused(saved.path, r"already holds this run: add --resume, or choose another --workdir", resume=False)
    before = contents(saved.path)
    saved.open(resume=True)
    assert_same(saved.restore(state()), state(6))
    assert contents(saved.path) == before


def test_a_run_that_saved_nothing_may_start_again(folder):
    folder.open(resume=False)
    folder.log(1, {"loss": 1.0})
    refused(folder.path, "add --resume", resume=False)


@pytest.mark.parametrize("resume", [False, True])
def test_another_experiments_folder_is_refused(saved, resume):
    told = r"another experiment \(learning_rate: 0.003 there, 0.1 here; seed: 0 there, 4 here\); choose another"
    refused(saved.path, told, resume=resume, run=experiment(seed=4, learning_rate=0.1))


def test_reporting_more_often_is_the_same_run(saved):
    train.Workdir(saved.path, experiment(log_every=1, checkpoint_every=7)).open(resume=True)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("made", ["a file in it", "a hidden file in it", "a folder in it", "checkpoints", "a file"])
def test_a_folder_that_is_no_runs_is_refused(tmp_path, made, resume):
    path = tmp_path / "mine"
    if made == "a file":
        path.write_text("precious")
    else:
        path.mkdir()
        inside = path / {"a hidden file in it": ".notes"}.get(made, made)
        inside.mkdir() if made in ("a folder in it", "checkpoints") else inside.write_text("precious")
    refused(path, "mine exists and is no run's folder; choose another --workdir", resume=resume)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "7", "null", "\x00\x01", b"\xff\xfe"], ids=repr)
@pytest.mark.parametrize("resume", [False, True])
def test_a_garbled_card_is_told(copy, text, resume):
    card = copy.path / "experiment.json"
    card.write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(copy.path, r"experiment.json cannot be read \(.+\); choose another --workdir", resume=resume)


def test_a_missing_card_is_told(copy):
    (copy.path / "experiment.json").unlink()
    refused(copy.path, "is no run's folder", resume=True)


# --- damage ---------------------------------------------------------------------------------------------------------


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbled(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [truncated, emptied, garbled, Path.unlink], ids=lambda damage: damage.__name__)
def test_every_damaged_file_is_found(copy, damage):
    place = copy.place(6)
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    assert len(files) > 5
    for path in files:
        kept = path.read_bytes()
        damage(path)
        told = r"has no readable manifest|is damaged: \S+ changed or missing" if path.parent == place else path.name
        refused(copy.path, f"00000006 .*({told}).*nothing was changed; remove {place} to resume", resume=True)
        path.write_bytes(kept)
    assert_same(copy.restore(state()), state(6))


@pytest.mark.parametrize("text", ["[]", "{}", "3", '["x"]', '{"d/1": 5}'])
def test_a_manifest_that_says_nothing_is_found(copy, text):
    (copy.place(6) / "manifest.json").write_text(text)
    refused(copy.path, "00000006 (has no readable manifest|is damaged)", resume=True)


def test_a_missing_state_is_found(copy):
    shutil.rmtree(copy.place(6) / "state")
    refused(copy.path, "00000006 is damaged", resume=True)


def test_the_remedy_works(copy):
    truncated(next(path for path in copy.place(6).rglob("*") if path.is_file()))
    shutil.rmtree(copy.place(6))
    copy.open(resume=True)
    assert_same(copy.restore(state()), state(3))
    assert [json.loads(line)["step"] for line in copy.metrics.read_text().splitlines()] == [3]
    copy.save(state(6))
    assert_same(copy.restore(state()), state(6))


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (
            {"b": jnp.zeros(4)},
            r"params/a: float32\[4\] there, nothing here; params/b: nothing there, float32\[4\] here",
        ),
        ({"a": jnp.zeros(5)}, r"params/a: float32\[4\] there, float32\[5\] here"),
        ({"a": jnp.zeros(4, jnp.bfloat16)}, r"params/a: float32\[4\] there, bfloat16\[4\] here"),
        ({}, r"params/a: float32\[4\] there, nothing here"),
    ],
    ids=["renamed", "reshaped", "other dtype", "less"],
)
def test_a_state_of_another_form_is_told(saved, params, told):
    before = contents(saved.path)
    with pytest.raises(train.CheckpointError, match=rf"00000006 does not fit this experiment's state \({told}\)"):
        saved.restore(state()._replace(params=params))
    assert contents(saved.path) == before


def test_leftovers_of_a_killed_save_are_ignored(copy):
    """Killed while saving step 9 (half of orbax's files there), and while letting go of step 3."""
    half = copy.path / "checkpoints" / ".building"
    shutil.copytree(copy.place(6), half)
    (half / "manifest.json").unlink()
    (half / "state" / "manifest.ocdbt").unlink()
    (copy.place(3) / "manifest.json").unlink()
    (copy.path / ".metrics.jsonl.building").write_text('{"step')
    copy.open(resume=True)
    assert copy.steps() == [3, 6]
    assert_same(copy.restore(state()), state(6))
    copy.save(state(9))
    assert copy.steps() == [6, 9]
    assert not half.exists()
    assert_same(copy.restore(state()), state(9))


def test_leftovers_of_a_run_killed_as_it_began_are_ignored(tmp_path):
    (tmp_path / ".experiment.json.building").write_text('{"mod')
    train.Workdir(tmp_path, RUN).open(resume=False)
    assert [path.name for path in tmp_path.iterdir()] == ["experiment.json"]


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    train.write_atomically(path, "old")
    monkeypatch.setattr("os.fsync", lambda number: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        train.write_atomically(path, "new")
    assert path.read_text() == "old"
