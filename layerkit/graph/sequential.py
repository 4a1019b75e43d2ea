"""Sequential: one layer after the other."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import overload

from layerkit.arrays import Array
from layerkit.graph.container import Container, Layers, Wiring
from layerkit.layers.base import Layer


class Sequential(Container):
    """y = f_n(… f_2(f_1(x))): a chain of layers, each of which reads the output of the one before.

    ``body[2]`` is a layer. ``body[:2]`` is a new Sequential with copies of the layers, which keep
    their weights when they are put into another network.

    Parameters
    ----------
    layers : list of Layer
        The layers in their order, at least one.

    Examples
    --------
    >>> from layerkit import Dense, Network, Sigmoid, SoftmaxCrossEntropy
    >>> body = Sequential([Dense(64), Sigmoid(), Dense(10)])
    >>> Network(body, SoftmaxCrossEntropy(), shape=(784,)).body.output_shape
    (10,)
    >>> other = Sequential([*body[:2], Dense(3)])
    >>> net = Network(other, SoftmaxCrossEntropy(), shape=(784,))
    >>> float(abs(net.body[0].W.value - body[0].W.value).max())
    0.0
    """

    layers: Layers

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        if isinstance(index, slice):
            return Sequential(copy.deepcopy(self.layers[index]))
        return self.layers[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def wiring(self) -> Wiring:
        """Each layer reads the one before."""
        names = [f"layers.{i}" for i in range(len(self.layers))]
        reads = [(name,) for name in ("input", *names)]
        return dict(zip([*names, "output"], reads, strict=True))

    # the same as in Container, in two plain loops

    def forward(self, x: Array, train: bool = True) -> Array:
        """Run the layers, first to last."""
        for layer in self.layers:
            x = layer.forward(x, train=train)
        return x

    def backward(self, dy: Array) -> Array | None:
        """Run the layers in reverse, and stop at the first whose dx nobody reads."""
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
            if not layer.wants_dx:
                return None
        return dy
