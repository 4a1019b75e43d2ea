"""A layer on its own, ready to be tried: what a Network does for it, without one."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.layers.base import Layer
from layerkit.parameters import Arena
from layerkit.testing.common import calling, normal, read_only, require


class Probe:
    """A copy of a layer, built, with parameters of its own that are nowhere 0."""

    def __init__(
        self,
        layer: Layer,
        shape: Shape,
        examples: Array | None,
        dtype: str = "float64",
        wants_dx: bool = True,
    ) -> None:
        self.layer, self.shape, self.dtype = copy.deepcopy(layer), shape, dtype
        self.name, self.examples = type(layer).__name__, examples
        self.layer.wants_dx = wants_dx
        with calling(f"{self.name}.build"):
            self.output_shape = self.layer.place(shape, "layer")
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
        rng = np.random.default_rng(3)
        for layer in self.layers.values():
            for item in layer.declared().values():
                item.init.fill(item.value, rng)
        self.arena.values += 0.1 * rng.standard_normal(self.arena.values.shape)
        if self.layer.adapts:
            self.adapt()

    def adapt(self) -> None:
        """Show the layer two batches, which can't be written to, and only once."""
        law = "writes to a batch, which others may still read"
        batches = [read_only(self.batch(rows, seed=rows)[0]) for rows in (7, 4)]
        with calling(f"{self.name}.adapt", law):
            self.layer.adapt(iter(batches))

    def batch(self, rows: int, seed: int = 4) -> tuple[Array, Array]:
        """Draw x and dy."""
        rows = max(rows, self.smallest)
        if self.examples is None:
            x = normal((rows, *self.shape), seed, self.dtype)
        else:
            chosen = np.random.default_rng(seed).integers(len(self.examples), size=rows)
            x = self.examples[chosen].astype(self.dtype)
        return x, normal((rows, *self.output_shape), seed + 100, self.dtype)

    def forward(self, x: Array, train: bool = True) -> Array:
        """Call the layer with an x that can't be written to."""
        law = "writes to x, which others may still read: make a new array, y = x + 1, not x += 1"
        what = f"{self.name}.forward"
        if train:
            self.restart()
        with calling(f"{what} (train={train}, {len(x)} rows)", law):
            y = self.layer.forward(read_only(x), train)
        require(isinstance(y, np.ndarray), f"{what} returns {y!r}; should be an array")
        return y

    def restart(self) -> None:
        """Begin the random numbers anew, so that forward is a function of x alone."""
        for layer in self.layers.values():
            if layer.random:
                layer.rng = np.random.default_rng(5)

    def backward(self, dy: Array) -> Array:
        """Call the layer with a dy that can't be written to."""
        law = (
            "writes to dy, or to the x that forward has kept, which others may still read: make a "
            "new array, dx = dy * 2, not dy *= 2"
        )
        what = f"{self.name}.backward"
        with calling(f"{what} ({len(dy)} rows)", law):
            dx = self.layer.backward(read_only(dy))
        if self.layer.wants_dx:
            require(isinstance(dx, np.ndarray), f"{what} returns {dx!r}; should be an array, dx")
        return dx

    def gradients(self, x: Array, dy: Array, old: float) -> dict[str, Array]:
        """The parameters' gradients, where all of them were `old` before."""
        self.arena.grads[...] = old
        self.forward(x)
        self.backward(dy)
        return {name: param.grad.copy() for name, param in self.params.items()}

    def results(self, x: Array, dy: Array) -> dict[str, Array]:
        """Copies of all that forward and backward compute."""
        y = self.forward(x).copy()
        dx = self.backward(dy).copy()
        return {"y": y, "dx": dx, "gradients": self.arena.grads.copy()}


def layers_of(layer: Layer, path: str = "") -> Iterator[tuple[str, Layer]]:
    """The layer and all its parts, by their paths in it."""
    yield path, layer
    for name, part in layer.parts():
        yield from layers_of(part, f"{path}{name}.")
