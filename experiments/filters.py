"""Draw what a network's first layer has learned of raw sound, beside a mel filterbank.

    python -m experiments.filters digits_recorded_wave --workdir DIR --out docs/hearing_filters.png

DIR is the folder of a run of ``experiments.train`` of that config.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from convzoo.core import audio
from convzoo.explain import hearing
from experiments import export
from experiments.compare import first_filters


def main(arguments: Sequence[str] | None = None) -> int:
    found = export.trained(sys.argv[1:] if arguments is None else arguments, "filters", "FILE.png")
    if isinstance(found, int):
        return found
    experiment, state, out = found
    kernel = np.asarray(first_filters(state.params))
    rate = getattr(experiment.data, "rate", 0)
    if not rate or kernel.ndim != 3 or kernel.shape[1] != 1:
        print(f"the first layer {kernel.shape} does not look at a waveform, [window, 1, filters]", file=sys.stderr)
        return 1
    bank = audio.mel_filterbank(rate, 1024, kernel.shape[2])
    peaks = hearing.filters(Path(out), kernel[:, 0], rate, bank)
    quartiles = ", ".join(f"{hertz:.0f}" for hertz in np.percentile(peaks, [0, 25, 50, 75, 100]))
    print(f"{out}: {len(peaks)} filters, peaks at {quartiles} Hz (least, quartiles, most)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
