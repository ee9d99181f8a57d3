"""Datasets and pipelines: four embedded sets of the ten digits, pictures from outside, and batches of them.

    batches = data.load(data.Seen(), batch_size=64, seed=0)
    batches.at(step)                                  # {"input": [64, 8, 8, 1], "label": [64], "mask": [64]}
    for batch in data.load(data.Seen(), "test", batch_size=360).in_order(): ...

Pictures from outside come through the same door: ``data.Folder("photos")``, ``data.FashionMnist()``,
``data.Tfds("cifar10", size=(32, 32))``; those too large for the device are streamed.

A set is prepared once, in ``data.home.folder()``, by a TFDS builder that needs neither TensorFlow nor a network.
"""

from convzoo.data import home as home
from convzoo.data.graphs import Graphs as Graphs
from convzoo.data.home import prepare as prepare
from convzoo.data.ogb import OgbMolecules as OgbMolecules
from convzoo.data.ogb import OgbNodes as OgbNodes
from convzoo.data.pictures import FashionMnist as FashionMnist
from convzoo.data.pictures import Folder as Folder
from convzoo.data.pictures import Pictures as Pictures
from convzoo.data.pictures import Tfds as Tfds
from convzoo.data.pipeline import Batches as Batches
from convzoo.data.pipeline import load as load
from convzoo.data.planetoid import Planetoid as Planetoid
from convzoo.data.sounds import Commands as Commands
from convzoo.data.sounds import Heard as Heard
from convzoo.data.sounds import Recorded as Recorded
from convzoo.data.sounds import Voiced as Voiced
from convzoo.data.sources import Drawn as Drawn
from convzoo.data.sources import Seen as Seen
from convzoo.data.sources import Source as Source
from convzoo.data.sources import Spelled as Spelled
from convzoo.data.stream import Streamed as Streamed
from convzoo.data.strings import Joined as Joined
from convzoo.data.strings import Strings as Strings
from convzoo.data.tudataset import TUDataset as TUDataset
