"""Other people's checkpoints onto our trees, and back."""

from convzoo.weights.families import FAMILIES as FAMILIES
from convzoo.weights.tables import Mismatch as Mismatch
from convzoo.weights.tables import from_peer as from_peer
from convzoo.weights.tables import renamed as renamed
from convzoo.weights.tables import to_peer as to_peer
