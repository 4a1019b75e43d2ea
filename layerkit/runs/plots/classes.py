"""Plots of the predictions of classes."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from layerkit.arrays import Array
from layerkit.data.datasets import Dataset
from layerkit.runs.plots.figures import NotebookFigure, label


def confusion(dataset: Dataset, predicted: Array) -> Figure:
    """Plot the confusion matrix of the test examples, given their predicted class numbers."""
    n, names = len(dataset.classes), [label(name) for name in dataset.classes]
    counts = np.zeros((n, n), int)
    np.add.at(counts, (dataset.test.t, predicted), 1)
    size = max(4.0, 1.5 + 0.45 * n)
    figure = NotebookFigure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, size=8)
    axes.set_xticks(range(n), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(n), names)
    axes.set(xlabel="predicted", ylabel="true class", title="test examples")
    return figure
