"""Linen shells: they name and initialise parameters, then call ``convzoo.core``."""

from convzoo.nn.blocks import Basic as Basic
from convzoo.nn.blocks import Bottleneck as Bottleneck
from convzoo.nn.blocks import ConvNeXtBlock as ConvNeXtBlock
from convzoo.nn.blocks import GatedBlock as GatedBlock
from convzoo.nn.blocks import GraphBlock as GraphBlock
from convzoo.nn.blocks import InvertedResidual as InvertedResidual
from convzoo.nn.blocks import SeparableBlock as SeparableBlock
from convzoo.nn.fold import fold as fold
from convzoo.nn.layers import ACTIVATIONS as ACTIVATIONS
from convzoo.nn.layers import BatchNorm as BatchNorm
from convzoo.nn.layers import Conv as Conv
from convzoo.nn.layers import ConvNorm as ConvNorm
from convzoo.nn.layers import Dense as Dense
from convzoo.nn.layers import GlobalResponseNorm as GlobalResponseNorm
from convzoo.nn.layers import GraphConvNorm as GraphConvNorm
from convzoo.nn.layers import LayerNorm as LayerNorm
from convzoo.nn.layers import LayerScale as LayerScale
from convzoo.nn.layers import Lstm as Lstm
from convzoo.nn.layers import SqueezeExcite as SqueezeExcite
from convzoo.nn.model import Model as Model
from convzoo.nn.streaming import Streaming as Streaming
