"""Looking into a network while it works: where values stop being finite, what each layer costs."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from layerkit.errors import ShapeError
from layerkit.network import Network
from layerkit.parameters import Array

Method = Callable[..., Array]


def first_not_finite(network: Network, x: Array) -> str:
    """Say where the first value that is not finite appears when `x` goes through the network."""
    for address, param in network.params().items():
        if not np.isfinite(param.value).all():
            return f"the last step left values that are not finite in the parameter {address}"
    found: list[str] = []

    def looking(address: str, method: Method) -> Method:
        def look(*args: Any, **options: Any) -> Array:
            y = method(*args, **options)
            if not np.isfinite(y).all():
                found.append(address)
            return y

        return look

    with watched(network, looking):
        network.body.forward(x, False)
    if found:
        layer = type(dict(network.layers())[found[0]]).__name__
        return f"the first value that is not finite is in the output of {found[0]} ({layer})"
    return "the output of the body is finite, the loss of it is not"


def check_outputs(network: Network, x: Array) -> None:
    """Send `x` through the network and check what each layer returns.

    Raises
    ------
    ShapeError
        For what is no array, or of another shape than promised, or of another dtype than x.
    """
    layers = dict(network.layers())

    def checking(address: str, method: Method) -> Method:
        def checked(*args: Any, **options: Any) -> Array:
            y = method(*args, **options)
            shape = (len(x), *layers[address].output_shape)
            if not isinstance(y, np.ndarray) or y.shape != shape or y.dtype != x.dtype:
                found = f"{y.dtype} {y.shape}" if isinstance(y, np.ndarray) else repr(y)
                raise ShapeError(
                    f"{address}: {type(layers[address]).__name__}.forward returned {found}; "
                    f"should be {x.dtype} {shape}; layerkit.testing.check_layer tells more"
                )
            return y

        return checked

    with watched(network, checking), np.errstate(all="ignore"):
        network.body.forward(x, False)


@contextmanager
def watched(network: Network, wrap: Callable[[str, Method], Method]) -> Iterator[None]:
    """Replace forward and backward of each layer without parts by ``wrap(address, method)``."""
    layers = {address: layer for address, layer in network.layers() if not any(layer.parts())}
    for address, layer in layers.items():
        for name in ("forward", "backward"):
            setattr(layer, name, wrap(address, getattr(layer, name)))
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward, layer.backward


def measure_costs(network: Network, batch_size: int, rounds: int = 15) -> dict[str, float]:
    """Return the seconds that each layer takes for one batch, forward and backward, by address.

    The median of several rounds on a copy, which leaves the network as it is.
    """
    network = copy.deepcopy(network)
    seconds: dict[str, dict[str, list[float]]] = {}

    def timing(address: str, method: Method) -> Method:
        times = seconds.setdefault(address, {}).setdefault(method.__name__, [])

        def timed(*args: Any, **options: Any) -> Array:
            start = time.perf_counter()
            y = method(*args, **options)
            times.append(time.perf_counter() - start)
            return y

        return timed

    rng = np.random.default_rng(0)
    x = np.zeros((batch_size, *network.shape), network.dtype)  # which every layer takes
    dy = rng.random((batch_size, *network.body.output_shape)).astype(network.dtype)
    with watched(network, timing), np.errstate(all="ignore"):
        for _ in range(rounds):
            network.body.forward(x, True)
            network.body.backward(dy)
    return {
        address: sum(float(np.median(times)) for times in methods.values())
        for address, methods in seconds.items()
    }
