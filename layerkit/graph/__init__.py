"""Containers: layers made of layers. Only they know how values travel between layers."""

from layerkit.graph.branches import Concat, Residual, Sum
from layerkit.graph.container import Container
from layerkit.graph.graph import Graph
from layerkit.graph.sequential import Sequential

__all__ = ["Concat", "Container", "Graph", "Residual", "Sequential", "Sum"]
