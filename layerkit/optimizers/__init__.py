"""Optimizers: rules that change the parameters, given the gradients."""

from layerkit.optimizers.adam import Adam, AdamW
from layerkit.optimizers.adam_variants import Adamax, Adan, AMSGrad, NAdam, RAdam
from layerkit.optimizers.adaptive import Adadelta, AdaGrad, CenteredRMSProp, RMSProp
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.classic import SGD, HeavyBall, Momentum, Nesterov
from layerkit.optimizers.layerwise import LAMB, LARS, Muon
from layerkit.optimizers.lbfgs import LBFGS
from layerkit.optimizers.signs import Lion, Rprop

__all__ = [
    "LAMB",
    "LARS",
    "LBFGS",
    "SGD",
    "AMSGrad",
    "AdaGrad",
    "Adadelta",
    "Adam",
    "AdamW",
    "Adamax",
    "Adan",
    "CenteredRMSProp",
    "HeavyBall",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Nesterov",
    "Optimizer",
    "RAdam",
    "RMSProp",
    "Rprop",
]
