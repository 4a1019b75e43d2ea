"""Checks of initializers."""

from __future__ import annotations

import copy
import math
from functools import partial

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.initializers.base import UNFILLED, Initializer
from layerkit.streams import stream
from layerkit.testing.common import (
    Laws,
    calling,
    check_options,
    normal,
    require,
    require_objects,
    run,
)


def check_initializer(
    init: Initializer, shape: Shape = (40, 30), report: bool = False
) -> str | None:
    """Check an initializer for a parameter of one shape.

    Parameters
    ----------
    init : Initializer
        The initializer to check, with its options.
    shape : tuple of int
        The shape of the parameter to fill.
    report : bool
        Whether to return a table of all laws, with what is wrong, instead of raising an error.

    Raises
    ------
    AssertionError
        With the first broken law, and its likely cause.

    Examples
    --------
    >>> from layerkit import Initializer
    >>> class AllOnes(Initializer):
    ...     def fill(self, w, rng):
    ...         w = np.ones_like(w)
    >>> check_initializer(AllOnes())
    Traceback (most recent call last):
    ...
    AssertionError: AllOnes.fill leaves numbers of w as they were: write w[...] = …, since w = … \
only renames
    """
    __tracebackhide__ = True
    require_objects(Initializer, init)
    return run(initializer_laws(init, shape), report)


def initializer_laws(init: Initializer, shape: Shape) -> Laws:
    """Yield the laws of an initializer."""
    yield "options", partial(check_options, init)
    yield "fill", partial(_filled, init, shape, np.nan)
    yield "random numbers", partial(_check_chance, init, shape)
    if init.from_data:
        yield "adapt", partial(_check_adapt, init, shape)


def _filled(init: Initializer, shape: Shape, old: float) -> Array:
    """Return what is filled where all numbers were `old`."""
    w, name = np.full(shape, old, "float32"), type(init).__name__
    with calling(f"{name}.fill"):
        copy.deepcopy(init).fill(w, stream(0, "weights"))
    require(bool(np.isfinite(w).all()), f"{name}.fill {UNFILLED}")
    return w


def _check_chance(init: Initializer, shape: Shape) -> None:
    require(
        np.array_equal(_filled(init, shape, np.nan), _filled(init, shape, 7.0)),
        f"{type(init).__name__}.fill: the same generator gives other values the second time; draw "
        "from rng alone, and overwrite w instead of changing it",
    )


def _check_adapt(init: Initializer, shape: Shape) -> None:
    """Check `adapt` on outputs that vary widely, and on outputs that are all 0."""
    filled = _filled(init, shape, np.nan)
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
