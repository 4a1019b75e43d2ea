"""What a training has achieved: accuracy, loss and other figures, and the record of an epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from layerkit.errors import DivergenceError
from layerkit.inspection.watch import first_not_finite
from layerkit.losses.base import mean_loss, spread
from layerkit.metrics.metrics import Metric, measure
from layerkit.network import Network
from layerkit.training.batches import Source, open_source

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, repr=False)
class Record:
    """What an epoch achieved, measured after it; nan is what was not measured.

    `seconds` counts from the start of the training, not of the epoch, and includes these
    measurements. Losses are
    means per example, in the unit of the loss; accuracies are shares from 0 to 1. `metrics` are
    further figures, of the validation set if there is one, else of the test set.

    Examples
    --------
    >>> print(Record(1, 0.7, 0.95, 0.16, 0.95, 0.17))
    Epoch 1: 0.70s, train acc=0.95, train loss=0.16, test acc=0.95, test loss=0.17
    """

    epoch: int
    seconds: float
    train_accuracy: float = math.nan
    train_loss: float = math.nan
    test_accuracy: float = math.nan
    test_loss: float = math.nan
    validation_accuracy: float = math.nan
    validation_loss: float = math.nan
    metrics: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, float]:
        """What belongs in a table: all fields but those that are nan, and the metrics."""
        names = [f"{part}_{what}" for part in PARTS for what in ("accuracy", "loss")]
        measured = {name: x for name in names if not math.isnan(x := getattr(self, name))}
        return {"epoch": self.epoch, "seconds": self.seconds} | measured | self.metrics

    def figures(self) -> dict[str, float]:
        """What was measured, by name, as ``{"train_loss": 0.16, …}``."""
        row = self.row()
        return {name: x for name in list(row)[2:] if not math.isnan(x := row[name])}

    def __repr__(self) -> str:
        known = [*self.row(), *(["metrics"] if self.metrics else [])]
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name in known]
        return f"Record({', '.join(shown)})"

    def __str__(self) -> str:
        known = [
            f"{name.replace('_', ' ').replace('accuracy', 'acc')}={_short(x)}"
            for name, x in self.figures().items()
        ]
        return f"Epoch {self.epoch}: {self.seconds:.2f}s, {', '.join(known)}"


def _short(x: float) -> str:
    """Two decimals, and more where the difference from 0 or from 1 is what matters."""
    if 0.99 < x < 1:
        return f"{x:.4f}"
    return f"{x:.2f}" if 0.01 <= abs(x) < 1e6 or not x else f"{x:.2g}"


def evaluate(
    network: Network, x: Any, t: Any = None, sample_weight: Any = None
) -> tuple[float, float]:
    """Return accuracy and loss, means over all examples; numbers have no accuracy, but nan.

    Parameters
    ----------
    network : Network
    x, t : arrays
        Examples and targets, or for `x` an iterable of batches, as `train` takes them.
    sample_weight : array, optional
        How much each example counts in the means (N,).

    Raises
    ------
    ConfigError, DataError, ShapeError
        As `Network.gradient`.
    DivergenceError
        When the loss is not finite.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> net.arena.values[:] = [-1, 1, 0, 0]
    >>> accuracy, loss = evaluate(net, [[5.0], [-5.0], [1.0], [0.0]], [1, 0, 0, 0])
    >>> accuracy, round(loss, 4)
    (0.75, 0.705)
    """
    network.check_adapted()
    figures = measure_source(network, open_source(network, x, t, sample_weight))
    return figures.get("accuracy", math.nan), figures["loss"]


def measure_source(
    network: Network, source: Source, metrics: Sequence[Metric] = ()
) -> dict[str, float]:
    """Return loss, accuracy if there are classes, and `metrics`, of all that a source has."""
    outputs, targets, weights, weighted = [], [], [], False
    summed = total = right = judged = 0.0
    loss = copy.copy(network.loss)  # which keeps what it sees: several threads may measure at once
    loss.build(network.body.output_shape)
    with np.errstate(all="ignore"):
        for x, t, a, _ in source.chunks():
            batch = network.convert(x)
            z = network.body.forward(batch, train=False)
            if loss.judges_classes:
                hits = loss.hits(z, t)
                counting = np.where(np.isnan(hits), 0, 1 if a is None else spread(a, hits.shape))
                right += float(np.nansum(hits * counting))
                judged += float(counting.sum())
            more, weight = loss.forward(z, t, a)
            summed += more
            total += weight
            if metrics:
                outputs.append(z.copy())
                targets.append(t)
                weights.append(spread(np.ones(len(t)) if a is None else a, z.shape[:-1]))
                weighted = weighted or a is not None
            if not math.isfinite(summed):
                raise DivergenceError(
                    f"the loss is not finite; {first_not_finite(network, batch)}. "
                    "Try a smaller learning rate, or scale the examples"
                )
    figures = {"accuracy": right / judged if judged else math.nan} if loss.judges_classes else {}
    figures["loss"] = mean_loss(summed, total)
    if metrics:
        z, t = np.concatenate(outputs), np.concatenate(targets)
        figures |= measure(metrics, loss, z, t, np.concatenate(weights) if weighted else None)
    return figures
