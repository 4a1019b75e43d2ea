"""Readers of data files: ``.npz`` and ``.npy`` arrays, MNIST's IDX files; their contents."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from layerkit.arrays import Array, Shape, check_memory
from layerkit.errors import DataError, FileError, LayerkitError, listed
from layerkit.files.mapped import releaser

Target = Literal["class", "number", "labels"]
"""The kind of target: a class, one or more numbers, or several labels that are there or not."""


@dataclass(frozen=True)
class Rows:
    """The rows of a data file that examples come from, for errors about one of them.

    `numbers` (N,) are their lines in a ``.csv`` file, else their indices; `unit` says which. In a
    table, `columns` are the names of the columns of x, y and w. `shape` is that of a row of x.
    """

    path: str
    numbers: Array
    columns: dict[str, list[str]]
    shape: Shape
    unit: str = "line"

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
            return f"{self.unit} {number}"
        return f"{self.unit} {number}, column {names[rest[0] if rest and len(names) > 1 else 0]!r}"

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


class Contents(NamedTuple):
    """The contents of a data file: examples x (N, ...), and labels, weights and names if any.

    y are labels (N,), strings or integers, or numbers to predict, (N,) or (N, D), nan where one is
    missing; w are the weights of the examples (N,); `features` are the names of the columns of x;
    `lines` (N,) are those of a ``.csv`` file, `times` the cells of its column of times, and
    `decimal` is its decimal mark. In a ``.parquet`` file `lines` are the numbers of rows.
    """

    x: Array
    y: Array | None = None
    w: Array | None = None
    features: list[str] | None = None
    lines: Array | None = None
    times: list[str] | None = None
    unit: str = "line"
    decimal: str = "."

    def rows(self, path: str, labels: Sequence[str] = (), weight: str | None = None) -> Rows:
        """Return the rows of the file, for errors; the names are those of a ``.csv`` file."""
        if self.lines is None:
            return Rows(path, np.arange(len(self.x)), {}, self.x.shape[1:])
        columns = {"x": self.features or [], "y": list(labels), "w": [weight or ""]}
        return Rows(path, self.lines, columns, self.x.shape[1:], self.unit)


def read_npz(path: str | Path, target: Target = "class") -> Contents:
    """Read a ``.npz`` file: the arrays x (N, ...) and, if they are there, y and w.

    Parameters
    ----------
    path : str or Path
    target : {"class", "number", "labels"}
        The kind of labels that y are.

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
            _check_shapes(Contents(outlines["x"], outlines.get("y"), outlines.get("w")), target)
            check_memory(f"{path}: its arrays", *((a.shape, a.dtype) for a in outlines.values()))
            table = Contents(arrays["x"], arrays.get("y"), arrays.get("w"))
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


def read_npy_folder(folder: str | Path, target: Target = "class") -> Contents:
    """Read a folder of arrays: ``x.npy``, ``y.npy`` and, if it is there, ``w.npy``.

    x is mapped, never read as a whole, so it may be larger than memory.

    Parameters
    ----------
    folder : str or Path
    target : {"class", "number", "labels"}
        The kind of labels that y are.

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
    return _checked(Contents(arrays["x"], arrays["y"], arrays.get("w")), target)


def _reason(error: Exception, kind: str) -> str:
    if "Object arrays" in str(error) or "Python objects" in str(error):
        return "an array holds Python objects; save labels as strings, y.astype(str)"
    return f"damaged, or not a {kind} file: {error}"


def _check_shapes(table: Contents, target: Target) -> None:
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


def _checked(table: Contents, target: Target) -> Contents:
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
