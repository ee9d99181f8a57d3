"""Datasets and pipelines: four embedded sets of the ten digits, and batches of them drawn on the device.

    batches = data.load(data.Seen(), batch_size=64, seed=0)
    batches.at(step)                                  # {"input": [64, 8, 8, 1], "label": [64], "mask": [64]}
    for batch in data.load(data.Seen(), "test", batch_size=360).in_order(): ...

A set is prepared once, in ``data.home.folder()``, by a TFDS builder that needs neither TensorFlow nor a network.
"""

from convzoo.data import home as home
from convzoo.data.graphs import Graphs as Graphs
from convzoo.data.home import prepare as prepare
from convzoo.data.pipeline import Batches as Batches
from convzoo.data.pipeline import load as load
from convzoo.data.planetoid import Planetoid as Planetoid
from convzoo.data.sources import Drawn as Drawn
from convzoo.data.sources import Heard as Heard
from convzoo.data.sources import Seen as Seen
from convzoo.data.sources import Source as Source
from convzoo.data.sources import Spelled as Spelled
from convzoo.data.tudataset import TUDataset as TUDataset
