"""Arrays and numbers as JSON, for the messages of the playground."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from layerkit.arrays import Array

KINDS = {"f": "<f4", "u": "u1", "i": "<i4", "b": "u1"}
"""The dtype in which an array travels, by its kind: float32, uint8 or int32."""


def packed(array: Array) -> dict[str, Any]:
    """Return an array as shape, dtype and base64, little endian.

    Examples
    --------
    >>> packed(np.array([[0.5, 1.0]]))
    {'shape': [1, 2], 'dtype': 'float32', 'data': 'AAAAPwAAgD8='}
    """
    sent = np.ascontiguousarray(array, KINDS[array.dtype.kind])
    data = base64.b64encode(sent.tobytes()).decode("ascii")
    return {"shape": list(array.shape), "dtype": sent.dtype.name, "data": data}


def as_bytes(units: Array, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return each column as a map of bytes: 0 is its least number, its low, and 255 its high.

    Examples
    --------
    >>> sent = as_bytes(np.array([[0.0], [1.0], [2.0]]), (3,))
    >>> sent["low"], sent["high"], sent["values"]["shape"]
    ([0.0], [2.0], [1, 3])
    """
    maps = np.ascontiguousarray(units.T)
    low, high = maps.min(axis=1), maps.max(axis=1)
    if not np.isfinite(low + high).all():
        maps = np.clip(np.nan_to_num(maps), -1e30, 1e30)
        low, high = maps.min(axis=1), maps.max(axis=1)
    scale = (255 / np.where(high > low, high - low, 1)).astype(maps.dtype)
    maps = (maps - low[:, None]) * scale[:, None]
    values = packed(maps.astype(np.uint8).reshape(-1, *shape))
    return {"values": values, "low": low.tolist(), "high": high.tolist()}


def number(x: float) -> float | None:
    """Return a number as JSON can hold it: None if it is not finite."""
    return float(x) if math.isfinite(x) else None
