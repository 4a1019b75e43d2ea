"""How much each example counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from layerkit.errors import ConfigError, DataError
from layerkit.network import Network
from layerkit.parameters import Array

ClassWeight = Literal["balanced"] | Mapping[int, float] | Sequence[float]
"""A weight for each class, or "balanced": N / (classes * examples of the class)."""


def example_weights(
    class_weight: ClassWeight, network: Network, t: Array, sample_weight: Any = None
) -> Array:
    """Return the weight of each example: that of its class, times its own.

    With "balanced", N and the examples of a class are counted with their own weights.

    Raises
    ------
    ConfigError
        For a loss without classes, and weights that are not one finite number >= 0 for each class.
    DataError
        When no example counts.

    Examples
    --------
    >>> from layerkit import Dense, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> example_weights("balanced", net, np.array([0, 0, 0, 1]))
    array([0.66666667, 0.66666667, 0.66666667, 2.        ])
    """
    labels = t.ravel() if t.size == len(t) else t
    numbers = labels.astype(np.intp)
    if not network.loss.judges_classes or labels.ndim > 1 or (numbers != labels).any():
        raise ConfigError(f"class_weight = {class_weight!r}: the targets are no classes")
    own = np.ones(len(t))
    if sample_weight is not None:
        own = network.loss.check_weights(sample_weight, len(t))
    classes = max(network.body.output_shape[0], 2)
    judged = (numbers >= 0) & (numbers < classes)  # the others are ignored by the loss
    counts = np.bincount(numbers[judged], own[judged], classes)
    if isinstance(class_weight, str) and class_weight == "balanced":
        occur = np.count_nonzero(counts)
        weights = np.divide(counts.sum(), occur * counts, out=np.zeros(classes), where=counts > 0)
    else:
        weights = _given(class_weight, classes)
    a = own.copy()
    a[judged] *= weights[numbers[judged]]
    if not a.any():
        raise DataError("class_weight: no example counts")
    return a


def _given(class_weight: Mapping[int, float] | Sequence[float], classes: int) -> Array:
    if isinstance(class_weight, str) or not hasattr(class_weight, "__iter__"):
        raise ConfigError(
            f"class_weight = {class_weight!r}: should be 'balanced', or a weight for each class"
        )
    by_class = (
        dict(class_weight) if isinstance(class_weight, Mapping) else dict(enumerate(class_weight))
    )
    unknown = [k for k in by_class if k not in range(classes)]
    if unknown or (not isinstance(class_weight, Mapping) and len(by_class) != classes):
        raise ConfigError(
            f"class_weight = {class_weight!r}: should have a weight for each of {classes} classes, "
            f"0 … {classes - 1}"
        )
    try:
        weights = np.array([float(by_class.get(k, 1.0)) for k in range(classes)])
    except (TypeError, ValueError) as error:
        raise ConfigError(f"class_weight = {class_weight!r}: should be numbers") from error
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ConfigError(f"class_weight = {class_weight!r}: should be finite and >= 0")
    return weights
