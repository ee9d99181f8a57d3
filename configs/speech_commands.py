"""Speech Commands v2, 35 words: MatchboxNet 3x2x64 on 64 log-mels at 16 kHz.

    python -m experiments.train speech_commands

The archive speech_commands_v0.02.tar.gz goes into ``speech_commands`` in the data folder; its recordings take 3.4 GB of
memory on the device. The paper has 64 MFCCs, NovoGrad and 200 epochs; here are the log-mels they are made of and AdamW.

Source: Majumdar & Ginsburg 2020, arXiv:2004.08531: 84,843 recordings to train on, 11,005 to test on.

Expected: 97.3 % (the paper's). Not yet run; all 200 epochs would take 11 h on 2 CPU cores, by the 0.29 s that a
step takes on noise.
"""

from convzoo import data, tasks
from convzoo.models.quartznet import MATCHBOXNET_3X2X64
from convzoo.train import Experiment

CONFIG = Experiment(
    model=MATCHBOXNET_3X2X64,
    task=tasks.Classification(label_smoothing=0.1),
    data=data.Commands(),
    batch_size=128,
    steps=132_400,
    weight_decay=0.001,
    eval_every=6_620,
)
