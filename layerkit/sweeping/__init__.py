"""Searches for good settings: many runs of one experiment, in processes that may be killed."""

from layerkit.sweeping.plan import Axis, Plan, Sweep, read_plan
from layerkit.sweeping.search import sweep

__all__ = ["Axis", "Plan", "Sweep", "read_plan", "sweep"]
