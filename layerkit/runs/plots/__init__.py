"""Plots of a run: of its training, its predictions, its images."""

from layerkit.runs.plots.classes import calibration, confusion, roc
from layerkit.runs.plots.columns import boundary, importance
from layerkit.runs.plots.figures import save
from layerkit.runs.plots.images import mistakes, show_images, weights
from layerkit.runs.plots.numbers import predicted
from layerkit.runs.plots.run import draw_run
from layerkit.runs.plots.training import curves, rate_range

__all__ = [
    "boundary",
    "calibration",
    "confusion",
    "curves",
    "draw_run",
    "importance",
    "mistakes",
    "predicted",
    "rate_range",
    "roc",
    "save",
    "show_images",
    "weights",
]
