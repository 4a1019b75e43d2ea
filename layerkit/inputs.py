"""Examples from outside: checked once, converted batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.data.given import as_rows, hint_at_several
from layerkit.data.seen import ROUNDING, Pixels, SeenData, are_flags
from layerkit.errors import DataError, ShapeError, row_error
from layerkit.files.mapped import CHUNK, Subset, pieces
from layerkit.layers.base import Layer


class Inputs:
    """Examples of one shape, in the dtype of a network.

    Arrays of uint8 are images, 0 to 255: they are divided by 255, batch by batch, so that a data
    set of images stays bytes in memory. All others are taken as they are, in the network's dtype,
    and so is uint8 without a byte above 1: those are flags. After training with the one kind, the
    same images in the other are refused, and so are other columns of a table, or another order.
    Rows of a sparse matrix of SciPy are made dense batch by batch, unless a Dense at the beginning
    of `body` is faster with them as they are: see `SparseRows`.

    Examples
    --------
    >>> inputs = Inputs((2,), "float32")
    >>> inputs.convert(np.array([[0, 51]], np.uint8))
    array([[0. , 0.2]], dtype=float32)
    >>> inputs.check([[1.0, np.nan]])
    Traceback (most recent call last):
    ...
    layerkit.errors.DataError: x[0, 1] is nan; should be a finite float32
    """

    def __init__(
        self,
        shape: Shape,
        dtype: str,
        seen: SeenData | None = None,
        body: Layer | None = None,
    ) -> None:
        self.shape, self.dtype, self.seen = shape, np.dtype(dtype), seen or SeenData()
        self.body = body
        from layerkit.data.tables import table_of

        self.table = table_of(body)

    def check(self, x: Any, *, learn: bool = False) -> Array | Subset:
        """Return examples as an array (N, *shape), after looking at all of them.

        With `learn`, they are training data, and their kind of pixels is kept.

        Raises
        ------
        ShapeError, DataError
            For examples that don't fit or are not finite, or are other pixels than in training.
        """
        if self.table is not None:
            x = self.table.encode(x)
        columns = getattr(x, "columns", None)
        self.seen.check_columns(columns, learn=learn)
        rows = as_rows(x)
        if (columns is not None or self.table) and rows.dtype == np.uint8:  # a table is no image
            rows = rows[:].astype(np.int16)
        if rows.shape == self.shape:
            raise ShapeError(f"one example of shape {rows.shape} without a batch axis; try x[None]")
        if rows.shape[1:] != self.shape:
            wanted = ", ".join(map(str, ("N", *self.shape)))
            same = math.prod(rows.shape[1:]) == math.prod(self.shape)
            hint = f"; try x.reshape({', '.join(map(str, (-1, *self.shape)))})" if same else ""
            if rows.ndim > 1 + len(self.shape):
                hint = hint or hint_at_several(x)
            raise ShapeError(f"examples have shape {rows.shape}; should be ({wanted}){hint}")
        if not len(rows):
            raise DataError(f"no examples: an array of shape {rows.shape}")
        flags = rows.dtype == np.uint8 and self.seen.pixels != "bytes" and are_flags(rows)
        if flags:
            rows = rows.view(bool)
        low, high = 0.0, 1.0  # the range of all numbers, together with these two
        if rows.dtype.kind == "f" or (rows.dtype != np.uint8 and (learn or self.seen.pixels)):
            for i, chunk in enumerate(self.chunks(rows)):
                if self.table:  # which takes gaps
                    chunk = np.where(np.isnan(chunk), 0, chunk)
                lowest, highest = float(chunk.min()), float(chunk.max())
                low, high = min(low, lowest), max(high, highest)
                if not (math.isfinite(lowest) and math.isfinite(highest)):
                    row, *rest = (int(i) for i in np.argwhere(~np.isfinite(chunk))[0])
                    index = (i * CHUNK + row, *rest)
                    reason = f" is {rows[index]}; should be a finite {self.dtype}"
                    if self.table:
                        raise row_error(f"{self.table.named(rest[0])} of ", index[:1], reason, "x")
                    raise row_error("", index, reason, "x")
        unit = low >= -ROUNDING and high <= 1 + ROUNDING
        pixels: Pixels = "flags" if flags else "unit" if unit else "other"
        if rows.dtype == np.uint8:
            pixels = "bytes"
        self.seen.check_pixels(pixels, (low, high), learn=learn)
        return rows

    def convert(self, x: Any, out: Array | None = None) -> Array:
        """Return a batch in the network's dtype; bytes go to `out` if it is given."""
        if not isinstance(x, np.ndarray):  # rows of a sparse matrix
            return x.converted(self.convert, self.body)
        if x.dtype == self.dtype:
            return x
        if x.dtype == np.uint8:
            return np.divide(x, 255, out=out, dtype=self.dtype)
        with np.errstate(over="ignore"):  # the checks find what becomes infinite
            return x.astype(self.dtype)

    def chunks(self, rows: Array | Subset) -> Iterator[Array]:
        """Checked examples, converted, CHUNK at a time."""
        return map(self.convert, pieces(rows) if len(rows) > CHUNK else (rows[:],))
