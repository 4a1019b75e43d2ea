"""Losses: the number that training minimizes, for a batch of outputs, and its derivative."""

from layerkit.losses.base import ElementwiseLoss, Loss
from layerkit.losses.binary import BinaryCrossEntropy, Hinge, SquaredHinge
from layerkit.losses.class_variants import Focal, KLDivergence, MultiMargin
from layerkit.losses.classes import SoftmaxCrossEntropy
from layerkit.losses.regression import (
    CosineSimilarity,
    GaussianNLL,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    Quantile,
)

__all__ = [
    "BinaryCrossEntropy",
    "CosineSimilarity",
    "ElementwiseLoss",
    "Focal",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiMargin",
    "Poisson",
    "Quantile",
    "SoftmaxCrossEntropy",
    "SquaredHinge",
]
