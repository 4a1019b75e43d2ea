"""Schedules: factors over time, for the learning rate or any other number of an optimizer."""

from layerkit.optimizers.schedules.base import EndingSchedule, Schedule
from layerkit.optimizers.schedules.composed import (
    ChainedSchedule,
    CosineRestartsSchedule,
    CyclicSchedule,
)
from layerkit.optimizers.schedules.ending import (
    CosineSchedule,
    DecaySchedule,
    LinearSchedule,
    OneCycleSchedule,
    PolynomialSchedule,
    WarmupStableDecaySchedule,
)
from layerkit.optimizers.schedules.plain import (
    ConstantSchedule,
    ExponentialSchedule,
    InverseSqrtSchedule,
    InverseTimeSchedule,
    MultiStepSchedule,
    StepSchedule,
)

__all__ = [
    "ChainedSchedule",
    "ConstantSchedule",
    "CosineRestartsSchedule",
    "CosineSchedule",
    "CyclicSchedule",
    "DecaySchedule",
    "EndingSchedule",
    "ExponentialSchedule",
    "InverseSqrtSchedule",
    "InverseTimeSchedule",
    "LinearSchedule",
    "MultiStepSchedule",
    "OneCycleSchedule",
    "PolynomialSchedule",
    "Schedule",
    "StepSchedule",
    "WarmupStableDecaySchedule",
]
