"""Where parameters and gradients live: one vector each for a whole network, and views of them.

An optimizer, a checkpoint or an averaging of weights then sees two vectors and needs no loops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from layerkit.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from layerkit.initializers import Initializer

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Shape: TypeAlias = tuple[int, ...]


class Param:
    """A parameter: declared by a layer in `build`, then given its place by the network's Arena.

    `value` and `grad` are views. Assigning to them writes through, so `self.W.grad = x.T @ dy`
    fills the network's gradient vector; it overwrites what was there and never accumulates.

    Parameters
    ----------
    shape : tuple of int
    init : Initializer
        Fills the value when the network is initialized.

    Raises
    ------
    ShapeError
        When what is assigned has another shape: nothing is broadcast.
    """

    value: Array
    grad: Array

    def __init__(self, shape: Shape, init: Initializer) -> None:
        self.shape = shape
        self.init = init

    def place(self, value: Array, grad: Array) -> None:
        """Live in these two arrays from now on."""
        vars(self).update(value=value, grad=grad)

    def __setattr__(self, name: str, new: Any) -> None:
        if name not in ("value", "grad"):
            super().__setattr__(name, new)
        elif np.shape(new) != self.shape:
            what = "gradient" if name == "grad" else name
            raise ShapeError(
                f"a {what} of shape {np.shape(new)} for a parameter of shape {self.shape}"
            )
        else:
            getattr(self, name)[...] = new

    def __getattr__(self, name: str) -> Any:
        if name in ("value", "grad"):
            raise AttributeError("this parameter has no memory yet: put its layer into a Network")
        raise AttributeError(name)


class Arena:
    """The two vectors of a network, and which slice of them is which parameter.

    Parameters
    ----------
    params : mapping of str to Param
        By address, as in ``body.layers.0.W``. Each is given its place, filled with zeros.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Examples
    --------
    >>> from layerkit import Zeros
    >>> W, b = Param((2, 3), Zeros()), Param((3,), Zeros())
    >>> arena = Arena({"W": W, "b": b}, "float32")
    >>> b.value = np.array([1, 2, 3])
    >>> arena.values
    array([0., 0., 0., 0., 0., 0., 1., 2., 3.], dtype=float32)
    """

    def __init__(self, params: Mapping[str, Param], dtype: str) -> None:
        self.params = dict(params)
        if len({id(param) for param in params.values()}) < len(params):
            raise ConfigError(f"a parameter stands at two of the places {', '.join(params)}")
        size = sum(math.prod(param.shape) for param in self.params.values())
        self._values = np.zeros(size, dtype)
        self._grads = np.zeros(size, dtype)
        start = 0
        for param in self.params.values():
            stop = start + math.prod(param.shape)
            param.place(
                self.values[start:stop].reshape(param.shape),
                self.grads[start:stop].reshape(param.shape),
            )
            start = stop

    @property
    def values(self) -> Array:
        """All parameters. Assigning writes through, so the layers' views stay."""
        return self._values

    @values.setter
    def values(self, new: Array) -> None:
        self._values[...] = new

    @property
    def grads(self) -> Array:
        """All gradients. Assigning writes through."""
        return self._grads

    @grads.setter
    def grads(self, new: Array) -> None:
        self._grads[...] = new
