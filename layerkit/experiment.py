"""An experiment is a file; a run of it is a folder."""

from __future__ import annotations

import copy
import json
import math
import platform
import tomllib
from collections.abc import Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

import layerkit
from layerkit.callbacks import Callback
from layerkit.checkpoints import Checkpoints
from layerkit.config import Configurable, from_config, to_config
from layerkit.data import Data, Dataset
from layerkit.errors import ConfigError, DataError, FileError, ShapeError, at
from layerkit.evaluation import Record
from layerkit.files import write_atomically
from layerkit.metrics import check_metrics
from layerkit.network import Network
from layerkit.optimizers import Optimizer
from layerkit.trainer import Training
from layerkit.training import count_steps, fit
from layerkit.weighting import example_weights

CONFIG, HISTORY, MODEL, ENVIRONMENT, CHECKPOINTS = (
    "config.toml",
    "history.csv",
    "model.safetensors",
    "environment.json",
    "checkpoints",
)
"""What a run's folder holds."""


class Experiment(Configurable):
    """All that a configuration file says: a table each for network, optimizer, data and training.

    Parameters
    ----------
    network : Network
        What is trained.
    optimizer : Optimizer
        How its parameters are changed.
    data : Data, optional
        What it learns from.
    training : Training, optional
        How long, and in what portions.

    Examples
    --------
    >>> table = {
    ...     "network": {
    ...         "shape": [64],
    ...         "body": {"type": "Dense", "units": 10},
    ...         "loss": {"type": "SoftmaxCrossEntropy"},
    ...     },
    ...     "optimizer": {"type": "SGD", "lr": 0.5},
    ... }
    >>> experiment = from_config(table, Experiment)
    >>> experiment.optimizer, experiment.data.name, experiment.training.epochs
    (SGD(lr=0.5), 'digits', 10)
    """

    network: Network
    optimizer: Optimizer
    data: Data = field(default_factory=Data)
    training: Training = field(default_factory=Training)

    def streams(self) -> tuple[np.random.Generator, np.random.Generator, np.random.Generator]:
        """The run's random numbers: for the split of the data, the weights, the order."""
        split, weights, order = np.random.default_rng(self.training.seed).spawn(3)
        return split, weights, order

    def load_data(self, data_dir: str | None = None) -> Dataset:
        """Load the data and check that the network fits them.

        Raises
        ------
        ShapeError, DataError, FileError
            For data that are missing, damaged, or of another shape than the network's.
        """
        dataset = self.data.load(self.streams()[0], data_dir)
        self._check_outputs(dataset)
        steps = count_steps(self.network, len(dataset.train), self.training)
        with at("optimizer"):
            self.new_optimizer().bind(self.network.arena, steps)
        check_metrics(self.training.metrics, self.network.loss, self.network.body.output_shape)
        for name, part in dataset.parts().items():
            with at(f"{dataset.name}, {name}"):
                self.network.check(part.inputs, part.t)
                self.network.check_layers(part.inputs)
        if self.training.class_weight is not None:
            part = dataset.train
            example_weights(self.training.class_weight, self.network, part.t, part.w)
        if not self.network.adapted:
            copy.deepcopy(self.network).adapt(dataset.train.inputs)
        return dataset

    def _check_outputs(self, dataset: Dataset) -> None:
        """Raise a ShapeError or DataError unless the network and the loss fit the data."""
        if dataset.train.x.shape[1:] != self.network.shape:
            features = dataset.train.x.shape[1]
            raise ShapeError(
                f"network.shape is {list(self.network.shape)}, but an example of {dataset.name} "
                f"has {features} features: set shape = [{features}]"
            )
        loss = self.network.loss
        if loss.judges_classes != bool(dataset.classes):
            kinds = ("classes", "numbers") if dataset.classes else ("numbers to predict", "classes")
            raise DataError(
                f"{dataset.name} has {kinds[0]}, but {type(loss).__name__} judges {kinds[1]}"
            )
        outputs, classes = math.prod(self.network.body.output_shape), len(dataset.classes)
        if classes and outputs != classes and (outputs, classes) != (1, 2):
            raise ShapeError(
                f"the network has {outputs} outputs, but {dataset.name} has {classes} classes: "
                f"{', '.join(dataset.classes[:20])}"
            )

    def new_optimizer(self) -> Optimizer:
        """An optimizer with the same options that has taken no step."""
        return from_config(to_config(self.optimizer), type(self.optimizer))

    def run(
        self,
        dataset: Dataset,
        callbacks: Sequence[Callback] = (),
        folder: Path | None = None,
        resume: bool = False,
    ) -> list[Record]:
        """Train the network from its first weights on, and return a record of each epoch.

        Parameters
        ----------
        dataset : Dataset
            If it has validation examples, they are measured after each epoch, else the test
            examples.
        callbacks : sequence of Callback
            Told before those of the configuration.
        folder : Path, optional
            Where the checkpoints go, to its ``checkpoints``.
        resume : bool
            Whether to go on where the newest checkpoint in `folder` is.
        """
        from threadpoolctl import threadpool_limits

        _, weights, order = self.streams()
        self.optimizer = self.new_optimizer()
        training, train = self.training, dataset.train
        checkpoints = training.checkpoints
        if folder is not None:
            checkpoints = replace(checkpoints or Checkpoints(), folder=str(folder / CHECKPOINTS))
        with threadpool_limits(training.threads, user_api="blas"):
            return fit(
                self.network.initialize(weights),
                self.optimizer,
                train.inputs,
                train.t,
                sample_weight=train.w,
                class_weight=training.class_weight,
                validation=dataset.validation and dataset.validation.triple,
                test=None if dataset.validation else dataset.test.triple,
                epochs=training.epochs,
                batch_size=training.batch_size,
                gradient_accumulation_steps=training.gradient_accumulation_steps,
                seed=order,
                average=training.average,
                augmentation=training.augmentation,
                metrics=training.metrics,
                measure_train=training.measure_train,
                checkpoints=checkpoints,
                resume=resume,
                callbacks=[*callbacks, *training.callbacks],
            )


