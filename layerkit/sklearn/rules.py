"""The optimizers of scikit-learn's perceptrons, where they differ from layerkit's.

w    all parameters of the network, changed in place
g    the gradient of the loss with respect to them, read only
"""

from __future__ import annotations

import math

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Rate, Share
from layerkit.optimizers.adam import Moments
from layerkit.optimizers.base import Optimizer


class _UncorrectedAdam(Moments):
    """Adam, but eps is added to the root of v before v is corrected: Keras's, too.

    w <- w - lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps).
    """

    def update(self, w: Array, g: Array, m: Array, v: Array) -> None:
        self.average(g, m, v, self.s)
        np.sqrt(v, out=self.s)
        self.s += self.eps
        np.divide(m, self.s, out=self.s)
        self.s *= self.lr * math.sqrt(1 - self.beta2**self.t) / (1 - self.beta1**self.t)
        w -= self.s


class _Velocity(Optimizer):
    """v <- momentum v - lr g;  w <- w + v, or w + momentum v - lr g if it looks ahead.

    lr is inside v, unlike in HeavyBall and Nesterov: another path when lr changes.
    """

    lr: Rate = 0.001
    momentum: Share = 0.9
    nesterov: bool = True
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        v *= self.momentum
        v -= np.multiply(g, self.lr, out=self.s)
        if self.nesterov:
            w -= self.s
            w += np.multiply(v, self.momentum, out=self.s)
        else:
            w += v
