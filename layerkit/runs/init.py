"""First configuration files, for your own tables: ``layerkit init``."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.cells import RawTable, gaps_in, words_of
from layerkit.columns.choice import column_or_reason
from layerkit.columns.kinds import Category, Column, Date, Number
from layerkit.data.datasets import TABLES, Data
from layerkit.data.datasets import kind_of as kind_of_file
from layerkit.data.dialects import Dialect
from layerkit.data.table_files import FLAGS, read_table
from layerkit.errors import ConfigError, DataError, FileError, at, listed, nearest
from layerkit.files.atomic import write_atomically
from layerkit.runs.first_config import Task, first_config, quoted

MOST_CLASSES = 10
"""A column of numbers is one of classes if at most so many are different, and all are whole."""
NUMBER = re.compile(r"-\d+|[+-]?\d*[.,]\d+([eE][+-]?\d+)?")
"""A number in a first line, which is no name of a column; 2024 may be one."""
LEAST_OF_A_CLASS = 3
"""Rows of each class, so that training, validation and test set can each have one."""


def init(
    table: str | Path,
    targets: Sequence[str],
    output: str | Path | None = None,
    time: str | None = None,
    force: bool = False,
    weight: str | None = None,
    **written: Any,
) -> str:
    """Write a configuration file for a table, ready to train, and return what was found in it.

    The same table gives the same file, to the last byte.

    Parameters
    ----------
    table : str or Path
        A ``.csv``, ``.tsv`` or ``.parquet`` file.
    targets : sequence of str
        The columns to predict.
    output : str or Path, optional
        The file to write; by default called as the table, in the present folder.
    time : str, optional
        The column with the times of the rows, to split by.
    force : bool
        Whether a file that is there is written anew.
    weight : str, optional
        The column that says how much each row counts.
    **written : str
        How the table is written: `encoding`, `delimiter` and `decimal`, as for `Data`.

    Raises
    ------
    ConfigError
        For columns that aren't there, or that can't be predicted.
    DataError, FileError
        For a table that can't be read or split, and for an `output` that is there already.
    """
    table = Path(table)
    if kind_of_file(table) not in TABLES:
        raise FileError(f"{table}: should be a table with a header: .csv, .tsv or .parquet")
    output = Path(f"{table.name.partition('.')[0]}.toml" if output is None else output)
    if output.suffix != ".toml":
        raise FileError(f"--output {output}: should end in .toml")
    with at(str(table)):
        Data(path=table.as_posix(), label="-", **written)  # checks how it is written
        dialect = Dialect(**{name: value for name, value in written.items() if value})
        raw = raw_columns(table, dialect)
        _check_names(raw, targets, time=time, weight=weight)
        if output.exists() and not force:
            raise FileError(
                f"{output}: is there already; --force writes it anew, --output writes another"
            )
        task = _task(raw, list(targets))
        if task.kind == "class":  # whose gaps are empty cells alone
            values = raw_columns(table, replace(dialect, gaps=[""]))[targets[0]]
            task = _of_classes(targets[0], values, task.whole, time)
        data = Data(
            path=table.as_posix(),
            label=targets[0] if len(targets) == 1 else list(targets),
            target=task.kind,
            time=time,
            weight=weight,
            **written,
            test_size=0.2,
            validation_size=0.15,
        )
        N = len(raw[targets[0]])
        gaps = int(np.logical_and.reduce([gaps_in(raw[name]) for name in targets]).sum())
        known = f"; {gaps:,} rows have none" if gaps else ""
        raw, rows = data.columns(0)
        columns, left_out = _features(raw, rows)
    text = first_config(task, data, columns, left_out, raw, rows, output)
    write_atomically(output, text.encode())
    return "\n".join(
        [
            f"{table}: {N:,} rows. To predict: {task.words}{known}",
            f"To learn from: {len(columns)} column{'s' * (len(columns) > 1)}, {_kinds(columns)}",
            *([f"Left out: {_reasons(left_out)}"] if left_out else []),
            *_hints(columns, task, time),
            f"Written to {output}. Next:\n  layerkit train {shlex.quote(str(output))}",
        ]
    )


def raw_columns(table: str | Path, dialect: Dialect) -> RawTable:
    """Return all columns of a table."""
    found: list[RawTable] = []

    def keep(raw: RawTable) -> Array:
        found.append(raw)
        return np.empty((len(next(iter(raw.values()))), 0))

    read_table(table, (), dialect=dialect, encode=keep)
    return found[0]


def _check_names(raw: RawTable, targets: Sequence[str], **others: str | None) -> None:
    """Raise a ConfigError for columns that aren't there, or are named twice."""
    columns = f"the columns are {listed(map(repr, raw))}"
    if number := next((name for name in raw if NUMBER.fullmatch(name)), None):
        raise DataError(
            f"line 1: {number} is a number, not the name of a column; write a line with the names "
            "of the columns before it"
        )
    if not targets:
        raise ConfigError(f"--target: missing; which column should be predicted? T{columns[1:]}")
    named = [("target", name) for name in targets]
    single = [(option, name) for option, name in others.items() if name is not None]
    for option, name in [*named, *single]:
        if name not in raw:
            meant = nearest(name, list(raw)) or columns
            raise ConfigError(f"--{option} {name}: there is no such column; {meant}")
    for name, count in Counter(name for _, name in named).items():
        if count > 1:
            raise ConfigError(f"--target {name}: is given twice")
    for option, name in single:
        if name in targets:
            raise ConfigError(f"--{option} {name}: that is a target")
    if len({name for _, name in single}) < len(single):
        raise ConfigError(f"--weight {others['weight']}: that is the time")


