"""Arrays that are bigger than memory: mapped from a file, and not to be copied."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import DataError, FileError

CHUNK = 1024
"""Examples that a prediction takes at once: bounds its memory, whatever the data."""

RELEASE = 2**26
"""Bytes that have been read, after which the pages of a mapped file are given back."""


class Subset:
    """Some rows of an array, in this order, without a copy of them.

    Stands for ``x[rows]`` wherever examples are taken.

    Parameters
    ----------
    x : array
        As a rule mapped from a file: ``np.load("x.npy", mmap_mode="r")``.
    rows : array of int
        The numbers of the rows (N,).

    Raises
    ------
    DataError
        For a row that the array does not have.

    Examples
    --------
    >>> part = Subset(np.array([[0.0], [10.0], [20.0]]), np.array([2, 0]))
    >>> part.shape, part[:1]
    ((2, 1), array([[20.]]))
    """

    def __init__(self, x: Array, rows: Array) -> None:
        self.x, self.rows = x, np.asarray(rows)
        if self.rows.dtype.kind not in "iu" or self.rows.ndim != 1:
            raise DataError(f"rows are {self.rows.dtype} {self.rows.shape}; should be numbers (N,)")
        wrong = (self.rows < 0) | (self.rows >= len(x))
        if wrong.any():
            raise DataError(f"row {self.rows[wrong][0]}; should be from 0 to {len(x) - 1}")
        self.shape: Shape = (len(rows), *x.shape[1:])
        self.dtype, self.ndim = x.dtype, x.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        if isinstance(index, slice):
            rows = self.rows[index]
            return take(self.x, rows, np.empty((len(rows), *self.shape[1:]), self.dtype))
        row, *rest = index if isinstance(index, tuple) else (index,)
        part: Array = self.x[(self.rows[row], *rest)]
        return part


def take(x: Array | Subset, rows: Array, out: Array) -> Array:
    """Do ``out[...] = x[rows]``, and return `out`.

    Rows of a mapped file are read from it. Where one is only looked at, the system may map two
    megabytes, and the process would seem to grow to the size of the file.

    Raises
    ------
    FileError
        When the file is gone, or has become shorter.
    """
    if isinstance(x, Subset):
        return take(x.x, x.rows[rows], out)
    file = mapped_file(x)
    if file is not None and has_whole_rows(x):
        _read(file, x, rows, out)
    elif x.flags.c_contiguous:
        # mode="clip" writes straight into `out`, the default mode through another array
        x.take(rows, axis=0, out=out, mode="clip")
    else:
        out[...] = x[rows]
    return out


def mapped_file(x: Array) -> np.memmap[Any, Any] | None:
    """The mapped file that `x` lies in, if its pages are those of the file."""
    base: Any = x
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    # mode "c" has pages of its own where it was written to
    return base if base is not None and base.mode in ("r", "r+", "w+") and base.filename else None


def has_whole_rows(x: Array) -> bool:
    """Whether the numbers of each row stand side by side."""
    return bool(x[:1].flags.c_contiguous)


def _mapping(file: np.memmap[Any, Any]) -> mmap.mmap:
    base: Any = file
    while not isinstance(base, mmap.mmap):
        base = base.base
    return base


def _read(file: np.memmap[Any, Any], x: Array, rows: Array, out: Array) -> None:
    start = file.offset - file.offset % mmap.ALLOCATIONGRANULARITY  # of the mapping, in the file
    start += x.ctypes.data - np.frombuffer(_mapping(file), np.uint8).ctypes.data
    buffer, size = out.reshape(-1).view(np.uint8).data, x[:1].nbytes
    try:
        with open(str(file.filename), "rb", buffering=0) as opened:
            for i, row in enumerate(rows.tolist()):
                opened.seek(start + row * x.strides[0])
                if opened.readinto(buffer[i * size : (i + 1) * size]) != size:
                    raise FileError(f"{file.filename}: has become shorter while it was in use")
    except OSError as error:
        raise FileError(f"{file.filename}: can't be read: {error.strerror}") from error


def pieces(x: Array | Subset) -> Iterator[Array]:
    """All of `x` in its own order, CHUNK rows at a time.

    If a file is mapped, its pages are given back now and then: they stay in the system's cache, but
    the process does not grow with all that it has seen.
    """
    release = releaser(x)
    for start in range(0, len(x), CHUNK):
        part: Array = x[start : start + CHUNK]
        yield part
        release(part.nbytes)


def releaser(x: Array | Subset) -> Callable[[int], None]:
    """Return what to tell how many bytes of `x` were looked at, from the first row to the last."""
    file = None if isinstance(x, Subset) else mapped_file(x)
    if file is None or not hasattr(mmap, "MADV_DONTNEED"):
        return lambda size: None
    mapping, seen = _mapping(file), 0

    def release(size: int) -> None:
        nonlocal seen
        seen += size
        if seen >= RELEASE:
            mapping.madvise(mmap.MADV_DONTNEED)
            seen = 0

    return release
