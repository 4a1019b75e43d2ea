"""Bodies of networks for tables: hidden layers, one after the other."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal

from layerkit.config.tables import choices_for
from layerkit.errors import ConfigError, suggestion
from layerkit.graph.sequential import Sequential
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense
from layerkit.layers.normalization import BatchNorm, LayerNorm
from layerkit.layers.regularization import Dropout

NORMS: dict[str | None, type[Layer] | None] = {None: None, "batch": BatchNorm, "layer": LayerNorm}
ACTIVATIONS = "layerkit.layers.activations."
"""The modules whose layers are activations."""


def make_layers(
    units: int | Sequence[int] = (128, 64),
    activation: str | Layer = "silu",
    *,
    dropout: float = 0.0,
    norm: Literal["batch", "layer"] | None = None,
) -> Sequential:
    """Return hidden layers for `Classifier` and `Regressor`: each a Dense and what belongs to it.

    Parameters
    ----------
    units : sequence of int, or int
        The units of each hidden layer; at least one.
    activation : str or Layer
        The name of a layer in small letters, such as ``"gelu"``, or a layer, of which copies are
        used.
    dropout : float
        The share of each layer's outputs that is dropped while it is trained.
    norm : {"batch", "layer"}, optional
        BatchNorm or LayerNorm before each activation.

    Raises
    ------
    ConfigError
        For what is none of these.

    Examples
    --------
    >>> make_layers((64, 32), "relu", dropout=0.1)
    Sequential(layers=[Dense(units=64), ReLU(), Dropout(rate=0.1), Dense(units=32), ReLU(), \
Dropout(rate=0.1)])
    >>> make_layers((8,), "tanh", norm="layer")
    Sequential(layers=[Dense(units=8), LayerNorm(), Tanh()])
    """
    if norm not in NORMS:
        raise ConfigError(f"make_layers: norm = {norm!r}: should be 'batch', 'layer' or None")
    chosen, layers = _activation(activation), list[Layer]()
    for size in [units] if isinstance(units, int) else units:
        layers.append(Dense(size))
        if normalization := NORMS[norm]:
            layers.append(normalization())
        layers.append(copy.deepcopy(chosen))
        if dropout:
            layers.append(Dropout(dropout))
    return Sequential(layers)


def _activation(given: str | Layer) -> Layer:
    """Return the layer that an activation's name or an object stands for."""
    if isinstance(given, Layer):
        return given
    known: dict[str, Any] = {
        part.__name__.lower(): part
        for part in choices_for(Layer)
        if part.__module__.startswith(ACTIVATIONS)
    }
    if given not in known:
        hint = suggestion(str(given), sorted(known))
        raise ConfigError(f"make_layers: activation = {given!r}: unknown{hint}")
    activation: Layer = known[given]()
    return activation
