"""What layers are shown before a training: the examples as they will be given them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from layerkit.arrays import Array
from layerkit.data.mapped import Subset, pieces
from layerkit.errors import DataError, at
from layerkit.layers.base import Layer

if TYPE_CHECKING:
    from layerkit.network import Network


class ReachedError(Exception):
    """Ends a pass through a network at the layer whose input is wanted."""


@contextmanager
def all_or_nothing(network: Network) -> Iterator[None]:
    """Put parameters, states and what has adapted back as they were, if something is refused."""
    kept = network.arena.values.copy(), network.arena.states.copy()
    adapted = [(layer, layer.adapted) for _, layer in network.layers()]
    try:
        yield
    except BaseException:
        network.arena.values, network.arena.states = kept
        for layer, before in adapted:
            layer.adapted = before
        network.adapted = all(before for _, before in adapted)
        raise


def inputs_of(network: Network, layer: Layer, rows: Array | Subset) -> Iterator[Array]:
    """What a layer of the network is given for these examples, chunk by chunk."""
    found: list[Array] = []

    def reached(x: Array, train: bool = True) -> Array:
        found.append(x)
        raise ReachedError

    for chunk in network.chunks(rows):
        vars(layer)["forward"] = reached
        with suppress(ReachedError):
            try:
                network.body.forward(chunk, train=False)
            finally:
                del vars(layer)["forward"]
        yield found.pop()


def adapt(network: Network, rows: Array | Subset) -> None:
    """Do what `Network.adapt` says, from the first layer to the last."""
    low = high = rows[0]
    for part in pieces(rows):
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    lost = np.argwhere((low < high) & (network.convert(low) == network.convert(high)))
    if len(lost):
        place = tuple(map(int, lost[0]))
        raise DataError(
            f"feature {', '.join(map(str, place))} goes from {low[place]} to {high[place]}, which "
            f"{network.dtype} can't tell apart; subtract something first, or use float64"
        )
    with all_or_nothing(network), np.errstate(over="ignore", invalid="ignore"):
        for address, layer in network.layers():
            if layer.adapted:
                continue
            with at(address):
                layer.adapt(inputs_of(network, layer, rows))
                for param in layer.params().values():
                    if param.init.from_data:
                        first = next(inputs_of(network, layer, rows))
                        param.init.adapt(param.value, partial(layer.forward, first, train=False))
            layer.adapted = True
    network.adapted = True


def check_layers(network: Network, rows: Array | Subset) -> None:
    """Do what `Network.check_layers` says."""
    for address, layer in network.layers():
        if type(layer).check is not Layer.check:
            seen = 0
            for x in inputs_of(network, layer, rows):
                with at(f"{address}, examples {seen} to {seen + len(x) - 1}"):
                    layer.check(x)
                seen += len(x)
