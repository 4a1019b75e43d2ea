"""Columns of tables: numbers, categories and dates, which become one number for each cell.

A raw table is a dict of columns by name. Its cells are numbers (gaps are nan), dates (datetime64,
gaps are NaT), or words (strings in an array of objects, gaps are None; truth values are words).
"""

from __future__ import annotations

import datetime
import itertools
import math
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from numbers import Real
from typing import Annotated, Any, Literal, Self

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable, Limits, Size
from layerkit.errors import (
    ConfigError,
    DataError,
    LayerkitError,
    LayerkitWarning,
    listed,
    row_error,
    suggestion,
    warn,
)

__all__ = ["Category", "Column", "Date", "Number", "RawTable", "choose_columns", "raw_table"]

GAPS = (
    "",
    "?",
    *("NA", "N/A", "n/a", "#N/A", "<NA>"),
    *("nan", "NaN", "NaT", "null", "NULL", "None"),
)
"""Words that stand for a missing value."""
ONE_HOT = 12
"""Up to this many categories each have a feature of their own; more of them have vectors."""
LONGEST = 50
"""The most numbers in a vector of a category."""
SMALL = 20
"""Up to this many rows, a word that occurs once is a category, and no column is an identifier."""
PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""Of the cycles of dates, in days."""
EXACT = 2**53
"""Whole numbers below are exact as floats."""
IDENTIFIER = re.compile(r"^\s*$|(?i:^(id|index|unnamed: 0)$|[ _-]id$)|[a-z]I[dD]$")
"""Names of columns that only tell rows apart."""

MEASURE = re.compile(
    r"[$€£¥]?\s?[+\u2212-]?\s?(\d[\d.,]*|\d{1,3}([\s'\u2019]\d{3})+([.,]\d+)?)\s?(?P<unit>\D{0,5})"
)
"""A number with a sign, a unit or groups of digits that is not read, such as € 1.200 or 24 m²."""
BRACKETED = re.compile(r"\(\s?[$€£¥]?\s?\d[\d.,'\s]*\)")
"""A number below zero as accountants write it, such as (242)."""
UNSURE_DATE = re.compile(r"\d\d?[/-]\d\d?[/-](\d\d)?\d\d( .*)?")
"""A date whose day and month may be mistaken, such as 01/02/2024."""
LIKE_DATE = re.compile(r"\d{1,4}[./-]\d\d?([./-]\d{1,4})?(\s.*)?|\d\d?/\d{4}")
"""A date in some form, such as 31.12.24 or 2024-12."""


class Column(Configurable, ABC):
    """Base class of the kinds of columns: how the cells of one become numbers.

    One of your own is derived from Number, Category or Date, and has another `encode`.

    Parameters
    ----------
    name : str
        Of the column.
    gaps : bool
        Whether a missing value has a feature of its own, as it occurs in the training data.
    """

    name: str
    gaps: bool = field(default=False, kw_only=True)

    @abstractmethod
    def encode(self, values: Array) -> Array:
        """Return the cells of a raw table as numbers (N,), gaps as nan.

        Raises
        ------
        DataError
            With the first row whose cell can't be one.
        """

    @property
    @abstractmethod
    def becomes(self) -> str:
        """The features that it becomes, in words."""

    @property
    def complete(self) -> bool:
        """Whether all that depends on the training data is known."""
        return True

    def completed(self, values: Array) -> Self:
        """Return the column with what is not known yet taken from the training data."""
        return self

    def wrong(self, row: int, cell: object, wanted: str) -> LayerkitError:
        """Return the error about a cell."""
        number = isinstance(cell, float | np.floating)
        found = f"{cell:.8g}" if number else repr(cell) if isinstance(cell, str) else str(cell)
        return row_error(
            f"column {self.name!r} of ", (row,), f" is {found}; should be {wanted}", "x"
        )


class Number(Column):
    """Numbers. A gap is filled with the mean.

    Examples
    --------
    >>> Number("age").encode(raw_table({"age": ["31", "", "4.5"]})["age"])
    array([31. ,  nan,  4.5])
    """

    @property
    def becomes(self) -> str:
        return "standardized"

    def encode(self, values: Array) -> Array:
        if values.dtype.kind in "iuf":
            numbers = values.astype(float)
        else:
            number = {cell: _number(cell) for cell in set(values.tolist())}
            numbers = np.array([number[cell] for cell in values.tolist()], float)
        for row in np.flatnonzero(~np.isfinite(numbers) & ~gaps_in(values)):
            wanted = "a finite number" if np.isinf(numbers[row]) else "a number"
            raise self.wrong(int(row), values[row], wanted)
        return numbers


class Category(Column):
    """Words, each one of a few. The code of a category is its place in the list, from 1 on.

    A word that is none of them has the code 0: it was rare in training, or is new.

    Parameters
    ----------
    name : str
        Of the column.
    categories : list of str, optional
        The words; by default those of the training data, the most frequent first.
    embedding : int, optional
        How many numbers are learned for each category; by default, each has a feature that is 1
        where it is the category of an example, else 0.
    gaps : bool
        Whether a missing value is a category too, as it occurs in the training data.

    Examples
    --------
    >>> city = Category("city", ["Ulm", "Bonn"])
    >>> city.encode(raw_table({"city": ["Bonn", "Rom", "?"]})["city"])
    array([ 2.,  0., nan])
    """

    categories: Annotated[list[str], Limits(min_length=1)] | None = None
    embedding: Size | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        twice = [word for word, n in Counter(self.categories or []).items() if n > 1]
        if twice:
            raise ConfigError(f"Category.categories of {self.name!r}: {twice[0]!r} is there twice")

    @property
    def becomes(self) -> str:
        K = len(self.categories or [])
        dim = self.embedding
        how = f"{dim} learned number{'s' * (dim != 1)} each" if dim else "one-hot"
        return f"{K:,} categor{'y' if K == 1 else 'ies'}, {how}"

    @property
    def complete(self) -> bool:
        return self.categories is not None

    def completed(self, values: Array) -> Category:
        if self.categories is not None:
            return self
        words = _frequent(values)
        if not words:
            raise DataError(f"column {self.name!r} has no word that occurs more than once")
        embedding = self.embedding
        if embedding is None and len(words) > ONE_HOT:
            embedding = min(LONGEST, round(1.6 * len(words) ** 0.56))
        return Category(self.name, words, embedding, gaps=self.gaps or has_gaps(values))

    def encode(self, values: Array) -> Array:
        known, words = self.categories or [], words_of(values)
        code: dict[str | None, float] = {word: i for i, word in enumerate(known, 1)}
        code = {_shortest(word): i for word, i in code.items()} | code
        code |= {word: code.get(_shortest(word), 0.0) for word in set(words) - code.keys()}
        codes = np.array([code[word] for word in words], float)
        codes[gaps_in(values)] = math.nan
        new = [word for word in words if word is not None] if not (codes > 0).any() else []
        numbers = (word for word in known if _is_number(word) and not is_coded(word))
        if new and values.dtype.kind in "iuf" and not any(numbers):
            raise DataError(
                f"column {self.name!r} has numbers, such as {new[0]}; should be words, such as "
                f"{known[0]!r}"
            )
        if len(new) > SMALL:
            warn(
                f"column {self.name!r} has no word of the training, such as {known[0]!r}, but "
                f"others, such as {new[0]!r}",
                LayerkitWarning,
            )
        return codes


class Date(Column):
    """Dates, perhaps with a time of day: the days since an origin, and where in a cycle they are.

    The time is that on the clock: time zones are left out.

    Parameters
    ----------
    name : str
        Of the column.
    origin : str, optional
        In the form ``2024-12-31``; by default the earliest date in the training data.
    format : str, optional
        Of dates that are not written as ``2024-12-31``, as in Python's `strptime`, such as
        ``"%m/%d/%Y"``.
    cycles : list of {"year", "week", "day"}
        The sine and cosine of the place in each are features.
    gaps : bool
        Whether a missing date has a feature of its own, as it occurs in the training data.

    Examples
    --------
    >>> Date("sold", "2024-12-31").encode(raw_table({"sold": ["2025-01-01T12:00", None]})["sold"])
    array([1.5, nan])
    """

    origin: str | None = None
    format: str | None = None
    cycles: list[Literal["year", "week", "day"]] = field(default_factory=lambda: ["year", "week"])

    def __post_init__(self) -> None:
        super().__post_init__()
        date = _date(self.origin, None)
        if self.origin is not None and str(date and date.date()) != self.origin:
            raise ConfigError(
                f"Date.origin of {self.name!r}: {self.origin!r}; should be a date such as "
                "'2024-12-31'"
            )

    @property
    def becomes(self) -> str:
        return ", ".join([f"days since {self.origin}, standardized", *self.cycles])

    @property
    def complete(self) -> bool:
        return self.origin is not None

    def completed(self, values: Array) -> Date:
        if self.origin is not None:
            return self
        form = self.format
        if form is None and values.dtype.kind == "O":
            form = date_format(values.tolist(), f"column {self.name!r}: ")
        dates = Date(self.name, format=form).dates(values)
        there = dates[~np.isnat(dates)]
        if not len(there):
            raise DataError(f"column {self.name!r} has no date")
        origin, cycles = there.min().astype("datetime64[D]"), self.cycles
        if "day" not in cycles and (there != there.astype("datetime64[D]")).any():
            cycles = [*cycles, "day"]
        return Date(self.name, str(origin), form, cycles, gaps=self.gaps or has_gaps(values))

    def dates(self, values: Array) -> Array:
        """Return the cells as dates."""
        if values.dtype.kind == "M":
            return values
        if values.dtype.kind != "O":
            row = int(np.flatnonzero(~gaps_in(values))[0])
            raise self.wrong(row, values[row].item(), self.wanted)
        date = {cell: _date(cell, self.format) for cell in set(values.tolist())}
        for row, cell in enumerate(values.tolist()):
            if date[cell] is None and cell is not None:
                raise self.wrong(row, cell, self.wanted)
        return np.array([date[cell] for cell in values.tolist()], "datetime64[us]")

    @property
    def wanted(self) -> str:
        """The words for what cells should be."""
        form = self.format or "%Y-%m-%d"
        return f"a date such as {datetime.date(2024, 12, 31).strftime(form)!r}"

    def encode(self, values: Array) -> Array:
        days: Array = (self.dates(values) - np.datetime64(self.origin, "us")) / DAY
        return days


DAY = np.timedelta64(1, "D")
FORMATS = (
    *("%Y-%m", "%Y/%m", "%m/%Y"),
    *(
        day + time
        for day in (
            *("%d.%m.%Y", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
            *("%d.%m.%y", "%y.%m.%d", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d"),
        )
        for time in ("", " %H:%M", " %H:%M:%S")
    ),
)
"""Of dates that are read beside ISO 8601, where a whole column is of one of them alone."""
SPAN = 50
"""Years of two digits are certain up to this many years between the first and the last."""
KINDS: dict[str, type[Column]] = {"number": Number, "category": Category, "date": Date}


def _number(cell: Any) -> float:
    """Return the number that a cell is, nan if it is none; 1_000 is none."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return math.nan
    text = str(cell)
    return number if text.isascii() and "_" not in text else math.nan


