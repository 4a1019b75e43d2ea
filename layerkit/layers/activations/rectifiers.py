"""ReLU and its relatives: piecewise linear functions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from layerkit.arrays import Array, one_where
from layerkit.config.options import Share
from layerkit.errors import ConfigError
from layerkit.initializers.base import Initializer
from layerkit.initializers.scaled import HeNormal
from layerkit.layers.base import Layer


class Rectifier(Layer):
    """Base of the activations that let positive numbers pass and hold back negative ones."""

    def init_before(self) -> Initializer:
        """He initialization, which makes up for the half that is held back."""
        return HeNormal()


class ReLU(Rectifier):
    """y = max(x, 0); dy/dx = 1 where x > 0, else 0.

    The rectified linear unit.
    Range [0, inf).
    Not differentiable at 0, where the derivative is taken as 0.
    Source: Nair and Hinton (2010), Rectified linear units improve restricted Boltzmann machines.

    Examples
    --------
    >>> relu = ReLU()
    >>> relu.forward(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    >>> relu.backward(np.array([1.0, 1.0, 1.0]))
    array([0., 0., 1.])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        y = np.maximum(x, 0)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy where x > 0, else 0: since y >= 0, its sign is the derivative."""
        return dy * np.sign(self.y)


class LeakyReLU(Rectifier):
    """y = max(x, negative_slope x); dy/dx = 1 where x > 0, else negative_slope.

    The leaky ReLU, with a small slope on the left.
    Range (-inf, inf).
    Not differentiable at 0, where the derivative is taken as negative_slope.
    Source: Maas, Hannun and Ng (2013), Rectifier nonlinearities improve neural network acoustic
    models.

    Parameters
    ----------
    negative_slope : float
        The slope for x < 0, from 0 to 1. The default is PyTorch's; Keras has 0.3.

    Examples
    --------
    >>> LeakyReLU(0.1).forward(np.array([-2.0, 3.0]))
    array([-0.2,  3. ])
    """

    negative_slope: Share = 0.01

    def forward(self, x: Array, train: bool = True) -> Array:
        y = self.negative_slope * x
        np.maximum(x, y, out=y)
        self.x = x
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy times the larger of sign(x) and negative_slope: 1 where x > 0."""
        dx = np.sign(self.x)
        np.maximum(dx, self.negative_slope, out=dx)
        dx *= dy
        return dx


class RReLU(Rectifier):
    """y = x where x > 0, else a x; dy/dx = 1 where x > 0, else a.

    The randomized leaky ReLU: in training a is drawn from [lower, upper] for each number; when
    predicting, it is the mean (lower + upper) / 2.
    Range (-inf, inf).
    Not differentiable at 0, where the derivative is taken as a.
    Source: Xu, Wang, Chen and Li (2015), Empirical evaluation of rectified activations in
    convolutional network, arXiv:1505.00853.

    Parameters
    ----------
    lower, upper : float
        a ~ U(lower, upper), from 0 to 1. The defaults are PyTorch's, 1/8 and 1/3.

    Raises
    ------
    ConfigError
        When lower is above upper.

    Examples
    --------
    >>> RReLU(0.1, 0.3).forward(np.array([-2.0, 3.0]), train=False)
    array([-0.4,  3. ])
    """

    lower: Share = 1 / 8
    upper: Share = 1 / 3
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lower > self.upper:
            raise ConfigError(f"RReLU.lower = {self.lower}: should be at most upper, {self.upper}")

    def forward(self, x: Array, train: bool = True) -> Array:
        a: Array | float = (self.lower + self.upper) / 2
        if train:
            a = (self.upper - self.lower) * self.rng.random(x.shape, x.dtype)
            a += self.lower
        self.x, self.a = x, a
        y = a * x
        np.maximum(x, y, out=y)
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy times the larger of sign(x) and a: 1 where x > 0, else a."""
        dx = np.sign(self.x)
        np.maximum(dx, self.a, out=dx)
        dx *= dy
        return dx


class ReLU6(Rectifier):
    """y = min(max(x, 0), 6); dy/dx = 1 where 0 < x < 6, else 0.

    The rectified linear unit, cut off at 6.
    Range [0, 6].
    Not differentiable at 0 and 6, where the derivative is taken as 0.
    Source: Krizhevsky (2010), Convolutional deep belief networks on CIFAR-10.

    Examples
    --------
    >>> ReLU6().forward(np.array([-2.0, 3.0, 9.0]))
    array([0., 3., 6.])
    """

    def forward(self, x: Array, train: bool = True) -> Array:
        y = np.clip(x, 0, 6)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        dx = one_where((self.y > 0) & (self.y < 6), self.y)
        dx *= dy
        return dx


class SquaredReLU(Rectifier):
    """y = max(x, 0)^2; dy/dx = 2 max(x, 0).

    The square of ReLU.
    Range [0, inf).
    Source: So et al. (2021), Primer: searching for efficient transformers for language modeling,
    arXiv:2109.08668.

    Examples
    --------
    >>> SquaredReLU().forward(np.array([-2.0, 0.5, 3.0]))
    array([0.  , 0.25, 9.  ])
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the square of what is positive; inf where that is too large a number."""
        r = np.maximum(x, 0)
        self.r = r
        return r * r

    @np.errstate(over="ignore")
    def backward(self, dy: Array) -> Array:
        dx = 2 * self.r
        dx *= dy
        return dx


class Threshold(Rectifier):
    """y = x where x > threshold, else value; dy/dx = 1 where x > threshold, else 0.

    ReLU with a threshold and a value of its own.
    Range {value} and (threshold, inf).
    Not differentiable at threshold, where the derivative is taken as 0.
    Source: Konda, Memisevic and Krueger (2014), Zero-bias autoencoders and the benefits of
    co-adapting features, arXiv:1402.3337. PyTorch's Threshold, with the defaults of the
    ThresholdedReLU of Keras 2.

    Parameters
    ----------
    threshold : float
        The number that x has to exceed.
    value : float
        The number that replaces an x that does not.

    Examples
    --------
    >>> Threshold(0.5, value=-1.0).forward(np.array([0.4, 0.6]))
    array([-1. ,  0.6])
    """

    threshold: float = 1.0
    value: float = 0.0

    def forward(self, x: Array, train: bool = True) -> Array:
        kept = x > self.threshold
        m = np.maximum(x, self.threshold)
        self.m = m
        y = m * kept
        y += np.multiply(~kept, self.value, dtype=x.dtype)
        return y

    def backward(self, dy: Array) -> Array:
        dx = one_where(self.m > self.threshold, self.m)
        dx *= dy
        return dx
