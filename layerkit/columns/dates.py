"""Dates in words: the formats in which a whole column can be read, if that is certain."""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from layerkit.errors import DataError

LIKE_DATE = re.compile(r"\d{1,4}[./-]\d\d?([./-]\d{1,4})?(\s.*)?|\d\d?/\d{4}")
"""A date in some form, such as 31.12.24 or 2024-12."""
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
Reading = tuple[str | None, list[str]]
"""A format in which all words are dates, and what they are in it."""


def date_of(cell: Any, form: str | None) -> datetime.datetime | None:
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
    if all(date_of(cell, None) for cell in cells):
        return [(None, cells)]
    if not all(map(LIKE_DATE.fullmatch, cells)):
        return []
    readings: list[Reading] = []
    for form in FORMATS:
        dates = list(itertools.takewhile(bool, (date_of(cell, form) for cell in cells)))
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
        raise DataError(f"{place}{ways_to_read(words, readings)}")
    return readings[0][0] if readings else None


def ways_to_read(words: Iterable[str | None], readings: list[Reading]) -> str:
    """Return the sentence on words that may be read as dates in several ways."""
    cells = [word for word in dict.fromkeys(words) if word is not None]
    meant = next((i for i in range(len(cells)) if len({dates[i] for _, dates in readings}) > 1), 0)
    ways = " or ".join(dict.fromkeys(dates[meant] for _, dates in readings))
    return (
        f"dates that may be read in several ways: {cells[meant]!r} may be {ways}; to be written "
        f"as 2024-12-31, or given a format, such as {readings[0][0]!r}, in a Date"
    )
