"""Losses for classification, where classes exclude each other: one output for each class.

z    outputs, one for each class: (N, K), or with more axes, such as (N, T, K) for sequences
t    targets: class numbers (N,), (N, T), or distributions over the classes, of the shape of z
p    probabilities, softmax(z), of the shape of z
l    the losses of the positions: (N,), (N, T)
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Amount, Decay
from layerkit.errors import ConfigError, DataError, ShapeError, row_error
from layerkit.losses.base import Loss, as_rows, batch_of, first_false


class Classifier(Loss):
    """The base of losses that judge K outputs together, one for each class.

    Every position is judged as a row: a subclass writes `row_losses` and `row_gradients` for
    outputs (R, K) with class numbers (R,) or distributions (R, K).

    Raises
    ------
    DataError
        For labels that are not class numbers 0 … K - 1.
    ShapeError
        For a network with fewer than two outputs.
    """

    def build(self, shape: Shape) -> None:
        super().build(shape)
        if shape[-1] < 2:
            raise ShapeError(
                f"{type(self).__name__} judges at least two outputs, one for each class, "
                f"but the body returns {shape}"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return class numbers as integers, of the shape of the outputs without the last axis."""
        return class_numbers(t, shape)

    @abstractmethod
    def row_losses(self, z: Array, t: Array) -> Array:
        """Return the loss of each row (R,), keeping what `row_gradients` needs."""

    @abstractmethod
    def row_gradients(self) -> Array:
        """Return the derivative of each row's loss with respect to its own row of z."""

    def losses(self, z: Array, t: Array) -> Array:
        self.shape = z.shape
        if t.shape != z.shape and (t.shape != z.shape[:-1] or t.dtype.kind not in "iu"):
            raise ShapeError(
                f"targets of type {t.dtype} and shape {t.shape} for outputs of shape {z.shape}; "
                f"should be whole numbers of shape {z.shape[:-1]}, or distributions"
            )
        if z.ndim == 2:
            return self.row_losses(z, t)
        return self.row_losses(*as_rows(z, t)).reshape(z.shape[:-1])

    def gradients(self) -> Array:
        dz = self.row_gradients()
        return dz if len(self.shape) == 2 else dz.reshape(self.shape)

    def predict(self, z: Array) -> Array:
        """The number of the class with the largest output: z.shape[:-1]."""
        return z.argmax(axis=-1)

    def hits(self, z: Array, t: Array) -> Array:
        """1 where the class with the largest output is the right one, else 0."""
        right = t if t.ndim < z.ndim else t.argmax(axis=-1)
        return (z.argmax(axis=-1) == right).astype(float)


def class_numbers(t: Any, shape: Shape, ignored: int | None = None, or_else: str = "") -> Array:
    """Return class numbers as integers, for outputs of `shape`.

    Raises
    ------
    DataError
        For labels that are not, with the place of the first.
    """
    labels, classes = np.asarray(t), shape[-1]
    numbers = f"class numbers 0 … {classes - 1}, since the network has {classes} outputs"
    if labels.dtype.kind not in "biuf":
        raise DataError(
            f"labels of type {labels.dtype}; should be {numbers} "
            "(np.unique(labels, return_inverse=True) numbers them)"
        )
    if not labels.ndim or labels.shape[1:] != shape[:-1]:
        positions = (
            ""
            if len(shape) < 2
            else (
                f": an example has the outputs {shape}, so it is a sequence; Flatten() before the "
                "last Dense makes one row of it"
            )
        )
        raise DataError(
            f"labels of shape {labels.shape}; should be {batch_of(shape[:-1])} {numbers}{or_else}"
            f"{positions}"
        )
    right = (labels >= 0) & (labels < classes) & (labels == np.floor(labels))
    if ignored is not None:
        right |= labels == ignored
        numbers += f", or {ignored}, which is ignored"
    if not right.all():
        index = first_false(right)
        raise row_error(f"label {labels[index]} of ", index, f"; should be {numbers}")
    return labels if labels.dtype.kind in "iu" else labels.astype(np.intp)


def distributions(t: Array) -> Array:
    """Return distributions over the classes, which are along the last axis, as floats.

    Raises
    ------
    DataError
        For numbers that are negative or don't sum to 1, with the place of the first.
    """
    right = (t >= 0).all(axis=-1) & (abs(t.sum(axis=-1, dtype=float) - 1) < 1e-3)
    if not right.all():
        index = first_false(right)
        raise row_error(f"label {t[index]} of ", index, "; should be >= 0 and sum to 1")
    return t if t.dtype.kind == "f" else t.astype(np.float32)


