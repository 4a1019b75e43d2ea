"""Saved networks: the tensors by their addresses, and the configuration as JSON metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from layerkit.arrays import Array
from layerkit.config.checks import Wrong, check_for
from layerkit.config.options import Configurable, Sizes
from layerkit.config.tables import from_config
from layerkit.errors import FileError, LayerkitError, listed
from layerkit.files.atomic import read_json, read_tensors, write_tensors
from layerkit.layers.base import Layer

Kind = TypeVar("Kind", bound=Configurable)
CONFIG_KEY, SEEN_KEY = "layerkit.Network", "layerkit.SeenData"
"""Metadata keys of the configuration, and of what the network has seen of its data."""


def write_network(
    path: str | Path,
    config: dict[str, Any],
    seen: dict[str, Any],
    tensors: Mapping[str, Array],
    **more: str,
) -> None:
    """Write a configuration and tensors to a file, and `more` metadata; see `Network.save`."""
    tables = {CONFIG_KEY: json.dumps(config), SEEN_KEY: json.dumps(seen), **more}
    write_tensors(path, tensors, tables)


def read_network(
    path: str | Path, kind: type[Kind]
) -> tuple[Kind, dict[str, Any], dict[str, Array]]:
    """Return the network that a file describes, what it has seen, and the tensors in the file.

    See `Network.load`.
    """
    tensors, metadata = read_tensors(path)
    if CONFIG_KEY not in metadata:
        raise FileError(f"{path}: is not a network that was saved by layerkit")
    try:
        config = read_json(metadata[CONFIG_KEY])
        _check_tensors(path, config, tensors)
        return from_config(config, kind), read_json(metadata.get(SEEN_KEY, "{}")), tensors
    except FileError:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise FileError(f"{path}: the network that it describes can't be built: {error}") from error


def _check_tensors(path: str | Path, config: Any, tensors: Mapping[str, Array]) -> None:
    """Raise a FileError unless a file has the tensors of its network.

    Layers that are placed take no memory yet, and the network might need all there is.
    """
    part: Any = Layer
    try:
        shape = check_for(Sizes)(config["shape"])
        body = from_config(config["body"], part)
        body.place(shape, address="body")
    except (LookupError, TypeError, Wrong, LayerkitError):
        return  # nor does a network take memory that can't be built: that says why
    declared = {
        f"{address}.{name}": item
        for address, layer in body.walk("body")
        for name, item in layer.declared().items()
    }
    for what, names in {
        "missing tensors:": declared.keys() - tensors.keys(),
        "unexpected tensors:": tensors.keys() - declared.keys(),
    }.items():
        if names:
            raise FileError(f"{path}: {what} {listed(sorted(names))}")
    dtype = config.get("dtype", "float32")
    for address, item in declared.items():
        tensor = tensors[address]
        if tensor.shape != item.shape or tensor.dtype != dtype:
            raise FileError(
                f"{path}: {address} is {tensor.dtype} {tensor.shape}; "
                f"should be {dtype} {item.shape}"
            )
        if not np.isfinite(tensor).all():
            raise FileError(f"{path}: {address} has values that are not finite")
