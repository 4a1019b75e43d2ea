"""Where parameters and gradients live: one vector each for a whole network, and views of them.

An optimizer, a checkpoint or an averaging of weights then sees two vectors and needs no loops.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import ConfigError, ShapeError

__all__ = ["Arena", "Array", "Param", "Shape", "State"]

if TYPE_CHECKING:
    from layerkit.initializers.base import Initializer


class State:
    """What a layer keeps beside its parameters, as a running mean: saved, but not optimized.

    Declared by a layer in `build`, then given its place by the network's Arena. `value` is a
    view; assigning to it writes through.

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
    views: ClassVar[tuple[str, ...]] = ("value",)

    def __init__(self, shape: Shape, init: Initializer) -> None:
        self.shape = shape
        self.init = init

    def place(self, **views: Array) -> None:
        """Live in these arrays from now on."""
        vars(self).update(views)

    @property
    def placed(self) -> bool:
        """Whether a network has given it memory."""
        return "value" in vars(self)

    def __setattr__(self, name: str, new: Any) -> None:
        if name not in self.views:
            super().__setattr__(name, new)
        elif np.shape(new) != self.shape:
            what = "gradient" if name == "grad" else name
            raise ShapeError(
                f"a {what} of shape {np.shape(new)} for a parameter of shape {self.shape}"
            )
        else:
            getattr(self, name)[...] = new

    def __getattr__(self, name: str) -> Any:
        if name in self.views:
            raise AttributeError("this parameter has no memory yet: put its layer into a Network")
        raise AttributeError(name)


class Param(State):
    """A parameter: a State with a gradient, which an optimizer changes.

    `value` and `grad` are views, so `self.W.grad = x.T @ dy` fills the network's gradient vector;
    it overwrites what was there and never accumulates.

    Parameters
    ----------
    shape : tuple of int
    init : Initializer
        Fills the value when the network is initialized.
    decay : bool, optional
        Whether weight decay and penalties apply; by default to matrices and kernels, but not to
        biases and scales, which have one axis.

    Raises
    ------
    ShapeError
        When what is assigned has another shape: nothing is broadcast.
    """

    grad: Array
    views = ("value", "grad")

    def __init__(self, shape: Shape, init: Initializer, decay: bool | None = None) -> None:
        super().__init__(shape, init)
        self.decay = len(shape) > 1 if decay is None else decay


class Arena:
    """The vectors of a network, and which slice of them is which parameter.

    `values` and `grads` hold all parameters and their gradients, `states` all states. Assigning
    to a vector writes through, so the layers' views stay.

    Parameters
    ----------
    declared : mapping of str to Param or State
        By address, as in ``body.layers.0.W``. Each is given its place, filled with zeros.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Examples
    --------
    >>> from layerkit.initializers.plain import Zeros
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
        if len({id(item) for item in declared.values()}) < len(declared):
            raise ConfigError(f"a parameter stands at two of the places {', '.join(declared)}")
        self.params = {name: p for name, p in declared.items() if isinstance(p, Param)}
        kept = {name: state for name, state in declared.items() if name not in self.params}
        self.slices = _slices(self.params)
        slices = _slices(kept)
        size, kept_size = (
            max((s.stop for s in x.values()), default=0) for x in (self.slices, slices)
        )
        vars(self).update(
            values=np.zeros(size, dtype),
            grads=np.zeros(size, dtype),
            states=np.zeros(kept_size, dtype),
        )
        for name, param in self.params.items():
            part, shape = self.slices[name], param.shape
            param.place(
                value=self.values[part].reshape(shape), grad=self.grads[part].reshape(shape)
            )
        for name, state in kept.items():
            state.place(value=self.states[slices[name]].reshape(state.shape))

    def __setattr__(self, name: str, new: Any) -> None:
        if name in ("values", "grads", "states"):
            getattr(self, name)[...] = new
        else:
            super().__setattr__(name, new)


def _slices(items: Mapping[str, State]) -> dict[str, slice]:
    ends = list(itertools.accumulate((math.prod(item.shape) for item in items.values()), initial=0))
    return dict(zip(items, map(slice, ends, ends[1:]), strict=True))
