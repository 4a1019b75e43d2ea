"""Dense layers, which multiply by a matrix."""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape, ones, product
from layerkit.config.options import Size
from layerkit.errors import ShapeError
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Zeros
from layerkit.layers.base import Layer
from layerkit.parameters import Param


class Dense(Layer):
    """y = x W + b: every output is a weighted sum of all features.

    dW = x^T dy, db = sum of dy over the batch, dx = dy W^T; None where nobody wants dx, since
    nothing before has parameters. Features are along the last axis: a sequence (T, d) is a batch of
    T rows, and dW and db are the sums over all of them.
    Shapes: x (N, …, features), W (features, units), b (units,), y (N, …, units).

    Parameters
    ----------
    units : int
        Number of outputs.
    init : Initializer, optional
        The initializer of W; by default the one that suits the activation that follows: HeNormal
        for ReLU and its relatives, GlorotUniform for tanh and its relatives, otherwise LeCunNormal.
        b starts at 0.
    bias : bool
        Whether there is a b (Keras: use_bias).

    Raises
    ------
    ShapeError
        When an example is a single number, which has no axis of features.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> dense = Dense(3)
    >>> net = Network(dense, SoftmaxCrossEntropy(), shape=(2,))
    >>> dense.W.value.shape, dense.b.value.shape
    ((2, 3), (3,))

    A sequence of 5 positions with 2 features each:

    >>> Dense(3).place((5, 2), address="dense")
    (5, 3)
    """

    units: Size
    init: Initializer | None = None
    bias: bool = field(default=True, kw_only=True)

    def build(self, shape: Shape) -> Shape:
        if not shape:
            raise ShapeError(
                f"Dense({self.units}) takes rows of features (…, n), not single numbers, ()"
            )
        self.W = Param((shape[-1], self.units), self.init or self.default_init)
        if self.bias:
            self.b = Param((self.units,), Zeros())
        return (*shape[:-1], self.units)

    def forward(self, x: Array, train: bool = True) -> Array:
        if x.ndim != 2:
            y = Dense.forward(self, x.reshape(-1, x.shape[-1]), train=train)
            return y.reshape(*x.shape[:-1], self.units)
        self.x = x
        y = product(x, self.W.value)
        if self.bias:
            y += self.b.value
        return y

    def backward(self, dy: Array) -> Any:
        if dy.ndim != 2:
            dx = Dense.backward(self, dy.reshape(-1, self.units))
            return None if dx is None else dx.reshape(*dy.shape[:-1], dx.shape[-1])
        self.x.T.dot(dy, out=self.W.grad)
        if self.bias:
            np.dot(ones(len(dy), dy.dtype), dy, out=self.b.grad)
        return dy.dot(self.W.value.T) if self.wants_dx else None
