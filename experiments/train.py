"""Train what a file in configs/ describes.

    python -m experiments.train CONFIG [--workdir DIR] [--resume] [--steps N] [--seed N] [--model.width N] ...

Every field of the experiment, and of its model, task and data, can be overridden: ``CONFIG --help`` lists them.
"""

import argparse
import ast
import dataclasses
import difflib
import importlib
import pkgutil
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import configs
from convzoo import data, environment, train
from convzoo.train import Experiment, State

PARTS = ("model", "task", "data", "start")
HIDDEN = ("parent", "name")


def run(experiment: Experiment, workdir: Path, *, resume: bool = False, shown: bool = True) -> State:
    """Trains, logging and saving into ``workdir``; resumed, it goes on bit for bit as if it had never stopped."""
    classes, known = getattr(experiment.model, "num_classes", None), len(experiment.data.classes)
    if classes is not None and classes < known:
        raise ValueError(f"the data has {known} classes, the model {classes}: add --model.num_classes {known}")
    folder = train.Workdir(workdir, experiment)
    folder.open(resume=resume)
    batches = data.load(experiment.data, batch_size=experiment.batch_size, seed=experiment.seed)
    test = data.load(experiment.data, "test", batch_size=256)
    state = train.init(experiment, batches.example)
    if resume:
        state = folder.restore(state)
    state, _ = train.fit(
        experiment,
        state,
        batches,
        train.compile_update(experiment),
        workdir=folder,
        evaluate=lambda state: train.evaluate(experiment, state, test.in_order()),
        title=type(experiment.model).__name__,
        shown=shown,
    )
    return state


def names() -> list[str]:
    """The configs."""
    return sorted(module.name for module in pkgutil.iter_modules(configs.__path__))


def config(name: str) -> Experiment:
    """The experiment of a config.

    Raises:
      SystemExit: there is none of that name; the message suggests the nearest.
    """
    if name not in names():
        raise SystemExit(f"there is no config {name!r}; {nearest(name, names())}")
    return importlib.import_module(f"configs.{name}").CONFIG


def nearest(name: str, known: Sequence[str]) -> str:
    """What to tell somebody who typed a wrong name."""
    found = difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean {found[0]!r}?" if found else f"there are: {', '.join(known)}"


def overrides(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """(name, present value) of everything that can be overridden: ``steps``, ``model.width``, ..."""
    for field in dataclasses.fields(experiment):
        value = getattr(experiment, field.name)
        if field.name not in PARTS:
            yield field.name, value
            continue
        if not dataclasses.is_dataclass(value):
            continue
        for inner in dataclasses.fields(value):
            if inner.name not in HIDDEN and isinstance(getattr(value, inner.name), bool | int | float | str | tuple):
                yield f"{field.name}.{inner.name}", getattr(value, inner.name)


def override(experiment: Experiment, changes: dict[str, Any]) -> Experiment:
    """The experiment with fields changed, those of its parts by dotted names."""
    own = {name: value for name, value in changes.items() if "." not in name}
    for part in PARTS:
        inner = {n.removeprefix(f"{part}."): v for n, v in changes.items() if n.startswith(f"{part}.")}
        if inner:
            value = getattr(experiment, part)
            own[part] = value.clone(**inner) if hasattr(value, "clone") else dataclasses.replace(value, **inner)
    return dataclasses.replace(experiment, **own)


def reader(present: Any) -> Callable[[str], Any]:
    """Reads an override of the type of its present value."""

    def read(text: str) -> Any:
        if isinstance(present, str):
            return text
        try:
            value = ast.literal_eval(text.capitalize() if text.lower() in ("true", "false") else text)
        except (ValueError, SyntaxError, TypeError) as error:
            raise argparse.ArgumentTypeError(f"{text!r} is no {type(present).__name__}") from error
        if isinstance(present, float) and type(value) is int:
            value = float(value)
        if isinstance(present, tuple) and type(value) is int:
            value = (value,)
        if kind_of(value) != kind_of(present):
            raise argparse.ArgumentTypeError(f"{text!r} is no {type(present).__name__}, such as {present!r}")
        return value

    return read


def kind_of(value: Any) -> Any:
    """The type of a value, and of what is in a tuple."""
    return (tuple, *{type(each) for each in value}) if isinstance(value, tuple) else type(value)


def parser(experiment: Experiment | None) -> argparse.ArgumentParser:
    listed = "configs:\n" + "\n".join(f"  {name:18} {summary(name)}" for name in names())
    result = argparse.ArgumentParser(
        prog="python -m experiments.train",
        description=__doc__.splitlines()[0] if __doc__ else "",
        epilog=listed,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument("config", metavar="CONFIG", help="a file in configs/, without .py")
    result.add_argument("--workdir", type=Path, metavar="DIR", help="the run's folder (default: runs/CONFIG)")
    result.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    about = "type, and the value in the config" if experiment else "type, and the configs that have it if not all do"
    group = result.add_argument_group("overrides", about)
    given = {"": experiment} if experiment else {name: config(name) for name in names()}
    found: dict[str, tuple[Any, list[str], list[str]]] = {}
    for each, its in given.items():
        for name, value in overrides(its):
            _, having, kinds = found.setdefault(name, (value, [], []))
            having.append(each)
            kinds += [kind for kind in (type(value).__name__,) if kind not in kinds]
    for name, (value, having, kinds) in found.items():
        told = f", {value!r}" if experiment else f" ({', '.join(having)})" if len(having) < len(given) else ""
        help = " or ".join(kinds) + told
        group.add_argument(f"--{name}", type=reader(value), default=argparse.SUPPRESS, metavar="", help=help)
    return result


def summary(name: str) -> str:
    """The first line of a run card."""
    return (importlib.import_module(f"configs.{name}").__doc__ or "").splitlines()[0]


def takes_value(argument: str) -> bool:
    """Whether the next argument belongs to this one."""
    return argument.startswith("--") and "=" not in argument and argument not in ("--resume", "--help")


def parse(arguments: Sequence[str]) -> tuple[Experiment, argparse.Namespace]:
    free = (a for before, a in pairwise(["", *arguments]) if not a.startswith("-") and not takes_value(before))
    named = next(free, None)
    chosen = config(named) if named else None
    if chosen:
        known = [f"--{name}" for name, _ in overrides(chosen)] + ["--workdir", "--resume", "--help", "-h"]
        for given in arguments:
            option = given.split("=")[0]
            if option.startswith("--") and option not in known:
                raise SystemExit(f"{named} has no override {option!r}; {nearest(option, known)}")
    options = parser(chosen).parse_args(arguments)
    assert chosen  # the parser ends where there is no config
    reserved = ("config", "workdir", "resume")
    changes = {name: value for name, value in vars(options).items() if name not in reserved}
    try:
        return override(chosen, changes), options
    except ValueError as error:
        raise SystemExit(f"{named}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    experiment, options = parse(arguments)
    workdir = options.workdir or Path("runs") / options.config
    try:
        state = run(experiment, workdir, resume=options.resume)
    except (train.Interrupted, KeyboardInterrupt) as stopped:
        again = [a for a in arguments if a != "--resume"]
        told = str(stopped) or "stopped before the state could be saved; go on from what was saved before"
        print(f"{told}\n  python -m experiments.train {shlex.join(again)} --resume", file=sys.stderr)
        return 130
    except (train.CheckpointError, train.Diverged, ImportError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"step {int(state.step)}: {workdir / 'metrics.jsonl'}")
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
