"""Optimizers that divide by the size of past gradients, in order of increasing complexity.

    w    all parameters of the network, changed in place
    g    the gradient of the loss with respect to them, read only
    m    a running mean of g
    v    a running mean of g^2
"""

from __future__ import annotations

import math

import numpy as np

from layerkit.config import Decay, Rate
from layerkit.optimizers.base import Optimizer
from layerkit.parameters import Array


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
