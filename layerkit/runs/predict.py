"""Predictions of a run for a file of examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.data.datasets import TABLES, Data, coding_of, kind_of
from layerkit.data.readers import Contents, read_npz
from layerkit.data.tables import table_of
from layerkit.errors import DataError, FileError, at
from layerkit.layers.table import Table
from layerkit.network import Network
from layerkit.runs.folder import read_environment, read_run


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
        Of a .csv file; by default UTF-8, or that of the run's table.

    Raises
    ------
    ConfigError
        For an encoding that Python doesn't know, or of a file that is no text.
    FileError, DataError, ShapeError
        For a file that can't be read, or whose examples are not like those of the run.
    """
    file = Path(file)
    experiment = read_run(run)
    learned = read_environment(run)["examples"]
    with at(str(file)):
        first = table_of(experiment.network.body)
        table = _read(file, experiment.data, learned, first, encoding)
        with table.rows(str(file)).naming():
            x = table.x.reshape(len(table.x), -1)
            return _columns(experiment.network, x, experiment.data.class_names())


def _read(
    file: Path, data: Data, learned: str, first: Table | None, encoding: str | None
) -> Contents:
    """Read the examples; DataError where bytes and floats are mixed up."""
    kind = kind_of(file)
    if kind not in (*TABLES, ".npz"):
        raise FileError(f"{file}: should end in .csv, .tsv, .parquet or .npz")
    if encoding:  # checked as that of data
        Data(path=file.as_posix(), label="-" if kind in TABLES else None, encoding=encoding)
    if kind in TABLES:
        table = data.read_table(
            file, data.features, coding_of(first), labelled=False, encoding=encoding
        )
    else:
        table = read_npz(file, data.target)
    x = table.x
    if data.path and (x.dtype == np.uint8) != (learned == "uint8"):
        raise DataError(
            f"x is {x.dtype}, but this run learned from {learned}; uint8 means images, "
            "whose bytes are divided by 255, and other types are taken as they are"
        )
    if data.name and x.dtype != np.uint8 and not (x.min() >= 0 and x.max() <= 1):
        raise DataError(
            f"x goes from {x.min()} to {x.max()} in {x.dtype}; this run learned {data.name}: "
            "images should be uint8, 0 … 255, or go from 0 to 1"
        )
    return table


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
