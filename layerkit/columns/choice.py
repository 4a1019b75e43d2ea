"""The choice of columns to learn from: of which kind each is, or why nothing is learned from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.cells import RawTable, gaps_in, has_gaps, is_coded, is_number, words_of
from layerkit.columns.dates import date_readings, ways_to_read
from layerkit.columns.kinds import ONE_HOT, SMALL, Category, Column, Date, Number
from layerkit.errors import ConfigError, DataError, LayerkitWarning, listed, suggestion, warn

KINDS: dict[str, type[Column]] = {"number": Number, "category": Category, "date": Date}
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


def choose_columns(
    raw: RawTable,
    kinds: Mapping[str, Any] | None = None,
    rows: Array | None = None,
) -> list[Column]:
    """Return the columns of a raw table with training data, each of a kind that suits it.

    Parameters
    ----------
    raw : RawTable
        The table, as `raw_table` returns it.
    kinds : mapping of str to str or Column or None, optional
        The kind of some columns: ``"number"``, ``"category"``, ``"date"``, or a Column; None leaves
        one out.
    rows : array of int, optional
        The rows with the training examples; by default all.

    Raises
    ------
    ConfigError
        For an unknown kind, or for a column that isn't there.
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


def choose(name: str, values: Array, kind: type[Column] | None = None) -> Column:
    """Return a column of that kind, with what it has to know of these cells of a training set.

    Words that occur once are no categories. Up to 12 categories have a feature each; K more have
    vectors of 1.6 K^0.56 numbers, at most 50.

    Source: fastai's emb_sz_rule, which goes up to 600.

    Examples
    --------
    >>> from layerkit.columns import raw_table
    >>> raw = raw_table({"city": ["Ulm", "Bonn", "Ulm"], "age": ["31", "7", None]})
    >>> choose("city", raw["city"]), choose("age", raw["age"])
    (Category(name='city', categories=['Ulm', 'Bonn']), Number(name='age', gaps=True))
    """
    return (kind or kind_of(values))(name, gaps=has_gaps(values)).completed(values)


def kind_of(values: Array) -> type[Column]:
    """Return the kind of column that these cells of a training set are.

    Numbers if all are numbers, unless one is written with a zero before it, like a post code; dates
    if all are dates, such as ``2024-12-31``, ``31.12.24`` or ``2024-12``, that can be read in one
    way alone; else categories.
    """
    if values.dtype.kind != "O":
        return Date if values.dtype.kind == "M" else Number
    cells = set(values.tolist()) - {None}
    if all(map(is_number, cells)):
        return Category if any(map(is_coded, cells)) else Number
    return Date if len(date_readings(cells)) == 1 else Category


def numbers_rows(name: str, values: Array) -> bool:
    """Whether the cells are the numbers of the rows, from 0 or 1 on."""
    if len(values) <= SMALL or has_gaps(values):
        return False
    numbers = Number(name).encode(values)
    return bool(numbers[0] in (0, 1) and (np.diff(numbers) == 1).all())


def is_identifier(name: str, values: Array) -> bool:
    """Whether a column of numbers is called like an id, and has another whole one in each row."""
    if len(values) <= SMALL or not IDENTIFIER.search(name):
        return False
    numbers = Number(name).encode(values)
    return len(np.unique(numbers)) == len(numbers) and bool((numbers == np.floor(numbers)).all())


def reason_not_to_read(values: Array) -> str:
    """Return how words should be written to be numbers or dates; an empty string for others."""
    words = list(dict.fromkeys(word for word in words_of(values) if word is not None))
    if len(values) <= SMALL or len(words) <= ONE_HOT:
        return ""
    units = {found and found["unit"] for found in map(MEASURE.fullmatch, words)}
    plain = all(re.fullmatch(r"[\d.,+-]*\d", word) for word in words)
    if len(readings := date_readings(words)) > 1:
        return ways_to_read(words, readings)
    if all(map(UNSURE_DATE.fullmatch, words)):
        reason = "dates whose day and month may be mistaken, to be written 2024-12-31"
    elif any(signed := [word for word in words if BRACKETED.fullmatch(word)]) and all(
        BRACKETED.fullmatch(word) or is_number(word.replace(",", "")) for word in words
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
        others = [word for word in counts if not is_number(word)]
        few = 2 * sum(counts[word] for word in others) < counts.total()
        if others and few and len(counts) - len(others) > ONE_HOT:
            words = listed(map(repr, others[:3]))
            return f"numbers, but for {words}; if that is a gap, set missing = [{words}] of Table"
        once = [word for word, count in counts.items() if count == 1]
        most = 2 * len(once) > counts.total()
        return f"another word in most rows, such as {once[0]!r}" if most else ""
    return "another number in each row" if kind is Number and is_identifier(name, values) else ""


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
