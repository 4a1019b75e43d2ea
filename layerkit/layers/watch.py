"""Hooks on layers: the one way in which methods are wrapped for a while, and restored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from layerkit.arrays import Array
from layerkit.errors import ConfigError
from layerkit.layers.base import Layer

Method = Callable[..., Any]


@contextmanager
def replaced(part: object, **methods: Method) -> Iterator[None]:
    """Context manager: replaces methods of an object, and restores them at the end.

    Examples
    --------
    >>> import numpy as np
    >>> from layerkit import ReLU
    >>> relu = ReLU()
    >>> with replaced(relu, forward=lambda x, train=True: x):
    ...     relu.forward(np.array([-1.0]))
    array([-1.])
    >>> relu.forward(np.array([-1.0]))
    array([0.])
    """
    before = {name: vars(part)[name] for name in methods if name in vars(part)}
    vars(part).update(methods)
    try:
        yield
    finally:
        for name in methods:
            vars(part).pop(name, None)
        vars(part).update(before)


@contextmanager
def watched(
    layers: Iterable[tuple[str, Layer]],
    wrap: Callable[[str, str, Method], Method],
    containers: bool = False,
) -> Iterator[None]:
    """Context manager: replaces the methods of layers by ``wrap(address, name, method)``.

    Parameters
    ----------
    layers : pairs of str and Layer
        Addresses and layers, as `layerkit.Network.layers` yields them.
    wrap : callable
        Returns the function to call instead of the method; `name` is "forward" or "backward".
    containers : bool
        Whether layers that have parts are wrapped too.

    Examples
    --------
    >>> import numpy as np
    >>> from layerkit import Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy
    >>> net = Network(Sequential([Dense(3), ReLU()]), SoftmaxCrossEntropy(), shape=(2,))
    >>> def shapes(address, name, method):
    ...     def look(x, **options):
    ...         print(address, name, x.shape)
    ...         return method(x, **options)
    ...     return look
    >>> with watched(net.layers(), shapes):
    ...     _ = net.outputs(np.ones((5, 2)))
    body.layers.0 forward (5, 2)
    body.layers.1 forward (5, 3)
    """
    with ExitStack() as stack:
        for address, layer in layers:
            if containers or not any(layer.parts()):
                wrapped = {
                    name: wrap(address, name, getattr(layer, name))
                    for name in ("forward", "backward")
                }
                stack.enter_context(replaced(layer, **wrapped))
        yield


class ReachedError(Exception):
    """Ends a pass through a network at the layer whose inputs are wanted."""


def inputs_of(layer: Layer, body: Layer, x: Array) -> tuple[Array, ...]:
    """Return the inputs of a layer inside `body` for a batch, as in a prediction.

    Raises
    ------
    ConfigError
        When the body doesn't use the layer.
    """
    found: list[tuple[Array, ...]] = []

    def reached(*xs: Array, train: bool = True) -> Array:
        found.append(xs)
        raise ReachedError

    with replaced(layer, forward=reached), suppress(ReachedError):
        body.forward(x, train=False)
    if not found:
        raise ConfigError(f"{layer.address}: the body never calls this {type(layer).__name__}")
    return found[0]
