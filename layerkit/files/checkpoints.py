"""Checkpoints: the whole state of a training as files, of which the newest whole one counts.

A state is a tree: tables by name, inside each other, with arrays and plain values as leaves.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.config.options import Configurable, Size
from layerkit.errors import ConfigError, FileError
from layerkit.files.atomic import (
    alone_in,
    file_errors,
    read_json,
    read_tensors,
    sync_folder,
    write_tensors,
)

FORMAT, TREE = "layerkit.format", "layerkit.tree"
"""Keys of what stands beside the arrays: the version of the format, and the tree as JSON."""
VERSION = "1"
"""Changes when files of before can't be read any more."""
NAME = re.compile(r"step-(\d{8,})\.safetensors")


def write_tree(path: str | Path, tree: dict[str, Any]) -> None:
    """Write a state to one ``.safetensors`` file, whole or not at all.

    An array stands there by its JSON pointer (RFC 6901), as ``/optimizer/v``; everything else is
    JSON in the metadata, with null in the arrays' places.

    Raises
    ------
    FileError
        When the file can't be written, or the tree holds what doesn't come back as it was: leaves
        are arrays, None, bool, int, float and str, or lists of them; keys are str.

    Examples
    --------
    >>> import tempfile
    >>> from layerkit.optimizers.adam import Adam
    >>> tree = {"step": 7, "best": float("inf"), "optimizer": {"v": np.arange(3.0)}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tree(f"{folder}/state.safetensors", tree)
    ...     read_tree(f"{folder}/state.safetensors")
    {'step': 7, 'best': inf, 'optimizer': {'v': array([0., 1., 2.])}}
    """
    arrays: dict[str, Array] = {}

    def plain(value: Any, place: str) -> Any:
        """Return `value` as JSON, with its arrays moved to `arrays`."""
        kind = type(value)
        if kind is np.ndarray:
            arrays[place] = value
            return None
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    raise FileError(f"{path}: {place or '/'} has the key {key!r}, which is no text")
            return {key: plain(item, f"{place}/{_escape(key)}") for key, item in value.items()}
        if kind is list:
            return [plain(item, f"{place}/{i}") for i, item in enumerate(value)]
        if value is None or kind in (bool, int, float, str):
            return value
        raise FileError(
            f"{path}: {place or '/'} is of type {kind.__name__}, which would not come back as it "
            "was: a state is made of dict, list, str, int, float, bool, None and arrays"
        )

    text = json.dumps(plain(tree, ""))
    write_tensors(Path(path), arrays, {FORMAT: VERSION, TREE: text})


def read_tree(path: str | Path) -> dict[str, Any]:
    """Return what `write_tree` wrote: the same values, types and order of keys.

    Raises
    ------
    FileError
        For a file that is missing, damaged anywhere, or holds something else.
    """
    arrays, metadata = read_tensors(Path(path))
    if metadata.get(FORMAT) != VERSION:
        found = metadata.get(FORMAT, "none")
        raise FileError(
            f"{path}: the format of its state is {found}, this layerkit reads {VERSION}"
        )
    tree: dict[str, Any]
    try:
        root: dict[str, Any] = {"": read_json(metadata[TREE])}
        for place, array in arrays.items():
            *keys, last = map(_unescape, place.split("/"))
            node: Any = root
            for key in keys:
                node = node[key] if isinstance(node, dict) else node[int(key)]
            node[last if isinstance(node, dict) else int(last)] = array
        (tree,) = root.values()
    except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: its arrays don't fit its tree: {error!r}") from error
    return tree


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _unescape(key: str) -> str:
    return key.replace("~1", "/").replace("~0", "~")


class Checkpoint(NamedTuple):
    """A state that was loaded: the tree, its file, and a sentence on each newer, damaged file."""

    tree: dict[str, Any]
    path: Path
    damaged: list[str]


class Checkpoints(Configurable):
    """The last states of a training in a folder, as ``step-00001234.safetensors``.

    Parameters
    ----------
    folder : str
        Where they are. A run of the command has a folder of its own for them.
    every : int
        Steps between two saves, besides the one after each epoch.
    keep : int
        How many are kept. An old one goes when the new one is safe on the disk.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder, keep=2)
    ...     for step in (10, 20, 30):
    ...         path = checkpoints.save({"w": np.ones(2) * step}, step)
    ...     tree, path, damaged = checkpoints.load()
    ...     print(tree, path.name, len(checkpoints.paths()))
    {'w': array([30., 30.])} step-00000030.safetensors 2
    """

    folder: str | Path | None = None
    every: Size | None = None
    keep: Size = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folder is not None:
            self.folder = str(self.folder)  # which a file of configuration can hold

    def paths(self) -> list[Path]:
        """Return the files that there are, the newest first."""
        files = self._files()
        return [files[step] for step in sorted(files, reverse=True)]

    def are_due(self, step: int) -> bool:
        """Whether a state is to be saved after `step` steps, besides the end of an epoch."""
        return self.every is not None and step % self.every == 0

    def save(self, tree: dict[str, Any], step: int) -> Path:
        """Write the state after `step` steps, then remove old files; return the new one.

        Files of later steps go too: they belong to a training that went on in another way.

        Raises
        ------
        FileError
            As `write_tree`: what was there is still there. Or when an old file can't be removed.
        """
        folder = self._folder()
        with file_errors(f"{folder}: can't be made"):
            for missing in [f for f in (*reversed(folder.parents), folder) if not f.exists()]:
                missing.mkdir(exist_ok=True)
                sync_folder(missing.parent)
        path = folder / f"step-{step:08d}.safetensors"
        write_tree(path, tree)
        with file_errors(f"{folder}: old files can't be removed"), alone_in(folder):
            files = self._files()
            last = [number for number in sorted(files) if number <= step][-self.keep :]
            # where another process has removed the new file, none of its files may go
            if step in last:
                for number in files.keys() - last:
                    files[number].unlink(missing_ok=True)
        return path

    def load(self) -> Checkpoint:
        """Return the newest state that is whole.

        Raises
        ------
        FileError
            When there is none; it says what is wrong with each file.
        """
        folder = self._folder()
        damaged: list[str] = []
        with file_errors(f"{folder}: can't be read"), alone_in(folder):
            for path in self.paths():
                try:
                    return Checkpoint(read_tree(path), path, damaged)
                except FileError as error:
                    damaged.append(str(error))
        raise FileError("\n".join([f"{folder}: no checkpoint there that can be loaded", *damaged]))

    def _folder(self) -> Path:
        if self.folder is None:
            raise ConfigError("Checkpoints.folder: missing; where should the checkpoints go?")
        return Path(self.folder)

    def _files(self) -> dict[int, Path]:
        folder = self._folder()
        if not folder.exists():
            return {}
        with file_errors(f"{folder}: can't be read"):
            names = [NAME.fullmatch(name) for name in os.listdir(folder)]
        return {int(name[1]): folder / name[0] for name in names if name}
