"""Plots of a training run: learning curves, and the losses of a range test."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from layerkit.progress import Record
from layerkit.runs.plots.figures import COLOURS, TEST, TRAIN, NotebookFigure, label
from layerkit.training.lr_range import RateRange

LINES = {"train": (TRAIN, "-o"), "validation": ("#009e73", ":^"), "test": (TEST, "--s")}


def curves(records: Sequence[Record], classes: Sequence[str] = ()) -> Figure:
    """Plot the learning curves: loss, accuracy if there are classes, and each of the metrics.

    Parameters
    ----------
    records : sequence of Record
        The records of all epochs, as `layerkit.fit` returns them.
    classes : sequence of str
        The names of the classes, for metrics of each class.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy, fit
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> records = fit(net, SGD(lr=1.0), [[-1.0], [1.0]], [0, 1], epochs=3)
    >>> [axes.get_ylabel() for axes in curves(records).axes]
    ['loss', 'accuracy']
    """
    epochs = [record.epoch for record in records]
    measured = [record.measured() for record in records]
    panels: dict[str, list[str]] = {"loss": [], "accuracy": []}
    for name in dict.fromkeys(name for metrics in measured for name in metrics):
        what = name.partition("_")[2].partition("_class_")[0]
        panels.setdefault(what, []).append(name)
    panels = {what: names for what, names in panels.items() if names}
    columns = min(len(panels), 3)
    rows = math.ceil(len(panels) / columns)
    figure = NotebookFigure(figsize=(4.5 * columns, 3.6 * rows), layout="constrained")
    for number, (what, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, number)
        for i, name in enumerate(names):
            part, _, of_class = name.partition("_class_")
            shown = part.partition("_")[0]
            colour, line = LINES[shown]
            values = [metrics.get(name, math.nan) for metrics in measured]
            if of_class:
                colour = COLOURS[i % len(COLOURS)]
                shown = label(of_class if of_class in classes else f"class {of_class}")
            axes.plot(epochs, values, line, color=colour, markersize=4, label=shown)
        axes.set(
            xlabel="epoch", ylabel=label(what.replace("_", " ")), xlim=(0.5, len(epochs) + 0.5)
        )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def rate_range(found: RateRange) -> Figure:
    """Plot the loss over the learning rates of a range test.

    Parameters
    ----------
    found : RateRange
        The result of `layerkit.training.lr_range.lr_range`.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.
    """
    figure = NotebookFigure(figsize=(6, 3.6), layout="constrained")
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
