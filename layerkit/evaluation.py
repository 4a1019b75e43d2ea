"""What a training has achieved: accuracy, loss and other figures, and the record of an epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layerkit.errors import DivergenceError
from layerkit.inspection import first_not_finite
from layerkit.metrics import Metric, measure
from layerkit.network import Network
from layerkit.sources import Source, open_source


@dataclass(frozen=True)
class Record:
    """What an epoch achieved, measured after it; nan is what was not measured.

    `seconds` counts from the start of the training and includes these measurements. Losses are
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
        """All fields but those of sets that were not measured, the metrics by their own names."""
        measured = {"epoch": self.epoch, "seconds": self.seconds}
        for name in ("train", "validation", "test"):
            loss = getattr(self, f"{name}_loss")
            if not math.isnan(loss):
                accuracy = getattr(self, f"{name}_accuracy")
                measured |= {f"{name}_accuracy": accuracy, f"{name}_loss": loss}
        return measured | self.metrics

    def figures(self) -> dict[str, float]:
        """What was measured, by name, as ``{"train_loss": 0.16, …}``."""
        row = self.row()
        return {name: row[name] for name in list(row)[2:] if not math.isnan(row[name])}

    def __str__(self) -> str:
        known = [
            f"{name.replace('_', ' ').replace('accuracy', 'acc')}={x:.2f}"
            for name, x in self.figures().items()
        ]
        return f"Epoch {self.epoch}: {self.seconds:.2f}s, {', '.join(known)}"


def evaluate(
    network: Network, x: Any, t: Any = None, sample_weight: Any = None
) -> tuple[float, float]:
    """Return accuracy and loss, means over all examples.

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
    >>> from layerkit import Dense, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> net.arena.values[:] = [-1, 1, 0, 0]
    >>> accuracy, loss = evaluate(net, [[5.0], [-5.0], [1.0], [0.0]], [1, 0, 0, 0])
    >>> accuracy, round(loss, 4)
    (0.75, 0.705)
    """
    network.check_adapted()
    figures = measure_source(network, open_source(network, x, t, sample_weight))
    return figures["accuracy"], figures["loss"]


def measure_source(
    network: Network, source: Source, metrics: Sequence[Metric] = ()
) -> dict[str, float]:
    """Return accuracy, loss and `metrics` of a network on all that a source has."""
    hits, outputs, targets, weights, loss, total = [], [], [], [], 0.0, 0.0
    weighted = False
    with np.errstate(all="ignore"):
        for x, t, a, _ in source.chunks():
            batch = network.convert(x)
            z = network.body.forward(batch, train=False)
            hits.append(network.loss.hits(z, t))
            weights.append(np.ones(len(t)) if a is None else a)
            weighted = weighted or a is not None
            loss += network.loss.forward(z, t, a) * network.loss.total
            total += network.loss.total
            if metrics:
                outputs.append(z.copy())
                targets.append(t)
            if not math.isfinite(loss):
                raise DivergenceError(
                    f"the loss is not finite; {first_not_finite(network, batch)}. "
                    "Try a smaller learning rate, or scale the examples"
                )
    judged, a = np.concatenate(hits), np.concatenate(weights)
    a[np.isnan(judged)] = 0
    accuracy = float(np.nansum(judged * a) / a.sum()) if a.any() else math.nan
    figures = {"accuracy": accuracy, "loss": loss / total if total else 0.0}
    if metrics:
        z, t = np.concatenate(outputs), np.concatenate(targets)
        figures |= measure(
            metrics, network.loss, z, t, np.concatenate(weights) if weighted else None
        )
    return figures
