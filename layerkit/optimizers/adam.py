"""Adam, with and without decoupled weight decay.

w    all parameters of the network, changed in place
g    the gradient of the loss with respect to them, read only
m    a running mean of g
v    a running mean of g^2
m'   m, corrected for its start at 0: m' = m / (1 - beta1^t)
v'   v, corrected for its start at 0: v' = v / (1 - beta2^t)
t    the number of the step, from 1
s    scratch memory
"""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Amount, Decay, Rate
from layerkit.optimizers.base import Optimizer


class Moments(Optimizer):
    """Base of Adam and its relatives: their options and two running means.

    Parameters
    ----------
    lr : float
        Learning rate, the factor of a step.
    beta1, beta2 : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.
    """

    lr: Rate = 0.001
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: Rate = 1e-8
    slots: ClassVar[tuple[str, ...]] = ("m", "v")

    def average(self, g: Array, m: Array, v: Array, s: Array) -> None:
        """Do m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2."""
        m *= self.beta1
        m += np.multiply(g, 1 - self.beta1, out=s)
        v *= self.beta2
        np.multiply(g, g, out=s)
        s *= 1 - self.beta2
        v += s

    def change(self, m: Array, v: Array, s: Array, lr: float) -> Array:
        """Return lr m' / (sqrt(v') + eps), in s."""
        np.sqrt(v, out=s)
        s /= (1 - self.beta2**self.t) ** 0.5
        s += self.eps
        np.divide(m, s, out=s)
        s *= lr / (1 - self.beta1**self.t)
        return s


class Adam(Moments):
    """w <- w - lr m' / (sqrt(v') + eps): steps of about lr, whatever the size of the gradients.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g^2;  m' = m / (1 - beta1^t);
    v' = v / (1 - beta2^t).

    PyTorch's and the source's algorithm 1: eps is added to the root of the corrected v'. Keras adds
    it to the root of v, before the correction.

    Source: Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, arXiv:1412.6980.

    Parameters
    ----------
    lr : float
        Learning rate, the length of the first step of each parameter.
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

    def update(self, w: Array, g: Array, m: Array, v: Array) -> None:
        self.average(g, m, v, self.s)
        w -= self.change(m, v, self.s, self.lr)


class AdamW(Adam):
    """w <- (1 - lr weight_decay) w - lr m' / (sqrt(v') + eps): Adam with decoupled weight decay.

    PyTorch's: Adam with another default of `weight_decay`. In the source it is not multiplied by
    lr, and in Keras its default is 0.004.

    Source: Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, arXiv:1711.05101.

    Parameters
    ----------
    lr : float
        Learning rate, the length of the first step of each parameter.
    beta1, beta2 : float
        How much of the means of g and of g^2 is kept at each step.
    eps : float
        Added to the root, so that nothing is divided by 0.
    weight_decay : float
        The part of w that is subtracted from it at each step, divided by lr.

    Examples
    --------
    >>> w = np.array([100.0, 1.0])
    >>> AdamW(lr=0.1, weight_decay=0.5).step(w, g=np.array([0.0, 1.0]))
    >>> w.round(6)
    array([95.  ,  0.85])
    """

    weight_decay: Amount = field(default=0.01, kw_only=True)
