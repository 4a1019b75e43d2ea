"""Layers that give what passes through them mean 0 and variance 1, then learn another scale.

    y = gamma xhat + beta,    xhat = (x - mean) r,    r = 1 / sqrt(variance + eps)

The numbers that share a mean and a variance are the rows of a matrix, and the classes differ in
how they cut x into such rows. Features lie along the last axis: each has its gamma and its beta.
The variances are divided by n, not n - 1, and eps is 1e-5, as in PyTorch.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import field

import numpy as np

from layerkit.arrays import Array, Shape, ones
from layerkit.config.options import Rate, Ratio, Size
from layerkit.errors import DataError, DivergenceError, ShapeError
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Ones, Zeros
from layerkit.layers.base import Layer
from layerkit.parameters import Param, State


def average(rows: Array) -> Array:
    """The mean of each row of a matrix, as a column; several times faster than `mean`."""
    n = rows.shape[1]
    column: Array = (rows @ np.full(n, 1 / n, rows.dtype))[:, None]
    return column


class Normalization(Layer):
    """What the normalisations have in common: the rows, and gamma."""

    def init_before(self) -> Initializer:
        """What suits the layer behind: there the variance is the same as without this layer."""
        return self.default_init

    def build(self, shape: Shape) -> Shape:
        """Declare gamma."""
        if not shape:
            raise ShapeError(f"{self} takes examples with features (…, n), not single numbers")
        self.gamma = Param(shape[-1:], Ones())
        return shape

    def rows(self, x: Array) -> Array:
        """A matrix whose rows are normalised: the features at each place of each example."""
        return x.reshape(-1, x.shape[-1])

    def rows_backward(self, rows: Array, shape: Shape) -> Array:
        """Put the numbers of such a matrix into an array of `shape`, where they came from."""
        return rows.reshape(shape)

    def check_squares(self, squares: Array) -> None:
        """Raise a DivergenceError where squares have overflowed: all would become 0."""
        if np.isinf(squares).any():
            raise DivergenceError(
                f"{self.address}: {type(self).__name__} is given numbers with squares too big for "
                f"{squares.dtype}: try a smaller learning rate, or scale the examples"
            )

    def scale(self, xhat: Array) -> Array:
        """Return gamma xhat."""
        y: Array = xhat * self.gamma.value
        return y

    def scale_backward(self, dy: Array, xhat: Array) -> Array:
        """Set dgamma = sum of dy xhat, and return dxhat = dy gamma."""
        products = (dy * xhat).reshape(-1, dy.shape[-1])
        np.dot(ones(len(products), dy.dtype), products, out=self.gamma.grad)
        dxhat: Array = dy * self.gamma.value
        return dxhat


class RMSNorm(Normalization):
    """y = gamma x r with r = 1 / sqrt(mean of x^2 + eps), over the features of one example.

    LayerNorm without the mean and without beta: dx = r (dxhat - xhat mean(dxhat xhat)) with
    xhat = x r and dxhat = dy gamma. The same with ``train=False``.

    Source: Zhang and Sennrich (2019), Root mean square layer normalization, arXiv:1910.07467.

    Parameters
    ----------
    eps : float, optional
        Keeps the root away from 0; by default, as in PyTorch, the precision of the dtype:
        1.2e-7 in float32, 2.2e-16 in float64.

    Raises
    ------
    DivergenceError
        When the squares of what comes in are too big for the dtype.

    Examples
    --------
    >>> from layerkit.network import Network
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> norm = RMSNorm()
    >>> net = Network(norm, SoftmaxCrossEntropy(), shape=(2,), dtype="float64")
    >>> norm.forward(np.array([[1.0, -7.0]]))
    array([[ 0.2, -1.4]])
    """

    eps: Rate | None = None

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return gamma xhat."""
        rows = self.rows(x)
        squares = average(rows * rows)
        self.check_squares(squares)
        r = 1 / np.sqrt(squares + (self.eps or float(np.finfo(x.dtype).eps)))
        xhat = self.rows_backward(rows * r, x.shape)
        self.xhat, self.r = xhat, r
        return self.scale(xhat)

    def backward(self, dy: Array) -> Array:
        """Set dgamma and return dx = r (dxhat - xhat mean(dxhat xhat))."""
        dxhat, xhat = self.rows(self.scale_backward(dy, self.xhat)), self.rows(self.xhat)
        dx = dxhat * xhat
        np.multiply(xhat, -average(dx), out=dx)
        dx += dxhat
        dx *= self.r
        return self.rows_backward(dx, dy.shape)


