"""Sweeps: hyperparameter search by many runs of one experiment, in parallel processes."""

from layerkit.runs.sweep.plan import Axis, Plan, Sweep, read_plan
from layerkit.runs.sweep.search import sweep

__all__ = ["Axis", "Plan", "Sweep", "read_plan", "sweep"]
