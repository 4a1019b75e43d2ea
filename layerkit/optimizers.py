"""Optimizers: a formula over two vectors, in order of increasing complexity.

    w    all parameters of the network, changed in place
    g    the gradient of the loss with respect to them, read only
    s    scratch memory as large as w, so that no step allocates

Accumulating instead of assigning (`+=`, `out=`) matters: a temporary as large as the network may
go back to the operating system at every step, and cost more than the arithmetic.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from layerkit.config import Configurable, Decay, Rate
from layerkit.errors import ShapeError
from layerkit.parameters import Array


class Optimizer(Configurable, ABC):
    """A rule that changes the parameters w, given the gradient g.

    A subclass names the vectors it remembers in `slots` and writes `update(w, g, *slots)`. They
    start at 0; `self.t` counts the steps from 1, `self.s` is scratch memory.

    Raises
    ------
    ShapeError
        From `step`, for vectors other than those of the first step.

    Examples
    --------
    >>> class SignSGD(Optimizer):
    ...     lr: Rate = 0.5
    ...     def update(self, w, g):
    ...         w -= self.lr * np.sign(g)
    >>> w, optimizer = np.array([3.0, -2.0]), SignSGD()
    >>> optimizer.step(w, g=np.array([4.0, -0.1]))
    >>> w
    array([ 2.5, -1.5])
    """

    reserved = ("memory", "s", "t", "w")
    slots: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.t = 0
        self.w: Array | None = None
        self.memory: dict[str, Array] = {}

    def step(self, w: Array, g: Array) -> None:
        """Change `w` in place by one step."""
        self._check_sizes(w, g)
        if self.t == 0:
            self.memory = {slot: np.zeros_like(w) for slot in self.slots}
            self.s = np.empty_like(w)
        self.w = w
        self.t += 1
        self.update(w, g, *self.memory.values())

    def __getstate__(self) -> dict[str, Any]:
        """A copy goes on where this one is, with the first parameters that it is given."""
        return vars(self) | {"w": None}

    def check(self, w: Array, g: Array) -> None:
        """Raise a ShapeError for other sizes than before, or another network's parameters."""
        self._check_sizes(w, g)
        if self.w is not None and self.w is not w:
            raise ShapeError(
                f"this {type(self).__name__} has moved another network's parameters and remembers "
                "its steps; make a new one"
            )

    def _check_sizes(self, w: Array, g: Array) -> None:
        first = self.s if self.t else w
        if not w.shape == g.shape == first.shape or w.dtype != first.dtype:
            raise ShapeError(
                f"{w.dtype} parameters {w.shape} with gradients {g.shape}, but this "
                f"{type(self).__name__} began with {first.dtype} {first.shape}; make a new one"
            )

    @abstractmethod
    def update(self, w: Array, g: Array, *slots: Any) -> None:
        """Change `w` and the slots in place."""


class SGD(Optimizer):
    """w <- w - lr g: stochastic gradient descent.

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
        """Do w <- w - lr g."""
        w -= np.multiply(g, self.lr, out=self.s)


class Momentum(Optimizer):
    """v <- beta v + (1 - beta) g;  w <- w - lr v: the moving-average form.

    The tutorial's. PyTorch's is v <- beta v + g, the same path with lr (1 - beta) for lr.

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
        """Do v <- beta v + (1 - beta) g;  w <- w - lr v."""
        v *= self.beta
        v += np.multiply(g, 1 - self.beta, out=self.s)
        w -= np.multiply(v, self.lr, out=self.s)


class Nesterov(Optimizer):
    """v <- beta v + g;  w <- w - lr (g + beta v): momentum that looks ahead.

    PyTorch's ``SGD(momentum=beta, nesterov=True)``. After Sutskever et al. (2013), On the
    importance of initialization and momentum in deep learning; there lr is inside v, which makes
    another path when lr changes.

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
        """Do v <- beta v + g;  w <- w - lr (g + beta v)."""
        v *= self.beta
        v += g
        np.multiply(v, self.beta, out=self.s)
        self.s += g
        self.s *= self.lr
        w -= self.s


class RMSProp(Optimizer):
    """v <- alpha v + (1 - alpha) g^2;  w <- w - lr g / (sqrt(v) + eps).

    PyTorch's, not centred: eps stands outside the root. After Hinton (2012), Neural Networks for
    Machine Learning, lecture notes.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    alpha : float
        How much of the mean of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.

    Examples
    --------
    >>> w = np.array([1.0])
    >>> RMSProp(lr=0.1, alpha=0.75).step(w, g=np.array([3.0]))
    >>> w.round(6)
    array([0.8])
    """

    lr: Rate = 0.01
    alpha: Decay = 0.99
    eps: Rate = 1e-8
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        """Do v <- alpha v + (1 - alpha) g^2;  w <- w - lr g / (sqrt(v) + eps)."""
        s = self.s
        v *= self.alpha
        np.multiply(g, g, out=s)
        s *= 1 - self.alpha
        v += s
        np.sqrt(v, out=s)
        s += self.eps
        np.divide(g, s, out=s)
        s *= self.lr
        w -= s


class Adam(Optimizer):
    """m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2.

    w <- w - lr m' / (sqrt(v') + eps), m' = m / (1 - beta1^t), v' = v / (1 - beta2^t).

    PyTorch's: eps is added to the root of the corrected v'. Kingma and Ba (2015),
    arXiv:1412.6980, algorithm 1.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta1, beta2 : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.

    Examples
    --------
    >>> w = np.array([1.0, 1.0])
    >>> Adam(lr=0.1).step(w, g=np.array([1e-3, -1e3]))
    >>> w.round(6)
    array([0.900001, 1.1     ])
    """

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Rate = 1e-8
    slots = ("m", "v")

    def update(self, w: Array, g: Array, m: Array, v: Array) -> None:
        """Move along the corrected mean of g, in units of its corrected root mean square."""
        s = self.s
        m *= self.beta1
        m += np.multiply(g, 1 - self.beta1, out=s)
        v *= self.beta2
        np.multiply(g, g, out=s)
        s *= 1 - self.beta2
        v += s
        np.sqrt(v, out=s)
        s /= math.sqrt(1 - self.beta2**self.t)
        s += self.eps
        np.divide(m, s, out=s)
        s *= self.lr / (1 - self.beta1**self.t)
        w -= s
