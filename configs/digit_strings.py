"""Strings of digits, transcribed: a small QuartzNet with CTC on the log-mel spectrogram of joined recordings.

    python -m experiments.train digit_strings

The recordings of the Free Spoken Digit Dataset are in ``fsdd`` in the data folder, or --data.folder DIR. What it learns
is what convzoo listen hears by default.

Source: its 2,400 recordings to train on (official split) and the 4,020 synthetic ones of digits_heard, joined at
random, 0 to 7 digits a string, gaps of up to 0.4 s, silence of up to 2 s after them, noise; tested on 300 strings of
its 300 recordings to test on, with noise of 15 to 45 dB.

Expected: a word error rate under 5 %, not yet run; about 15 min on 2 CPU cores.
"""

from convzoo import data, tasks
from convzoo.models.quartznet import Block, QuartzNet
from convzoo.train import Experiment

CONFIG = Experiment(
    model=QuartzNet(
        blocks=(
            Block(96, 11, stride=2),
            Block(64, 13, 2, residual=True),
            Block(64, 15, 2, residual=True),
            Block(64, 17, 2, residual=True),
            Block(96, 19, dilation=2),
            Block(128, 1),
        ),
        num_classes=11,
    ),
    task=tasks.Transcription(),
    data=data.Strings(),
    batch_size=32,
    steps=3_000,
    eval_every=600,
)
