"""The embedded sets, and one from a public archive, as TFDS builders.

Importing this package imports tensorflow_datasets, never TensorFlow.
"""

import tensorflow_datasets as tfds

from convzoo.data.builders.digits_drawn import DigitsDrawn
from convzoo.data.builders.digits_heard import DigitsHeard
from convzoo.data.builders.digits_seen import DigitsSeen
from convzoo.data.builders.digits_spelled import DigitsSpelled
from convzoo.data.builders.digits_voiced import DigitsVoiced
from convzoo.data.builders.speech_commands35 import SpeechCommands35

tfds.disable_progress_bar()

BUILDERS = {
    builder.name: builder
    for builder in (DigitsSeen, DigitsDrawn, DigitsHeard, DigitsSpelled, DigitsVoiced, SpeechCommands35)
}
