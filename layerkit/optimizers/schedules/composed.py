"""Schedules of several parts, each with its own beginning."""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal

from layerkit.config.options import Ratio, Share, Size
from layerkit.errors import ConfigError
from layerkit.optimizers.schedules.base import Milestones, Schedule, check_milestones, half_wave


class CosineRestartsSchedule(Schedule):
    """factor = end + (1 - end) (1 + cos(π p)) / 2: p goes from 0 to 1 in each of many periods.

    PyTorch's CosineAnnealingWarmRestarts.
    Source: Loshchilov and Hutter (2016), SGDR: stochastic gradient descent with warm restarts,
    arXiv:1608.03983.

    Parameters
    ----------
    period : int
        Number of steps of the first period.
    growth : int
        Length of a period, divided by that of the one before.
    end : float
        The factor that is nearly reached at the end of a period, from 0 to 1.

    Examples
    --------
    >>> schedule = CosineRestartsSchedule(period=2, growth=2)
    >>> [round(schedule(step), 4) for step in range(7)]
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """

    period: Size
    growth: Size = 1
    end: Share = 0.0

    def factor(self, step: int, steps: int) -> float:
        start, period = 0, self.period
        while self.growth > 1 and step >= start + period:
            start += period
            period *= self.growth
        return self.end + (1 - self.end) * half_wave((step - start) % period / period)


class CyclicSchedule(Schedule):
    """factor = low + (1 - low) height x: x goes from 0 to 1 and back in each cycle, along lines.

    height is 1 (triangular), halved after each cycle (triangular2), or gamma^i (exp_range).
    PyTorch's CyclicLR, where max_lr is the option itself.
    Source: Smith (2015), Cyclical learning rates for training neural networks, arXiv:1506.01186.

    Parameters
    ----------
    up : int
        Number of steps from `low` to the top.
    down : int, optional
        Number of steps back to `low`; by default as many as `up`.
    low : float
        The lowest factor, from 0 to 1.
    mode : {"triangular", "triangular2", "exp_range"}
        How the height changes over the cycles.
    gamma : float
        The factor of the height at each step, for exp_range only.

    Examples
    --------
    >>> schedule = CyclicSchedule(up=2, low=0.5, mode="triangular2")
    >>> [schedule(step) for step in range(9)]
    [0.5, 0.75, 1.0, 0.75, 0.5, 0.625, 0.75, 0.625, 0.5]
    """

    up: Size
    down: Size | None = None
    low: Share = 0.1
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: Ratio = 1.0

    def factor(self, step: int, steps: int) -> float:
        down = self.down or self.up
        cycle, place = divmod(step, self.up + down)
        x = min(place / self.up, (self.up + down - place) / down)
        height = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**step}
        return self.low + (1 - self.low) * height[self.mode] * x


class ChainedSchedule(Schedule):
    """One schedule after the other, each counting its steps from 0.

    One that ends with the run, such as CosineSchedule, ends at the next milestone instead.
    PyTorch's SequentialLR and optax's join_schedules.

    Parameters
    ----------
    schedules : list of Schedule
        The schedules in their order.
    milestones : list of int
        The first step of each schedule after the first one, each greater than the one before.

    Examples
    --------
    >>> from layerkit import ConstantSchedule, LinearSchedule
    >>> schedule = ChainedSchedule(
    ...     [LinearSchedule(end=0.5), ConstantSchedule(0.5), LinearSchedule()], milestones=[2, 4]
    ... )
    >>> [schedule(step, steps=6) for step in range(7)]
    [1.0, 0.75, 0.5, 0.5, 1.0, 0.5, 0.0]
    """

    schedules: list[Schedule]
    milestones: Milestones

    def __post_init__(self) -> None:
        super().__post_init__()
        check_milestones(self, self.milestones)
        if len(self.schedules) != len(self.milestones) + 1:
            raise ConfigError(
                f"ChainedSchedule.milestones = {self.milestones}: should be one less than "
                f"the number of schedules, {len(self.schedules)}"
            )

    def check(self, steps: int | None) -> None:
        """Check all schedules that have a turn."""
        super().check(steps)
        for start in self.milestones:
            if steps is None or start < steps:
                schedule, _, length = self._turn(start, steps or 0)
                schedule.check(length)

    def factor(self, step: int, steps: int) -> float:
        schedule, start, length = self._turn(step, steps)
        return schedule(step - start, length)

    def _turn(self, step: int, steps: int) -> tuple[Schedule, int, int | None]:
        """Return the schedule whose turn it is, its first step and its number of steps."""
        turn = bisect_right(self.milestones, step)
        start, end = (0, *self.milestones)[turn], (*self.milestones, steps)[turn]
        return self.schedules[turn], start, max(end - start, 1) if end else None
