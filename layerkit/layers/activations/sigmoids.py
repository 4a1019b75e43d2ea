"""Sigmoids: S-shaped activations, which level off on both sides."""

from __future__ import annotations

import math

import numpy as np

from layerkit.arrays import (
    Array,
    exponentials,
    finite,
    negative_part,
    one_where,
    positive_part,
    squarable,
)
from layerkit.config.options import Rate
from layerkit.errors import ConfigError
from layerkit.initializers.base import Initializer
from layerkit.initializers.scaled import GlorotUniform
from layerkit.layers.base import Layer


class Saturating(Layer):
    """Base of the activations like tanh: nearly y = x near 0, and level far from it."""

    def init_before(self) -> Initializer:
        """Glorot initialization, which keeps their inputs near 0."""
        return GlorotUniform()


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x)); dy/dx = y (1 - y).

    The logistic function.
    Range (0, 1).
    Source: Rumelhart, Hinton and Williams (1986), Learning representations by back-propagating
    errors.

    With e = exp(-|x|), which can't overflow: y = exp(min(x, 0)) / (1 + e), dy/dx = e / (1 + e)^2.
    The same numbers, but exact where 1 - y would round to 0.

    Examples
    --------
    >>> sigmoid = Sigmoid()
    >>> sigmoid.forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([0.1192, 0.5   , 0.8808])
    >>> sigmoid.backward(np.array([1.0, 1.0, 1.0])).round(4)
    array([0.105, 0.25 , 0.105])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return exp(min(x, 0)) s, with s = 1 / (1 + e)."""
        e, y = exponentials(x)
        s = 1 / (1 + e)
        self.e, self.s = e, s
        y *= s
        return y

    def backward(self, dy: Array) -> Array:
        dx = self.e * self.s
        dx *= self.s
        dx *= dy
        return dx


class Tanh(Saturating):
    """y = tanh(x); dy/dx = 1 - y^2 = 1 / cosh(x)^2.

    The hyperbolic tangent.
    Range (-1, 1).
    Source: LeCun et al. (1998), Efficient BackProp.

    Examples
    --------
    >>> Tanh().forward(np.array([-2.0, 0.0, 2.0])).round(4)
    array([-0.964,  0.   ,  0.964])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return np.tanh(x)

    @np.errstate(over="ignore")
    def backward(self, dy: Array) -> Array:
        """Return dy / cosh(x)^2, exact where 1 - y^2 would round to 0."""
        s = 1 / np.cosh(self.x)
        dx = s * s
        dx *= dy
        return dx


