"""Losses for classes that exclude each other: one output for each class.

z    outputs, one for each class: (N, K)
t    targets: class numbers (N,), or a distribution over the classes for each example (N, K)
p    probabilities, softmax(z): (N, K)
l    the losses of the examples: (N,)
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Amount, Decay, Rate
from layerkit.errors import ConfigError, DataError, ShapeError
from layerkit.losses.base import Loss


class Classifier(Loss):
    """Base of the losses that judge rows of K outputs, one for each class.

    Raises
    ------
    DataError
        For labels that are not class numbers 0 … K - 1.
    ShapeError
        For a network with fewer than two outputs.
    """

    def build(self, shape: Shape) -> None:
        """Check that there is a row of at least two outputs."""
        if len(shape) != 1 or shape[0] < 2:
            raise ShapeError(
                f"{type(self).__name__} judges rows of at least two outputs, one for each class, "
                f"but the body returns {shape}"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return class numbers (N,) as integers."""
        return class_numbers(t, shape[0])

    def predict(self, z: Array) -> Array:
        """The number of the class with the largest output: (N,)."""
        classes: Array = z.argmax(axis=1)
        return classes

    def hits(self, z: Array, t: Array) -> Array:
        """1 where the class with the largest output is the right one, else 0."""
        right = t if t.ndim == 1 else t.argmax(axis=1)
        hits: Array = (z.argmax(axis=1) == right).astype(float)
        return hits


def class_numbers(t: Any, classes: int, ignored: int | None = None, or_else: str = "") -> Array:
    """Return labels (N,) as integers, or raise a DataError that tells which one is none."""
    labels = np.asarray(t)
    numbers = f"class numbers 0 … {classes - 1}, since the network has {classes} outputs"
    if labels.dtype.kind not in "biuf":
        raise DataError(
            f"labels of type {labels.dtype}; should be {numbers} "
            "(np.unique(labels, return_inverse=True) numbers them)"
        )
    if labels.ndim != 1:
        raise DataError(f"labels of shape {labels.shape}; should be (N,) {numbers}{or_else}")
    right = (labels >= 0) & (labels < classes) & (labels == np.floor(labels))
    if ignored is not None:
        right |= labels == ignored
        numbers += f", or {ignored}, which is ignored"
    if not right.all():
        row = int(right.argmin())
        raise DataError(f"label {labels[row]} of example {row}; should be {numbers}")
    return labels if labels.dtype.kind in "iu" else labels.astype(np.intp)


def distributions(t: Array) -> Array:
    """Return rows of shares (N, K) as floats, or raise a DataError that tells which is wrong."""
    right = (t >= 0).all(axis=1) & (abs(t.sum(axis=1, dtype=float) - 1) < 1e-3)
    if not right.all():
        row = int(right.argmin())
        raise DataError(f"label {t[row]} of example {row}; should be >= 0 and sum to 1")
    return t if t.dtype.kind == "f" else t.astype(np.float32)


def log_softmax(z: Array) -> Array:
    """Return z_nk - m_n - log sum_j exp(z_nj - m_n), m_n the maximum of row n, as (K, N).

    Nothing overflows, so nothing is clipped.
    """
    log_p = z.T.copy()  # (K, N): sums over the few classes then add whole rows
    log_p -= log_p.max(axis=0)
    log_p -= np.log(np.exp(log_p).sum(axis=0))
    return log_p


class SoftmaxClassifier(Classifier):
    """Base of the losses whose outputs are logits: softmax makes them probabilities."""

    def predict_proba(self, z: Array) -> Array:
        """Softmax of z: (N, K), each row sums to 1."""
        p: Array = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p