def _is_number(cell: Any) -> bool:
    return math.isfinite(_number(cell))


def _date(cell: Any, form: str | None) -> datetime.datetime | None:
    """Return the date that a cell is, None if it is none."""
    try:
        date = (
            datetime.datetime.strptime(cell, form)
            if form
            else datetime.datetime.fromisoformat(cell)
        )
    except (TypeError, ValueError):
        return None
    return date.replace(tzinfo=None)


Reading = tuple[str | None, list[str]]
"""A format in which all words are dates, and what they are in it."""


def date_readings(words: Iterable[str | None]) -> list[Reading]:
    """Return the ways to read words as dates: none for others, several where they are not certain.

    Examples
    --------
    >>> date_readings(["31.12.24", "1.1.99"])
    [('%d.%m.%y', ['2024-12-31', '1999-01-01'])]
    >>> date_readings(["01/02/2024"])
    [('%d/%m/%Y', ['2024-02-01']), ('%m/%d/%Y', ['2024-01-02'])]
    """
    cells = [word for word in dict.fromkeys(words) if word is not None]
    if not cells:
        return []
    if all(_date(cell, None) for cell in cells):
        return [(None, cells)]
    if not all(map(LIKE_DATE.fullmatch, cells)):
        return []
    readings: list[Reading] = []
    for form in FORMATS:
        dates = list(itertools.takewhile(bool, (_date(cell, form) for cell in cells)))
        if len(dates) == len(cells):
            readings += _ways(form, cells, [date for date in dates if date])
    likely = [reading for reading in readings if not _unlikely(*reading)]
    return likely if len(readings) > 1 else readings


