"""Activations of a whole row: y of one number depends on all numbers along one axis."""

from __future__ import annotations

from dataclasses import field

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Size
from layerkit.errors import ShapeError
from layerkit.layers.base import Layer
from layerkit.layers.shapes import check_axis


class RowActivation(Layer):
    """Base of the activations along an axis, by default the last one."""

    axis: int = field(default=-1, kw_only=True)

    def build(self, shape: Shape) -> Shape:
        check_axis(self, self.axis, shape)
        return shape

    def divided(self, shape: Shape, parts: int) -> Shape:
        """The shape in which the axis is `parts` times shorter; ShapeError if it can't be."""
        check_axis(self, self.axis, shape)
        sizes = list(shape)
        if sizes[self.axis] % parts:
            raise ShapeError(
                f"{self} takes a multiple of {parts} numbers along axis {self.axis}, not "
                f"{sizes[self.axis]} as in {shape}"
            )
        sizes[self.axis] //= parts
        return tuple(sizes)


class Softmax(RowActivation):
    """y_i = exp(x_i) / sum over j of exp(x_j); dx_i = y_i (dy_i - sum over j of dy_j y_j).

    Probabilities from a row of numbers.
    Range (0, 1), each row with the sum 1. A row with inf or nan gives nan; -inf gives 0.
    Source: Bridle (1990), Probabilistic interpretation of feedforward classification network
    outputs. As a last layer leave it out: SoftmaxCrossEntropy has it already.

    Parameters
    ----------
    axis : int
        An axis of an example, counted from its end: -1 is the last one (PyTorch: dim).

    Examples
    --------
    >>> Softmax().forward(np.array([[0.0, 0.0], [0.0, 2.0]])).round(4)
    array([[0.5   , 0.5   ],
           [0.1192, 0.8808]])
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the softmax: no exponential overflows, since the largest is 1."""
        y = np.exp(x - x.max(axis=self.axis, keepdims=True))
        y /= y.sum(axis=self.axis, keepdims=True)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        dx = dy - (dy * self.y).sum(axis=self.axis, keepdims=True)
        dx *= self.y
        return dx


class LogSoftmax(RowActivation):
    """y_i = x_i - log(sum over j of exp(x_j)); dx_i = dy_i - exp(y_i) sum over j of dy_j.

    The logarithm of Softmax.
    Range (-inf, 0). A row with inf or nan gives nan.
    Source: Bridle (1990), Probabilistic interpretation of feedforward classification network
    outputs.

    Parameters
    ----------
    axis : int
        An axis of an example, counted from its end: -1 is the last one (PyTorch: dim).

    Examples
    --------
    >>> LogSoftmax().forward(np.array([[0.0, 0.0], [0.0, 2.0]])).round(4)
    array([[-0.6931, -0.6931],
           [-2.1269, -0.1269]])
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the logarithm of the softmax, taken before it could be rounded to 0."""
        y = x - x.max(axis=self.axis, keepdims=True)
        y -= np.log(np.exp(y).sum(axis=self.axis, keepdims=True))
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        dx = np.exp(self.y)
        dx *= -dy.sum(axis=self.axis, keepdims=True)
        dx += dy
        return dx


class Softmin(RowActivation):
    """y_i = exp(-x_i) / sum over j of exp(-x_j); dx_i = y_i (sum over j of dy_j y_j - dy_i).

    Probabilities from a row of numbers, the largest for the smallest number.
    Range (0, 1), each row with the sum 1. A row with -inf or nan gives nan; inf gives 0.
    Source: PyTorch has it under this name: Softmax of -x.

    Parameters
    ----------
    axis : int
        An axis of an example, counted from its end: -1 is the last one (PyTorch: dim).

    Examples
    --------
    >>> Softmin().forward(np.array([[0.0, 0.0], [0.0, 2.0]])).round(4)
    array([[0.5   , 0.5   ],
           [0.8808, 0.1192]])
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the softmin: no exponential overflows, since the largest is 1."""
        y = np.exp(x.min(axis=self.axis, keepdims=True) - x)
        y /= y.sum(axis=self.axis, keepdims=True)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        dx = (dy * self.y).sum(axis=self.axis, keepdims=True) - dy
        dx *= self.y
        return dx


