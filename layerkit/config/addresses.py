"""Addresses of options: what is inside of objects, lists and tables, at `layers__0__units`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def inside(options: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield all values by name, and what is inside of them by address.

    Examples
    --------
    >>> dict(inside({"rates": {"W": 0.1}, "units": [8, 4]}))
    {'rates': {'W': 0.1}, 'rates__W': 0.1, 'units': [8, 4], 'units__0': 8, 'units__1': 4}
    """
    for name, value in options.items():
        yield str(name), value
        parts = value
        if hasattr(value, "get_params"):
            parts = value.get_params(deep=False)
        elif isinstance(value, list | tuple):
            parts = dict(enumerate(value))
        if isinstance(parts, dict):
            yield from ((f"{name}__{address}", part) for address, part in inside(parts))


def replaced_in(values: Any, address: str, new: Any) -> Any:
    """Return values with a new one at an address; objects on the way are changed in place.

    Examples
    --------
    >>> replaced_in({"rates": {"W": 0.1}, "units": (8, 4)}, "units__1", 2)
    {'rates': {'W': 0.1}, 'units': [8, 2]}
    """
    if hasattr(values, "set_params"):
        return values.set_params(**{address: new})
    name, _, rest = address.partition("__")
    items = dict(values) if isinstance(values, dict) else dict(enumerate(values))
    key = next(key for key in items if str(key) == name)
    items[key] = replaced_in(items[key], rest, new) if rest else new
    return items if isinstance(values, dict) else list(items.values())
