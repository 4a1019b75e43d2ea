"""layerkit: neural networks as layers, in NumPy."""

from layerkit.config import Configurable, Decay, Rate, Size, from_config, to_config
from layerkit.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    FileError,
    LayerkitError,
    ShapeError,
)
from layerkit.graph import Sequential
from layerkit.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LeCunNormal,
    LeCunUniform,
    Ones,
    Zeros,
)
from layerkit.layers import Dense, Layer, ReLU, Sigmoid
from layerkit.losses import Loss, SoftmaxCrossEntropy
from layerkit.network import Network
from layerkit.optimizers import SGD, Adam, Momentum, Nesterov, Optimizer, RMSProp
from layerkit.parameters import Arena, Array, Param, Shape
from layerkit.training import Record, Training, evaluate, fit, train

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Adam",
    "Arena",
    "Array",
    "ConfigError",
    "Configurable",
    "Constant",
    "DataError",
    "Decay",
    "Dense",
    "DivergenceError",
    "FileError",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "Layer",
    "LayerkitError",
    "LeCunNormal",
    "LeCunUniform",
    "Loss",
    "Momentum",
    "Nesterov",
    "Network",
    "Ones",
    "Optimizer",
    "Param",
    "RMSProp",
    "Rate",
    "ReLU",
    "Record",
    "Sequential",
    "Shape",
    "ShapeError",
    "Sigmoid",
    "Size",
    "SoftmaxCrossEntropy",
    "Training",
    "Zeros",
    "evaluate",
    "fit",
    "from_config",
    "to_config",
    "train",
]
