"""Normalization layers: mean 0 and variance 1 for the inputs, then a scale that is learned.

    y = gamma xhat + beta,    xhat = (x - mean) r,    r = 1 / sqrt(variance + eps)

The numbers that share a mean and a variance are the rows of a matrix, and the classes differ in
how they cut x into such rows. Features are along the last axis: each has its gamma and its beta.
The variances are divided by n, not n - 1, and eps is 1e-5, as in PyTorch.

`scale` and `shift` say whether there is a gamma and a beta. Keras calls them scale and center;
PyTorch has affine or elementwise_affine for both, and bias for beta.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import field

import numpy as np

from layerkit.arrays import Array, Shape, ones, require
from layerkit.config.options import Rate, Ratio, Size
from layerkit.errors import DataError, DivergenceError, ShapeError
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Ones, Zeros
from layerkit.layers.base import Layer
from layerkit.parameters import Param, State


def average(rows: Array) -> Array:
    """Return the mean of each row of a matrix, in a column; several times faster than `mean`."""
    n = rows.shape[1]
    return (rows @ np.full(n, 1 / n, rows.dtype))[:, None]


def add_up(dy: Array, param: Param) -> None:
    """Set the gradient of a gamma or beta: the sum of dy over all axes but those it has itself."""
    rows = dy.reshape(-1, param.grad.size)
    np.dot(ones(len(rows), dy.dtype), rows, out=param.grad.reshape(-1))


class Normalization(Layer):
    """Base class of normalizations: the rows, and gamma."""

    axes = 1
    scale: bool = field(default=True, kw_only=True)

    def init_before(self) -> Initializer:
        """Return the initializer that suits the layer after, which suits this one too."""
        return self.default_init

    def build(self, shape: Shape) -> Shape:
        if not shape:
            raise ShapeError(f"{self} takes examples with features (…, n), not single numbers")
        if len(shape) < self.axes:
            raise ShapeError(f"{self} takes examples of {self.axes} axes or more, not {shape}")
        self.features = math.prod(shape[-self.axes :])
        if self.scale:
            self.gamma = Param(shape[-self.axes :], Ones(), decay=False)
        return shape

    def rows(self, x: Array) -> Array:
        """Return a matrix whose rows are normalized, one for each position of each example."""
        return x.reshape(-1, self.features)

    def rows_backward(self, rows: Array, shape: Shape) -> Array:
        """Return an array of `shape` from such a matrix: the inverse of `rows`."""
        return rows.reshape(shape)

    def check_squares(self, squares: Array) -> None:
        """Raise a DivergenceError where squares have overflowed: all would become 0."""
        require(
            ~np.isinf(squares),
            lambda: DivergenceError(
                f"{self.address}: {type(self).__name__} is given numbers with squares too big for "
                f"{squares.dtype}: try a smaller learning rate, or scale the examples"
            ),
        )

    def affine(self, xhat: Array) -> Array:
        """Return gamma xhat, in a new array."""
        return xhat * self.gamma.value if self.scale else xhat.copy()

    def affine_backward(self, dy: Array, xhat: Array) -> Array:
        """Set dgamma = sum of dy xhat, and return dxhat = dy gamma."""
        if not self.scale:
            return dy
        add_up(dy * xhat, self.gamma)
        return dy * self.gamma.value


class RMSNorm(Normalization):
    """y = gamma x r, with r = 1 / sqrt(mean of x^2 + eps), over the features of one example.

    RMS normalization is LayerNorm without the mean and without beta: with xhat = x r and
    dxhat = dy gamma, dx = r (dxhat - xhat mean(dxhat xhat)). The same with ``train=False``.

    Source: Zhang and Sennrich (2019), Root mean square layer normalization, arXiv:1910.07467.

    Parameters
    ----------
    eps : float, optional
        Keeps the root away from 0; by default, as in PyTorch, the precision of the dtype:
        1.2e-7 in float32, 2.2e-16 in float64.
    scale : bool
        Whether there is a gamma.
    axes : int
        Number of axes, from the last one back, that share a mean square, and that gamma has.

    Raises
    ------
    ShapeError
        When an example has fewer axes.
    DivergenceError
        When the squares of the inputs are too big for the dtype.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> norm = RMSNorm()
    >>> net = Network(norm, SoftmaxCrossEntropy(), shape=(2,), dtype="float64")
    >>> norm.forward(np.array([[1.0, -7.0]]))
    array([[ 0.2, -1.4]])
    """

    eps: Rate | None = None
    axes: Size = field(default=1, kw_only=True)

    def forward(self, x: Array, train: bool = True) -> Array:
        rows = self.rows(x)
        squares = average(rows * rows)
        self.check_squares(squares)
        r = 1 / np.sqrt(squares + (self.eps or float(np.finfo(x.dtype).eps)))
        xhat = self.rows_backward(rows * r, x.shape)
        self.xhat, self.r = xhat, r
        return self.affine(xhat)

    def backward(self, dy: Array) -> Array:
        dxhat, xhat = self.rows(self.affine_backward(dy, self.xhat)), self.rows(self.xhat)
        dx = dxhat * xhat
        np.multiply(xhat, -average(dx), out=dx)
        dx += dxhat
        dx *= self.r
        return self.rows_backward(dx, dy.shape)


class Centering(Normalization):
    """Base class of normalizations that subtract a mean: xhat, and beta."""

    eps: Rate = field(default=1e-5, kw_only=True)
    shift: bool = field(default=True, kw_only=True)

    @abstractmethod
    def build(self, shape: Shape) -> Shape:
        """Declare gamma and beta; check that each mean is one of several numbers."""
        super().build(shape)
        if self.shift:
            self.beta = Param(shape[-self.axes :], Zeros(), decay=False)
        return shape

    def affine(self, xhat: Array) -> Array:
        """Return gamma xhat + beta, in a new array."""
        y = super().affine(xhat)
        if self.shift:
            y += self.beta.value
        return y

    def affine_backward(self, dy: Array, xhat: Array) -> Array:
        """Set dgamma, and dbeta = sum of dy; return dxhat = dy gamma."""
        if self.shift:
            add_up(dy, self.beta)
        return super().affine_backward(dy, xhat)

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
        rows, variance = self.center(self.rows(x), train)
        r = 1 / np.sqrt(variance + self.eps)
        rows *= r
        xhat = self.rows_backward(rows, x.shape)
        self.xhat, self.r = xhat, r
        return self.affine(xhat)

    def backward(self, dy: Array) -> Array:
        """Return dx = r (dxhat - mean(dxhat) - xhat mean(dxhat xhat))."""
        dxhat, xhat = self.rows(self.affine_backward(dy, self.xhat)), self.rows(self.xhat)
        dx = dxhat * xhat
        np.multiply(xhat, -average(dx), out=dx)
        dx += dxhat
        dx -= average(dxhat)
        dx *= self.r
        return self.rows_backward(dx, dy.shape)


class LayerNorm(Centering):
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, over the features of one example.

    Layer normalization takes mean and variance along the last axis, separately at each position
    of a sequence: PyTorch's LayerNorm(n), Keras's with axis=-1. The same with ``train=False``.

    Source: Ba, Kiros and Hinton (2016), Layer normalization, arXiv:1607.06450.

    Parameters
    ----------
    eps : float
        Keeps the root away from 0; the default is PyTorch's, Keras has 0.001.
    axes : int
        Number of axes, from the last one back, that share a mean and a variance, and that gamma
        and beta have: PyTorch's normalized_shape is then their sizes, Keras's axis their numbers.
    scale, shift : bool
        Whether there is a gamma, and a beta.

    Raises
    ------
    ShapeError
        When there is only one number to normalize, which would become 0, or an example has too few
        axes.
    DivergenceError
        When the squares of the inputs are too big for the dtype.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> norm = LayerNorm()
    >>> net = Network(norm, SoftmaxCrossEntropy(), shape=(4,), dtype="float64")
    >>> norm.forward(np.array([[1.0, 3.0, 3.0, 5.0], [70.0, 10.0, 10.0, 70.0]])).round(2)
    array([[-1.41,  0.  ,  0.  ,  1.41],
           [ 1.  , -1.  , -1.  ,  1.  ]])
    """

    axes: Size = field(default=1, kw_only=True)

    def build(self, shape: Shape) -> Shape:
        super().build(shape)
        if self.features == 1:
            raise ShapeError(f"{self} takes two features or more: of {shape} nothing would be left")
        return shape


