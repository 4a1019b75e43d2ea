"""Checks of schedules."""

from __future__ import annotations

import copy
import math
from functools import partial

from layerkit.errors import ConfigError
from layerkit.optimizers.schedules.base import Schedule
from layerkit.testing.common import Laws, calling, check_options, require, require_objects, run


def check_schedule(schedule: Schedule, steps: int = 100, report: bool = False) -> str | None:
    """Check a schedule in a training run of `steps` steps, and beyond its end.

    Parameters
    ----------
    schedule : Schedule
        The schedule to check, with its options.
    steps : int
        The number of steps of the training.
    report : bool
        Whether to return a table of all laws, with what is wrong, instead of raising an error.

    Raises
    ------
    AssertionError
        With the first broken law, and its likely cause.

    Examples
    --------
    >>> from layerkit import Schedule
    >>> class DownSchedule(Schedule):
    ...     def factor(self, step, steps):
    ...         return 1 - step / 100
    >>> check_schedule(DownSchedule())
    Traceback (most recent call last):
    ...
    AssertionError: DownSchedule: the factor at step 101 is -0.01; should be finite and not \
negative, also after the end of the training
    """
    __tracebackhide__ = True
    require_objects(Schedule, schedule)
    return run(schedule_laws(schedule, steps), report)


def schedule_laws(schedule: Schedule, steps: int = 100) -> Laws:
    """Yield the laws of a schedule."""
    yield "options", partial(check_options, schedule)
    yield "factors", partial(_factors, schedule, steps)
    yield "asked again", partial(_check_again, schedule, steps)
    yield "unknown length", partial(_check_without_length, schedule, steps)


def _factors(schedule: Schedule, steps: int) -> dict[int, float]:
    """Return the factors of all steps, and of those after the end."""
    name, schedule = type(schedule).__name__, copy.deepcopy(schedule)
    factors: dict[int, float] = {}
    for step in range(3 * steps):
        with calling(f"{name} at step {step} of {steps}"):
            factors[step] = schedule(step, steps)
        require(
            math.isfinite(factors[step]) and factors[step] >= 0,
            f"{name}: the factor at step {step} is {factors[step]:.4g}; should be finite and not "
            "negative, also after the end of the training",
        )
    return factors


def _check_again(schedule: Schedule, steps: int) -> None:
    schedule = copy.deepcopy(schedule)
    factors = {step: schedule(step, steps) for step in range(3 * steps)}
    for step in reversed(factors):
        require(
            schedule(step, steps) == factors[step],
            f"{type(schedule).__name__}: the factor at step {step} differs when asked again; a "
            "schedule is a function of the step alone, and remembers nothing",
        )


def _check_without_length(schedule: Schedule, steps: int) -> None:
    for step, factor in _factors(schedule, steps).items():
        require(
            _without_length(schedule, step) in (None, factor),
            f"{type(schedule).__name__}: the factor at step {step} differs if the length of the "
            "training is unknown; only an EndingSchedule should read `steps`",
        )


def _without_length(schedule: Schedule, step: int) -> float | None:
    """Return the factor, or None if it is refused with a ConfigError."""
    try:
        with calling(f"{type(schedule).__name__} at step {step}, without a length"):
            return schedule(step)
    except AssertionError as error:
        if isinstance(error.__cause__, ConfigError):
            return None
        raise
