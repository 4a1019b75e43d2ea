"""One layer after the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import overload

from layerkit.arrays import Array, Shape
from layerkit.errors import ConfigError
from layerkit.graph.container import Container
from layerkit.graph.merging import Sources
from layerkit.initializers.base import Initializer
from layerkit.layers.base import Layer


class Sequential(Container):
    """y = f_n(… f_2(f_1(x))): each layer reads what the one before returns.

    ``body[2]`` is a layer. ``body[:2]`` is a new Sequential with copies of the layers, which take
    their weights along to the network that they are put into.

    Parameters
    ----------
    layers : list of Layer
        At least one.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.network import Network
    >>> from layerkit.layers.activations.sigmoids import Sigmoid
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> body = Sequential([Dense(64), Sigmoid(), Dense(10)])
    >>> Network(body, SoftmaxCrossEntropy(), shape=(784,)).body.output_shape
    (10,)
    >>> other = Sequential([*body[:2], Dense(3)])
    >>> net = Network(other, SoftmaxCrossEntropy(), shape=(784,))
    >>> bool((net.body[0].W.value == body[0].W.value).all())
    True
    """

    layers: list[Layer]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise ConfigError("Sequential.layers = []: should have at least one layer")

    @overload
    def __getitem__(self, place: int) -> Layer: ...
    @overload
    def __getitem__(self, place: slice) -> Sequential: ...
    def __getitem__(self, place: int | slice) -> Layer | Sequential:
        if isinstance(place, slice):
            return Sequential(copy.deepcopy(self.layers[place]))
        return self.layers[place]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def wiring(self) -> dict[str, Sources]:
        """Each reads the one before."""
        names = [name for name, _ in self.parts()]
        readers = [*names, "output"]
        return {
            name: Sources((before,))
            for name, before in zip(readers, ["input", *names], strict=True)
        }

    def init_before(self) -> Initializer:
        """That of the first layer; on the way there each learns what suits the one behind it."""
        init = self.default_init
        for layer in reversed(self.layers):
            layer.default_init = init
            init = layer.init_before()
        return init

    def build(self, shape: Shape) -> Shape:
        """Build the layers, first to last."""
        self.init_before()
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
