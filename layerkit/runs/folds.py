"""Cross-validation: an experiment is trained once for each fold, and measured on what it held out.

Each fold has a network, an optimizer, a seed and checkpoints of its own, in the folder of the run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from layerkit.callbacks.base import Callback
from layerkit.callbacks.limits import StopOnNonFinite
from layerkit.callbacks.logs import CSVLog, ProgressBar
from layerkit.config.tables import from_config, to_config
from layerkit.data.examples import Dataset
from layerkit.errors import DivergenceError, at
from layerkit.files.atomic import make_folder, write_atomically
from layerkit.progress import Progress
from layerkit.runs.experiment import Experiment
from layerkit.runs.paths import DIVERGENCE, FOLDS, HISTORY, MODEL
from layerkit.runs.signals import Interruption
from layerkit.training.options import Resume

COUNTS = ("fold", "training examples", "held out", "epochs")
"""The columns of the table before those of what was measured."""


class Folds:
    """The folds of a run, one for each of the data sets, whose test set is what it holds out.

    Attributes
    ----------
    number, progress : int, Progress or None
        The fold that is being trained, from 1, and where it is; None before and after.
    """

    def __init__(
        self, experiment: Experiment, datasets: Iterable[Dataset], folder: Path, resume: Resume
    ) -> None:
        self.experiment, self.datasets = experiment, datasets
        self.folder, self.resume = folder, resume
        self.number = 0
        self.progress: Progress | None = None

    @property
    def begun(self) -> bool:
        """Whether a step was made."""
        return self.number > 1 or bool(self.progress and self.progress.step)

    def train(self, interruption: Interruption) -> bool:
        """Train all folds, print their table and write it; return whether none was interrupted."""
        rows = []
        for number, dataset in enumerate(self.datasets, 1):
            self.number = number
            with at(f"fold {self.number}"):
                measured = self._train(dataset, interruption)
            if measured is None:
                return False
            rows.append(measured)
        self.progress = None
        if rows:
            table = _table(rows)
            _write(self.folder / f"{FOLDS}.csv", table)
            _print(table)
            print("The network of the run:")
        return True

    def _train(self, dataset: Dataset, interruption: Interruption) -> dict[str, float] | None:
        """Return what was measured on the examples held out; None if it was interrupted."""
        training = self.experiment.training
        print(
            f"Fold {self.number} of {training.folds}: {len(dataset.train):,} training examples, "
            f"{len(dataset.test):,} held out"
        )
        fold = from_config(to_config(self.experiment), Experiment)
        fold.training = replace(fold.training, seed=training.seed + self.number - 1)
        folder = self.folder / FOLDS / str(self.number)
        with fold.limited():
            trainer = fold.prepare(dataset, _callbacks(fold, folder), folder, self.resume)
        self.progress = progress = trainer.progress
        for callback in progress.options.callbacks:
            for path in callback.paths().values():
                make_folder(path.parent)
        try:
            with fold.limited(), interruption.pausing(progress):
                trainer.run()
        except DivergenceError:
            if progress.failed:
                print(f"The step that failed: layerkit replay {folder / DIVERGENCE}")
            raise
        if not progress.finished:
            return None
        fold.network.save(folder / MODEL)
        counts = (self.number, len(dataset.train), len(dataset.test), len(progress.records))
        return dict(zip(COUNTS, counts, strict=True)) | fold.measure("test")


def _callbacks(fold: Experiment, folder: Path) -> list[Callback]:
    own = fold.training.callbacks
    bars = [] if any(isinstance(callback, ProgressBar) for callback in own) else [ProgressBar()]
    for bar in bars:
        bar.every = fold.training.epochs  # a line for the last epoch alone
    return [*bars, CSVLog(str(folder / HISTORY)), StopOnNonFinite(str(folder / DIVERGENCE))]


def _table(rows: list[dict[str, float]]) -> list[list[str]]:
    """Return a row for each fold, and the mean and the standard deviation of what was measured."""
    names = list(rows[0])
    values = np.array([[*row.values()] for row in rows])
    table = [names, *([f"{x:.6g}" for x in row] for row in values)]
    for word, summary in (("mean", values.mean(axis=0)), ("std", values.std(axis=0, ddof=1))):
        blank = [""] * (len(COUNTS) - 1)
        table.append([word, *blank, *(f"{x:.6g}" for x in summary[len(COUNTS) :])])
    return table


def _write(path: Path, table: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    write_atomically(path, text.getvalue().encode())


def _print(table: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
