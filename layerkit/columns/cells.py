"""Cells of tables: numbers, dates, words and gaps; raw tables, which have them by column.

A raw table is a dict of columns by name. Its cells are numbers (gaps are nan), dates (datetime64,
gaps are NaT), or words (strings in an array of objects, gaps are None; truth values are words).
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import DataError, listed

GAPS = (
    "",
    "?",
    *("NA", "N/A", "n/a", "#N/A", "<NA>"),
    *("nan", "NaN", "NaT", "null", "NULL", "None"),
)
"""Words that stand for a missing value."""
EXACT = 2**53
"""Whole numbers below are exact as floats."""
DAY = np.timedelta64(1, "D")


class RawTable(dict[str, Array]):
    """The columns of a table by name, with one mark for all gaps, as `raw_table` makes them.

    Attributes
    ----------
    names : list of str
        The names of all columns that were there.
    categories : list of str
        The columns that are categories by the type that a DataFrame has for them.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.categories: list[str] = []


def raw_table(
    x: Any, gaps: Collection[str] = GAPS, wanted: Collection[str] | None = None
) -> RawTable:
    """Return the columns of a DataFrame, or of a dict, with one mark for all kinds of gaps.

    DataFrames of pandas, polars and other libraries are read by Narwhals.

    Parameters
    ----------
    x : DataFrame or dict of arrays or lists
        The table; the keys of a dict are the names of its columns.
    gaps : collection of str
        The words that stand for a missing value; by default ``""``, ``"?"``, ``"NA"``, ``"nan"``,
        ``"null"``, ``"None"`` and their variants.
    wanted : collection of str, optional
        The columns to read; by default, all.

    Raises
    ------
    DataError
        For anything else, for columns of different lengths, or of arrays.

    Examples
    --------
    >>> raw_table({"city": ["Ulm", "NA", " Bonn "], "new": [1, None, 3]})
    {'city': array(['Ulm', None, 'Bonn'], dtype=object), 'new': array([ 1., nan,  3.])}
    """
    if isinstance(x, RawTable):
        return x
    table = RawTable()
    for name, column in _columns_of(x):
        if name in table.names:
            raise DataError(f"there are two columns called {name!r}")
        table.names.append(name)
        if wanted is None or name in wanted:
            category, values = (False, column) if isinstance(x, Mapping) else _values(column)
            table[name] = _cells(name, values, gaps)
            table.categories += [name] * category
    lengths = {name: len(values) for name, values in table.items()}
    if len(set(lengths.values())) > 1:
        found = listed(f"{name!r} has {n}" for name, n in lengths.items())
        raise DataError(f"columns of different lengths: {found}")
    return table


def is_table(x: Any) -> bool:
    """Whether an object is a table with named columns: a dict or a DataFrame."""
    return isinstance(x, Mapping) or hasattr(x, "columns")


