"""Layers made of layers. Only this file knows how values travel between them."""

from __future__ import annotations

from layerkit.errors import ConfigError
from layerkit.layers.base import Layer
from layerkit.parameters import Array, Shape


class Sequential(Layer):
    """y = f_n(… f_2(f_1(x))): each layer reads what the one before returns.

    Parameters
    ----------
    layers : list of Layer
        At least one.

    Examples
    --------
    >>> from layerkit import Dense, Network, Sigmoid, SoftmaxCrossEntropy
    >>> body = Sequential([Dense(64), Sigmoid(), Dense(10)])
    >>> Network(body, SoftmaxCrossEntropy(), shape=(784,)).body.output_shape
    (10,)
    """

    layers: list[Layer]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise ConfigError("Sequential.layers = []: should have at least one layer")

    def build(self, shape: Shape) -> Shape:
        """Build the layers, first to last."""
        self.layers[0].wants_dx = self.wants_dx
        for i, layer in enumerate(self.layers):
            shape = layer.place(shape, f"{self.address}.layers.{i}")
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        """Go through the layers, first to last."""
        for layer in self.layers:
            x = layer.forward(x, train)
        return x

    def backward(self, dy: Array) -> Array:
        """Go through the layers, last to first."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy
