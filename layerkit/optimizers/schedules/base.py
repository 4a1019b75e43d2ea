"""What a schedule is: a factor over time, for the learning rate or any other number.

    i        the step, counted from 0: the steps of an optimizer, not the epochs
    T        the number of steps of the whole training, `steps`
    W        the number of steps of a warm-up
    factor   what the option of the optimizer is multiplied by at step i

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
    """A function of the step that an option of an optimizer is multiplied by.

    A subclass writes `factor`. A schedule is called with the step and, where it is known, the
    number of steps of the training.

    Raises
    ------
    ConfigError
        When called with a step less than 0.

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
        """Return the factor at `step` of a training of `steps`."""
        if step < 0:
            raise ConfigError(f"step = {step}: should be at least 0, the first step")
        factor = self.factor(step, steps or 0)
        if not isinstance(factor, numbers.Real):
            raise ConfigError(f"{type(self).__name__}.factor returned {factor!r}; want a number")
        return float(factor)

    def check(self, steps: int | None) -> None:
        """Raise a ConfigError, before a training of `steps`, if the schedule can't serve it."""
        self(0, steps)

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Return a number that is finite and not negative; `steps` is 0 where it is unknown."""


class EndingSchedule(Schedule, ABC):
    """A schedule that ends with the training, and stays at its last factor after that.

    Its `factor` is called with a `steps` of at least 1, and a `step` of at most `steps`.

    Parameters
    ----------
    steps : int, optional
        Number of steps until the end; without, those of the training.

    Raises
    ------
    ConfigError
        When called where the length of the training is unknown, too.

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
        """Return the factor at `step` of a training of `steps`, or of its own `steps`."""
        end = self.steps or steps
        if end is None:
            raise ConfigError(
                f"{type(self).__name__}: ends with the training, whose length is not known here; "
                "give it a number of steps, as in steps = 1000"
            )
        return super().__call__(min(step, end), end)


def half_wave(p: float) -> float:
    """Return a number from 1 at p = 0 to 0 at p = 1, along a cosine."""
    return (1 + math.cos(math.pi * p)) / 2


def check_milestones(schedule: Schedule, milestones: list[int]) -> None:
    """Refuse steps that are not in order."""
    if any(a >= b for a, b in itertools.pairwise(milestones)):
        raise ConfigError(
            f"{type(schedule).__name__}.milestones = {milestones}: each should be greater "
            "than the one before"
        )
