"""Readers of data files: ``.csv`` tables, ``.npz`` and ``.npy`` arrays, MNIST's IDX files."""

from __future__ import annotations

import gzip
import itertools
import math
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from layerkit.arrays import Array, Shape, check_memory
from layerkit.data.dialects import (
    FOUND,
    GAPS,
    Dialect,
    Sheet,
    find_decimal,
    open_csv,
    with_points,
)
from layerkit.data.labels import is_number
from layerkit.errors import DataError, FileError, LayerkitError, listed, nearest
from layerkit.files.mapped import releaser

Target = Literal["class", "number", "labels"]
"""What is predicted: a class, one or more numbers, or several labels that are there or not."""
FLAGS = {"0": 0.0, "false": 0.0, "1": 1.0, "true": 1.0, "0.0": 0.0, "1.0": 1.0}


@dataclass(frozen=True)
class Rows:
    """The rows of a data file that examples come from, for errors about one of them.

    `numbers` (N,) are their lines in a ``.csv`` file, else their indices in its arrays; `columns`
    are the names of the columns of x, y and w in a ``.csv`` file; `shape` is that of a row of x.
    """

    path: str
    numbers: Array
    columns: dict[str, list[str]]
    shape: Shape

    def take(self, chosen: Array) -> Rows:
        """Return the rows with these indices."""
        return replace(self, numbers=self.numbers[chosen])

    def words(self, where: tuple[int, ...], array: str) -> str:
        """Return the place of a value in the file, such as ``line 7, column 'price'``."""
        number, rest = int(self.numbers[where[0]]), where[1:]
        if not self.columns:
            if array == "x" and rest:
                rest = tuple(map(int, np.unravel_index(rest[0], self.shape)))
            return f"{array}{[number, *rest]}"
        names = self.columns[array]
        if not rest and (array == "x" or len(names) > 1):
            return f"line {number}"
        return f"line {number}, column {names[rest[0] if rest and len(names) > 1 else 0]!r}"

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Name the row of the file in every `LayerkitError` about one of the examples."""
        try:
            yield
        except LayerkitError as error:
            if error.row is None:
                raise
            words = self.words(error.row.where, error.row.array)
            error.args = (error.row.before + words + error.row.after,)
            address = error.place.partition(",")[0]
            layer = f", {address}" if address.startswith("body") else ""
            error.row, error.place = None, self.path + layer
            raise


class Table(NamedTuple):
    """The contents of a data file: examples x (N, ...), and labels, weights and names if any.

    y are labels (N,), strings or integers, or numbers to predict, (N,) or (N, D), nan where one is
    missing; w are the weights of the examples (N,); `features` are the names of the columns of x;
    `lines` (N,) are those of a ``.csv`` file, and `times` the cells of its column of times.
    """

    x: Array
    y: Array | None = None
    w: Array | None = None
    features: list[str] | None = None
    lines: Array | None = None
    times: list[str] | None = None

    def rows(self, path: str, labels: Sequence[str] = (), weight: str | None = None) -> Rows:
        """Return the rows of the file, for errors; the names are those of a ``.csv`` file."""
        if self.lines is None:
            return Rows(path, np.arange(len(self.x)), {}, self.x.shape[1:])
        columns = {"x": self.features or [], "y": list(labels), "w": [weight or ""]}
        return Rows(path, self.lines, columns, self.x.shape[1:])


def read_csv(
    path: str | Path,
    labels: Sequence[str],
    features: list[str] | None = None,
    weight: str | None = None,
    target: Target = "class",
    time: str | None = None,
    dialect: Dialect = FOUND,
) -> Table:
    """Read a ``.csv`` file: features (N, features), their names, and labels and weights if named.

    Parameters
    ----------
    path : str or Path
        A table with a header, plain or ``.gz``.
    labels : sequence of str
        The column with the labels, or several; none if they are not wanted.
    features : list of str, optional
        The columns with the features; by default all others.
    weight : str, optional
        The column with the weights of the examples.
    target : {"class", "number", "labels"}
        What the labels are. A class may be missing, and is an empty string then; a number or one
        of several labels is nan.
    time : str, optional
        The column with the times of the examples; it is a feature only if it is one of `features`.
    dialect : Dialect
        How the file is written; by default it is looked at.

    Raises
    ------
    FileError
        For a file that can't be read.
    DataError
        For a missing column, a short or long row, a cell that is not a finite number.
    """
    others = [*labels, *filter(None, (weight, time))]
    words = [*(labels if target != "number" else ()), *filter(None, (time,))]
    gaps = {*GAPS, *dialect.missing}
    with open_csv(path, dialect) as sheet:
        names = features or [name for name in sheet.header if name not in others]
        _check_header(sheet, [*names, *others])
        numeric = [*names, *(name for name in others if name not in (*names, *words))]
        found = None if dialect.decimal == "," else _read_fast(sheet, numeric, words)
    if found is None:
        raw = read_raw(path, numeric, words, dialect)
        if target == "number":
            raw = _without_words(raw, labels, gaps)
        table, texts, lines = _as_numbers(raw, numeric, labels), raw.columns, raw.lines
    else:
        table, texts, lines = found
    if not len(lines):
        raise DataError("no examples: there are no rows under the header")
    if not names:
        raise DataError(f"no features: there are no columns besides {', '.join(others)}")
    y = None
    if labels:
        if target == "number":
            columns = [table[:, numeric.index(name)] for name in labels]
        elif target == "labels":
            columns = [_as_flags(name, texts[name], lines, gaps) for name in labels]
        else:
            columns = [texts[name] for name in labels]
        y = np.stack(columns, axis=1) if len(labels) > 1 else columns[0]
    w = table[:, numeric.index(weight)] if weight else None
    times = texts[time].tolist() if time else None
    return Table(table[:, : len(names)], y, w, names, lines, times)


def _check_header(sheet: Sheet, names: list[str]) -> None:
    """Raise a DataError unless a sheet has one column of each of these names."""
    counts = Counter(sheet.header)
    for name in names:
        if counts[name] != 1:
            meant = "" if counts[name] else nearest(name, sheet.header)
            raise DataError(
                f"{counts[name]} columns called {name!r}; should be one"
                f"{f' ({meant})' if meant else ''}. {sheet.outline}"
            )


BLOCK = 1000
"""The number of rows of a ``.csv`` file that are read at once."""


def _read_fast(
    sheet: Sheet, numeric: list[str], words: list[str]
) -> tuple[Array, dict[str, Array], Array] | None:
    """Read columns of numbers as Python writes them, columns of words, and the lines.

    None if a cell is no such number, or none of these can be read.
    """
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
        try:
            numbers = np.fromiter(map(float, cells), float, len(cells))
        except ValueError:
            return None
        if not np.isfinite(numbers).all() or not text.isascii() or "_" in text:
            return None
        blocks.append(numbers.reshape(len(block), -1))
    return (
        np.concatenate(blocks),
        {name: np.array(cells) for name, cells in texts.items()},
        np.array(lines),
    )


class Raw(NamedTuple):
    """The columns of a table as they are in a file, by name, and the lines of its rows (N,).

    Cells are stripped strings; those of numbers are as Python writes them, whatever the `decimal`
    mark in the file.
    """

    columns: dict[str, Array]
    lines: Array
    decimal: str


def read_raw(path: str | Path, names: list[str], words: list[str], dialect: Dialect) -> Raw:
    """Read columns of a ``.csv`` file, which it has; `words` are not looked at for numbers.

    Raises
    ------
    FileError, DataError
        As by `read_csv`, but for cells: each is taken.
    """
    with open_csv(path, dialect) as sheet:
        header, content = sheet.header, list(sheet)
    column_of = {name: i for i, name in enumerate(header)}
    cells = {
        name: [row[column_of[name]].strip() for _, row in content] for name in (*names, *words)
    }
    looked_at = {name: cells[name] for name in names}
    decimal = dialect.decimal or find_decimal(looked_at)
    cells |= {name: with_points(column, decimal) for name, column in looked_at.items()}
    columns = {name: np.array(column) for name, column in cells.items()}
    return Raw(columns, np.array([line for line, _ in content]), decimal)


def _without_words(raw: Raw, names: Sequence[str], gaps: set[str]) -> Raw:
    """Return a table with nan for each gap in columns of numbers."""
    columns = {
        name: np.where(np.isin(raw.columns[name], list(gaps)), "nan", raw.columns[name])
        for name in names
    }
    return raw._replace(columns=raw.columns | columns)


def _as_flags(name: str, cells: Array, lines: Array, gaps: set[str]) -> Array:
    """Return a column of labels as 0 and 1 (N,), nan for gaps."""
    known = FLAGS | dict.fromkeys(gaps, math.nan)
    flags = [known.get(cell, FLAGS.get(cell.lower())) for cell in cells.tolist()]
    if None in flags:
        row = flags.index(None)
        raise DataError(
            f"line {lines[row]}, column {name!r}: {cells[row].item()!r}; should be 0 or 1, true or "
            "false, or empty if it is not known"
        )
    return np.array(flags, float)


def _as_numbers(raw: Raw, names: list[str], gaps: Sequence[str]) -> Array:
    """Return columns as numbers (N, columns); DataError for the first cell that is none.

    Cells of the columns in `gaps` may be nan.
    """
    wrong = {
        next(
            (
                i
                for i, cell in enumerate(raw.columns[name])
                if not is_number(cell) and not (name in gaps and cell == "nan")
            ),
            None,
        ): name
        for name in reversed(names)
    }
    if rows := [row for row in wrong if row is not None]:
        row = min(rows)
        name = wrong[row]
        raise DataError(
            f"line {raw.lines[row]}, column {name!r}: {raw.columns[name][row].item()!r}; "
            "should be a finite number"
        )
    return np.stack([raw.columns[name].astype(float) for name in names], axis=1)


def read_npz(path: str | Path, target: Target = "class") -> Table:
    """Read a ``.npz`` file: the arrays x (N, ...) and, if they are there, y and w.

    Parameters
    ----------
    path : str or Path
    target : {"class", "number", "labels"}
        What y are.

    Raises
    ------
    FileError
        For a file that is missing or damaged.
    DataError
        For arrays that are missing, don't fit together, or have values that are not finite.
    """
    path = Path(path)
    try:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise FileError(f"{path}: damaged, or not a .npz file")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if "x" not in arrays:
                raise DataError(f"has arrays {listed(arrays) or 'none'}; should have x (and y)")
            # looked at before they are read: gigabytes of zeros may be packed in few bytes
            outlines = {name: _outline(arrays.zip, name) for name in "xyw" if name in arrays}
            _check_shapes(Table(outlines["x"], outlines.get("y"), outlines.get("w")), target)
            check_memory(f"{path}: its arrays", *((a.shape, a.dtype) for a in outlines.values()))
            table = Table(arrays["x"], arrays.get("y"), arrays.get("w"))
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror or error}") from error
    except (DataError, FileError):
        raise
    except (ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise FileError(f"{path}: {_reason(error, '.npz')}") from error
    return _checked(table, target)


def _outline(archive: zipfile.ZipFile, name: str) -> Array:
    """Return an array of the shape and dtype of one in a .npz file, which takes no memory."""
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(member)
        if dtype.hasobject:
            raise ValueError("Object arrays")
        there = archive.getinfo(f"{name}.npy").file_size - member.tell()
    needed = math.prod(shape) * dtype.itemsize
    if there != needed:
        raise ValueError(
            f"the header of {name} says {dtype} {shape}, that is {needed:,} bytes; "
            f"there are {there:,}"
        )
    return np.broadcast_to(np.zeros((), dtype), shape)


def read_npy_folder(folder: str | Path, target: Target = "class") -> Table:
    """Read a folder of arrays: ``x.npy``, ``y.npy`` and, if it is there, ``w.npy``.

    x is mapped, never read as a whole, so it may be larger than memory.

    Parameters
    ----------
    folder : str or Path
    target : {"class", "number", "labels"}
        What y are.

    Raises
    ------
    FileError
        For a file that is missing or damaged.
    DataError
        For arrays that don't fit together, or have values that are not finite.
    """
    folder = Path(folder)
    arrays: dict[str, Array] = {}
    for name in "xyw":
        path = folder / f"{name}.npy"
        if name == "w" and not path.exists():
            continue
        try:
            array = np.lib.format.open_memmap(path, mode="r")
        except OSError as error:
            hint = ""
            if isinstance(error, FileNotFoundError):
                hint = (
                    "; data are a .csv file, an .npz file, or a folder with x.npy and y.npy, "
                    "where images are one array (N, height, width)"
                )
            raise FileError(f"{path}: can't be read: {error.strerror or error}{hint}") from error
        except (ValueError, EOFError) as error:
            raise FileError(f"{path}: {_reason(error, '.npy')}") from error
        arrays[name] = array if name == "x" else np.array(array)
    if not arrays["x"].flags.c_contiguous:
        raise DataError("x.npy is in Fortran order; save it with np.ascontiguousarray")
    return _checked(Table(arrays["x"], arrays["y"], arrays.get("w")), target)


def _reason(error: Exception, kind: str) -> str:
    if "Object arrays" in str(error) or "Python objects" in str(error):
        return "an array holds Python objects; save labels as strings, y.astype(str)"
    return f"damaged, or not a {kind} file: {error}"


def _check_shapes(table: Table, target: Target) -> None:
    x, y, w = table[:3]
    if x.ndim < 2 or not x.size or x.dtype.kind not in "biuf":
        raise DataError(f"x is {x.dtype} {x.shape}; should be numbers, at least one row (N, ...)")
    for name, values, what in (("y", y, "a label"), ("w", w, "a weight")):
        if values is None:
            continue
        several = name == "y" and target != "class" and values.size
        if (values.shape[:1] if several else values.shape) != (len(x),):
            shape = f"({len(x)},)"
            raise DataError(
                f"{name} has shape {values.shape}; should be {shape}, {what} for each x"
            )


def _checked(table: Table, target: Target) -> Table:
    _check_shapes(table, target)
    x, y = table[:2]
    rows = max(1, 2**20 * len(x) // x.size)  # at once: x may be larger than memory
    release = releaser(x)
    for start in range(0, len(x) if x.dtype.kind == "f" else 0, rows):
        _check_finite("x", x[start : start + rows], start)
        release(x[start : start + rows].nbytes)
    if y is None:
        return table
    if target != "class":
        if y.dtype.kind not in "biuf":
            raise DataError(f"y is {y.dtype}, such as {y[0]}; should be numbers")
        _check_finite("y", np.where(np.isnan(y), 0, y))  # some may be missing
    elif y.dtype.kind not in "iuU":
        whole = np.zeros(len(y), bool)
        if y.dtype.kind == "f":
            whole = (y == np.floor(y)) & (abs(y) < 2**53)
        if whole.all():
            return table._replace(y=y.astype(np.int64))
        row = int(np.argmin(whole))
        raise DataError(
            f"y is {y.dtype}, and y[{row}] is {y[row]}; classes should be integers or strings. "
            'For numbers to predict, set target = "number"'
        )
    return table


def _check_finite(name: str, values: Array, start: int = 0) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, *rest = (int(i) for i in np.argwhere(~finite)[0])
        value = values[(row, *rest)]
        raise DataError(f"{name}{[start + row, *rest]} is {value}; should be finite")


def read_idx_folder(folder: str | Path, name: str) -> list[tuple[Array, Array]]:
    """Read MNIST's four files: images (N, height, width) and labels, to train and to test.

    Parameters
    ----------
    folder : str or Path
        Holds the files, plain or ``.gz``, or has a subfolder `name` that does.
    name : str

    Raises
    ------
    FileError
        For a missing or damaged file.
    DataError
        For labels out of range, or different numbers of images and labels.
    """
    folder = Path(folder)
    if (folder / name).is_dir():
        folder = folder / name
    sets = []
    for part in ("train", "t10k"):
        x = _read_idx(folder, f"{part}-images", "idx3-ubyte")
        t = _read_idx(folder, f"{part}-labels", "idx1-ubyte")
        if len(x) != len(t):
            raise DataError(f"{folder}: {len(x)} {part} images, but {len(t)} labels")
        if (t > 9).any():
            row = int((t > 9).argmax())
            raise DataError(
                f"{folder}: label {t[row]} of image {row} in {part}-labels; should be 0 … 9"
            )
        sets.append((x, t))
    if sets[0][0].shape[1:] != sets[1][0].shape[1:]:
        raise DataError(f"{folder}: training and test images differ in size")
    return sets


def _read_idx(folder: Path, stem: str, kind: str) -> Array:
    """Read an IDX file: two zero bytes, 8 for unsigned bytes, the number of axes, their lengths."""
    candidates = [folder / f"{stem}{dot}{kind}{gz}" for gz in ("", ".gz") for dot in "-."]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise FileError(f"{folder}: there is no {stem}-{kind}, plain or .gz, in this folder")
    axes = int(kind[3])
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            magic, lengths = file.read(4), file.read(4 * axes)
            if magic != bytes([0, 0, 8, axes]) or len(lengths) < 4 * axes:
                raise FileError(f"{path}: starts with {magic.hex()}; should be 0000080{axes}")
            shape = tuple(int(n) for n in np.frombuffer(lengths, ">u4"))
            size = math.prod(shape)
            check_memory(f"{path}: its examples", (shape, np.uint8))
            content = file.read(size + 1)  # gigabytes of zeros may be packed in few bytes
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: damaged: {error}") from error
    if len(content) != size or not size:
        there = f"{len(content):,}" if len(content) <= size else "more"
        raise FileError(
            f"{path}: its header says {shape}, that is {size:,} bytes; there are {there}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
