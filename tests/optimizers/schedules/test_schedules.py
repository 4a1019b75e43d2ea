import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerkit
from layerkit import (
    ChainedSchedule,
    ConfigError,
    ConstantSchedule,
    CosineRestartsSchedule,
    CosineSchedule,
    CyclicSchedule,
    DecaySchedule,
    EndingSchedule,
    ExponentialSchedule,
    InverseSqrtSchedule,
    InverseTimeSchedule,
    LinearSchedule,
    MultiStepSchedule,
    OneCycleSchedule,
    PolynomialSchedule,
    Schedule,
    StepSchedule,
    WarmupStableDecaySchedule,
    from_config,
)
from layerkit.testing import check_schedule

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "schedules.json").read_text())


def read(table: dict[str, Any]) -> Schedule:
    base: Any = Schedule
    schedule: Schedule = from_config(table, base)
    return schedule


def name(case: dict[str, Any]) -> str:
    options = {key: value for key, value in case["schedule"].items() if key != "type"}
    return f"{case['schedule']['type']} {options} {case['source']}"


@pytest.mark.parametrize("case", REFERENCE, ids=name)
def test_factors_are_those_of_the_reference(case: dict[str, Any]) -> None:
    schedule = read(case["schedule"])
    factors = [schedule(step) for step in range(len(case["factors"]))]
    np.testing.assert_allclose(factors, case["factors"], rtol=1e-12, atol=1e-14)


def test_every_schedule_has_a_reference() -> None:
    names = {name for name in layerkit.__all__ if name.endswith("Schedule")}
    abstract = {"Schedule", "EndingSchedule", "DecaySchedule"}
    assert {case["schedule"]["type"] for case in REFERENCE} == names - abstract


ENDING: list[EndingSchedule] = [
    LinearSchedule(end=0.25, warmup=3),
    PolynomialSchedule(end=0.25, power=3.0),
    CosineSchedule(end=0.25),
    WarmupStableDecaySchedule(end=0.25, warmup=1, decay=0.3),
    OneCycleSchedule(end=0.25),
]


@pytest.mark.parametrize("schedule", ENDING, ids=repr)
def test_the_end_is_that_of_the_training_or_its_own(schedule: EndingSchedule) -> None:
    for steps in (10, 50):
        assert schedule(steps, steps) == pytest.approx(0.25, abs=1e-15)
        assert schedule(steps + 1000, steps) == schedule(steps, steps)
        assert schedule(steps - 1, steps) != schedule(steps - 1, 2 * steps)
    own = read({"type": type(schedule).__name__, "steps": 10})
    assert [own(step, 50) for step in range(20)] == [own(step) for step in range(20)]


@pytest.mark.parametrize("schedule", ENDING, ids=repr)
def test_without_any_length_an_ending_schedule_is_refused(schedule: EndingSchedule) -> None:
    with pytest.raises(ConfigError, match="the training, whose length is not known here; give it"):
        schedule(0)


@pytest.mark.parametrize("kind", [LinearSchedule, CosineSchedule, WarmupStableDecaySchedule])
def test_a_warm_up_is_a_line_to_1(kind: Any) -> None:
    schedule = kind(steps=100, warmup=4, end=0.5)
    np.testing.assert_allclose([schedule(i) for i in range(5)], [0.2, 0.4, 0.6, 0.8, 1], rtol=1e-15)
    assert schedule(5) <= 1
    assert kind(steps=100)(0) == 1


def test_the_top_of_one_cycle_is_reached() -> None:
    schedule = OneCycleSchedule(steps=10, rise=0.5, start=0.1, end=0.2)
    factors = [schedule(step) for step in range(10)]
    assert factors[0] == pytest.approx(0.1, abs=1e-15)
    assert factors.index(max(factors)) == 4
    assert factors[4] == 1
    assert factors[9] == 0.2


def test_restarts_that_grow_stay_exact_and_fast_for_a_long_time() -> None:
    schedule = CosineRestartsSchedule(period=3, growth=2)
    starts = [3 * (2**k - 1) for k in range(40)]
    assert [schedule(start) for start in starts] == 40 * [1.0]
    assert all(schedule(start - 1) < 0.6 for start in starts[1:])
    assert CosineRestartsSchedule(period=1)(10**15) == 1


def test_a_part_of_a_chain_ends_at_the_next_milestone_or_with_the_training() -> None:
    chain = ChainedSchedule([LinearSchedule(), LinearSchedule(warmup=1)], milestones=[4])
    expected = [1, 0.75, 0.5, 0.25, 0.5, 1, 2 / 3, 1 / 3, 0, 0]
    np.testing.assert_allclose([chain(i, 8) for i in range(10)], expected, atol=1e-15)
    assert [chain(i) for i in range(4)] == expected[:4]
    with pytest.raises(ConfigError, match="length is not known here"):
        chain(4)


