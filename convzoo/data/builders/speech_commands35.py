"""speech_commands35: Speech Commands v2, all of its 35 words (Warden 2018, arXiv:1804.03209, CC BY 4.0), 16 kHz.

It is made of the folder that the public archive speech_commands_v0.02.tar.gz holds, unpacked (or linked) as
``speech_commands`` in the data folder:

    speech_commands/WORD/SPEAKER_nohash_N.wav
    speech_commands/validation_list.txt, testing_list.txt     WORD/SPEAKER_nohash_N.wav, one a line

    train 84,843 recordings, validation 9,981, test 11,005 in the whole archive

A file that is in neither list is for training; folders that begin with an underscore (background noise) are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from convzoo.data import recordings

FOLDER = "speech_commands"
RATE = 16_000
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
WORDS = (
    "backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go", "happy",
    "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven", "sheila", "six", "stop",
    "three", "tree", "two", "up", "visual", "wow", "yes", "zero",
)  # fmt: skip


class SpeechCommands35(tfds.core.GeneratorBasedBuilder):
    """Spoken words."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"Unpack speech_commands_v0.02.tar.gz into {FOLDER}/ in the data folder."

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            description="Speech Commands v2, 35 words, from the public archive's folder.",
            homepage="https://arxiv.org/abs/1804.03209",
            features=tfds.features.FeaturesDict(
                {
                    "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
                    "speaker": tfds.features.Text(),
                    "label": tfds.features.ClassLabel(names=list(WORDS)),
                }
            ),
        )

    def _split_generators(self, dl_manager):
        folder = Path(dl_manager.manual_dir) / FOLDER
        return {split: self._generate_examples(folder, files) for split, files in listed(folder).items()}

    def _generate_examples(self, folder: Path, files: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        for name in files:
            word, file = name.split("/")
            samples = recordings.read(folder / name, RATE)
            told = {"speaker": file.split("_nohash_")[0], "label": WORDS.index(word)}
            yield name, {"audio": recordings.as_16_bit(samples), **told}


def listed(folder: Path) -> dict[str, list[str]]:
    """{split: files}, sorted.

    Raises:
      FileNotFoundError: the folder or a list is not there.
      ValueError: there is no recording for a split, a list names files that are not there, or a word is unknown; all of
        them are told at once.
    """
    missing = [str(path) for path in (folder, *(folder / name for name in LISTS.values())) if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)} not found: unpack speech_commands_v0.02.tar.gz into {folder}, or link it there"
        )
    there = {f"{path.parent.name}/{path.name}" for path in folder.glob("[!_]*/*.wav")}
    found = {split: sorted(set((folder / name).read_text().split())) for split, name in LISTS.items()}
    found = {"train": sorted(there - set().union(*found.values())), **found}
    lost = [name for split in LISTS for name in found[split] if name not in there]
    strange = sorted({name.split("/")[0] for name in there} - set(WORDS))
    empty = [split for split, files in found.items() if not files]
    if lost or strange or empty:
        told = [f"{len(lost)} listed files are not there ({', '.join(lost[:5])})"] * bool(lost)
        told += [f"unknown words {', '.join(strange)}"] * bool(strange)
        told += [f"no recordings for {', '.join(empty)}"] * bool(empty)
        raise ValueError(f"{folder} is not as the archive is: {'; '.join(told)}")
    return found
