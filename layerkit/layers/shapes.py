"""Layers that arrange or pick numbers, look them up, or pass them to a function of your own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import field
from typing import Annotated, Any

import numpy as np

from layerkit.arrays import Array, Shape, require
from layerkit.config.options import Limits, Size, Sizes
from layerkit.errors import LayerkitError, ShapeError, row_error
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Normal
from layerkit.layers.base import Layer
from layerkit.parameters import Param

Columns = Annotated[list[int], Limits(min_length=1)]
"""Numbers of features, at least one."""


def check_axis(layer: Layer, axis: int, shape: Shape) -> None:
    """Raise a ShapeError unless `axis` is one of the axes of an example, counted from its end.

    A negative number means the same axis of an example and of a batch, so that the batch axis
    can't be chosen by mistake.
    """
    name = type(layer).__name__
    if not shape:
        raise ShapeError(f"{name} takes examples of at least one axis, not single numbers, ()")
    if not -len(shape) <= axis < 0:
        choices = " or ".join(map(str, range(-len(shape), 0)))
        raise ShapeError(
            f"{name}.axis = {axis}: should be {choices}: the axes of an example, here "
            f"{shape}, are counted from its end"
        )


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """The index of a part along an axis that is counted from the end: x[..., part, :, :]."""
    return (..., part, *[slice(None)] * (-1 - axis))


class Flatten(Layer):
    """All numbers of an example in one row, the last axis running fastest.

    Shapes: x (N, a, b, …), y (N, a b …). A sequence (T, d) becomes a row of T d numbers. dx is dy
    in the shape of x.

    Examples
    --------
    >>> flatten = Flatten()
    >>> flatten.place((2, 3), address="body")
    (6,)
    >>> flatten.forward(np.arange(12).reshape(2, 2, 3))
    array([[ 0,  1,  2,  3,  4,  5],
           [ 6,  7,  8,  9, 10, 11]])
    """

    def init_before(self) -> Initializer:
        """The initializer that suits the layer after."""
        return self.default_init

    def build(self, shape: Shape) -> Shape:
        self.shape_in = shape
        return (math.prod(shape),)

    def forward(self, x: Array, train: bool = True) -> Array:
        return x.reshape(len(x), *self.output_shape)

    def backward(self, dy: Array) -> Array:
        return dy.reshape(len(dy), *self.shape_in)


class Reshape(Flatten):
    """The numbers of an example in another shape, the last axis running fastest.

    dx is dy in the shape of x.

    Parameters
    ----------
    shape : tuple of int
        The shape of one output, without the batch axis.

    Raises
    ------
    ShapeError
        When an example has another number of elements.

    Examples
    --------
    >>> reshape = Reshape((2, 2))
    >>> reshape.place((4,), address="body")
    (2, 2)
    >>> reshape.forward(np.array([[1, 2, 3, 4]]))
    array([[[1, 2],
            [3, 4]]])
    """

    shape: Sizes

    def build(self, shape: Shape) -> Shape:
        """Check that both shapes have the same number of elements."""
        super().build(shape)
        if math.prod(shape) != math.prod(self.shape):
            raise ShapeError(
                f"{self} takes examples of {math.prod(self.shape)} numbers; {shape} has "
                f"{math.prod(shape)}"
            )
        return self.shape


class Take(Layer):
    """y = x[…, columns]: a selection of features, by number; dx is dy, put back, and 0 elsewhere.

    Where a feature is taken twice, both gradients add up. In a Graph or a Concat, it hands some
    features to one layer and the others to another, such as the numbers of words to Embedding.
    Shapes: x (N, …, features), y (N, …, columns).

    Parameters
    ----------
    columns : list of int
        Numbers of the features, in the order of the output; negative ones count from the end.
    axis : int
        The axis of an example to select from, counted from its end: ``Take([-1], axis=-2)`` is the
        last position of a sequence (T, d), of shape (1, d); Flatten removes the axis.

    Raises
    ------
    ShapeError
        When an example has no such feature.

    Examples
    --------
    >>> take = Take([2, 0, 0])
    >>> take.place((3,), address="take")
    (3,)
    >>> take.forward(np.array([[10.0, 20.0, 30.0]]))
    array([[30., 10., 10.]])
    >>> take.backward(np.array([[1.0, 2.0, 3.0]]))
    array([[5., 0., 1.]])
    """

    columns: Columns
    axis: int = -1

    def init_before(self) -> Initializer:
        """The initializer that suits the layer after."""
        return self.default_init

    def build(self, shape: Shape) -> Shape:
        check_axis(self, self.axis, shape)
        n = shape[self.axis]
        wrong = [column for column in self.columns if not -n <= column < n]
        if wrong:
            raise ShapeError(
                f"Take.columns has {wrong[0]}: should be from {-n} to {n - 1}, as axis {self.axis} "
                f"of {shape} has {n} features"
            )
        self.shape_in = shape
        self.places = np.array(self.columns) % n
        self.distinct = len(set(self.places)) == len(self.places)
        sizes = list(shape)
        sizes[self.axis] = len(self.columns)
        return tuple(sizes)

    def forward(self, x: Array, train: bool = True) -> Array:
        return x.take(self.places, self.axis)

    def backward(self, dy: Array) -> Any:
        if not self.wants_dx:
            return None
        dx = np.zeros_like(dy, order="C", shape=(len(dy), *self.shape_in))
        there = along(self.axis, self.places)
        if self.distinct:
            dx[there] = dy
        else:
            np.add.at(dx, there, dy)  # several times slower
        return dx


class Embedding(Layer):
    """y = W[x]: an embedding table. Each whole number x becomes a row of W, which is learned.

    Row i of dW is the sum of the dy where x is i; dx = 0, since whole numbers have no
    neighbourhood, or None where nobody wants it.
    Shapes: x (N, …), W (n, dim), y (N, …, dim). A sequence (T,) of token numbers becomes (T, dim).

    Parameters
    ----------
    n : int
        Number of rows, n <= 2^24, since float32 can't tell larger numbers apart; x is one of
        0 … n - 1.
    dim : int
        Number of features that each x becomes.
    init : Initializer
        The initializer of W.

    Raises
    ------
    DataError
        For anything but a whole number from 0 to n - 1.

    Examples
    --------
    >>> from layerkit import Flatten, Network, Sequential, SoftmaxCrossEntropy
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
        self.W = Param((self.n, self.dim), self.init)
        return (*shape, self.dim)

    def check(self, x: Array) -> None:
        """Refuse anything but whole numbers from 0 to n - 1."""
        right = (x >= 0) & (x < self.n) & (x == np.floor(x))

        def error() -> LayerkitError:
            hint = ""
            if ((x >= 0) & (x <= 1)).all() and np.allclose(255 * x, np.round(255 * x)):
                hint = " (bytes, uint8, are divided by 255: use a wider type)"
            row, *place = map(int, np.argwhere(~right)[0])
            return row_error(
                f"Embedding takes whole numbers from 0 to {self.n - 1}, not {x[row, *place]}, its "
                f"input {place} for ",
                (row,),
                f"{hint}; keep a number for unknown categories",
                "x",
            )

        require(right, error)

    def forward(self, x: Array, train: bool = True) -> Array:
        self.check(x)
        numbers = x.astype(np.intp)
        self.numbers = numbers
        return self.W.value[numbers]

    def backward(self, dy: Array) -> Any:
        # one number for each place of W, since np.add.at(dW, numbers, dy) is several times slower
        places = self.numbers[..., None] * self.dim + np.arange(self.dim)
        dW = np.bincount(places.ravel(), dy.ravel(), minlength=self.n * self.dim)
        self.W.grad = dW.reshape(self.n, self.dim)
        return np.zeros(self.numbers.shape, dy.dtype) if self.wants_dx else None


Function = Callable[[Array], Array]


class Lambda(Layer):
    """y = f(x), dx = f'(x) dy: a function and its derivative, given in Python.

    For quick experiments. A configuration file can't hold functions, so a network with a Lambda
    can't be saved: for that, write a Layer of your own. It can be copied, and pickled if the
    functions can.

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
        self.x = x
        return self.function(x)

    def backward(self, dy: Array) -> Array:
        return self.derivative(self.x) * dy
