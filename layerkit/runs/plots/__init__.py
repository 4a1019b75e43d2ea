"""Plots of a run: of its training, its predictions, its images."""

from layerkit.runs.plots.classes import confusion
from layerkit.runs.plots.figures import save
from layerkit.runs.plots.images import mistakes, show_images, weights
from layerkit.runs.plots.run import draw_run
from layerkit.runs.plots.training import curves, rate_range

__all__ = [
    "confusion",
    "curves",
    "draw_run",
    "mistakes",
    "rate_range",
    "save",
    "show_images",
    "weights",
]
