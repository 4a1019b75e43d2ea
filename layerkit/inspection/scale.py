"""The scale of numbers: whether inputs and targets are far from unit size."""

from __future__ import annotations

import numpy as np

from layerkit.arrays import Array
from layerkit.data.sparse import SparseRows
from layerkit.layers.base import Layer
from layerkit.layers.watch import inputs_of
from layerkit.network import Network

LARGE, SMALL = 30.0, 0.01
"""Far from unit size: a root mean square above LARGE, of one column, or no number above SMALL."""


def is_far(numbers: Array) -> bool:
    """Whether numbers are far from unit size.

    Examples
    --------
    >>> is_far(np.array([[0.5, 1000.0]])), is_far(np.array([[0.5, 0.0]]))
    (True, False)
    """
    return size(numbers) > LARGE or bool(0 < max(numbers.max(), -numbers.min()) < SMALL)


def size(numbers: Array) -> float:
    """Return the root mean square of the largest column."""
    return float(sizes(numbers).max())


def sizes(numbers: Array) -> Array:
    """Return the root mean square of each column."""
    with np.errstate(over="ignore"):
        if isinstance(numbers, SparseRows):
            return np.sqrt(numbers.mean_squares())
        return np.sqrt(np.mean(np.square(numbers, dtype=float), axis=0))


def first_inputs(network: Network, x: Array) -> tuple[str, Array] | None:
    """Return the address of the first layer with weights, and what examples `x` are to it.

    None where a layer before it scales each batch, such as BatchNorm.
    """
    for address, layer in network.layers():
        states = layer.declared().keys() - layer.params().keys()
        if states and not layer.adapts:
            return None
        if "W" in layer.params() and type(layer).check is Layer.check:
            with np.errstate(over="ignore", invalid="ignore"):
                return address, inputs_of(layer, network.body, x)[0]
    return None
