"""The files of a run: their names, and where its callbacks may write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from layerkit.callbacks.base import Callback
from layerkit.errors import ConfigError

CHECKPOINTS, MODEL = "checkpoints", "model.safetensors"
"""The names of the checkpoints and of the trained network in a run's folder."""
CONFIG, DATA, HISTORY, BEST, ENVIRONMENT, RESULT, DIVERGENCE = (
    "config.toml",
    "data.json",
    "history.csv",
    "best.safetensors",
    "environment.json",
    "result.json",
    "divergence.safetensors",
)
"""The names of files in a run's folder, besides these and pictures."""
FOLDS = "folds"
"""The folder of the folds of a cross-validation, and the name of the table of their results."""
LOCK = ".lock"
"""A file in a run's folder whose lock is held while it is trained."""
PICTURES = {
    *("curves.png", "confusion.png"),
    *("examples.png", "mistakes.png", "weights.png"),
    *("roc.png", "calibration.png", "predicted.png", "importance.png", "boundary.png"),
}
OWN = {CONFIG, DATA, ENVIRONMENT, RESULT, LOCK, MODEL, CHECKPOINTS, FOLDS, f"{FOLDS}.csv"}
OWN |= PICTURES
"""The names that the run itself writes, and no callback."""


def place(
    callbacks: Sequence[Callback], folder: str | Path, others: Sequence[Callback]
) -> list[Callback]:
    """Return a configuration's callbacks with their relative paths in the folder of a run.

    Folders may be shared by several callbacks, files not.

    Raises
    ------
    ConfigError
        For a relative path that leads out of the folder, and for any path to a file that the run
        itself, one of the `others` or another of the callbacks writes.
    """
    folder, top = Path(folder), Path(os.path.realpath(folder))
    taken = {Path(os.path.realpath(path)) for other in others for path in other.paths().values()}
    placed = []
    for i, callback in enumerate(callbacks):
        relative = {}
        for name, path in callback.paths().items():
            target, wrong = Path(os.path.realpath(folder / path)), ""
            inside = target.is_relative_to(top)
            if not inside and not path.is_absolute():
                wrong = "leads out of the run's folder; only an absolute path may"
            elif inside and OWN.intersection(target.relative_to(top).parts[:1]):
                wrong = "the run itself writes this file; choose another name"
            elif target in taken:
                wrong = "is written already; choose another name"
            if wrong:
                raise ConfigError(f"training.callbacks.{i}.{name} = {str(path)!r}: {wrong}")
            if name != "folder":
                taken.add(target)
            if not path.is_absolute():
                relative[name] = folder / path
        placed.append(replace(callback, **relative) if relative else callback)
    return placed