class LeCunTanh(Saturating):
    """y = 1.7159 tanh(2x/3); dy/dx = 1.7159 (2/3) / cosh(2x/3)^2.

    Tanh scaled so that y(1) = 1 and y(-1) = -1, the targets of two classes.
    Range (-1.7159, 1.7159).
    Source: LeCun et al. (1998), Efficient BackProp.

    Examples
    --------
    >>> LeCunTanh().forward(np.array([-1.0, 0.0, 1.0])).round(4)
    array([-1.,  0.,  1.])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        y = x * (2 / 3)
        np.tanh(y, out=y)
        y *= 1.7159
        self.x, self.y = x, y
        return y

    @np.errstate(over="ignore")
    def backward(self, dy: Array) -> Array:
        """Return 1.7159 (2/3) dy / cosh(u + r)^2, where u is 2x/3 after rounding.

        r is what rounding took; to first order in r, cosh(u + r) = cosh(u) (1 + r tanh(u)).
        """
        r = finite(self.x)
        u = r * (2 / 3)
        r -= u
        r *= 2
        r -= u  # 2 (x - u) - u = 3 r, and no step is rounded
        r *= self.y
        r *= -2 / 3 / 1.7159
        r += 1
        np.cosh(u, out=u)
        dx = dy * r
        dx *= 1.7159 * 2 / 3
        dx /= u
        dx /= u
        return dx


class SmoothTanh(Saturating):
    """y = (exp(ax) - exp(-bx)) / (exp(cx) + exp(-dx)); dy/dx by the quotient rule.

    Soboleva's modified tanh.
    With the defaults it is tanh; it returns to 0 on the right where a < c, on the left where b < d.
    Range (-1, 1).
    Source: Soboleva and Beskorovainyi (2008), The utility function in problems of structural
    optimization of distributed objects. Wikipedia: Soboleva modified hyperbolic tangent.

    Parameters
    ----------
    a, b, c, d : float
        The rates of the four exponentials, with a <= c and b <= d, so that y has a limit on both
        sides.

    Raises
    ------
    ConfigError
        When a is above c, or b above d.

    Examples
    --------
    >>> SmoothTanh(c=2.0, d=2.0).forward(np.array([-1.0, 0.0, 1.0])).round(3)
    array([-0.312,  0.   ,  0.312])
    """

    a: Rate = 1.0
    b: Rate = 1.0
    c: Rate = 1.0
    d: Rate = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.a > self.c:
            raise ConfigError(f"SmoothTanh.a = {self.a}: should be at most c, {self.c}")
        if self.b > self.d:
            raise ConfigError(f"SmoothTanh.b = {self.b}: should be at most d, {self.d}")

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Divide both by their larger exponential: |y| = g (1 - e) / (1 + f).

        With e = exp(-(a + b) |x|), f = exp(-(c + d) |x|), and g, the quotient of the two larger
        exponentials: exp((a - c) x) where x > 0, else exp((d - b) x).
        """
        x = finite(x)
        f, C = exponentials((self.c + self.d) * x)
        g = 1 / (1 + f)
        if self.a < self.c or self.b < self.d:  # else the exponent is 0
            g *= np.exp((self.a - self.c) * positive_part(x) - (self.b - self.d) * negative_part(x))
        self.x, self.f, self.C, self.g = x, f, C, g
        y = np.abs(x)
        y *= -(self.a + self.b)
        np.expm1(y, out=y)
        y *= g
        return np.copysign(y, x, out=y)

    @np.errstate(over="ignore")
    def backward(self, dy: Array) -> Array:
        """Return dy g s / (1 + f)^2, s = (a - c) A C + (b + c) B C + (a + d) A D + (b - d) B D.

        A, B, C and D are exp(ax), exp(-bx), exp(cx) and exp(-dx), divided as in `forward`: A or B
        is 1, and C or D.
        """
        e, A = exponentials((self.a + self.b) * self.x)
        left = (self.x < 0).astype(dy.dtype)
        B, D = np.maximum(e, left), np.maximum(self.f, left)
        dx = (self.a - self.c) * A
        dx += (self.b + self.c) * B
        dx *= self.C
        A *= self.a + self.d
        B *= self.b - self.d
        A += B
        A *= D
        dx += A
        dx *= self.g
        dx /= 1 + self.f
        dx *= dy
        return dx


class Softsign(Saturating):
    """y = x / (1 + |x|); dy/dx = 1 / (1 + |x|)^2.

    S-shaped like tanh, but slower to level off.
    Range (-1, 1).
    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward
    neural networks.

    Examples
    --------
    >>> Softsign().forward(np.array([-3.0, 0.0, 1.0]))
    array([-0.75,  0.  ,  0.5 ])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        x = finite(x)
        d = np.abs(x)
        d += 1
        self.d = d
        return x / d

    def backward(self, dy: Array) -> Array:
        s = 1 / self.d
        dx = s * s
        dx *= dy
        return dx


class ArcTan(Saturating):
    """y = arctan(x); dy/dx = 1 / (1 + x^2).

    The arctangent, which levels off more slowly than Tanh.
    Range (-pi / 2, pi / 2).
    Source: Wikipedia, Activation function.

    Examples
    --------
    >>> ArcTan().forward(np.array([-1e4, 0.0, 1.0])).round(4)
    array([-1.5707,  0.    ,  0.7854])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return np.arctan(x)

    @np.errstate(over="ignore")
    def backward(self, dy: Array) -> Array:
        d = self.x * self.x
        d += 1
        return dy / d