def _columns_of(x: Any) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a dict, or those of a DataFrame by Narwhals, with their names."""
    if isinstance(x, Mapping):
        yield from ((str(name), values) for name, values in x.items())
        return
    import narwhals as nw
    from narwhals.exceptions import DuplicateError

    try:
        frame = nw.from_native(x, eager_only=True)
    except DuplicateError as error:
        names = Counter(map(str, x.columns))
        twice = next(name for name, count in names.items() if count > 1)
        raise DataError(f"there are two columns called {twice!r}") from error
    except TypeError as error:
        raise DataError(
            f"a table of type {type(x).__name__}; should be a DataFrame in memory, or a dict of "
            "columns"
        ) from error
    yield from ((str(column.name), column) for column in frame.iter_columns())


def _values(column: Any) -> tuple[bool, Any]:
    """Return whether a column of a DataFrame has categories, and its cells."""
    import narwhals as nw

    if column.dtype == nw.Datetime:
        column = column.dt.replace_time_zone(None)
    if column.dtype.is_numeric() and not column.dtype.is_decimal():
        gaps = column.is_null().any()
        return False, (column.cast(nw.Float64) if gaps else column).to_numpy()
    return column.dtype in (nw.Categorical, nw.Enum), column.to_list()


def _cells(name: str, values: Any, gaps: Collection[str]) -> Array:
    """Return a column of a raw table: one of numbers, dates or words."""
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise DataError(f"column {name!r} is {values!r}; should be a list or an array of cells")
    if np.ma.isMaskedArray(values):
        raise DataError(f"column {name!r} is a masked array; should have nan where it is masked")
    array = values if isinstance(values, np.ndarray) else np.empty(len(values), object)
    if array is not values:
        array[:] = values
    if array.ndim != 1:
        raise DataError(f"column {name!r} has shape {array.shape}; should be (N,)")
    if array.dtype.kind == "m":
        array = array / DAY
    if array.dtype.kind in "iufM" and (array == array).any():  # else the type means nothing
        M = array.dtype.kind == "M"
        return array.astype("datetime64[us]") if M else _with_gaps(array, gaps)
    # True and 1 are equal, and would be one key of a dict
    cells = [str(c) if isinstance(c, bool | np.bool) else c for c in array.tolist()]
    try:
        found = {cell: _cell(cell, gaps) for cell in set(cells)}
    except TypeError as error:
        raise DataError(
            f"column {name!r} has cells such as {cells[0]!r}; should be numbers, words or dates"
        ) from error
    kinds = {type(cell) for cell in found.values() if cell is not None}
    if kinds and all(issubclass(kind, Real | Decimal) for kind in kinds):
        numbers = np.array([math.nan if found[c] is None else float(found[c]) for c in cells])
        return _with_gaps(numbers, gaps)
    if kinds and all(issubclass(kind, datetime.date) for kind in kinds):
        return np.array([found[cell] for cell in cells], "datetime64[us]")
    words = {cell: value if value is None else as_word(value) for cell, value in found.items()}
    column = np.empty(len(cells), object)
    column[:] = [words[cell] for cell in cells]
    return column


def _with_gaps(numbers: Array, gaps: Collection[str]) -> Array:
    """Return numbers with nan for those that stand for a missing value, such as -999."""
    missing = [number for word in gaps if math.isfinite(number := number_of(word))]
    return np.where(np.isin(numbers, missing), math.nan, numbers) if missing else numbers


def _cell(cell: Any, gaps: Collection[str]) -> Any:
    """Return a cell as a word, number or date; None for a gap."""
    if isinstance(cell, np.datetime64 | np.timedelta64):
        cell = cell.astype(f"{cell.dtype.kind}8[us]").item()
    if isinstance(cell, bytes):
        cell = cell.decode(errors="replace")
    if isinstance(cell, str):
        word = cell.strip()
        if word in gaps:
            return None
        return word.capitalize() if word.lower() in ("true", "false") else word
    if cell is None or type(cell).__name__ in ("NAType", "NaTType") or cell != cell:
        return None
    if isinstance(cell, datetime.datetime):
        return cell.replace(tzinfo=None)
    if isinstance(cell, datetime.timedelta):
        return cell / datetime.timedelta(days=1)
    return cell


def number_of(cell: Any) -> float:
    """Return the number that a cell is, nan if it is none; 1_000 is none."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return math.nan
    text = str(cell)
    return number if text.isascii() and "_" not in text else math.nan


def is_number(cell: Any) -> bool:
    """Whether a cell is a finite number."""
    return math.isfinite(number_of(cell))


def is_coded(word: str) -> bool:
    """Whether a number is written with a zero before it, like a post code."""
    return word[:1] == "0" and word[1:2].isdigit()


def as_word(cell: Any) -> str:
    """Return a cell as a word; 3.0 is written 3."""
    whole = isinstance(cell, float | np.floating) and cell.is_integer()
    return str(int(cell) if whole else cell)


def words_of(values: Array) -> list[str | None]:
    """Return the cells as words, None for gaps; 3.0 is written 3, as without gaps."""
    cells = values.tolist()
    if values.dtype.kind == "O":
        return cells
    if values.dtype.kind == "M":
        return [None if date is None else date.isoformat() for date in cells]
    word = {cell: as_word(cell) for cell in set(cells)}
    return [None if cell != cell else word[cell] for cell in cells]


def has_gaps(values: Array) -> bool:
    """Whether cells of a raw table are missing."""
    return bool(gaps_in(values).any())


def gaps_in(values: Array) -> Array:
    """Return which cells of a raw table are missing."""
    if values.dtype.kind == "O":
        return np.array([cell is None for cell in values.tolist()], bool)
    return np.asarray(values != values)
