"""Fitting layers such as Standardize to the data, and letting layers check it, before training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import DataError, at, at_examples
from layerkit.files.mapped import Subset, pieces
from layerkit.inputs import Inputs
from layerkit.layers.base import Layer
from layerkit.layers.watch import inputs_of
from layerkit.parameters import Arena


def snapshot(arena: Arena, *others: object) -> Callable[[], None]:
    """Return a function that puts the arena's vectors and the attributes of `others` back."""
    vectors = {name: getattr(arena, name).copy() for name in ("values", "grads", "states")}
    attributes = [dict(vars(other)) for other in others]

    def restore() -> None:
        for name, vector in vectors.items():
            getattr(arena, name)[...] = vector
        for other, before in zip(others, attributes, strict=True):
            vars(other).clear()
            vars(other).update(before)

    return restore


@contextmanager
def all_or_nothing(arena: Arena, *others: object) -> Iterator[None]:
    """Put everything back, as `snapshot` does, if something is refused."""
    restore = snapshot(arena, *others)
    try:
        yield
    except BaseException:
        restore()
        raise


def adapt(body: Layer, inputs: Inputs, arena: Arena, rows: Array | Subset) -> None:
    """Fit each layer that has not seen data yet to checked examples, from the first to the last.

    On the way, each layer checks its inputs, as by `check_layers`.
    """
    low = high = rows[0]
    for part in map(np.asarray, pieces(rows)):
        low, high = np.fmin(low, np.fmin.reduce(part)), np.fmax(high, np.fmax.reduce(part))
    lost = np.argwhere((low < high) & (inputs.convert(low) == inputs.convert(high)))
    if len(lost):
        index = tuple(map(int, lost[0]))
        what = f"feature {', '.join(map(str, index))}"
        if inputs.table is not None:
            what = inputs.table.named(index[0])
        raise DataError(
            f"{what} goes from {low[index]} to {high[index]}, which "
            f"{inputs.dtype} can't tell apart; subtract something first, or use float64"
        )
    with all_or_nothing(arena), np.errstate(over="ignore", invalid="ignore"):
        for address, layer in body.walk("body"):
            _check(address, layer, body, inputs, rows)
            if layer.fitted is None or layer.fitted.value:
                continue
            with at(address):
                given = _inputs_of(layer, body, inputs, rows)
                layer.adapt(xs[0] if len(xs) == 1 else xs for xs in given)
                for param in layer.params().values():
                    if param.init.from_data:
                        first = next(_inputs_of(layer, body, inputs, rows))
                        param.init.adapt(param.value, partial(layer.forward, *first, train=False))
            layer.fitted.value = np.ones(())


def check_layers(body: Layer, inputs: Inputs, rows: Array | Subset) -> None:
    """Let layers that don't take every number, such as Embedding, check all their inputs.

    Raises
    ------
    DataError
        With the address of the layer and the numbers of the examples.
    """
    for address, layer in body.walk("body"):
        _check(address, layer, body, inputs, rows)


def _check(address: str, layer: Layer, body: Layer, inputs: Inputs, rows: Array | Subset) -> None:
    if type(layer).check is not Layer.check:
        seen = 0
        for xs in _inputs_of(layer, body, inputs, rows):
            with at_examples(seen, len(xs[0]), f"{address}, "):
                layer.check(*xs)
            seen += len(xs[0])


def _inputs_of(
    layer: Layer, body: Layer, inputs: Inputs, rows: Array | Subset
) -> Iterator[tuple[Array, ...]]:
    """Yield the inputs of a layer for these examples, chunk by chunk."""
    return (inputs_of(layer, body, chunk) for chunk in inputs.chunks(rows))
