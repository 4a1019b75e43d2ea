"""Dialects of ``.csv`` files: their encoding, delimiter, decimal mark and words for gaps."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from layerkit.columns.cells import GAPS
from layerkit.errors import DataError, FileError, listed

DELIMITERS = "\t;|,"
"""The delimiters that are found without being named; a comma may be in a number, too."""
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SAMPLE = 20
"""The number of lines that a delimiter is found from."""


@dataclass(frozen=True)
class Dialect:
    """The dialect of a ``.csv`` file; a delimiter or decimal mark of None is found in the file.

    `usual` is the decimal mark where the file doesn't tell, `gaps` are the cells that stand for a
    missing value.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str = "utf-8"
    usual: str | None = None
    gaps: Collection[str] = GAPS


FOUND = Dialect()
"""The dialect that is found from a file."""


@dataclass(frozen=True)
class Sheet:
    """An open ``.csv`` file: its header; its rows, with the lines they begin at, are iterated."""

    header: list[str]
    delimiter: str
    reader: Any

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        last, width = self.reader.line_num, len(self.header)
        try:
            for row in self.reader:
                line, last = last + 1, self.reader.line_num  # a cell may go over several lines
                if not row:
                    continue
                if len(row) != width:
                    cells, columns = f"cell{'s' * (len(row) > 1)}", f"column{'s' * (width > 1)}"
                    raise DataError(f"line {line}: {len(row)} {cells} under {width} {columns}")
                yield line, row
        except csv.Error as error:
            raise DataError(f"line {last + 1}: {error}; is a quotation mark not closed?") from error

    @property
    def marks(self) -> str:
        """The marks that may be decimal ones or group thousands.

        Semicolons come with decimal commas, so that a point there may be either.
        """
        return ",." if self.delimiter == ";" else ","

    @property
    def outline(self) -> str:
        """The header in words, for errors about columns that are missing."""
        split = NAMES.get(self.delimiter, repr(self.delimiter))
        columns = listed(map(repr, self.header))
        return f"The first line, split at {split}, has the columns {columns}"


@contextmanager
def open_csv(path: str | Path, dialect: Dialect) -> Iterator[Sheet]:
    """Open a ``.csv`` file, plain or ``.gz``; its errors name what is wrong with the file.

    Raises
    ------
    FileError
        For a file that can't be read, also while its rows are iterated.
    DataError
        For an empty one.
    """
    path = Path(path)
    try:
        with _open(path, dialect.encoding) as file:
            first = list(itertools.islice(file, SAMPLE))
            delimiter = dialect.delimiter or find_delimiter(first)
            rows = csv.reader(itertools.chain(first, file), delimiter=delimiter)
            header = [name.strip() for name in next(rows, [])]
            if not header:
                raise DataError("empty")
            yield Sheet(header, delimiter, rows)
    except UnicodeError as error:
        raise FileError(f"{path}: {_wrong_byte(path, dialect.encoding)}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileError(f"{path}: damaged: {error}") from error
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror}") from error
    except csv.Error as error:
        raise FileError(f"{path}: is not a table of comma-separated values: {error}") from error


def _open(path: Path, encoding: str) -> TextIO:
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        encoding = "utf-8-sig"  # takes away the mark at the beginning that Excel writes
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(newline="", encoding=encoding)


def _wrong_byte(path: Path, encoding: str) -> str:
    """Return a sentence on the first byte that is not of an encoding."""
    with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
        content = file.read()
    if content[:4] == b"PK\x03\x04":
        return "is an Excel file, or another .zip; save it as .csv"
    where, other = 0, "latin-1"
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        where = error.start
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        other = "utf-16"
    line = content.count(b"\n", 0, where) + 1
    return (
        f"line {line}: the byte 0x{content[where]:02x} is not {encoding}; say how the file is "
        f'encoded: encoding = "{other}" in [data], or --encoding {other}, may be right'
    )


def is_utf8(path: str | Path) -> bool:
    """Whether a file is text in UTF-8."""
    try:
        with _open(Path(path), "utf-8") as file:
            for _ in file:
                pass
    except UnicodeDecodeError:
        return False
    except (OSError, EOFError, zlib.error):  # whoever opens it says so
        pass
    return True


