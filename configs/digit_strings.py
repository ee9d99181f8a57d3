"""Strings of digits, transcribed: a small QuartzNet with CTC on the log-mel spectrogram of joined recordings.

    python -m experiments.train digit_strings

The recordings of the Free Spoken Digit Dataset are in ``fsdd`` in the data folder, or --data.folder DIR. What it learns
is what convzoo listen hears by default.

Source: its 2,400 recordings to train on (official split) and the 4,020 synthetic ones of digits_heard, joined at
random, 0 to 7 digits a string, gaps of 0.02 to 0.4 s, noise; tested on 300 strings of its 300 recordings to test on,
with noise of 15 to 45 dB.

Expected: a word error rate under 5 %.
Measured: 2.17 % of 1,059 words, greedy, one seed, 93 % of the strings without a fault; 12 min on 2 CPU cores that were
busy with other work too (2026-11-23, jax 0.10.2). convzoo/apps/digits.safetensors is this run's last state, written by
python -m experiments.export digit_strings --out FILE; SHA-256
7ff8aeb0921d9148eedb8952bd06ec923360128c2f9fd00549772af7ca423150.
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
