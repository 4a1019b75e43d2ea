"""The landscape of the paths in optimizers.npz, for the script and for the tests."""

import numpy as np

from layerkit import Array


def height(w: Array) -> float:
    """Curved valleys, as Rosenbrock's but with bounded slopes, in a wavy bowl."""
    r = w[1:] - w[:-1] ** 2
    return float(np.log1p(r**2).sum() + (0.1 * (w - 1) ** 2 + 0.2 * np.sin(3 * w)).sum())


def slope(w: Array) -> Array:
    """Return the derivative of `height`."""
    r = w[1:] - w[:-1] ** 2
    dr = 2 * r / (1 + r**2)
    g: Array = 0.2 * (w - 1) + 0.6 * np.cos(3 * w)
    g[1:] += dr
    g[:-1] -= 2 * w[:-1] * dr
    return g