def _ways(form: str, cells: list[str], dates: list[datetime.datetime]) -> Iterator[Reading]:
    """Yield the dates in a format, and what else it may mean: another century, two years."""
    yield form, [str(date).removesuffix(" 00:00:00") for date in dates]
    years = [date.year for date in dates]
    if "%y" in form and max(years) - min(years) > SPAN:
        yield form, [f"{d.year - 100 * (d.year >= 2000)}{str(d)[4:10]}" for d in dates]
    if form in ("%Y-%m", "%Y/%m") and all((d.year + 1) % 100 == d.month for d in dates):
        yield form, [f"the years {year} and {year + 1}" for year in years]


def _unlikely(form: str | None, dates: list[str]) -> bool:
    """Whether years of two digits come first, many of them, and all on the same few days."""
    years, days = ({date[part] for date in dates} for part in (slice(4), slice(8, 10)))
    return str(form).startswith("%y") and len(years) >= 2 * len(days)


def date_format(words: Sequence[str | None], place: str) -> str | None:
    """Return the format of words that are dates, None for ISO 8601 and for other words.

    Raises
    ------
    DataError
        For dates that may be read in several ways; it begins with the place.
    """
    readings = date_readings(words)
    if len(readings) > 1:
        raise DataError(f"{place}{_several(words, readings)}")
    return readings[0][0] if readings else None


