"""Losses for targets that are numbers.

z    outputs: (N, D), or any other shape
t    targets of the same shape, if nothing else is said; with one output, (N,) will do
e    errors, z - t
f    the loss of each output alone; an example has the mean of those of its outputs
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Limits, Rate
from layerkit.errors import DataError, ShapeError
from layerkit.losses.base import ElementwiseLoss, Loss, check_shapes

Levels = Annotated[
    tuple[Annotated[float, Limits(gt=0, lt=1)], ...], Limits(strict=False, min_length=1)
]
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
        """Return e^2."""
        self.error = z - t
        values: Array = self.error**2
        return values

    def slopes(self) -> Array:
        """Return 2 e."""
        return 2 * self.error


class MeanAbsoluteError(ElementwiseLoss):
    """f = |e|, in units of the target; df/dz = sign(e), 0 at the kink. PyTorch's L1Loss.

    Examples
    --------
    >>> MeanAbsoluteError().mean(np.array([[1.0], [4.0]]), np.array([[1.0], [2.0]]))
    1.0
    """

    def values(self, z: Array, t: Array) -> Array:
        """Return |e|."""
        self.error = z - t
        return abs(self.error)

    def slopes(self) -> Array:
        """Return sign(e)."""
        slopes: Array = np.sign(self.error)
        return slopes


class Huber(ElementwiseLoss):
    """f = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2): outliers pull no harder.

    df/dz = e, limited to +-delta. In squared units of the target. PyTorch's HuberLoss; with
    delta = 1 its SmoothL1Loss too.

    Source: Huber (1964), Robust estimation of a location parameter.

    Parameters
    ----------
    delta : float
        From which error on the loss is straight, in units of the target.

    Examples
    --------
    >>> loss = Huber(delta=2.0)
    >>> loss.losses(np.array([[1.0], [5.0]]), np.array([[0.0], [0.0]]))
    array([0.5, 8. ])
    """

    delta: Rate = 1.0

    def values(self, z: Array, t: Array) -> Array:
        """Return c (|e| - c / 2), with c = min(|e|, delta)."""
        self.error = z - t
        size = abs(self.error)
        c = np.minimum(size, self.delta)
        values: Array = c * (size - c / 2)
        return values

    def slopes(self) -> Array:
        """Return e, limited to +-delta."""
        slopes: Array = self.error.clip(-self.delta, self.delta)
        return slopes


class LogCosh(ElementwiseLoss):
    """f = log cosh e, nearly e^2 / 2 for small errors, |e| - log 2 for large ones; df/dz = tanh e.

    Keras' LogCosh. The errors should be around 1: it has no unit, and no scale of its own.

    Examples
    --------
    >>> LogCosh().losses(np.array([[1.0], [9.0]]), np.array([[0.0], [0.0]])).round(3)
    array([0.434, 8.307])
    """

    def values(self, z: Array, t: Array) -> Array:
        """Return |e| + log(1 + exp(-2 |e|)) - log 2."""
        self.error = z - t
        size = abs(self.error)
        values: Array = np.log1p(np.exp(-2 * size))
        values += size
        values -= math.log(2)
        return values

    def slopes(self) -> Array:
        """Return tanh e."""
        slopes: Array = np.tanh(self.error)
        return slopes


class Quantile(ElementwiseLoss):
    """f = max(-q e, (1 - q) e), the pinball loss, in units of the target: z becomes a quantile.

    df/dz = -q where z < t, 1 - q where z > t, and 0 at the kink. With q = 0.5 it is half the
    absolute error, and z the median. scikit-learn's mean_pinball_loss.

    Source: Koenker and Bassett (1978), Regression quantiles.

    Parameters
    ----------
    quantiles : tuple of float
        q, between 0 and 1. If there are several, the network has one output for each, and one
        number is the target of all of them.

    Raises
    ------
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

    def build(self, shape: Shape) -> None:
        """Check that there is an output for each quantile."""
        if len(self.quantiles) > 1 and shape != (len(self.quantiles),):
            raise ShapeError(
                f"Quantile has {len(self.quantiles)} quantiles, but the body returns {shape}; "
                "should be one output for each"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return floats of the shape of the outputs: for each quantile the same."""
        if len(self.quantiles) == 1:
            return super().targets(t, shape)
        return np.repeat(super().targets(t, (1,)), len(self.quantiles), axis=1)

    def values(self, z: Array, t: Array) -> Array:
        """Return max(-q e, (1 - q) e)."""
        self.error = z - t
        q = np.array(self.quantiles, z.dtype)
        values: Array = np.maximum(-q * self.error, (1 - q) * self.error)
        return values

    def slopes(self) -> Array:
        """Return -q where z < t, 1 - q where z > t."""
        q = np.array(self.quantiles, self.error.dtype)
        slopes: Array = (1 - q) * (self.error > 0) - q * (self.error < 0)
        return slopes


class Poisson(ElementwiseLoss):
    """f = exp(z) - t z, in nats; df/dz = exp(z) - t. z is the logarithm of the rate of counts t.

    The negative log-likelihood without log t!, which doesn't depend on z. PyTorch's PoissonNLLLoss
    with log_input=True; Keras' Poisson takes the rate itself. `predict` gives the rate exp(z).

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
        """Return counts as floats."""
        counts = super().targets(t, shape)
        if (counts < 0).any():
            raise DataError(f"target {counts[counts < 0][0]}; should be a count, >= 0")
        return counts

    def values(self, z: Array, t: Array) -> Array:
        """Return exp(z) - t z."""
        self.rate, self.t = np.exp(z), t
        values: Array = self.rate - t * z
        return values

    def slopes(self) -> Array:
        """Return exp(z) - t."""
        slopes: Array = self.rate - self.t
        return slopes

    def predict(self, z: Array) -> Array:
        """The rate, exp(z)."""
        rate: Array = np.exp(z)
        return rate


class GaussianNLL(Loss):
    """l = mean over d of (v_d + (m_d - t_d)^2 exp(-v_d)) / 2, in nats per output.

    For D targets the network has 2 D outputs, z = (m, v): first all means, then all logarithms of
    the variances. dl/dm = (m - t) exp(-v) / D, dl/dv = (1 - (m - t)^2 exp(-v)) / (2 D). The
    negative log-likelihood without log(2 pi) / 2; PyTorch's GaussianNLLLoss with var = exp(v), but
    for its lower limit of the variance. `predict` gives the means.

    Source: Nix and Weigend (1994), Estimating the mean and variance of the target probability
    distribution.

    Raises
    ------
    DataError
        For targets that are not (N, D), or not finite.
    ShapeError
        For a network whose outputs are not a row of even length.

    Examples
    --------
    >>> loss, z = GaussianNLL(), np.array([[1.0, 0.0]])
    >>> loss.mean(z, np.array([[3.0]])), loss.backward(), loss.predict(z)
    (2.0, array([[-2. , -1.5]]), array([[1.]]))
    """

    def build(self, shape: Shape) -> None:
        """Check that there are means and as many variances."""
        if len(shape) != 1 or shape[0] % 2:
            raise ShapeError(
                "GaussianNLL judges rows of means and as many logarithms of variances, "
                f"2 outputs for each target, but the body returns {shape}"
            )

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return floats (N, D) for 2 D outputs."""
        return super().targets(t, (shape[0] // 2,))

    def losses(self, z: Array, t: Array) -> Array:
        """Return the means of (v + (m - t)^2 exp(-v)) / 2."""
        m, v = np.split(z, 2, axis=1)
        check_shapes(m, t)
        self.scale = np.exp(-v / 2)
        self.deviation = (m - t) * self.scale
        losses: Array = (v + self.deviation**2).mean(axis=1) / 2
        return losses

    def gradients(self) -> Array:
        """Return (m - t) exp(-v) / D and (1 - (m - t)^2 exp(-v)) / (2 D)."""
        dm, dv = self.deviation * self.scale, (1 - self.deviation**2) / 2
        dz: Array = np.hstack([dm, dv])
        dz /= dm.shape[1]
        return dz

    def predict(self, z: Array) -> Array:
        """The means (N, D)."""
        return np.split(z, 2, axis=1)[0]


class CosineSimilarity(Loss):
    """l = 1 - cos(z, t), cos(z, t) = z.t / (|z| |t|): from 0, the same direction, to 2.

    dl/dz = -(t / |t| - cos(z, t) z / |z|) / |z|. PyTorch's CosineEmbeddingLoss for pairs that
    belong together; Keras' CosineSimilarity is less by 1. Where z = 0, cos and the derivative are
    taken as 0.

    Raises
    ------
    DataError
        For a target of length 0.
    ShapeError
        For outputs that are not rows.

    Examples
    --------
    >>> loss = CosineSimilarity()
    >>> loss.losses(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[3.0, 0.0], [1.0, 0.0]]))
    array([0., 1.])
    """

    def build(self, shape: Shape) -> None:
        """Check that the outputs are rows."""
        if len(shape) != 1:
            raise ShapeError(f"CosineSimilarity judges rows, but the body returns {shape}")

    def targets(self, t: Any, shape: Shape) -> Array:
        """Return rows of floats that are not 0."""
        rows = super().targets(t, shape)
        right = rows.any(axis=1)
        if not right.all():
            row = int(right.argmin())
            raise DataError(f"target {rows[row]} of example {row} has no direction; it is 0")
        return rows

    def losses(self, z: Array, t: Array) -> Array:
        """Return 1 - cos(z, t)."""
        check_shapes(z, t)
        (self.z, self.length), (self.t, _) = _direction(z), _direction(t)
        self.cos = (self.z * self.t).sum(axis=1, keepdims=True)
        losses: Array = 1 - self.cos[:, 0]
        return losses

    def gradients(self) -> Array:
        """Return -(t / |t| - cos(z, t) z / |z|) / |z|."""
        dz: Array = self.cos * self.z
        dz -= self.t
        dz /= np.where(self.length > 0, self.length, math.inf)
        return dz


def _direction(v: Array) -> tuple[Array, Array]:
    """Return v / |v| and |v|. Divided by the largest number first: no square is lost."""
    size = abs(v).max(axis=1, keepdims=True)
    direction = v / np.where(size > 0, size, 1)
    length = np.sqrt((direction**2).sum(axis=1, keepdims=True))
    direction /= np.where(size > 0, length, 1)
    return direction, size * length
