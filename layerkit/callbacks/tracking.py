"""Experiment trackers: callbacks that log the metrics of a run to TensorBoard or MLflow."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layerkit.callbacks.base import Callback
from layerkit.config.options import Configurable
from layerkit.config.tables import to_config
from layerkit.errors import ConfigError
from layerkit.files.atomic import file_errors
from layerkit.guidance import to_install
from layerkit.progress import Progress


class Tracker(Callback, ABC):
    """Base class of trackers: they log the metrics of each epoch and its last learning rate."""

    @abstractmethod
    def write(self, metrics: dict[str, float], step: int) -> None:
        """Log the metrics of an epoch that ended with this step."""

    def epoch_begin(self, progress: Progress) -> None:
        """Keep the learning rate: other callbacks may change it at the end of the epoch."""
        self.lr: float | None = vars(progress.optimizer).get("lr")

    def epoch_end(self, progress: Progress) -> None:
        """Write the metrics."""
        metrics = progress.record.measured()
        if self.lr is not None:
            schedule = progress.optimizer.schedules.get("lr")
            factor = schedule(progress.step - 1, progress.steps) if schedule else 1.0
            metrics["learning_rate"] = self.lr * factor
        self.write(metrics, progress.step)


class TensorBoard(Tracker):
    """Log for TensorBoard: the metrics of each epoch, over the step in which it ended.

    ``tensorboard --logdir FOLDER`` shows them. A resumed run continues in the same folder. Needs
    ``pip install -e '.[tensorboard]'`` in layerkit's folder.

    Parameters
    ----------
    folder : str
        The folder of the run; TensorBoard shows each subfolder of its log folder as a run.

    Raises
    ------
    ConfigError
        If the package is missing.
    FileError
        If the folder can't be written to.
    """

    folder: str | Path

    def __post_init__(self) -> None:
        super().__post_init__()
        self.writer: Any = None

    def train_begin(self, progress: Progress) -> None:
        """Open a log file; points of later steps in the folder's other files are hidden."""
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ConfigError(
                f"TensorBoard: its package is missing: {to_install('tensorboard')}"
            ) from error
        start = SessionLog(status=SessionLog.START)
        with file_errors(f"{self.folder}: can't be written"):
            self.writer = EventFileWriter(self.folder)
            # an epoch that had not ended when its state was saved is measured again
            hidden = progress.step + (progress.batch == 0)
            self._add(Event(wall_time=time.time(), step=hidden, session_log=start))

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Add a point to each curve."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=x) for name, x in metrics.items()]
        with file_errors(f"{self.folder}: can't be written"):
            self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def train_end(self, progress: Progress) -> None:
        """Close the file."""
        if self.writer is not None:
            with file_errors(f"{self.folder}: can't be written"):
                self.writer.close()
            self.writer = None

    def _add(self, event: Any) -> None:
        self.writer.add_event(event)
        self.writer.flush()


class MLflow(Tracker):
    """Log for MLflow: a run with the options as parameters and the metrics of each epoch.

    ``mlflow ui`` shows them. A resumed training run continues the same MLflow run. Needs
    ``pip install -e '.[mlflow]'`` in layerkit's folder.

    Parameters
    ----------
    experiment_name : str
        The experiment that the run belongs to; created if it does not exist.
    run_name : str, optional
        The name of the run; by default MLflow makes one up.
    tracking_uri : str, optional
        A database such as ``"sqlite:///mlflow.db"``, or the address of a server. By default MLflow
        chooses: the environment variable MLFLOW_TRACKING_URI, or a database in the current folder.

    Raises
    ------
    ConfigError
        If the package is missing, or there is no MLflow at the address.
    """

    experiment_name: str = "layerkit"
    run_name: str | None = None
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.run_id: str | None = None
        self.client: Any = None
        self.written = 0

    def train_begin(self, progress: Progress) -> None:
        """Begin a run, or continue it."""
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise ConfigError(f"MLflow: its package is missing: {to_install('mlflow')}") from error
        try:
            self.client = MlflowClient(self.tracking_uri)
            if progress.step == 0 or self.run_id is None:
                self._begin_run(progress)
            else:
                self.client.update_run(self.run_id, status="RUNNING")
            # epochs that were trained after the last checkpoint are repeated with the same results
            points = self.client.get_metric_history(self.run_id, "train_loss")
        except MlflowException as error:
            raise ConfigError(f"MLflow, tracking_uri = {self.tracking_uri!r}: {error}") from error
        self.written = max((point.step for point in points), default=0)

    def write(self, metrics: dict[str, float], step: int) -> None:
        """Log the metrics, unless they were logged before the run was resumed."""
        from mlflow.entities import Metric

        if step > self.written:
            now = int(1000 * time.time())
            logged = [Metric(name, x, now, step) for name, x in metrics.items()]
            self.client.log_batch(self.run_id, metrics=logged)

    def train_end(self, progress: Progress) -> None:
        """Mark the run as finished, or as killed if it can be resumed."""
        if self.client and self.run_id:
            complete = len(progress.records) == progress.epochs or progress.stopped
            self.client.set_terminated(self.run_id, "FINISHED" if complete else "KILLED")

    def state_dict(self) -> dict[str, Any]:
        """Return the id of the run."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.run_id = state["run_id"]

    def _begin_run(self, progress: Progress) -> None:
        """Create a run, and log all options."""
        from mlflow.entities import Param

        known = self.client.get_experiment_by_name(self.experiment_name)
        experiment = (
            known.experiment_id if known else self.client.create_experiment(self.experiment_name)
        )
        self.run_id = self.client.create_run(experiment, run_name=self.run_name).info.run_id
        parts = {
            "network": progress.network,
            "optimizer": progress.optimizer,
            "training": progress.options,
        }
        params = [
            Param(path, str(value))
            for name, part in parts.items()
            for path, value in _flat(_described(part), name)
            if path not in COMMAND_ONLY
        ]
        most = 100  # in one call
        for start in range(0, len(params), most):
            self.client.log_batch(self.run_id, params=params[start : start + most])


COMMAND_ONLY = ("training.threads", "training.folds", "training.warm_start")
"""Options that only the command uses: a `Trainer` has their defaults."""


def _described(part: Configurable) -> Any:
    """Return the options of a part as plain data; its repr if it has a Python function."""
    try:
        return to_config(part)
    except ConfigError:
        return repr(part)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the values of nested dicts and lists by their paths."""
    if not isinstance(value, dict | list):
        yield path, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flat(item, f"{path}.{key}")
