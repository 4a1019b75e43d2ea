"""Swish and its relatives: x times a gate that x itself opens."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from layerkit.arrays import Array, above_minus_inf, exponentials, finite, one_where
from layerkit.config.options import Rate
from layerkit.layers.activations.rectifiers import Rectifier


class SiLU(Rectifier):
    """y = x sigmoid(beta x); dy/dx = s (1 + beta x (1 - s)), with s = sigmoid(beta x).

    The sigmoid linear unit, also known as Swish.
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
        """Return x s, with u = beta x, e = exp(-|u|) and s = exp(min(u, 0)) / (1 + e)."""
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
    """y = x t, with t = tanh(softplus(x)); dy/dx = t + x (1 - t^2) sigmoid(x).

    A smooth ReLU, close to SiLU.
    Range [-0.3088, inf).
    Source: Misra (2019), Mish: a self regularized non-monotonic activation function,
    arXiv:1908.08681.

    Examples
    --------
    >>> Mish().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([-0.2525,  0.    ,  1.944 ])
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
        """Return dy (t + 4 x p q^2 (p + q) / m^2)."""
        dx = 1 + self.e
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

    The exponential linear sigmoid squashing: SiLU on the right, ELU times Sigmoid on the left.
    Range [-0.1716, inf).
    Source: Basirat and Roth (2018), The quest for the golden activation function, arXiv:1808.00783.

    Examples
    --------
    >>> ELiSH().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([-0.1031,  0.    ,  1.7616])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return m s, with s = p / (1 + e), e = exp(-|x|) and p = exp(min(x, 0))."""
        e, p = exponentials(x)
        m = np.expm1(np.minimum(x, 0))
        m += np.maximum(x, 0)
        d = 1 + e
        self.e, self.p, self.m, self.d = e, p, m, d
        y = m * p
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

    Swish (SiLU) with HardSigmoid as its gate, without an exponential.
    Range [-0.375, inf).
    Not differentiable at -3 and 3, where the derivative is taken as 0 and 1.
    Source: Howard et al. (2019), Searching for MobileNetV3, arXiv:1905.02244.

    Examples
    --------
    >>> HardSwish().forward(np.array([-1.5, 0.0, 4.0]))
    array([-0.375,  0.   ,  4.   ])
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
        """Return dx = dy (u + x / 6) where |x| < 3, else dx = dy u."""
        dx = one_where(np.abs(self.x) < 3, self.x)
        dx *= finite(self.x)
        dx /= 6
        dx += self.u
        dx *= dy
        return dx


class GELU(Rectifier):
    """y = x P(x); dy/dx = P(x) + x P'(x), with P(x) = (1 + erf(x / sqrt(2))) / 2.

    The Gaussian error linear unit: P(x) is the probability that a number drawn from the standard
    normal distribution is below x.
    With an approximation of P, y differs by at most 0.0005 (tanh) or 0.021 (sigmoid).
    Range [-0.17, inf).
    Source: Hendrycks and Gimpel (2016), Gaussian error linear units (GELUs), arXiv:1606.08415.

    Parameters
    ----------
    approximate : str
        ``"none"``, the default as in PyTorch and Keras;
        ``"tanh"``, P(x) = (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), as in GPT-2;
        ``"sigmoid"``, P(x) = sigmoid(1.702 x). Their curves look like one.

    Examples
    --------
    >>> x = np.array([-1.0, 1.0])
    >>> GELU().forward(x).round(4), GELU("sigmoid").forward(x).round(4)
    (array([-0.1587,  0.8413]), array([-0.1542,  0.8458]))
    """

    approximate: Literal["none", "tanh", "sigmoid"] = "none"

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return x P. Since (1 + tanh(u)) / 2 = sigmoid(2u), two of the forms have sigmoids."""
        if self.approximate == "none":
            P = distribution()(x)
        else:
            e, P = exponentials(self.exponent(x))
            P /= 1 + e
            self.e = e
        self.x, self.P = x, P
        y = above_minus_inf(x)
        y *= P
        return y

    def backward(self, dy: Array) -> Array:
        dx = self.density()
        dx *= finite(self.x)
        dx += self.P
        dx *= dy
        return dx

    def density(self) -> Array:
        """Return P'(x): of a sigmoid, e / (1 + e)^2 dv/dx."""
        if self.approximate == "none":
            u = np.clip(self.x, -40, 40)  # beyond, the result is 0, and the square may overflow
            u *= u
            u *= -0.5
            np.exp(u, out=u)
            u *= 1 / math.sqrt(2 * math.pi)
            return u
        d = 1 + self.e
        d *= d
        np.divide(self.e, d, out=d)
        d *= self.exponent_slope()
        return d

    def exponent(self, x: Array) -> Array:
        """Return v, where P = sigmoid(v)."""
        u = np.clip(x, -1e4, 1e4)
        if self.approximate == "sigmoid":
            u *= 1.702
            return u
        v = u * u
        v *= math.sqrt(8 / math.pi) * 0.044715
        v += math.sqrt(8 / math.pi)
        v *= u
        return v

    def exponent_slope(self) -> Array | float:
        """Return dv/dx."""
        if self.approximate == "sigmoid":
            return 1.702
        u = np.clip(self.x, -1e4, 1e4)
        u *= u
        u *= math.sqrt(8 / math.pi) * 3 * 0.044715
        u += math.sqrt(8 / math.pi)
        return u


def distribution() -> Callable[[Array], Array]:
    """Return P of the standard normal distribution: SciPy's, or where there is none, our own."""
    try:
        from scipy.special import ndtr
    except ImportError:
        from layerkit.layers.activations.normal import ndtr
    return ndtr
