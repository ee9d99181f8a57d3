"""The one training engine: an experiment is a value, a step is a pure function, a run can be stopped and resumed."""

from convzoo.train.checkpoint import CheckpointError as CheckpointError
from convzoo.train.checkpoint import Workdir as Workdir
from convzoo.train.checkpoint import write_atomically as write_atomically
from convzoo.train.evaluation import evaluate as evaluate
from convzoo.train.evaluation import predict as predict
from convzoo.train.experiment import Experiment as Experiment
from convzoo.train.loop import Diverged as Diverged
from convzoo.train.loop import Interrupted as Interrupted
from convzoo.train.loop import fit as fit
from convzoo.train.step import State as State
from convzoo.train.step import compile_update as compile_update
from convzoo.train.step import init as init
from convzoo.train.step import update as update
