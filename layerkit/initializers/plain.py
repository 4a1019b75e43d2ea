"""Initializers that do not depend on the shape of the parameter."""

from __future__ import annotations

from dataclasses import field

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Rate
from layerkit.errors import ConfigError
from layerkit.initializers.base import Initializer, fill_normal


class Zeros(Initializer):
    """w = 0: for biases.

    Examples
    --------
    >>> w = np.empty(3)
    >>> Zeros().fill(w, np.random.default_rng(0))
    >>> w
    array([0., 0., 0.])
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        w[...] = 0


class Ones(Initializer):
    """w = 1: for the scales of normalizations.

    Examples
    --------
    >>> w = np.empty(3)
    >>> Ones().fill(w, np.random.default_rng(0))
    >>> w
    array([1., 1., 1.])
    """

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        w[...] = 1


class Constant(Initializer):
    """w = value.

    Parameters
    ----------
    value : float
        Each number of the parameter.

    Examples
    --------
    >>> b = np.empty(3)
    >>> Constant(0.5).fill(b, np.random.default_rng(0))
    >>> b
    array([0.5, 0.5, 0.5])
    """

    value: float

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        w[...] = self.value


class Normal(Initializer):
    """w ~ N(mean, std²).

    Parameters
    ----------
    std : float
        The standard deviation.
    mean : float
        The mean; by name only, as in ``Normal(0.01, mean=1.0)``.

    Examples
    --------
    >>> w = np.empty((200, 200))
    >>> Normal(0.01).fill(w, np.random.default_rng(0))
    >>> print(f"{w.std():.4f}")
    0.0100
    """

    std: Rate = 0.05
    mean: float = field(default=0.0, kw_only=True)

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        fill_normal(w, rng, self.std)
        w += self.mean


class Uniform(Initializer):
    """w ~ U(low, high).

    Parameters
    ----------
    low, high : float
        The bounds.

    Examples
    --------
    >>> w = np.empty((200, 200))
    >>> Uniform(low=0.0, high=0.5).fill(w, np.random.default_rng(0))
    >>> print(f"{w.min():.3f} {w.max():.3f}")
    0.000 0.500
    """

    low: float = -0.05
    high: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high:
            raise ConfigError(f"Uniform.low = {self.low}: should be less than high = {self.high}")

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        rng.random(out=w, dtype=w.dtype)
        w *= self.high - self.low
        w += self.low


class TruncatedNormal(Initializer):
    """w ~ N(0, std²); values beyond 2 std are drawn again.

    The cut leaves a standard deviation of 0.88 std, which is not corrected, as in Keras's
    TruncatedNormal. PyTorch's trunc_normal_ is the same only with bounds of ±2 std, which are not
    its default.

    Parameters
    ----------
    std : float
        Standard deviation before the cut.

    Examples
    --------
    >>> w = np.empty((200, 200))
    >>> TruncatedNormal(std=0.1).fill(w, np.random.default_rng(0))
    >>> print(f"{w.std():.3f} {abs(w).max():.3f}")
    0.088 0.200
    """

    std: Rate = 0.05

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        rng.standard_normal(out=w, dtype=w.dtype)
        far = abs(w) > 2
        while far.any():
            w[far] = rng.standard_normal(int(far.sum()), dtype=w.dtype)
            far = abs(w) > 2
        w *= self.std
