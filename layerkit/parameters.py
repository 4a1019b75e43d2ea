"""Parameters and gradients: one vector each for a whole network, and views of them.

So an optimizer, a checkpoint or an average of the weights sees two vectors and needs no loops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.arrays import Array, Shape, check_memory
from layerkit.errors import ConfigError, ShapeError
from layerkit.guidance import Guided, Refused

__all__ = ["Arena", "Param", "State"]

if TYPE_CHECKING:
    from layerkit.initializers.base import Initializer


class State(Guided):
    """An array that a layer keeps besides its parameters: saved, but not optimized.

    A running mean, for example. A layer declares it in `build`, and the network's Arena places it.
    `value` is a view of a vector; assigning to it writes through.

    Parameters
    ----------
    shape : tuple of int
        The shape of the value.
    init : Initializer
        Fills the value when the network is initialized.

    Raises
    ------
    ShapeError
        When the assigned array has another shape: nothing is broadcast.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network, Sequential, Standardize
    >>> body = Sequential([Standardize(), Dense(1)])
    >>> net = Network(body, MeanSquaredError(), shape=(2,)).adapt([[1.0, 5.0], [3.0, 5.0]])
    >>> mean = net["body.layers.0.mean"]
    >>> mean.shape, mean.value
    ((2,), array([2., 5.], dtype=float32))
    """

    if not TYPE_CHECKING:
        trainable = Refused()
        requires_grad = Refused()

    def __init__(self, shape: Shape, init: Initializer) -> None:
        self.shape, self.init = shape, init
        self._value: Array | None = None

    @property
    def placed(self) -> bool:
        """Whether a network has given it memory."""
        return self._value is not None

    @property
    def value(self) -> Array:
        """The array itself, a view."""
        return _placed(self._value)

    @value.setter
    def value(self, new: Array) -> None:
        self._write("value", self.value, new)

    def _hint(self, name: str) -> str:
        of_array = f"; write self.W.value.{name}" if hasattr(np.ndarray, name) else ""
        return super()._hint(name) or of_array

    def __array__(self, *arguments: Any, **options: Any) -> Array:
        raise TypeError("a parameter is not an array: write self.W.value for its numbers")

    def _write(self, name: str, view: Array, new: Array) -> None:
        if np.shape(new) != self.shape:
            raise ShapeError(
                f"a {name} of shape {np.shape(new)} for a parameter of shape {self.shape}"
            )
        view[...] = new


class Param(State):
    """A parameter: a State with a gradient, which an optimizer changes.

    `value` and `grad` are views, so `self.W.grad = x.T @ dy` fills the network's gradient vector.
    It overwrites the last gradient and never accumulates.

    Parameters
    ----------
    shape : tuple of int
        The shape of the value.
    init : Initializer
        Fills the value when the network is initialized.
    decay : bool, optional
        Whether weight decay and penalties apply; by default to matrices and kernels, but not to
        biases and scales, which have one axis.

    Raises
    ------
    ShapeError
        When the assigned array has another shape: nothing is broadcast.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> W = net["body.W"]
    >>> W.value = np.ones((3, 2))
    >>> loss = net.gradient([[1.0, 2.0, 3.0]], [0])
    >>> W.grad
    array([[-0.5,  0.5],
           [-1. ,  1. ],
           [-1.5,  1.5]], dtype=float32)
    """

    def __init__(self, shape: Shape, init: Initializer, decay: bool | None = None) -> None:
        super().__init__(shape, init)
        self.decay = len(shape) > 1 if decay is None else decay
        self._grad: Array | None = None

    @property
    def grad(self) -> Array:
        """The gradient of the loss with respect to the value, a view."""
        return _placed(self._grad)

    @grad.setter
    def grad(self, new: Array) -> None:
        self._write("gradient", self.grad, new)


def _placed(view: Array | None) -> Array:
    if view is None:
        raise AttributeError("this parameter has no memory yet: put its layer into a Network")
    return view


class Arena:
    """The vectors of a network, and the parameters that are views of their slices.

    `values` and `grads` hold all parameters and their gradients, `states` all states. Assigning
    to a vector writes through, so the views stay.

    Parameters
    ----------
    declared : mapping of str to Param or State
        Parameters and states by address, such as ``body.layers.0.W``. Each gets its place, filled
        with zeros.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Attributes
    ----------
    params : dict of str to Param
        The parameters by address.
    slices : dict of str to slice
        Their places in `values` and `grads`.

    Raises
    ------
    ConfigError
        If one parameter has two addresses.
    MemoryError
        If the vectors are larger than the memory of this machine.

    Examples
    --------
    >>> from layerkit import Param, Zeros
    >>> W, b = Param((2, 3), Zeros()), Param((3,), Zeros())
    >>> arena = Arena({"W": W, "b": b}, "float32")
    >>> b.value = np.array([1, 2, 3])
    >>> arena.values
    array([0., 0., 0., 0., 0., 0., 1., 2., 3.], dtype=float32)
    """

    values: Array
    grads: Array
    states: Array

    def __init__(self, declared: Mapping[str, State], dtype: str) -> None:
        first: dict[int, str] = {}
        for address, item in declared.items():
            other = first.setdefault(id(item), address)
            if other != address:
                raise ConfigError(f"one parameter has two addresses, {other} and {address}")
        self.params = {name: item for name, item in declared.items() if isinstance(item, Param)}
        states = {name: item for name, item in declared.items() if name not in self.params}
        self.slices, size = _slices(self.params)
        state_slices, state_size = _slices(states)
        vectors = {"values": size, "grads": size, "states": state_size}
        check_memory(
            f"{size:,} parameters and their gradients", *(((n,), dtype) for n in vectors.values())
        )
        vars(self).update({name: np.zeros(n, dtype) for name, n in vectors.items()})
        for name, param in self.params.items():
            part = self.slices[name]
            param._value = self.values[part].reshape(param.shape)
            param._grad = self.grads[part].reshape(param.shape)
        for name, state in states.items():
            state._value = self.states[state_slices[name]].reshape(state.shape)

    def renew(self) -> None:
        """Make `values` a new view of the same memory, for weights that no optimizer has changed.

        An optimizer knows the weights whose steps it remembers by this view.
        """
        super().__setattr__("values", self.values[:])

    def __setattr__(self, name: str, new: Any) -> None:
        if name in ("values", "grads", "states"):
            getattr(self, name)[...] = new
        else:
            super().__setattr__(name, new)


def _slices(items: Mapping[str, State]) -> tuple[dict[str, slice], int]:
    """Return where the items lie in a vector, one after the other, and its size."""
    slices, end = {}, 0
    for name, item in items.items():
        start, end = end, end + math.prod(item.shape)
        slices[name] = slice(start, end)
    return slices, end
