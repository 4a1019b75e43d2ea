"""Initializers: how parameters are filled before training."""

from layerkit.initializers.base import Initializer, fan_in, fan_out
from layerkit.initializers.matrices import LSUV, Eye, Orthogonal, Sparse
from layerkit.initializers.plain import Constant, Normal, Ones, TruncatedNormal, Uniform, Zeros
from layerkit.initializers.scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LeCunNormal,
    LeCunUniform,
)

__all__ = [
    "LSUV",
    "Constant",
    "Eye",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LeCunNormal",
    "LeCunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "Sparse",
    "TruncatedNormal",
    "Uniform",
    "Zeros",
    "fan_in",
    "fan_out",
]
