"""Plots of a run: learning curves, confusion matrix, weights, and misclassified images."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerkit.arrays import Array
from layerkit.data.datasets import Dataset, Examples
from layerkit.files.atomic import write_atomically
from layerkit.network import Network
from layerkit.progress import Record
from layerkit.training.lr_range import RateRange

TRAIN, TEST = "#0072b2", "#d55e00"
COLOURS = (
    TRAIN,
    TEST,
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#882255",
    "#999999",
    "#999933",
)
MOST_CLASSES = 100
"""Of more classes there is no picture of the confusion matrix: nobody could read it."""
LINES = {"train": (TRAIN, "-o"), "validation": ("#009e73", ":^"), "test": (TEST, "--s")}


class _Figure(Figure):
    """A figure that a notebook shows, also without pyplot."""

    def _repr_png_(self) -> bytes:
        return drawn(self, "png")


def draw_run(
    folder: str | Path, network: Network, dataset: Dataset, records: Sequence[Record]
) -> None:
    """Draw all plots that suit the data, and save them to a run's folder."""
    folder = Path(folder)
    figures = {}
    if records:
        figures["curves"] = curves(records, dataset.classes)
    if dataset.classes:
        predicted = network.loss.predict(network.outputs(dataset.test.inputs)).ravel()
        if len(dataset.classes) <= MOST_CLASSES:
            figures["confusion"] = confusion(dataset, predicted)
        else:
            print(f"No confusion.png of {len(dataset.classes):,} classes: more than {MOST_CLASSES}")
        if dataset.image:
            figures["mistakes"] = mistakes(dataset, predicted)
    if dataset.image:
        figures["examples"] = show_images(dataset, dataset.train)
        for param in network.params().values():
            if len(param.shape) == 2 and param.shape[:1] == network.shape:
                figures["weights"] = weights(param.value, dataset.image)
                break
    for name, figure in figures.items():
        save(figure, folder / f"{name}.png")


def save(figure: Figure, path: str | Path) -> None:
    """Save a picture; FileError if that fails, and what was there before is still there."""
    path = Path(path)
    write_atomically(path, drawn(figure, path.suffix[1:]))


def drawn(figure: Figure, kind: str) -> bytes:
    """Return the file of a picture, such as a "png"."""
    picture = io.BytesIO()
    figure.savefig(picture, format=kind, dpi=120)
    return picture.getvalue()


def curves(records: Sequence[Record], classes: Sequence[str] = ()) -> Figure:
    """Plot the learning curves: loss, accuracy if there are classes, and each of the metrics."""
    epochs = [record.epoch for record in records]
    measured = [record.measured() for record in records]
    panels: dict[str, list[str]] = {"loss": [], "accuracy": []}
    for name in dict.fromkeys(name for metrics in measured for name in metrics):
        what = name.partition("_")[2].partition("_class_")[0]
        panels.setdefault(what, []).append(name)
    panels = {what: names for what, names in panels.items() if names}
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = _Figure(figsize=(4.5 * columns, 3.6 * rows), layout="constrained")
    for number, (what, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        for i, name in enumerate(names):
            part, _, of_class = name.partition("_class_")
            label = part.partition("_")[0]
            colour, line = LINES[label]
            values = [metrics.get(name, math.nan) for metrics in measured]
            if of_class:
                colour = COLOURS[i % len(COLOURS)]
                label = classes[int(of_class)] if classes else f"class {of_class}"
            axes.plot(epochs, values, line, color=colour, markersize=4, label=label)
        axes.set(xlabel="epoch", ylabel=what.replace("_", " "), xlim=(0.5, len(epochs) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def rate_range(found: RateRange) -> Figure:
    """Plot the loss over the learning rates of a range test."""
    figure = _Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(found.rates, found.losses, color=TRAIN, alpha=0.3, label="loss of a batch")
    axes.plot(found.rates, found.smoothed, color=TRAIN, label="smoothed")
    for rate, line, what in (
        (found.steepest, "--", "falls fastest"),
        (found.limit, ":", "diverges"),
    ):
        if rate:
            axes.axvline(rate, color=TEST, linestyle=line, label=f"{what}: {rate:.2g}")
    low, top = min(found.losses), max(found.smoothed)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
    axes.set_ylim(low - 0.05 * (top - low), top + 0.15 * (top - low))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def confusion(dataset: Dataset, predicted: Array) -> Figure:
    """Plot the confusion matrix of the test examples, given their predicted class numbers."""
    n = len(dataset.classes)
    counts = np.zeros((n, n), int)
    np.add.at(counts, (dataset.test.t, predicted), 1)
    size = max(4.0, 1.5 + 0.45 * n)
    figure = _Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    shares = counts / counts.sum(axis=1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, size=8)
    axes.set_xticks(
        range(n), dataset.classes, rotation=90 if max(map(len, dataset.classes)) > 2 else 0
    )
    axes.set_yticks(range(n), dataset.classes)
    axes.set(xlabel="predicted", ylabel="true class", title="test examples")
    return figure


def show_images(dataset: Dataset, examples: Examples, rows: int = 2, columns: int = 5) -> Figure:
    """Plot the first images with their labels, after the tutorial's function of this name."""
    titles = [dataset.classes[t] for t in examples.t[: rows * columns]]
    return _images(examples.inputs[: rows * columns], titles, dataset, rows, columns)


def mistakes(dataset: Dataset, predicted: Array, most: int = 24, columns: int = 8) -> Figure:
    """Plot the first misclassified test images, given the predicted class numbers."""
    wrong = np.flatnonzero(predicted != dataset.test.t)
    rows = max(1, math.ceil(min(len(wrong), most) / columns))
    shown = wrong[: rows * columns]
    titles = [
        f"{dataset.classes[dataset.test.t[i]]}\ntaken for {dataset.classes[predicted[i]]}"
        for i in shown
    ]
    figure = _images(dataset.test.take(shown).inputs[:], titles, dataset, rows, columns)
    figure.suptitle(f"{len(wrong):,} of {len(predicted):,} test images are misclassified")
    return figure


def _images(x: Array, titles: Sequence[str], dataset: Dataset, rows: int, columns: int) -> Figure:
    figure = _Figure(figsize=(1.5 * columns, 1.8 * rows), layout="constrained")
    brightest = 255 if x.dtype == np.uint8 else 1
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, image, title in zip(grid, x, titles, strict=False):
        axes.imshow(image.reshape(dataset.image), cmap="gray", vmin=0, vmax=brightest)
        axes.set_title(title, size=9)
    return figure


def weights(W: Array, image: tuple[int, int], most: int = 64) -> Figure:
    """Plot the weights of each unit of the first layer as an image: what the unit looks for."""
    units = min(W.shape[1], most)
    columns = math.ceil(math.sqrt(units))
    rows = math.ceil(units / columns)
    height, width = image
    mosaic = np.full((rows, height + 1, columns, width + 1), np.nan)
    for unit in range(units):
        row, column = divmod(unit, columns)
        mosaic[row, :height, column, :width] = W[:, unit].reshape(image)
    largest = float(np.nanmax(np.abs(mosaic)))
    figure = _Figure(figsize=(columns, rows + 0.4), layout="constrained")
    axes = figure.subplots()
    axes.axis("off")
    whole = mosaic.reshape(rows * (height + 1), columns * (width + 1))
    axes.imshow(whole, cmap="RdBu_r", vmin=-largest, vmax=largest)
    axes.set_title(f"weights of {units} units: red is positive, blue negative")
    return figure
