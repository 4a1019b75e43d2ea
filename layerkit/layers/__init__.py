"""Layers: one array in, one array out. One family per file."""

from layerkit.layers.base import Layer
from layerkit.layers.curves import (
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
from layerkit.layers.dense import Dense
from layerkit.layers.gated import GEGLU, GLU, Bilinear, ReGLU, SwiGLU
from layerkit.layers.learned import APL, PReLU, SReLU
from layerkit.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from layerkit.layers.rectifiers import LeakyReLU, ReLU, ReLU6, RReLU, SquaredReLU, Threshold
from layerkit.layers.regularization import AlphaDropout, Dropout, GaussianNoise
from layerkit.layers.rows import LogSoftmax, Maxout, Softmax, Softmin, Sparsemax
from layerkit.layers.shapes import Embedding, Flatten, Lambda, Reshape
from layerkit.layers.sigmoids import (
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
from layerkit.layers.smooth import CELU, ELU, ISRLU, SELU, LogSigmoid, Softplus, Squareplus
from layerkit.layers.standardize import Standardize
from layerkit.layers.swish import GELU, ELiSH, HardSwish, Mish, SiLU

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
    "Lambda",
    "Layer",
    "LayerNorm",
    "LeCunTanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Maxout",
    "Mish",
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
    "Tanh",
    "TanhShrink",
    "Threshold",
]
