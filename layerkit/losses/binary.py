"""Losses for labels that are true or false: one output for each label.

z    outputs, positive for "true": (N, D), or any other shape
t    targets of the same shape: 1 for true, 0 for false; with one output, (N,) will do
s    2 t - 1: 1 for true, -1 for false

Labels don't exclude each other. An example has the mean of the losses of its labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Amount
from layerkit.errors import DataError, ShapeError
from layerkit.losses.base import ElementwiseLoss


class BinaryClassifier(ElementwiseLoss):
    """Base of the losses that judge each output by itself, as true or false."""

    def predict(self, z: Array) -> Array:
        """1 where z > 0, else 0, of the shape of z."""
        labels: Array = (z > 0).astype(np.intp)
        return labels

    def hits(self, z: Array, t: Array) -> Array:
        """The share of an example's labels that are right."""
        right: Array = (z > 0) == (t > 0.5)
        shares: Array = right.reshape(len(z), -1).mean(axis=1)
        return shares


class BinaryCrossEntropy(BinaryClassifier):
    """f = -w t log p - (1 - t) log(1 - p), with p = 1 / (1 + exp(-z)), in nats per label.

    df/dz = (1 - t) p - w t (1 - p). The logarithms are computed from z, so nothing overflows and
    nothing is clipped. PyTorch's BCEWithLogitsLoss.

    Parameters
    ----------
    pos_weight : list of float, optional
        w: how much the true ones count of each label, D numbers >= 0. The mean divides by the
        number of examples all the same.

    Raises
    ------
    DataError
        For targets that are not from 0 to 1; between them they are probabilities.
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

    def build(self, shape: Shape) -> None:
        """Check that there is a weight for each output."""
        if self.pos_weight is not None and (len(self.pos_weight),) != shape:
            raise ShapeError(
                f"BinaryCrossEntropy has {len(self.pos_weight)} weights, "
                f"but the body returns {shape}; should be one for each output"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return labels, 0 and 1 or probabilities, as floats."""
        labels = super().targets(t, shape)
        wrong = (labels < 0) | (labels > 1)
        if wrong.any():
            raise DataError(f"label {labels[wrong][0]}; should be from 0 to 1")
        return labels

    def values(self, z: Array, t: Array) -> Array:
        """Return -w t log p - (1 - t) log(1 - p), with log p = min(z, 0) - log(1 + exp(-|z|))."""
        self.z, self.t, self.wt = z, t, self._weighted(t)
        values: Array = np.log1p(np.exp(-abs(z)))
        values *= self.wt + (1 - t)
        values -= self.wt * np.minimum(z, 0)
        values += (1 - t) * np.maximum(z, 0)
        return values

    def slopes(self) -> Array:
        """Return (1 - t) p - w t (1 - p)."""
        slopes: Array = (1 - self.t) * self.predict_proba(self.z)
        slopes -= self.wt * self.predict_proba(-self.z)
        return slopes

    def _weighted(self, t: Array) -> Array:
        return t if self.pos_weight is None else t * np.array(self.pos_weight, t.dtype)

    def predict_proba(self, z: Array) -> Array:
        """The probability that each label is true, of the shape of z."""
        e = np.exp(-abs(z))
        p: Array = np.where(z > 0, 1, e) / (1 + e)
        return p


class Hinge(BinaryClassifier):
    """f = max(0, 1 - s z), in units of z; df/dz = -s where s z < 1, else 0 (at the kink too).

    Keras' Hinge, with labels 0 and 1 that become s = -1 and 1. There are no probabilities.

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
        """Return labels 0 and 1 as floats."""
        labels = super().targets(t, shape)
        wrong = (labels != 0) & (labels != 1)
        if wrong.any():
            raise DataError(f"label {labels[wrong][0]}; should be 0 or 1")
        return labels

    def values(self, z: Array, t: Array) -> Array:
        """Return max(0, 1 - s z)."""
        self.s = 2 * t - 1
        excess: Array = np.maximum(1 - self.s * z, 0)
        self.excess = excess
        return excess

    def slopes(self) -> Array:
        """Return -s where s z < 1."""
        slopes: Array = -self.s * np.sign(self.excess)
        return slopes


class SquaredHinge(Hinge):
    """f = max(0, 1 - s z)^2, in squared units of z; df/dz = -2 s max(0, 1 - s z).

    Keras' SquaredHinge, with labels 0 and 1 that become s = -1 and 1. There are no probabilities.

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
        """Return max(0, 1 - s z)^2."""
        values: Array = super().values(z, t) ** 2
        return values

    def slopes(self) -> Array:
        """Return -2 s max(0, 1 - s z)."""
        slopes: Array = -2 * self.s * self.excess
        return slopes
