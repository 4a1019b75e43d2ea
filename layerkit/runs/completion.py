"""Completion of an experiment from its data: a Table's columns, the shape of the examples."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from layerkit.columns.cells import has_gaps
from layerkit.columns.choice import choose_columns
from layerkit.columns.kinds import Number
from layerkit.config.tables import from_config, to_config
from layerkit.data.datasets import Data, known_shape
from layerkit.data.tables import table_of
from layerkit.errors import ConfigError, LayerkitError, LayerkitWarning
from layerkit.layers.base import Layer
from layerkit.layers.table import Table
from layerkit.training.options import Training


def complete(config: dict[str, Any]) -> None:
    """Complete the tables of an experiment with what the training examples say.

    - A Table that begins the body gets the columns that it does not name, of all `features`.
    - A network without `shape` gets that of the examples.

    Where an option that this takes is wrong nothing is read: making the experiment tells all.

    Raises
    ------
    ConfigError, DataError, FileError
        For data that can't be read, or a column that they don't have.
    """
    network, source = config.get("network"), config.get("data", {})
    if not isinstance(network, dict) or not isinstance(source, dict):
        return
    if "path" not in source:
        shape = known_shape(str(source.get("name", "digits")))
        network.setdefault("shape", list(shape or [1]))  # another name is wrong, and refused
        return
    body: Layer | None = None
    try:
        body = from_config(network.get("body", {}), Layer)  # type: ignore[type-abstract]
        data = from_config(source, Data)
        seed = from_config(config.get("training", {}), Training).seed
    except LayerkitError:
        table = table_of(body)
        if body and table and table.columns is None and "shape" not in network:
            _place(config, body, table)["columns"] = [to_config(Number("-"))]
        network.setdefault("shape", [1])  # neither need be there
        return
    table = table_of(body)
    if table is not None:
        _complete_table(config, body, table, data, seed)
    elif "shape" not in network:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LayerkitWarning)  # a run loads them again, and warns
            network["shape"] = list(data.load(seed).train.x.shape[1:])


def _address(body: Layer, table: Table) -> str:
    return next(address for address, layer in body.walk("network.body") if layer is table)


def _place(config: dict[str, Any], body: Layer, table: Table) -> Any:
    """Return the options of the Table in the tables of an experiment."""
    place: Any = config
    for name in _address(body, table).split("."):
        place = place[int(name) if isinstance(place, list) else name]
    return place


def _complete_table(
    config: dict[str, Any], body: Layer, table: Table, data: Data, seed: int
) -> None:
    place = _place(config, body, table)
    columns = {column.name: column for column in table.columns or []}
    said = {column["name"] for column in place.get("columns", []) if "gaps" in column}
    explicit = all(column.complete for column in columns.values())
    if not columns or not explicit or not said == columns.keys() == set(data.features or []):
        raw, rows = data.columns(seed, table.blanks)
        for name in columns.keys() - raw.keys():
            if name in (data.time, data.weight, *data.labels):
                role = {data.time: "time", data.weight: "weight"}.get(name, "label")
                listed = "; it is one if features lists it" if role == "time" else ""
                raise ConfigError(
                    f"{_address(body, table)}: column {name!r} is the {role} in [data], and no "
                    f"feature{listed}"
                )
        try:
            chosen = choose_columns(raw, columns, rows)
        except LayerkitError as error:
            raise type(error)(f"{_address(body, table)}: {error}") from error
        found = {
            column.name: column
            if column.name in said
            else replace(column, gaps=has_gaps(raw[column.name][rows]))
            for column in chosen
        }
        columns = {name: found[name] for name in [*columns, *found]}  # those given keep their place
        place["columns"] = [to_config(column) for column in columns.values()]
        config["data"]["features"] = list(columns)
    config["network"].setdefault("shape", [len(columns)])
