"""GELU, in its exact form and in the two that do without the error function."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from layerkit.layers.numbers import above_minus_inf, exponentials, finite
from layerkit.layers.rectifiers import Rectifier
from layerkit.parameters import Array


class GELU(Rectifier):
    """y = x P(x); dy/dx = P(x) + x P'(x), with P(x) = (1 + erf(x / sqrt(2))) / 2.

    P(x) is the probability that a number drawn from the standard normal distribution is below x.
    Range [-0.17, inf).
    Source: Hendrycks and Gimpel (2016), Gaussian error linear units (GELUs), arXiv:1606.08415.

    Parameters
    ----------
    approximate : str
        ``"none"``, the default as in PyTorch and Keras;
        ``"tanh"``, P(x) = (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as in GPT-2;
        ``"sigmoid"``, P(x) = sigmoid(1.702 x).

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
            from scipy.special import ndtr

            P: Array = ndtr(x)
        else:
            e, P = exponentials(self.exponent(x))
            P /= 1 + e
            self.e = e
        self.x, self.P = x, P
        y = above_minus_inf(x)
        y *= P
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy (P + x P')."""
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
        d: Array = 1 + self.e
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
        v: Array = u * u
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
