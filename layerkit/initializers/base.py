"""The base class of initializers, which fill a parameter before training, in place.

w, W     a parameter of the shape (..., n_in, n_out), as in x @ W
n_in     the fan-in, the number of inputs of one output: all axes but the last
n_out    the fan-out, the number of outputs that read one input: all axes but the second-last
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable
from layerkit.errors import ConfigError

UNFILLED = "leaves numbers of w as they were: write w[...] = …, since w = … only renames"


class Initializer(Configurable, ABC):
    """Base class of initializers, which fill a parameter before training. A subclass writes `fill`.

    An initializer that depends on the data too sets `from_data` to True and writes `adapt`.

    Raises
    ------
    ShapeError
        From `fill`, for a shape that the initializer can't fill.

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

    from_data: ClassVar[bool] = False

    @abstractmethod
    def fill(self, w: Array, rng: np.random.Generator) -> None:
        """Overwrite `w`; all random numbers come from `rng`."""

    def fill_all(self, w: Array, rng: np.random.Generator) -> None:
        """Fill `w`, and raise a ConfigError if a number of it was left out."""
        w[...] = np.nan
        self.fill(w, rng)
        if np.isnan(w).any():
            raise ConfigError(f"{type(self).__name__}.fill {UNFILLED}")

    def adapt(self, w: Array, outputs: Callable[[], Array]) -> None:
        """Adapt `w` in place to the outputs of its layer, once before training.

        `outputs` runs a batch of training data through the layer, with the present `w`.
        """


def fan_in(w: Array) -> int:
    """Return n_in, the fan-in of w (…, inputs, outputs): how many inputs one output has.

    Examples
    --------
    >>> fan_in(np.empty((784, 64)))
    784
    """
    return math.prod(w.shape[:-1])


def fan_out(w: Array) -> int:
    """Return n_out, the fan-out of w (…, inputs, outputs): how many outputs read one input.

    Examples
    --------
    >>> fan_out(np.empty((784, 64)))
    64
    """
    return math.prod(w.shape) // w.shape[-2] if w.ndim > 1 else math.prod(w.shape)


def fill_normal(w: Array, rng: np.random.Generator, deviation: float) -> None:
    """Draw from N(0, deviation²), in the dtype of w."""
    rng.standard_normal(out=w, dtype=w.dtype)
    w *= deviation
