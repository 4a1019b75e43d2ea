"""Smooth relatives of ReLU."""

from __future__ import annotations

import math

import numpy as np

from layerkit.config import Rate
from layerkit.layers.base import Layer
from layerkit.layers.numbers import (
    above_minus_inf,
    exponentials,
    finite,
    negative_part,
    one_where,
    positive_part,
    squarable,
)
from layerkit.layers.rectifiers import Rectifier
from layerkit.parameters import Array


class ELU(Rectifier):
    """y = x where x > 0, else alpha (exp(x) - 1); dy/dx = 1 where x > 0, else alpha exp(x).

    Range (-alpha, inf).
    Not differentiable at 0 unless alpha = 1, where the derivative is taken as alpha.
    Source: Clevert, Unterthiner and Hochreiter (2015), Fast and accurate deep network learning by
    exponential linear units (ELUs), arXiv:1511.07289.

    Parameters
    ----------
    alpha : float
        The default is PyTorch's and Keras's.

    Examples
    --------
    >>> ELU(alpha=2.0).forward(np.array([-1e4, 0.0, 3.0]))
    array([-2.,  0.,  3.])
    """

    alpha: Rate = 1.0

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0) + alpha (exp(min(x, 0)) - 1): one of the two is 0."""
        self.x = x
        y: Array = np.expm1(np.minimum(x, 0))
        y *= self.alpha
        y += np.maximum(x, 0)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy, times alpha exp(x) where x <= 0."""
        dx: Array = np.exp(np.minimum(self.x, 0))
        if self.alpha != 1:
            dx *= 1 + (self.alpha - 1) * (self.x <= 0).astype(dy.dtype)
        dx *= dy
        return dx


class SELU(Layer):
    """y = scale x where x > 0, else scale alpha (exp(x) - 1); dy/dx = scale or scale alpha exp(x).

    With scale = 1.0507… and alpha = 1.6732…, for which mean 0 and variance 1 are kept from layer to
    layer.
    Range (-1.7581, inf).
    Not differentiable at 0, where the derivative is taken as scale alpha.
    Source: Klambauer, Unterthiner, Mayr and Hochreiter (2017), Self-normalizing neural networks,
    arXiv:1706.02515.
    """

    scale = 1.0507009873554804934193349852946
    alpha = 1.6732632423543772848170429916717

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return scale (max(x, 0) + alpha (exp(min(x, 0)) - 1)): one of the two is 0."""
        self.x = x
        y: Array = np.expm1(np.minimum(x, 0))
        y *= self.alpha
        y += np.maximum(x, 0)
        y *= self.scale
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy scale, times alpha exp(x) where x <= 0."""
        dx: Array = np.exp(np.minimum(self.x, 0))
        dx *= 1 + (self.alpha - 1) * (self.x <= 0).astype(dy.dtype)
        dx *= self.scale
        dx *= dy
        return dx


class CELU(Rectifier):
    """y = x where x > 0, else alpha (exp(x / alpha) - 1); dy/dx = exp(min(x, 0) / alpha).

    Range (-alpha, inf).
    Source: Barron (2017), Continuously differentiable exponential linear units, arXiv:1704.07483.

    Parameters
    ----------
    alpha : float
        The default is PyTorch's.

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
        y: Array = np.expm1(u)
        y *= self.alpha
        y += np.maximum(x, 0)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy exp(min(x, 0) / alpha)."""
        dx: Array = np.exp(self.u)
        dx *= dy
        return dx


class ISRLU(Rectifier):
    """y = x where x > 0, else x / sqrt(1 + alpha x^2); dy/dx = 1 or 1 / sqrt(1 + alpha x^2)^3.

    Range (-1/sqrt(alpha), inf).
    Source: Carlile et al. (2017), Improving deep learning by inverse square root linear units
    (ISRLUs), arXiv:1710.09967.

    Parameters
    ----------
    alpha : float
        The default is the paper's.

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
        """Return dy / sqrt(1 + alpha min(x, 0)^2)^3."""
        s: Array = 1 / self.h
        dx: Array = s * s
        dx *= s
        dx *= dy
        return dx


class Softplus(Rectifier):
    """y = log(1 + exp(beta x)) / beta; dy/dx = sigmoid(beta x).

    Range (0, inf).
    Source: Dugas et al. (2000), Incorporating second-order functional knowledge for better option
    pricing.

    Parameters
    ----------
    beta : float
        The default is PyTorch's, which needs a threshold beyond which y = x; this is exact.

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
        y: Array = np.log1p(e)
        y /= self.beta
        y += positive_part(x)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy sigmoid(beta x)."""
        dx: Array = self.p / (1 + self.e)
        dx *= dy
        return dx


class LogSigmoid(Layer):
    """y = log(1 / (1 + exp(-x))); dy/dx = sigmoid(-x).

    Range (-inf, 0).
    Source: PyTorch and Keras have it under this name; it is -softplus(-x).
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return min(x, 0) - log(1 + e), with e = exp(-|x|), which can't overflow."""
        e, q = exponentials(-x)
        self.e, self.q = e, q
        y = negative_part(x)
        y -= np.log1p(e)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy sigmoid(-x)."""
        dx: Array = self.q / (1 + self.e)
        dx *= dy
        return dx


class Squareplus(Rectifier):
    """y = (x + sqrt(x^2 + b)) / 2; dy/dx = y / sqrt(x^2 + b).

    Range (0, inf).
    Source: Barron (2021), Squareplus: a softplus-like algebraic rectifier, arXiv:2112.11687.

    Parameters
    ----------
    b : float
        The default is JAX's.

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
        size: Array = 0.5 * np.abs(x)
        h = squarable(size)
        h *= h
        h += self.b / 4
        np.sqrt(h, out=h)
        np.maximum(h, size, out=h)
        y: Array = size + h
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


