"""What is predicted: the loss and the metrics, one file a task."""

from convzoo.tasks.classification import Classification as Classification
from convzoo.tasks.tagging import Tagging as Tagging
from convzoo.tasks.transcription import Transcription as Transcription
