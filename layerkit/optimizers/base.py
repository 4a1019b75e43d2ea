"""Optimizers: a formula over two vectors, in order of increasing complexity.

    w    all parameters of the network, changed in place
    g    the gradient of the loss with respect to them, read only
    s    scratch memory as large as w, so that no step allocates

Accumulating instead of assigning (`+=`, `out=`) matters: a temporary as large as the network may
go back to the operating system at every step, and cost more than the arithmetic.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from layerkit.config import Configurable, Decay, Rate
from layerkit.errors import ShapeError
from layerkit.parameters import Array


class Optimizer(Configurable, ABC):
    """A rule that changes the parameters w, given the gradient g.

    A subclass names the vectors it remembers in `slots` and writes `update(w, g, *slots)`. They
    start at 0; `self.t` counts the steps from 1, `self.s` is scratch memory.

    Raises
    ------
    ShapeError
        From `step`, for vectors other than those of the first step.

    Examples
    --------
    >>> class SignSGD(Optimizer):
    ...     lr: Rate = 0.5
    ...     def update(self, w, g):
    ...         w -= self.lr * np.sign(g)
    >>> w, optimizer = np.array([3.0, -2.0]), SignSGD()
    >>> optimizer.step(w, g=np.array([4.0, -0.1]))
    >>> w
    array([ 2.5, -1.5])
    """

    reserved = ("memory", "s", "t", "w")
    slots: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.t = 0
        self.w: Array | None = None
        self.memory: dict[str, Array] = {}

    def step(self, w: Array, g: Array) -> None:
        """Change `w` in place by one step."""
        self._check_sizes(w, g)
        if self.t == 0:
            self.memory = {slot: np.zeros_like(w) for slot in self.slots}
            self.s = np.empty_like(w)
        self.w = w
        self.t += 1
        self.update(w, g, *self.memory.values())

    def __getstate__(self) -> dict[str, Any]:
        """A copy goes on where this one is, with the first parameters that it is given."""
        return vars(self) | {"w": None}

    def check(self, w: Array, g: Array) -> None:
        """Raise a ShapeError for other sizes than before, or another network's parameters."""
        self._check_sizes(w, g)
        if self.w is not None and self.w is not w:
            raise ShapeError(
                f"this {type(self).__name__} has moved another network's parameters and remembers "
                "its steps; make a new one"
            )

    def _check_sizes(self, w: Array, g: Array) -> None:
        first = self.s if self.t else w
        if not w.shape == g.shape == first.shape or w.dtype != first.dtype:
            raise ShapeError(
                f"{w.dtype} parameters {w.shape} with gradients {g.shape}, but this "
                f"{type(self).__name__} began with {first.dtype} {first.shape}; make a new one"
            )

    @abstractmethod
    def update(self, w: Array, g: Array, *slots: Any) -> None:
        """Change `w` and the slots in place."""
