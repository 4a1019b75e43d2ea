"""Callbacks: objects that observe a training run, log it, or end it early."""

from layerkit.callbacks.base import Callback
from layerkit.callbacks.limits import StopOnNonFinite, TimeLimit
from layerkit.callbacks.logs import CSVLog, History, JSONLinesLog, LogFile, ProgressBar
from layerkit.callbacks.monitors import (
    EarlyStopping,
    ModelCheckpoint,
    Monitor,
    MonitorWarning,
    ReduceLROnPlateau,
)
from layerkit.callbacks.tracking import MLflow, TensorBoard, Tracker

__all__ = [
    "CSVLog",
    "Callback",
    "EarlyStopping",
    "History",
    "JSONLinesLog",
    "LogFile",
    "MLflow",
    "ModelCheckpoint",
    "Monitor",
    "MonitorWarning",
    "ProgressBar",
    "ReduceLROnPlateau",
    "StopOnNonFinite",
    "TensorBoard",
    "TimeLimit",
    "Tracker",
]
