"""Layers that arrange numbers, look them up, or hand them to a function of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Limits, Size, Sizes
from layerkit.errors import DataError, ShapeError
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Normal
from layerkit.layers.base import Layer
from layerkit.parameters import Param


def check_axis(layer: Layer, axis: int, shape: Shape) -> None:
    """Raise a ShapeError unless `axis` is one of the axes of an example, counted from its end.

    A negative number means the same axis of an example and of a batch, so that the batch axis
    can't be chosen by mistake.
    """
    name = type(layer).__name__
    if not shape:
        raise ShapeError(f"{name} takes examples of at least one axis, not single numbers, ()")
    if not -len(shape) <= axis < 0:
        choices = ", ".join(map(str, range(-len(shape), 0)))
        raise ShapeError(
            f"{name}.axis = {axis}: should be one of {choices}: the axes of an example, here "
            f"{shape}, are counted from its end"
        )


class Flatten(Layer):
    """y = the numbers of an example in a row, the last axis running fastest; dx = dy, put back.

    Shapes: x (N, a, b, …), y (N, a b …).

    Examples
    --------
    >>> flatten = Flatten()
    >>> flatten.place((2, 3), "body")
    (6,)
    >>> flatten.forward(np.arange(12).reshape(2, 2, 3))
    array([[ 0,  1,  2,  3,  4,  5],
           [ 6,  7,  8,  9, 10, 11]])
    """

    def init_before(self) -> Initializer:
        """What suits the layer behind."""
        return self.default_init

    def build(self, shape: Shape) -> Shape:
        """Remember the shape of an example."""
        self.input_shape = shape
        return (math.prod(shape),)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the same numbers in rows."""
        return x.reshape(len(x), *self.output_shape)

    def backward(self, dy: Array) -> Array:
        """Return the same numbers in the shape of x."""
        return dy.reshape(len(dy), *self.input_shape)


class Reshape(Flatten):
    """y = the numbers of an example in another shape, the last axis running fastest; dx = dy.

    Parameters
    ----------
    shape : tuple of int
        Of one output, without the batch axis.

    Raises
    ------
    ShapeError
        When an example has more or fewer numbers.

    Examples
    --------
    >>> reshape = Reshape((2, 2))
    >>> reshape.place((4,), "body")
    (2, 2)
    >>> reshape.forward(np.array([[1, 2, 3, 4]]))
    array([[[1, 2],
            [3, 4]]])
    """

    shape: Sizes

    def build(self, shape: Shape) -> Shape:
        """Compare the numbers of numbers."""
        super().build(shape)
        if math.prod(shape) != math.prod(self.shape):
            raise ShapeError(
                f"{self} takes examples of {math.prod(self.shape)} numbers; {shape} has "
                f"{math.prod(shape)}"
            )
        return self.shape


class Embedding(Layer):
    """y = W[x]: each whole number is looked up, and becomes a row of the table W.

    dW[i] = sum of the dy where x is i; dx = 0, since whole numbers have no neighbourhood.
    Shapes: x (N, ...), W (n, dim), y (N, ..., dim).

    Parameters
    ----------
    n : int
        How many different numbers there are: 0 … n - 1. At most 2^24: in float32, numbers
        greater than that are no longer told apart.
    dim : int
        How many numbers stand for each.
    init : Initializer
        Of W.

    Raises
    ------
    DataError
        For anything but a whole number from 0 to n - 1.

    Examples
    --------
    >>> from layerkit.network import Network
    >>> from layerkit.graph.sequential import Sequential
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> embedding = Embedding(n=3, dim=2)
    >>> net = Network(Sequential([embedding, Flatten()]), SoftmaxCrossEntropy(), shape=(4,))
    >>> embedding.W.value = [[0, 1], [10, 11], [20, 21]]
    >>> embedding.forward(np.array([[2, 0, 0, 1]]))
    array([[[20., 21.],
            [ 0.,  1.],
            [ 0.,  1.],
            [10., 11.]]], dtype=float32)
    """

    n: Annotated[int, Limits(gt=0, le=2**24)]
    dim: Size
    init: Initializer = field(default_factory=lambda: Normal(std=1.0))

    def build(self, shape: Shape) -> Shape:
        """Declare W."""
        self.W = Param((self.n, self.dim), self.init)
        return (*shape, self.dim)

    def check(self, x: Array) -> None:
        """Refuse anything but whole numbers from 0 to n - 1."""
        right = (x >= 0) & (x < self.n) & (x == np.floor(x))
        if not right.all():
            hint = ""
            if ((x >= 0) & (x <= 1)).all() and np.allclose(255 * x, np.round(255 * x)):
                hint = " (bytes, uint8, are divided by 255: give a wider type)"
            raise DataError(
                f"Embedding takes whole numbers from 0 to {self.n - 1}, not {x[~right][0]}{hint}"
            )

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return W[x]."""
        self.check(x)
        numbers = x.astype(np.intp)
        self.numbers = numbers
        y: Array = self.W.value[numbers]
        return y

    def backward(self, dy: Array) -> Array:
        """Set dW and return 0."""
        # one number for each place of W, since np.add.at(dW, numbers, dy) is several times slower
        places = self.numbers[..., None] * self.dim + np.arange(self.dim)
        dW = np.bincount(places.ravel(), dy.ravel(), minlength=self.n * self.dim)
        self.W.grad = dW.reshape(self.n, self.dim)
        return np.zeros(self.numbers.shape, dy.dtype)


class OnlyInPython:
    """Says of a field that no file can hold its value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.custom_error_schema(
            core_schema.callable_schema(),
            custom_error_type="only_in_python",
            custom_error_message="should be a Python function; no file can hold one: in a file, "
            "name a Layer of your own",
        )

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"not": {}}


Function = Annotated[Callable[[Array], Array], OnlyInPython()]


class Lambda(Layer):
    """y = f(x), dx = f'(x) dy, with a function and its derivative given in Python.

    For a try. A configuration file can't hold functions, so a network with it can't be saved
    either: for that, write a Layer of your own. It can be copied, and pickled if the functions can.

    Parameters
    ----------
    function : callable
        Takes x and returns y, of the same shape and dtype, without changing x; each number of y
        depends on the one in the same place of x.
    derivative : callable
        Takes x and returns dy/dx, of the same shape and dtype.

    Examples
    --------
    >>> sine = Lambda(np.sin, np.cos)
    >>> sine.forward(np.zeros((1, 2)))
    array([[0., 0.]])
    >>> sine.backward(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """

    function: Function
    derivative: Function

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return f(x)."""
        self.x = x
        return self.function(x)

    def backward(self, dy: Array) -> Array:
        """Return f'(x) dy."""
        dx: Array = self.derivative(self.x) * dy
        return dx
