"""Costs: how long each layer of a network takes."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.arrays import check_memory
from layerkit.layers.watch import Method, watched
from layerkit.streams import stream

if TYPE_CHECKING:
    from layerkit.network import Network


def measure_costs(network: Network, batch_size: int, rounds: int = 15) -> dict[str, float]:
    """Return the seconds that each layer takes for one batch, forward and backward, by address.

    The median of several rounds on a copy, which leaves the network as it is.
    """
    network = copy.deepcopy(network)
    seconds: dict[str, dict[str, list[float]]] = {}

    def timing(address: str, name: str, method: Method) -> Method:
        times = seconds.setdefault(address, {}).setdefault(name, [])

        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            result = method(*args, **options)
            times.append(time.perf_counter() - start)
            return result

        return timed

    shapes = [(batch_size, *shape) for shape in (network.shape, network.body.output_shape)]
    check_memory(
        f"batch_size = {batch_size} examples and their outputs",
        *((shape, network.dtype) for shape in shapes),
    )
    x = np.zeros(shapes[0], network.dtype)  # every layer takes zeros
    dy = stream(0, "dy of the costs").random(shapes[1]).astype(network.dtype)
    with watched(network.layers(), timing), np.errstate(all="ignore"):
        for _ in range(rounds):
            network.body.forward(x, train=True)
            network.body.backward(dy)
    return {
        address: sum(float(np.median(times)) for times in methods.values())
        for address, methods in seconds.items()
    }
