"""Tables of one's own that are dropped on the page: a first state for them."""

from __future__ import annotations

from pathlib import Path

from layerkit.config.toml import read_toml
from layerkit.data.dialects import Dialect
from layerkit.errors import LayerkitError, at
from layerkit.play.catalogue import State
from layerkit.runs.init import init, raw_columns

USUAL = ("target", "label", "class", "y")
"""Names that a column to predict often has."""


def columns_of(path: str | Path, encoding: str) -> list[str]:
    """Return the names of a table's columns."""
    with at(str(path)):
        return list(raw_columns(path, Dialect(encoding=encoding)))


def state_for_table(
    path: str | Path, columns: list[str], target: str | None, encoding: str
) -> tuple[State, list[str]]:
    """Return a state that predicts one of a table's columns, and what is learned from, in words.

    It is what ``layerkit init`` writes, without what helps only a training to its end.

    Raises
    ------
    LayerkitError
        For a table that can't be learned from, or a column that can't be predicted.
    """
    path = Path(path)
    if target is None:
        target = next((name for name in columns if name.lower() in USUAL), columns[-1])
    output = path.with_suffix(".toml")
    try:
        written = {} if encoding == "utf-8" else {"encoding": encoding}
        said = init(path, [target], output, force=True, **written).splitlines()
    except LayerkitError as error:
        error.args = (str(error).replace("--target ", "the column "),)
        raise
    state = read_toml(output)
    output.unlink()
    del state["data"]["validation_size"], state["training"]["callbacks"]
    del state["training"]["metrics"]
    body = state["network"]["body"]
    body["layers"] = [layer for layer in body["layers"] if layer["type"] != "Dropout"]
    told = [line for line in said if line.startswith(("To learn from", "Left out"))]
    return state, [f"The table is read as {encoding}"] * len(written) + told
