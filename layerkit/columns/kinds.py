"""Columns of tables: numbers, categories and dates, which become one number for each cell."""

from __future__ import annotations

import datetime
import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import field
from typing import Annotated, Literal, Self

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.cells import (
    DAY,
    EXACT,
    as_word,
    gaps_in,
    has_gaps,
    is_coded,
    is_number,
    number_of,
    words_of,
)
from layerkit.columns.dates import date_format, date_of
from layerkit.config.options import Configurable, Limits, Size
from layerkit.errors import ConfigError, DataError, LayerkitError, LayerkitWarning, row_error, warn

ONE_HOT = 12
"""Up to this many categories each have a feature of their own; more of them have vectors."""
LONGEST = 50
"""The most numbers in a vector of a category."""
SMALL = 20
"""Up to this many rows, a word that occurs once is a category, and no column is an identifier."""
PERIODS = {"year": 365.2425, "week": 7.0, "day": 1.0}
"""Of the cycles of dates, in days."""


class Column(Configurable, ABC):
    """Base class of the kinds of columns: how the cells of one become numbers.

    One of your own is derived from Number, Category or Date, and has another `encode`.

    Parameters
    ----------
    name : str
        The name of the column.
    gaps : bool
        Whether missing values are marked by a feature of their own; set where training data has
        gaps.

    Examples
    --------
    >>> from layerkit.columns import Number, raw_table
    >>> class Percent(Number):
    ...     def encode(self, values):
    ...         return super().encode(np.array([cell.rstrip("%") for cell in values])) / 100
    >>> Percent("share").encode(raw_table({"share": ["3%", "50 %"]})["share"])
    array([0.03, 0.5 ])
    """

    name: str
    gaps: bool = field(default=False, kw_only=True)

    @abstractmethod
    def encode(self, values: Array) -> Array:
        """Return the cells of a raw table as numbers (N,), gaps as nan.

        Raises
        ------
        DataError
            For a cell that isn't of this kind, with the first such row.
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
        """Return the column; what is still unknown is taken from the training data."""
        return self

    def wrong(self, row: int, cell: object, wanted: str) -> LayerkitError:
        """Return the error about a cell."""
        number = isinstance(cell, float | np.floating)
        found = f"{cell:.8g}" if number else repr(cell) if isinstance(cell, str) else str(cell)
        return row_error(
            f"column {self.name!r} of ", (row,), f" is {found}; should be {wanted}", "x"
        )


class Number(Column):
    """A column of numbers. A gap is filled with the mean.

    Examples
    --------
    >>> from layerkit.columns import raw_table
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
            number = {cell: number_of(cell) for cell in set(values.tolist())}
            numbers = np.array([number[cell] for cell in values.tolist()], float)
        for row in np.flatnonzero(~np.isfinite(numbers) & ~gaps_in(values)):
            wanted = "a finite number" if np.isinf(numbers[row]) else "a number"
            raise self.wrong(int(row), values[row], wanted)
        return numbers


class Category(Column):
    """A categorical column: words, each one of a few.

    The code of a category is its place in the list, from 1 on. A word that is none of them has the
    code 0: it was rare in training, or is new.

    Parameters
    ----------
    name : str
        The name of the column.
    categories : list of str, optional
        The words; by default those of the training data, the most frequent first.
    embedding : int, optional
        How many numbers are learned for each category; by default, each has a feature that is 1
        where it is the category of an example, else 0.
    gaps : bool
        Whether missing values are a category too; set where training data has gaps.

    Examples
    --------
    >>> from layerkit.columns import raw_table
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
        numbers = (word for word in known if is_number(word) and not is_coded(word))
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
    """A column of dates, perhaps with a time of day.

    Features are the days since an origin and, if wanted, where in a cycle the date is.
    The time is that on the clock: time zones are left out.

    Parameters
    ----------
    name : str
        The name of the column.
    origin : str, optional
        A date such as ``2024-12-31``; by default the earliest one in the training data.
    format : str, optional
        The format of dates that are not written as ``2024-12-31``, for Python's `strptime`, such as
        ``"%m/%d/%Y"``.
    cycles : list of {"year", "week", "day"}
        The sine and cosine of the place in each are features.
    gaps : bool
        Whether missing dates are marked by a feature of their own; set where training data has
        gaps.

    Examples
    --------
    >>> from layerkit.columns import raw_table
    >>> Date("sold", "2024-12-31").encode(raw_table({"sold": ["2025-01-01T12:00", None]})["sold"])
    array([1.5, nan])
    """

    origin: str | None = None
    format: str | None = None
    cycles: list[Literal["year", "week", "day"]] = field(default_factory=lambda: ["year", "week"])

    def __post_init__(self) -> None:
        super().__post_init__()
        date = date_of(self.origin, None)
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
        date = {cell: date_of(cell, self.format) for cell in set(values.tolist())}
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


def _frequent(values: Array) -> list[str]:
    """Return the words that occur more than once, the most frequent first; in few rows, all."""
    counts = Counter(word for word in words_of(values) if word is not None)
    least = 2 if len(values) > SMALL else 1
    kept = [word for word, count in counts.items() if count >= least]
    return sorted(kept, key=lambda word: (-counts[word], word))


def _shortest(word: str | None) -> str | None:
    """Return a number as a column of numbers has it, 1.5 for 1.50; other words as they are."""
    if not word or is_coded(word) or not abs(number_of(word)) < EXACT:
        return word
    return as_word(float(word))
