"""Plots of the predictions of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from layerkit.arrays import Array
from layerkit.losses.base import spread
from layerkit.metrics.scoring import judge
from layerkit.network import Network
from layerkit.runs.plots.figures import TEST, TRAIN, NotebookFigure, count_thousands, written
from layerkit.runs.plots.outputs import numbers_of, target_names

MOST_TARGETS = 6
MOST_POINTS = 3000
"""Of more targets, or points, the first ones are drawn."""


def predicted(network: Network, x: Any, t: Any, sample_weight: Any = None) -> Figure:
    """Plot predicted numbers against the true ones, and what they leave over, the residuals.

    In the units of the targets; a row of panels for each target. Points with more weight are
    larger; gaps in the targets, and what has the weight 0, are left out. The errors are those of
    all examples.

    Parameters
    ----------
    network : Network
        The network that predicts the numbers.
    x, t : arrays
        Examples and targets, as `layerkit.evaluate` takes them.
    sample_weight : array, optional
        How much each example counts, or each of its targets.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.

    Raises
    ------
    DataError
        For data that don't fit, and for a loss whose predictions are not numbers like its targets.
    DivergenceError
        For predictions that are not finite.
    """
    rows, targets, a = network.check(x, t, sample_weight)
    _, z, y, a = judge(network.loss, network.outputs(rows), targets, a)
    p, y = numbers_of(network, z, targets), y.reshape(len(z), -1)
    weights = spread(np.ones(len(z)) if a is None else a, y.shape)
    names = target_names(network, y.shape[1])[:MOST_TARGETS]
    figure = NotebookFigure(figsize=(7.2, 3.7 * len(names)), layout="constrained")
    grid = figure.subplots(len(names), 2, squeeze=False)
    for d, (name, (left, right)) in enumerate(zip(names, grid, strict=True)):
        rows = weights[:, d] > 0
        _panels(left, right, name, p[rows, d], y[rows, d], weights[rows, d])
    if y.shape[1] > len(names):
        figure.supxlabel(f"the first {len(names)} of {y.shape[1]:,} targets", size=9)
    return figure


def _panels(left: Axes, right: Axes, name: str, p: Array, y: Array, a: Array) -> None:
    from sklearn.metrics import mean_absolute_error, r2_score

    if not len(y):
        left.set_title(f"no examples with {name}", size=10)
        return
    errors = {"MAE": mean_absolute_error(y, p, sample_weight=a)}
    if len(y) > 1 and y.min() < y.max():
        errors["R²"] = r2_score(y, p, sample_weight=a)
    size = (14 * a / a.mean()).clip(4, 80)[:MOST_POINTS]
    style: dict[str, Any] = {"s": size, "color": TRAIN, "alpha": 0.7, "linewidth": 0}
    left.scatter(y[:MOST_POINTS], p[:MOST_POINTS], **style)
    right.scatter(p[:MOST_POINTS], (y - p)[:MOST_POINTS], **style)
    left.axline((y[0], y[0]), slope=1, color=TEST, linewidth=1)
    right.axhline(0, color=TEST, linewidth=1)
    low, high = min(*left.get_xlim(), *left.get_ylim()), max(*left.get_xlim(), *left.get_ylim())
    left.set(xlabel=f"true {name}", ylabel=f"predicted {name}", xlim=(low, high), ylim=(low, high))
    right.set(xlabel="predicted", ylabel="residual: true - predicted")
    shown = f"{len(y):,} examples"
    if len(y) > MOST_POINTS:
        shown = f"{MOST_POINTS:,} of {shown}"
    left.set_title(", ".join(f"{what} {written(x)}" for what, x in errors.items()), size=10)
    right.set_title(shown, size=10)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        count_thousands(axes)