def read_experiment(path: Path, settings: Sequence[str] = ()) -> Experiment:
    """Return the experiment of a TOML file.

    Parameters
    ----------
    path : Path
    settings : sequence of str
        Changes to what the file says, like ``"optimizer.lr=0.1"``.

    Raises
    ------
    FileError
        For a file that can't be read, or is no TOML: with the line.
    ConfigError
        With all that is wrong in it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: not a TOML file: {error}") from error
    except RecursionError:
        raise FileError(f"{path}: tables too deep inside each other for Python") from None
    for setting in settings:
        _set(table, setting)
    with at(str(path)):
        return from_config(table, Experiment)


def _set(table: dict[str, Any], setting: str) -> None:
    """Change one value in nested tables, or add it; lists keep their length."""
    path, equals, text = setting.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {setting}: should look like training.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    place: Any = table
    for i, name in enumerate(names):
        key: Any = name
        if isinstance(place, list):
            key = int(name) if name.isdecimal() and int(name) < len(place) else None
        if key is None or not isinstance(place, dict | list):
            raise ConfigError(
                f"--set {setting}: there is no {'.'.join(names[: i + 1])} in the file"
            )
        if i == len(names) - 1:
            place[key] = value
        elif isinstance(place, dict):
            place = place.setdefault(key, {})
        else:
            place = place[key]


def write_run(folder: Path, experiment: Experiment, dataset: Dataset) -> None:
    """Begin a run's folder: the resolved configuration and the environment.

    Raises
    ------
    FileError
        When there is something in the folder already, or it can't be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileError(f"{folder}: there is something already; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: can't be made: {error.strerror}") from error
    config = to_config(experiment)
    del config["type"]
    if experiment.data.path:
        for option in ("path", "validation", "test"):
            if option in config["data"]:
                config["data"][option] = str(Path(config["data"][option]).absolute())
        if dataset.classes:
            config["data"]["classes"] = dataset.classes
        if dataset.features:
            config["data"]["features"] = dataset.features
    write_atomically(folder / CONFIG, tomli_w.dumps(config).encode())
    environment = describe_environment(experiment) | {"examples": dataset.train.x.dtype.name}
    text = json.dumps(environment, indent=2) + "\n"
    write_atomically(folder / ENVIRONMENT, text.encode())


def describe_environment(experiment: Experiment) -> dict[str, Any]:
    """What besides the configuration decides the digits of a result."""
    from threadpoolctl import threadpool_info

    return {
        "layerkit": layerkit.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "blas": [
            {key: pool[key] for key in ("internal_api", "version", "architecture") if key in pool}
            for pool in threadpool_info()
            if pool["user_api"] == "blas"
        ],
        "threads": experiment.training.threads,
        "seed": experiment.training.seed,
    }


def read_run(folder: Path) -> Experiment:
    """Return the experiment of a run's folder, with the network as it was trained.

    Raises
    ------
    FileError
        When the folder is no run, or the run has left no model.
    """
    if not (folder / CONFIG).is_file():
        raise FileError(f"{folder}: not a run's folder: there is no {CONFIG} in it")
    if not (folder / MODEL).is_file():
        raise FileError(f"{folder}: this run has left no {MODEL}: it was cut off or diverged")
    experiment = read_experiment(folder / CONFIG)
    network = Network.load(folder / MODEL)
    if network != experiment.network:
        raise FileError(f"{folder}: the networks of {CONFIG} and {MODEL} differ")
    experiment.network = network
    return experiment


def read_environment(folder: Path) -> dict[str, Any]:
    """Return what `write_run` wrote of a run's environment.

    Raises
    ------
    FileError
        When the file is missing or damaged.
    """
    path = folder / ENVIRONMENT
    try:
        environment: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: can't be read: {error}") from error
    return environment
