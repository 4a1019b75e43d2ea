"""An experiment: all that a configuration file says."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path

import numpy as np

from layerkit.callbacks.base import Callback
from layerkit.callbacks.monitors import Monitor, figure_names
from layerkit.config.options import Configurable, from_config, to_config
from layerkit.config.toml import change, read_toml
from layerkit.data.datasets import Data, Dataset, Examples
from layerkit.errors import ConfigError, DataError, ShapeError, at
from layerkit.files.checkpoints import Checkpoints
from layerkit.metrics.metrics import check_metrics
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.training.augmentation import ImageAugmentation
from layerkit.training.batches import Arrays
from layerkit.training.class_weights import ClassWeight, by_number, example_weights
from layerkit.training.evaluation import Record, measure_source
from layerkit.training.loop import count_steps, fit
from layerkit.training.resume import Resume
from layerkit.training.trainer import Training

CHECKPOINTS, MODEL = "checkpoints", "model.safetensors"
"""The checkpoints and the trained network in the folder of a run."""


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
            weight = by_number(self.training.class_weight, dataset.classes)
            example_weights(weight, self.network, part.t, part.w)
        self._check_callbacks(dataset)
        self._check_augmentation(dataset)
        if not self.network.adapted:
            copy.deepcopy(self.network).adapt(dataset.train.inputs)
        if self.training.warm_start:
            self._load_like(Path(self.training.warm_start))
        return dataset

    def _check_callbacks(self, dataset: Dataset) -> None:
        """Raise a ConfigError for a figure that a callback watches and nobody measures."""
        sets = ["train"] if self.training.measure_train else []
        sets.append("validation" if dataset.validation else "test")
        names = figure_names(self.network, sets, self.training.metrics)
        for i, callback in enumerate(self.training.callbacks):
            if isinstance(callback, Monitor):
                with at(f"training.callbacks.{i}"):
                    callback.check_monitor(names)

    def _check_paths(self, own: Sequence[Callback], others: Sequence[Callback]) -> None:
        """Raise a ConfigError for a file that another callback writes."""
        taken = [vars(callback).get("path") for callback in others]
        for i, callback in enumerate(own):
            path = vars(callback).get("path")
            if path and path in taken:
                raise ConfigError(
                    f"training.callbacks.{i}.path: {path} is written already; choose another name"
                )
            taken.append(path)

    def _check_augmentation(self, dataset: Dataset) -> None:
        """Raise what an augmentation says of an example, and a ShapeError for no images."""
        augmentation, x = self.training.augmentation, dataset.train.inputs[:1]
        if augmentation is None:
            return
        with at("training.augmentation"):
            if isinstance(augmentation, ImageAugmentation) and augmentation.image is None:
                if dataset.image is None:
                    raise ShapeError(
                        f"{dataset.name} has no images, but {x.shape[1]} features; if they are the "
                        "pixels of images, say image = [height, width]"
                    )
                if augmentation.size(x.shape[1:]) != dataset.image:
                    raise ShapeError(f"the images are no squares: image = {list(dataset.image)}")
            augmentation.check(self.network.convert(x))

    def _load_like(self, path: Path) -> Network:
        """Load a network, or that of a run; ShapeError unless it has our parameters and states."""
        saved = Network.load(path / MODEL if path.is_dir() else path)
        own, other = (
            {name: f"{network.dtype} {item.shape}" for name, item in network.declared().items()}
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
        resume: Resume = False,
    ) -> list[Record]:
        """Train the network from its first weights on, and return a record of each epoch.

        With `threads` BLAS threads, whatever else the process does.

        Parameters
        ----------
        dataset : Dataset
            If it has validation examples, they are measured after each epoch, else the test
            examples.
        callbacks : sequence of Callback
            Told before those of the configuration.
        folder : Path, optional
            Where the checkpoints go, to its ``checkpoints``, and the files of the configuration's
            callbacks whose paths are relative.
        resume : bool or "force"
            Whether to go on where the newest checkpoint in `folder` is, if there is one; "force":
            also if the configuration or the data have changed.
        """
        _, weights, order = self.streams()
        training, train = self.training, dataset.train
        checkpoints, own = training.checkpoints, training.callbacks
        if folder is not None:
            checkpoints = replace(checkpoints or Checkpoints(), folder=str(folder / CHECKPOINTS))
            own = [callback.inside(folder) for callback in own]
            self._check_paths(own, callbacks)
        class_weight: ClassWeight | None = None
        if training.class_weight is not None:
            class_weight = by_number(training.class_weight, dataset.classes)
        network = self.network.initialize(weights)
        if training.warm_start and not (resume and checkpoints and checkpoints.paths()):
            saved = self._load_like(Path(training.warm_start))
            network.arena.values, network.arena.states = saved.arena.values, saved.arena.states
            for address, layer in network.layers():
                layer.adapted = layer.adapted or dict(saved.layers())[address].adapted
            network.adapted = all(layer.adapted for _, layer in network.layers())
        with self.limited():
            return fit(
                network,
                self.new_optimizer(),  # callbacks may change its rate
                train.inputs,
                train.t,
                sample_weight=train.w,
                class_weight=class_weight,
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
                callbacks=[*callbacks, *own],
            )

    def measure(self, part: Examples) -> dict[str, float]:
        """Return accuracy, loss and the metrics of the configuration on examples."""
        with self.limited():
            source = Arrays(self.network, part.inputs, part.t, part.w)
            return measure_source(self.network, source, self.training.metrics)

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Let the BLAS have as many threads as the configuration says."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(self.training.threads, user_api="blas"):
            yield


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
    table = read_toml(path)
    for setting in settings:
        change(table, setting)
    with at(str(path)):
        return from_config(table, Experiment)
