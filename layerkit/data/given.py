"""Arrays from what users give: lists, DataFrames, sparse matrices."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import DataError
from layerkit.files.mapped import Subset


def as_rows(x: Any) -> Array | Subset:
    """Return examples as an array, or as a subset of one that is mapped from a file, or sparse.

    Raises
    ------
    DataError
        As `as_array`, and for cells that are no numbers.
    """
    if hasattr(x, "tocsr"):
        from layerkit.data.sparse import SparseRows

        x = SparseRows(x.tocsr())
    rows = x if isinstance(x, Subset) else as_array(x, "examples")
    if rows.dtype.kind in "biuf" or not len(rows):
        return rows
    return _floats(np.asarray(rows[:]), getattr(x, "columns", None))


def as_array(values: Any, what: str) -> Array:
    """Return `values` as an array; DataError for what is none, a ragged list, a masked array."""
    if np.ma.isMaskedArray(values):
        raise DataError(f"{what} are a masked array; fill what is masked, or leave it out")
    if hasattr(values, "toarray"):
        values = values.toarray()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{what} are not an array: {error}{hint_at_several(values)}") from error
    if not array.ndim:
        raise DataError(f"{what} are of type {type(values).__name__}; should be an array or a list")
    return array


def hint_at_several(x: Any) -> str:
    """Return what to write for a list of arrays, one for each input; empty for anything else."""
    parts = x if isinstance(x, list | tuple) else []
    if len(parts) < 2 or not all(
        isinstance(part, np.ndarray) and part.ndim > 1 and len(part) == len(parts[0])
        for part in parts
    ):
        return ""
    return (
        "; several arrays are given as one, np.concatenate([...], axis=-1), and Take hands each "
        "part of the network its columns"
    )


def _floats(rows: Array, columns: Any) -> Array:
    """Return Python objects as floats: a DataFrame with columns of several types has those.

    Raises
    ------
    DataError
        For an object that is not a number, with its place.
    """
    if all(issubclass(kind, (Real, np.bool)) for kind in set(map(type, rows.flat))):
        return rows.astype(float)
    index = next(i for i in np.ndindex(rows.shape) if not isinstance(rows[i], (Real, np.bool)))
    column = ""
    if columns is not None:
        column = (
            f" (column {list(columns)[index[-1]]!r}); with Table.of(x) as its first layer, a "
            "network takes words too"
        )
    raise DataError(
        f"examples of type {rows.dtype}; should be numbers, but x{list(index)} is "
        f"{rows[index]}{column}"
    )
