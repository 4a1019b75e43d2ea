"""Files that are written whole or not at all, and read with suspicion."""

from __future__ import annotations

import json
import os
import tempfile
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
        When that fails; the old file is then untouched and nothing else is left.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise FileError(f"{path}: can't be written: {error.strerror or error}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_tensors(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays by name to a safetensors file, atomically."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
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

    def refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise FileError(f"{path}: {twice!r} stands in the file twice")
        return dict(pairs)

    try:
        content = path.read_bytes()
        tensors = load(content)
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size], object_pairs_hook=refuse_duplicates)
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror or error}") from error
    except (SafetensorError, KeyError) as error:
        raise FileError(f"{path}: damaged, or not a safetensors file: {error}") from error
    return tensors, header.get("__metadata__", {})
