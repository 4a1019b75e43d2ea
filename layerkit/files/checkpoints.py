"""Checkpoints: the whole state of a training run in a file; the newest undamaged one is loaded.

A state is a tree: nested dicts with arrays and plain values as leaves.
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
    file_errors,
    lock_folder,
    make_folder,
    read_json,
    read_tensors,
    write_tensors,
)

FORMAT, TREE = "layerkit.format", "layerkit.tree"
"""Metadata keys: the version of the format, and the tree as JSON."""
VERSION = "2"
"""Version of the format; it changes when older files can't be read any more."""
NAME = re.compile(r"step-(\d{8,})\.safetensors")


def write_tree(path: str | Path, tree: dict[str, Any]) -> None:
    """Write a state to one ``.safetensors`` file, atomically.

    Arrays are named by their JSON pointers (RFC 6901), such as ``/optimizer/v``; everything else
    is JSON in the metadata, with null in place of the arrays.

    Raises
    ------
    FileError
        If the file can't be written, or the tree holds something that would not come back as it
        was: leaves are arrays, None, bool, int, float and str, or lists of them; keys are str.

    Examples
    --------
    >>> import tempfile
    >>> from layerkit.files.checkpoints import read_tree
    >>> tree = {"step": 7, "best": float("inf"), "optimizer": {"v": np.arange(3.0)}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_tree(f"{folder}/state.safetensors", tree)
    ...     read_tree(f"{folder}/state.safetensors")
    {'step': 7, 'best': inf, 'optimizer': {'v': array([0., 1., 2.])}}
    """
    arrays: dict[str, Array] = {}

    def without_arrays(value: Any, pointer: str) -> Any:
        """Return `value` as it is in JSON, with its arrays moved to `arrays`."""
        kind = type(value)
        if kind is np.ndarray:
            arrays[pointer] = value
            return None
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    raise FileError(
                        f"{path}: {pointer or '/'} has the key {key!r}, which is not a string"
                    )
            return {
                key: without_arrays(item, f"{pointer}/{_escape(key)}")
                for key, item in value.items()
            }
        if kind is list:
            return [without_arrays(item, f"{pointer}/{i}") for i, item in enumerate(value)]
        if value is None or kind in (bool, int, float, str):
            return value
        raise FileError(
            f"{path}: {pointer or '/'} is of type {kind.__name__}, which would not come back as "
            "it was: a state is made of dict, list, str, int, float, bool, None and arrays"
        )

    text = json.dumps(without_arrays(tree, ""))
    write_tensors(path, arrays, {FORMAT: VERSION, TREE: text})


def read_tree(path: str | Path) -> dict[str, Any]:
    """Read a state that `write_tree` wrote: the same values, types and order of keys.

    Raises
    ------
    FileError
        For a file that is missing, damaged anywhere, or not a state.
    """
    arrays, metadata = read_tensors(path)
    if metadata.get(FORMAT) != VERSION:
        found = metadata.get(FORMAT, "none")
        raise FileError(
            f"{path}: the format of its state is {found}; this version of layerkit reads {VERSION}"
        )
    tree: dict[str, Any]
    try:
        root: dict[str, Any] = {"": read_json(metadata[TREE])}
        for pointer, array in arrays.items():
            *keys, last = map(_unescape, pointer.split("/"))
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
    """A loaded state: the tree, its file, and an error message for each newer, damaged file."""

    tree: dict[str, Any]
    path: Path
    damaged: list[str]


class Checkpoints(Configurable):
    """Checkpoints of a training run in a folder, in files such as ``step-00001234.safetensors``.

    Parameters
    ----------
    folder : str, optional
        Where they are saved; needed outside a run of the command, which has a folder of its own for
        them.
    every : int, optional
        Number of steps between two checkpoints, in addition to the one after each epoch.
    keep : int
        Number of checkpoints that are kept. An old one is removed when the new one is on the disk.

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

    def paths(self) -> list[Path]:
        """Return the existing files, newest first."""
        files = self._files()
        return [files[step] for step in sorted(files, reverse=True)]

    def are_due(self, step: int) -> bool:
        """Whether `every` asks for a checkpoint after `step` steps."""
        return self.every is not None and step % self.every == 0

    def save(self, tree: dict[str, Any], step: int) -> Path:
        """Save the state after `step` steps, then remove old files; return the new file's path.

        Files of later steps are removed too: they belong to a run that continued differently.

        Raises
        ------
        FileError
            If the file can't be written, and all earlier ones are kept; or if an old one can't be
            removed.
        """
        folder = self._folder()
        make_folder(folder)
        path = folder / f"step-{step:08d}.safetensors"
        write_tree(path, tree)
        with file_errors(f"{folder}: old files can't be removed"), lock_folder(folder):
            files = self._files()
            last = [number for number in sorted(files) if number <= step][-self.keep :]
            # if another process has removed the new file already, its own files are left alone
            if step in last:
                for number in files.keys() - last:
                    files[number].unlink(missing_ok=True)
        return path

    def load(self) -> Checkpoint:
        """Load the newest checkpoint that is not damaged.

        Returns
        -------
        Checkpoint
            The tree that was saved, the path of its file, and a message for each newer file that
            is damaged.

        Raises
        ------
        FileError
            If there is none; it says what is wrong with each file.
        """
        folder = self._folder()
        damaged: list[str] = []
        with file_errors(f"{folder}: can't be read"), lock_folder(folder):
            for path in self.paths():
                try:
                    return Checkpoint(read_tree(path), path, damaged)
                except FileError as error:
                    damaged.append(str(error))
        raise FileError("\n".join([f"{folder}: has no checkpoint that can be loaded", *damaged]))

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
