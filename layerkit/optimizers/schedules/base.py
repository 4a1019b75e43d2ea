"""The base class of schedules: factors over time, for the learning rate or any other number.

    i        the step, counted from 0: the steps of an optimizer, not the epochs
    T        the number of steps of the whole training, `steps`
    W        the number of steps of a warm-up
    factor   multiplies the option at step i

All names end in `Schedule`: in a configuration, `Linear` or `Constant` could be anything.
"""

from __future__ import annotations

import itertools
import math
import numbers
from abc import ABC, abstractmethod
from typing import Annotated

from layerkit.config.options import Configurable, Limits, Size
from layerkit.errors import ConfigError

Milestones = Annotated[list[Size], Limits(min_length=1)]
"""Steps, each greater than the one before."""


class Schedule(Configurable, ABC):
    """Base class of schedules: a factor for an option of an optimizer, as a function of the step.

    A subclass writes `factor`. A schedule is called with the step and, if it is known, the
    number of steps of the training.

    Raises
    ------
    ConfigError
        When called with a negative step.

    Examples
    --------
    >>> class EveryOtherSchedule(Schedule):
    ...     def factor(self, step, steps):
    ...         return 1.0 if step % 2 == 0 else 0.5
    >>> schedule = EveryOtherSchedule()
    >>> [schedule(step) for step in range(4)]
    [1.0, 0.5, 1.0, 0.5]
    """

    reserved = ("factor",)

    def __call__(self, step: int, steps: int | None = None) -> float:
        """Return the factor at `step` of a training run of `steps` steps."""
        if step < 0:
            raise ConfigError(f"step = {step}: should be at least 0, the first step")
        factor = self.factor(step, steps or 0)
        if not isinstance(factor, numbers.Real):
            raise ConfigError(
                f"{type(self).__name__}.factor returned {factor!r}; should be a number"
            )
        return float(factor)

    def check(self, steps: int | None) -> None:
        """Raise a ConfigError if the schedule doesn't fit a training run of `steps` steps."""
        self(0, steps)

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Return a number that is finite and not negative; `steps` is 0 if it is unknown."""


class EndingSchedule(Schedule, ABC):
    """Base class of schedules that end with the training, and keep their last factor after that.

    Its `factor` is called with a `steps` of at least 1, and a `step` of at most `steps`.

    Parameters
    ----------
    steps : int, optional
        Number of steps until the end; by default, those of the training.

    Raises
    ------
    ConfigError
        If the length of the training is unknown and `steps` is not given.

    Examples
    --------
    >>> class HalfTimeSchedule(EndingSchedule):
    ...     def factor(self, step, steps):
    ...         return 1.0 if step < steps / 2 else 0.1
    >>> schedule = HalfTimeSchedule()
    >>> [schedule(step, steps=4) for step in range(6)]
    [1.0, 1.0, 0.1, 0.1, 0.1, 0.1]
    """

    steps: Size | None = None

    def __call__(self, step: int, steps: int | None = None) -> float:
        """Return the factor at `step` of its own steps, or else of a run of `steps` steps."""
        end = self.steps or steps
        if end is None:
            raise ConfigError(
                f"{type(self).__name__}: ends with the training, whose length is not known here; "
                "give it a number of steps, such as steps = 1000"
            )
        return super().__call__(min(step, end), end)


def half_wave(p: float) -> float:
    """Return (1 + cos(π p)) / 2: from 1 at p = 0 down to 0 at p = 1."""
    return (1 + math.cos(math.pi * p)) / 2


def check_milestones(schedule: Schedule, milestones: list[int]) -> None:
    """Raise a ConfigError for steps that are not in order."""
    if any(a >= b for a, b in itertools.pairwise(milestones)):
        raise ConfigError(
            f"{type(schedule).__name__}.milestones = {milestones}: each should be greater "
            "than the one before"
        )
