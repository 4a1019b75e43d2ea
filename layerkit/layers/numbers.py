"""What activations do with numbers that a formula alone would get wrong."""

from __future__ import annotations

import math

import numpy as np

from layerkit.parameters import Array


def finite(x: Array) -> Array:
    """Return x with the largest number instead of inf, where a formula has inf / inf or 0 inf."""
    top = np.finfo(x.dtype).max
    return np.clip(x, -top, top)


def above_minus_inf(x: Array) -> Array:
    """Return x with the lowest number instead of -inf, where a formula has -inf 0."""
    return np.clip(x, -np.finfo(x.dtype).max, np.inf)


def squarable(x: Array) -> Array:
    """Return x, no larger than what can be squared: 1 + x^2 is the same as x^2 long before."""
    top = 0.5 * math.sqrt(np.finfo(x.dtype).max)
    return np.clip(x, -top, top)


def exponentials(x: Array) -> tuple[Array, Array]:
    """Return e = exp(-|x|) and p = exp(min(x, 0)), which can't overflow.

    With them, without cancellation: sigmoid(x) = p / (1 + e), and sigmoid'(x) = e / (1 + e)^2.

    Examples
    --------
    >>> exponentials(np.array([-1e4, 0.0, 1e4]))
    (array([0., 1., 0.]), array([0., 1., 1.]))
    """
    e = np.exp(-np.abs(x))
    return e, np.maximum(e, x >= 0)  # since e <= 1, and faster than another exp


def lambert(t: Array) -> Array:
    """Return v = 1 / (3 + t / (5 + t / (7 + … + t / 15))), for -1/2 <= t <= 1/2.

    Lambert's continued fraction: x / tanh(x) = 1 + t v with t = x^2, and x / tan(x) = 1 + t v with
    t = -x^2. So it gives the small difference to 1 without a subtraction.

    Examples
    --------
    >>> t = np.array([0.25])
    >>> print(1 + t * lambert(t), 0.5 / np.tanh(0.5))
    [1.08197671] 1.0819767068693265
    """
    v, d = t + 594, 36 * t  # one fraction of two polynomials: a single division
    for above, below in (45045, 6930), (675675, 270270):
        v *= t
        v += above
        d += below
        d *= t
    d += 2027025
    v /= d
    return v


def blend(y: Array, other: Array, here: Array) -> None:
    """Overwrite y with other where `here`: both are finite there; faster than a choice by masks."""
    y *= ~here
    other *= here
    y += other
