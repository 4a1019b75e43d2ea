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


def state_for_table(path: str | Path, target: str | None) -> tuple[State, list[str], str]:
    """Return a state that predicts a column, the names of all columns, and that column.

    It is what ``layerkit init`` writes, without what helps only a training to its end.

    Raises
    ------
    LayerkitError
        For a table that can't be read, or a column that can't be predicted.
    """
    path = Path(path)
    with at(str(path)):
        columns = list(raw_columns(path, Dialect()))
    if target is None:
        target = next((name for name in columns if name.lower() in USUAL), columns[-1])
    output = path.with_suffix(".toml")
    try:
        init(path, [target], output, force=True)
    except LayerkitError as error:
        error.args = (str(error).replace("--target ", "the column "),)
        raise
    state = read_toml(output)
    output.unlink()
    del state["data"]["validation_size"], state["training"]["callbacks"]
    del state["training"]["metrics"]
    body = state["network"]["body"]
    body["layers"] = [layer for layer in body["layers"] if layer["type"] != "Dropout"]
    return state, columns, target
