"""Sizes of networks that a page can show: others are refused before they take memory and time."""

from __future__ import annotations

import math
import operator
from typing import Any

from layerkit.config.tables import from_config
from layerkit.errors import ConfigError
from layerkit.layers.base import Layer
from layerkit.play.maps import SIDE

MOST_PARAMETERS = 6_000_000
"""Parameters of a network, so that a frame takes about two seconds at most."""
MOST_VALUES = 100_000_000
"""Outputs of all layers at all points of a map, or of a batch: 400 MB."""


def check_network(network: Any) -> None:
    """Raise a ConfigError for the tables of a network that is too large, before it is made.

    Its body alone is built, which takes no memory. Where that fails nothing is said: making the
    network tells all that is wrong.
    """
    try:
        body: Layer = from_config(network["body"], Layer)  # type: ignore[type-abstract]
        body.place(tuple(map(operator.index, network["shape"])), address="body")
        outputs, parameters = _counted(body)
    except Exception:
        return
    _check(outputs, parameters, SIDE * SIDE)


def check_batch(body: Layer, batch: int) -> None:
    """Raise a ConfigError for a body that is too large for batches of so many examples."""
    _check(*_counted(body), batch)


def _counted(body: Layer) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many outputs and parameters each layer has, by address."""
    outputs, parameters = dict[str, int](), dict[str, int]()
    for address, layer in body.walk("body"):
        outputs[address] = 0 if any(layer.parts()) else math.prod(layer.output_shape)
        parameters[address] = sum(math.prod(param.shape) for param in layer.params().values())
    return outputs, parameters


def _check(outputs: dict[str, int], parameters: dict[str, int], examples: int) -> None:
    for counts, most, what in (
        (outputs, MOST_VALUES // examples, f"outputs for {examples:,} examples at once"),
        (parameters, MOST_PARAMETERS, "parameters"),
    ):
        total, largest = sum(counts.values()), max(counts, key=lambda address: counts[address])
        if total > most:
            raise ConfigError(
                f"network.{largest}: has {counts[largest]:,} of the network's {total:,} {what}; "
                f"the playground takes at most {most:,}; `layerkit train` takes more"
            )
