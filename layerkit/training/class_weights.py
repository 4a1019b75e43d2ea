"""Class weights: the weight of each example from that of its class."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import LISTED, ConfigError, DataError, listed, nearest
from layerkit.losses.base import spread
from layerkit.network import Network

ClassWeight = Literal["balanced"] | Mapping[Any, float] | Sequence[float]
"""A weight for each class, or "balanced": N / (number of classes * examples of the class)."""
SHORT = reprlib.Repr()
"""Shows the weights of at most 20 classes in an error."""
SHORT.maxlist = SHORT.maxtuple = SHORT.maxdict = LISTED


def example_weights(
    class_weight: ClassWeight, network: Network, t: Array, sample_weight: Any = None
) -> Array:
    """Return the weight of each example: that of its class, times its own.

    For class numbers (N, T), each position has the weight of its class. With "balanced", N and the
    examples of a class are counted with their own weights.

    Raises
    ------
    ConfigError
        For targets without classes, and weights that are not one finite number >= 0 for each class.
    DataError
        When no example counts.

    Examples
    --------
    >>> from layerkit import Dense, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> example_weights("balanced", net, np.array([0, 0, 0, 1]))
    array([0.66666667, 0.66666667, 0.66666667, 2.        ])
    """
    *rest, outputs = network.body.output_shape
    positions, classes = (len(t), *rest), max(outputs, 2)
    numbers = t.astype(np.intp)
    if network.loss.judges_classes and not network.targets.exclusive:
        raise ConfigError(
            f"class_weight = {SHORT.repr(class_weight)}: the targets are not classes that exclude "
            "each other; for labels, BinaryCrossEntropy(pos_weight=[...]) weights the 1s of each"
        )
    if not network.loss.judges_classes or t.size != math.prod(positions) or (numbers != t).any():
        raise ConfigError(f"class_weight = {SHORT.repr(class_weight)}: the targets are not classes")
    numbers = numbers.reshape(positions)
    own = np.ones(positions)
    if sample_weight is not None:
        own = network.loss.check_weights(sample_weight, len(t), network.body.output_shape)
        own = spread(own, positions)
    judged = (numbers >= 0) & (numbers < classes)  # the loss ignores the others
    counts = np.bincount(numbers[judged], own[judged], classes)
    if isinstance(class_weight, str) and class_weight == "balanced":
        occur = np.count_nonzero(counts)
        weights = np.divide(counts.sum(), occur * counts, out=np.zeros(classes), where=counts > 0)
    else:
        weights = _given(class_weight, network.classes or range(classes))
    a = own.copy()
    a[judged] *= weights[numbers[judged]]
    if not a.any():
        raise DataError("class_weight: no example counts")
    return a


def by_number(
    class_weight: str | list[float] | dict[str, float], classes: list[str]
) -> ClassWeight:
    """Return class weights by class number, of a configuration file that may give them by name.

    A key that is a number is a class number, unless a class has this name.

    Raises
    ------
    ConfigError
        For a list of another length, and a class that is unknown or appears twice.

    Examples
    --------
    >>> by_number({"ok": 1.0, "1": 20.0}, ["fraud", "ok"])
    Traceback (most recent call last):
    ...
    layerkit.errors.ConfigError: training.class_weight.1: 'ok' has a weight already
    >>> by_number({"ok": 1.0, "0": 20.0}, ["fraud", "ok"])
    {1: 1.0, 0: 20.0}
    """
    if isinstance(class_weight, str):
        return "balanced"
    if isinstance(class_weight, list):
        if classes and len(class_weight) != len(classes):
            raise ConfigError(
                f"training.class_weight = {SHORT.repr(class_weight)}: should be 'balanced', "
                f"a list of {len(classes)} numbers or a table by class: {listed(classes)}"
            )
        return class_weight
    number = {str(k): k for k in range(len(classes))} | {name: k for k, name in enumerate(classes)}
    weights: dict[int, float] = {}
    for name, weight in class_weight.items():
        if name not in number:
            meant = nearest(name, classes)
            raise ConfigError(
                f"training.class_weight.{name}: there is no such class"
                f"{f' ({meant})' if meant else ''}; the classes are {listed(classes)}"
            )
        if number[name] in weights:
            raise ConfigError(
                f"training.class_weight.{name}: {classes[number[name]]!r} has a weight already"
            )
        weights[number[name]] = weight
    return weights


def _given(class_weight: Mapping[Any, float] | Sequence[float], classes: Sequence[Any]) -> Array:
    if isinstance(class_weight, str) or not hasattr(class_weight, "__iter__"):
        raise ConfigError(
            f"class_weight = {SHORT.repr(class_weight)}: should be 'balanced', or a weight "
            "for each class"
        )
    by_class, complete = class_weight, True
    if not isinstance(by_class, Mapping):
        complete = len(by_class) == len(classes)
        by_class = dict(zip(classes, by_class, strict=False))
    for name in by_class:
        if name not in classes:
            hint = ""
            if isinstance(name, str) and isinstance(classes, range):
                hint = ", and have no names: give labels as strings, or set network.classes = [...]"
            raise ConfigError(
                f"class_weight[{name!r}]: there is no such class; the classes are "
                f"{listed(map(repr, classes))}{hint}"
            )
    if not complete:
        raise ConfigError(
            f"class_weight = {SHORT.repr(class_weight)}: should have a weight for each of "
            f"{len(classes)} classes: {listed(map(repr, classes))}"
        )
    try:
        weights = np.array([float(by_class.get(k, 1.0)) for k in classes])
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"class_weight = {SHORT.repr(class_weight)}: should be numbers"
        ) from error
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ConfigError(f"class_weight = {SHORT.repr(class_weight)}: should be finite and >= 0")
    return weights
