"""Losses for regression: targets that are numbers.

z    outputs: (N, D), or with more axes, such as (N, T, D) for sequences
t    targets, by default of the same shape; a last axis of length 1 may be left out
e    errors, z - t
f    the loss of each output alone; a position has the mean of those of its D outputs
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Limits, Rate
from layerkit.errors import ConfigError, ShapeError, row_error
from layerkit.losses.base import ElementwiseLoss, Loss, check_shapes, first_false, wrong_target

Levels = Annotated[tuple[Annotated[float, Limits(gt=0, lt=1)], ...], Limits(min_length=1)]
"""Numbers between 0 and 1, one or more."""


class MeanSquaredError(ElementwiseLoss):
    """f = e^2, in squared units of the target; df/dz = 2 e. PyTorch's MSELoss.

    Examples
    --------
    >>> loss = MeanSquaredError()
    >>> loss.mean(np.array([[1.0], [4.0]]), np.array([[1.0], [2.0]]))
    2.0
    >>> loss.backward()
    array([[0.],
           [2.]])
    """

    def values(self, z: Array, t: Array) -> Array:
        self.error = z - t
        return self.error**2

    def slopes(self) -> Array:
        return 2 * self.error


class MeanAbsoluteError(ElementwiseLoss):
    """f = |e|, in units of the target; df/dz = sign(e), 0 at the kink. PyTorch's L1Loss.

    Examples
    --------
    >>> MeanAbsoluteError().mean(np.array([[1.0], [4.0]]), np.array([[1.0], [2.0]]))
    1.0
    """

    def values(self, z: Array, t: Array) -> Array:
        self.error = z - t
        return abs(self.error)

    def slopes(self) -> Array:
        return np.sign(self.error)


class Huber(ElementwiseLoss):
    """f = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2): robust against outliers.

    df/dz = max(-delta, min(e, delta)). In squared units of the target. PyTorch's HuberLoss; with
    delta = 1 its SmoothL1Loss too.

    Source: Huber (1964), Robust estimation of a location parameter.

    Parameters
    ----------
    delta : float
        The error from which on the loss is a straight line, in units of the target.

    Examples
    --------
    >>> loss = Huber(delta=2.0)
    >>> loss.losses(np.array([[1.0], [5.0]]), np.array([[0.0], [0.0]]))
    array([0.5, 8. ])
    """

    delta: Rate = 1.0

    def values(self, z: Array, t: Array) -> Array:
        self.error = z - t
        size = abs(self.error)
        c = np.minimum(size, self.delta)
        return c * (size - c / 2)

    def slopes(self) -> Array:
        return self.error.clip(-self.delta, self.delta)


class LogCosh(ElementwiseLoss):
    """f = log cosh e; df/dz = tanh e: squared for small errors, absolute for large ones.

    Nearly e^2 / 2 for small errors, |e| - log 2 for large ones. Keras's LogCosh. The errors should
    be around 1: it has no unit, and no scale of its own.

    Examples
    --------
    >>> LogCosh().losses(np.array([[1.0], [9.0]]), np.array([[0.0], [0.0]])).round(3)
    array([0.434, 8.307])
    """

    def values(self, z: Array, t: Array) -> Array:
        self.error = z - t
        size = abs(self.error)
        # |e| + log(1 + exp(-2 |e|)) - log 2
        values = np.log1p(np.exp(-2 * size))
        values += size
        values -= math.log(2)
        return values

    def slopes(self) -> Array:
        return np.tanh(self.error)


class Quantile(ElementwiseLoss):
    """f = max(-q e, (1 - q) e): the pinball loss for quantiles, in units of the target.

    df/dz = -q where z < t, but 1 - q where z > t, and 0 at the kink. With q = 0.5 it is half the
    absolute error, and z the median. scikit-learn's mean_pinball_loss.

    Source: Koenker and Bassett (1978), Regression quantiles.

    Parameters
    ----------
    quantiles : tuple of float
        q, between 0 and 1, rising. If there are several, the network has one output for each, and
        one number is the target of them all: (N, 1) or (N,), for sequences (N, T, 1) or (N, T).

    Raises
    ------
    ConfigError
        For quantiles that don't rise.
    DataError
        For targets that don't fit the outputs or are not finite.
    ShapeError
        When there are several quantiles, but not one output for each.

    Examples
    --------
    >>> loss = Quantile(quantiles=(0.1, 0.9))
    >>> t = loss.targets([5.0], (2,))
    >>> round(loss.mean(np.array([[4.0, 7.0]]), t), 4)
    0.15
    >>> loss.backward()
    array([[-0.05,  0.05]])
    """

    quantiles: Levels = (0.5,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(low >= high for low, high in pairwise(self.quantiles)):
            raise ConfigError(
                f"Quantile.quantiles = {self.quantiles}: should rise, each greater than the one "
                "before"
            )

    def build(self, shape: Shape) -> None:
        super().build(shape)
        if len(self.quantiles) > 1 and shape[-1] != len(self.quantiles):
            raise ShapeError(
                f"Quantile has {len(self.quantiles)} quantiles, but the body returns {shape}; "
                "should be one output for each"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        if len(self.quantiles) == 1:
            return super().targets(t, shape)
        return np.repeat(super().targets(t, (*shape[:-1], 1)), len(self.quantiles), axis=-1)

    def values(self, z: Array, t: Array) -> Array:
        self.error = z - t
        q = np.array(self.quantiles, z.dtype)
        return np.maximum(-q * self.error, (1 - q) * self.error)

    def slopes(self) -> Array:
        q = np.array(self.quantiles, self.error.dtype)
        return (1 - q) * (self.error > 0) - q * (self.error < 0)


class Poisson(ElementwiseLoss):
    """f = exp(z) - t z, in nats; df/dz = exp(z) - t. For counts t.

    z is the logarithm of their rate. The negative log-likelihood without log t!, which doesn't
    depend on z. PyTorch's PoissonNLLLoss with log_input=True; Keras's Poisson takes the rate
    itself. `predict` gives the rate exp(z).

    Raises
    ------
    DataError
        For negative targets.

    Examples
    --------
    >>> loss, z = Poisson(), np.log([[2.0]])
    >>> round(loss.mean(z, np.array([[2.0]])), 4), loss.backward(), loss.predict(z)
    (0.6137, array([[0.]]), array([[2.]]))
    """

    def targets(self, t: Any, shape: Shape) -> Array:
        counts = super().targets(t, shape)
        if (counts < 0).any():
            raise wrong_target("target", counts, counts >= 0, "should be a count, >= 0")
        return counts

    def values(self, z: Array, t: Array) -> Array:
        self.rate, self.t = np.exp(z), t
        return self.rate - t * z

    def slopes(self) -> Array:
        return self.rate - self.t

    def predict(self, z: Array) -> Array:
        """The rate, exp(z)."""
        return np.exp(z)


class GaussianNLL(Loss):
    """l = mean over d of (v_d + (m_d - t_d)^2 exp(-v_d)) / 2, in nats per output.

    For D targets the network has 2 D outputs, z = (m, v): first all means, then all logarithms of
    the variances. This is the negative log-likelihood of a normal distribution, whose variance is
    learned too. dl/dm = (m - t) exp(-v) / D, dl/dv = (1 - (m - t)^2 exp(-v)) / (2 D). The constant
    log(2 pi) / 2 is left out. PyTorch's GaussianNLLLoss with var = exp(v), but for its lower limit
    of the variance. `predict` gives the means.

    Source: Nix and Weigend (1994), Estimating the mean and variance of the target probability
    distribution.

    Raises
    ------
    DataError
        For targets that are not (N, D), or (N, T, D) for sequences, or not finite.
    ShapeError
        For an odd number of outputs.

    Examples
    --------
    >>> loss, z = GaussianNLL(), np.array([[1.0, 0.0]])
    >>> loss.mean(z, np.array([[3.0]])), loss.backward(), loss.predict(z)
    (2.0, array([[-2. , -1.5]]), array([[1.]]))
    """

    def build(self, shape: Shape) -> None:
        super().build(shape)
        if shape[-1] % 2:
            raise ShapeError(
                "GaussianNLL judges means and as many logarithms of variances, 2 outputs for each "
                f"target, but the body returns {shape}"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        return super().targets(t, (*shape[:-1], shape[-1] // 2))

    def losses(self, z: Array, t: Array) -> Array:
        m, v = np.split(z, 2, axis=-1)
        check_shapes(m, t)
        self.scale = np.exp(-v / 2)
        self.deviation = (m - t) * self.scale
        return (v + self.deviation**2).mean(axis=-1) / 2

    def gradients(self) -> Array:
        dm, dv = self.deviation * self.scale, (1 - self.deviation**2) / 2
        dz = np.concatenate([dm, dv], axis=-1)
        dz /= dm.shape[-1]
        return dz

    def rescale(self, mean: Array, scale: Array) -> tuple[Array, Array] | None:
        ones = np.ones_like(scale)
        return np.concatenate([scale, ones]), np.concatenate([mean, 2 * np.log(scale)])

    def predict(self, z: Array) -> Array:
        """The means, of the shape of the targets."""
        return np.split(z, 2, axis=-1)[0]


class CosineSimilarity(Loss):
    """l = 1 - cos(z, t), cos(z, t) = z.t / (|z| |t|): from 0, the same direction, to 2.

    dl/dz = -(t / |t| - cos(z, t) z / |z|) / |z|. PyTorch's CosineEmbeddingLoss for pairs that
    belong together; Keras's CosineSimilarity is less by 1. Where z = 0, cos and the derivative are
    taken as 0.

    Raises
    ------
    DataError
        For a target of length 0.

    Examples
    --------
    >>> loss = CosineSimilarity()
    >>> loss.losses(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    array([0., 1.])
    """

    def targets(self, t: Any, shape: Shape) -> Array:
        vectors = super().targets(t, shape)
        right = np.asarray(vectors.any(axis=-1))
        if not right.all():
            index = first_false(right)
            raise row_error(f"target {vectors[index]} of ", index, " has no direction; it is 0")
        return vectors

    def losses(self, z: Array, t: Array) -> Array:
        check_shapes(z, t)
        (self.z, self.length), (self.t, _) = _direction(z), _direction(t)
        self.cos = (self.z * self.t).sum(axis=-1, keepdims=True)
        return 1 - self.cos[..., 0]

    def rescale(self, mean: Array, scale: Array) -> tuple[Array, Array] | None:
        return None

    def gradients(self) -> Array:
        dz = self.cos * self.z
        dz -= self.t
        dz /= np.where(self.length > 0, self.length, math.inf)
        return dz


def _direction(v: Array) -> tuple[Array, Array]:
    """Return v / |v| and |v|, dividing by the largest number first: no square overflows."""
    size = abs(v).max(axis=-1, keepdims=True)
    direction = v / np.where(size > 0, size, 1)
    length = np.sqrt((direction**2).sum(axis=-1, keepdims=True))
    direction /= np.where(size > 0, length, 1)
    return direction, size * length
