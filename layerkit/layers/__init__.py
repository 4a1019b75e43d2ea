"""Layers: one array in, one array out. One family per file."""

from layerkit.layers.activations import ReLU, Sigmoid
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense

__all__ = ["Dense", "Layer", "ReLU", "Sigmoid"]
