"""Initializers whose spread depends on the numbers of inputs and outputs of a layer.

The standard deviation or the bound is chosen so that a layer neither blows up nor shrinks what
passes through it.
"""

from __future__ import annotations

import math

import numpy as np

from layerkit.arrays import Array
from layerkit.initializers.base import Initializer, fan_in, fan_out, fill_normal


class LeCunNormal(Initializer):
    """w ~ N(0, 1 / n_in): outputs have the variance of the inputs.

    Source: LeCun et al. (1998), Efficient BackProp.

    Examples
    --------
    >>> w = np.empty((100, 50))
    >>> LeCunNormal().fill(w, np.random.default_rng(0))
    >>> print(f"{w.std():.2f}")
    0.10
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        fill_normal(w, rng, math.sqrt(1 / fan_in(w)))


class LeCunUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(3 / n_in): the same variance as `LeCunNormal`.

    Examples
    --------
    >>> w = np.empty((100, 50))
    >>> LeCunUniform().fill(w, np.random.default_rng(0))
    >>> print(f"{abs(w).max():.2f}")
    0.17
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        _uniform(w, rng, math.sqrt(3 / fan_in(w)))


class HeNormal(Initializer):
    """w ~ N(0, 2 / n_in): for ReLU, which sets half of its inputs to 0.

    Source: He et al. (2015), Delving deep into rectifiers, arXiv:1502.01852.

    Examples
    --------
    >>> w = np.empty((100, 50))
    >>> HeNormal().fill(w, np.random.default_rng(0))
    >>> print(f"{w.std():.2f}")
    0.14
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        fill_normal(w, rng, math.sqrt(2 / fan_in(w)))


class HeUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(6 / n_in): the same variance as `HeNormal`.

    Examples
    --------
    >>> w = np.empty((100, 50))
    >>> HeUniform().fill(w, np.random.default_rng(0))
    >>> print(f"{abs(w).max():.2f}")
    0.24
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        _uniform(w, rng, math.sqrt(6 / fan_in(w)))


class GlorotNormal(Initializer):
    """w ~ N(0, 2 / (n_in + n_out)): the same variance as `GlorotUniform`.

    Examples
    --------
    >>> w = np.empty((100, 50))
    >>> GlorotNormal().fill(w, np.random.default_rng(0))
    >>> print(f"{w.std():.2f}")
    0.11
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        fill_normal(w, rng, math.sqrt(2 / (fan_in(w) + fan_out(w))))


class GlorotUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(6 / (n_in + n_out)): for tanh. Keras's default.

    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward
    neural networks.

    Examples
    --------
    >>> w = np.empty((100, 50))
    >>> GlorotUniform().fill(w, np.random.default_rng(0))
    >>> print(f"{abs(w).max():.2f}")
    0.20
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        _uniform(w, rng, math.sqrt(6 / (fan_in(w) + fan_out(w))))


def _uniform(w: Array, rng: np.random.Generator, bound: float) -> None:
    rng.random(out=w, dtype=w.dtype)
    w -= 0.5
    w *= 2 * bound
