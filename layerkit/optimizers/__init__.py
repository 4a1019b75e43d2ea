"""Optimizers: a formula over two vectors. One family per file."""

from layerkit.optimizers.adaptive import Adam, RMSProp
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.classic import SGD, Momentum, Nesterov

__all__ = ["SGD", "Adam", "Momentum", "Nesterov", "Optimizer", "RMSProp"]
