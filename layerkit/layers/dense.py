"""Layers that multiply by a matrix."""

from __future__ import annotations

import numpy as np

from layerkit.arrays import Array, Shape, ones
from layerkit.config.options import Size
from layerkit.errors import ShapeError
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Zeros
from layerkit.layers.base import Layer
from layerkit.parameters import Param


class Dense(Layer):
    """y = x W + b: every output is a weighted sum of all inputs.

    dW = x^T dy, db = sum of dy over the batch, dx = dy W^T.
    Shapes: x (N, inputs), W (inputs, units), b (units,), y (N, units).

    Parameters
    ----------
    units : int
        How many outputs.
    init : Initializer, optional
        Of W; by default the one that suits the activation that follows: HeNormal for ReLU and its
        relatives, GlorotUniform for tanh and its, else LeCunNormal. b starts at 0.

    Raises
    ------
    ShapeError
        When an example is not a row of features.

    Examples
    --------
    >>> from layerkit.network import Network
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> dense = Dense(3)
    >>> net = Network(dense, SoftmaxCrossEntropy(), shape=(2,))
    >>> dense.W.value.shape, dense.b.value.shape
    ((2, 3), (3,))
    """

    units: Size
    init: Initializer | None = None

    def build(self, shape: Shape) -> Shape:
        """Declare W and b."""
        if len(shape) != 1:
            raise ShapeError(f"Dense({self.units}) takes rows of features (n,), not {shape}")
        self.W = Param((shape[0], self.units), self.init or self.default_init)
        self.b = Param((self.units,), Zeros())
        return (self.units,)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return x W + b."""
        self.x = x
        y: Array = np.dot(x, self.W.value)
        y += self.b.value
        return y

    def backward(self, dy: Array) -> Array:
        """Set dW and db and return dx."""
        np.dot(self.x.T, dy, out=self.W.grad)
        np.dot(ones(len(dy), dy.dtype), dy, out=self.b.grad)
        return np.dot(dy, self.W.value.T) if self.wants_dx else dy
