"""Predictions of a run for a file of examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerkit.arrays import Array
from layerkit.errors import at
from layerkit.network import Network
from layerkit.runs.folder import read_environment, read_run
from layerkit.runs.new_file import read_new_file


def predict_file(
    run: str | Path, file: str | Path, encoding: str | None = None
) -> dict[str, Sequence[Any]]:
    """Return the columns of a table of predictions, and of their probabilities.

    Parameters
    ----------
    run : str or Path
        The folder of a run.
    file : str or Path
        A .npz file with an array x, or a table, such as a .csv file, with the columns that the run
        learned from, in any order.
    encoding : str, optional
        The encoding of a .csv file; by default UTF-8, or that of the run's table.

    Raises
    ------
    ConfigError
        For an encoding that Python doesn't know, or of a file that is no text.
    FileError, DataError, ShapeError
        For a file that can't be read, or whose examples are not like those of the run.
    """
    experiment, learned = read_run(run), read_environment(run)["examples"]
    with at(str(file)):
        table = read_new_file(file, experiment, learned, encoding)
        with table.rows(str(file)).naming():
            x = table.x.reshape(len(table.x), -1)
            return _columns(experiment.network, x, experiment.data.class_names())


def _columns(network: Network, x: Array, classes: Sequence[str]) -> dict[str, Sequence[Any]]:
    predicted = network.predict(x).reshape(len(x), -1)
    D = predicted.shape[1]
    ends = [f"_{name}" for name in network.seen.targets or range(D)] if D > 1 else [""]
    loss, targets = network.loss, network.targets
    if not loss.judges_classes or not targets.exclusive:
        shown = {"prediction": (predicted, "d" if loss.judges_classes else ".9g")}
        if loss.judges_classes and loss.has_probabilities:
            shown["probability"] = (network.predict_proba(x).reshape(len(x), -1), ".4f")
        return {
            f"{what}{end}": [format(y, form) for y in column]
            for what, (values, form) in shown.items()
            for end, column in zip(ends, values.T, strict=True)
        }
    labels = predicted[:, 0].tolist()
    if classes and network.classes is None:
        labels = [classes[k] for k in labels]
    if not network.loss.has_probabilities:
        return {"prediction": labels}
    p = network.predict_proba(x).reshape(len(x), -1).max(axis=1)
    return {"prediction": labels, "probability": [f"{share:.4f}" for share in p]}