def find_delimiter(lines: list[str]) -> str:
    """Return the delimiter of a table from its first lines.

    It is in the header; of several, it is the one that cuts the other lines into as many cells as
    the header, or the one with most cells.

    Examples
    --------
    >>> find_delimiter(["sqm;rooms, in all;price", "70,5;3;200"])
    ';'
    """

    def fit(delimiter: str) -> tuple[bool, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        whole = counts if len(lines) < SAMPLE else counts[:-1]  # a cell may go over several lines
        return len(set(whole)) == 1, counts[0]

    inside = [delimiter for delimiter in DELIMITERS if delimiter in "".join(lines[:1])]
    return max(inside, key=fit, default=",")


NUMBER = {
    mark: re.compile(
        rf"[+-]?(?=[.,]?[0-9])(?:[0-9]+|[1-9][0-9]{{0,2}}(?:[{other}][0-9]{{3}})+)?(?:[{mark}][0-9]*)?"
        r"(?:[eE][+-]?[0-9]+)?"
    )
    for mark, other in (".,", ",.")
}
"""Numbers by their decimal mark; the other one groups thousands."""


def find_decimal(
    columns: Mapping[str, Sequence[str]], dialect: Dialect = FOUND, marks: str = ","
) -> str:
    """Return the decimal mark of the numbers in columns of stripped cells, "." or ",".

    Columns of numbers and gaps count, no others. `marks` are those that may be either there.

    Raises
    ------
    DataError
        If cells such as 1,234 are all that tells, or columns have different marks.

    Examples
    --------
    >>> find_decimal({"price": ["1.200,50", "900,00"], "rooms": ["3", "4"]})
    ','
    >>> find_decimal({"price": ["1,200", "1,350"]})
    Traceback (most recent call last):
    ...
    layerkit.errors.DataError: column 'price': '1,200' may be 1.2 or 1200; set decimal = "," or \
decimal = "."
    """
    gaps = dialect.gaps
    if not any(
        _has(cells, marks) and any(_all_numbers(cells, mark, gaps) for mark in ".,")
        for cells in columns.values()
    ):
        return "."
    sure: dict[str, str] = {}  # the first column with a mark
    unsure = ""
    for name, cells in columns.items():
        point, comma = (_all_numbers(cells, mark, gaps) for mark in ".,")
        if point != comma:
            sure.setdefault("." if point else ",", name)
        elif point and not unsure and (cell := next((c for c in cells if _has([c], marks)), "")):
            numbers = " or ".join(f"{float(_plain(cell, mark)):g}" for mark in ",.")
            unsure = f"column {name!r}: {cell!r} may be {numbers}"
    if len(sure) > 1:
        unsure = f"column {sure['.']!r} has decimal points, column {sure[',']!r} decimal commas"
    elif sure:
        return next(iter(sure))
    elif dialect.usual:
        return dialect.usual
    if unsure:
        raise DataError(f'{unsure}; set decimal = "," or decimal = "."')
    return "."


def with_points(cells: list[str], decimal: str, gaps: Collection[str] = GAPS) -> list[str]:
    """Return the cells of a column as Python writes numbers, if all are numbers or gaps.

    Examples
    --------
    >>> with_points(["1.200,5", ""], ","), with_points(["1,200.5"], "."), with_points(["a,b"], ",")
    (['1200.5', ''], ['1200.5'], ['a,b'])
    """
    if (decimal == "." and not _has(cells, ",")) or not _all_numbers(cells, decimal, gaps):
        return cells
    return [cell if cell in gaps else _plain(cell, decimal) for cell in cells]


def _has(cells: Sequence[str], marks: str) -> bool:
    return any(mark in cell for mark in marks for cell in cells)


def _all_numbers(cells: Sequence[str], decimal: str, gaps: Collection[str]) -> bool:
    number = NUMBER[decimal]
    return all(number.fullmatch(cell) or cell in gaps for cell in cells)


def _plain(cell: str, decimal: str) -> str:
    return cell.replace("." if decimal == "," else ",", "").replace(decimal, ".")
