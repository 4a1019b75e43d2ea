"""Readers of tables in files: ``.csv``, ``.tsv``, plain or ``.gz``, and ``.parquet``."""

from __future__ import annotations

import importlib
import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.cells import EXACT, RawTable, is_coded, raw_table, words_of
from layerkit.data.dialects import (
    FOUND,
    Dialect,
    find_decimal,
    open_csv,
    with_points,
)
from layerkit.data.labels import is_number
from layerkit.data.readers import Contents, Rows, Target
from layerkit.errors import DataError, FileError, listed, nearest
from layerkit.guidance import to_install

FLAGS = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0, "0.0": 0.0, "1.0": 1.0}
HINT = '; {type = "Table"} first in the body takes words and gaps, too'
BLOCK = 1000
"""The number of rows of a ``.csv`` file that are converted at once."""


def read_table(
    path: str | Path,
    labels: Sequence[str],
    features: list[str] | None = None,
    weight: str | None = None,
    target: Target = "class",
    time: str | None = None,
    dialect: Dialect = FOUND,
    encode: Callable[[RawTable], Array] | None = None,
) -> Contents:
    """Read a table: features (N, features), their names, and labels, weights and times if named.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.tsv`` file with a header, plain or ``.gz``, or a ``.parquet`` file.
    labels : sequence of str
        The column with the labels, or several; none if they are not wanted.
    features : list of str, optional
        The columns with the features; by default all others.
    weight : str, optional
        The column with the weights of the examples.
    target : {"class", "number", "labels"}
        The kind of labels. A class may be missing, and is an empty string then; a number or one
        of several labels is nan.
    time : str, optional
        The column with the times of the examples; it is a feature only if it is one of `features`.
    dialect : Dialect
        How a ``.csv`` file is written; by default it is looked at.
    encode : callable, optional
        Makes numbers (N, features) of the columns, whatever is in them; a Table's. Without it, each
        cell should be a number.

    Raises
    ------
    FileError
        For a file that can't be read.
    DataError
        For a missing column, a short or long row, a cell that is not a finite number.
    """
    others = [*labels, *filter(None, (weight, time))]
    words = [*(labels if target != "number" else ()), *filter(None, (time,))]
    found = None
    if is_text(path) and encode is None and dialect.decimal != ",":
        found = _read_fast(path, features, others, words, dialect)
    if found is None:
        found = _read_cells(path, features, others, words, dialect, labels, encode)
    names, x, columns, place = found
    if not len(x):
        raise DataError("no examples: there are no rows under the header")
    y = None
    if labels:
        if target == "labels":
            columns |= {name: _as_flags(name, columns[name], place, dialect) for name in labels}
        parts = [columns[name] for name in labels]
        y = np.stack(parts, axis=1) if len(labels) > 1 else parts[0]
    times = columns[time].tolist() if time else None
    w = columns[weight] if weight else None
    return Contents(x, y, w, names, place.rows, times, place.unit, place.decimal)


def is_text(path: str | Path) -> bool:
    """Whether a table is a file of text, by its name."""
    return not str(path).lower().endswith(".parquet")


class Place(NamedTuple):
    """Where the rows (N,) of a table are in its file: at these lines, or with these numbers.

    `decimal` is the decimal mark there.
    """

    unit: str
    rows: Array
    decimal: str = "."

    def of(self, row: int, column: str) -> str:
        """Return the place of a cell in words."""
        return f"{self.unit} {self.rows[row]}, column {column!r}"


def _names(
    header: list[str], features: list[str] | None, others: list[str], outline: str
) -> list[str]:
    """Return the names of the features; DataError unless there is one column of each name."""
    names = features or [name for name in header if name not in others]
    counts = Counter(header)
    for name in [*names, *others]:
        if counts[name] > 1:
            raise DataError(f"{counts[name]} columns called {name!r}; should be one. {outline}")
        if not counts[name]:
            meant = nearest(name, header)
            raise DataError(
                f"there is no column {name!r}{f' ({meant})' if meant else ''}. {outline}"
            )
    if not names:
        raise DataError(f"no features: there are no columns besides {', '.join(others)}")
    return names