def _several(words: Iterable[str | None], readings: list[Reading]) -> str:
    """Return the sentence on words that may be read as dates in several ways."""
    cells = [word for word in dict.fromkeys(words) if word is not None]
    meant = next((i for i in range(len(cells)) if len({dates[i] for _, dates in readings}) > 1), 0)
    ways = " or ".join(dict.fromkeys(dates[meant] for _, dates in readings))
    return (
        f"dates that may be read in several ways: {cells[meant]!r} may be {ways}; to be written "
        f"as 2024-12-31, or given a format, such as {readings[0][0]!r}, in a Date"
    )


def words_of(values: Array) -> list[str | None]:
    """Return the cells as words, None for gaps; 3.0 is written 3, as without gaps."""
    cells = values.tolist()
    if values.dtype.kind == "O":
        return cells
    if values.dtype.kind == "M":
        return [None if date is None else date.isoformat() for date in cells]
    word = {cell: _as_word(cell) for cell in set(cells)}
    return [None if cell != cell else word[cell] for cell in cells]


def _shortest(word: str | None) -> str | None:
    """Return a number as a column of numbers has it, 1.5 for 1.50; other words as they are."""
    if not word or is_coded(word) or not abs(_number(word)) < EXACT:
        return word
    return _as_word(float(word))


def _as_word(cell: Any) -> str:
    whole = isinstance(cell, float | np.floating) and cell.is_integer()
    return str(int(cell) if whole else cell)


def _frequent(values: Array) -> list[str]:
    """Return the words that occur more than once, the most frequent first; in few rows, all."""
    counts = Counter(word for word in words_of(values) if word is not None)
    least = 2 if len(values) > SMALL else 1
    kept = [word for word, count in counts.items() if count >= least]
    return sorted(kept, key=lambda word: (-counts[word], word))


def has_gaps(values: Array) -> bool:
    """Whether cells of a raw table are missing."""
    return bool(gaps_in(values).any())


