"""Indices: parts of arrays, and arrays in which a part is new."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.recording.onnx.nodes import INT, Nodes, Unknown
from layerkit.recording.operations import Op, Value
from layerkit.recording.program import OfBatch

FAR = 2**63 - 1


def parts_of(x: Value, index: Any) -> list[Any]:
    """Return what an index has for each axis, and None for new axes: no dots, no truth values."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [np.asarray(item) if isinstance(item, list) else item for item in items]
    if any(item.dtype == bool for item in items if isinstance(item, Value | np.ndarray)):
        items = [fixed(item) for item in items]
    known = [item for item in items if item is not None and item is not Ellipsis]
    missing = [slice(None)] * (len(x.shape) - len(known))
    for i, item in enumerate(items):
        if item is Ellipsis:
            return [*items[:i], *missing, *items[i + 1 :]]
    return items + missing


def fixed(item: Any) -> Any:
    """Return the places of a fixed mask; Unknown for one that is computed."""
    if isinstance(item, Value) and item.dtype == bool:
        item = item.array if item.kind == "constant" else None
    if isinstance(item, np.ndarray) and item.dtype == bool:
        if item.ndim != 1:
            raise Unknown
        return np.flatnonzero(item)
    if item is None:
        raise Unknown
    return item


def getitem(g: Nodes, op: Op) -> str:
    """Add a part of an array: slices first, then places."""
    x, index = op.args
    parts = [part for part in parts_of(x, index) if part is not None]
    arrays = {a: part for a, part in enumerate(parts) if isinstance(part, Value | np.ndarray)}
    if arrays:
        whole = {a: np.asarray(part) for a, part in enumerate(parts) if isinstance(part, int)}
        arrays = dict(sorted((arrays | whole).items()))
    name, rest = sliced(g, x, parts)
    if not arrays:
        return g.reshape(name, rest, op.output.shape)
    if any(part is None for part in parts_of(x, index)):
        raise Unknown
    if len(arrays) == 1:
        ((axis, places),) = arrays.items()
        return g.add("Gather", name, g.get(places, INT), axis=axis)
    return gathered(g, op, name, arrays, len(rest))


def sliced(g: Nodes, x: Value, parts: list[Any]) -> tuple[str, tuple[Any, ...]]:
    """Add the slices among the parts of an index; return name and shape."""
    arrays = any(isinstance(part, Value | np.ndarray) for part in parts)
    rest, bounds = list(x.shape), []
    for axis, part in enumerate(parts):
        if isinstance(part, int | np.integer) and not arrays:
            bounds.append((int(part), int(part) + 1 or FAR, axis, 1))
            rest[axis] = 1
        elif isinstance(part, slice) and part not in (slice(None), slice(0, x.shape[axis])):
            step = part.step or 1
            start = part.start if part.start is not None else (0 if step > 0 else FAR)
            stop = part.stop if part.stop is not None else (FAR if step > 0 else -FAR)
            bounds.append((start, stop, axis, step))
            n = x.shape[axis]
            rest[axis] = None if isinstance(n, OfBatch) else len(range(n)[part])
        elif isinstance(part, OfBatch):
            raise Unknown
    if not bounds:
        return g.get(x), x.shape
    vectors = [g.vector(column) for column in zip(*bounds, strict=True)]
    return g.add("Slice", g.get(x), *vectors), tuple(rest)


def gathered(g: Nodes, op: Op, name: str, arrays: dict[int, Any], rank: int) -> str:
    """Add places along several axes, which come first; then back if they weren't the first."""
    axes = list(arrays)
    shapes = [part.shape for part in arrays.values()]
    wide = max(map(len, shapes))
    shape = [
        next((n for n in reversed(column) if n != 1), 1)
        for column in zip(*([1] * (wide - len(s)) + list(s) for s in shapes), strict=True)
    ]
    places = [
        g.add(
            "Unsqueeze",
            g.expand(g.get(part, INT), part.shape, shape),
            g.constant([-1]),
        )
        for part in arrays.values()
    ]
    others = [axis for axis in range(rank) if axis not in axes]
    if axes + others != list(range(rank)):
        name = g.add("Transpose", name, perm=axes + others)
    found = g.add("GatherND", name, g.add("Concat", *places, axis=-1))
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    if not together or axes[0] == 0:
        return found
    order = list(range(len(op.output.shape)))
    back = order[wide : wide + axes[0]] + order[:wide] + order[wide + axes[0] :]
    return g.add("Transpose", found, perm=back)


def setitem(g: Nodes, op: Op) -> str:
    """Add an array in which a part is new: by a mask, or at fixed places."""
    x, index, new = op.args
    shape = new.shape if isinstance(new, Value) else np.shape(new)
    if (mask := masked(x, index)) is not None and all(n == 1 for n in shape):
        chosen, trailing = mask
        name = g.reshape(g.get(chosen), chosen.shape, (*chosen.shape, *[1] * trailing))
        return g.add("Where", name, g.reshape(g.get(new, x.dtype), shape, ()), g.get(x))
    parts = parts_of(x, index)
    if any(part is None for part in parts):
        raise Unknown
    places: dict[int, Array] = {}
    region: list[Any] = []
    for axis, part in enumerate(parts):
        if isinstance(part, Value):
            part = part.array if part.kind == "constant" else None
        n = x.shape[axis]
        if isinstance(part, slice) and part in (slice(None), slice(0, n)):
            region.append(n)
            continue
        if part is None or isinstance(n, OfBatch) or np.ndim(part) > 1 or isinstance(part, OfBatch):
            raise Unknown
        places[axis] = np.atleast_1d(np.arange(n)[part])
        if not isinstance(part, int | np.integer):
            region.append(len(places[axis]))
    if sum(isinstance(part, Value | np.ndarray) for part in parts) > 1:
        raise Unknown
    name = g.expand(g.get(new, x.dtype), shape[max(0, len(shape) - len(region)) :], region)
    whole = [len(places[axis]) if axis in places else n for axis, n in enumerate(x.shape)]
    return placed(g, g.get(x), x.shape, places, g.reshape(name, region, whole))


def masked(x: Value, index: Any) -> tuple[Value, int] | None:
    """Return the mask that is all of an index, and the number of axes after it."""
    items = list(index) if isinstance(index, tuple) else [index]
    masks = [item for item in items if isinstance(item, Value) and item.dtype == bool]
    rest = [item for item in items if item not in masks]
    if len(masks) != 1 or not all(item in (slice(None), Ellipsis) for item in rest):
        return None
    at, (mask,) = items.index(masks[0]), masks
    after = len(x.shape) - at - len(mask.shape)
    return mask, len(items) - at - 1 if Ellipsis in items[:at] else after


def placed(g: Nodes, name: str, shape: tuple[Any, ...], places: dict[int, Array], new: str) -> str:
    """Add an array with new numbers at places along some axes, one axis after the other."""
    if not places:
        return new
    (axis, chosen), *others = places.items()
    if others:
        part = g.add("Gather", name, g.constant(chosen, INT), axis=axis)
        new = placed(g, part, shape, dict(others), new)
    order = np.arange(shape[axis])
    order[chosen] = shape[axis] + np.arange(len(chosen))
    both = g.add("Concat", name, new, axis=axis)
    return g.add("Gather", both, g.constant(order, INT), axis=axis)
