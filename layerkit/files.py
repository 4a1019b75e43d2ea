"""Files that are written whole or not at all, and read with suspicion."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.errors import FileError
from layerkit.parameters import Array


def write_atomically(path: Path, content: bytes) -> None:
    """Put `content` where `path` was in one step that survives a crash.

    Temporary file in the same folder, fsync, rename, fsync of the folder.

    Raises
    ------
    FileError
        When that fails: `path` then has its old content or the new, and nothing else is left.
    """
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise FileError(f"{path}: can't be written: {error.strerror or error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays by name to a safetensors file, atomically."""
    from safetensors.numpy import save

    # the library writes what lies in memory, which is something else for views like W.T
    contiguous = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    write_atomically(path, save(contiguous, dict(metadata)))


def read_tensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file.

    Raises
    ------
    FileError
        For a file that is missing, truncated, foreign, or names something twice.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        content = path.read_bytes()
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        header = read_json(content[8 : 8 + size])
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: damaged, or not a safetensors file: {error}") from error
    return tensors, header.get("__metadata__") or {}


def read_json(text: str | bytes) -> Any:
    """Return what JSON says, refusing with a ValueError what names something twice."""

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{twice!r} stands there twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=table)
