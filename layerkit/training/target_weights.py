"""Target weights: how much each of several targets counts in the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import ConfigError, DataError, listed, nearest
from layerkit.losses.base import ElementwiseLoss, spread
from layerkit.network import Network

TargetWeight = Mapping[str, float] | Sequence[float]
"""A weight for each target: a list in their order, or by name, where the others have 1."""


def weights_with_targets(
    target_weight: TargetWeight, network: Network, t: Array, sample_weight: Array | None = None
) -> Array:
    """Return the weight of each target of each example (N, D): its own, times that of the target.

    Raises
    ------
    ConfigError
        For a loss that does not judge several targets alone, for a target that is unknown, and for
        weights that are not one for each.
    DataError
        When no target counts.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError
    >>> net = Network(Dense(2), MeanSquaredError(), shape=(1,))
    >>> weights_with_targets([1.0, 0.5], net, np.zeros((2, 2)))
    array([[1. , 0.5],
           [1. , 0.5]])
    """
    loss, D, given = network.loss, network.body.output_shape[-1], f"target_weight = {target_weight}"
    if not isinstance(loss, ElementwiseLoss) or network.targets.exclusive or D == 1:
        raise ConfigError(
            f"{given}: {type(loss).__name__} with {D} outputs doesn't judge several targets, each "
            f"alone{'; take class_weight' if network.targets.exclusive else ''}"
        )
    by_target = target_weight
    if isinstance(by_target, Mapping):
        names = network.seen.targets
        if names is None:
            raise ConfigError(
                f"{given}: the targets have no names: give a list of {D} numbers, or a DataFrame "
                "of targets"
            )
        for name in by_target:
            if name not in names:
                meant = nearest(str(name), names)
                raise ConfigError(
                    f"{given}: there is no target {name!r}{f' ({meant})' if meant else ''}; the "
                    f"targets are {listed(map(repr, names))}"
                )
        by_target = [by_target.get(name, 1.0) for name in names]
    if len(by_target) != D:
        raise ConfigError(f"{given}: should have a number for each of {D} targets")
    a = np.ones(len(t)) if sample_weight is None else sample_weight
    weights: Array = spread(a, t.shape) * np.array(by_target, float)
    if not weights.any():
        raise DataError(f"{given}: no target counts")
    return weights
