"""What an initializer is: a way to fill a parameter before training, in place.

With W of shape (..., n_in, n_out), n_in is what one output adds up: all axes but the last; n_out is
what one input is spread over: all but the last but one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable


class Initializer(Configurable, ABC):
    """A way to fill a parameter. A subclass writes `fill`.

    One that looks at the data, too, sets `from_data` to True and writes `adapt`.

    Raises
    ------
    ShapeError
        From `fill`, for a parameter of a shape that has no such filling.

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
        """Overwrite `w`, drawing from `rng` what is random."""

    def adapt(self, w: Array, outputs: Callable[[], Array]) -> None:
        """Change `w` in place by what its layer makes of data, once before training.

        `outputs` runs a batch of the training data through the layer, with `w` as it is then.
        """


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


def fill_normal(w: Array, rng: np.random.Generator, deviation: float) -> None:
    """Draw from N(0, deviation²), in the dtype of w."""
    rng.standard_normal(out=w, dtype=w.dtype)
    w *= deviation
