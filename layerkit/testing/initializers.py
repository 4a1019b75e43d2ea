"""Checks of initializers."""

from __future__ import annotations

import copy
import math

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.initializers.base import Initializer
from layerkit.testing.common import calling, check_options, normal, require


def check_initializer(init: Initializer, shape: Shape = (40, 30)) -> None:
    """Check an initializer for a parameter of `shape`.

    Raises
    ------
    AssertionError
        With the first broken law, and its likely cause.

    Examples
    --------
    >>> class AllOnes(Initializer):
    ...     def fill(self, w, rng):
    ...         w = np.ones_like(w)
    >>> check_initializer(AllOnes())
    Traceback (most recent call last):
    ...
    AssertionError: AllOnes.fill leaves numbers of w as they were; write into w (w[...] = 1), \
since w = 1 only renames
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
        f"{name}.fill: the same generator gives other values the second time; draw from rng alone, "
        "and overwrite w instead of changing it",
    )
    if init.from_data:
        _check_adapt(init, results[0])


def _check_adapt(init: Initializer, filled: Array) -> None:
    """Check `adapt` on outputs that vary widely, and on outputs that are all 0."""
    name, inputs = type(init).__name__, normal((20, math.prod(filled.shape[:-1])), 3, "float32")
    for scale in (7, 0):
        w, x = filled.copy(), scale * inputs

        def outputs(w: Array = w, x: Array = x) -> Array:
            return x @ w.reshape(-1, w.shape[-1])

        with calling(f"{name}.adapt"):
            copy.deepcopy(init).adapt(w, outputs)
        require(
            bool(np.isfinite(w).all()),
            f"{name}.adapt makes numbers of w infinite or nan for outputs of size {scale}",
        )
        require(
            scale == 0 or not np.array_equal(w, filled),
            f"{name}.adapt leaves w as it was: write w /= …, since w = w / … only renames",
        )
