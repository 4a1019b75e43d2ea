"""The table of a network's layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from layerkit.config.options import Configurable, default
from layerkit.graph.container import Container
from layerkit.graph.merging import Sources
from layerkit.graph.sequential import Sequential
from layerkit.layers.base import Layer

if TYPE_CHECKING:
    from layerkit.network import Network

NUMBERS = (3, 5, 6)
"""The columns of the table that stand flush right."""
LONGEST = 60
"""Characters of an option that are shown."""


def table(network: Network, costs: Mapping[str, float] | None = None) -> str:
    """The layers of a network in rows; containers are followed by their parts, indented.

    A part that doesn't read what stands before it says what it reads, as ``a + b -> Dense``; a
    container that doesn't return what its last part returns says what it returns instead.
    """
    rows = [["address", "layer", "output", "parameters", "initial W"]]
    for depth, reads, layer in _tree(network.body):
        params = layer.params()
        size = sum(param.value.size for param in params.values())
        rows.append(
            [
                layer.address,
                "  " * depth + reads + described(layer) + _returned(layer),
                str(layer.output_shape),
                f"{size:,}" if size or not any(layer.parts()) else "",
                described(params["W"].init) if "W" in params else "",
            ]
        )
    rows.append(["total", "", "", f"{network.arena.values.size:,}", ""])
    if costs:
        total = sum(costs.values())
        rows[0] += ["µs a step", "share"]
        for row in rows[1:]:
            cost = total if row is rows[-1] else costs.get(row[0])
            row += ["", ""] if cost is None else [f"{cost * 1e6:,.0f}", f"{cost / total:.0%}"]
    return aligned(rows, NUMBERS)


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    """Cells in columns, those with these numbers flush right.

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
    """All layers with their depth and what they read; no Sequential that is the whole body."""
    waiting = [(0, "", body)]
    while waiting:
        depth, reads, layer = waiting.pop()
        if layer is not body or not isinstance(layer, Sequential):
            yield depth, reads, layer
            depth += 1
        parts, before, wiring = [], "input", wiring_of(layer)
        for name, part in layer.parts():
            sources = wiring.get(name, Sources((before,)))
            reads = "" if sources.names == (before,) else f"{_short(sources)} -> "
            parts.append((depth, reads, part))
            before = name
        waiting += reversed(parts)


def wiring_of(layer: Layer) -> dict[str, Sources]:
    """What the parts of a container read; nothing for all other layers."""
    return layer.wiring() if isinstance(layer, Container) else {}


def _returned(layer: Layer) -> str:
    """What a container returns, if it is not what its last part returns."""
    output = wiring_of(layer).get("output", Sources(("",)))
    return f": {_short(output)}" if len(output.names) > 1 else ""


def _short(sources: Sources) -> str:
    """What is read, by the last parts of the addresses."""
    return sources.written([name.rpartition(".")[2] for name in sources.names])


def described(part: Configurable) -> str:
    """As it is made in Python, but without defaults, initializers and parts.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.initializers.scaled import HeNormal
    >>> from layerkit.layers.activations.sigmoids import Sigmoid
    >>> described(Dense(8, init=HeNormal())), described(Sigmoid())
    ('Dense(units=8)', 'Sigmoid')
    """
    options = [] if isinstance(part, Container) else fields(part)
    values = [(option, getattr(part, option.name)) for option in options]
    shown = [
        f"{option.name}={value!r}"[:LONGEST]
        for option, value in values
        if value != default(option) and not isinstance(value, Configurable)
    ]
    return type(part).__name__ + (f"({', '.join(shown)})" if shown else "")
