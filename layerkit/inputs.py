"""Examples from outside: checked once, converted batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import DataError, ShapeError
from layerkit.files.mapped import CHUNK, Subset, pieces


class Inputs:
    """Examples of one shape, in the dtype of a network.

    Arrays of uint8 are images, 0 to 255: they are divided by 255, batch by batch, so that a data
    set of images stays bytes in memory. All others are taken as they are, in the network's dtype.

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

    def __init__(self, shape: Shape, dtype: str) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)

    def check(self, x: Any) -> Array | Subset:
        """Return examples as an array (N, *shape), after looking at all of them.

        Raises
        ------
        ShapeError, DataError
            For examples that don't fit or are not finite.
        """
        rows = x if isinstance(x, Subset) else as_array(x, "examples")
        if rows.shape == self.shape:
            raise ShapeError(f"one example of shape {rows.shape} without a batch axis; try x[None]")
        if rows.shape[1:] != self.shape:
            wanted = ", ".join(map(str, ("N", *self.shape)))
            raise ShapeError(f"examples have shape {rows.shape}; should be ({wanted})")
        if not len(rows):
            raise DataError(f"no examples: an array of shape {rows.shape}")
        if rows.dtype.kind not in "biuf":
            raise DataError(f"examples of type {rows.dtype}; should be numbers")
        if rows.dtype.kind == "f":
            for i, chunk in enumerate(self.chunks(rows)):
                if not np.isfinite(chunk).all():
                    row, *rest = (int(i) for i in np.argwhere(~np.isfinite(chunk))[0])
                    index = (i * CHUNK + row, *rest)
                    raise DataError(
                        f"x{list(index)} is {rows[index]}; should be a finite {self.dtype}"
                    )
        return rows

    def convert(self, x: Array, out: Array | None = None) -> Array:
        """Return a batch in the network's dtype; bytes go to `out` if it is given."""
        if x.dtype == self.dtype:
            return x
        if x.dtype == np.uint8:
            return np.divide(x, 255, out=out, dtype=self.dtype)
        with np.errstate(over="ignore"):  # the checks find what becomes infinite
            return x.astype(self.dtype)

    def chunks(self, rows: Array | Subset) -> Iterator[Array]:
        """Checked examples, converted, CHUNK at a time."""
        return map(self.convert, pieces(rows) if len(rows) > CHUNK else (rows[:],))


def as_array(values: Any, what: str) -> Array:
    """Return `values` as an array; DataError for a ragged list or a masked array."""
    if np.ma.isMaskedArray(values):
        raise DataError(f"{what} are a masked array; fill what is masked, or leave it out")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} are not an array: {error}") from error
