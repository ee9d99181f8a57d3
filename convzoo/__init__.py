"""One convolution core for images, sounds, volumes, graphs and bytes, in JAX and Flax."""

from convzoo.nn import fold as fold
from convzoo.weights import Recipe as Recipe
from convzoo.zoo import cost as cost
from convzoo.zoo import create as create
from convzoo.zoo import feature_info as feature_info
from convzoo.zoo import list_models as list_models
from convzoo.zoo import load as load
from convzoo.zoo import save as save

__version__ = "0.1.0"
