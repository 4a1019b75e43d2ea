"""The contract of initializers."""

from __future__ import annotations

import copy

import numpy as np

from layerkit.initializers import Initializer
from layerkit.parameters import Shape
from layerkit.testing.common import calling, check_options, require


def check_initializer(init: Initializer, shape: Shape = (40, 30)) -> None:
    """Check an initializer for a parameter of `shape`.

    Raises
    ------
    AssertionError
        With the first law that is broken, and what may be the cause.

    Examples
    --------
    >>> class AllOnes(Initializer):
    ...     def fill(self, w, rng):
    ...         w = np.ones_like(w)
    >>> check_initializer(AllOnes())
    Traceback (most recent call last):
    ...
    AssertionError: AllOnes.fill leaves numbers of w as they were; write into w (w[...] = 1), since \
w = 1 only renames
    """
    check_options(init)
    name, results = type(init).__name__, []
    for old in (np.nan, 7.0):
        w = np.full(shape, old, "float32")
        with calling(f"{name}.fill"):
            copy.deepcopy(init).fill(w, np.random.default_rng(1))
        require(
            bool(np.isfinite(w).all()),
            f"{name}.fill leaves numbers of w as they were; write into w (w[...] = 1), since "
            "w = 1 only renames",
        )
        results.append(w)
    require(
        np.array_equal(results[0], results[1]),
        f"{name}.fill: the same generator gives other values a second time; draw from rng alone, "
        "and overwrite w instead of changing it",
    )