class SoftmaxCrossEntropy(SoftmaxClassifier):
    """l = -sum_k q_k log p_k, with p = softmax(z), in nats per example; dl/dz = p sum_k q_k - q.

    q is 1 for the right class and 0 for the others, or the given distribution. With options

        q_k = c_k ((1 - s) t_k + s / K),    s = label_smoothing, c = class_weight,

    and the mean divides by the class weights of the right classes; for distributions, by N.
    PyTorch's CrossEntropyLoss does the same. The logarithm of softmax is computed as such:
    nothing overflows, and nothing is clipped.

    Source of the smoothing: Szegedy et al. (2015), Rethinking the Inception architecture for
    computer vision, arXiv:1512.00567.

    Parameters
    ----------
    label_smoothing : float
        The share of q that goes to all classes alike, from 0 up to, but not including, 1.
    class_weight : list of float, optional
        How much each class counts, K numbers >= 0. They are not scaled.
    ignore_label : int, optional
        Examples with this label don't count: neither in the loss nor in the accuracy.

    Raises
    ------
    DataError
        For labels that are not class numbers 0 … K - 1, or rows that don't sum to 1.
    ShapeError
        For a network with fewer than two outputs, or not as many as class weights.

    Examples
    --------
    >>> loss = SoftmaxCrossEntropy()
    >>> round(loss.mean(np.array([[0.0, 0.0], [9.0, 0.0]]), np.array([0, 0])), 4)
    0.3466
    >>> loss.backward().round(2)
    array([[-0.25,  0.25],
           [-0.  ,  0.  ]])
    >>> loss = SoftmaxCrossEntropy(class_weight=[1.0, 4.0], ignore_label=-1)
    >>> total, weight = loss.forward(np.zeros((3, 2)), np.array([0, 1, -1]))
    >>> round(total / weight, 4), weight
    (0.6931, 5.0)
    """

    label_smoothing: Decay = 0.0
    class_weight: list[Amount] | None = None
    ignore_label: int | None = None

    def check_options(self) -> None:
        """Check all fields; ConfigError if one is wrong, or if all class weights are 0."""
        super().check_options()
        if self.class_weight and not any(self.class_weight):
            raise ConfigError(
                f"{type(self).__name__}.class_weight = {self.class_weight}: "
                "at least one should be greater than 0"
            )

    def build(self, shape: Shape) -> None:
        """Check that there is a row of at least two outputs, one for each class weight."""
        super().build(shape)
        if self.class_weight is not None and len(self.class_weight) != shape[0]:
            raise ShapeError(
                f"{type(self).__name__} has {len(self.class_weight)} class weights, "
                f"but the body returns {shape[0]} outputs; should be one for each"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return class numbers (N,) as integers, distributions (N, K) as they are."""
        labels = np.asarray(t)
        if labels.ndim == 2 and labels.shape[1:] == shape and labels.dtype.kind in "biuf":
            return distributions(labels)
        rows = f", or (N, {shape[0]}), a distribution for each example"
        return class_numbers(labels, shape[0], self.ignore_label, rows)

    def losses(self, z: Array, t: Array) -> Array:
        """Return -sum_k q_k log p_k."""
        log_p = log_softmax(z)
        self.log_p, self.t = log_p, t
        if self._is_plain(t):
            losses: Array = -log_p[t, np.arange(len(t))]
        else:
            self.q = self._mixture(t, log_p)
            losses = -(self.q * log_p).sum(axis=0, dtype=float)
        return losses

    def gradients(self) -> Array:
        """Return p sum_k q_k - q."""
        t = self.t
        dz = np.exp(self.log_p)
        if self._is_plain(t):
            dz[t, np.arange(len(t))] -= 1
        else:
            dz *= self.q.sum(axis=0)
            dz -= self.q
        return dz.T

    def counts(self, t: Array) -> Array | None:
        """The weights of the right classes, 0 for the label that is ignored."""
        if t.ndim == 2 or (self.class_weight is None and self.ignore_label is None):
            return None
        counts: Array = (t != self.ignore_label).astype(float)
        if self.class_weight is not None:
            counts *= np.array(self.class_weight)[np.where(counts, t, 0)]
        return counts

    def _is_plain(self, t: Array) -> bool:
        options = self.label_smoothing or self.class_weight or self.ignore_label is not None
        return t.ndim == 1 and not options

    def _mixture(self, t: Array, log_p: Array) -> Array:
        """Return q as (K, N)."""
        s, K = self.label_smoothing, len(log_p)
        if t.ndim == 2:
            q: Array = (1 - s) * t.T + s / K
        else:
            q, known = np.zeros_like(log_p), np.flatnonzero(t != self.ignore_label)
            q[:, known] = s / K
            q[t[known], known] += 1 - s
        if self.class_weight is not None:
            q *= np.array(self.class_weight, q.dtype)[:, None]
        return q

    def hits(self, z: Array, t: Array) -> Array:
        """1 where the most probable class is the right one, else 0, nan where that is ignored."""
        hits = super().hits(z, t)
        if t.ndim == 1 and self.ignore_label is not None:
            hits[t == self.ignore_label] = math.nan
        return hits


class Focal(SoftmaxClassifier):
    """l = -(1 - p_t)^gamma log p_t, with p = softmax(z): easy examples count little; in nats.

    dl/dz_k = g ([k = t] - p_k), g = gamma (1 - p_t)^(gamma - 1) p_t log p_t - (1 - p_t)^gamma.
    With gamma = 0 it is the cross-entropy. Keras' CategoricalFocalCrossentropy with alpha = 1; the
    binary form of the paper is that of two classes.

    Source: Lin et al. (2017), Focal loss for dense object detection, arXiv:1708.02002.

    Parameters
    ----------
    gamma : float
        At least 0; how little the examples count that are right already.

    Examples
    --------
    >>> loss, z = Focal(), np.array([[0.0, 0.0], [2.0, 0.0]])
    >>> loss.losses(z, np.array([0, 0])).round(4)
    array([0.1733, 0.0018])
    """

    gamma: Amount = 2.0

    def losses(self, z: Array, t: Array) -> Array:
        """Return -(1 - p_t)^gamma log p_t."""
        right, log_p = (t, np.arange(len(t))), log_softmax(z)
        others = np.exp(log_p)
        p = others[right]
        others[right] = 0
        rest = others.sum(axis=0)  # 1 - p_t, exact where that rounds to 0
        self.right, self.others, self.p, self.rest = right, others, p, rest
        self.log_p = log_p[right]
        losses: Array = -(rest**self.gamma) * self.log_p
        return losses

    def gradients(self) -> Array:
        """Return g (1 - p_t) for the right class, -g p_k for the others."""
        gamma, rest = self.gamma, np.maximum(self.rest, np.finfo(self.rest.dtype).tiny)
        g = gamma * rest ** (gamma - 1) * self.p * self.log_p - rest**gamma
        dz: Array = -g * self.others
        dz[self.right] = g * self.rest
        return dz.T


class KLDivergence(SoftmaxClassifier):
    """l = sum_k t_k (log t_k - log p_k), with p = softmax(z), in nats; dl/dz = p sum_k t_k - t.

    How much the distribution p differs from the distribution t: the cross-entropy less the
    entropy of t, so that it is 0 at p = t. PyTorch's kl_div(log_softmax(z), t) with "batchmean".

    Source: Kullback and Leibler (1951), On information and sufficiency.

    Raises
    ------
    DataError
        For targets that are not rows of K shares, which sum to 1.

    Examples
    --------
    >>> loss = KLDivergence()
    >>> round(loss.mean(np.log([[0.2, 0.8]]), np.array([[0.2, 0.8]])), 4)
    0.0
    >>> round(loss.mean(np.log([[0.5, 0.5]]), np.array([[0.0, 1.0]])), 4)
    0.6931
    """

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return distributions (N, K) as they are."""
        rows = np.asarray(t)
        if rows.shape[1:] != shape or rows.dtype.kind not in "biuf":
            raise DataError(
                f"targets of type {rows.dtype} and shape {rows.shape}; should be numbers "
                f"(N, {shape[0]}), a distribution over the classes for each example"
            )
        return distributions(rows)

    def losses(self, z: Array, t: Array) -> Array:
        """Return sum_k t_k (log t_k - log p_k); 0 log 0 is 0."""
        self.log_p, self.t = log_softmax(z), t
        log_t = np.log(np.where(t > 0, t, 1)).T
        losses: Array = (t.T * (log_t - self.log_p)).sum(axis=0, dtype=float)
        return losses

    def gradients(self) -> Array:
        """Return p sum_k t_k - t."""
        dz: Array = np.exp(self.log_p)
        dz *= self.t.sum(axis=1)
        dz -= self.t.T
        return dz.T


class MultiMargin(Classifier):
    """l = 1/K sum_{k != t} max(0, margin - z_t + z_k)^power, in units of z (or their squares).

    dl/dz_k = power/K max(0, ...)^(power - 1) where that is positive, else 0 (at the kink too); for
    the right class, minus the sum of the others. PyTorch's MultiMarginLoss. Zero when the right
    output is larger than all others by the margin. There are no probabilities.

    Parameters
    ----------
    margin : float
        By how much the right output should be larger.
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

    def losses(self, z: Array, t: Array) -> Array:
        """Return the sums of the excesses, divided by K."""
        self.right = np.arange(len(t)), t
        excess = np.maximum(self.margin - z[self.right][:, None] + z, 0)
        excess[self.right] = 0
        self.excess = excess
        losses: Array = (excess**self.power).mean(axis=1, dtype=float)
        return losses

    def gradients(self) -> Array:
        """Return what the excesses are worth, and minus their sum at the right class."""
        excess = self.excess
        dz = np.sign(excess) if self.power == 1 else 2 * excess
        dz /= excess.shape[1]
        dz[self.right] = -dz.sum(axis=1)
        return dz