Found = tuple[list[str], Array, dict[str, Array], Place]
"""Names of features, x, the other columns by name, as numbers or words, and their place."""


def _read_fast(
    path: str | Path,
    features: list[str] | None,
    others: list[str],
    words: list[str],
    dialect: Dialect,
) -> Found | None:
    """Read a table of numbers as Python writes them, besides `words`; None if one may not be."""
    with open_csv(path, dialect) as sheet:
        names = _names(sheet.header, features, others, sheet.outline)
        numeric = [*names, *(name for name in others if name not in words)]
        column_of = {name: i for i, name in enumerate(sheet.header)}
        columns = [column_of[name] for name in numeric]
        lines: list[int] = []
        texts: dict[str, list[str]] = {name: [] for name in words}
        blocks = [np.empty((0, len(numeric)))]
        rows = iter(sheet)
        while block := list(itertools.islice(rows, BLOCK)):
            lines += [line for line, _ in block]
            for name, cells in texts.items():
                cells += [row[column_of[name]].strip() for _, row in block]
            cells = [row[column] for _, row in block for column in columns]
            text = "".join(cells)
            if "." in text and "." in sheet.marks and not dialect.decimal:
                return None
            try:
                numbers = np.fromiter(map(float, cells), float, len(cells))
            except ValueError:
                return None
            if not np.isfinite(numbers).all() or not text.isascii() or "_" in text:
                return None
            blocks.append(numbers.reshape(len(block), -1))
    table, end = np.concatenate(blocks), len(names)
    found = dict(zip(numeric[end:], table.T[end:], strict=True))
    found |= {name: np.array(cells) for name, cells in texts.items()}
    return names, table[:, :end], found, Place("line", np.array(lines))


def _read_cells(
    path: str | Path,
    features: list[str] | None,
    others: list[str],
    words: list[str],
    dialect: Dialect,
    may_miss: Sequence[str],
    encode: Callable[[RawTable], Array] | None,
) -> Found:
    """Read any table; columns that `may_miss` are nan in gaps."""
    read = _read_text if is_text(path) else _read_parquet
    cells, own, place = read(Path(path), features, others, words, dialect)
    names = list(cells)
    columns = {name: own[name] for name in words}
    for name in [name for name in others if name not in words]:
        known = dict.fromkeys(dialect.gaps if name in may_miss else (), "nan")
        column = np.array([known.get(cell, cell) for cell in own[name].tolist()])
        columns[name] = _as_numbers({name: column}, place, may_miss=name in may_miss)[:, 0]
    if encode is None:
        return names, _as_numbers(cells, place, hint=HINT), columns, place
    if is_text(path):
        cells = {name: _floats(column, dialect.gaps) for name, column in cells.items()}
    rows = Rows(str(path), place.rows, {"x": names}, (len(names),), place.unit)
    with rows.naming():
        return names, encode(raw_table(cells, dialect.gaps)), columns, place


def _read_text(
    path: Path,
    features: list[str] | None,
    others: list[str],
    words: list[str],
    dialect: Dialect,
) -> tuple[dict[str, Any], dict[str, Array], Place]:
    """Read the columns of a table of text: features and others, as stripped strings.

    Those of numbers are as Python writes them, unless they are in `words`.
    """
    with open_csv(path, dialect) as sheet:
        names = _names(sheet.header, features, others, sheet.outline)
        rows, marks = list(sheet), sheet.marks
    column_of = {name: i for i, name in enumerate(sheet.header)}
    cells = {name: [row[column_of[name]].strip() for _, row in rows] for name in {*names, *others}}
    looked_at = {name: cells[name] for name in (*names, *others) if name not in words}
    decimal = dialect.decimal or find_decimal(looked_at, dialect, marks)
    points = {
        name: with_points(column, decimal, dialect.gaps) for name, column in looked_at.items()
    }
    own = {name: np.array(points.get(name, cells[name])) for name in others}
    found = {name: np.array(points.get(name, cells[name]), object) for name in names}
    return found, own, Place("line", np.array([line for line, _ in rows]), decimal)


