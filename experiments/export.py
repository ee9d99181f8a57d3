"""Write what a run has trained as one file of weights, which ``convzoo.load`` reads.

    python -m experiments.export CONFIG --workdir DIR --out FILE.safetensors [the overrides of the run]

The file holds the model beside its arrays; its size and SHA-256 are printed.
"""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import convzoo
from convzoo import data, train
from convzoo.train import Experiment, State
from experiments import train as script


def trained(arguments: Sequence[str], command: str, kind: str) -> tuple[Experiment, State, Path] | int:
    """The experiment that the arguments name, the last state of its run, and where ``--out`` is; or an exit status."""
    arguments = list(arguments)
    if "--out" not in arguments[:-1]:
        print(f"python -m experiments.{command} CONFIG --workdir DIR --out {kind}", file=sys.stderr)
        return 2
    place = arguments.index("--out")
    experiment, options = script.parse(arguments[:place] + arguments[place + 2 :])
    folder = train.Workdir(options.workdir or Path("runs") / options.config, experiment)
    try:
        folder.open(resume=True)
        batches = data.load(experiment.data, batch_size=experiment.batch_size, seed=experiment.seed)
        state = folder.restore(train.init(experiment, batches.example))
        if not int(state.step):
            raise ValueError(f"{folder.path} holds no checkpoint yet")
    except (train.CheckpointError, ImportError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return experiment, state, Path(arguments[place + 1])


def main(arguments: Sequence[str] | None = None) -> int:
    found = trained(sys.argv[1:] if arguments is None else arguments, "export", "FILE.safetensors")
    if isinstance(found, int):
        return found
    experiment, state, out = found
    try:
        convzoo.save(out, experiment.model, {"params": state.params, "batch_stats": state.batch_stats})
    except (ImportError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    told = hashlib.sha256(out.read_bytes()).hexdigest()
    print(f"step {int(state.step)}: {out}, {out.stat().st_size:,} bytes, SHA-256 {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