def test_what_a_training_is_too_short_for_is_refused_before_it_begins() -> None:
    late = ChainedSchedule([ConstantSchedule(), CosineSchedule(warmup=10)], milestones=[50])
    late.check(100)
    late.check(40)  # its turn never comes
    for steps in (60, 51, None):
        with pytest.raises(ConfigError, match=r"warmup = 10: should be less|is not known here"):
            late.check(steps)
    nested = ChainedSchedule([ConstantSchedule(), late], milestones=[5])
    nested.check(100)
    with pytest.raises(
        ConfigError, match=r"warmup = 10: should be less than the number of steps, 10$"
    ):
        nested.check(65)
    with pytest.raises(ConfigError, match="warmup = 7: should be less than the number of steps, 7"):
        LinearSchedule(warmup=7)(3, 7)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (ConstantSchedule, {"value": -0.5}, "greater than or equal to 0"),
        (ConstantSchedule, {"value": math.nan}, "finite"),
        (StepSchedule, {"every": 0}, "greater than 0"),
        (StepSchedule, {"every": 2, "gamma": 1.5}, "less than or equal to 1"),
        (MultiStepSchedule, {"milestones": []}, "should not be empty"),
        (MultiStepSchedule, {"milestones": [5, 5]}, "each should be greater than the one before"),
        (MultiStepSchedule, {"milestones": [5, 3]}, r"milestones = \[5, 3\]"),
        (MultiStepSchedule, {"milestones": [0, 3]}, "greater than 0"),
        (ExponentialSchedule, {"gamma": 0.0}, "greater than 0"),
        (InverseTimeSchedule, {"decay": 0.0}, "greater than 0"),
        (InverseSqrtSchedule, {"warmup": 0}, "greater than 0"),
        (LinearSchedule, {"end": 1.5}, "less than or equal to 1"),
        (
            LinearSchedule,
            {"steps": 5, "warmup": 5},
            "warmup = 5: should be less than the number of steps, 5",
        ),
        (LinearSchedule, {"warmup": -1}, "greater than or equal to 0"),
        (PolynomialSchedule, {"power": 0.0}, "greater than 0"),
        (CosineSchedule, {"steps": 0}, "greater than 0"),
        (CosineSchedule, {"end": -0.1}, "greater than or equal to 0"),
        (WarmupStableDecaySchedule, {"decay": 0.0}, "greater than 0"),
        (OneCycleSchedule, {"rise": 1.0}, "less than 1"),
        (OneCycleSchedule, {"curve": "cos"}, "'cosine' or 'linear'"),
        (CosineRestartsSchedule, {"period": 5, "growth": 0}, "greater than 0"),
        (CyclicSchedule, {"up": 5, "low": 2.0}, "less than or equal to 1"),
        (CyclicSchedule, {"up": 5, "mode": "square"}, "'triangular'"),
        (
            ChainedSchedule,
            {"schedules": [ConstantSchedule()], "milestones": [3]},
            "should be one less than the number of schedules, 1",
        ),
        (
            ChainedSchedule,
            {"schedules": 3 * [ConstantSchedule()], "milestones": [3, 2]},
            "each should be greater",
        ),
    ],
)
def test_bad_options_are_refused(cls: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cls(**options)


def test_steps_count_from_0() -> None:
    with pytest.raises(ConfigError, match="step = -1: should be at least 0"):
        ConstantSchedule()(-1)


# Schedules of one's own


class CosineByNumpySchedule(DecaySchedule):
    def curve(self, p: float) -> float:
        y: float = (1 + np.cos(np.pi * p)) / 2
        return y


def test_numpy_scalars_become_floats() -> None:
    schedule = CosineByNumpySchedule(warmup=3)
    check_schedule(schedule)
    assert type(schedule(50, 100)) is float
    assert schedule(50, 100) == pytest.approx(CosineSchedule(warmup=3)(50, 100))


class CountsSchedule(Schedule):
    def factor(self, step: int, steps: int) -> float:
        self.calls = vars(self).get("calls", 0) + 1
        return 1 / self.calls


class ForgetsTheLengthSchedule(Schedule):
    def factor(self, step: int, steps: int) -> float:
        return max(steps - step, 0) / 100


class DividesSchedule(Schedule):
    def factor(self, step: int, steps: int) -> float:
        return 1 / step


class DividesByTheLengthSchedule(Schedule):
    def factor(self, step: int, steps: int) -> float:
        return min(step / steps, 1)


class NanSchedule(Schedule):
    def factor(self, step: int, steps: int) -> float:
        return math.nan


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (CountsSchedule(), "differs when asked again"),
        (ForgetsTheLengthSchedule(), "only an EndingSchedule should read `steps`"),
        (DividesSchedule(), "at step 0 of 100 raised ZeroDivisionError"),
        (DividesByTheLengthSchedule(), "at step 0, without a length raised ZeroDivisionError"),
        (NanSchedule(), "step 0 is nan; should be finite"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Schedule) else "",
)
def test_mistakes_in_schedules_are_named(schedule: Schedule, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_schedule(schedule)


def test_a_method_cannot_be_an_option() -> None:
    with pytest.raises(ConfigError, match="Schedule has an attribute of this name"):

        class FactorSchedule(Schedule):
            factor: float = 1.0  # type: ignore[assignment]