class Centering(Normalization):
    """What the normalisations with a mean have in common: xhat, and beta."""

    eps: Rate = field(default=1e-5, kw_only=True)

    @abstractmethod
    def build(self, shape: Shape) -> Shape:
        """Declare gamma and beta; check that what shares a mean is more than one number."""
        super().build(shape)
        self.beta = Param(shape[-1:], Zeros())
        return shape

    def scale(self, xhat: Array) -> Array:
        """Return gamma xhat + beta."""
        y = super().scale(xhat)
        y += self.beta.value
        return y

    def scale_backward(self, dy: Array, xhat: Array) -> Array:
        """Set dgamma, and dbeta = sum of dy; return dxhat = dy gamma."""
        places = dy.reshape(-1, dy.shape[-1])
        np.dot(ones(len(places), dy.dtype), places, out=self.beta.grad)
        return super().scale_backward(dy, xhat)

    def moments(self, rows: Array) -> tuple[Array, Array, Array]:
        """Return x - mean, the mean and the variance of each row x."""
        mean = average(rows)
        centered = rows - mean
        # the mean is rounded itself, which is not little where mean² is far above the variance
        rest = average(centered)
        centered -= rest
        variance = average(centered * centered)
        self.check_squares(variance)
        return centered, mean + rest, variance

    def center(self, rows: Array, train: bool) -> tuple[Array, Array]:
        """Return x - mean and the variance of each row x."""
        centered, _, variance = self.moments(rows)
        return centered, variance

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return gamma xhat + beta, with xhat = (x - mean) r."""
        rows, variance = self.center(self.rows(x), train)
        r = 1 / np.sqrt(variance + self.eps)
        rows *= r
        xhat = self.rows_backward(rows, x.shape)
        self.xhat, self.r = xhat, r
        return self.scale(xhat)

    def backward(self, dy: Array) -> Array:
        """Set dgamma and dbeta; return dx = r (dxhat - mean(dxhat) - xhat mean(dxhat xhat))."""
        dxhat, xhat = self.rows(self.scale_backward(dy, self.xhat)), self.rows(self.xhat)
        dx = dxhat * xhat
        np.multiply(xhat, -average(dx), out=dx)
        dx += dxhat
        dx -= average(dxhat)
        dx *= self.r
        return self.rows_backward(dx, dy.shape)


class LayerNorm(Centering):
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, over the features of one example.

    Mean and variance are taken along the last axis, at every place of an example for itself:
    PyTorch's LayerNorm(n), Keras's with axis=-1. The same with ``train=False``.

    Source: Ba, Kiros and Hinton (2016), Layer normalization, arXiv:1607.06450.

    Parameters
    ----------
    eps : float
        Keeps the root away from 0.

    Raises
    ------
    ShapeError
        When there is only one feature, which would become 0.
    DivergenceError
        When the squares of what comes in are too big for the dtype.

    Examples
    --------
    >>> from layerkit.network import Network
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> norm = LayerNorm()
    >>> net = Network(norm, SoftmaxCrossEntropy(), shape=(4,), dtype="float64")
    >>> norm.forward(np.array([[1.0, 3.0, 3.0, 5.0], [70.0, 10.0, 10.0, 70.0]])).round(2)
    array([[-1.41,  0.  ,  0.  ,  1.41],
           [ 1.  , -1.  , -1.  ,  1.  ]])
    """

    def build(self, shape: Shape) -> Shape:
        """Declare gamma and beta."""
        if shape[-1:] == (1,):
            raise ShapeError(f"{self} takes two features or more: of {shape} nothing would be left")
        return super().build(shape)


