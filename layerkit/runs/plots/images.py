"""Plots of images: examples, mistakes, and weights of a first layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from layerkit.arrays import Array
from layerkit.data.examples import Dataset, Examples
from layerkit.runs.plots.figures import NotebookFigure, label

MOST = 3
"""At most this many targets of an image are written over it."""


def show_images(dataset: Dataset, examples: Examples, rows: int = 2, columns: int = 5) -> Figure:
    """Plot the first images with their labels, in rows and columns.

    Parameters
    ----------
    dataset : Dataset
        A data set of images, such as ``Data(name="digits").load()`` returns.
    examples : Examples
        The examples to show, such as ``dataset.train``.
    rows, columns : int
        How many images there are, above each other and side by side.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.
    """
    shown, names = examples.t[: rows * columns], dataset.classes
    titles = [
        label(names[t]) if names else ", ".join(f"{number:.4g}" for number in np.ravel(t)[:MOST])
        for t in shown
    ]
    return _images(examples.inputs[: rows * columns], titles, dataset, rows, columns)


def mistakes(
    dataset: Dataset,
    predicted: Array,
    most: int = 24,
    columns: int = 8,
    *,
    probabilities: Array | None = None,
) -> Figure:
    """Plot the first misclassified test images, with their true and their predicted classes.

    Parameters
    ----------
    dataset : Dataset
        A data set of images, such as ``Data(name="digits").load()`` returns.
    predicted : array of int (N,)
        The predicted class numbers of its test examples.
    most : int
        The number of images, at most; it is rounded up to whole rows.
    columns : int
        How many images are side by side.
    probabilities : array (N,), optional
        The probabilities of these predictions, to show how sure the network was of each.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.
    """
    wrong = np.flatnonzero(predicted != dataset.test.t)
    rows = max(1, math.ceil(min(len(wrong), most) / columns))
    shown = wrong[: rows * columns]
    names = [label(name) for name in dataset.classes]
    sure = (
        [""] * len(shown) if probabilities is None else [f"\n{probabilities[i]:.0%}" for i in shown]
    )
    titles = [
        f"{names[dataset.test.t[i]]}\npredicted {names[predicted[i]]}{share}"
        for i, share in zip(shown, sure, strict=True)
    ]
    figure = _images(dataset.test.take(shown).inputs[:], titles, dataset, rows, columns)
    figure.suptitle(f"{len(wrong):,} of {len(predicted):,} test images are misclassified")
    return figure


def _images(x: Array, titles: Sequence[str], dataset: Dataset, rows: int, columns: int) -> Figure:
    figure = NotebookFigure(figsize=(1.5 * columns, 1.8 * rows), layout="constrained")
    brightest = 255 if x.dtype == np.uint8 else 1
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image, title in zip(grid, x, titles, strict=False):
        axes.imshow(image.reshape(dataset.image), cmap="gray", vmin=0, vmax=brightest)
        axes.set_title(title, size=9)
    return figure


def weights(W: Array, image: tuple[int, int], most: int = 64) -> Figure:
    """Plot the weights of each unit of the first layer as an image: what the unit looks for.

    Parameters
    ----------
    W : array (inputs, units)
        The weights of the layer, such as ``net["body.layers.0.W"].value``.
    image : (int, int)
        The height and width of an image; their product is the number of inputs.
    most : int
        The number of units, at most.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.
    """
    units = min(W.shape[1], most)
    columns = math.ceil(math.sqrt(units))
    rows = math.ceil(units / columns)
    height, width = image
    mosaic = np.full((rows, height + 1, columns, width + 1), np.nan)
    for unit in range(units):
        row, column = divmod(unit, columns)
        mosaic[row, :height, column, :width] = W[:, unit].reshape(image)
    largest = float(np.nanmax(np.abs(mosaic)))
    figure = NotebookFigure(figsize=(columns + 1.2, rows + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    whole = mosaic.reshape(rows * (height + 1), columns * (width + 1))
    shown = axes.imshow(whole, cmap="RdBu_r", vmin=-largest, vmax=largest)
    figure.colorbar(shown, ax=axes, shrink=0.6, pad=0.02)
    some = f"the first {units} of {W.shape[1]:,}" if W.shape[1] > units else f"{units}"
    axes.set_title(f"weights of {some} units: red is positive, blue negative")
    return figure
