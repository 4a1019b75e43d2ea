"""Arrays and shapes, and numerically safe and fast building blocks for layers."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from typing import Any, TypeAlias

import numpy as np

from layerkit.errors import ShapeError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = tuple[int, ...]


def check_memory(what: str, *arrays: tuple[Shape, Any]) -> None:
    """Raise a MemoryError if arrays of these shapes and dtypes need more memory than there is.

    NumPy's own error comes too late, if the system promises what it has not, or says less.
    """
    needed = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in arrays)
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # on Windows
        there = sys.maxsize
    if needed > there:
        raise MemoryError(f"{what} need {needed / 1e9:,.0f} GB; there are {there / 1e9:,.0f} GB")


@lru_cache(maxsize=8)
def ones(N: int, dtype: np.dtype[Any]) -> Array:
    """N ones, cached: ``ones @ dy`` is the sum of dy over the batch, faster than its `sum`."""
    row = np.ones(N, dtype)
    row.flags.writeable = False
    return row


def product(x: Array, W: Array) -> Array:
    """Return x @ W; ShapeError for an x of another dtype, which a network would have converted."""
    if x.dtype != W.dtype:
        raise ShapeError(f"x is {x.dtype}, W {W.dtype}: give network.inputs.convert(x)")
    return x.dot(W)  # the method is faster than the operator, and the same


def number(x: Any) -> float:
    """Return the one number in an array as a float; `float` itself would end a recording."""
    return x.item() if isinstance(x, np.ndarray) else float(x)


def require(right: Array, error: Callable[[], Exception]) -> None:
    """Raise an error unless all of `right` is true; the one decision by values in a layer.

    A recording, whose arrays are of another class, does without.

    Examples
    --------
    >>> require(np.array([True, False]), lambda: ShapeError("one of them is not"))
    Traceback (most recent call last):
    ...
    layerkit.errors.ShapeError: one of them is not
    """
    if type(right) is np.ndarray and not right.all():
        raise error()


def total(arrays: Sequence[Array]) -> Array:
    """Return the sum of arrays, in a new one if there are several: layers may keep theirs."""
    return reduce(np.add, arrays)


@lru_cache(maxsize=8)
def largest(dtype: np.dtype[Any]) -> float:
    """The largest finite number of a dtype."""
    return float(np.finfo(dtype).max)


def finite(x: Array) -> Array:
    """Return x with the largest number instead of inf, for formulas with inf / inf or 0 inf."""
    top = largest(x.dtype)
    return np.clip(x, -top, top)


def above_minus_inf(x: Array) -> Array:
    """Return x with the lowest number instead of -inf, for formulas with -inf 0."""
    return np.clip(x, -largest(x.dtype), math.inf)


def squarable(x: Array) -> Array:
    """Return x, no larger than what can be squared; long before that, 1 + x^2 equals x^2."""
    top = 0.5 * math.sqrt(largest(x.dtype))
    return np.clip(x, -top, top)


def positive_part(x: Array) -> Array:
    """Return max(x, 0); several times faster than `numpy.maximum` with a number."""
    return np.clip(x, 0, math.inf)


def negative_part(x: Array) -> Array:
    """Return min(x, 0); as fast as `positive_part`."""
    return np.clip(x, -math.inf, 0)


def one_where(here: Array, x: Array) -> Array:
    """Return 1 where `here`, else 0; but nan where x is nan, since comparisons with nan are false.

    Examples
    --------
    >>> x = np.array([-1.0, 2.0, np.nan])
    >>> one_where(x > 0, x)
    array([ 0.,  1., nan])
    """
    y = here.astype(x.dtype)
    y[np.isnan(x)] = np.nan
    return y


def exponentials(x: Array) -> tuple[Array, Array]:
    """Return e = exp(-|x|) and p = exp(min(x, 0)), which can't overflow.

    So, without cancellation, sigmoid(x) = p / (1 + e) and sigmoid'(x) = e / (1 + e)^2.

    Examples
    --------
    >>> exponentials(np.array([-1e4, 0.0, 1e4]))
    (array([0., 1., 0.]), array([0., 1., 1.]))
    """
    e = np.abs(x)
    np.negative(e, out=e)
    np.exp(e, out=e)
    p = (x >= 0).astype(x.dtype)
    np.maximum(p, e, out=p)  # since e <= 1, and faster than another exp
    return e, p


LAMBERT_9 = (14, 315), (1, 105, 945)
LAMBERT_15 = (1, 594, 45045, 675675), (36, 6930, 270270, 2027025)
"""Lambert's fraction as a ratio of two polynomials: up to t / 9, and up to t / 15."""


def polynomial(t: Array, coefficients: tuple[float, ...]) -> Array:
    """Evaluate a polynomial by Horner's rule; the coefficient of the highest power comes first."""
    first, second, *others = coefficients
    y = first * t
    y += second
    for coefficient in others:
        y *= t
        y += coefficient
    return y


def lambert(t: Array) -> Array:
    """Return v = 1 / (3 + t / (5 + t / (7 + …))), for -1/2 <= t <= 1/2.

    Lambert's continued fraction, to the precision of float32 or float64: x / tanh(x) = 1 + t v
    with t = x^2, and x / tan(x) = 1 + t v with t = -x^2. So it gives the small difference from 1
    without a subtraction.

    Examples
    --------
    >>> t = np.array([0.25])
    >>> print(1 + t * lambert(t), 0.5 / np.tanh(0.5))
    [1.08197671] 1.0819767068693265
    """
    above, below = LAMBERT_9 if t.itemsize <= 4 else LAMBERT_15
    v = polynomial(t, above)
    v /= polynomial(t, below)
    return v


def blend(y: Array, other: Array, here: Array) -> None:
    """Overwrite y with other where `here`; faster than by masks, and both have to be finite."""
    share = here.astype(y.dtype)
    other *= share
    np.subtract(1, share, out=share)
    y *= share
    y += other
