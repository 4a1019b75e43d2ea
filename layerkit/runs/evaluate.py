"""Evaluations of a run: on its own data again, or on a file of new examples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from layerkit.data.examples import Examples
from layerkit.errors import at
from layerkit.metrics.metrics import of_numbers, report_outputs
from layerkit.runs.experiment import Experiment
from layerkit.runs.folder import check_data, read_environment, read_run
from layerkit.runs.new_file import read_new_file


def evaluate_run(run: str | Path, data_dir: str | Path | None = None) -> Iterator[str]:
    """Yield lines about a run's network: what is measured on each part of its data, and a report.

    Parameters
    ----------
    run : str or Path
        The folder of the run.
    data_dir : str or Path, optional
        As for `Data.load`.

    Raises
    ------
    ConfigError, DataError, FileError, ShapeError
        For data that are not those of the run.
    """
    experiment = read_run(run)
    dataset = experiment.load_data(data_dir)
    yield str(dataset)
    sources = experiment.open(dataset)
    check_data(run, experiment)
    for name in sources:
        yield _measured(experiment, name)
    yield from _report(experiment, "test", dataset.test)


def evaluate_file(run: str | Path, file: str | Path, encoding: str | None = None) -> Iterator[str]:
    """Yield lines about a run's network on examples that it has not seen, as `evaluate_run` does.

    Parameters
    ----------
    run : str or Path
        The folder of the run.
    file : str or Path
        A .npz file with arrays x and y, or a table with the columns that the run learned from and
        learned to predict, in any order.
    encoding : str, optional
        The encoding of a .csv file; by default UTF-8, or that of the run's table.

    Raises
    ------
    ConfigError, DataError, FileError, ShapeError
        For a file that can't be read, or whose examples are not like those of the run.
    """
    name, experiment = str(file), read_run(run)
    data, learned = experiment.data, read_environment(run)["examples"]
    with at(name):
        table = read_new_file(file, experiment, learned, encoding, labelled=True)
        examples = data.examples_of(table, name, data.class_names())
        experiment.open_part(name, examples)
    yield f"{name}: {len(examples):,} example{'s' * (len(examples) > 1)}"
    yield _measured(experiment, name)
    yield from _report(experiment, name, examples)


def _measured(experiment: Experiment, name: str) -> str:
    measured = experiment.measure(name)
    return f"{name}: {', '.join(f'{key} {x:.4f}' for key, x in measured.items())}"


def _report(experiment: Experiment, name: str, examples: Examples) -> Iterator[str]:
    """Yield a report of the examples of a source, if the loss has one."""
    network, data, source = experiment.network, experiment.data, experiment.sources[name]
    loss, t, a = network.loss, source.t, source.a
    if not (loss.judges_classes or of_numbers(loss, network.body.output_shape, t)):
        return
    with experiment.limited():
        z = network.outputs(examples.inputs)
    if loss.judges_classes and a is not None and a.shape != z.shape:
        a = None  # of the examples, which are counted
    names = data.class_names() if data.target == "class" else data.labels
    yield f"\n{name}:\n{report_outputs(loss, z, t, names or None, a)}"
