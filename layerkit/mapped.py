"""Arrays that are bigger than memory: mapped from a file, and not to be copied."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from typing import Any

import numpy as np

from layerkit.parameters import Array, Shape

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

    Examples
    --------
    >>> part = Subset(np.array([[0.0], [10.0], [20.0]]), np.array([2, 0]))
    >>> part.shape, part[:1]
    ((2, 1), array([[20.]]))
    """

    def __init__(self, x: Array, rows: Array) -> None:
        self.x, self.rows = x, rows
        self.shape: Shape = (len(rows), *x.shape[1:])
        self.dtype, self.ndim = x.dtype, x.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Array:
        rows, *rest = index if isinstance(index, tuple) else (index,)
        part: Array = self.x[(self.rows[rows], *rest)]
        return part

    def take(self, rows: Array, axis: int, out: Array, mode: Any) -> Array:
        """Do what ``ndarray.take`` does."""
        return self.x.take(self.rows[rows], axis=axis, out=out, mode=mode)


def releaser(x: Array | Subset) -> Callable[[int], None]:
    """Return what to tell how many bytes of `x` were read.

    If a file is mapped read-only or shared, its pages are given back now and then: they stay in the
    system's cache, but the process does not grow with all that it has read.
    """
    base: Any = x.x if isinstance(x, Subset) else x
    shared = False
    while base is not None and not isinstance(base, mmap.mmap):
        # what was written to a private copy lies in its pages alone
        shared = shared or (isinstance(base, np.memmap) and base.mode != "c")
        base = getattr(base, "base", None)
    if base is None or not shared or not hasattr(base, "madvise"):
        return lambda size: None
    mapping, read = base, 0

    def release(size: int) -> None:
        nonlocal read
        read += size
        if read >= RELEASE:
            mapping.madvise(mmap.MADV_DONTNEED)
            read = 0

    return release
