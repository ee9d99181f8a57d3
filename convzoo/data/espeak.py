"""Speech without a microphone: eSpeak NG through ctypes, from the wheel espeakng-loader (GPL-3, extra "speech").

    utterances [(text, voice, rate, pitch), ...] -> int16 samples at 22,050 Hz, about 2 ms each

What eSpeak NG says depends on what it said before, so ``speak`` hands a whole set to one fresh process, in the given
order: this file run as a script. eSpeak NG also accepts an unknown variant (``en+nobody``) without a word: ``check``.
"""

import ctypes
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RATE = 22_050  # samples per second
_SYNCHRONOUS, _UTF8, _SPEED, _PITCH = 2, 1, 1, 3  # speak_lib.h


class Utterance(NamedTuple):
    """A text, a voice (``"en-us+f3"``: accent + variant), words per minute (80 to 450) and pitch (0 to 100)."""

    text: str
    voice: str
    rate: int = 175
    pitch: int = 50


def variants(loader: Any | None = None) -> tuple[str, ...]:
    """The names of eSpeak NG's voice variants, sorted."""
    return tuple(sorted(path.name for path in Path(_loader(loader).get_data_path(), "voices", "!v").iterdir()))


def check(voices: set[str], loader: Any | None = None) -> None:
    """Raises ValueError naming every voice of ``voices`` whose variant eSpeak NG does not have."""
    known = variants(loader)
    if unknown := sorted(voice for voice in voices if "+" in voice and voice.split("+", 1)[1] not in known):
        raise ValueError(f"eSpeak NG has no variant for {', '.join(unknown)}; it has {', '.join(known)}")


def speak(utterances: list[Utterance]) -> list[np.ndarray]:
    """Speaks every utterance in order in one fresh process: int16 samples at ``RATE``, one array each.

    Raises:
      ValueError: a voice's variant or accent is unknown.
      ImportError: espeakng-loader is not installed.
    """
    check({utterance.voice for utterance in utterances})
    command = [sys.executable, "-P", __file__]
    done = subprocess.run(command, input=json.dumps(utterances).encode(), capture_output=True, check=False)
    if done.returncode:
        raise ValueError(f"eSpeak NG failed: {done.stderr.decode(errors='replace').strip()}")
    pack = np.load(io.BytesIO(done.stdout))
    return np.split(pack["samples"], np.cumsum(pack["lengths"])[:-1])


def _loader(loader: Any | None) -> Any:
    if loader is None:
        from convzoo.extras import need  # not at the top: the fresh process runs this file alone

        loader = need("espeakng_loader", extra="speech")
    return loader


def _speak_here(utterances: list[Utterance]) -> list[np.ndarray]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    library.espeak_Synth.argtypes = [ctypes.c_char_p, ctypes.c_size_t, *[ctypes.c_uint] * 4, *[ctypes.c_void_p] * 2]
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    assert rate == RATE, rate
    pieces: list[np.ndarray] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def keep(samples, count, events):
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    library.espeak_SetSynthCallback(keep)
    sounds = []
    for text, voice, speed, pitch in utterances:
        if library.espeak_SetVoiceByName(voice.encode()):
            raise SystemExit(f"no voice {voice!r}")
        library.espeak_SetParameter(_SPEED, speed, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        pieces.clear()
        data = text.encode()
        library.espeak_Synth(data, len(data) + 1, 0, 0, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        sounds.append(np.concatenate(pieces))
    return sounds


if __name__ == "__main__":
    _sounds = _speak_here([Utterance(*row) for row in json.load(sys.stdin)])
    _file = io.BytesIO()
    np.savez(_file, samples=np.concatenate(_sounds), lengths=[len(sound) for sound in _sounds])
    sys.stdout.buffer.write(_file.getvalue())
