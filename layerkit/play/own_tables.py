"""The user's own tables, dropped on the page: their files, and a first state for them."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from layerkit.arrays import Array
from layerkit.columns.cells import words_of
from layerkit.config.toml import read_toml
from layerkit.data.dialects import Dialect
from layerkit.errors import FileError, LayerkitError, at
from layerkit.play.catalogue import State
from layerkit.runs.init import init, raw_columns

USUAL = ("target", "label", "class", "y")
"""Names that a column to predict often has."""
ROWS_OF_A_CLASS = 9
"""With so many, the parts that `init` holds out, 20% and then 15%, have every class."""


class Tables:
    """The tables of a session, in a folder that nobody else sees: here they have names alone."""

    folder: Path | None = None

    def place(self, name: str) -> Path:
        """Return where the file of a table is."""
        if self.folder is None:
            self.folder = Path(mkdtemp(prefix="layerkit-play-"))
            weakref.finalize(self, rmtree, self.folder, ignore_errors=True)
        return self.folder / Path(name.replace("\\", "/")).name

    def __contains__(self, name: str) -> bool:
        return self.folder is not None and self.place(name).is_file()

    @contextmanager
    def written(self, name: str, text: str, encoding: str) -> Iterator[Path]:
        """Write a table; if what is done with it is refused, the one that was there is again."""
        path = self.place(name)
        before = path.read_bytes() if path.exists() else None
        try:
            path.write_bytes(text.encode(encoding))
        except (LookupError, TypeError, UnicodeError) as error:
            raise FileError(f"{name}: is not text in {encoding}") from error
        try:
            yield path
        except LayerkitError:
            path.unlink()
            if before is not None:
                path.write_bytes(before)
            raise

    def shortened(self, reply: Any) -> Any:
        """Return a reply in which the tables have their names alone."""
        return _without(f"{self.folder.as_posix()}/", reply) if self.folder else reply


def _without(folder: str, value: Any) -> Any:
    """Return a reply in which the files of a folder have their names alone."""
    if isinstance(value, dict):
        return {name: _without(folder, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without(folder, inner) for inner in value]
    return value.replace(folder, "") if isinstance(value, str) else value


def columns_of(path: str | Path, encoding: str) -> list[str]:
    """Return the names of a table's columns."""
    with at(str(path)):
        return list(raw_columns(path, Dialect(encoding=encoding)))


def state_for_table(
    path: str | Path, columns: list[str], target: str | None, encoding: str
) -> tuple[State, list[str]]:
    """Return a state that predicts one of a table's columns, and what is learned from, in words.

    It is what ``layerkit init`` writes, without what only helps to end a training run.

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
        says = str(error).replace("--target ", "the column ")
        if "can't be split" in says:  # with options of a file, which a page has not
            says = _too_few(raw_columns(path, Dialect(encoding=encoding, gaps=[""]))[target], says)
        error.args = (says,)
        raise
    state = read_toml(output)
    output.unlink()
    del state["data"]["validation_size"], state["training"]["callbacks"]
    del state["training"]["metrics"]
    body = state["network"]["body"]
    body["layers"] = [layer for layer in body["layers"] if layer["type"] != "Dropout"]
    told = [line for line in said if line.startswith(("To learn from", "Left out"))]
    return state, [f"The table is read as {encoding}"] * len(written) + told


def _too_few(targets: Array, why: str) -> str:
    """Return how many rows a table should have that can't be split, in words for the page."""
    labels = [word for word in words_of(targets) if word is not None]
    if "every class" not in why:
        return f"{len(labels)} rows are too few, some are held out to test on; add rows: 3 would do"
    classes = len(set(labels))
    return (
        f"{len(labels)} rows of {classes} classes are too few, some are held out to test on, with "
        f"every class among them; add rows: {ROWS_OF_A_CLASS * classes} would do, "
        f"{ROWS_OF_A_CLASS} of each class"
    )