class GroupNorm(Centering):
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, over groups of features of one example.

    Group normalization cuts the features into `groups` of neighbours, and takes a mean and a
    variance over one group at all positions of an example, as PyTorch does. The same with
    ``train=False``.

    Source: Wu and He (2018), Group normalization, arXiv:1803.08494.

    Parameters
    ----------
    groups : int
        Number of groups, which has to divide the number of features.
    eps : float
        Keeps the root away from 0; the default is PyTorch's, Keras has 0.001.
    scale, shift : bool
        Whether there is a gamma, and a beta.

    Raises
    ------
    ShapeError
        When the groups don't have the same size, or only one number each, which would become 0.
    DivergenceError
        When the squares of the inputs are too big for the dtype.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> norm = GroupNorm(groups=2)
    >>> net = Network(norm, SoftmaxCrossEntropy(), shape=(4,), dtype="float64")
    >>> norm.forward(np.array([[1.0, 3.0, 10.0, 30.0]])).round(2)
    array([[-1.,  1., -1.,  1.]])
    """

    groups: Size

    def build(self, shape: Shape) -> Shape:
        super().build(shape)
        if shape[-1] % self.groups:
            raise ShapeError(
                f"{self} takes a number of features that {self.groups} divides, not {shape}"
            )
        if math.prod(shape) == self.groups:
            raise ShapeError(f"{self} takes groups of two numbers or more: {shape} has one in each")
        return shape

    def rows(self, x: Array) -> Array:
        """Return a matrix with a row for each group of each example."""
        groups = x.reshape(len(x), -1, self.groups, x.shape[-1] // self.groups)
        return groups.swapaxes(1, 2).reshape(len(x) * self.groups, -1)

    def rows_backward(self, rows: Array, shape: Shape) -> Array:
        """Return an array of `shape` from the rows of groups."""
        groups = rows.reshape(shape[0], self.groups, -1, shape[-1] // self.groups)
        return groups.swapaxes(1, 2).reshape(shape)


class BatchNorm(Centering):
    """y = gamma (x - mean) / sqrt(variance + eps) + beta, over a batch for each feature.

    Batch normalization takes mean and variance over the batch and all axes but the last, which is
    the axis of the features: of sequences (N, T, d), over N and T for each of the d, as Keras does
    (PyTorch's BatchNorm1d has the features second). With ``train=False`` they are those that were
    kept in training, after each batch

        kept = (1 - momentum) kept + momentum (of this batch)

    beginning with mean 0 and variance 1. As in PyTorch, momentum is the weight of the new batch,
    and the variance that is kept is divided by n - 1. (Keras: the weight of the old, and n.)
    A momentum between 0.5 and 1 looks like one for Keras: training gives a `MomentumWarning`.

    Source: Ioffe and Szegedy (2015), Batch normalization, arXiv:1502.03167.

    Parameters
    ----------
    momentum : float
        The weight of the new batch: more than 0, at most 1.
    eps : float
        Keeps the root away from 0; the default is PyTorch's, Keras has 0.001.
    scale, shift : bool
        Whether there is a gamma, and a beta.

    Raises
    ------
    DataError
        For a training batch of one example, which would become 0.
    DivergenceError
        When the squares of the inputs are too big for the dtype.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
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
        super().build(shape)
        self.mean, self.variance = State(shape[-1:], Zeros()), State(shape[-1:], Ones())
        return shape

    def rows(self, x: Array) -> Array:
        """Return a matrix with a row for each feature."""
        return x.reshape(-1, x.shape[-1]).T

    def rows_backward(self, rows: Array, shape: Shape) -> Array:
        """Return an array of `shape` from the rows of features."""
        return rows.T.reshape(shape)

    def center(self, rows: Array, train: bool) -> tuple[Array, Array]:
        """Use the moments of the batch, and keep them; with ``train=False``, those kept before."""
        if not train:
            return rows - self.mean.value[:, None], self.variance.value[:, None]
        centered, mean, variance = self.moments(rows)
        n = rows.shape[1]
        for kept, new in ((self.mean, mean), (self.variance, variance * (n / (n - 1)))):
            kept.value += self.momentum * (new[:, 0] - kept.value)
        return centered, variance

    def forward(self, x: Array, train: bool = True) -> Array:
        if train and len(x) < 2:
            raise DataError(
                "BatchNorm can't be trained with a batch of one example, which has no variance: "
                "choose a batch_size that leaves no single example over, or use LayerNorm"
            )
        self.train = train
        return super().forward(x, train=train)

    def backward(self, dy: Array) -> Array:
        """Return dx; if `forward` had ``train=False``, dx = gamma dy / sqrt(variance + eps)."""
        if self.train:
            return super().backward(dy)
        return self.affine_backward(dy, self.xhat) * self.r[:, 0]
