"""Gradient descent without and with momentum, in order of increasing complexity.

w    all parameters of the network, changed in place
g    the gradient of the loss with respect to them, read only
v    a running mean or sum of g
"""

from __future__ import annotations

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Decay, Rate
from layerkit.optimizers.base import Optimizer


class SGD(Optimizer):
    """w <- w - lr g: stochastic gradient descent.

    PyTorch's and Keras's without momentum.

    Source: Robbins and Monro (1951), A stochastic approximation method.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> SGD(lr=0.5).step(w, g=np.array([2.0, 2.0]))
    >>> w
    array([0., 1.])
    """

    lr: Rate = 0.1

    def update(self, w: Array, g: Array) -> None:
        w -= np.multiply(g, self.lr, out=self.s)


class Momentum(Optimizer):
    """v <- beta v + (1 - beta) g;  w <- w - lr v: momentum as a moving average.

    PyTorch's is v <- beta v + g, without the factor: HeavyBall, which takes the same path when its
    lr is lr (1 - beta).

    Source: Polyak (1964), Some methods of speeding up the convergence of iteration methods, for the
    other form.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta : float
        How much of v is kept at each step.

    Examples
    --------
    >>> w, momentum = np.array([1.0]), Momentum(lr=1.0, beta=0.5)
    >>> for _ in range(2):
    ...     momentum.step(w, g=np.array([0.5]))
    >>> w
    array([0.375])
    """

    lr: Rate = 0.1
    beta: Decay = 0.9
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        v *= self.beta
        v += np.multiply(g, 1 - self.beta, out=self.s)
        w -= np.multiply(v, self.lr, out=self.s)


class HeavyBall(Optimizer):
    """v <- beta v + g;  w <- w - lr v: momentum, where v is a sum and not a mean.

    PyTorch's ``SGD(momentum=beta)``. Momentum takes the same path when its lr is
    lr / (1 - beta). In Keras lr is inside v, which makes another path when lr changes.

    Source: Polyak (1964), Some methods of speeding up the convergence of iteration methods.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta : float
        How much of v is kept at each step.

    Examples
    --------
    >>> w, heavy_ball = np.array([1.0]), HeavyBall(lr=0.5, beta=0.5)
    >>> for _ in range(2):
    ...     heavy_ball.step(w, g=np.array([0.5]))
    >>> w
    array([0.375])
    """

    lr: Rate = 0.01
    beta: Decay = 0.9
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        v *= self.beta
        v += g
        w -= np.multiply(v, self.lr, out=self.s)


class Nesterov(Optimizer):
    """v <- beta v + g;  w <- w - lr (g + beta v): momentum that looks ahead.

    PyTorch's ``SGD(momentum=beta, nesterov=True)``. In the source and in Keras lr is inside v,
    which makes another path when lr changes.

    Source: Sutskever et al. (2013), On the importance of initialization and momentum in deep
    learning.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta : float
        How much of v is kept at each step.

    Examples
    --------
    >>> w = np.array([1.0])
    >>> Nesterov(lr=0.5, beta=0.5).step(w, g=np.array([1.0]))
    >>> w
    array([0.25])
    """

    lr: Rate = 0.01
    beta: Decay = 0.9
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        v *= self.beta
        v += g
        np.multiply(v, self.beta, out=self.s)
        self.s += g
        self.s *= self.lr
        w -= self.s
