"""A layer, an optimizer and a metric of your own, for configuration files, after `--import`.

layerkit train experiments/own_parts.toml --import experiments/own_parts.py
"""

import numpy as np

from layerkit import Array, Decay, Layer, Optimizer, Rate


class Snake(Layer):
    """y = x + sin^2(a x) / a;  dy/dx = 1 + sin(2 a x). Ziyin et al. (2020), arXiv:2006.08195.

    >>> from layerkit.testing import check_layer
    >>> check_layer(Snake(a=2.0), (3,))
    """

    a: Rate = 1.0

    def forward(self, x: Array, train: bool = True) -> Array:
        self.x = x
        return x + np.sin(self.a * x) ** 2 / self.a

    def backward(self, dy: Array) -> Array:
        return dy * (1 + np.sin(2 * self.a * self.x))


class Signum(Optimizer):
    """v <- beta v + (1 - beta) g;  w <- w - lr sign(v). Bernstein et al. (2018), arXiv:1802.04434.

    >>> from layerkit.testing import check_optimizer
    >>> check_optimizer(Signum())
    """

    lr: Rate = 0.001
    beta: Decay = 0.9
    slots = ("v",)

    def update(self, w: Array, g: Array, v: Array) -> None:
        """Move every parameter by lr, against the sign of its mean gradient."""
        v += (1 - self.beta) * (g - v)
        w -= self.lr * np.sign(v)


def off_by_one(y: Array, predicted: Array) -> float:
    """The share of digits that are taken for a neighbour.

    >>> off_by_one(np.array([3, 3, 3, 3]), np.array([3, 4, 8, 3]))
    0.25
    """
    return float(np.mean(abs(predicted - y) == 1))