def gaps_in(values: Array) -> Array:
    """Return which cells of a raw table are missing."""
    if values.dtype.kind == "O":
        return np.array([cell is None for cell in values.tolist()], bool)
    return np.asarray(values != values)


def kind_of(values: Array) -> type[Column]:
    """Return the kind of column that these cells of a training set are.

    Numbers if all are numbers, unless one is written with a zero before it, like a post code; dates
    if all are dates, such as ``2024-12-31``, ``31.12.24`` or ``2024-12``, that can be read in one
    way alone; else categories.
    """
    if values.dtype.kind != "O":
        return Date if values.dtype.kind == "M" else Number
    cells = set(values.tolist()) - {None}
    if all(map(_is_number, cells)):
        return Category if any(map(is_coded, cells)) else Number
    return Date if len(date_readings(cells)) == 1 else Category


def is_coded(word: str) -> bool:
    """Whether a number is written with a zero before it, like a post code."""
    return word[:1] == "0" and word[1:2].isdigit()


def choose(name: str, values: Array, kind: type[Column] | None = None) -> Column:
    """Return a column of that kind, with what it has to know of these cells of a training set.

    Words that occur once are no categories. Up to 12 categories have a feature each; K more have
    vectors of 1.6 K^0.56 numbers, at most 50.

    Source: fastai's emb_sz_rule, which goes up to 600.

    Examples
    --------
    >>> raw = raw_table({"city": ["Ulm", "Bonn", "Ulm"], "age": ["31", "7", None]})
    >>> choose("city", raw["city"]), choose("age", raw["age"])
    (Category(name='city', categories=['Ulm', 'Bonn']), Number(name='age', gaps=True))
    """
    return (kind or kind_of(values))(name, gaps=has_gaps(values)).completed(values)


def reason_to_leave_out(name: str, values: Array, kind: type[Column]) -> str:
    """Return why nothing can be learned from a column; an empty string if something can."""
    counts = Counter(values[~gaps_in(values)].tolist())
    if not counts:
        return "empty"
    if len(counts) == 1 and not has_gaps(values):
        return f"{words_of(values)[0]} in all rows"
    if len(values) <= SMALL:
        return ""
    if kind is Category:
        others = [word for word in counts if not _is_number(word)]
        few = 2 * sum(counts[word] for word in others) < counts.total()
        if others and few and len(counts) - len(others) > ONE_HOT:
            words = listed(map(repr, others[:3]))
            return f"numbers, but for {words}; if that is a gap, set missing = [{words}] of Table"
        once = [word for word, count in counts.items() if count == 1]
        most = 2 * len(once) > counts.total()
        return f"another word in most rows, such as {once[0]!r}" if most else ""
    if kind is Number and len(counts) == len(values):
        numbers = Number(name).encode(values)
        if (numbers == np.floor(numbers)).all() and IDENTIFIER.search(name):
            return "another number in each row"
    return ""


def reason_not_to_read(values: Array) -> str:
    """Return how words should be written to be numbers or dates; an empty string for others."""
    words = list(dict.fromkeys(word for word in words_of(values) if word is not None))
    if len(values) <= SMALL or len(words) <= ONE_HOT:
        return ""
    units = {found and found["unit"] for found in map(MEASURE.fullmatch, words)}
    plain = all(re.fullmatch(r"[\d.,+-]*\d", word) for word in words)
    if len(readings := date_readings(words)) > 1:
        return _several(words, readings)
    if all(map(UNSURE_DATE.fullmatch, words)):
        reason = "dates whose day and month may be mistaken, to be written 2024-12-31"
    elif any(signed := [word for word in words if BRACKETED.fullmatch(word)]) and all(
        BRACKETED.fullmatch(word) or _is_number(word.replace(",", "")) for word in words
    ):
        below = "-" + re.sub(r"[^\d.,]", "", signed[0])
        return (
            "numbers in brackets, as accountants write those below zero, to be written without "
            f"them: {below!r} for {signed[0]!r}"
        )
    elif None not in units and len(units) == 1 and not plain:
        reason = "numbers with signs, units or spaces, to be written without them"
    else:
        return ""
    return f"{reason}, such as {words[0]!r}"


