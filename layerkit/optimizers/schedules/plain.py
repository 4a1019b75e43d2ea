"""Schedules that do not depend on the length of the training."""

from __future__ import annotations

import math
from bisect import bisect_right

from layerkit.config.options import Amount, Rate, Ratio, Size
from layerkit.optimizers.schedules.base import Milestones, Schedule, check_milestones


class ConstantSchedule(Schedule):
    """factor = value: mostly as a part of a ChainedSchedule.

    Parameters
    ----------
    value : float
        The factor, at least 0.

    Examples
    --------
    >>> ConstantSchedule(0.5)(1000)
    0.5
    """

    value: Amount = 1.0

    def factor(self, step: int, steps: int) -> float:
        return self.value


class StepSchedule(Schedule):
    """factor = gamma^floor(i / every). PyTorch's StepLR.

    Parameters
    ----------
    every : int
        Number of steps with the same factor.
    gamma : float
        Ratio of a factor to the one before.

    Examples
    --------
    >>> schedule = StepSchedule(every=2, gamma=0.5)
    >>> [schedule(step) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    every: Size
    gamma: Ratio = 0.1

    def factor(self, step: int, steps: int) -> float:
        return self.gamma ** (step // self.every)


class MultiStepSchedule(Schedule):
    """factor = gamma^(number of milestones <= i). PyTorch's MultiStepLR.

    Parameters
    ----------
    milestones : list of int
        The first steps with a smaller factor, each greater than the one before.
    gamma : float
        Ratio of a factor to the one before.

    Examples
    --------
    >>> schedule = MultiStepSchedule(milestones=[2, 3], gamma=0.5)
    >>> [schedule(step) for step in range(5)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    """

    milestones: Milestones
    gamma: Ratio = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_milestones(self, self.milestones)

    def factor(self, step: int, steps: int) -> float:
        return self.gamma ** bisect_right(self.milestones, step)


class ExponentialSchedule(Schedule):
    """factor = gamma^(i / every). PyTorch's ExponentialLR, which has every = 1.

    Parameters
    ----------
    gamma : float
        Ratio of a factor to the one `every` steps before.
    every : int
        Number of steps in which the factor is multiplied by gamma once.

    Examples
    --------
    >>> schedule = ExponentialSchedule(gamma=0.5, every=100)
    >>> [round(schedule(step), 3) for step in (0, 50, 100, 200)]
    [1.0, 0.707, 0.5, 0.25]
    """

    gamma: Ratio
    every: Size = 1

    def factor(self, step: int, steps: int) -> float:
        return math.pow(self.gamma, step / self.every)


class InverseTimeSchedule(Schedule):
    """factor = 1 / (1 + decay i). Keras's InverseTimeDecay with decay_steps=1.

    Parameters
    ----------
    decay : float
        1 / decay is the step with the factor 1/2.

    Examples
    --------
    >>> schedule = InverseTimeSchedule(decay=0.01)
    >>> [schedule(step) for step in (0, 100, 300)]
    [1.0, 0.5, 0.25]
    """

    decay: Rate

    def factor(self, step: int, steps: int) -> float:
        return 1 / (1 + self.decay * step)


class InverseSqrtSchedule(Schedule):
    """factor = min(n / warmup, sqrt(warmup / n)), n = i + 1.

    The Noam schedule of Vaswani et al. (2017), arXiv:1706.03762, divided by its greatest value,
    lr = (d_model warmup)^(-1/2) at step n = warmup. This warm-up ends with the factor 1, one step
    earlier than the others.

    Parameters
    ----------
    warmup : int
        Number of steps up to the factor 1.

    Examples
    --------
    >>> schedule = InverseSqrtSchedule(warmup=4)
    >>> [schedule(step) for step in (0, 1, 2, 3, 15)]
    [0.25, 0.5, 0.75, 1.0, 0.5]
    """

    warmup: Size

    def factor(self, step: int, steps: int) -> float:
        n = step + 1
        return min(n / self.warmup, math.sqrt(self.warmup / n))
