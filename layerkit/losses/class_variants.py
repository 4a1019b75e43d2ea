"""Variants of the cross-entropy, for classes that exclude each other: one output for each class.

z    outputs, one for each class: (N, K), or with more axes, such as (N, T, K) for sequences
t    targets: class numbers (N,), (N, T); for KLDivergence distributions over the classes, like z
p    probabilities, softmax(z), of the shape of z
l    the losses of the positions: (N,), (N, T)
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Amount, Rate
from layerkit.errors import DataError
from layerkit.losses.base import batch_of
from layerkit.losses.classes import Classifier, SoftmaxClassifier, distributions, log_softmax


class Focal(SoftmaxClassifier):
    """l = -(1 - p_t)^gamma log p_t, with p = softmax(z): the focal loss, in nats.

    Easy examples, whose p_t is near 1, count little.
    dl/dz_k = g ([k = t] - p_k), g = gamma (1 - p_t)^(gamma - 1) p_t log p_t - (1 - p_t)^gamma.
    With gamma = 0 it is the cross-entropy. Keras's CategoricalFocalCrossentropy with alpha = 1; the
    binary form of the paper is that of two classes.

    Source: Lin et al. (2017), Focal loss for dense object detection, arXiv:1708.02002.

    Parameters
    ----------
    gamma : float
        The exponent, at least 0: the larger, the less the examples count that are right already.

    Examples
    --------
    >>> loss, z = Focal(), np.array([[0.0, 0.0], [2.0, 0.0]])
    >>> loss.losses(z, np.array([0, 0])).round(4)
    array([0.1733, 0.0018])
    """

    gamma: Amount = 2.0

    def row_losses(self, z: Array, t: Array) -> Array:
        right, log_p = (t, np.arange(len(t))), log_softmax(z)
        others = np.exp(log_p)
        p = others[right]
        others[right] = 0
        rest = others.sum(axis=0)  # 1 - p_t, exact where that rounds to 0
        self.right, self.others, self.p, self.rest = right, others, p, rest
        self.log_p = log_p[right]
        return -(rest**self.gamma) * self.log_p

    def row_gradients(self) -> Array:
        gamma, rest = self.gamma, np.maximum(self.rest, np.finfo(self.rest.dtype).tiny)
        g = gamma * rest ** (gamma - 1) * self.p * self.log_p - rest**gamma
        dz = -g * self.others
        dz[self.right] = g * self.rest
        return dz.T


class KLDivergence(SoftmaxClassifier):
    """l = sum_k t_k (log t_k - log p_k), with p = softmax(z), in nats; dl/dz = p sum_k t_k - t.

    The Kullback-Leibler divergence of the distribution p from the distribution t: the cross-entropy
    less the entropy of t, so that it is 0 at p = t. For rows (N, K), PyTorch's
    kl_div(log_softmax(z), t) with "batchmean".

    Source: Kullback and Leibler (1951), On information and sufficiency.

    Raises
    ------
    DataError
        For targets that are not distributions of the shape of the outputs, which sum to 1.

    Examples
    --------
    >>> loss = KLDivergence()
    >>> round(loss.mean(np.log([[0.2, 0.8]]), np.array([[0.2, 0.8]])), 4)
    0.0
    >>> round(loss.mean(np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])), 4)
    0.6931
    """

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return distributions over the classes as they are."""
        shares = np.asarray(t)
        if not shares.ndim or shares.shape[1:] != shape or shares.dtype.kind not in "biuf":
            raise DataError(
                f"targets of type {shares.dtype} and shape {shares.shape}; should be numbers, "
                f"distributions over the classes, {batch_of(shape)}"
            )
        return distributions(shares)

    def row_losses(self, z: Array, t: Array) -> Array:
        self.log_p, self.t = log_softmax(z), t
        log_t = np.log(np.where(t > 0, t, 1)).T  # 0 log 0 is 0
        return (t.T * (log_t - self.log_p)).sum(axis=0, dtype=float)

    def row_gradients(self) -> Array:
        dz = np.exp(self.log_p)
        dz *= self.t.sum(axis=1)
        dz -= self.t.T
        return dz.T


class MultiMargin(Classifier):
    """l = 1/K sum_{k != t} max(0, margin - z_t + z_k)^power: in units of z, or their squares.

    dl/dz_k = power/K max(0, …)^(power - 1) where that is positive, else 0 (at the kink too); for
    the right class, minus the sum of the others. PyTorch's MultiMarginLoss. Zero when the right
    output is larger than all others by the margin. There are no probabilities.

    Parameters
    ----------
    margin : float
        By how much the output of the right class should be larger than the others.
    power : {1, 2}
        1 for the hinge, 2 for its square.

    Examples
    --------
    >>> loss, z = MultiMargin(), np.array([[3.0, 2.5, 0.0, 0.0]])
    >>> loss.mean(z, np.array([0])), loss.mean(z, np.array([1]))
    (0.125, 0.375)
    >>> loss.backward()
    array([[ 0.25, -0.25,  0.  ,  0.  ]])
    """

    margin: Rate = 1.0
    power: Literal[1, 2] = 1

    def row_losses(self, z: Array, t: Array) -> Array:
        self.right = np.arange(len(t)), t
        excess = np.maximum(self.margin - z[self.right][:, None] + z, 0)
        excess[self.right] = 0
        self.excess = excess
        return (excess**self.power).mean(axis=1, dtype=float)

    def row_gradients(self) -> Array:
        excess = self.excess
        dz = np.sign(excess) if self.power == 1 else 2 * excess
        dz /= excess.shape[1]
        dz[self.right] = -dz.sum(axis=1)
        return dz
