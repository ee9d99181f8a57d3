"""digits_voiced: three more takes of digits_heard, for networks that are to hear people (extra "speech").

Every voice of digits_heard, held out there or not, says every word in every accent once a take, each time at a rate and
a pitch of its own: splits "take1", "take2" and "take3" of 6,960 utterances each. To make them takes a minute.
"""

import tensorflow_datasets as tfds

from convzoo.data import espeak
from convzoo.data.builders import digits_heard
from convzoo.data.builders.digits_heard import ACCENTS, HELD_OUT_ACCENTS, HELD_OUT_VOICES

TAKES = 3
VOICES = (*digits_heard.VOICES, *HELD_OUT_VOICES)


class DigitsVoiced(digits_heard.DigitsHeard):
    """Spoken digits, more of them."""

    VERSION = tfds.core.Version("1.0.0")

    def _planned(self) -> dict[str, list[espeak.Utterance]]:
        accents = (*ACCENTS, *HELD_OUT_ACCENTS)
        return {f"take{take}": digits_heard._plan(VOICES, accents, take) for take in range(1, TAKES + 1)}
