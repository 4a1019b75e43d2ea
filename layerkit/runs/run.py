"""A run of an experiment by the command: prepared, begun, trained, and its results saved."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from layerkit.callbacks.base import Callback
from layerkit.callbacks.limits import StopOnNonFinite
from layerkit.callbacks.logs import CSVLog, ProgressBar
from layerkit.callbacks.monitors import ModelCheckpoint
from layerkit.data.examples import Dataset
from layerkit.data.tables import table_of
from layerkit.errors import DivergenceError
from layerkit.files.atomic import make_folder
from layerkit.guidance import to_install
from layerkit.progress import Progress
from layerkit.runs.experiment import Experiment
from layerkit.runs.folder import (
    check_links,
    discard,
    lock_run,
    read_end,
    write_config,
    write_result,
    write_run,
)
from layerkit.runs.folds import Folds
from layerkit.runs.paths import BEST, DIVERGENCE, HISTORY, LOCK, MODEL
from layerkit.runs.signals import Interruption
from layerkit.training.options import Resume

SHOWN = 40
"""At most so many columns of a Table are described when a run begins."""
FAR_ABOVE = 10.0
"""A training loss that exceeds the first one by this many times it deserves a hint."""


class _FirstLoss(Callback):
    """The loss of the first batch before its step; infinite in a run that is resumed.

    An engine that takes many steps at once tells the mean loss of the first ones.
    """

    each_batch = False
    loss = math.inf

    def batch_end(self, progress: Progress) -> None:
        if progress.step == progress.batch and progress.epoch == 1 and self.loss == math.inf:
            self.loss = progress.mean_loss


class Run:
    """A run of an experiment in a folder; making it checks everything and begins nothing.

    No other process can train it from `begin` on, or if it is resumed from the start, until `train`
    has ended.

    Parameters
    ----------
    experiment : Experiment
    dataset : Dataset
    folder : str or Path
        The folder for all files of the run.
    resume : bool or "force"
        Whether to resume from the newest checkpoint of the folder.
    folds : iterable of Dataset
        The data sets of a cross-validation, which comes before the training.
    mpi : bool
        Whether the processes that MPI has started train together; this is the first one.
    """

    def __init__(
        self,
        experiment: Experiment,
        dataset: Dataset,
        folder: str | Path,
        resume: Resume = False,
        folds: Iterable[Dataset] = (),
        mpi: bool = False,
    ) -> None:
        self.experiment, self.dataset = experiment, dataset
        self.folder, self.resume, self.first = Path(folder), resume, _FirstLoss()
        self.folds = Folds(experiment, folds, self.folder, resume)
        with ExitStack() as lock, experiment.limited():
            if resume:
                lock.enter_context(lock_run(folder))
            self.trainer = experiment.prepare(dataset, self._callbacks(), folder, resume, mpi)
            self.lock = lock.pop_all()
        self.progress, self.broken = self.trainer.progress, False

    def _callbacks(self) -> list[Callback]:
        folder = self.folder
        own = self.experiment.training.callbacks
        callbacks = [
            *(
                []
                if any(isinstance(callback, ProgressBar) for callback in own)
                else [ProgressBar()]
            ),
            CSVLog(str(folder / HISTORY)),
            StopOnNonFinite(str(folder / DIVERGENCE)),
            self.first,
        ]
        if self.dataset.validation:
            callbacks.append(ModelCheckpoint(str(folder / BEST), monitor="validation_loss"))
        return callbacks

    def begin(self) -> None:
        """Begin the folder, or update its configuration, and print what is trained.

        Raises
        ------
        FileError
            When a new run's folder is not empty, or can't be written; when one that is resumed has
            links to files elsewhere.
        """
        experiment, progress = self.experiment, self.progress
        with ExitStack() as undo:
            undo.callback(self.lock.close)
            if self.resume:
                check_links(self.folder)
                write_config(self.folder, experiment, self.dataset)
            else:
                write_run(self.folder, experiment, self.dataset, self.lock, self.trainer.where)
                undo.callback(discard, self.folder)
            for callback in progress.options.callbacks:
                for path in callback.paths().values():
                    make_folder(path.parent)
            undo.pop_all()
        print(self.dataset)
        if table := table_of(experiment.network.body):
            lines = table.describe(self.dataset.train.x).splitlines()
            more = [f"… {len(lines) - SHOWN:,} more columns"] if len(lines) > SHOWN else []
            print("\n".join(lines[:SHOWN] + more))
        print(experiment.network.summary())
        if self.trainer.where:
            print(f"Trained by {self.trainer.where}")
        if self.resume:
            done = f"after step {progress.step:,}" if progress.step else "from the beginning"
            print(f"Resuming {self.folder} {done}")
        if experiment.training.warm_start and not progress.step:
            print(f"Begins with the weights of {experiment.training.warm_start}")
        print(end="", flush=True)  # said also if the process is killed

    def train(self, interruption: Interruption) -> None:
        """Train, and save the history, the network, its metrics on the test examples, and pictures.

        Those of an interrupted training too. If there are folds, they are trained first.
        """
        with self.lock:
            try:
                whole = self.folds.train(interruption)
            except Exception as error:
                self.broken = self.folds.begun and not isinstance(error, DivergenceError)
                if not self.resume and not self.folds.begun:
                    discard(self.folder)
                raise
            if whole:
                self._train(interruption)

    def _train(self, interruption: Interruption) -> None:
        network, folder = self.experiment.network, self.folder
        try:
            with self.experiment.limited(), interruption.pausing(self.progress):
                self.trainer.run()
        except DivergenceError:
            network.save(folder / MODEL)
            print(f"The last weights that were finite are kept in {folder / MODEL}.")
            if self.progress.failed:
                print(f"The step that failed: layerkit replay {folder / DIVERGENCE}")
            raise
        except Exception:
            if not self.resume and not self.progress.step:
                discard(folder)
                raise
            self.broken = True
            print(f"No model is kept; the history until here is in {folder}.")
            raise
        if self.progress.step:
            self._save_results()
        first, records = self.first.loss, self.progress.records
        if records and records[-1].train_loss - first > FAR_ABOVE * max(1.0, abs(first)):
            print(
                f"The training loss is {records[-1].train_loss:.4g}, far above the {first:.4g} of "
                "the first batch: try a smaller learning rate"
            )

    def _save_results(self) -> None:
        network, folder, progress = self.experiment.network, self.folder, self.progress
        network.save(folder / MODEL)
        measured = self.experiment.measure("test")
        print("Test " + ", test ".join(f"{name} {x:.4f}" for name, x in measured.items()))
        try:
            from layerkit.runs.plots.run import draw_run
        except ImportError:
            print(f"No pictures without matplotlib: {to_install('plot')}")
        else:
            draw_run(folder, network, self.dataset, progress.records)
        if progress.finished:
            write_result(folder, len(progress.records), progress.stopped, measured)
        names = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
        print(f"In {folder}: {', '.join(names)}")

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be trained, and the results are there."""
        end = self.progress.finished and read_end(self.folder, self.experiment.training.epochs)
        return bool(end)

    def left(self, interruption: Interruption) -> str:
        """Return a sentence on where the run was left; empty if there is nothing to resume."""
        progress, where = self.folds.progress or self.progress, "before the first step"
        if progress.step:
            where = f"in epoch {progress.epoch}, after step {progress.step:,}"
        if self.folds.progress:
            where = f"in fold {self.folds.number}, {where}"
        if self.finished:
            return ""
        if interruption.status:
            return f"Interrupted {where}"
        if self.broken and progress.step:
            return f"Broken off {where}"
        return f"Left {where}: {progress.paused}" if progress.paused else ""
