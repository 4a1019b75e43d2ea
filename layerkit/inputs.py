"""Examples from outside: checked once, converted batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from numbers import Real
from typing import Any, Literal

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Configurable
from layerkit.errors import DataError, ShapeError, listed
from layerkit.files.mapped import CHUNK, Subset, pieces

Pixels = Literal["bytes", "unit", "other"]
ROUNDING = 1e-5
"""How far pixels may be outside of 0 to 1, where they were computed."""


class SeenData(Configurable):
    """The facts about its training data that a network needs to predict, and is saved with.

    Attributes
    ----------
    pixels : {"bytes", "unit", "other"}, optional
        "bytes" for inputs of uint8, which are divided by 255; "unit" for numbers from 0 to 1, which
        may be the same pixels; "other" for all others.
    features : list of str, optional
        The names of the columns, where the inputs were a table, such as a DataFrame.
    classes : list, optional
        The names of the classes, by class number.
    mean, scale : list of float, optional
        Of each target, where targets are standardized.
    """

    pixels: Pixels | None = None
    features: list[str] | None = None
    classes: list[str] | list[bool] | None = None
    mean: list[float] | None = None
    scale: list[float] | None = None


class Inputs:
    """Examples of one shape, in the dtype of a network.

    Arrays of uint8 are images, 0 to 255: they are divided by 255, batch by batch, so that a data
    set of images stays bytes in memory. All others are taken as they are, in the network's dtype,
    and so is uint8 without a byte above 1: those are flags. After a training with the one kind, the
    same images in the other are refused, and so are other columns of a table, or another order.
    Rows of a sparse matrix of SciPy are made dense batch by batch.

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

    def __init__(self, shape: Shape, dtype: str, seen: SeenData | None = None) -> None:
        self.shape, self.dtype, self.seen = shape, np.dtype(dtype), seen or SeenData()

    def check(self, x: Any, *, learn: bool = False) -> Array | Subset:
        """Return examples as an array (N, *shape), after looking at all of them.

        With `learn`, they are training data, and their kind of pixels is kept.

        Raises
        ------
        ShapeError, DataError
            For examples that don't fit or are not finite, or are other pixels than in training.
        """
        self._check_columns(getattr(x, "columns", None), learn)
        if hasattr(x, "tocsr"):
            x = Subset(x.tocsr(), np.arange(x.shape[0]))
        rows = x if isinstance(x, Subset) else as_array(x, "examples")
        if rows.shape == self.shape:
            raise ShapeError(f"one example of shape {rows.shape} without a batch axis; try x[None]")
        if rows.shape[1:] != self.shape:
            wanted = ", ".join(map(str, ("N", *self.shape)))
            same = rows.ndim and math.prod(rows.shape[1:]) == math.prod(self.shape)
            hint = f"; try x.reshape({', '.join(map(str, (-1, *self.shape)))})" if same else ""
            if rows.ndim > 1 + len(self.shape):
                hint = hint or _several(x)
            raise ShapeError(f"examples have shape {rows.shape}; should be ({wanted}){hint}")
        if not len(rows):
            raise DataError(f"no examples: an array of shape {rows.shape}")
        if rows.dtype.kind not in "biuf":
            rows = _floats(rows[:], getattr(x, "columns", None))
        if rows.dtype == np.uint8 and self.seen.pixels != "bytes" and _are_flags(rows):
            rows = rows.view(bool)
        low, high = 0.0, 1.0  # the range of all numbers, together with these two
        if rows.dtype.kind == "f" or (rows.dtype != np.uint8 and (learn or self.seen.pixels)):
            for i, chunk in enumerate(self.chunks(rows)):
                lowest, highest = float(chunk.min()), float(chunk.max())
                low, high = min(low, lowest), max(high, highest)
                if not (math.isfinite(lowest) and math.isfinite(highest)):
                    row, *rest = (int(i) for i in np.argwhere(~np.isfinite(chunk))[0])
                    index = (i * CHUNK + row, *rest)
                    raise DataError(
                        f"x{list(index)} is {rows[index]}; should be a finite {self.dtype}"
                    )
        unit = low >= -ROUNDING and high <= 1 + ROUNDING
        pixels: Pixels = "bytes" if rows.dtype == np.uint8 else "unit" if unit else "other"
        if learn and self.seen.pixels in (None, "unit"):
            self.seen.pixels = pixels
        if (self.seen.pixels, pixels) == ("bytes", "other"):
            raise DataError(
                f"x goes from {low:.6g} to {high:.6g} in {rows.dtype}, and the network was trained "
                "on bytes, which it divides by 255: give x as uint8, or numbers from 0 to 1"
            )
        if (self.seen.pixels, pixels) == ("other", "bytes"):
            raise DataError(
                "x is uint8, whose bytes are divided by 255, and the network was trained on other "
                "numbers: give x in the same type and scale, such as x.astype(float)"
            )
        return rows

    def _check_columns(self, columns: Any, learn: bool) -> None:
        """Raise a DataError for a table with other columns than in training."""
        if columns is None or not all(isinstance(name, str) for name in columns):
            return
        names, known = list(columns), self.seen.features
        if learn and known is None:
            self.seen.features = known = names
        if known is not None and names != known:
            order = "in another order" if sorted(names) == sorted(known) else "not those"
            raise DataError(
                f"the columns of x, {listed(names)}, are {order} of the training, {listed(known)}: "
                "give x[network.seen.features]"
            )

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


def _are_flags(rows: Array | Subset) -> bool:
    """Whether bytes are 0 and 1 alone, and some are 1: truth values, one-hot columns."""
    highest = 0
    for part in pieces(rows):
        if (highest := max(highest, int(part.max()))) > 1:
            break
    return highest == 1


def _floats(rows: Array, columns: Any) -> Array:
    """Return Python objects as floats: a DataFrame with columns of several types has those.

    Raises
    ------
    DataError
        For an object that is not a number, with its place.
    """
    for index, value in np.ndenumerate(rows):
        if not isinstance(value, (Real, np.bool)):
            column = "" if columns is None else f" (column {list(columns)[index[-1]]!r})"
            raise DataError(
                f"examples of type {rows.dtype}; should be numbers, but x{list(index)} is "
                f"{value}{column}"
            )
    return rows.astype(float)


def _several(x: Any) -> str:
    """What to do with a list of arrays, one for each input; empty for anything else."""
    parts = x if isinstance(x, list | tuple) else []
    several = len(parts) > 1 and all(
        isinstance(part, np.ndarray) and part.ndim > 1 and len(part) == len(parts[0])
        for part in parts
    )
    return (
        "; several arrays are given as one, np.concatenate([...], axis=-1), and Take hands each "
        "part of the network its columns"
    ) * several


def as_array(values: Any, what: str) -> Array:
    """Return `values` as an array; DataError for what is none, a ragged list, a masked array."""
    if np.ma.isMaskedArray(values):
        raise DataError(f"{what} are a masked array; fill what is masked, or leave it out")
    if hasattr(values, "toarray"):
        values = values.toarray()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} are not an array: {error}{_several(values)}") from error
    if not array.ndim:
        raise DataError(f"{what} are of type {type(values).__name__}; should be an array or a list")
    return array
