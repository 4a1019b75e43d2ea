"""Callbacks for the end of a training: when its time is over, or it has gone wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from layerkit.callbacks.base import Callback, check_folder
from layerkit.config.options import Rate

if TYPE_CHECKING:
    from layerkit.training.trainer import Trainer


class TimeLimit(Callback):
    """Leaves the training after the batch in which its time is over.

    With checkpoints it can be resumed, and then has as much time again.

    Parameters
    ----------
    seconds : float
        Since the training has begun, or was resumed, measurements included.
    """

    seconds: Rate

    def train_begin(self, trainer: Trainer) -> None:
        """Start the clock."""
        self.begun = trainer.seconds

    def batch_end(self, trainer: Trainer) -> None:
        """Look at the clock."""
        if trainer.seconds - self.begun >= self.seconds:
            trainer.pause(f"the time limit of {self.seconds:g} s is reached")


class StopOnNonFinite(Callback):
    """Keeps the step at which a training diverged, so that it can be looked at and repeated.

    Every training stops where a value is not finite. This leaves a file of it, unless it is only
    the loss measured after an epoch: then no step has failed.

    Parameters
    ----------
    path : str
        Of the file to write then, such as ``"failed.safetensors"``: a
        `layerkit.training.divergence.FailedStep`.

    Raises
    ------
    FileError
        When the file can't be written.
    """

    path: str | Path

    def train_begin(self, trainer: Trainer) -> None:
        """Refuse a folder that isn't there."""
        check_folder(self.path)

    def train_end(self, trainer: Trainer) -> None:
        """Save the step, if there is one."""
        if trainer.failed is not None:
            trainer.failed.save(self.path)
