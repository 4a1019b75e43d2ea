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
    """w ~ N(0, 1 / n_in): outputs vary like inputs. LeCun et al. (1998), Efficient BackProp."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        fill_normal(w, rng, math.sqrt(1 / fan_in(w)))


class LeCunUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(3 / n_in): the variance of `LeCunNormal`."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        _uniform(w, rng, math.sqrt(3 / fan_in(w)))


class HeNormal(Initializer):
    """w ~ N(0, 2 / n_in): for ReLU. He et al. (2015), arXiv:1502.01852."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        fill_normal(w, rng, math.sqrt(2 / fan_in(w)))


class HeUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(6 / n_in): the variance of `HeNormal`."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        _uniform(w, rng, math.sqrt(6 / fan_in(w)))


class GlorotNormal(Initializer):
    """w ~ N(0, 2 / (n_in + n_out)): for tanh. The variance of `GlorotUniform`."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        fill_normal(w, rng, math.sqrt(2 / (fan_in(w) + fan_out(w))))


class GlorotUniform(Initializer):
    """w ~ U(-a, a), a = sqrt(6 / (n_in + n_out)). Glorot and Bengio (2010)."""

    def fill(self, w: Array, rng: np.random.Generator) -> None:
        _uniform(w, rng, math.sqrt(6 / (fan_in(w) + fan_out(w))))


def _uniform(w: Array, rng: np.random.Generator, bound: float) -> None:
    rng.random(out=w, dtype=w.dtype)
    w -= 0.5
    w *= 2 * bound
