"""One step of an experiment, to look at: its network, its optimizer, and training examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from layerkit.data.examples import Dataset
from layerkit.errors import ConfigError
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.folder import check_data, read_run
from layerkit.training.batches import Arrays
from layerkit.training.trainer import Trainer


class OneStep(NamedTuple):
    """A training step: a network, an optimizer, and examples, as `record` takes them."""

    experiment: Experiment
    dataset: Dataset
    network: Network
    optimizer: Optimizer
    x: Any
    t: Any
    sample_weight: Any


def one_step(
    path: str | Path,
    settings: Sequence[str] = (),
    data_dir: str | Path | None = None,
    *,
    example: int | None = None,
    batch: int | None = None,
) -> OneStep:
    """Return a step of a configuration file with its initial weights, or of a run with its last.

    The optimizer begins anew.

    Parameters
    ----------
    path : str or Path
        A file, or the folder of a run.
    settings, data_dir
        As for `read_experiment` and `Experiment.load_data`.
    example : int, optional
        The number of a training example, from 0.
    batch : int, optional
        How many of the first training examples are taken, if no example is given; by default a
        batch of the training.

    Raises
    ------
    ConfigError
        For an example, or a batch, that the training data don't have.
    LayerkitError
        As when a training run begins.
    """
    experiment, dataset, trainer = before_a_step(path, settings, data_dir)
    network, source, train = experiment.network, trainer.source, dataset.train
    assert isinstance(source, Arrays)
    if example is not None and not 0 <= example < len(train):
        raise ConfigError(
            f"example {example}: {dataset.name} has {len(train):,} training examples, from 0 to "
            f"{len(train) - 1}"
        )
    if batch is not None and not 1 <= batch <= len(train):
        raise ConfigError(
            f"a batch of {batch} examples: {dataset.name} has {len(train):,} training examples"
        )
    rows = slice(0, batch or experiment.training.batch_size)
    if example is not None:
        rows = slice(example, example + 1)
    return OneStep(
        experiment,
        dataset,
        network,
        trainer.progress.optimizer,
        train.inputs[rows],
        network.targets.named(train.t[rows]),
        None if source.a is None else source.a[rows],
    )


def before_a_step(
    path: str | Path, settings: Sequence[str] = (), data_dir: str | Path | None = None
) -> tuple[Experiment, Dataset, Trainer]:
    """Return the experiment of a file or a run with its data, and a trainer before its next step.

    Raises
    ------
    LayerkitError
        As when a training run begins.
    """
    trained = Path(path).is_dir()
    experiment = read_run(path) if trained else read_experiment(path, settings)
    dataset, network = experiment.load_data(data_dir), experiment.network
    saved = {name: item.value.copy() for name, item in network.declared().items()}
    trainer = experiment.prepare(dataset)
    if trained:
        check_data(path, experiment)
        for name, item in network.declared().items():
            item.value = saved[name]
    return experiment, dataset, trainer