def _task(raw: RawTable, targets: list[str]) -> Task:
    """Return what is to be predicted: classes, numbers, or several labels."""
    columns = []
    for name in targets:
        found = column_or_reason(raw, name)
        if isinstance(found, Date):
            found = "a date; give a column with numbers, such as days"
        if isinstance(found, str):
            raise ConfigError(f"--target {name}: it can't be predicted: it is {found}")
        columns.append(found)
    names = listed(map(quoted, targets))
    if len(targets) == 1:
        name, values = targets[0], raw[targets[0]]
        whole = isinstance(columns[0], Number)
        if not whole or _are_classes(values):
            return Task(targets, "class", 0, names, whole)
        numbers = Number(name).encode(values)
        low, high = (
            np.format_float_positional(end, 6, fractional=False, trim="-")
            for end in (np.nanmin(numbers), np.nanmax(numbers))
        )
        return Task(targets, "number", 1, f"{names}, a number, {low} to {high}")
    words = {word for name in targets for word in words_of(raw[name]) if word is not None}
    if all(word.lower() in FLAGS for word in words):
        return Task(targets, "labels", len(targets), f"{len(targets)} labels, {names}")
    for name, column in zip(targets, columns, strict=True):
        if not isinstance(column, Number):
            raise ConfigError(
                f"--target {name}: it has words, such as {_word(raw[name])!r}; several targets "
                "should all be numbers, or all be 0 and 1 (or true and false)"
            )
    return Task(targets, "number", len(targets), f"{len(targets)} numbers, {names}")


def _word(values: Array) -> str | None:
    return next(word for word in words_of(values) if word is not None)


def _are_classes(values: Array) -> bool:
    """Whether numbers are those of classes: few, whole, and each more than now and then."""
    numbers, counts = np.unique(Number("").encode(values[~gaps_in(values)]), return_counts=True)
    whole = bool((numbers == np.floor(numbers)).all())
    few = len(counts) <= MOST_CLASSES and counts.min() >= LEAST_OF_A_CLASS
    return whole and bool(len(counts) == 2 or few)


def _of_classes(name: str, values: Array, whole: bool, time: str | None) -> Task:
    counts = Counter(word for word in words_of(values) if word is not None)
    rarest, rows = min(counts.items(), key=lambda item: item[1])
    if len(counts) == 1:
        raise ConfigError(
            f"--target {name}: all rows have {rarest!r}; should be two classes or more"
        )
    if rows < LEAST_OF_A_CLASS and not time:
        raise DataError(
            f"column {name!r}: {rows} row{'s' * (rows > 1)} of the class {rarest!r}; should be at "
            f"least {LEAST_OF_A_CLASS}, for the training, validation and test set: leave such rows "
            "out, or give them another class"
        )
    frequent = [f"{quoted(word)} {n:,}" for word, n in counts.most_common(5)]
    more = f" and {len(counts) - 5} more" * (len(counts) > 5)
    words = f"{quoted(name)}, {len(counts)} classes ({', '.join(frequent)}{more})"
    return Task([name], "class", len(counts), words, whole)


def _features(raw: RawTable, rows: Array) -> tuple[list[Column], dict[str, str]]:
    """Return the columns to learn from, and why the others are left out."""
    columns: list[Column] = []
    left_out: dict[str, str] = {}
    for name in raw:
        found = column_or_reason(raw, name, rows)
        if isinstance(found, str):
            left_out[name] = found
        else:
            columns.append(found)
    if not columns:
        raise DataError(f"there is no column to learn from: {_reasons(left_out)}")
    return columns, left_out


def _reasons(left_out: dict[str, str]) -> str:
    return ", ".join(f"{quoted(name)} ({why})" for name, why in left_out.items())


def _kinds(columns: list[Column]) -> str:
    """Return in words how many columns there are of each kind."""
    counts = Counter(type(column) for column in columns)
    words = {Number: ("number", "numbers"), Category: ("category", "categories")}
    return ", ".join(
        f"{n} {words.get(kind, ('date', 'dates'))[n > 1]}" for kind, n in counts.items()
    )


def _hints(columns: list[Column], task: Task, time: str | None) -> list[str]:
    hints = []
    if task.whole and task.outputs > 2:
        hints.append("These numbers are taken for classes; the file says how to predict numbers")
    dates = [column.name for column in columns if isinstance(column, Date)]
    if dates and not time:
        column = shlex.quote(dates[0])
        hints.append(f"If later rows are to be predicted from earlier ones, add --time {column}")
    return hints
