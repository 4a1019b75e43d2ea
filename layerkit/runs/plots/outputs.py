"""Outputs of a network beside the right answers, and their names, for plots of predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import DataError, DivergenceError
from layerkit.metrics.metrics import of_numbers
from layerkit.metrics.scoring import Judged, estimator_of, judge
from layerkit.network import Network
from layerkit.runs.plots.figures import label


def judged(network: Network, x: Any, t: Any, sample_weight: Any) -> Judged:
    """Return the outputs for examples as metrics judge them."""
    rows, targets, a = network.check(x, t, sample_weight)
    return judge(network.loss, network.outputs(rows), targets, a)


def numbers_of(network: Network, z: Array, targets: Array) -> Array:
    """Return the numbers that a loss predicts from outputs, a column for each target.

    Raises
    ------
    DataError
        Unless it predicts numbers like these targets.
    DivergenceError
        For one that is not finite, such as the exponential of a large output.
    """
    if not of_numbers(network.loss, network.body.output_shape, targets):
        raise DataError(f"{type(network.loss).__name__} predicts no numbers like its targets")
    with np.errstate(over="ignore"):
        numbers = estimator_of(network.loss, z.shape[-1]).predict(z)
    if not np.isfinite(numbers).all():
        raise DivergenceError("a prediction is not finite")
    return numbers.reshape(len(z), -1)


def class_names(network: Network, number: int) -> list[str]:
    """Return the names of the classes, or their numbers, as they are drawn."""
    known = network.classes
    return [label(name) for name in known] if known else [f"class {k}" for k in range(number)]


def target_names(network: Network, number: int) -> list[str]:
    """Return the names of the targets, or their numbers, as they are drawn."""
    numbers = [f"target {d}" for d in range(number)] if number > 1 else ["target"]
    return [label(name) for name in network.seen.targets or numbers]
