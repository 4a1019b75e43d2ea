"""Mutations of saved states: a part is left out, or is something else than it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np

OTHERS: list[Any] = [
    None,
    True,
    7,
    2.5,
    "text",
    [],
    {},
    [1],
    {"a": 1},
    np.ones(2),
    np.ones(1, "i4"),
]


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to each part of a tree."""
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        yield (*path, key)
        if isinstance(tree[key], dict | list):
            yield from places(tree[key], (*path, key))


def mutated(
    tree: dict[str, Any], count: int, seed: int = 0
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield copies of a tree, each with one part left out or of another type, and what was done."""
    rng, all_places = np.random.default_rng(0), list(places(tree))
    for _ in range(count):
        *path, last = all_places[rng.integers(len(all_places))]
        changed = copy.deepcopy(tree)
        parent: Any = changed
        for key in path:
            parent = parent[key]
        other = OTHERS[rng.integers(len(OTHERS))]
        if rng.random() < 0.4:
            del parent[last]
            done = "left out"
        elif isinstance(other, float | int) and isinstance(parent[last], float):
            continue  # another number
        elif type(other) is type(parent[last]) and not isinstance(other, np.ndarray):
            continue
        else:
            parent[last] = copy.deepcopy(other)
            done = f"is {other!r}"
        yield f"{'.'.join(map(str, (*path, last)))} {done}", changed
