"""Importing Python files of your own, so that configurations can name what is in them."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from layerkit.errors import FileError

IMPORTED: dict[str, ModuleType] = {}
"""The files that were imported, by the names of their modules."""


def import_file(path: str | Path) -> None:
    """Run a Python file, so that its classes and metrics are known.

    Raises
    ------
    FileError
        When the file does not exist, or fails.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise FileError(f"--import {path}: should end in .py")
    if not path.is_file():
        raise FileError(f"--import {path}: there is no such file")
    known = sys.modules.get(path.stem)
    if known and getattr(known, "__file__", None) != str(path.resolve()):
        raise FileError(f"--import {path}: a module called {path.stem} exists; rename the file")
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    if spec is None or spec.loader is None:
        raise FileError(f"--import {path}: Python can't load it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        raise FileError(where_it_failed(error, [str(path)])) from error
    IMPORTED[path.stem] = module


def where_it_failed(error: Exception, paths: Sequence[str]) -> str:
    """The error, and the line of a user's own files that it comes from."""
    own = {str(Path(path).resolve()): path for path in paths}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in own]
    place = ""
    if frames:
        place = f"{own[frames[-1].filename]}, line {frames[-1].lineno}: "
    elif isinstance(error, SyntaxError) and error.filename in own:
        place = f"{own[error.filename]}, line {error.lineno}: "
    said = error.msg if place and isinstance(error, SyntaxError) else str(error)
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"{place}{type(error).__name__}: {said}{notes}"
