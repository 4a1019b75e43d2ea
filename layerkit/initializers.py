"""Ways to fill a parameter before training, in place.

Each multiplies by its standard deviation or its bound, chosen so that a layer neither blows up
nor shrinks what passes through it. With W of shape (..., n_in, n_out), n_in is what one output
adds up: all axes but the last; n_out is what one input is spread over: all but the last but one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from layerkit.config import Configurable
from layerkit.parameters import Array


class Initializer(Configurable, ABC):
    """A way to fill a parameter. A subclass writes `fill`.

    Examples
    --------
    >>> class Halves(Initializer):
    ...     def fill(self, w, rng):
    ...         w[...] = 0.5
    >>> w = np.empty((1, 2), "float32")
    >>> Halves().fill(w, np.random.default_rng(0))
    >>> w
    array([[0.5, 0.5]], dtype=float32)
    """

    @abstractmethod
    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Overwrite `w`, drawing from `rng` what is random."""


class Zeros(Initializer):
    """w = 0: for biases."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Set all to 0."""
        w[...] = 0


class Ones(Initializer):
    """w = 1: for the gains of a normalisation."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Set all to 1."""
        w[...] = 1


class Constant(Initializer):
    """w = value.

    Parameters
    ----------
    value : float
        What each number of the parameter is.
    """

    value: float

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Set all to `value`."""
        w[...] = self.value


class LeCunNormal(Initializer):
    """w ~ N(0, 1 / n_in): the tutorial's. LeCun et al. (1998), Efficient BackProp."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Draw from the normal distribution."""
        _normal(w, rng, math.sqrt(1 / fan_in(w)))


class LeCunUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(3 / n_in): the variance of `LeCunNormal`."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Draw from the uniform distribution."""
        _uniform(w, rng, math.sqrt(3 / fan_in(w)))


class HeNormal(Initializer):
    """w ~ N(0, 2 / n_in): for ReLU. He et al. (2015), arXiv:1502.01852."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Draw from the normal distribution."""
        _normal(w, rng, math.sqrt(2 / fan_in(w)))


class HeUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(6 / n_in): the variance of `HeNormal`."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Draw from the uniform distribution."""
        _uniform(w, rng, math.sqrt(6 / fan_in(w)))


class GlorotNormal(Initializer):
    """w ~ N(0, 2 / (n_in + n_out)): for tanh. The variance of `GlorotUniform`."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Draw from the normal distribution."""
        _normal(w, rng, math.sqrt(2 / (fan_in(w) + fan_out(w))))


class GlorotUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(6 / (n_in + n_out)). Glorot and Bengio (2010)."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Draw from the uniform distribution."""
        _uniform(w, rng, math.sqrt(6 / (fan_in(w) + fan_out(w))))


def fan_in(w: Array) -> int:
    """How many inputs one output adds up.

    Examples
    --------
    >>> fan_in(np.empty((784, 64)))
    784
    """
    return math.prod(w.shape[:-1])


def fan_out(w: Array) -> int:
    """How many outputs one input goes to.

    Examples
    --------
    >>> fan_out(np.empty((784, 64)))
    64
    """
    return math.prod(w.shape) // w.shape[-2] if w.ndim > 1 else math.prod(w.shape)


def _normal(w: Array, rng: np.random.Generator, deviation: float) -> None:
    rng.standard_normal(out=w, dtype=w.dtype)
    w *= deviation


def _uniform(w: Array, rng: np.random.Generator, bound: float) -> None:
    rng.random(out=w, dtype=w.dtype)
    w -= 0.5
    w *= 2 * bound
