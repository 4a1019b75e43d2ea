"""Rectifiers whose slopes or bends are learned parameters."""

from __future__ import annotations

from dataclasses import field

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Size
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Constant, Normal, Ones, Zeros
from layerkit.layers.activations.rectifiers import Rectifier
from layerkit.parameters import Param


def added_up(dy: Array, features: Shape) -> Array:
    """The sum of dy over the batch and all positions: one number for each feature."""
    return dy.reshape(-1, *features).sum(axis=0)


class PReLU(Rectifier):
    """y = x where x > 0, else a x; dy/dx = 1 where x > 0, else a; dy/da = min(x, 0).

    The parametric ReLU, a LeakyReLU whose slope a is learned.
    Range (-inf, inf).
    Not differentiable at 0, where the derivative is taken as a.
    Source: He, Zhang, Ren and Sun (2015), Delving deep into rectifiers, arXiv:1502.01852.

    Parameters
    ----------
    shared : bool
        One a for all, which is PyTorch's default; otherwise one for each feature, the same at all
        positions of a sequence (Keras: shared_axes names the axes of the positions).
    init : Initializer
        The initializer of a. The default is the paper's and PyTorch's; Keras starts at 0.

    Examples
    --------
    >>> from layerkit import Network, SoftmaxCrossEntropy
    >>> prelu = PReLU(shared=False)
    >>> net = Network(prelu, SoftmaxCrossEntropy(), shape=(3,))
    >>> prelu.a.value.shape
    (3,)
    """

    shared: bool = True
    init: Initializer = field(default_factory=lambda: Constant(0.25))

    def build(self, shape: Shape) -> Shape:
        self.a = Param((1,) if self.shared else shape[-1:], self.init, decay=False)
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return max(x, 0) + a min(x, 0): one of the two is 0."""
        self.x = x
        y = np.minimum(x, 0)
        y *= self.a.value
        y += np.maximum(x, 0)
        return y

    def backward(self, dy: Array) -> Array:
        da = dy * np.minimum(self.x, 0)
        self.a.grad = da.sum().reshape(1) if self.shared else added_up(da, self.a.shape)
        positive = np.sign(np.maximum(self.x, 0))
        dx = self.a.value * (1 - positive)
        dx += positive
        dx *= dy
        return dx


class SReLU(Rectifier):
    """y = t_right + a_right (x - t_right) where x > t_right, t_left + a_left (x - t_left) where
    x < t_left, else x; dy/dx = a_right, a_left or 1.

    The S-shaped ReLU: three straight lines, whose bends and outer slopes are learned for each
    feature.
    Range (-inf, inf).
    Not differentiable at t_left and t_right, where the derivative is taken as 1.
    Source: Jin et al. (2015), Deep learning with S-shaped rectified linear activation units,
    arXiv:1512.07030.

    Parameters
    ----------
    t_left, a_left, t_right, a_right : Initializer
        The initializers of the two bends, and of the slopes beyond them. By default it starts as
        LeakyReLU(0.2), with the right bend at 1.

    Examples
    --------
    >>> from layerkit import Constant, Network, SoftmaxCrossEntropy
    >>> srelu = SReLU(a_right=Constant(0.5))
    >>> net = Network(srelu, SoftmaxCrossEntropy(), shape=(3,)).initialize(0)
    >>> srelu.forward(np.array([[-1.0, 1.0, 3.0]]))
    array([[-0.2,  1. ,  2. ]])
    """

    t_left: Initializer = field(default_factory=Zeros)
    a_left: Initializer = field(default_factory=lambda: Constant(0.2))
    t_right: Initializer = field(default_factory=Ones)
    a_right: Initializer = field(default_factory=Ones)

    def build(self, shape: Shape) -> Shape:
        self.tl, self.al, self.tr, self.ar = (
            Param(shape[-1:], init, decay=False)
            for init in (self.t_left, self.a_left, self.t_right, self.a_right)
        )
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return one of the three lines. The right one comes first, should the bends cross."""
        above, below = x - self.tr.value, x - self.tl.value
        right, left = above > 0, below < 0
        left &= ~right
        above *= right
        below *= left
        self.right, self.left, self.above, self.below = right, left, above, below
        y = np.where(right, self.tr.value, np.where(left, self.tl.value, x))
        y += self.ar.value * above
        y += self.al.value * below
        return y

    def backward(self, dy: Array) -> Array:
        features = self.ar.shape
        self.ar.grad = added_up(dy * self.above, features)
        self.al.grad = added_up(dy * self.below, features)
        self.tr.grad = (1 - self.ar.value) * added_up(dy * self.right, features)
        self.tl.grad = (1 - self.al.value) * added_up(dy * self.left, features)
        slope = np.where(self.right, self.ar.value, np.where(self.left, self.al.value, 1))
        return dy * slope


class APL(Rectifier):
    """y = max(x, 0) + sum_s a_s max(b_s - x, 0); dy/dx = [x > 0] - sum_s a_s [x < b_s].

    Adaptive piecewise linear: dy/da_s = max(b_s - x, 0) and dy/db_s = a_s [x < b_s]. Each feature
    has its own a and b.
    Range (-inf, inf).
    Not differentiable at 0 and at each b_s, where the derivative is taken as that on the right of
    b_s, and on the left of 0.
    Source: Agostinelli, Hoffman, Sadowski and Baldi (2014), Learning activation functions to
    improve deep neural networks, arXiv:1412.6830.

    Parameters
    ----------
    hinges : int
        Number of bends that are learned, the paper's S.
    a, b : Initializer
        The initializers of the slopes and of the bends. By default it starts as ReLU, with a = 0,
        and the bends at random places.

    Examples
    --------
    >>> from layerkit import Constant, Network, SoftmaxCrossEntropy
    >>> apl = APL(hinges=1, a=Constant(0.5), b=Constant(-1.0))
    >>> net = Network(apl, SoftmaxCrossEntropy(), shape=(3,)).initialize(0)
    >>> apl.forward(np.array([[-3.0, -1.0, 3.0]]))
    array([[1., 0., 3.]])
    """

    hinges: Size = 2
    a: Initializer = field(default_factory=Zeros)
    b: Initializer = field(default_factory=lambda: Normal(std=1.0))

    def build(self, shape: Shape) -> Shape:
        self.slopes, self.bends = (
            Param((self.hinges, *shape[-1:]), init, decay=False) for init in (self.a, self.b)
        )
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        y = np.maximum(x, 0)
        for a, b in zip(self.slopes.value, self.bends.value, strict=True):
            y += a * np.maximum(b - x, 0)
        return y

    def backward(self, dy: Array) -> Array:
        dx = np.sign(np.maximum(self.x, 0))
        dx *= dy
        for s, (a, b) in enumerate(zip(self.slopes.value, self.bends.value, strict=True)):
            hinge = np.maximum(b - self.x, 0)
            self.slopes.grad[s] = added_up(dy * hinge, a.shape)
            passed = dy * np.sign(hinge)
            self.bends.grad[s] = a * added_up(passed, a.shape)
            dx -= a * passed
        return dx