class GroupNorm(Centering):
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, over groups of features of one example.

    The features are cut into `groups` of neighbours; a mean and a variance are taken over one
    group at all places of an example, as by PyTorch. The same with ``train=False``.

    Source: Wu and He (2018), Group normalization, arXiv:1803.08494.

    Parameters
    ----------
    groups : int
        How many; the number of features has to be a multiple of it.
    eps : float
        Keeps the root away from 0.

    Raises
    ------
    ShapeError
        When the groups don't come out even, or have only one number, which would become 0.
    DivergenceError
        When the squares of what comes in are too big for the dtype.

    Examples
    --------
    >>> from layerkit.network import Network
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> norm = GroupNorm(groups=2)
    >>> net = Network(norm, SoftmaxCrossEntropy(), shape=(4,), dtype="float64")
    >>> norm.forward(np.array([[1.0, 3.0, 10.0, 30.0]])).round(2)
    array([[-1.,  1., -1.,  1.]])
    """

    groups: Size

    def build(self, shape: Shape) -> Shape:
        """Declare gamma and beta."""
        super().build(shape)
        if shape[-1] % self.groups:
            raise ShapeError(
                f"{self} takes a number of features that {self.groups} divides, not {shape}"
            )
        if math.prod(shape) == self.groups:
            raise ShapeError(f"{self} takes groups of two numbers or more: {shape} has of one each")
        return shape

    def rows(self, x: Array) -> Array:
        """A matrix with a row for each group of each example."""
        groups = x.reshape(len(x), -1, self.groups, x.shape[-1] // self.groups)
        return groups.swapaxes(1, 2).reshape(len(x) * self.groups, -1)

    def rows_backward(self, rows: Array, shape: Shape) -> Array:
        """Put the groups where they came from."""
        groups = rows.reshape(shape[0], self.groups, -1, shape[-1] // self.groups)
        return groups.swapaxes(1, 2).reshape(shape)


class BatchNorm(Centering):
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, over a batch for each feature.

    Mean and variance are taken over the batch and all axes but the last, in which the features
    lie. With ``train=False`` they are those that were kept in training, after each batch

        kept = (1 - momentum) kept + momentum (of this batch)

    beginning with mean 0 and variance 1. As in PyTorch, momentum is what the new counts, and the
    variance that is kept is divided by n - 1. (Keras: momentum is what the old counts, and n.)

    Source: Ioffe and Szegedy (2015), Batch normalization, arXiv:1502.03167.

    Parameters
    ----------
    momentum : float
        How much the batch counts in what is kept: more than 0, at most 1.
    eps : float
        Keeps the root away from 0.

    Raises
    ------
    DataError
        When one example is all there is to train with: it would become 0.
    DivergenceError
        When the squares of what comes in are too big for the dtype.

    Examples
    --------
    >>> from layerkit.network import Network
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> norm = BatchNorm()
    >>> net = Network(norm, SoftmaxCrossEntropy(), shape=(2,), dtype="float64")
    >>> norm.forward(np.array([[1.0, 10.0], [3.0, 30.0]])).round(2)
    array([[-1., -1.],
           [ 1.,  1.]])
    >>> norm.mean.value, norm.variance.value
    (array([0.2, 2. ]), array([ 1.1, 20.9]))
    """

    momentum: Ratio = 0.1

    smallest_batch = 2

    def build(self, shape: Shape) -> Shape:
        """Declare gamma and beta, and the mean and variance that are kept."""
        super().build(shape)
        self.mean, self.variance = State(shape[-1:], Zeros()), State(shape[-1:], Ones())
        return shape

    def rows(self, x: Array) -> Array:
        """A matrix with a row for each feature."""
        return x.reshape(-1, x.shape[-1]).T

    def rows_backward(self, rows: Array, shape: Shape) -> Array:
        """Put the features where they came from."""
        return rows.T.reshape(shape)

    def center(self, rows: Array, train: bool) -> tuple[Array, Array]:
        """Do so with the moments of the batch, which are kept, or with those kept before."""
        if not train:
            return rows - self.mean.value[:, None], self.variance.value[:, None]
        centered, mean, variance = self.moments(rows)
        n = rows.shape[1]
        for kept, new in ((self.mean, mean), (self.variance, variance * (n / (n - 1)))):
            kept.value += self.momentum * (new[:, 0] - kept.value)
        return centered, variance

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return gamma xhat + beta."""
        if train and len(x) < 2:
            raise DataError(
                "BatchNorm can't be trained with a batch of one example, which has no variance: "
                "choose a batch_size that leaves no single example over, or take LayerNorm"
            )
        self.train = train
        return super().forward(x, train)

    def backward(self, dy: Array) -> Array:
        """Set dgamma and dbeta and return dx; with ``train=False`` before, dx = r dxhat."""
        if self.train:
            return super().backward(dy)
        dx: Array = self.scale_backward(dy, self.xhat) * self.r[:, 0]
        return dx
