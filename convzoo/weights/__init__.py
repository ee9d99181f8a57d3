"""Other people's checkpoints onto our trees, and back."""

from convzoo.weights.families import FAMILIES as FAMILIES
from convzoo.weights.files import read as read
from convzoo.weights.files import write as write
from convzoo.weights.pickles import Damaged as Damaged
from convzoo.weights.pickles import Refused as Refused
from convzoo.weights.recipe import Label as Label
from convzoo.weights.recipe import Recipe as Recipe
from convzoo.weights.sources import PACKAGES as PACKAGES
from convzoo.weights.sources import find as find
from convzoo.weights.tables import Mismatch as Mismatch
from convzoo.weights.tables import from_peer as from_peer
from convzoo.weights.tables import renamed as renamed
from convzoo.weights.tables import to_peer as to_peer