def numbers_rows(name: str, values: Array) -> bool:
    """Whether the cells are the numbers of the rows, from 0 or 1 on."""
    if len(values) <= SMALL or has_gaps(values):
        return False
    numbers = Number(name).encode(values)
    return bool(numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def column_or_reason(raw: RawTable, name: str, rows: Array | None = None) -> Column | str:
    """Return a column of the kind that suits, or why nothing can be learned from it.

    The training examples are in these rows, by default in all.
    """
    values = raw[name] if rows is None else raw[name][rows]
    kind = Category if name in raw.categories else kind_of(values)
    if kind is Number and numbers_rows(name, raw[name]):
        return "the number of the row"
    if kind is Category and name not in raw.categories and (reason := reason_not_to_read(values)):
        return reason
    return reason_to_leave_out(name, values, kind) or choose(name, values, kind)


def choose_columns(
    raw: RawTable,
    kinds: Mapping[str, Any] | None = None,
    rows: Array | None = None,
) -> list[Column]:
    """Return the columns of a raw table with training data, each of a kind that suits it.

    Parameters
    ----------
    raw : RawTable
    kinds : mapping of str to str or Column or None, optional
        Of some columns: ``"number"``, ``"category"``, ``"date"``, or a Column; None leaves one out.
    rows : array of int, optional
        The rows with the training examples; by default all.

    Raises
    ------
    ConfigError
        For a kind that is none, or of a column that isn't there.
    DataError
        When no column is left.

    Warns
    -----
    LayerkitWarning
        With the columns that are left out, since nothing can be learned from them: one that
        numbers the rows, has another word in most of them, or the same value in all.
    """
    kinds, columns, out = dict(kinds or {}), list[Column](), list[str]()
    if not any(map(len, raw.values())):
        raise DataError(f"the table has no {'rows' if raw else 'columns'}")
    for name in kinds:
        if name not in raw:
            raise ConfigError(f"there is no column {name!r}{suggestion(name, list(raw))}")
    for name, whole in raw.items():
        values = whole if rows is None else whole[rows]
        if name in kinds:
            columns += [] if kinds[name] is None else [_given(name, kinds[name], values)]
            continue
        found = column_or_reason(raw, name, rows)
        if isinstance(found, Column):
            columns.append(found)
        else:
            out.append(f"{name!r} ({found})")
    if out:
        left = f"columns that tell nothing are left out: {listed(out)}"
        if not columns:
            raise DataError(f"{left}; and there are no others")
        warn(f"{left}; to keep one, say which kind it is", LayerkitWarning)
    if not columns:
        raise DataError("no column of the table is left")
    return columns


def _given(name: str, kind: Any, values: Array) -> Column:
    """Return a column of a kind that a user gives."""
    if isinstance(kind, str) and kind in KINDS:
        return _checked(choose(name, values, KINDS[kind]), values)
    if not isinstance(kind, Column):
        raise ConfigError(
            f"column {name!r}: {kind!r} should be 'number', 'category', 'date', a Number, Category "
            "or Date, or None to leave it out"
        )
    if kind.name != name:
        raise ConfigError(f"column {name!r}: the {type(kind).__name__} is called {kind.name!r}")
    return _checked(kind.completed(values), values)


def _checked(column: Column, values: Array) -> Column:
    """Return a column; DataError for cells of another kind."""
    column.encode(values)
    return column


class RawTable(dict[str, Array]):
    """Columns by name whose gaps are marked: what `raw_table` makes.

    Attributes
    ----------
    names : list of str
        Of all columns that were there.
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
    gaps : collection of str
        The words that stand for a missing value.
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
    words = {cell: value if value is None else _as_word(value) for cell, value in found.items()}
    column = np.empty(len(cells), object)
    column[:] = [words[cell] for cell in cells]
    return column


def _with_gaps(numbers: Array, gaps: Collection[str]) -> Array:
    """Return numbers with nan for those that stand for a missing value, such as -999."""
    missing = [number for word in gaps if math.isfinite(number := _number(word))]
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
