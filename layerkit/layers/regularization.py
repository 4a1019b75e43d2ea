"""Dropout and noise: layers that disturb the training, so that no single number is relied on.

With ``train=False`` each returns its input.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Amount, Decay
from layerkit.initializers.base import Initializer
from layerkit.layers.base import Layer


class Noise(Layer):
    """Base of random layers: y = m x + c, dx = m dy. A subclass draws m and c in `disturb`."""

    random = True

    def init_before(self) -> Initializer:
        """The initializer that suits the layer after: noise hardly changes the variance."""
        return self.default_init

    @abstractmethod
    def disturb(self, x: Array) -> tuple[Array, Array | float]:
        """Return y = m x + c, a new array, and m."""

    def forward(self, x: Array, train: bool = True) -> Array:
        y, m = self.disturb(x) if train else (x, 1.0)
        self.m = m
        return y

    def backward(self, dy: Array) -> Array:
        return dy * self.m


class Dropout(Noise):
    """y = m x, where m is 0 with probability `rate`, else 1 / (1 - rate); dx = m dy.

    Inverted dropout: the expectation of y is x, and nothing has to be scaled when predicting.
    Each number of each example is dropped or kept independently. With ``train=False``, y = x.

    Source: Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from
    overfitting; there the weights are scaled when predicting, and p is the share that is kept.

    Parameters
    ----------
    rate : float
        The share that is dropped, as in PyTorch and Keras: from 0 up to, but not including, 1. The
        default is the source's for hidden layers; for inputs it takes about 0.2.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> dropout = Dropout(0.2)
    >>> net = Network(dropout, SoftmaxCrossEntropy(), shape=(5,))
    >>> np.unique(dropout.forward(np.ones((10, 5))))
    array([0.  , 1.25])
    """

    rate: Decay = 0.5

    def disturb(self, x: Array) -> tuple[Array, Array]:
        """Draw the mask m."""
        keep = self.rng.random(x.shape, np.float32) >= self.rate
        m = np.multiply(keep, 1 / (1 - self.rate), dtype=x.dtype)
        return x * m, m


class AlphaDropout(Noise):
    """y = a (k x + (1 - k) s) + b, where k is 0 with probability `rate`, else 1; dx = a k dy.

    Alpha dropout replaces numbers with s = -lambda alpha, the limit of SELU on the left. With
    q = 1 - rate, a = (q + s^2 q (1 - q))^(-1/2) and b = -a (1 - q) s, so that mean 0 and variance 1
    are kept. With ``train=False``, y = x. Use it after SELU, and Dropout elsewhere.

    Source: Klambauer et al. (2017), Self-normalizing neural networks, arXiv:1706.02515.

    Parameters
    ----------
    rate : float
        The share that is dropped: from 0 up to, but not including, 1.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> dropout = AlphaDropout(0.1)
    >>> net = Network(dropout, SoftmaxCrossEntropy(), shape=(1000,))
    >>> y = dropout.forward(np.random.default_rng(0).normal(size=(100, 1000)))
    >>> print(f"{abs(y.mean()):.2f} {y.var():.2f}")
    0.00 1.00
    """

    rate: Decay = 0.1

    saturation: ClassVar[float] = -1.7580993408473766

    def disturb(self, x: Array) -> tuple[Array, Array]:
        """Draw the mask m = a k; where it is 0, y = a s + b."""
        q, s = 1 - self.rate, self.saturation
        a = 1 / math.sqrt(q + s * s * q * (1 - q))
        b = -a * (1 - q) * s
        keep = self.rng.random(x.shape, np.float32) >= self.rate
        m = np.multiply(keep, a, dtype=x.dtype)
        y = x * m
        y += np.where(keep, x.dtype.type(b), x.dtype.type(a * s + b))
        return y, m


class GaussianNoise(Noise):
    """y = x + e, with e ~ N(0, std^2), drawn independently for every number; dx = dy.

    Gaussian noise on inputs or hidden layers lets a network rely less on single values, which helps
    with few examples. With ``train=False``, y = x.

    Parameters
    ----------
    std : float
        The standard deviation of the noise, in the unit of x (Keras: stddev).

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> noise = GaussianNoise(0.1)
    >>> net = Network(noise, SoftmaxCrossEntropy(), shape=(1000,))
    >>> print(f"{noise.forward(np.zeros((100, 1000))).std():.3f}")
    0.100
    """

    std: Amount = 0.1

    def disturb(self, x: Array) -> tuple[Array, float]:
        """Draw e."""
        y = x + self.std * self.rng.standard_normal(x.shape, x.dtype)
        return y, 1.0
