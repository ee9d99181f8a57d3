"""Small stand-ins for sets that come from outside: made of noise, in the real sets' form."""

import gzip
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convzoo.data import home
from convzoo.data.sounds import SPEAKERS


def write_folder(folder: Path, counts: dict[str, int], classes: tuple[str, ...] = ("dark", "light")) -> Path:
    """Class folders of pictures; a class's level of grey tells it."""
    random = np.random.default_rng(0)
    for split, count in counts.items():
        for label, name in enumerate(classes):
            (folder / split / name).mkdir(parents=True)
            low, high = (255 * end // len(classes) for end in (label, label + 1))
            for index in range(count):
                values = random.integers(low, high, (20, 24, 3), np.uint8)
                Image.fromarray(values).save(folder / split / name / f"{index}.png")
    return folder


def write_fashion(folder: Path, examples: int = 20) -> Path:
    """The four files of Fashion-MNIST, labels 0 to 9 in turn, every picture of class n grey at 10 n."""
    folder.mkdir(exist_ok=True, parents=True)
    labels = (np.arange(examples) % 10).astype(np.uint8)
    pictures = np.broadcast_to(labels[:, None, None] * 10, (examples, 28, 28)).astype(np.uint8)
    for split in ("train", "t10k"):
        for part, values in (("images-idx3", pictures), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
            path = folder / f"{split}-{part}-ubyte.gz"
            path.write_bytes(gzip.compress(head + values.tobytes()))
    return folder


def write_recordings(folder: Path, indices: tuple[int, ...] = (0, 1, 10, 11)) -> Path:
    """Recordings in the form of the Free Spoken Digit Dataset; a digit is a tone, a speaker its loudness."""
    folder.mkdir(exist_ok=True, parents=True)
    random = np.random.default_rng(0)
    for digit in range(10):
        for number, speaker in enumerate(SPEAKERS):
            for index in indices:
                time = np.arange(random.integers(2000, 4000)) / 8000
                tone = np.sin(2 * np.pi * (300 + 150 * digit) * time) / (number + 2)
                tone += 0.01 * random.normal(size=len(time))
                write_sound(folder / f"{digit}_{speaker}_{index}.wav", tone / 2, 8000)
    return folder


def few_takes(folder: Path) -> None:
    """digits_voiced of one voice in the data folder, where all of them would take a minute to speak."""
    from convzoo.data.builders import digits_voiced

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVZOO_DATA", str(folder))
        patch.setattr(digits_voiced, "VOICES", ("m1",))
        home.prepare("digits_voiced")


def write_commands(folder: Path, words: tuple[str, ...]) -> Path:
    """The folder of the Speech Commands archive: of each word four recordings, one for validation and one to test."""
    random = np.random.default_rng(0)
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for word in words:
        (folder / word).mkdir(parents=True)
        for index, name in enumerate(("validation_list.txt", "testing_list.txt", "", "")):
            file = f"{word}/{index:08x}_nohash_0.wav"
            write_sound(folder / file, 0.1 * random.normal(size=random.integers(9000, 16001)), 16_000)
            lists.get(name, []).append(file)
    (folder / "_background_noise_").mkdir()
    write_sound(folder / "_background_noise_" / "pink_noise.wav", 0.1 * random.normal(size=20_000), 16_000)
    for name, files in lists.items():
        (folder / name).write_text("".join(f"{file}\n" for file in files))
    return folder


def write_sound(path: Path, samples: np.ndarray, rate: int) -> None:
    """A 16-bit wav file, without soundfile."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
