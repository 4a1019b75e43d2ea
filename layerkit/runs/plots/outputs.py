"""Outputs of a network beside the right answers, and their names, for plots of predictions."""

from __future__ import annotations

from typing import Any

from layerkit.arrays import Array
from layerkit.errors import DataError
from layerkit.metrics.metrics import of_numbers
from layerkit.metrics.scoring import Judged, judge
from layerkit.network import Network
from layerkit.runs.plots.figures import label


def judged(network: Network, x: Any, t: Any, sample_weight: Any) -> Judged:
    """Return the outputs for examples as metrics judge them."""
    rows, targets, a = network.check(x, t, sample_weight)
    return judge(network.loss, network.outputs(rows), targets, a)


def check_numbers(network: Network, targets: Array) -> None:
    """Raise a DataError unless the loss predicts numbers like its targets."""
    if not of_numbers(network.loss, network.body.output_shape, targets):
        raise DataError(f"{type(network.loss).__name__} predicts no numbers like its targets")


def class_names(network: Network, number: int) -> list[str]:
    """Return the names of the classes, or their numbers, as they are drawn."""
    known = network.classes
    return [label(name) for name in known] if known else [f"class {k}" for k in range(number)]


def target_names(network: Network, number: int) -> list[str]:
    """Return the names of the targets, or their numbers, as they are drawn."""
    numbers = [f"target {d}" for d in range(number)] if number > 1 else ["target"]
    return [label(name) for name in network.seen.targets or numbers]
