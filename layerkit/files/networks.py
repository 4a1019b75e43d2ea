"""Saved networks: the tensors by their addresses, and the configuration as JSON metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from layerkit.config.tables import from_config, to_config
from layerkit.errors import FileError
from layerkit.files.atomic import read_json, read_tensors, write_tensors

if TYPE_CHECKING:
    from layerkit.network import Network

Kind = TypeVar("Kind", bound="Network")
CONFIG = "layerkit.Network"
"""Metadata key of the configuration."""


def write_network(network: Network, path: Path) -> None:
    """Save a network to a file; see `Network.save`."""
    tensors = {address: item.value for address, item in network.declared().items()}
    write_tensors(path, tensors, {CONFIG: json.dumps(to_config(network))})


def read_network(path: Path, kind: type[Kind]) -> Kind:
    """Load a network of class `kind` from a file; see `Network.load`."""
    tensors, metadata = read_tensors(path)
    if CONFIG not in metadata:
        raise FileError(f"{path}: is not a network that was saved by layerkit")
    try:
        network = from_config(read_json(metadata[CONFIG]), kind)
    except (ValueError, RecursionError, MemoryError) as error:
        raise FileError(
            f"{path}: the network that it describes can't be built: {error} "
            "(a class of your own has to be imported first)"
        ) from error
    declared = network.declared()
    for what, names in {
        "missing tensors:": declared.keys() - tensors.keys(),
        "unexpected tensors:": tensors.keys() - declared.keys(),
    }.items():
        if names:
            raise FileError(f"{path}: {what} {', '.join(sorted(names))}")
    for address, item in declared.items():
        tensor = tensors[address]
        if tensor.shape != item.shape or tensor.dtype != network.dtype:
            raise FileError(
                f"{path}: {address} is {tensor.dtype} {tensor.shape}; "
                f"should be {network.dtype} {item.shape}"
            )
        if not np.isfinite(tensor).all():
            raise FileError(f"{path}: {address} has values that are not finite")
        item.value = tensor
    return network