class SiLU(Rectifier):
    """y = x sigmoid(beta x); dy/dx = s (1 + beta x (1 - s)) with s = sigmoid(beta x).

    Range [-0.2785 / beta, inf).
    Source: Elfwing, Uchibe and Doya (2017), Sigmoid-weighted linear units, arXiv:1702.03118;
    Ramachandran, Zoph and Le (2017), Searching for activation functions, arXiv:1710.05941, with
    beta, as Swish. PyTorch and Keras have beta = 1, Keras under both names.

    Parameters
    ----------
    beta : float
        How steep: near 0 it is x / 2, a large one makes it ReLU; 1 is the usual one.

    Examples
    --------
    >>> SiLU(beta=10.0).forward(np.array([-1.0, 0.0, 1.0])).round(2)
    array([-0.,  0.,  1.])
    """

    beta: Rate = 1.0

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return x s, with s = p / (1 + e)."""
        e, s = exponentials(self.beta * x)
        s /= 1 + e
        self.x, self.e, self.s = x, e, s
        y = above_minus_inf(x)
        y *= s
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy (s + beta x e / (1 + e)^2)."""
        dx = finite(self.x)
        dx *= self.e
        dx *= self.beta
        dx /= (1 + self.e) ** 2
        dx += self.s
        dx *= dy
        return dx


class Mish(Rectifier):
    """y = x t with t = tanh(softplus(x)); dy/dx = t + x (1 - t^2) sigmoid(x).

    Range [-0.3088, inf).
    Source: Misra (2019), Mish: a self regularized non-monotonic activation function,
    arXiv:1908.08681.
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return x n / m, with exp(x) = p / q: n = p^2 + 2 p q and m = p^2 + 2 p q + 2 q^2."""
        e, p = exponentials(x)
        q = np.maximum(e, (x < 0).astype(x.dtype))
        n = p * p
        n += 2 * e
        m = q * q
        m *= 2
        m += n
        n /= m
        self.x, self.e, self.q, self.m, self.t = x, e, q, m, n
        y = above_minus_inf(x)
        y *= n
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy (t + x 4 p q^2 (p + q) / m^2)."""
        dx: Array = 1 + self.e
        dx *= self.e
        dx *= self.q
        dx /= self.m
        dx /= self.m
        dx *= 4
        dx *= finite(self.x)
        dx += self.t
        dx *= dy
        return dx


class ELiSH(Rectifier):
    """y = m sigmoid(x), with m = x where x >= 0, else exp(x) - 1; dy/dx by the product rule.

    Range [-0.1716, inf).
    Source: Basirat and Roth (2018), The quest for the golden activation function, arXiv:1808.00783.
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return m s, with s = p / (1 + e)."""
        e, p = exponentials(x)
        m = np.expm1(np.minimum(x, 0))
        m += np.maximum(x, 0)
        d = 1 + e
        self.e, self.p, self.m, self.d = e, p, m, d
        y: Array = m * p
        y /= d
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy (p^2 + m e / (1 + e)) / (1 + e): p is the derivative of m."""
        dx = finite(self.m)
        dx *= self.e
        dx /= self.d
        dx += self.p * self.p
        dx /= self.d
        dx *= dy
        return dx


class HardSwish(Rectifier):
    """y = x min(max(x + 3, 0), 6) / 6; dy/dx = 0 where x <= -3, 1 where x >= 3, else (2x + 3) / 6.

    Range [-0.375, inf).
    Not differentiable at -3 and 3, where the derivative is taken as 0 and 1.
    Source: Howard et al. (2019), Searching for MobileNetV3, arXiv:1905.02244.
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return x u, with u = min(max(x + 3, 0), 6) / 6."""
        u = np.clip(x + 3, 0, 6)
        u /= 6
        self.x, self.u = x, u
        y = above_minus_inf(x)
        y *= u
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy (u + x / 6) where |x| < 3, else dy u."""
        dx = one_where(np.abs(self.x) < 3, self.x)
        dx *= finite(self.x)
        dx /= 6
        dx += self.u
        dx *= dy
        return dx
