"""The normal distribution function in NumPy alone, for where SciPy isn't, such as in a browser."""

import math

import numpy as np

from layerkit.arrays import Array

SERIES = (
    -0.65132685989085472,
    0.64196979235649026,
    0.019476473204185836,
    -0.0095615147868086316,
    -0.00094659534448203687,
    0.00036683949785276145,
    4.2523324806907772e-5,
    -2.0278578112534243e-5,
    -1.6242900046470255e-6,
    1.3036558355805232e-6,
    1.5626441722066143e-8,
    -8.5238095914926543e-8,
    6.5290544390988515e-9,
    5.0593434955514689e-9,
    -9.9136415649303309e-10,
    -2.2736512229318359e-10,
    9.6467911020155268e-11,
    2.3940380830391147e-12,
    -6.8860275264975534e-12,
    8.9448792730907257e-13,
    3.1309213993429581e-13,
    -1.1270822361367252e-13,
    3.8109052551892321e-16,
    7.106097613609237e-15,
    -1.5230282014571043e-15,
    -9.457494571291234e-17,
    1.210237189224279e-16,
)
"""Chebyshev coefficients of log(erfc(u) / t) + u^2 in 2t - 1, with t = 1 / (1 + u / 2), u >= 0."""


def ndtr(x: Array) -> Array:
    """Return P(x) = erfc(-x / sqrt(2)) / 2, as ``scipy.special.ndtr`` up to the last bits.

    Examples
    --------
    >>> ndtr(np.array([-np.inf, -1.0, 0.0, 1.0])).round(6)
    array([0.      , 0.158655, 0.5     , 0.841345])
    """
    u = np.abs(x.astype(np.float64)) * math.sqrt(0.5)
    t = 1 / (1 + 0.5 * u)
    y = 2 * (2 * t - 1)
    after = next_after = np.zeros_like(y)
    for coefficient in SERIES[:0:-1]:  # Clenshaw's sum
        after, next_after = coefficient + y * after - next_after, after
    exponent = SERIES[0] + 0.5 * y * after - next_after - u * u
    tail = 0.5 * t * np.exp(exponent)
    return np.where(x < 0, tail, 1 - tail).astype(x.dtype)
