"""Smooth relatives of ReLU."""

from __future__ import annotations

import math

import numpy as np

from layerkit.arrays import Array, exponentials, finite, negative_part, positive_part, squarable
from layerkit.config.options import Rate
from layerkit.layers.activations.rectifiers import Rectifier
from layerkit.layers.base import Layer


class ELU(Rectifier):
    """y = x where x > 0, else alpha (exp(x) - 1); dy/dx = 1 where x > 0, else alpha exp(x).

    The exponential linear unit.
    Range (-alpha, inf).
    Not differentiable at 0 unless alpha = 1, where the derivative is taken as alpha.
    Source: Clevert, Unterthiner and Hochreiter (2015), Fast and accurate deep network learning by
    exponential linear units (ELUs), arXiv:1511.07289.

    Parameters
    ----------
    alpha : float
        Minus the limit on the left. The default is PyTorch's and Keras's.

    Examples
    --------
    >>> ELU(alpha=2.0).forward(np.array([-1e4, 0.0, 3.0]))
    array([-2.,  0.,  3.])
    """

    alpha: Rate = 1.0

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0) + alpha (exp(min(x, 0)) - 1): one of the two is 0."""
        self.x = x
        y = np.expm1(np.minimum(x, 0))
        y *= self.alpha
        y += np.maximum(x, 0)
        return y

    def backward(self, dy: Array) -> Array:
        dx = np.exp(np.minimum(self.x, 0))
        if self.alpha != 1:
            dx *= 1 + (self.alpha - 1) * (self.x <= 0).astype(dy.dtype)
        dx *= dy
        return dx


class SELU(Layer):
    """y = scale x where x > 0, else scale alpha (exp(x) - 1); dy/dx = scale or scale alpha exp(x).

    The scaled exponential linear unit.
    Its scale = 1.0507… and alpha = 1.6732… keep mean 0 and variance 1 from layer to layer.
    Range (-1.7581, inf).
    Not differentiable at 0, where the derivative is taken as scale alpha.
    Source: Klambauer, Unterthiner, Mayr and Hochreiter (2017), Self-normalizing neural networks,
    arXiv:1706.02515.

    Examples
    --------
    >>> SELU().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([-1.5202,  0.    ,  2.1014])
    """

    SCALE = 1.0507009873554804934193349852946
    ALPHA = 1.6732632423543772848170429916717

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return y = scale (max(x, 0) + alpha (exp(min(x, 0)) - 1)): one of the two is 0."""
        self.x = x
        y = np.expm1(np.minimum(x, 0))
        y *= self.ALPHA
        y += np.maximum(x, 0)
        y *= self.SCALE
        return y

    def backward(self, dy: Array) -> Array:
        dx = np.exp(np.minimum(self.x, 0))
        dx *= 1 + (self.ALPHA - 1) * (self.x <= 0).astype(dy.dtype)
        dx *= self.SCALE
        dx *= dy
        return dx


class CELU(Rectifier):
    """y = x where x > 0, else alpha (exp(x / alpha) - 1); dy/dx = exp(min(x, 0) / alpha).

    The continuously differentiable exponential linear unit: dy/dx has no jump for any alpha.
    Range (-alpha, inf).
    Source: Barron (2017), Continuously differentiable exponential linear units, arXiv:1704.07483.

    Parameters
    ----------
    alpha : float
        Minus the limit on the left. The default is PyTorch's.

    Examples
    --------
    >>> CELU(alpha=2.0).forward(np.array([-1e4, 0.0, 3.0]))
    array([-2.,  0.,  3.])
    """

    alpha: Rate = 1.0

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0) + alpha (exp(min(x, 0) / alpha) - 1): one of the two is 0."""
        u = np.minimum(x, 0)
        u /= self.alpha
        self.u = u
        y = np.expm1(u)
        y *= self.alpha
        y += np.maximum(x, 0)
        return y

    def backward(self, dy: Array) -> Array:
        dx = np.exp(self.u)
        dx *= dy
        return dx


class ISRLU(Rectifier):
    """y = x where x > 0, else x / sqrt(1 + alpha x^2); dy/dx = 1 or 1 / sqrt(1 + alpha x^2)^3.

    The inverse square root linear unit, shaped like ELU but without an exponential.
    Range (-1/sqrt(alpha), inf).
    Source: Carlile et al. (2017), Improving deep learning by inverse square root linear units
    (ISRLUs), arXiv:1710.09967.

    Parameters
    ----------
    alpha : float
        The limit on the left is -1 / sqrt(alpha). The default is the paper's.

    Examples
    --------
    >>> ISRLU(alpha=4.0).forward(np.array([-1e9, 0.0, 3.0]))
    array([-0.5,  0. ,  3. ])
    """

    alpha: Rate = 1.0

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0) + u / (sqrt(1 + u^2) sqrt(alpha)), with u = min(x, 0) sqrt(alpha)."""
        y = np.maximum(x, 0)
        u = squarable(np.minimum(x, 0) * math.sqrt(self.alpha))
        h = np.sqrt(1 + u * u)
        self.h = h
        u /= h
        u /= math.sqrt(self.alpha)
        y += u
        return y

    def backward(self, dy: Array) -> Array:
        s = 1 / self.h
        dx = s * s
        dx *= s
        dx *= dy
        return dx