def _read_parquet(
    path: Path,
    features: list[str] | None,
    others: list[str],
    words: list[str],
    dialect: Dialect,
) -> tuple[dict[str, Any], dict[str, Array], Place]:
    """Read the columns of a ``.parquet`` file: features as they are, others as strings."""
    backends: list[Any] = [name for name in ("polars", "pyarrow") if find_spec(name)]
    if not backends:
        raise FileError(
            f"{path}: a .parquet file is read with polars or pyarrow: {to_install('tables')}"
        )
    if not path.is_file():
        raise FileError(f"{path}: can't be read: No such file")
    import narwhals

    try:
        frame = narwhals.read_parquet(path, backend=backends[0])
    except _errors_of(backends[0]) as error:
        raise FileError(f"{path}: damaged, or not a .parquet file: {error}") from error
    outline = f"The file has the columns {listed(map(repr, frame.columns))}"
    names = _names(frame.columns, features, others, outline)
    own = raw_table(frame.select(others), ())
    texts = {name: np.array([word or "" for word in words_of(own[name])]) for name in others}
    cells = raw_table(frame.select(names), dialect.gaps)
    return cells, texts, Place("row", np.arange(len(frame)))


def _errors_of(backend: str) -> tuple[type[BaseException], ...]:
    """Return what a library raises for a file that it can't read."""
    library = importlib.import_module(backend)
    if backend == "pyarrow":
        return OSError, library.ArrowException
    return OSError, library.exceptions.PolarsError, library.exceptions.PanicException


def _as_numbers(
    columns: Mapping[str, Array], place: Place, may_miss: bool = False, hint: str = ""
) -> Array:
    """Return columns of cells as numbers (N, columns); DataError for the first one that is none.

    With `may_miss`, a cell may be nan.
    """
    wrong, found = [], {name: _floats(cells) for name, cells in columns.items()}
    for name, cells in found.items():
        if cells.dtype.kind in "iuf":
            right = np.isfinite(cells).tolist()
        else:
            right = [is_number(str(c)) or (may_miss and c == "nan") for c in cells.tolist()]
        if False in right:
            wrong.append((right.index(False), name))
    if wrong:
        row, name = min(wrong, key=lambda found: found[0])
        cell = columns[name].tolist()[row]
        raise DataError(f"{place.of(row, name)}: {cell!r}; should be a finite number{hint}")
    return np.stack([cells.astype(float) for cells in found.values()], axis=1)


def _floats(cells: Array, gaps: Collection[str] = ()) -> Array:
    """Return cells of text as numbers, gaps as nan; as they are, if something would be lost.

    That is a word, a zero at the beginning such as that of a post code, or the last of many digits.
    """
    words = cells.tolist()
    try:
        text = "".join(words)
    except TypeError:  # they are not text
        return cells
    if "_" in text or not text.isascii():
        return cells
    missing = [word in gaps for word in words]
    try:
        filled = ("nan" if gap else word for gap, word in zip(missing, words, strict=True))
        numbers = np.fromiter(map(float, filled), float, len(words))
    except ValueError:
        return cells
    if (np.isnan(numbers) != missing).any() or (abs(numbers) >= EXACT).any():
        return cells
    return cells if any(map(is_coded, words)) else numbers


def _as_flags(name: str, cells: Array, place: Place, dialect: Dialect) -> Array:
    """Return a column of labels as 0 and 1 (N,), nan for gaps."""
    known = FLAGS | dict.fromkeys(dialect.gaps, math.nan)
    flags = [known.get(cell, FLAGS.get(cell.lower())) for cell in cells.tolist()]
    if None in flags:
        row = flags.index(None)
        raise DataError(
            f"{place.of(row, name)}: {cells[row].item()!r}; should be 0 or 1, true or false, or "
            "empty if it is not known"
        )
    return np.array(flags, float)
