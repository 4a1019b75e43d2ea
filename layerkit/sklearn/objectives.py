"""Objectives of scikit-learn's perceptrons: what is minimized, and the loss that is reported.

N    examples of a batch
t    targets: numbers, or 1 for true and 0 for false, one-hot for classes: (N, D)
p    outputs after scikit-learn's output activation: (N, D)
l    the losses of the examples (N,)

The derivative of each of them with respect to the outputs before the activation is p - t. That
of the squared error is scaled otherwise than the loss: the sum over the outputs is minimized, and
half of the mean is reported.
"""

from __future__ import annotations

import numpy as np
from scipy.special import xlogy

from layerkit.arrays import Array
from layerkit.losses.base import Loss


def activated(loss: Loss, z: Array) -> Array:
    """Return the outputs after scikit-learn's output activation."""
    return loss.predict_proba(z) if loss.has_probabilities else loss.predict(z)


def clipped(p: Array) -> Array:
    """Return probabilities that have a logarithm, at least eps away from 0 and 1."""
    eps = np.finfo(p.dtype).eps
    return np.clip(p, eps, 1 - eps)


def softmax_losses(t: Array, p: Array) -> Array:
    """Return -log p of the right class."""
    return -np.log(clipped((p * t).sum(axis=1)))


def logistic_losses(t: Array, p: Array) -> Array:
    """Return -sum over the labels of t log p + (1 - t) log(1 - p)."""
    p = clipped(p)
    return -np.log(np.where(t > 0, p, 1 - p)).sum(axis=1)


def half_squares(t: Array, p: Array) -> Array:
    """Return half of the mean of (p - t)^2 over the outputs."""
    return 0.5 * ((p - t) ** 2).mean(axis=1)


def half_deviances(t: Array, p: Array) -> Array:
    """Return the sum over the outputs of t log(t / p) - t + p."""
    return (xlogy(t, t / p) - t + p).sum(axis=1)


REPORTED = {
    "softmax": softmax_losses,
    "logistic": logistic_losses,
    "identity": half_squares,
    "exp": half_deviances,
}
"""The losses that are reported, by scikit-learn's name of the output activation."""