class ISRU(Saturating):
    """y = x / sqrt(1 + alpha x^2); dy/dx = 1 / sqrt(1 + alpha x^2)^3.

    The inverse square root unit.
    Range (-1/sqrt(alpha), 1/sqrt(alpha)).
    Source: Carlile et al. (2017), Improving deep learning by inverse square root linear units
    (ISRLUs), arXiv:1710.09967.

    Parameters
    ----------
    alpha : float
        The limits are -1 / sqrt(alpha) and 1 / sqrt(alpha). The default is the paper's.

    Examples
    --------
    >>> ISRU(alpha=4.0).forward(np.array([-1e9, 0.0, 1e9]))
    array([-0.5,  0. ,  0.5])
    """

    alpha: Rate = 1.0

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return u / (sqrt(1 + u^2) sqrt(alpha)), with u = x sqrt(alpha)."""
        u = squarable(x * math.sqrt(self.alpha))
        h = np.sqrt(1 + u * u)
        self.h = h
        u /= h
        u /= math.sqrt(self.alpha)
        return u

    def backward(self, dy: Array) -> Array:
        s = 1 / self.h
        dx = s * s
        dx *= s
        dx *= dy
        return dx


class SQNL(Saturating):
    """y = u - u |u| / 4, with u = min(max(x, -2), 2); dy/dx = 1 - |u| / 2.

    The square nonlinearity: two parabolas in the shape of tanh.
    Range [-1, 1].
    Source: Wuraola and Patel (2018), SQNL: a new computationally efficient activation function.

    Examples
    --------
    >>> SQNL().forward(np.array([-3.0, 0.0, 1.0]))
    array([-1.  ,  0.  ,  0.75])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        u = np.clip(x, -2, 2)
        self.u = u
        y = np.abs(u)
        y *= -0.25
        y += 1
        y *= u
        return y

    def backward(self, dy: Array) -> Array:
        dx = np.abs(self.u)
        dx *= -0.5
        dx += 1
        dx *= dy
        return dx


class HardTanh(Saturating):
    """y = min(max(x, min_val), max_val); dy/dx = 1 where min_val < x < max_val, else 0.

    The hard tanh: by default, tanh made of straight lines.
    Range [min_val, max_val].
    Not differentiable at min_val and max_val, where the derivative is taken as 0.
    Source: Collobert (2004), Large scale machine learning. Options as in PyTorch.

    Parameters
    ----------
    min_val, max_val : float
        The smallest y and the largest.

    Raises
    ------
    ConfigError
        When min_val is not below max_val.

    Examples
    --------
    >>> HardTanh(max_val=2.0).forward(np.array([-3.0, 0.5, 3.0]))
    array([-1. ,  0.5,  2. ])
    """

    min_val: float = -1.0
    max_val: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.min_val < self.max_val:
            raise ConfigError(
                f"HardTanh.min_val = {self.min_val}: should be below max_val, {self.max_val}"
            )

    def forward(self, x: Array, train: bool = True) -> Array:
        y = np.clip(x, self.min_val, self.max_val)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        dx = one_where((self.y > self.min_val) & (self.y < self.max_val), self.y)
        dx *= dy
        return dx


class HardSigmoid(Layer):
    """y = min(max(x + 3, 0), 6) / 6; dy/dx = 1/6 where -3 < x < 3, else 0.

    The hard sigmoid: Sigmoid made of straight lines.
    Range [0, 1].
    Not differentiable at -3 and 3, where the derivative is taken as 0.
    Source: Howard et al. (2019), Searching for MobileNetV3, arXiv:1905.02244. PyTorch's and that of
    Keras 3; Keras 2 had x / 5 + 1/2, and Courbariaux et al. x / 2 + 1/2.

    Examples
    --------
    >>> HardSigmoid().forward(np.array([-4.0, 0.0, 1.5, 4.0]))
    array([0.  , 0.5 , 0.75, 1.  ])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        y = np.clip(x + 3, 0, 6)
        y /= 6
        return y

    def backward(self, dy: Array) -> Array:
        dx = one_where(np.abs(self.x) < 3, self.x)
        dx /= 6
        dx *= dy
        return dx