class Softplus(Rectifier):
    """y = log(1 + exp(beta x)) / beta; dy/dx = sigmoid(beta x).

    A smooth ReLU.
    Range (0, inf).
    Source: Dugas et al. (2000), Incorporating second-order functional knowledge for better option
    pricing.

    Parameters
    ----------
    beta : float
        How sharp the bend is: a large one makes it ReLU. The default is PyTorch's, which needs a
        threshold beyond which y = x; this is exact.

    Examples
    --------
    >>> Softplus().forward(np.array([-1e4, 0.0, 1e4])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+04])
    """

    beta: Rate = 1.0

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0) + log(1 + e) / beta, with e = exp(-|beta x|), which can't overflow."""
        e, p = exponentials(self.beta * x)
        self.e, self.p = e, p
        y = np.log1p(e)
        y /= self.beta
        y += positive_part(x)
        return y

    def backward(self, dy: Array) -> Array:
        dx = self.p / (1 + self.e)
        dx *= dy
        return dx


class LogSigmoid(Layer):
    """y = log(1 / (1 + exp(-x))); dy/dx = sigmoid(-x).

    The logarithm of Sigmoid.
    Range (-inf, 0).
    Source: PyTorch and Keras have it under this name: minus Softplus of -x.

    Examples
    --------
    >>> LogSigmoid().forward(np.array([-100.0, 0.0, 2.0])).round(4)
    array([-100.    ,   -0.6931,   -0.1269])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return min(x, 0) - log(1 + e), with e = exp(-|x|), which can't overflow."""
        e, q = exponentials(-x)
        self.e, self.q = e, q
        y = negative_part(x)
        y -= np.log1p(e)
        return y

    def backward(self, dy: Array) -> Array:
        dx = self.q / (1 + self.e)
        dx *= dy
        return dx


class Squareplus(Rectifier):
    """y = (x + sqrt(x^2 + b)) / 2; dy/dx = y / sqrt(x^2 + b).

    A smooth ReLU without an exponential.
    Range (0, inf).
    Source: Barron (2021), Squareplus: a softplus-like algebraic rectifier, arXiv:2112.11687.

    Parameters
    ----------
    b : float
        How round the bend is: a small one makes it ReLU. The default is JAX's.

    Examples
    --------
    >>> Squareplus().forward(np.array([-1e6, 0.0, 1e6]))
    array([1.e-06, 1.e+00, 1.e+06])
    """

    b: Rate = 4.0

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0) + b / 4 / (|u| + h), with u = x / 2 and h = sqrt(u^2 + b / 4).

        So there is no cancellation where x is negative.
        """
        size = 0.5 * np.abs(x)
        h = squarable(size)
        h *= h
        h += self.b / 4
        np.sqrt(h, out=h)
        np.maximum(h, size, out=h)
        y = size + h
        np.divide(self.b / 4, y, out=y)
        y += positive_part(x)
        self.y, self.h = y, h
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy y / (2 h)."""
        dx = finite(self.y)
        dx /= finite(2 * self.h)
        dx *= dy
        return dx
