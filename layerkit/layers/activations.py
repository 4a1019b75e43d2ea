"""Activations: the same function of every number, in order of increasing complexity."""

from __future__ import annotations

import numpy as np

from layerkit.layers.base import Layer
from layerkit.parameters import Array


class ReLU(Layer):
    """y = max(x, 0); dy/dx = 1 where x > 0, else 0 (at the kink x = 0 too).

    Source: Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines.
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0)."""
        y = np.maximum(x, 0)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy where x > 0, else 0: since y >= 0, its sign is the derivative."""
        dx: Array = dy * np.sign(self.y)
        return dx


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)); dy/dx = y (1 - y).

    With e = exp(-|x|), which can't overflow: y = exp(min(x, 0)) / (1 + e), dy/dx = e / (1 + e)^2.
    The same numbers, but exact where 1 - y would round to 0.
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return exp(min(x, 0)) s, with s = 1 / (1 + e)."""
        e = np.exp(-np.abs(x))
        s = 1 / (1 + e)
        self.e, self.s = e, s
        y = np.exp(np.minimum(x, 0))
        y *= s
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy e s^2."""
        dx = self.e * self.s
        dx *= self.s
        dx *= dy
        return dx
