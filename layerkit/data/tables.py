"""Tables: DataFrames, and dicts of columns, as examples."""

from __future__ import annotations

from layerkit.graph.container import Container
from layerkit.layers.base import Layer
from layerkit.layers.table import Table


def table_of(body: Layer | None) -> Table | None:
    """Return the Table that alone reads the input of a body, if there is one.

    Examples
    --------
    >>> from layerkit import Dense, Number, Sequential
    >>> table_of(Sequential([Sequential([Table([Number("age")])]), Dense(2)]))
    Table(columns=[Number(name='age')])
    """
    while isinstance(body, Container):
        readers = [name for name, read in body.wiring().items() if "input" in read]
        body = dict(body.parts()).get(readers[0]) if len(readers) == 1 else None
    return body if isinstance(body, Table) else None
