"""Activations of a whole row: y of one number depends on all numbers along the last axis."""

from __future__ import annotations

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Size
from layerkit.errors import ShapeError
from layerkit.layers.base import Layer


class RowActivation(Layer):
    """Base of the activations along the last axis."""

    def build(self, shape: Shape) -> Shape:
        """Check that there is a last axis."""
        if not shape:
            raise ShapeError(f"{type(self).__name__} takes examples of at least one axis, not ()")
        return shape


class Softmax(RowActivation):
    """y_i = exp(x_i) / sum over j of exp(x_j); dx_i = y_i (dy_i - sum over j of dy_j y_j).

    Range (0, 1), each row with the sum 1. A row with inf or nan gives nan; -inf gives 0.
    Source: Bridle (1990), Probabilistic interpretation of feedforward classification network
    outputs. As a last layer leave it out: SoftmaxCrossEntropy has it already.
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the softmax: no exponential overflows, since the largest is 1."""
        y: Array = np.exp(x - x.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        """Return y (dy - dy . y)."""
        dx: Array = dy - (dy * self.y).sum(axis=-1, keepdims=True)
        dx *= self.y
        return dx


class LogSoftmax(RowActivation):
    """y_i = x_i - log(sum over j of exp(x_j)); dx_i = dy_i - exp(y_i) sum over j of dy_j.

    Range (-inf, 0). A row with inf or nan gives nan.
    Source: Bridle (1990), Probabilistic interpretation of feedforward classification network
    outputs: the logarithm of Softmax.
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the logarithm of the softmax, taken before it could be rounded to 0."""
        y: Array = x - x.max(axis=-1, keepdims=True)
        y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy - exp(y) sum(dy)."""
        dx: Array = np.exp(self.y)
        dx *= -dy.sum(axis=-1, keepdims=True)
        dx += dy
        return dx


class Softmin(RowActivation):
    """y_i = exp(-x_i) / sum over j of exp(-x_j); dx_i = y_i (sum over j of dy_j y_j - dy_i).

    Range (0, 1), each row with the sum 1. A row with -inf or nan gives nan; inf gives 0.
    Source: PyTorch has it under this name: Softmax of -x.
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the softmin: no exponential overflows, since the largest is 1."""
        y: Array = np.exp(x.min(axis=-1, keepdims=True) - x)
        y /= y.sum(axis=-1, keepdims=True)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        """Return y (dy . y - dy)."""
        dx: Array = (dy * self.y).sum(axis=-1, keepdims=True) - dy
        dx *= self.y
        return dx


class Sparsemax(RowActivation):
    """y_i = max(x_i - tau, 0), with the tau that makes their sum 1; dx_i = dy_i - mean of the dy_j
    where y_i > 0, over those j with y_j > 0, else 0.

    The point nearest to x among those with y >= 0 and the sum 1.
    Range [0, 1], each row with the sum 1. A row with inf or nan gives nan; -inf gives 0.
    Not differentiable where x_i = tau, where the derivative is taken as 0.
    Source: Martins and Astudillo (2016), From softmax to sparsemax, arXiv:1602.02068.
    """

    @np.errstate(over="ignore")
    def forward(self, x: Array, train: bool = True) -> Array:
        """Find tau: the k largest are kept, as long as the k-th is above the tau of these k."""
        z = x - x.max(axis=-1, keepdims=True)
        largest = np.sort(z, axis=-1)[..., ::-1]
        k = np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
        taus = (np.cumsum(largest, axis=-1) - 1) / k
        kept = (largest > taus).sum(axis=-1, keepdims=True)
        y: Array = np.maximum(z - np.take_along_axis(taus, kept - 1, axis=-1), 0)
        self.y = y
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy less its mean over what is kept; 0 elsewhere."""
        kept = np.sign(self.y)
        dx: Array = kept * dy
        dx -= dx.sum(axis=-1, keepdims=True) / kept.sum(axis=-1, keepdims=True)
        dx *= kept
        return dx


class Maxout(RowActivation):
    """y_i = the largest of the i-th `pieces` numbers of a row; dx = dy for the largest, else 0.

    ``Sequential([Dense(units * pieces), Maxout(pieces)])`` is the paper's layer of `units`.
    Shapes: x (N, ..., units * pieces), y (N, ..., units).
    Range (-inf, inf).
    Not differentiable where two are largest, where the derivative is taken as that of the first.
    Source: Goodfellow et al. (2013), Maxout networks, arXiv:1302.4389.

    Parameters
    ----------
    pieces : int

    Raises
    ------
    ShapeError
        When the last axis can't be divided by `pieces`.

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
        """Divide the last axis."""
        *rest, features = super().build(shape)
        if features % self.pieces:
            raise ShapeError(
                f"Maxout({self.pieces}) takes rows of a multiple of {self.pieces}, not {features}"
            )
        return (*rest, features // self.pieces)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return the largest of each group."""
        groups = x.reshape(*x.shape[:-1], -1, self.pieces)
        winner = groups.argmax(axis=-1, keepdims=True)
        self.winner = winner
        y: Array = np.take_along_axis(groups, winner, axis=-1)[..., 0]
        return y

    def backward(self, dy: Array) -> Array:
        """Return dy where it comes from, else 0."""
        dx = np.zeros((*dy.shape, self.pieces), dy.dtype)
        np.put_along_axis(dx, self.winner, dy[..., None], axis=-1)
        return dx.reshape(*dy.shape[:-1], -1)
