"""The summary of a network: a table of its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields

from layerkit.config.options import Configurable, default
from layerkit.graph.container import Container, Wiring
from layerkit.graph.sequential import Sequential
from layerkit.inspection.notebook import Lines
from layerkit.layers.base import Layer

LONGEST = 60
"""Number of characters of an option that are shown."""


def table(body: Layer) -> str:
    """Return the layers of a body in rows; the parts of containers follow them, indented.

    A part that does not read the row before it says what it reads, such as ``a, b -> Add``.
    """
    rows = [["address", "layer", "output", "parameters", "initial W"]]
    parameters = 0
    for depth, reads, layer in _tree(body):
        params = layer.params()
        size = sum(param.value.size for param in params.values())
        parameters += size
        rows.append(
            [
                layer.address,
                "  " * depth + reads + described(layer),
                str(layer.output_shape),
                f"{size:,}" if size or not any(layer.parts()) else "",
                described(params["W"].init) if "W" in params else "",
            ]
        )
    rows.append(["total", "", "", f"{parameters:,}", ""])
    return Lines(aligned(rows, right=(3,)))


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    """Format a table, with the columns of these numbers aligned to the right.

    Examples
    --------
    >>> print(aligned([["layer", "size"], ["Dense", "7"]], right=(1,)))
    layer  size
    Dense     7
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:>{width}}" if i in right else f"{cell:<{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _tree(body: Layer) -> Iterator[tuple[int, str, Layer]]:
    """Yield all layers with depth and inputs; a body that is a Sequential is left out."""
    waiting = [(0, "", body)]
    while waiting:
        depth, reads, layer = waiting.pop()
        if layer is not body or not isinstance(layer, Sequential):
            yield depth, reads, layer
            depth += 1
        parts, before, wiring = [], "input", wiring_of(layer)
        for name, part in layer.parts():
            names = wiring.get(name, (before,))
            short = ", ".join(source.rpartition(".")[2] for source in names)
            parts.append((depth, "" if names == (before,) else f"{short} -> ", part))
            before = name
        waiting += reversed(parts)


def wiring_of(layer: Layer) -> Wiring:
    """Return what the parts of a container read; an empty dict for other layers."""
    return layer.wiring() if isinstance(layer, Container) else {}


def described(part: Configurable) -> str:
    """Return the call that makes an object, without defaults, initializers and parts.

    Examples
    --------
    >>> from layerkit import Dense, HeNormal, Sigmoid
    >>> described(Dense(8, init=HeNormal())), described(Sigmoid())
    ('Dense(units=8)', 'Sigmoid')
    """
    options = [] if isinstance(part, Container) else fields(part)
    values = [(option, getattr(part, option.name)) for option in options]
    shown = [
        f"{option.name}={value!r}"[:LONGEST]
        for option, value in values
        if value != default(option) and not isinstance(_first(value), Configurable)
    ]
    return type(part).__name__ + (f"({', '.join(shown)})" if shown else "")


def _first(value: object) -> object:
    """The first of a list; anything else as it is."""
    return value[0] if isinstance(value, list) and value else value
