"""Layers that bring their numbers with them, as copies do."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from layerkit.layers.base import Layer

Kind = TypeVar("Kind", bound=Layer)


def carrying(layer: Kind, **numbers: Any) -> Kind:
    """Return the layer, which gets these parameters and states when its Network is built.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network
    >>> dense = carrying(Dense(1), W=[[2.0], [3.0]], b=[1.0])
    >>> Network(dense, MeanSquaredError(), shape=(2,)).predict([[1.0, 1.0]])
    array([6.], dtype=float32)
    """
    layer.carried = {name: np.asarray(value) for name, value in numbers.items()}
    return layer
