"""Files of examples for a run that was trained without them: to predict, or to evaluate on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layerkit.data.datasets import TABLES, Data, coding_of, kind_of
from layerkit.data.readers import Contents, read_npz
from layerkit.data.tables import table_of
from layerkit.errors import DataError, FileError
from layerkit.runs.experiment import Experiment


def read_new_file(
    file: str | Path,
    experiment: Experiment,
    learned: str,
    encoding: str | None = None,
    *,
    labelled: bool = False,
) -> Contents:
    """Return the examples of a file, with their labels and weights if it is `labelled`.

    Parameters
    ----------
    file : str or Path
        A .npz file, or a table with the columns that the run learned from, in any order.
    experiment : Experiment
        That of the run.
    learned : str
        The type of the numbers that the run learned from, of its environment.
    encoding : str, optional
        The encoding of a .csv file; by default UTF-8, or that of the run's table.
    labelled : bool

    Raises
    ------
    ConfigError
        For an encoding that Python doesn't know, or of a file that is no text.
    FileError, DataError
        For a file that can't be read, or where bytes and floats are mixed up.
    """
    data, kind = experiment.data, kind_of(file)
    if kind not in (*TABLES, ".npz"):
        raise FileError(f"{file}: should end in .csv, .tsv, .parquet or .npz")
    if encoding:  # checked as that of data
        Data(path=Path(file).as_posix(), label="-" if kind in TABLES else None, encoding=encoding)
    if kind == ".npz":
        table = read_npz(file, data.target)
    else:
        if labelled and not data.labels:
            raise DataError(
                "a table, whose label the run does not know, as it learned from arrays: should "
                "be an .npz file with x and y"
            )
        coding = coding_of(table_of(experiment.network.body))
        table = data.read_table(
            file, data.features, coding, labelled=labelled, new=True, encoding=encoding
        )
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
