"""Ten digits, learned from synthetic voices alone and tested on people: a 2-D residual network on log-mel spectrograms.

    python -m experiments.train digits_voiced

The recordings of the Free Spoken Digit Dataset are in ``fsdd`` in the data folder, or --data.folder DIR.

Source: to train on, 27,840 utterances of eSpeak NG, all voices and accents of digits_heard four times; to test on, the
300 recordings of the official test split of the Free Spoken Digit Dataset (CC BY-SA 4.0).

Expected: 80 %.
Measured: 76.00 %, and 74.00 % of all 2,700 recordings, with seed 0, the only one that was run; 10 min and more on 2 CPU
cores that had other work (2026-11-23, jax 0.10.2; python -m experiments.hearing).
"""

import dataclasses

from configs import digits_recorded
from convzoo import data

CONFIG = dataclasses.replace(
    digits_recorded.CONFIG,
    model=digits_recorded.CONFIG.model.clone(width=40, window=3, stem="pooled", ranks=(2,)),
    data=data.Voiced(),
    steps=4_200,
    eval_every=1_050,
)
