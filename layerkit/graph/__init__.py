"""Layers made of layers. Only this package knows how values travel between them."""

from layerkit.graph.container import Container
from layerkit.graph.graph import Graph
from layerkit.graph.parallel import Concat, Residual, Sum
from layerkit.graph.sequential import Sequential

__all__ = ["Concat", "Container", "Graph", "Residual", "Sequential", "Sum"]
