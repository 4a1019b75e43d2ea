"""Plots of the columns of a table: how important each is, and what two of them decide."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from layerkit.arrays import Array
from layerkit.columns.kinds import Category, Date
from layerkit.errors import DataError, ShapeError
from layerkit.losses.base import spread
from layerkit.metrics.scoring import estimator_of
from layerkit.network import Network
from layerkit.runs.plots.figures import (
    COLOURS,
    TRAIN,
    NotebookFigure,
    count_thousands,
    label,
    written,
)
from layerkit.runs.plots.numbers import MOST_TARGETS
from layerkit.runs.plots.outputs import class_names, numbers_of, target_names
from layerkit.training.importance import Importances, column_names

MOST_BARS = 30
MOST_POINTS = 500
"""Of more columns the most important ones are drawn, of more points the first ones."""
STEPS = 200
"""Points of the grid along each of two features."""
MARKERS = "osD^vPX*<>"


def importance(found: Importances) -> Figure:
    """Plot the importance of each column as a bar, with its standard deviation over the repeats.

    Parameters
    ----------
    found : Importances
        The result of `layerkit.permutation_importance`.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.
    """
    order = found.order[:MOST_BARS][::-1]
    figure = NotebookFigure(figsize=(6, 1.6 + 0.24 * len(order)), layout="constrained")
    axes = figure.subplots()
    names = [label(found.columns[c], 30) for c in order]
    bars: dict[str, Any] = {"ecolor": "#777777", "capsize": 2, "elinewidth": 1}
    places = range(len(order))
    axes.barh(places, found.mean[order], xerr=found.std[order], color=TRAIN, error_kw=bars)
    axes.set_yticks(places, names)
    axes.axvline(0, color="#777777", linewidth=0.8)
    change, metric = "fall" if found.falls else "rise", label(found.metric)
    axes.set_xlabel(
        f"{change} of the {metric}, {written(found.value)},\nwhen the column is shuffled"
    )
    axes.set_ylim(-0.7, len(order) - 0.3)
    if len(order) < len(found.columns):
        axes.set_ylabel(f"the {len(order)} most important of {len(found.columns):,} columns")
    title = f"{found.examples:,} examples, shuffled {found.worse.shape[1]} times"
    axes.set_title(title, size=10)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.set_axisbelow(True)
    axes.grid(alpha=0.3, axis="x")
    return figure


def boundary(network: Network, x: Any, t: Any, sample_weight: Any = None) -> Figure:
    """Plot what a network of two features predicts for all their values, and the examples.

    Of two classes the probability of class 1, white where it is 0.5; of more, or without
    probabilities, the predicted class; of numbers the prediction, a panel for each target, and the
    true one of each example in the same colours. Examples with a gap are left out.

    Parameters
    ----------
    network : Network
        A network of two features, so of shape (2,).
    x, t : arrays
        Examples and targets, as `layerkit.evaluate` takes them.
    sample_weight : array, optional
        Examples and targets of weight 0 are left out.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.

    Raises
    ------
    ShapeError
        For a network with more or fewer than two features.
    DataError
        For data that don't fit, labels that don't exclude each other, more than ten classes, and
        predictions that are not numbers like the targets.
    DivergenceError
        For predictions that are not finite.
    """
    if network.shape != (2,):
        raise ShapeError(f"the network takes shape {network.shape}; should be (2,), two features")
    rows, targets, a = network.check(x, t, sample_weight)
    points = np.asarray(rows[:], float)
    sides = [_side(points[:, c], _categories(network, c)) for c in (0, 1)]
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    if rows.dtype == np.uint8:
        grid = grid.clip(0, 255).astype(np.uint8)
    estimator: Any = estimator_of(network.loss, network.body.output_shape[-1])
    z, true, points = network.outputs(grid), estimator.true(targets), points[:MOST_POINTS]
    true = true.reshape(len(true), -1)
    counting = spread(np.ones(len(true)) if a is None else a, true.shape) > 0
    true = np.where(counting, true, np.nan)[:MOST_POINTS]
    if network.loss.judges_classes:
        figure = _regions(network, estimator, z, true[:, 0], points, sides)
    else:
        figure = _surfaces(network, numbers_of(network, z, targets), true, points, sides)
    for axes in figure.axes:
        if not axes.get_label():  # not a colour bar
            count_thousands(axes)
            for c, axis in enumerate((axes.xaxis, axes.yaxis)):
                _name(axis, network, c)
    return figure


def _name(axis: Axis, network: Network, c: int) -> None:
    """Write the name of a feature, and those of its categories."""
    table, names = network.inputs.table, _categories(network, c)
    column = table and table.ready()[c]
    since = f": days since {column.origin}" if isinstance(column, Date) else ""
    axis.set_label_text(label(column_names(network)[c]) + since)
    if names:
        places = range(0, len(names), math.ceil(len(names) / MOST_BARS))
        axis.set_ticks(places, [label(names[place], 20) for place in places])
        if c == 0 and sum(map(len, names)) > 40:
            axis.set_tick_params(rotation=90)


def _categories(network: Network, c: int) -> list[str]:
    """Return the names of the categories of a column by their codes, none if it has numbers."""
    column = network.inputs.table and network.inputs.table.ready()[c]
    return ["other", *(column.categories or [])] if isinstance(column, Category) else []


def _side(values: Array, categories: list[str]) -> Array:
    """Return the values of a feature on the grid: a little beyond those that there are."""
    if categories:
        return np.arange(len(categories), dtype=float)
    there = values[~np.isnan(values)]
    low, high = (there.min(), there.max()) if len(there) else (0, 0)
    margin = 0.05 * (high - low) or 1
    return np.linspace(low - margin, high + margin, STEPS)


def _regions(
    network: Network, estimator: Any, z: Array, true: Array, points: Array, sides: list[Array]
) -> Figure:
    """Plot which class is predicted where, and the examples by their true classes."""
    if not estimator.exclusive or estimator.outputs > len(MARKERS):
        raise DataError(
            f"the network has {estimator.outputs} outputs of labels or classes; regions are drawn "
            f"of at most {len(MARKERS)} classes that exclude each other"
        )
    figure = NotebookFigure(figsize=(5.4, 4.6), layout="constrained")
    axes, names = figure.subplots(), class_names(network, estimator.outputs)
    shape = len(sides[1]), len(sides[0])
    if estimator.outputs == 2 and network.loss.has_probabilities:
        p = estimator.predict_proba(z)[:, 1].reshape(shape)
        shades = LinearSegmentedColormap.from_list("", [COLOURS[0], "white", COLOURS[1]])
        drawn = axes.pcolormesh(*sides, p, cmap=shades, vmin=0, vmax=1, alpha=0.6)
        figure.colorbar(drawn, label=f"probability of {names[1]}")
        if min(shape) == STEPS and p.min() < 0.5 < p.max():
            axes.contour(*sides, p, [0.5], colors="black", linewidths=1)
    else:
        classes = estimator.predict(z).reshape(shape)
        colours = ListedColormap(COLOURS[: estimator.outputs])
        last = estimator.outputs - 0.5
        axes.pcolormesh(*sides, classes, cmap=colours, vmin=-0.5, vmax=last, alpha=0.35)
    for k, name in enumerate(names):
        style: dict[str, Any] = {
            "color": COLOURS[k],
            "marker": MARKERS[k],
            "edgecolor": "white",
            "s": 28,
        }
        axes.scatter(*points[true == k].T, **style, linewidth=0.6, label=name)
    figure.legend(loc="outside lower center", ncols=min(estimator.outputs, 3))
    return figure


def _surfaces(
    network: Network, predicted: Array, true: Array, points: Array, sides: list[Array]
) -> Figure:
    """Plot the numbers that are predicted, and the true ones of the examples, by colour."""
    names = target_names(network, predicted.shape[1])[:MOST_TARGETS]
    figure = NotebookFigure(figsize=(5.4, 4.2 * len(names)), layout="constrained")
    shape = len(sides[1]), len(sides[0])
    for d, (name, axes) in enumerate(
        zip(names, figure.subplots(len(names), 1, squeeze=False).flat, strict=True)
    ):
        both = np.concatenate([predicted[:, d], true[:, d]])
        scale: dict[str, Any] = {
            "vmin": np.nanmin(both),
            "vmax": np.nanmax(both),
            "cmap": "viridis",
        }
        drawn = axes.pcolormesh(*sides, predicted[:, d].reshape(shape), **scale)
        axes.scatter(*points.T, c=true[:, d], s=26, edgecolor="white", linewidth=0.7, **scale)
        figure.colorbar(drawn, label=name, format=FuncFormatter(lambda value, _: written(value)))
    return figure
