"""Optimizers that divide by the size of past gradients, in order of increasing complexity.

w    all parameters of the network, changed in place
g    the gradient of the loss with respect to them, read only
m    a running mean of g
v    a sum or running mean of g^2
d    a step, before its learning rate
u    a running mean of d^2
s    scratch memory
"""

from __future__ import annotations

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Decay, Rate
from layerkit.optimizers.base import Optimizer


class AdaGrad(Optimizer):
    """v <- v + g^2;  w <- w - lr g / (sqrt(v) + eps).

    Adaptive gradient: the more a parameter has moved, the shorter its steps.

    PyTorch's: v starts at 0, eps is outside the root. In Keras v starts at 0.1 and eps is
    inside.

    Source: Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization.

    Parameters
    ----------
    lr : float
        Learning rate, the length of the first step of each parameter.
    eps : float
        Added to the root, so that nothing is divided by 0.

    Examples
    --------
    >>> w, adagrad = np.array([2.0]), AdaGrad(lr=1.0)
    >>> for g in [3.0, 4.0]:
    ...     adagrad.step(w, np.array([g]))
    >>> w.round(6)
    array([0.2])
    """

    lr: Rate = 0.01
    eps: Rate = 1e-10
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        s = self.s
        v += np.multiply(g, g, out=s)
        np.sqrt(v, out=s)
        s += self.eps
        np.divide(g, s, out=s)
        s *= self.lr
        w -= s


class RMSProp(Optimizer):
    """v <- alpha v + (1 - alpha) g^2;  w <- w - lr g / (sqrt(v) + eps).

    AdaGrad that forgets: the root mean square of the last gradients divides.

    PyTorch's, not centred: eps is outside the root. In Keras it is inside.

    Source: Hinton (2012), Neural Networks for Machine Learning, lecture notes.

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


class CenteredRMSProp(Optimizer):
    """w <- w - lr g / (sqrt(v - m^2) + eps): RMSProp in units of the standard deviation of g.

    m <- alpha m + (1 - alpha) g;  v <- alpha v + (1 - alpha) g^2.

    PyTorch's ``RMSprop(centered=True)``: eps is outside the root; in Keras it is inside. If
    rounding makes v - m^2 negative, it counts as 0.

    Source: Graves (2013), Generating Sequences With Recurrent Neural Networks, arXiv:1308.0850.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    alpha : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.

    Examples
    --------
    >>> w = np.array([1.0])
    >>> CenteredRMSProp(lr=0.1, alpha=0.5).step(w, g=np.array([3.0]))
    >>> w.round(6)
    array([0.8])
    """

    lr: Rate = 0.01
    alpha: Decay = 0.99
    eps: Rate = 1e-8
    slots = ("m", "v")

    def update(self, w: Array, g: Array, m: Array, v: Array) -> None:
        s = self.s
        m *= self.alpha
        m += np.multiply(g, 1 - self.alpha, out=s)
        v *= self.alpha
        np.multiply(g, g, out=s)
        s *= 1 - self.alpha
        v += s
        np.multiply(m, m, out=s)
        np.subtract(v, s, out=s)
        np.maximum(s, 0, out=s)
        np.sqrt(s, out=s)
        s += self.eps
        np.divide(g, s, out=s)
        s *= self.lr
        w -= s


class Adadelta(Optimizer):
    """w <- w - lr d, d = g sqrt(u + eps) / sqrt(v + eps): steps in the unit of w.

    v <- rho v + (1 - rho) g^2 before, u <- rho u + (1 - rho) d^2 after the step.

    PyTorch's, and the source's with lr = 1: eps is inside both roots. Keras has other defaults.

    Source: Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method, arXiv:1212.5701.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    rho : float
        How much of the means of g^2 and of d^2 is kept at each step.
    eps : float
        Added under the roots: its root is the size of the first steps.

    Examples
    --------
    >>> w = np.array([1.0])
    >>> Adadelta(eps=0.01, rho=0.75).step(w, g=np.array([3.0]))
    >>> w.round(4)
    array([0.8004])
    """

    lr: Rate = 1.0
    rho: Decay = 0.9
    eps: Rate = 1e-6

    def allocate(self, w: Array) -> dict[str, Array]:
        """Return v = 0 and u = 0; eps is added to u here, and kept there by each step."""
        return {"v": np.zeros_like(w), "u": np.full_like(w, self.eps)}

    def update(self, w: Array, g: Array, v: Array, u: Array) -> None:
        """Compute d^2 = g^2 u / (v + eps), with which u is updated; its root is the step."""
        s = self.s
        v *= self.rho
        np.multiply(g, g, out=s)
        s *= 1 - self.rho
        v += s
        np.add(v, self.eps, out=s)
        np.divide(u, s, out=s)
        s *= g
        s *= g
        s *= 1 - self.rho
        u *= self.rho
        u += s
        u += (1 - self.rho) * self.eps
        np.sqrt(s, out=s)
        np.copysign(s, g, out=s)
        s *= self.lr / (1 - self.rho) ** 0.5
        w -= s
