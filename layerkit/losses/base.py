"""What a network is to make small.

N    examples of a batch
z    what the network's body returns: (N, *shape)
t    targets, in most cases of the shape of z
a    sample weights: (N,)
u    how much the loss itself lets each example count: (N,)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Configurable
from layerkit.errors import DataError, ShapeError


class Loss(Configurable, ABC):
    """L = sum_n a_n l_n / sum_n a_n u_n: how wrong a batch is, and the derivative of that.

    A subclass writes `losses`, the l_n, and `gradients`, their derivatives; each example alone.
    The sample weights a_n and the counts u_n are 1 where nothing is said of them, so that L is
    the mean. It is 0, and so is its derivative, where no example counts.

    `forward` returns both sums, so that several batches are put together by adding: L is the sum of
    their losses divided by the sum of their weights. `mean` returns L itself.

    Examples
    --------
    >>> class Cubes(Loss):
    ...     def losses(self, z, t):
    ...         self.error = z - t
    ...         return (abs(self.error) ** 3).mean(axis=1)
    ...     def gradients(self):
    ...         return 3 * self.error * abs(self.error) / self.error.shape[1]
    >>> loss, z, t = Cubes(), np.array([[1.0, 3.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    >>> loss.forward(z, t)
    (4.0, 2.0)
    >>> loss.backward()
    array([[0., 3.],
           [0., 0.]])
    >>> loss.mean(z, t), loss.mean(z, t, sample_weight=np.array([3.0, 1.0]))
    (2.0, 3.0)
    """

    reserved = ("sample_weight", "weight")

    def build(self, shape: Shape) -> None:
        """Check that the loss can judge outputs of `shape`. Raise `ShapeError` if not."""

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return `t` as `forward` takes it, for outputs of `shape`; here as floats (N, *shape).

        Where there is one output, (N,) will do. The network brings floats to its own dtype.

        Raises
        ------
        DataError
            For targets that don't fit the outputs or are not finite.
        """
        targets = np.asarray(t)
        if shape == (1,) and targets.ndim == 1:
            targets = targets[:, None]
        if targets.shape[1:] != shape:
            wanted = ", ".join(map(str, ("N", *shape)))
            raise DataError(
                f"targets have shape {targets.shape}; {type(self).__name__} takes ({wanted}), "
                "a number for each output"
            )
        if targets.dtype.kind not in "biuf":
            raise DataError(f"targets of type {targets.dtype}; should be numbers")
        if not np.isfinite(targets).all():
            raise DataError(f"target {targets[~np.isfinite(targets)][0]}; should be finite")
        return targets if targets.dtype.kind == "f" else targets.astype(float)

    @staticmethod
    def check_weights(sample_weight: Any, N: int) -> Array:
        """Return weights of `N` examples as floats, as `forward` takes them.

        Raises
        ------
        DataError
            For weights that are not N finite numbers >= 0.

        Examples
        --------
        >>> Loss.check_weights([1, 0.5], 2)
        array([1. , 0.5])
        >>> Loss.check_weights([1, -0.5], 2)
        Traceback (most recent call last):
        ...
        layerkit.errors.DataError: sample weight -0.5 of example 1; should be finite and >= 0
        """
        weights = np.asarray(sample_weight)
        if weights.dtype.kind not in "biuf":
            raise DataError(f"sample weights of type {weights.dtype}; should be numbers")
        if weights.shape != (N,):
            raise DataError(
                f"sample weights of shape {weights.shape}; should be {(N,)}, one for each example"
            )
        right = np.isfinite(weights) & (weights >= 0)
        if not right.all():
            row = int(right.argmin())
            raise DataError(
                f"sample weight {weights[row]} of example {row}; should be finite and >= 0"
            )
        return weights.astype(float)

    @abstractmethod
    def losses(self, z: Array, t: Array) -> Array:
        """Return the loss of each example (N,), keeping what `gradients` needs.

        An example of several outputs has the mean of their losses.
        """

    @abstractmethod
    def gradients(self) -> Array:
        """Return the derivative of each example's loss with respect to its own row of z."""

    def counts(self, t: Array) -> Array | None:
        """Return how much each example counts in the mean, u (N,), or None for 1 each."""
        return None

    def forward(
        self, z: Array, t: Array, sample_weight: Array | None = None
    ) -> tuple[float, float]:
        """Return sum_n a_n l_n and sum_n a_n u_n, keeping what `backward` needs.

        (0.0, 0.0) where no example counts.
        """
        losses, counts = self.losses(z, t), self.counts(t)
        if sample_weight is not None:
            losses = sample_weight * losses
            counts = sample_weight if counts is None else sample_weight * counts
        self.sample_weight = sample_weight
        self.weight = float(losses.size if counts is None else counts.sum(dtype=float))
        return (float(losses.sum(dtype=float)), self.weight) if self.weight else (0.0, 0.0)

    def mean(self, z: Array, t: Array, sample_weight: Array | None = None) -> float:
        """Return L, keeping what `backward` needs."""
        return mean_loss(*self.forward(z, t, sample_weight))

    def backward(self) -> Array:
        """Return dz, the derivative of L with respect to the z that `forward` saw last."""
        dz, a = self.gradients(), self.sample_weight
        if not self.weight:
            return np.zeros_like(dz)
        if a is None:
            return dz / self.weight
        share = (a / self.weight).astype(dz.dtype)
        weighted: Array = dz * share.reshape(-1, *[1] * (dz.ndim - 1))
        return weighted

    def predict(self, z: Array) -> Array:
        """What a user calls the prediction: here z itself."""
        return z

    def predict_proba(self, z: Array) -> Array:
        """The probabilities of the classes, for a loss that has them."""
        raise DataError(f"{type(self).__name__} has no probabilities")

    @property
    def has_probabilities(self) -> bool:
        """Whether there is a `predict_proba`."""
        return type(self).predict_proba is not Loss.predict_proba

    @property
    def judges_classes(self) -> bool:
        """Whether there is right and wrong: the loss has `hits`."""
        return type(self).hits is not Loss.hits

    def hits(self, z: Array, t: Array) -> Array:
        """How right each example is, from 0 to 1: (N,); nan where there is no right and wrong."""
        return np.full(len(z), math.nan)

    def accuracy(self, z: Array, t: Array) -> float:
        """The share of examples that are right, nan for a loss without classes."""
        hits = self.hits(z, t)
        judged = hits[~np.isnan(hits)]
        return float(judged.mean()) if len(judged) else math.nan


def mean_loss(total: float, weight: float) -> float:
    """Return L of the sums that `Loss.forward` returns, 0 where no example counts.

    Examples
    --------
    >>> mean_loss(3.0, 4.0), mean_loss(0.0, 0.0)
    (0.75, 0.0)
    """
    return total / weight if weight else 0.0


def check_shapes(z: Array, t: Array) -> None:
    """Raise a ShapeError unless the shapes are the same: (N, 1) - (N,) would become (N, N)."""
    if z.shape != t.shape:
        raise ShapeError(f"targets of shape {t.shape} for outputs of shape {z.shape}")


class ElementwiseLoss(Loss):
    """l = the mean over an example's outputs of f(z, t), the same f for every output.

    A subclass writes `values`, the f(z, t), and `slopes`, the df/dz.

    Examples
    --------
    >>> class FourthPowers(ElementwiseLoss):
    ...     def values(self, z, t):
    ...         self.error = z - t
    ...         return self.error ** 4
    ...     def slopes(self):
    ...         return 4 * self.error ** 3
    >>> FourthPowers().mean(np.array([[1.0, 3.0]]), np.array([[1.0, 1.0]]))
    8.0
    """

    @abstractmethod
    def values(self, z: Array, t: Array) -> Array:
        """Return f(z, t), keeping what `slopes` needs."""

    @abstractmethod
    def slopes(self) -> Array:
        """Return df/dz."""

    def losses(self, z: Array, t: Array) -> Array:
        """Return the means of f over the outputs of each example."""
        check_shapes(z, t)
        values = self.values(z, t).reshape(len(z), -1)
        means: Array = values.sum(axis=1) / values.shape[1]
        return means

    def gradients(self) -> Array:
        """Return df/dz, divided by the number of outputs."""
        slopes = self.slopes()
        gradients: Array = slopes / math.prod(slopes.shape[1:])
        return gradients
