"""TOML files: reading their tables, and changing values in them."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

from layerkit.errors import ConfigError, FileError


def read_toml(path: str | Path) -> dict[str, Any]:
    """Return the tables of a file.

    Raises
    ------
    FileError
        For a file that can't be read or is not TOML, with the line.
    """
    path, text = Path(path), ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _parsed(text)
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror}") from error
    except ValueError as error:
        raise FileError(f"{path}: not a TOML file{_reason(path, text, error)}") from error
    except RecursionError:
        raise FileError(f"{path}: tables too deep inside each other for Python") from None


def _reason(path: Path, text: str, error: ValueError) -> str:
    """Say what a file is instead, or where it is wrong."""
    if re.search(r"\.(csv|tsv)(\.gz)?$|\.parquet$", path.name.lower()):
        command = shlex.join(["layerkit", "init", str(path), "--target"])
        return f", but a table: {command} COLUMN writes one for it"
    if path.suffix == ".safetensors":
        return ", but a network: give the folder of its run"
    if isinstance(error, UnicodeDecodeError):
        return ", which is text in UTF-8"
    line = re.search(r"at line (\d+)", str(error))
    lines = text.split("\n")  # as TOML counts them, not at every separator of Unicode
    return f": {error}" + (f": {lines[int(line[1]) - 1].strip()}" if line else "")


def _parsed(text: str) -> dict[str, Any]:
    """Parse TOML; ValueError also for a number of thousands of digits, which Python can't print."""
    table = tomllib.loads(text)
    repr(table)
    return table


def change(table: dict[str, Any], setting: str) -> None:
    """Change one value in nested tables, or add it; lists keep their length.

    Raises
    ------
    ConfigError
        For a setting that is not ``address=value``, or names a place that isn't there.

    Examples
    --------
    >>> table = {"training": {"epochs": 10}}
    >>> change(table, "training.epochs=3")
    >>> table
    {'training': {'epochs': 3}}
    """
    path, equals, text = setting.partition("=")
    names = path.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set {setting}: should look like training.epochs=3")
    try:
        value = _parsed(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()
    place: Any = table
    for i, name in enumerate(names):
        key: Any = name
        if isinstance(place, list):
            key = int(name) if name.isdecimal() and int(name) < len(place) else None
        if key is None or not isinstance(place, dict | list):
            raise ConfigError(
                f"--set {setting}: there is no {'.'.join(names[: i + 1])} in the file"
            )
        if i == len(names) - 1:
            place[key] = value
        elif isinstance(place, dict):
            place = place.setdefault(key, {})
        else:
            place = place[key]
