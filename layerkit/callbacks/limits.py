"""Callbacks that end a training run or save a failed step: TimeLimit, StopOnNonFinite."""

from __future__ import annotations

from pathlib import Path

from layerkit.callbacks.base import Callback, check_folder
from layerkit.config.options import Rate
from layerkit.progress import Progress


class TimeLimit(Callback):
    """A time limit: the training pauses after the batch in which it is reached.

    With checkpoints it can be resumed, and then has as much time again.

    Parameters
    ----------
    seconds : float
        How long the training may last since it began or was resumed, measurements included.
    """

    each_batch = False
    seconds: Rate

    def train_begin(self, progress: Progress) -> None:
        self.begun = progress.seconds

    def batch_end(self, progress: Progress) -> None:
        if progress.seconds - self.begun >= self.seconds:
            progress.pause(f"the time limit of {self.seconds:g} s is reached")


class StopOnNonFinite(Callback):
    """A file with the step at which a training run diverged, to inspect it and repeat it.

    Training always stops where a value is not finite. This callback saves the failed step to a
    file, unless only the loss measured after an epoch is not finite: then no step has failed.

    Parameters
    ----------
    path : str
        The file to write then, such as ``"failed.safetensors"``: a
        `layerkit.training.divergence.FailedStep`, which ``layerkit replay`` repeats.

    Raises
    ------
    FileError
        When the file can't be written.
    """

    path: str | Path

    def train_begin(self, progress: Progress) -> None:
        check_folder(self.path)

    def train_end(self, progress: Progress) -> None:
        if progress.failed is not None:
            progress.failed.save(self.path)
