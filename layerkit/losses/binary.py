"""Losses for binary labels, true or false: one output for each label.

z    outputs, positive for "true": (N, D), or with more axes, such as (N, T, D) for sequences
t    targets of the same shape: 1 for true, 0 for false; a last axis of length 1 may be left out
s    2 t - 1: 1 for true, -1 for false

Labels don't exclude each other. A position has the mean of the losses of its labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Amount
from layerkit.errors import ShapeError
from layerkit.losses.base import ElementwiseLoss, wrong_target


class BinaryClassifier(ElementwiseLoss):
    """The base of the losses that judge each output alone, as true or false."""

    def predict(self, z: Array) -> Array:
        """1 where z > 0, else 0, of the shape of z."""
        return (z > 0).astype(np.intp)

    def hits(self, z: Array, t: Array) -> Array:
        """The share of a position's labels that are right: z.shape[:-1]."""
        right = (z > 0) == (t > 0.5)
        return right.mean(axis=-1)


class BinaryCrossEntropy(BinaryClassifier):
    """f = -w t log p - (1 - t) log(1 - p), with p = 1 / (1 + exp(-z)), in nats per label.

    The cross-entropy of labels that are true with probability p.
    df/dz = (1 - t) p - w t (1 - p). The logarithms are computed from z, so nothing overflows and
    nothing is clipped. PyTorch's BCEWithLogitsLoss.

    Parameters
    ----------
    pos_weight : list of float, optional
        w: how much the true ones of each label count, D numbers >= 0. The mean is still divided
        by the number of positions.

    Raises
    ------
    DataError
        For targets that are not from 0 to 1; in between, they are probabilities.
    ShapeError
        When there is not one weight for each output.

    Examples
    --------
    >>> loss, z = BinaryCrossEntropy(), np.array([[0.0, 2.0]])
    >>> round(loss.mean(z, np.array([[1.0, 1.0]])), 4)
    0.41
    >>> loss.predict(z), loss.predict_proba(z).round(2)
    (array([[0, 1]]), array([[0.5 , 0.88]]))
    """

    pos_weight: list[Amount] | None = None
    includes = ("Sigmoid",)

    def build(self, shape: Shape) -> None:
        super().build(shape)
        if self.pos_weight is not None and len(self.pos_weight) != shape[-1]:
            raise ShapeError(
                f"BinaryCrossEntropy has {len(self.pos_weight)} weights, "
                f"but the body returns {shape}; should be one for each output"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        labels = super().targets(t, shape)
        right = (labels >= 0) & (labels <= 1)
        if not right.all():
            raise wrong_target("label", labels, right, "should be from 0 to 1")
        return labels

    def values(self, z: Array, t: Array) -> Array:
        # log p = min(z, 0) - log(1 + exp(-|z|))
        self.z, self.t, self.wt = z, t, self._weighted(t)
        values = np.log1p(np.exp(-abs(z)))
        values *= self.wt + (1 - t)
        values -= self.wt * np.minimum(z, 0)
        values += (1 - t) * np.maximum(z, 0)
        return values

    def slopes(self) -> Array:
        slopes = (1 - self.t) * self.predict_proba(self.z)
        slopes -= self.wt * self.predict_proba(-self.z)
        return slopes

    def _weighted(self, t: Array) -> Array:
        return t if self.pos_weight is None else t * np.array(self.pos_weight, t.dtype)

    def predict_proba(self, z: Array) -> Array:
        """The probability that each label is true, of the shape of z."""
        e = np.exp(-abs(z))
        return np.where(z > 0, 1, e) / (1 + e)


class Hinge(BinaryClassifier):
    """f = max(0, 1 - s z), in units of z; df/dz = -s where s z < 1, else 0 (at the kink too).

    The hinge loss: the label 1 is s = 1, the label 0 is s = -1. Keras's Hinge. There are no
    probabilities.

    Raises
    ------
    DataError
        For labels that are neither 0 nor 1.

    Examples
    --------
    >>> loss = Hinge()
    >>> loss.mean(np.array([[0.5], [0.5], [2.0]]), np.array([[1.0], [0.0], [1.0]]))
    0.6666666666666666
    """

    def targets(self, t: Any, shape: Shape) -> Array:
        labels = super().targets(t, shape)
        right = (labels == 0) | (labels == 1)
        if not right.all():
            raise wrong_target("label", labels, right, "should be 0 or 1")
        return labels

    def values(self, z: Array, t: Array) -> Array:
        self.s = 2 * t - 1
        self.excess = np.maximum(1 - self.s * z, 0)
        return self.excess

    def slopes(self) -> Array:
        return -self.s * np.sign(self.excess)


class SquaredHinge(Hinge):
    """f = max(0, 1 - s z)^2, in squared units of z; df/dz = -2 s max(0, 1 - s z).

    The squared hinge loss: the label 1 is s = 1, the label 0 is s = -1. Keras's SquaredHinge. There
    are no probabilities.

    Raises
    ------
    DataError
        For labels that are neither 0 nor 1.

    Examples
    --------
    >>> loss = SquaredHinge()
    >>> loss.mean(np.array([[0.5], [0.5], [2.0]]), np.array([[1.0], [0.0], [1.0]]))
    0.8333333333333334
    """

    def values(self, z: Array, t: Array) -> Array:
        return super().values(z, t) ** 2

    def slopes(self) -> Array:
        return -2 * self.s * self.excess
