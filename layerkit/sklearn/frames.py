"""DataFrames with words, dates and gaps: the Table in front of a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from layerkit.arrays import Array
from layerkit.columns.cells import has_gaps, is_table, raw_table
from layerkit.columns.choice import choose_columns
from layerkit.errors import DataError, listed
from layerkit.layers.table import Table


def needed_table(X: Any) -> Table | None:
    """Return the Table for a DataFrame with words, dates or gaps; None for numbers alone.

    Examples
    --------
    >>> import pandas as pd
    >>> needed_table(pd.DataFrame({"a": [1, 2]}))
    >>> needed_table(pd.DataFrame({"a": [1, 2, 1], "b": ["x", "y", "x"]}))
    Table(columns=[Number(name='a'), Category(name='b', categories=['x', 'y'])])
    """
    if not hasattr(X, "columns"):
        return None
    raw = raw_table(X)
    plain = all(x.dtype.kind in "biuf" and not has_gaps(x) for x in raw.values())
    return None if plain else Table.of(raw)


def filled(table: Table, X: Any) -> Table:
    """Return a Table whose columns are chosen from a DataFrame, if it lists none."""
    if table.columns is not None:
        return table
    if not is_table(X):
        raise DataError("X has no names of columns: give a DataFrame, or leave the Table out")
    return replace(table, columns=choose_columns(raw_table(X, table.blanks)))


def encoded(X: Any, table: Table) -> Array:
    """Return a DataFrame as its Table takes it; DataError for an array without names."""
    if not is_table(X):
        raise DataError(
            "X has no names of columns: give a DataFrame with "
            f"{listed(repr(column.name) for column in table.ready())}"
        )
    return table.encode(X)
