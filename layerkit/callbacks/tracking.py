"""Callbacks that hand the figures of a training to other programs: TensorBoard, MLflow."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerkit.callbacks.base import Callback
from layerkit.config.options import Configurable, to_config
from layerkit.errors import ConfigError
from layerkit.files.atomic import file_errors

if TYPE_CHECKING:
    from layerkit.training.trainer import Trainer


class Tracker(Callback, ABC):
    """Base of what gets the figures of each epoch, and the learning rate of its last step."""

    @abstractmethod
    def write(self, figures: dict[str, float], step: int) -> None:
        """Take the figures of an epoch that has ended with this step."""

    def epoch_begin(self, trainer: Trainer) -> None:
        """Keep the rate, which other callbacks may change at the end of the epoch."""
        self.lr: float | None = vars(trainer.optimizer).get("lr")

    def epoch_end(self, trainer: Trainer) -> None:
        """Write the figures."""
        figures = trainer.record.figures()
        if self.lr is not None:
            schedule = trainer.optimizer.schedules.get("lr")
            factor = schedule(trainer.step - 1, trainer.steps) if schedule else 1.0
            figures["learning_rate"] = self.lr * factor
        self.write(figures, trainer.step)


class TensorBoard(Tracker):
    """Curves for TensorBoard: the figures of each epoch, by the step in which it ended.

    ``tensorboard --logdir FOLDER`` shows them. A resumed training goes on in the same folder. Needs
    ``pip install 'layerkit[tensorboard]'``.

    Parameters
    ----------
    folder : str
        Of the run; TensorBoard shows each folder below its own as a run.

    Raises
    ------
    ConfigError
        When the package is missing.
    FileError
        When the folder can't be written to.
    """

    folder: str | Path

    def __post_init__(self) -> None:
        super().__post_init__()
        self.writer: Any = None

    def train_begin(self, trainer: Trainer) -> None:
        """Open a file; points that other files have of steps to come are hidden."""
        try:
            from tensorboard.compat.proto.event_pb2 import Event, SessionLog
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError as error:
            raise ConfigError(
                "TensorBoard: its package is missing: pip install 'layerkit[tensorboard]'"
            ) from error
        start = SessionLog(status=SessionLog.START)
        with file_errors(f"{self.folder}: can't be written"):
            self.writer = EventFileWriter(self.folder)
            # an epoch that was not over when its state was saved is measured again
            hidden = trainer.step + (trainer.batch == 0)
            self._add(Event(wall_time=time.time(), step=hidden, session_log=start))

    def write(self, figures: dict[str, float], step: int) -> None:
        """Add a point to each curve."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=x) for name, x in figures.items()]
        with file_errors(f"{self.folder}: can't be written"):
            self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

    def train_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self.writer is not None:
            with file_errors(f"{self.folder}: can't be written"):
                self.writer.close()
            self.writer = None

    def _add(self, event: Any) -> None:
        self.writer.add_event(event)
        self.writer.flush()


class MLflow(Tracker):
    """A run of MLflow: the options as parameters, the figures of each epoch as metrics.

    ``mlflow ui`` shows them. A resumed training goes on in the same run. Needs
    ``pip install 'layerkit[mlflow]'``.

    Parameters
    ----------
    experiment_name : str
        Made if there is none of this name.
    run_name : str, optional
        By default MLflow invents one.
    tracking_uri : str, optional
        As ``"sqlite:///mlflow.db"`` or a server's address. By default MLflow chooses: what the
        environment has in MLFLOW_TRACKING_URI, or a database in the present folder.

    Raises
    ------
    ConfigError
        When the package is missing, or there is no MLflow at the address.
    """

    experiment_name: str = "layerkit"
    run_name: str | None = None
    tracking_uri: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.run_id: str | None = None
        self.client: Any = None
        self.written = 0

    def train_begin(self, trainer: Trainer) -> None:
        """Begin a run, or go on with it."""
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise ConfigError(
                "MLflow: its package is missing: pip install 'layerkit[mlflow]'"
            ) from error
        try:
            self.client = MlflowClient(self.tracking_uri)
            if trainer.step == 0 or self.run_id is None:
                self._begin_run(trainer)
            else:
                self.client.update_run(self.run_id, status="RUNNING")
            # epochs that were trained after the last checkpoint come again, and are the same
            points = self.client.get_metric_history(self.run_id, "train_loss")
        except MlflowException as error:
            raise ConfigError(f"MLflow, tracking_uri = {self.tracking_uri!r}: {error}") from error
        self.written = max((point.step for point in points), default=0)

    def write(self, figures: dict[str, float], step: int) -> None:
        """Log the figures."""
        from mlflow.entities import Metric

        if step > self.written:
            now = int(1000 * time.time())
            metrics = [Metric(name, x, now, step) for name, x in figures.items()]
            self.client.log_batch(self.run_id, metrics=metrics)

    def train_end(self, trainer: Trainer) -> None:
        """Say whether the run is complete, or can go on."""
        if self.client and self.run_id:
            complete = len(trainer.records) == trainer.epochs or trainer.stopped
            self.client.set_terminated(self.run_id, "FINISHED" if complete else "KILLED")

    def state_dict(self) -> dict[str, Any]:
        """Which run it is."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.run_id = state["run_id"]

    def _begin_run(self, trainer: Trainer) -> None:
        """Make a run, and log all options."""
        from mlflow.entities import Param

        known = self.client.get_experiment_by_name(self.experiment_name)
        experiment = (
            known.experiment_id if known else self.client.create_experiment(self.experiment_name)
        )
        self.run_id = self.client.create_run(experiment, run_name=self.run_name).info.run_id
        parts = {
            "network": trainer.network,
            "optimizer": trainer.optimizer,
            "training": trainer.options,
        }
        params = [
            Param(place, str(value))
            for name, part in parts.items()
            for place, value in _flat(_described(part), name)
            if place not in UNKNOWN
        ]
        most = 100  # of a call
        for start in range(0, len(params), most):
            self.client.log_batch(self.run_id, params=params[start : start + most])


UNKNOWN = ("training.threads", "training.warm_start")
"""Options that only the command knows of: a `Trainer` has their defaults."""


def _described(part: Configurable) -> Any:
    """The options of a part as plain data; one with a Python function has none, only a text."""
    try:
        return to_config(part)
    except ConfigError:
        return repr(part)


def _flat(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The values inside tables and lists, by their paths."""
    if not isinstance(value, dict | list):
        yield place, value
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flat(item, f"{place}.{key}")
