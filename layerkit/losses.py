"""What a network is to make small.

z    what the network's body returns, the logits of a classifier: (N, K)
t    targets: class numbers (N,), or a distribution over the classes for each example (N, K)
p    probabilities: (N, K)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from layerkit.config import Configurable
from layerkit.errors import DataError, ShapeError
from layerkit.parameters import Array, Shape


class Loss(Configurable, ABC):
    """A number that tells how wrong a batch is, and its derivative.

    A subclass writes `forward` and `backward`; classifiers the rest as well.

    Examples
    --------
    >>> class MeanSquared(Loss):
    ...     def forward(self, z, t):
    ...         self.error = z - t
    ...         return float((self.error ** 2).mean())
    ...     def backward(self):
    ...         return 2 * self.error / self.error.size
    >>> loss = MeanSquared()
    >>> loss.forward(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
    2.0
    >>> loss.backward()
    array([[0., 2.]])
    """

    def build(self, shape: Shape) -> None:
        """Check that the loss can judge outputs of `shape`. Raise `ShapeError` if not."""

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return `t` as `forward` takes it, for outputs of `shape`; here as floats.

        The network brings floats to its own dtype.

        Raises
        ------
        DataError
            For targets that don't fit the outputs or are not finite.
        """
        targets = np.asarray(t)
        if targets.shape[1:] != shape:
            raise DataError(f"targets have shape {targets.shape}; should be {('N', *shape)}")
        if targets.dtype.kind not in "biuf":
            raise DataError(f"targets of type {targets.dtype}; should be numbers")
        if not np.isfinite(targets).all():
            raise DataError(f"target {targets[~np.isfinite(targets)][0]}; should be finite")
        return targets if targets.dtype.kind == "f" else targets.astype(float)

    @abstractmethod
    def forward(self, z: Array, t: Array) -> float:
        """Return the loss, the mean over the batch, keeping what `backward` needs."""

    @abstractmethod
    def backward(self) -> Array:
        """Return dz, the derivative of the loss last returned with respect to z."""

    def predict(self, z: Array) -> Array:
        """What a user calls the prediction: here z itself."""
        return z

    def predict_proba(self, z: Array) -> Array:
        """The probabilities of the classes, for a loss that has them."""
        raise DataError(f"{type(self).__name__} has no classes, so there are no probabilities")

    def accuracy(self, z: Array, t: Array) -> float:
        """The share of examples that are right, nan for a loss without classes."""
        return math.nan


class SoftmaxCrossEntropy(Loss):
    """L = -1/N sum_n sum_k t_nk log p_nk, with p = softmax(z), in nats per example.

    log p_nk = z_nk - m_n - log sum_j exp(z_nj - m_n), m_n the maximum of row n: nothing
    overflows, so nothing is clipped. dL/dz = (p sum_k t_nk - t) / N.

    Raises
    ------
    DataError
        For labels that are not class numbers 0 … K - 1, or rows that don't sum to 1.
    ShapeError
        For a network with fewer than two outputs.

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> round(loss.forward(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([0, 0])), 4)
    0.3466
    >>> loss.backward().round(2)
    array([[-0.25,  0.25],
           [-0.  ,  0.  ]])
    """

    def build(self, shape: Shape) -> None:
        """Check that there is a row of at least two outputs."""
        if len(shape) != 1 or shape[0] < 2:
            raise ShapeError(
                f"SoftmaxCrossEntropy judges rows of at least two outputs, one for each class, "
                f"but the body returns {shape}"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return class numbers (N,) as integers, distributions (N, K) as they are."""
        labels, classes = np.asarray(t), shape[0]
        numbers = f"class numbers 0 … {classes - 1}, since the network has {classes} outputs"
        if labels.dtype.kind not in "biuf":
            raise DataError(
                f"labels of type {labels.dtype}; should be {numbers} "
                "(np.unique(labels, return_inverse=True) numbers them)"
            )
        if labels.ndim == 1:
            right = (labels >= 0) & (labels < classes) & (labels == np.floor(labels))
            if not right.all():
                row = int(right.argmin())
                raise DataError(f"label {labels[row]} of example {row}; should be {numbers}")
            return labels if labels.dtype.kind in "iu" else labels.astype(np.intp)
        if labels.shape[1:] != shape:
            raise DataError(
                f"labels of shape {labels.shape}; should be (N,) {numbers}, "
                f"or (N, {classes}), a distribution for each example"
            )
        right = (labels >= 0).all(axis=1) & (abs(labels.sum(axis=1, dtype=float) - 1) < 1e-3)
        if not right.all():
            row = int(right.argmin())
            raise DataError(f"label {labels[row]} of example {row}; should be >= 0 and sum to 1")
        return labels if labels.dtype.kind == "f" else labels.astype(np.float32)

    def forward(self, z: Array, t: Array) -> float:
        """Return the mean cross-entropy."""
        log_p = z.T.copy()  # (K, N): sums over the few classes then add whole rows
        log_p -= log_p.max(axis=0)
        log_p -= np.log(np.exp(log_p).sum(axis=0))
        self.log_p, self.t = log_p, t
        if t.ndim == 1:
            return -float(log_p[t, np.arange(len(t))].sum(dtype=float)) / len(t)
        return -float((t.T * log_p).sum(dtype=float)) / len(t)

    def backward(self) -> Array:
        """Return (p sum_k t_nk - t) / N."""
        t = self.t
        dz = np.exp(self.log_p)
        if t.ndim == 1:
            dz[t, np.arange(len(t))] -= 1
        else:
            dz *= t.sum(axis=1)
            dz -= t.T
        dz /= len(t)
        return dz.T

    def predict(self, z: Array) -> Array:
        """The number of the most probable class: (N,)."""
        classes: Array = z.argmax(axis=1)
        return classes

    def predict_proba(self, z: Array) -> Array:
        """Softmax of z: (N, K), each row sums to 1."""
        p: Array = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p

    def accuracy(self, z: Array, t: Array) -> float:
        """The share of examples whose most probable class is the right one."""
        right = t if t.ndim == 1 else t.argmax(axis=1)
        return float((z.argmax(axis=1) == right).mean())
