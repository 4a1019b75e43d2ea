"""The base class of losses: the number that training minimizes, and its derivative.

N    examples of a batch
z    outputs of the network's body: (N, *shape)
t    targets, in most cases of the shape of z
l    the losses of the positions: z.shape[:-1], so (N,) for rows and (N, T) for sequences
a    sample weights: (N,), or one for each position
u    how much the loss itself counts each position: z.shape[:-1]
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit.arrays import Array, Shape, number
from layerkit.config.options import Configurable
from layerkit.errors import DataError, LayerkitError, ShapeError, row_error
from layerkit.guidance import is_own, not_called


class Loss(Configurable, ABC):
    """Base class of losses: L = (sum_n a_n l_n) / (sum_n a_n u_n).

    The last axis of z holds the outputs that are judged together; each position along the other
    axes has a loss l_n of its own. For rows (N, D) these are the examples, for sequences (N, T, D)
    the steps. A subclass writes `losses`, the l_n, and `gradients`, their derivatives.

    The sample weights a_n and the counts u_n are 1 by default, so that L is the mean. L and its
    derivative are 0 where nothing counts. `forward` returns both sums, so that batches are put
    together by adding; `mean` returns L itself.

    Examples
    --------
    >>> class Cubes(Loss):
    ...     def losses(self, z, t):
    ...         self.error = z - t
    ...         return (abs(self.error) ** 3).mean(axis=-1)
    ...     def gradients(self):
    ...         return 3 * self.error * abs(self.error) / self.error.shape[-1]
    >>> loss = Cubes()
    >>> z, t = np.array([[1.0, 3.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
    >>> loss.forward(z, t)
    (4.0, 2.0)
    >>> loss.backward()
    array([[0., 3.],
           [0., 0.]])
    >>> loss.mean(z, t), loss.mean(z, t, sample_weight=np.array([3.0, 1.0]))
    (2.0, 3.0)
    """

    includes: ClassVar[tuple[str, ...]] = ()
    """The activations that the loss applies to z itself: none of them may end the body."""
    reserved = ("includes", "sample_weight", "weight")

    if not TYPE_CHECKING:
        __call__ = not_called

    def build(self, shape: Shape) -> None:
        """Check that the loss can judge outputs of `shape`.

        Raises
        ------
        ShapeError
            If it can't.
        """
        if not shape:
            raise ShapeError(
                f"{type(self).__name__} judges outputs along the last axis, "
                "but the body returns shape (); should have at least one axis"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return `t` as `forward` takes it, for outputs of `shape`; here as floats (N, *shape).

        With a single output, an axis of length 1 may be left out: (N,) for (N, 1). The network
        converts floats to its own dtype.

        Raises
        ------
        DataError
            For targets that don't fit the outputs or are not finite.
        """
        targets = np.asarray(t)
        if targets.ndim and shape[-1:] == (1,) and targets.shape[1:] == shape[:-1]:
            targets = targets[..., None]
        if not targets.ndim or targets.shape[1:] != shape:
            own = is_own(type(self))
            hint = "; for targets of another shape, override `targets`" if own else ""
            if targets.dtype.kind in "iu" and targets.shape[1:] == shape[:-1]:
                what = "override targets, predict and hits" if own else "take SoftmaxCrossEntropy"
                hint = f"; for class numbers, {what}"
            raise DataError(
                f"targets have shape {targets.shape}; {type(self).__name__} takes "
                f"{batch_of(shape)}, a number for each output{hint}"
            )
        if targets.dtype.kind not in "biuf":
            raise DataError(f"targets of type {targets.dtype}; should be numbers")
        finite = np.isfinite(targets)
        if not finite.all():
            reason = "should be finite, or the example left out"
            raise wrong_target("target", targets, finite, reason)
        return targets if targets.dtype.kind == "f" else targets.astype(float)

    @staticmethod
    def check_weights(
        sample_weight: Any, N: int, shape: Shape = (), *, each: bool = False
    ) -> Array:
        """Return weights of N examples or of their positions as floats.

        With `each`, they may be of each output. `shape` is that of the outputs, without the batch
        axis.

        Raises
        ------
        DataError
            For weights that are not finite numbers >= 0, of shape (N,) or (N, *shape[:-1]), or,
            with `each`, (N, *shape).

        Examples
        --------
        >>> Loss.check_weights([1, 0.5], 2)
        array([1. , 0.5])
        >>> Loss.check_weights([[1, 1, 0], [1, -0.5, 0]], 2, shape=(3, 10))
        Traceback (most recent call last):
        ...
        layerkit.errors.DataError: sample weight -0.5 of example 1, position 1; should be finite \
and >= 0
        """
        weights, positions = np.asarray(sample_weight), (N, *shape[:-1])
        if weights.shape == (*positions, 1):
            weights = weights[..., 0]
        if weights.dtype.kind not in "biuf":
            raise DataError(f"sample weights of type {weights.dtype}; should be numbers")
        if weights.shape not in ((N,), positions, *[(N, *shape)] * each):
            or_else = f", or {positions}, one for each position" if len(positions) > 1 else ""
            if each and shape:
                or_else += f", or {(N, *shape)}, one for each target"
            raise DataError(
                f"sample weights of shape {weights.shape}; should be {(N,)}, one for each example"
                f"{or_else}"
            )
        right = np.isfinite(weights) & (weights >= 0)
        if not right.all():
            index = first_false(right)
            what = f"sample weight {weights[index]} of "
            raise row_error(what, index, "; should be finite and >= 0", "w")
        return weights.astype(float)

    @abstractmethod
    def losses(self, z: Array, t: Array) -> Array:
        """Return the loss of each position, z.shape[:-1], keeping what `gradients` needs.

        A position of several numbers has the mean of their losses.
        """

    @abstractmethod
    def gradients(self) -> Array:
        """Return the derivative of each position's loss with respect to its own outputs."""

    def counts(self, z: Array, t: Array) -> Array | None:
        """Return how much each position counts in the mean, z.shape[:-1], or None for 1 each."""
        return None

    def forward(
        self, z: Array, t: Array, sample_weight: Array | None = None
    ) -> tuple[float, float]:
        """Return sum_n a_n l_n and sum_n a_n u_n, keeping what `backward` needs.

        Raises
        ------
        ShapeError
            For weights that are neither one for each example nor one for each loss.
        """
        losses, counts = self.losses(z, t), self.counts(z, t)
        if sample_weight is not None:
            sample_weight = spread(sample_weight, losses.shape)
            losses = sample_weight * losses
            counts = sample_weight if counts is None else sample_weight * counts
        self.sample_weight = sample_weight
        self.weight = float(losses.size) if counts is None else number(counts.sum(dtype=float))
        return number(losses.sum(dtype=float)), self.weight

    def mean(self, z: Array, t: Array, sample_weight: Array | None = None) -> float:
        """Return L, keeping what `backward` needs."""
        return mean_loss(*self.forward(z, t, sample_weight))

    def backward(self, *, mean: bool = True) -> Array:
        """Return dz, the derivative of L with respect to the z that `forward` saw last.

        With ``mean=False`` that of the first sum, so that those of parts can be added.
        """
        dz, a, weight = self.gradients(), self.sample_weight, self.weight if mean else 1.0
        weight = number(np.where(weight == 0, math.inf, weight))  # then dz is 0
        if a is None:
            return dz / weight
        share = (a / weight).astype(dz.dtype)
        return dz * share.reshape(*share.shape, *[1] * (dz.ndim - share.ndim))

    def rescale(self, mean: Array, scale: Array) -> tuple[Array, Array] | None:
        """Return the factor and the offset that give outputs the units of their targets (D,).

        For a network whose targets are standardized, (t - mean) / scale. None for a loss that
        takes its targets as they are: counts, directions, classes, or predictions of its own.
        """
        own = self.judges_classes or type(self).predict is not Loss.predict
        return None if own else (scale, mean)

    def predict(self, z: Array) -> Array:
        """Return predictions, what users want to know: here z itself."""
        return z

    def predict_proba(self, z: Array) -> Array:
        """Return the probabilities of the classes, of the shape of z, for a loss that has them."""
        raise DataError(f"{type(self).__name__} has no probabilities")

    @property
    def has_probabilities(self) -> bool:
        """Whether there is a `predict_proba`."""
        return type(self).predict_proba is not Loss.predict_proba

    @property
    def judges_classes(self) -> bool:
        """Whether a prediction is right or wrong: the loss has `hits`."""
        return type(self).hits is not Loss.hits

    def hits(self, z: Array, t: Array) -> Array:
        """Return how right each position is, from 0 to 1; nan if ignored, and for numbers."""
        return np.full(z.shape[:-1], math.nan)

    def accuracy(self, z: Array, t: Array) -> float:
        """Return the share of positions that are right, nan for a loss without classes."""
        hits = self.hits(z, t)
        judged = hits[~np.isnan(hits)]
        return float(judged.mean()) if len(judged) else math.nan


def mean_loss(total: float, weight: float) -> float:
    """Return L from the sums that `Loss.forward` returns, 0 where nothing counts.

    Examples
    --------
    >>> mean_loss(3.0, 4.0), mean_loss(0.0, 0.0)
    (0.75, 0.0)
    """
    return total / weight if weight else 0.0


def spread(sample_weight: Array, shape: Shape) -> Array:
    """Return weights of `shape`: those of examples or positions go to all that belong to them.

    Raises
    ------
    ShapeError
        For weights of another shape.

    Examples
    --------
    >>> spread(np.array([1.0, 0.5]), (2, 3))
    array([[1. , 1. , 1. ],
           [0.5, 0.5, 0.5]])
    """
    a = sample_weight
    if a.shape == shape:
        return a
    if not a.ndim or a.shape != shape[: a.ndim]:
        raise ShapeError(f"sample weights of shape {a.shape} for losses of shape {shape}")
    return np.broadcast_to(a.reshape(*a.shape, *[1] * (len(shape) - a.ndim)), shape)


def as_rows(z: Array, t: Array) -> tuple[Array, Array]:
    """Return outputs (R, D) and their targets, each of the R positions as a row.

    Raises
    ------
    ShapeError
        For targets that have other positions.

    Examples
    --------
    >>> z, t = as_rows(np.zeros((2, 3, 10)), np.zeros((2, 3), int))
    >>> z.shape, t.shape
    ((6, 10), (6,))
    """
    axes = z.ndim - 1
    if t.shape[:axes] != z.shape[:-1]:
        raise ShapeError(f"targets of shape {t.shape} for outputs of shape {z.shape}")
    rows = z.reshape(-1, z.shape[-1])
    return rows, t.reshape(len(rows), *t.shape[axes:])


def check_shapes(z: Array, t: Array) -> None:
    """Raise a ShapeError unless the shapes are the same: (N, 1) - (N,) would become (N, N)."""
    if z.shape != t.shape:
        raise ShapeError(f"targets of shape {t.shape} for outputs of shape {z.shape}")


def batch_of(shape: Shape) -> str:
    """Return the shape of a batch in words.

    Examples
    --------
    >>> batch_of(()), batch_of((5, 2))
    ('(N,)', '(N, 5, 2)')
    """
    return f"({', '.join(map(str, ('N', *shape)))})" if shape else "(N,)"


def first_false(right: Array) -> tuple[int, ...]:
    """Return the index of the first False.

    Examples
    --------
    >>> first_false(np.array([[True, True], [True, False]]))
    (1, 1)
    """
    return tuple(int(i) for i in np.argwhere(~right)[0])


def wrong_target(what: str, targets: Array, right: Array, allowed: str) -> LayerkitError:
    """Return the error about the first target (N, ..., D) that is not right."""
    index = first_false(right)
    place = index[:-1] if targets.shape[-1] == 1 else index
    return row_error(f"{what} {targets[index]} of ", place, f"; {allowed}")


class ElementwiseLoss(Loss):
    """Base class of losses that judge each output alone: l = mean of f(z, t) over a position.

    A subclass writes `values`, the f(z, t), and `slopes`, the df/dz. Sample weights may be of each
    output, b, of the shape of z: then L = (sum of b f) / (sum of b).

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

    @staticmethod
    def check_weights(sample_weight: Any, N: int, shape: Shape = (), *, each: bool = True) -> Array:
        return Loss.check_weights(sample_weight, N, shape, each=each)

    def forward(
        self, z: Array, t: Array, sample_weight: Array | None = None
    ) -> tuple[float, float]:
        if sample_weight is None or sample_weight.shape != z.shape:
            return super().forward(z, t, sample_weight)
        check_shapes(z, t)
        D, self.sample_weight = z.shape[-1], sample_weight
        values, self.weight = self.values(z, t), number(sample_weight.sum()) / D
        return number((sample_weight * values).sum(dtype=float)) / D, self.weight

    def losses(self, z: Array, t: Array) -> Array:
        check_shapes(z, t)
        return self.values(z, t).sum(axis=-1) / z.shape[-1]

    def gradients(self) -> Array:
        slopes = self.slopes()
        return slopes / slopes.shape[-1]
