"""Probes: layers that are built and tried on their own, without a Network."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.inspection.mistakes import WRITES_TO_DY, WRITES_TO_X, shown
from layerkit.layers.base import Layer
from layerkit.parameters import Arena
from layerkit.streams import stream
from layerkit.testing.common import calling, lent, normal, require

Examples: TypeAlias = Array | Sequence[Array | None] | None
"""Examples for the only input, or one entry for each; None where any numbers are accepted."""


class Probe:
    """A built copy of a layer, with parameters that are not 0 anywhere.

    Attributes
    ----------
    names : list of str
        The names of the inputs: x, or x_1, x_2 …
    """

    def __init__(
        self,
        layer: Layer,
        *shapes: Shape,
        examples: Examples = None,
        dtype: str = "float64",
        wants_dx: bool = True,
    ) -> None:
        self.original, self.shapes, self.dtype = layer, shapes, dtype
        self.layer = copy.deepcopy(layer)
        self.name, count = type(layer).__name__, len(shapes)
        self.names = ["x"] if count == 1 else [f"x_{i}" for i in range(1, count + 1)]
        if examples is None or isinstance(examples, np.ndarray):
            examples = [examples] * count
        self.examples = examples
        with calling(f"{self.name}.build"):
            self.output_shape = self.layer.place(*shapes, address="layer")
        self.layer.want_dx(wants_dx)
        self.layers = dict(layers_of(self.layer))
        self.smallest = max(layer.smallest_batch for layer in self.layers.values())
        self.arena = Arena(
            {
                path + name: item
                for path, layer in self.layers.items()
                for name, item in layer.declared().items()
            },
            dtype,
        )
        self.params = self.arena.params
        for path, layer in self.layers.items():
            for name, item in layer.declared().items():
                item.init.fill(item.value, stream(0, f"weights {path}{name}"))
        self.arena.values += 0.1 * normal(self.arena.values.shape, 3, dtype)
        if self.layer.adapts:
            self.adapt()

    def twin(self, **options: Any) -> Probe:
        """Return a fresh probe of the same layer."""
        return Probe(self.original, *self.shapes, examples=self.examples, **options)

    def adapt(self) -> None:
        """Show the layer two batches, which are read-only, and can be iterated once."""
        law = "writes to a batch, which others may still read"
        batches = [lent(self.batch(rows, seed=rows)[0]) for rows in (7, 4)]
        with calling(f"{self.name}.adapt", law):
            self.layer.adapt(iter(batches))

    def batch(self, rows: int, seed: int = 4) -> list[Array]:
        """Draw the inputs, and dy as the last."""
        rows = max(rows, self.smallest)
        batch = []
        for i, (shape, examples) in enumerate(zip(self.shapes, self.examples, strict=True)):
            if examples is None:
                x = normal((rows, *shape), seed + 1000 * i, self.dtype)
            else:
                chosen = stream(seed, "rows of a batch").integers(len(examples), size=rows)
                x = examples[chosen].astype(self.dtype)
            batch.append(x)
        return [*batch, normal((rows, *self.output_shape), seed + 100, self.dtype)]

    def forward(self, *xs: Array, train: bool = True) -> Array:
        """Call the layer with inputs that can't be written to."""
        what = f"{self.name}.forward"
        if train:
            self.restart()
        with calling(f"{what} (train={train}, {len(xs[0])} rows)", WRITES_TO_X):
            y = self.layer.forward(*map(lent, xs), train=train)
        require(isinstance(y, np.ndarray), f"{what} returns {shown(y)}; should be an array")
        return y

    def restart(self) -> None:
        """Restart the random numbers, so that forward is a function of x alone."""
        for path, layer in self.layers.items():
            if layer.random:
                layer.rng = stream(0, f"layer {path}")

    def backward(self, dy: Array) -> Any:
        """Call the layer with a dy that can't be written to; dx, or a tuple of several."""
        what = f"{self.name}.backward"
        with calling(f"{what} ({len(dy)} rows)", WRITES_TO_DY):
            dx = self.layer.backward(lent(dy))
        if self.layer.wants_dx or dx is not None:
            count = len(self.names)
            wanted = f"a tuple of {count} arrays, a dx for each input"
            dxs = dx if count > 1 else (dx,)
            require(
                isinstance(dxs, tuple)
                and len(dxs) == count
                and all(isinstance(dx, np.ndarray) for dx in dxs),
                f"{what} returns {shown(dx)}; should be {wanted if count > 1 else 'an array, dx'}",
            )
        return dx

    def dxs(self, dy: Array) -> dict[str, Array]:
        """Return what backward returns by name: dx, or dx_1, dx_2 …; an empty dict for None."""
        dx = self.backward(dy)
        if dx is None:
            return {}
        dxs = dx if len(self.names) > 1 else (dx,)
        return {f"d{name}": dx for name, dx in zip(self.names, dxs, strict=True)}

    def gradients(self, *batch: Array, old: float) -> dict[str, Array]:
        """Return the parameters' gradients, where all of them were `old` before."""
        *xs, dy = batch
        self.arena.grads[...] = old
        self.forward(*xs)
        self.backward(dy)
        return {name: param.grad.copy() for name, param in self.params.items()}

    def results(self, *batch: Array) -> dict[str, Array]:
        """Return copies of all results of forward and backward for the inputs and dy."""
        *xs, dy = batch
        y = self.forward(*xs).copy()
        dxs = {name: dx.copy() for name, dx in self.dxs(dy).items()}
        return {"y": y, **dxs, "gradients": self.arena.grads.copy()}


def layers_of(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """Yield the layer and all its parts, by their paths in it."""
    yield path, layer
    for name, part in layer.parts():
        yield from layers_of(part, f"{path}{name}.")
