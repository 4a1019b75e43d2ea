"""Layers: the parts that networks are made of."""

from layerkit.layers.activations.curves import (
    BentIdentity,
    BinaryStep,
    Gaussian,
    HardShrink,
    Identity,
    Sinc,
    Sinusoid,
    SoftExponential,
    SoftShrink,
    TanhShrink,
)
from layerkit.layers.activations.gated import GEGLU, GLU, Bilinear, ReGLU, SwiGLU
from layerkit.layers.activations.learned import APL, PReLU, SReLU
from layerkit.layers.activations.rectifiers import (
    LeakyReLU,
    ReLU,
    ReLU6,
    RReLU,
    SquaredReLU,
    Threshold,
)
from layerkit.layers.activations.rows import LogSoftmax, Maxout, Softmax, Softmin, Sparsemax
from layerkit.layers.activations.sigmoids import (
    ISRU,
    SQNL,
    ArcTan,
    HardSigmoid,
    HardTanh,
    LeCunTanh,
    Sigmoid,
    SmoothTanh,
    Softsign,
    Tanh,
)
from layerkit.layers.activations.smooth import (
    CELU,
    ELU,
    ISRLU,
    SELU,
    LogSigmoid,
    Softplus,
    Squareplus,
)
from layerkit.layers.activations.swish import GELU, ELiSH, HardSwish, Mish, SiLU
from layerkit.layers.base import Layer
from layerkit.layers.combining import Add, Join, Multiply
from layerkit.layers.dense import Dense
from layerkit.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from layerkit.layers.regularization import AlphaDropout, Dropout, GaussianNoise
from layerkit.layers.shapes import Embedding, Flatten, Lambda, Reshape, Take
from layerkit.layers.standardize import Standardize
from layerkit.layers.table import Table

__all__ = [
    "APL",
    "CELU",
    "ELU",
    "GEGLU",
    "GELU",
    "GLU",
    "ISRLU",
    "ISRU",
    "SELU",
    "SQNL",
    "Add",
    "AlphaDropout",
    "ArcTan",
    "BatchNorm",
    "BentIdentity",
    "Bilinear",
    "BinaryStep",
    "Dense",
    "Dropout",
    "ELiSH",
    "Embedding",
    "Flatten",
    "Gaussian",
    "GaussianNoise",
    "GroupNorm",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "Join",
    "Lambda",
    "Layer",
    "LayerNorm",
    "LeCunTanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "Mish",
    "Multiply",
    "PReLU",
    "RMSNorm",
    "RReLU",
    "ReGLU",
    "ReLU",
    "ReLU6",
    "Reshape",
    "SReLU",
    "SiLU",
    "Sigmoid",
    "Sinc",
    "Sinusoid",
    "SmoothTanh",
    "SoftExponential",
    "SoftShrink",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "Sparsemax",
    "SquaredReLU",
    "Squareplus",
    "Standardize",
    "SwiGLU",
    "Table",
    "Take",
    "Tanh",
    "TanhShrink",
    "Threshold",
]