def log_softmax(z: Array) -> Array:
    """Return z_rk - m_r - log sum_j exp(z_rj - m_r), m_r the maximum of row r, as (K, R).

    Nothing overflows, so nothing is clipped. The sum adds class after class, so float32 may be off
    by 1e-5 for 50,000 classes; adding them in pairs would not be, but takes three times as long.
    """
    log_p = z.T.copy()  # (K, R): sums over the few classes then add whole rows
    log_p -= log_p.max(axis=0)
    log_p -= np.log(np.exp(log_p).sum(axis=0))
    return log_p


class SoftmaxClassifier(Classifier):
    """The base of losses whose outputs are logits: softmax makes them probabilities."""

    includes = ("Softmax",)

    def predict_proba(self, z: Array) -> Array:
        """Softmax of z, of its shape; the probabilities of a position sum to 1."""
        p = np.exp(z - z.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        return p


class SoftmaxCrossEntropy(SoftmaxClassifier):
    """l = -sum_k q_k log p_k, with p = softmax(z), in nats; dl/dz = p sum_k q_k - q.

    q is 1 for the right class and 0 for the others, or the given distribution. With options

        q_k = c_k ((1 - s) t_k + s / K),    s = label_smoothing, c = class_weight,

    and the mean divides by the class weights of the right classes; for distributions, by the number
    of positions. PyTorch's CrossEntropyLoss does the same. The logarithm of softmax is computed as
    such: nothing overflows, and nothing is clipped.

    Source of the smoothing: Szegedy et al. (2015), Rethinking the Inception architecture for
    computer vision, arXiv:1512.00567.

    Parameters
    ----------
    label_smoothing : float
        The share of q that goes to all classes alike, from 0 up to, but not including, 1.
    class_weight : list of float, optional
        How much each class counts, K numbers >= 0. They are not scaled.
    ignore_label : int, optional
        Positions with this label don't count, neither in the loss nor in the accuracy: examples
        without a label, the padding of sequences.

    Raises
    ------
    DataError
        For labels that are not class numbers 0 … K - 1, or distributions that don't sum to 1.
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
        super().build(shape)
        if self.class_weight is not None and len(self.class_weight) != shape[-1]:
            raise ShapeError(
                f"{type(self).__name__} has {len(self.class_weight)} class weights, "
                f"but the body returns {shape[-1]} outputs; should be one for each"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return class numbers as integers, distributions over the classes as they are."""
        labels = np.asarray(t)
        if labels.ndim and labels.shape[1:] == shape and labels.dtype.kind in "biuf":
            if self.ignore_label is not None:
                raise DataError(
                    f"targets are distributions over the classes, {batch_of(shape)}, where "
                    f"ignore_label = {self.ignore_label} means nothing: give class numbers, "
                    f"{batch_of(shape[:-1])}, or sample weights of 0"
                )
            return distributions(labels)
        or_else = f", or distributions over the classes, {batch_of(shape)}"
        return class_numbers(labels, shape, self.ignore_label, or_else)

    def row_losses(self, z: Array, t: Array) -> Array:
        log_p = log_softmax(z)
        options = self.label_smoothing or self.class_weight or self.ignore_label is not None
        self.log_p, self.t, self.q = log_p, t, None
        if t.ndim == 1 and not options:
            return -log_p[t, np.arange(len(t))]
        self.q = self._mixture(t, log_p)
        return -(self.q * log_p).sum(axis=0, dtype=float)

    def row_gradients(self) -> Array:
        dz = np.exp(self.log_p)
        if self.q is None:
            dz[self.t, np.arange(len(self.t))] -= 1
        else:
            dz *= self.q.sum(axis=0)
            dz -= self.q
        return dz.T

    def counts(self, z: Array, t: Array) -> Array | None:
        """The weights of the right classes, 0 for the label that is ignored."""
        if t.ndim == z.ndim or (self.class_weight is None and self.ignore_label is None):
            return None
        counts = (t != self.ignore_label).astype(float)
        if self.class_weight is not None:
            classes = np.where(counts, t, 0).reshape(-1)
            weights = np.take_along_axis(np.array(self.class_weight), classes, axis=0)
            counts *= weights.reshape(t.shape)
        return counts

    def _mixture(self, t: Array, log_p: Array) -> Array:
        """Return q as (K, R)."""
        s, K = self.label_smoothing, len(log_p)
        if t.ndim == 2:
            q = (1 - s) * t.T + s / K
        else:
            known, q = t != self.ignore_label, np.full_like(log_p, s / K)
            q[np.where(known, t, 0), np.arange(len(t))] += 1 - s
            q *= known
        if self.class_weight is not None:
            q *= np.array(self.class_weight, q.dtype)[:, None]
        return q

    def hits(self, z: Array, t: Array) -> Array:
        """1 where the most probable class is the right one, else 0; nan for the ignored label."""
        hits = super().hits(z, t)
        if t.ndim < z.ndim and self.ignore_label is not None:
            hits[t == self.ignore_label] = math.nan
        return hits
