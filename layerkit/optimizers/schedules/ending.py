"""Schedules that go down until the end of the training.

i         the step, counted from 0: the steps of an optimizer, not the epochs
T         the step at which the schedule ends, `steps`
W         the number of steps of a warm-up
p         the part of the way down that is done: 0 after the warm-up, 1 at step T
curve     how much of the way down is left: the factor is end + (1 - end) curve(p)
factor    multiplies the option at step i
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal

from layerkit.config.options import Fraction, Limits, Rate, Ratio, Share
from layerkit.errors import ConfigError
from layerkit.optimizers.schedules.base import EndingSchedule, half_wave


class DecaySchedule(EndingSchedule, ABC):
    """Base class of decays: up to 1 in W steps, then down to `end` at step T along a `curve`.

    factor = (i + 1) / (W + 1) for i < W, then end + (1 - end) curve(p), p = (i - W) / (T - W).
    So no step is wasted on the factor 0, and i = W is the first step with the factor 1. The last
    step of the training is T - 1, one step before `end` is reached.

    Parameters
    ----------
    steps : int, optional
        T, the step at which it ends; by default, the number of steps of the training.
    warmup : int
        W, the number of steps of the warm-up; less than T.
    end : float
        The last factor, from 0 to 1.

    Raises
    ------
    ConfigError
        If the warm-up is not shorter than the training.

    Examples
    --------
    >>> class SquareSchedule(DecaySchedule):
    ...     def curve(self, p):
    ...         return (1 - p) ** 2
    >>> schedule = SquareSchedule(warmup=1)
    >>> [schedule(step, steps=5) for step in range(6)]
    [0.5, 1.0, 0.5625, 0.25, 0.0625, 0.0]
    """

    warmup: Annotated[int, Limits(ge=0)] = 0
    end: Share = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps:
            self._check_warmup(self.steps)

    def factor(self, step: int, steps: int) -> float:
        self._check_warmup(steps)
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        p = (step - self.warmup) / (steps - self.warmup)
        return self.end + (1 - self.end) * self.curve(p)

    @abstractmethod
    def curve(self, p: float) -> float:
        """Return the share of the way that is left: 1 at p = 0, 0 at p = 1."""

    def _check_warmup(self, steps: int) -> None:
        if self.warmup >= steps:
            raise ConfigError(
                f"{type(self).__name__}.warmup = {self.warmup}: should be less than the number of "
                f"steps, {steps}"
            )


class LinearSchedule(DecaySchedule):
    """curve(p) = 1 - p: a straight line, after a warm-up.

    Parameters
    ----------
    steps, warmup, end
        As in `DecaySchedule`.

    Examples
    --------
    >>> schedule = LinearSchedule(steps=7, warmup=3)
    >>> [schedule(step) for step in range(9)]
    [0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def curve(self, p: float) -> float:
        return 1 - p


class PolynomialSchedule(DecaySchedule):
    """curve(p) = (1 - p)^power. PyTorch's PolynomialLR, with a warm-up and an end.

    Parameters
    ----------
    steps, warmup, end
        As in `DecaySchedule`.
    power : float
        The exponent, greater than 0; 1 is `LinearSchedule`.

    Examples
    --------
    >>> schedule = PolynomialSchedule(steps=4, power=2.0)
    >>> [schedule(step) for step in range(5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]
    """

    power: Rate = 1.0

    def curve(self, p: float) -> float:
        return math.pow(1 - p, self.power)


class CosineSchedule(DecaySchedule):
    """curve(p) = (1 + cos(π p)) / 2: half a wave, after a warm-up.

    PyTorch's CosineAnnealingLR with a warm-up; after the end, PyTorch's goes up again.
    Source: Loshchilov and Hutter (2016), SGDR: stochastic gradient descent with warm restarts,
    arXiv:1608.03983.

    Parameters
    ----------
    steps, warmup, end
        As in `DecaySchedule`.

    Examples
    --------
    >>> schedule = CosineSchedule(steps=5, warmup=1)
    >>> [round(schedule(step), 4) for step in range(6)]
    [0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0]
    """

    def curve(self, p: float) -> float:
        return half_wave(p)


class WarmupStableDecaySchedule(DecaySchedule):
    """curve(p) = min(1, (1 - p) / decay): at 1 for most steps, then a straight line.

    The name is that of Hu et al. (2024), arXiv:2404.06395, whose descent is exponential.

    Parameters
    ----------
    steps, warmup, end
        As in `DecaySchedule`.
    decay : float
        Share of the steps after the warm-up in which the factor goes down; at most 1.

    Examples
    --------
    >>> schedule = WarmupStableDecaySchedule(steps=9, warmup=1, decay=0.5)
    >>> [schedule(step) for step in range(10)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """

    decay: Ratio = 0.1

    def curve(self, p: float) -> float:
        return min(1.0, (1 - p) / self.decay)


class OneCycleSchedule(EndingSchedule):
    """From `start` up to 1, then down to `end` at the last step, along half waves or lines.

    The top is at i = rise T - 1, where 0 < rise < 1; factor = a + (b - a) (1 - cos(π q)) / 2 or
    a + (b - a) q between a and b, where q is the share of the way. PyTorch's OneCycleLR,
    where max_lr is the option itself.
    Source: Smith and Topin (2017), Super-convergence: very fast training of neural networks using
    large learning rates, arXiv:1708.07120.

    Parameters
    ----------
    steps : int, optional
        T, the step at which it ends; by default, the number of steps of the training.
    rise : float
        Share of the steps in which the factor goes up.
    start, end : float
        The first and the last factor. PyTorch's div_factor is ``1 / start``, and its
        final_div_factor is ``start / end``.
    curve : {"cosine", "linear"}
        Shape of the way up and of the way down.

    Examples
    --------
    >>> schedule = OneCycleSchedule(6, rise=0.5, start=0.5, end=0.25, curve="linear")
    >>> [schedule(step) for step in range(7)]
    [0.5, 0.75, 1.0, 0.75, 0.5, 0.25, 0.25]
    """

    rise: Fraction = 0.3
    start: Share = 0.04
    end: Share = 4e-6
    curve: Literal["cosine", "linear"] = "cosine"

    def factor(self, step: int, steps: int) -> float:
        last = steps - 1
        step, top = min(step, last), self.rise * steps - 1
        if step < top:
            return self._between(self.start, 1, step / top)
        return self._between(1, self.end, (step - top) / (last - top))

    def _between(self, a: float, b: float, p: float) -> float:
        return b + (a - b) * (half_wave(p) if self.curve == "cosine" else 1 - p)