class Sparsemax(RowActivation):
    """y_i = max(x_i - tau, 0), with tau such that sum_i y_i = 1; dx_i = dy_i - mean over j of dy_j
    where y_i > 0, else 0.

    Probabilities from a row of numbers, many of them 0: the point nearest to x among those with
    y >= 0 and the sum 1. The mean is over those j with y_j > 0.
    Range [0, 1], each row with the sum 1. A row with inf or nan gives nan; -inf gives 0.
    Not differentiable where x_i = tau, where the derivative is taken as 0.
    Source: Martins and Astudillo (2016), From softmax to sparsemax, arXiv:1602.02068.

    Parameters
    ----------
    axis : int
        An axis of an example, counted from its end: -1 is the last one (PyTorch: dim).

    Examples
    --------
    >>> Sparsemax().forward(np.array([[0.0, 0.0], [0.0, 0.5], [0.0, 2.0]]))
    array([[0.5 , 0.5 ],
           [0.25, 0.75],
           [0.  , 1.  ]])
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Find tau: the k largest are kept, as long as the k-th is above the tau of these k."""
        z = x - x.max(axis=self.axis, keepdims=True)
        largest = np.flip(np.sort(z, self.axis), self.axis)
        k = np.arange(1, x.shape[self.axis] + 1, dtype=x.dtype)
        k = k.reshape(-1, *[1] * (-1 - self.axis))  # along the axis, too
        taus = (np.cumsum(largest, self.axis) - 1) / k
        kept = (largest > taus).sum(axis=self.axis, keepdims=True)
        y = np.maximum(z - np.take_along_axis(taus, kept - 1, self.axis), 0)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        kept = np.sign(self.y)
        dx = kept * dy
        dx -= dx.sum(axis=self.axis, keepdims=True) / kept.sum(axis=self.axis, keepdims=True)
        dx *= kept
        return dx


class Maxout(RowActivation):
    """y = max(x_1, …, x_p), with p = `pieces`; dx_i = dy for the largest, else 0.

    The largest of every p neighbours.
    ``Sequential([Dense(units * pieces), Maxout(pieces)])`` is the paper's layer of `units` outputs.
    Shapes: x (N, ..., units * pieces), y (N, ..., units).
    Range (-inf, inf).
    Not differentiable where two are largest, where the derivative is taken as that of the first.
    Source: Goodfellow et al. (2013), Maxout networks, arXiv:1302.4389.

    Parameters
    ----------
    pieces : int
        Number of neighbours of which the largest is kept.
    axis : int
        An axis of an example, counted from its end: -1 is the last one.

    Raises
    ------
    ShapeError
        When the length of the axis is not a multiple of `pieces`.

    Examples
    --------
    >>> maxout = Maxout(2)
    >>> maxout.forward(np.array([[1.0, 2.0, 6.0, 5.0]]))
    array([[2., 6.]])
    >>> maxout.backward(np.array([[1.0, 1.0]]))
    array([[0., 1., 1., 0.]])
    """

    pieces: Size = 2

    def build(self, shape: Shape) -> Shape:
        return self.divided(shape, self.pieces)

    def forward(self, x: Array, train: bool = True) -> Array:
        # the axis becomes two, of the groups and of the pieces in each
        after = x.ndim + self.axis
        groups = x.reshape(*x.shape[:after], -1, self.pieces, *x.shape[after + 1 :])
        winner = groups.argmax(axis=self.axis, keepdims=True)
        self.winner, self.shapes = winner, (groups.shape, x.shape)
        return np.take_along_axis(groups, winner, self.axis).squeeze(self.axis)

    def backward(self, dy: Array) -> Array:
        grouped, shape = self.shapes
        dx = np.zeros_like(dy, shape=grouped)
        np.put_along_axis(dx, self.winner, np.expand_dims(dy, self.axis), self.axis)
        return dx.reshape(shape)
