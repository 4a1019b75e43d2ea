"""Saved estimators: one file, without pickle, that `Network.load` reads too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from layerkit.config.options import Configurable
from layerkit.config.tables import from_config, to_config
from layerkit.errors import ConfigError, FileError, at
from layerkit.files.atomic import read_json, read_tensors
from layerkit.network import Network
from layerkit.progress import Record, Records

KEY = "layerkit.sklearn"
"""The metadata key of an estimator beside its network."""


class Savable:
    """Base of estimators whose fitted part is a network: they are saved without pickle."""

    network_: Network
    kept: ClassVar[tuple[str, ...]] = ()
    """Attributes that predictions need, beside those that end with an underscore."""

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to a ``.safetensors`` file, whole or not at all.

        It has the network, the parameters and the attributes. What only a further training needs,
        such as the memory of the optimizer, is not there.

        Parameters
        ----------
        path : str or Path
            The file to write, such as ``"model.safetensors"``.

        Raises
        ------
        ConfigError
            For parameters that no file can hold, such as functions.
        FileError
            When the file can't be written; what was there before is still there.
        """
        check_is_fitted(self)
        params = self.get_params(deep=False)  # type: ignore[attr-defined]
        fitted = {
            name: value
            for name, value in vars(self).items()
            if name in (*self.kept, "_sklearn_output_config")
            or (name.endswith("_") and not name.startswith("_") and name != "network_")
        }
        tables: dict[str, Any] = {"type": type(self).__name__}
        for what, values in {"params": params, "fitted": fitted}.items():
            tables[what] = {name: _plain(value, name) for name, value in values.items()}
        self.network_.save(path, **{KEY: json.dumps(tables)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file that `save` wrote. It runs no code: your own layers are imported before.

        Parameters
        ----------
        path : str or Path
            The file that `save` wrote.

        Raises
        ------
        FileError
            For a file that is damaged, or has another estimator or none.
        """
        network, metadata = Network.load(path), read_tensors(path)[1]
        if KEY not in metadata:
            raise FileError(f"{path}: is a network without an estimator; Network.load reads it")
        try:
            tables = read_json(metadata[KEY])
            if tables["type"] != cls.__name__:
                raise FileError(f"{path}: is not a {cls.__name__}, but a {tables['type']}")
            params, fitted = (
                {name: _restored(value) for name, value in tables[what].items()}
                for what in ("params", "fitted")
            )
            model = cls(**params)
        except FileError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise FileError(f"{path}: {KEY} is damaged: {error}") from error
        vars(model).update(fitted, network_=network)
        model._restore()
        return model

    def _restore(self) -> None:
        """Make what a further training needs anew."""


def _plain(value: Any, name: str) -> Any:
    """Return a value as JSON has it: what is not a number or a string has its kind before it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Configurable):
        with at(name):
            return ["part", to_config(value)]
    if isinstance(value, np.ndarray):
        dtype = value.dtype.str if value.dtype.kind != "O" else "object"
        return ["array", dtype, _plain(value.tolist(), name)]
    if isinstance(value, Records):
        rows = [{"epoch": r.epoch, "seconds": r.seconds, **r.measured()} for r in value]
        return ["records", rows]
    if isinstance(value, LabelBinarizer):
        return ["labels", value.y_type_, value.sparse_input_, _plain(value.classes_, name)]
    if isinstance(value, dict):
        return ["table", [[_plain(part, name) for part in item] for item in value.items()]]
    if isinstance(value, list | tuple):
        return [type(value).__name__, [_plain(item, name) for item in value]]
    raise ConfigError(
        f"{name} = {value!r}: no file can hold it; set_params({name}=…) changes it, also where it "
        "is fitted already"
    )


def _restored(value: Any) -> Any:
    """Return what `_plain` has described."""
    if not isinstance(value, list):
        return value
    kind, *rest = value
    if kind == "part":
        return from_config(rest[0], Configurable)
    if kind == "array":
        return np.array(_restored(rest[1]), rest[0])
    if kind == "records":
        return Records(
            Record.of(row.pop("epoch"), row.pop("seconds"), row) for row in map(dict, rest[0])
        )
    if kind == "labels":
        binarizer = LabelBinarizer()
        binarizer.y_type_, binarizer.sparse_input_ = rest[:2]
        binarizer.classes_ = _restored(rest[2])
        return binarizer
    if kind == "table":
        return {_restored(key): _restored(part) for key, part in rest[0]}
    return {"list": list, "tuple": tuple}[kind](map(_restored, rest[0]))
