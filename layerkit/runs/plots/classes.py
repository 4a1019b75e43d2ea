"""Plots of the predictions of classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from layerkit.arrays import Array
from layerkit.data.examples import Dataset
from layerkit.errors import DataError
from layerkit.losses.base import spread
from layerkit.network import Network
from layerkit.runs.plots.figures import COLOURS, GUIDE, TRAIN, NotebookFigure, label
from layerkit.runs.plots.outputs import class_names, judged, target_names

MOST_CURVES = 8
"""Of more classes, those with the smallest areas under their ROC curves are drawn."""
DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))
BINS = 10
"""The number of bins of predicted probabilities."""


def confusion(dataset: Dataset, predicted: Array) -> Figure:
    """Plot the confusion matrix of the test examples.

    Parameters
    ----------
    dataset : Dataset
        The data set, such as ``Data(name="digits").load()`` returns.
    predicted : array of int (N,)
        The predicted class numbers of its test examples.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.
    """
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
    axes.set(xlabel="predicted", ylabel="true class", title="confusion matrix, test examples")
    return figure


class _Binary(NamedTuple):
    """One class against the rest, or one label: its scores, whether they are right, weights."""

    name: str
    score: Array
    true: Array
    weight: Array

    @property
    def share(self) -> float:
        return float(np.average(self.true, weights=self.weight)) if len(self.true) else 0.0


def _each_class(network: Network, x: Any, t: Any, sample_weight: Any) -> list[_Binary]:
    """Return class 1 of two, each of more classes, or each label."""
    loss = network.loss
    if not loss.judges_classes:
        raise DataError(f"{type(loss).__name__} judges numbers; a ROC curve is one of classes")
    estimator: Any
    estimator, z, y, a = judged(network, x, t, sample_weight)
    names, scores, true = (
        target_names(network, estimator.outputs),
        estimator.decision_function(z),
        y,
    )
    if estimator.exclusive:
        names, true = class_names(network, estimator.outputs), y[:, None] == estimator.classes_
        if estimator.outputs == 2:
            names, scores, true = names[1:], scores[:, None], true[:, 1:]
        elif loss.has_probabilities:  # only they can be compared between examples
            scores = estimator.predict_proba(z)
    weights = spread(np.ones(len(z)) if a is None else a, true.shape)
    each = []
    for k, name in enumerate(names):
        rows = weights[:, k] > 0
        each.append(_Binary(name, scores[rows, k], true[rows, k], weights[rows, k]))
    return each


def roc(network: Network, x: Any, t: Any, sample_weight: Any = None) -> Figure:
    """Plot the ROC curve, and precision against recall, for all thresholds.

    Of class 1 if there are two classes, else of each class against the rest, or of each label. Of
    more than eight, the eight with the smallest AUC are drawn, and those that do not occur are left
    out. AUC is the area under the ROC curve, AP the average precision. Guessing has the AUC 0.5,
    and as AP the share of the class, which is the dotted line.

    Parameters
    ----------
    network : Network
        The network that tells the classes apart.
    x, t : arrays
        Examples and targets, as `layerkit.evaluate` takes them.
    sample_weight : array, optional
        How much each example counts.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.

    Raises
    ------
    DataError
        For data that don't fit, for a loss of numbers, and where all examples are of one class.
    """
    from sklearn import metrics

    found = [
        (metrics.roc_auc_score(one.true, one.score, sample_weight=one.weight), one)
        for one in _each_class(network, x, t, sample_weight)
        if 0 < one.share < 1
    ]
    if not found:
        raise DataError("a ROC curve needs examples of a class, and of others")
    least = sorted(auc for auc, _ in found)[:MOST_CURVES][-1]
    drawn = [(auc, one) for auc, one in found if auc <= least][:MOST_CURVES]
    figure = NotebookFigure(figsize=(7.2, 4.2 + 0.26 * len(drawn)), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], **GUIDE)
    for i, (auc, one) in enumerate(drawn):
        precision = metrics.average_precision_score(one.true, one.score, sample_weight=one.weight)
        colour = COLOURS[i]
        style: dict[str, Any] = {"color": colour, "linestyle": DASHES[i % len(DASHES)]}
        x_roc, y_roc, _ = metrics.roc_curve(one.true, one.score, sample_weight=one.weight)
        y_pr, x_pr, _ = metrics.precision_recall_curve(
            one.true, one.score, sample_weight=one.weight
        )
        text = f"{one.name}: AUC {auc:.3f}, AP {precision:.3f} (share {one.share:.3f})"
        left.plot(x_roc, y_roc, **style, label=text)
        right.plot(x_pr, y_pr, **style, drawstyle="steps-post")
        right.axhline(one.share, **GUIDE | {"color": colour})
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    right.set(xlabel="recall", ylabel="precision", title="precision and recall")
    for axes in (left, right):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.grid(alpha=0.3)
    some = f"the {len(drawn)} of {len(found)} classes with the smallest AUC"
    figure.legend(loc="outside lower center", title=some if len(drawn) < len(found) else None)
    return figure


def calibration(network: Network, x: Any, t: Any, sample_weight: Any = None) -> Figure:
    """Plot how often a network is right for each probability that it predicts.

    The probability of class 1 if there are two classes, of the predicted class if there are more,
    and those of all labels that don't exclude each other. They are cut into ten bins of equal
    width, as by scikit-learn's ``calibration_curve``; here weights count. A larger
    point is of more examples; below is how much those of each bin weigh.

    Parameters
    ----------
    network : Network
        The network whose probabilities are judged.
    x, t : arrays
        Examples and targets, as `layerkit.evaluate` takes them.
    sample_weight : array, optional
        How much each example counts.

    Returns
    -------
    matplotlib Figure
        A notebook shows it, and `save` writes it to a file.

    Raises
    ------
    DataError
        For data that don't fit, and for a loss without probabilities.
    """
    network.loss.predict_proba(np.zeros((1, *network.body.output_shape)))  # refuses without any
    estimator: Any
    estimator, z, y, a = judged(network, x, t, sample_weight)
    p = estimator.predict_proba(z)
    weights = np.ones(len(p)) if a is None else a
    if not estimator.exclusive:
        of, share = "probability of a label", "share of the labels that are true"
        p, y, weights = p.ravel(), y.ravel(), spread(weights, y.shape).ravel()
    elif estimator.outputs == 2:
        name = class_names(network, 2)[1]
        of, share, p = f"probability of {name}", f"share that is {name}", p[:, 1]
    else:
        of, share = "probability of the predicted class", "accuracy"
        p, y = p.max(axis=1), y == p.argmax(axis=1)
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], p)
    total, mean, right = (np.bincount(bins, weights * v, BINS) for v in (np.ones(len(p)), p, y))
    some = total > 0
    figure = NotebookFigure(figsize=(5, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], **GUIDE, label="perfect")
    points = mean[some] / total[some], right[some] / total[some]
    above.plot(*points, color=TRAIN, label="network")
    above.scatter(*points, s=12 + 150 * total[some] / total.sum(), color=TRAIN)
    score = np.average((p - y) ** 2, weights=weights)
    above.set(ylabel=share, title=f"Brier score {score:.3f}", ylim=(-0.03, 1.03))
    below.bar((np.arange(BINS) + 0.5) / BINS, total, width=0.9 / BINS, color=TRAIN)
    below.set(xlabel=of, ylabel="examples", xlim=(-0.03, 1.03))
    above.grid(alpha=0.3)
    above.legend()
    return figure
