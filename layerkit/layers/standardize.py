"""Standardize: a layer that is fitted to the data before the training."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import DataError
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Ones, Zeros
from layerkit.layers.base import Layer
from layerkit.parameters import State

FEW = 4
"""The smallest standard deviation that is accepted, in steps between neighbouring numbers."""


class Standardize(Layer):
    """y = (x - mean) / scale: each number of an example gets mean 0 and standard deviation 1.

    Mean and scale are those of the training data. They are measured once before the training and
    saved with the network, so that it predicts from raw numbers. The variances are divided by N,
    as in scikit-learn's StandardScaler; where all examples are equal, the scale is 1. Every number
    has its own mean and scale: each pixel of an image, each feature at each position of a sequence.
    The mean is kept in two parts, since float32 rounds it: y = (x - mean - rest) / scale.

    Raises
    ------
    DataError
        When the examples differ by more than float64 can square; or so little, compared with their
        mean, that their dtype has only a few numbers there. A feature whose numbers all have become
        the same, such as 1.7e9 + 10 N(0, 1) in float32, looks constant and can't be noticed here.

    Examples
    --------
    >>> from layerkit import Dense, Network, Sequential, SoftmaxCrossEntropy
    >>> body = Sequential([Standardize(), Dense(2)])
    >>> net = Network(body, SoftmaxCrossEntropy(), shape=(2,))
    >>> x = [[160.0, 1.0], [180.0, 1.0]]
    >>> net.adapt(x).outputs(x, of="body.layers.0")
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    """

    adapts = True

    def init_before(self) -> Initializer:
        """The initializer that suits the layer after."""
        return self.default_init

    def build(self, shape: Shape) -> Shape:
        """Declare the mean, in two parts, and the scale."""
        # in float32 a mean of 1e6 is rounded by up to 0.03: the rest keeps what that leaves
        self.mean, self.rest = State(shape, Zeros()), State(shape, Zeros())
        self.scale = State(shape, Ones())
        return shape

    def adapt(self, batches: Iterable[Array]) -> None:
        """Measure mean and scale, batch by batch."""
        moments = Moments(self.output_shape)
        for batch in batches:
            moments.add(batch)
        found = moments.fitted("Standardize", self.mean.value.dtype)
        self.mean.value, self.rest.value, self.scale.value = found

    def forward(self, x: Array, train: bool = True) -> Array:
        y = x - self.mean.value
        y -= self.rest.value
        y /= self.scale.value
        return y

    def backward(self, dy: Array) -> Array:
        return dy / self.scale.value


class Moments:
    """Mean and standard deviation of numbers that come batch by batch.

    Two sets of numbers with the means m1, m2 and the sums of squared deviations S1, S2 have
    together S = S1 + S2 + (m2 - m1)^2 N1 N2 / (N1 + N2).

    Source: Chan, Golub and LeVeque (1983), Algorithms for computing the sample variance.

    Parameters
    ----------
    shape : tuple of int
        The shape of one example.
    """

    def __init__(self, shape: Shape) -> None:
        self.origin = self.mean = self.squares = np.zeros(shape)
        self.count = 0

    def add(self, batch: Array) -> None:
        """Take a batch (N, *shape) into account."""
        if not len(batch):
            return
        x = batch.astype(np.float64)
        if not self.count:
            # everything is measured from here, so that what is constant is exactly 0
            self.origin = batch[0].astype(np.float64)
        x -= self.origin
        step, share = x.mean(axis=0) - self.mean, len(x) / (self.count + len(x))
        spread = x.var(axis=0) * len(x) + step * step * (self.count * share)
        self.squares = self.squares + spread
        self.mean = self.mean + step * share
        self.count += len(x)

    def fitted(
        self, layer: str, dtype: np.dtype[Any], column: str = ""
    ) -> tuple[Array, Array, Array]:
        """Return the mean in two parts, and the scale, 1 where all numbers are equal.

        Raises
        ------
        DataError
            When the scale isn't finite, or so small that numbers of the dtype can't show it: with
            the layer, and the words for what is measured, by default the number of a feature.
        """
        scale = np.sqrt(self.squares / max(self.count, 1))
        if not np.isfinite(scale).all():
            raise DataError(f"{layer}: the examples differ by more than a float64 can square")
        exact = self.origin + self.mean
        check_digits(layer, column, exact, scale, dtype)
        mean, rounded = exact.astype(dtype), scale.astype(dtype)
        return mean, (self.origin - mean) + self.mean, np.where(rounded == 0, 1, rounded)


def check_digits(layer: str, column: str, mean: Array, scale: Array, dtype: np.dtype[Any]) -> None:
    """Refuse a feature that varies by less than a few steps between neighbouring numbers."""
    steps = np.spacing(np.abs(mean).astype(dtype))
    lost = np.argwhere((scale.astype(dtype) > 0) & (scale < FEW * steps))
    if len(lost):
        place = tuple(map(int, lost[0]))
        numbers = ", ".join(map(str, place))
        wider = 'use dtype = "float64", or ' if dtype == np.float32 else ""
        raise DataError(
            f"{layer}: {column or f'feature {numbers}'} varies by {scale[place]:.3g} "
            f"around {mean[place]:.8g}, where {dtype} can't tell its values apart: the numbers "
            f"are {steps[place]:.3g} apart; {wider}subtract {mean[place]:.8g} first"
        )
