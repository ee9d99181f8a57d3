"""Word error rates of the network that comes along, or of another one, on strings of test recordings.

    python -m experiments.transcribe [--weights FILE] [--folder FSDD] [--width 8] [--strings 100]

Greedy decoding and a beam, by jiwer; then every test recording alone, as ``convzoo listen`` hears it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from convzoo import data, environment, tasks
from convzoo.apps import listen
from convzoo.data.sounds import TESTED
from convzoo.data.sources import WORDS
from convzoo.extras import need
from convzoo.tasks import transcription
from convzoo.tasks.transcription import NONE
from convzoo.train.step import inputs


def spoken(string: Sequence[int]) -> str:
    return " ".join(WORDS[word] for word in string if word != NONE)


def strings(found: listen.Listener, source: data.Strings, width: int) -> Iterator[tuple[str, str, str]]:
    """(said, heard by greedy decoding, heard by a beam) of every string of the test."""
    task = tasks.Transcription()

    @jax.jit
    def run(batch):
        args, named = inputs(batch)
        logits, _ = found.model.apply(found.variables, *args, train=False, **named)
        length = transcription.lengths(logits, batch)
        return transcription.greedy(logits, length), task.predict(logits), length

    for batch in data.load(source, "test", batch_size=50).in_order():
        greedy, chances, length = map(np.asarray, run(batch))
        for row in np.flatnonzero(batch["mask"]):
            ((best, _), *_) = transcription.beam(chances[row, : length[row]], width)
            yield spoken(batch["label"][row].tolist()), spoken(greedy[row].tolist()), spoken(best)


def alone(found: listen.Listener, folder: Path) -> tuple[int, int]:
    """(right, all) of the test recordings, each a file of its own."""
    files = [path for path in sorted(folder.glob("*.wav")) if int(path.stem.split("_")[2]) < TESTED]
    heard = listen.listen(found._replace(voice=None, pitch=None), files)
    told = [" ".join(word.word for word in each.words) == WORDS[int(each.file.stem[0])] for each in heard]
    return sum(told), len(told)


def main(arguments: Sequence[str] | None = None) -> int:
    prog = "python -m experiments.transcribe"
    parser = argparse.ArgumentParser(prog=prog, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, metavar="FILE", help="left out: the network that comes along")
    parser.add_argument("--folder", default="fsdd", metavar="FSDD", help="the recordings (fsdd in the data folder)")
    parser.add_argument("--width", type=int, default=8, metavar="N", help="of the beam (8)")
    parser.add_argument("--strings", type=int, default=100, metavar="N", help="of each of the three lengths (100)")
    options = parser.parse_args(arguments)
    try:
        jiwer = need("jiwer", extra="dev")
        found = listen.listener(options.weights)
        source = data.Strings("recorded", folder=options.folder, tested=options.strings)
        rows = [row for row in strings(found, source, options.width) if row[0]]
        said, greedy, beam = map(list, zip(*rows, strict=True))
        for name, heard in (("greedy", greedy), (f"beam of {options.width}", beam)):
            print(f"word error rate, {name}: {jiwer.wer(said, heard):.2%} of {sum(len(s.split()) for s in said)} words")
        right, every = alone(found, data.home.folder() / Path(options.folder).expanduser())
        print(f"recordings alone: {right} of {every} right, {right / every:.2%}")
    except (ImportError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    environment.restart()
    sys.exit(main())
