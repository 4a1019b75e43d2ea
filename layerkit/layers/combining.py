"""Layers of several inputs, which make one array of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce

import numpy as np

from layerkit.arrays import Array, Shape, total
from layerkit.errors import ShapeError
from layerkit.initializers.base import Initializer
from layerkit.layers.base import Layer
from layerkit.layers.shapes import check_axis


def one_shape(shapes: Sequence[Shape], done: str) -> Shape:
    """The shape of all inputs; ShapeError if they have several."""
    if len(set(shapes)) > 1:
        raise ShapeError(
            f"{', '.join(map(str, shapes))}: what is {done} should have one shape; a Dense brings "
            "one of them to the shape of another (in a Residual as its shortcut)"
        )
    return shapes[0]


def check_several(layer: Layer, shapes: Sequence[Shape]) -> None:
    """Raise a ShapeError for a single input, which the layer would return as it is."""
    if len(shapes) < 2:
        name = type(layer).__name__
        raise ShapeError(
            f"{name} takes several inputs, and is given one, {shapes[0]}: in a Graph, "
            f"'a, b -> {name.lower()}' gives it two; Residual(body) adds x to body(x), and "
            "Concat([…]) joins branches"
        )


class Add(Layer):
    """y = x_1 + x_2 + …; each dx = dy.

    Takes two inputs or more, which a Graph gives it: ``"a, b -> sum"`` with a node ``sum=Add()``.
    Residual and Sum have one inside.

    Raises
    ------
    ShapeError
        For a single input, and for inputs of several shapes.

    Examples
    --------
    >>> add = Add()
    >>> add.place((2,), (2,), address="add")
    (2,)
    >>> add.forward(np.array([[1, 2]]), np.array([[10, 20]]))
    array([[11, 22]])
    >>> add.backward(np.array([[5, 6]]))
    (array([[5, 6]]), array([[5, 6]]))
    """

    def init_before(self) -> Initializer:
        """The initializer that suits the layer that reads the sum."""
        return self.default_init

    def build(self, *shapes: Shape) -> Shape:
        self.inputs = len(shapes)
        check_several(self, shapes)
        return one_shape(shapes, "added")

    def forward(self, *xs: Array, train: bool = True) -> Array:
        return total(xs)

    def backward(self, dy: Array) -> tuple[Array, ...]:
        return (dy,) * self.inputs


class Multiply(Layer):
    """y = x_1 x_2 …, elementwise; each dx = dy times all the other inputs.

    Takes two inputs or more, which a Graph gives it: ``"a, b -> gated"`` with a node
    ``gated=Multiply()``.

    Raises
    ------
    ShapeError
        For a single input, and for inputs of several shapes.

    Examples
    --------
    >>> multiply = Multiply()
    >>> multiply.place((2,), (2,), address="multiply")
    (2,)
    >>> multiply.forward(np.array([[1, 2]]), np.array([[10, 20]]))
    array([[10, 40]])
    >>> multiply.backward(np.array([[1, 1]]))
    (array([[10, 20]]), array([[1, 2]]))
    """

    def init_before(self) -> Initializer:
        """The initializer that suits the layer that reads the product."""
        return self.default_init

    def build(self, *shapes: Shape) -> Shape:
        check_several(self, shapes)
        return one_shape(shapes, "multiplied")

    def forward(self, *xs: Array, train: bool = True) -> Array:
        self.xs = xs
        return reduce(np.multiply, xs)

    def backward(self, dy: Array) -> tuple[Array, ...]:
        xs = self.xs
        return tuple(reduce(np.multiply, [dy, *xs[:i], *xs[i + 1 :]]) for i in range(len(xs)))


class Join(Layer):
    """y = [x_1, x_2, …], one after the other along an axis; each dx is its part of dy.

    Takes two inputs or more, whose shapes differ in this axis only; a Graph gives them to it, and
    Concat has one inside. Keras's Concatenate, PyTorch's torch.cat.

    Parameters
    ----------
    axis : int
        The axis to join along, counted from the end of an example: -1 is the last, the features.

    Raises
    ------
    ShapeError
        For a single input, and for inputs that differ in another axis, or don't have this one.

    Examples
    --------
    >>> join = Join()
    >>> join.place((2,), (1,), address="join")
    (3,)
    >>> join.forward(np.array([[1, 2]]), np.array([[3]]))
    array([[1, 2, 3]])
    >>> join.backward(np.array([[4, 5, 6]]))
    (array([[4, 5]]), array([[6]]))
    """

    axis: int = -1

    def init_before(self) -> Initializer:
        """The initializer that suits the layer that reads the joined array."""
        return self.default_init

    def build(self, *shapes: Shape) -> Shape:
        check_several(self, shapes)
        first = shapes[0]
        check_axis(self, self.axis, first)
        axis = self.axis + len(first)
        kinds = {(len(shape), *shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(kinds) > 1:
            raise ShapeError(
                f"{', '.join(map(str, shapes))}: what is joined may differ in axis {self.axis} only"
            )
        *self.cuts, length = itertools.accumulate(shape[axis] for shape in shapes)
        return (*first[:axis], length, *first[axis + 1 :])

    def forward(self, *xs: Array, train: bool = True) -> Array:
        return np.concatenate(xs, axis=self.axis)

    def backward(self, dy: Array) -> tuple[Array, ...]:
        return tuple(np.split(dy, self.cuts, axis=self.axis))
