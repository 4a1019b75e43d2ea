"""Arrays that are mapped from files: read row by row, so that they may be larger than memory."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import DataError, FileError

CHUNK = 1024
"""Number of examples that a prediction takes at once: it bounds the memory, whatever the data."""

RELEASE = 2**26
"""Number of bytes read after which the pages of a mapped file are given back."""


class Subset:
    """A view of some rows of an array, in any order: no row is copied before it is used.

    It is accepted wherever examples are, in place of ``x[rows]``.

    Parameters
    ----------
    x : array
        Usually mapped from a file: ``np.load("x.npy", mmap_mode="r")``.
    rows : array of int
        The indices of the rows (N,).

    Raises
    ------
    DataError
        For a row that the array does not have, and a sparse matrix.

    Examples
    --------
    >>> part = Subset(np.array([[0.0], [10.0], [20.0]]), np.array([2, 0]))
    >>> part.shape, part[:1]
    ((2, 1), array([[20.]]))
    """

    def __init__(self, x: Array, rows: Array) -> None:
        if hasattr(x, "tocsr"):
            raise DataError("x is a sparse matrix, whose rows need no Subset: give x.tocsr()[rows]")
        self.x, self.rows = x, np.asarray(rows)
        if self.rows.dtype.kind not in "iu" or self.rows.ndim != 1:
            found = f"{self.rows.dtype} {self.rows.shape}"
            raise DataError(f"rows are {found}; should be integers (N,)")
        wrong = (self.rows < 0) | (self.rows >= x.shape[0])
        if wrong.any():
            raise DataError(f"row {self.rows[wrong][0]}; should be from 0 to {x.shape[0] - 1}")
        self.shape: Shape = (len(rows), *x.shape[1:])
        self.dtype, self.ndim = x.dtype, x.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        if isinstance(index, slice):
            rows = self.rows[index]
            return reader(self.x, len(rows))(rows)
        row, *rest = index if isinstance(index, tuple) else (index,)
        part: Array = self.x[(self.rows[row], *rest)]
        return part

    def view(self, dtype: Any) -> Subset:
        """Return the same rows with another dtype of the same size."""
        return Subset(self.x.view(dtype), self.rows)


def reader(x: Array | Subset, most: int) -> Callable[[Array], Array]:
    """Return a function that reads up to `most` rows of `x`, into the same memory each time.

    Rows of a sparse matrix get memory of their own.
    """
    if isinstance(x, Subset) and not isinstance(x.x, np.ndarray):
        return x.__getitem__
    buffer = np.empty((most, *x.shape[1:]), x.dtype)
    return lambda rows: take(x, rows, buffer[: len(rows)])


def take(x: Array | Subset, rows: Array, out: Array) -> Array:
    """Set ``out[...] = x[rows]`` and return `out`.

    Rows of a mapped file are read from the file itself: for each row that is read through the
    mapping, the system may map two megabytes, and the process would seem to grow to the size of
    the file.

    Raises
    ------
    FileError
        If the file is gone, or has become shorter.
    """
    if isinstance(x, Subset):
        return take(x.x, x.rows[rows], out)
    file = mapped_file(x)
    if file is not None and has_whole_rows(x):
        _read(file, x, rows, out)
    elif x.flags.c_contiguous:
        # mode="clip" writes directly to `out`, the default mode goes through another array
        # and wants indices of the system's size, which is 32 bits in a browser
        x.take(rows.astype(np.intp, copy=False), axis=0, out=out, mode="clip")
    else:
        out[...] = x[rows]
    return out


def mapped_file(x: Array) -> np.memmap[Any, Any] | None:
    """Return the mapped file that `x` is a view of; None if its pages aren't those of the file."""
    base: Any = x
    while base is not None and not isinstance(base, np.memmap):
        base = getattr(base, "base", None)
    # mode "c", copy on write, has pages of its own where it was written to
    return base if base is not None and base.mode in ("r", "r+", "w+") and base.filename else None


def has_whole_rows(x: Array) -> bool:
    """Whether the numbers of each row are contiguous."""
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
    """Yield all of `x` in order, CHUNK rows at a time.

    The pages of a mapped file are given back now and then: they stay in the system's cache, but
    the process does not grow with what it has read.
    """
    release = releaser(x)
    for start in range(0, len(x), CHUNK):
        part: Array = x[start : start + CHUNK]
        yield part
        release(part.nbytes)


def releaser(x: Array | Subset) -> Callable[[int], None]:
    """Return a function to call with the number of bytes of `x` that were just read, in order.

    It gives the pages of a mapped file back to the system.
    """
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
