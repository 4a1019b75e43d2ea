"""Experiments: the contents of a configuration file, ready to run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.callbacks.base import Callback
from layerkit.config.options import Configurable
from layerkit.config.tables import from_config, to_config
from layerkit.config.toml import change, read_toml
from layerkit.data.datasets import Data
from layerkit.data.examples import Dataset, Examples
from layerkit.data.tables import table_of
from layerkit.errors import DataError, ShapeError, at, listed
from layerkit.files.checkpoints import Checkpoints
from layerkit.fitting import check_layers
from layerkit.losses.base import ElementwiseLoss
from layerkit.metrics.metrics import check_metrics, of_numbers
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.progress import Record
from layerkit.runs.completion import complete
from layerkit.runs.paths import CHECKPOINTS, MODEL, place
from layerkit.training.augmentation import Augmentation, ImageAugmentation
from layerkit.training.batches import Arrays
from layerkit.training.class_weights import ClassWeight, by_number
from layerkit.training.evaluation import measure_source
from layerkit.training.loop import prepare
from layerkit.training.options import Resume, Training
from layerkit.training.trainer import Trainer


class Experiment(Configurable):
    """An experiment: a network, an optimizer, data and training, as in a configuration file.

    Parameters
    ----------
    network : Network
        The layers and the loss.
    optimizer : Optimizer
        The rule by which the weights learn.
    data : Data, optional
        The examples; by default the small digits.
    training : Training, optional
        The number of epochs, the batches, and so on.

    Examples
    --------
    >>> from layerkit import from_config
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

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sources: dict[str, Arrays] = {}

    def load_data(self, data_dir: str | Path | None = None) -> Dataset:
        """Load the data, and check that the network fits them.

        Raises
        ------
        ShapeError, DataError, FileError
            For data that are missing, damaged, or of another shape than the network's.
        """
        table = table_of(self.network.body)
        dataset = self.data.load(self.training.seed, data_dir, table)
        self._check_fit(dataset)
        return dataset

    def load_folds(self, data_dir: str | Path | None = None) -> Iterator[Dataset]:
        """Return the data sets of the cross-validation, none without one; errors as `load_data`."""
        training = self.training
        if training.folds is None:
            return iter(())
        table = table_of(self.network.body)
        return self.data.load_folds(training.folds, training.seed, data_dir, table)

    def _augmentation(self, dataset: Dataset) -> Augmentation | None:
        """Return the augmentation, with the size of the images; ShapeError if there are none."""
        augmentation = self.training.augmentation
        if not isinstance(augmentation, ImageAugmentation) or augmentation.image:
            return augmentation
        if dataset.image is None:
            with at("training.augmentation"):
                raise ShapeError(
                    f"{dataset.name} has no images, but {dataset.train.x.shape[1]} features; if "
                    "they are the pixels of images, say image = [height, width]"
                )
        return replace(augmentation, image=dataset.image)

    def _load_like(self, path: Path) -> Network:
        """Load a network, or that of a run; ShapeError if its parameters or states differ."""
        with at("training.warm_start"):
            saved = Network.load(path / MODEL if path.is_dir() else path)
        own, other = (
            {
                name: f"{network.dtype} {item.shape}"
                for name, item in network.declared().items()
                if not name.endswith(".fitted")
            }
            for network in (self.network, saved)
        )
        for name in {**own, **other}:
            here, there = (tensors.get(name, "nothing") for tensors in (own, other))
            if here != there:
                raise ShapeError(
                    f"training.warm_start = {self.training.warm_start!r}: has {there} as {name}, "
                    f"this network {here}"
                )
        return saved

    def _check_fit(self, dataset: Dataset) -> None:
        """Raise a ShapeError or DataError unless the network and the loss fit the data."""
        if dataset.train.x.shape[1:] != self.network.shape:
            features = dataset.train.x.shape[1]
            raise ShapeError(
                f"network.shape is {list(self.network.shape)}, but an example of {dataset.name} "
                f"has {features} features: set shape = [{features}]"
            )
        loss, kind = self.network.loss, dataset.target
        if loss.judges_classes != (kind != "number"):
            kinds = ("numbers to predict", "classes") if kind == "number" else (kind, "numbers")
            kinds = ("classes", kinds[1]) if kind == "class" else kinds
            raise DataError(
                f"{dataset.name} has {kinds[0]}, but {type(loss).__name__} judges {kinds[1]}"
            )
        if kind == "labels" and self.network.targets.exclusive:
            raise DataError(
                f"{dataset.name} has labels that don't exclude each other, but "
                f"{type(loss).__name__} with {self.network.body.output_shape[-1]} outputs judges "
                "one class: take BinaryCrossEntropy with an output for each label"
            )
        outputs, classes = math.prod(self.network.body.output_shape), len(dataset.classes)
        names = dataset.targets or []
        if len(names) > 1 and isinstance(loss, ElementwiseLoss) and outputs != len(names):
            raise ShapeError(
                f"the network has {outputs} outputs, but {dataset.name} has {len(names)} targets: "
                f"{listed(names)}"
            )
        if classes and outputs != classes and (outputs, classes) != (1, 2):
            raise ShapeError(
                f"the network has {outputs} outputs, but {dataset.name} has {classes} classes: "
                f"{listed(dataset.classes)}"
            )

    @property
    def standardize_targets(self) -> bool:
        """Whether targets are standardized: by default if they are numbers and the loss allows it.

        But not for a warm start of a network that was trained on targets as they are.
        """
        given, network = self.training.standardize_targets, self.network
        if given is not None:
            return given
        able = network.targets.standardizable
        plain = network.seen.pixels is not None and network.seen.scale is None
        return self.data.target == "number" and able and not plain

    def new_optimizer(self) -> Optimizer:
        """Return an optimizer with the same options that has not taken any steps."""
        return from_config(to_config(self.optimizer), type(self.optimizer))

    def prepare(
        self,
        dataset: Dataset,
        callbacks: Sequence[Callback] = (),
        folder: str | Path | None = None,
        resume: Resume = False,
        mpi: bool = False,
    ) -> Trainer:
        """Check everything, and return the trainer of a run, before its first step.

        Parameters
        ----------
        dataset : Dataset
            If it has validation examples, they are measured after each epoch, else the test
            examples.
        callbacks : sequence of Callback
            Called before those of the configuration.
        folder : str or Path, optional
            Where the checkpoints go, to its ``checkpoints``, and the files of the configuration's
            callbacks whose paths are relative.
        resume : bool or "force"
            Whether to resume from the newest checkpoint in `folder`, if there is one; "force":
            even if the configuration or the data have changed.
        mpi : bool
            Whether the processes that MPI has started train together.
        """
        training, network = self.training, self.network.initialize(self.training.seed)
        checkpoints, own = training.checkpoints, training.callbacks
        if folder is not None:
            kept = Path(folder) / CHECKPOINTS
            checkpoints = replace(checkpoints or Checkpoints(), folder=kept)
            own = place(own, folder, callbacks)
        augmentation = self._augmentation(dataset)
        if training.warm_start and not (resume and checkpoints and checkpoints.paths()):
            first = self._load_like(Path(training.warm_start))
            network.targets.see(asdict(first.seen))
            known, names = network.seen.targets or [], dataset.targets or []
            if len(known) > 1 and len(names) > 1 and known != names:
                raise DataError(
                    f"training.warm_start = {training.warm_start!r}: has the targets "
                    f"{listed(known)}, but {dataset.name} has {listed(names)}"
                )
            if network.classes and list(map(str, network.classes)) != dataset.classes:
                raise DataError(
                    f"training.warm_start = {training.warm_start!r}: has the classes "
                    f"{listed(map(repr, network.classes))}, but {dataset.name} has "
                    f"{listed(map(repr, dataset.classes))}"
                )
            saved = first.declared()
            for name, item in network.declared().items():
                # weights that are there need not be fitted to the data
                item.value = saved[name].value if name in saved else np.ones(())
        self.name(dataset)
        class_weight: ClassWeight | None = None
        if training.class_weight is not None:
            class_weight = by_number(training.class_weight, dataset.classes)
            if network.classes and isinstance(class_weight, Mapping):
                class_weight = {network.classes[k]: a for k, a in class_weight.items()}
        sources = self.open(dataset, learn=True)
        measured = "validation" if dataset.validation else "test"
        if dataset.validation:  # `prepare` does not know the test examples then
            with sources["test"].naming():
                check_layers(network.body, network.inputs, sources["test"].x)
        return prepare(
            network,
            self.new_optimizer(),  # callbacks may change its rate
            sources["train"],
            {measured: sources[measured]},
            replace(
                training,
                augmentation=augmentation,
                checkpoints=checkpoints,
                callbacks=[*callbacks, *own],
            ),
            class_weight=class_weight,
            metrics=training.metrics,
            resume=resume,
            mpi=mpi,
        )

    def name(self, dataset: Dataset) -> None:
        """Give the network the names of the classes, the targets and the features."""
        network = self.network
        if dataset.classes and network.targets.exclusive:
            numbers = [str(k) for k in range(len(dataset.classes))]
            names: list[str] | list[bool] = dataset.classes
            if names == ["False", "True"]:
                names = [False, True]
            network.classes = None if dataset.classes == numbers else names
        if dataset.targets and network.targets.takes(dataset.targets):
            network.seen.targets = dataset.targets
        network.seen.features = dataset.features

    def run(self, dataset: Dataset) -> list[Record]:
        """Train the network from its first weights on, and return a record of each epoch.

        With `threads` BLAS threads, also if the rest of the process uses more.
        """
        with self.limited():
            return self.prepare(dataset).run()

    def open(self, dataset: Dataset, *, learn: bool = False) -> dict[str, Arrays]:
        """Check all examples, and return them by their use, such as "train" and "test".

        With `learn`, the network keeps what it needs to know of the training examples.

        Raises
        ------
        ShapeError, DataError
            For examples or targets that don't fit, with the part of the data.
        """
        for name, part in dataset.parts().items():
            with at(f"{dataset.name}, {name}"):
                self.open_part(name, part, learn=learn and name == "train")
        return self.sources

    def open_part(self, name: str, part: Examples, *, learn: bool = False) -> Arrays:
        """Check one set of examples as `open` does, and return them."""
        with part.naming():
            source = Arrays(
                self.network,
                part.inputs,
                self.network.targets.named(part.t),
                part.w,
                self.training.batch_size * self.training.gradient_accumulation_steps,
                learn=learn,
                standardize=learn and self.standardize_targets,
            )
        source.naming = part.naming
        self.sources[name] = source
        return source

    def measure(self, part: str) -> dict[str, float]:
        """Return loss and metrics of a part of the data, such as "test", once `open`.

        With the accuracy of classes; for numbers, whose loss may have no unit, mae, rmse and r2,
        if the loss predicts what its targets are.
        """
        network, source = self.network, self.sources[part]
        names = network.targets.names
        check_metrics(self.training.metrics, network.loss, network.body.output_shape, names)
        numbers = of_numbers(network.loss, network.body.output_shape, source.t)
        metrics = dict.fromkeys([*self.training.metrics, *numbers])
        with self.limited():
            return measure_source(network, source, list(metrics), names)

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Limit the BLAS to the number of threads of the configuration."""
        from threadpoolctl import threadpool_limits

        if self.training.engine == "jax":
            from layerkit.recording.jax_functions import limit_threads

            limit_threads(self.training.threads)
        with threadpool_limits(self.training.threads, user_api="blas"):
            yield


def read_experiment(path: str | Path, settings: Sequence[str] = ()) -> Experiment:
    """Return the experiment of a TOML file.

    Parameters
    ----------
    path : str or Path
        The configuration file, such as ``"experiments/digits.toml"``.
    settings : sequence of str
        Values that override those of the file, such as ``"optimizer.lr=0.1"``.

    Raises
    ------
    FileError
        For a file that can't be read, or is not TOML: with the line.
    ConfigError
        For invalid values: all of them at once.
    """
    table = read_toml(path)
    for setting in settings:
        change(table, setting)
    with at(str(path)):
        return make_experiment(table)


def make_experiment(table: dict[str, Any]) -> Experiment:
    """Return the experiment that tables describe, completed with what its data say.

    Parameters
    ----------
    table : dict
        The tables of a configuration file by name: "network", "optimizer", "data" and so on. What
        the data say is added to it.

    Raises
    ------
    ConfigError
        For invalid values: all of them at once.
    DataError, FileError
        For data that can't be read, if they are needed.
    """
    complete(table)
    return from_config(table, Experiment)
