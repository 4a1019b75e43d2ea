"""Maps: what a network and each of its units return at the points of a plane or a curve.

All of it comes from one forward pass. A map has SIDE x SIDE points, its first row is at the top,
where the second number is greatest; a curve has LINE points.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.kinds import Number
from layerkit.data.examples import Dataset, Examples
from layerkit.inspection.summary import wiring_of
from layerkit.layers.base import Layer
from layerkit.layers.table import Table
from layerkit.layers.watch import Method, watched
from layerkit.network import Network
from layerkit.play.wire import as_bytes, packed

SIDE = 50
LINE = 100
MOST_UNITS = 64
"""At most so many units of a layer are shown."""
MOST_POINTS = 2000
"""At most so many examples of each set are measured in a frame, and are shown."""
WHOLE = 100
"""At most so many images, or rows of wide tables, are sent whole."""
MARGIN = 0.1
"""Margin around the points, as a share of their span."""

Activations = dict[str, Array]


class View:
    """View of a data set: two columns of a data set, one, or an example where there are more.

    Parameters
    ----------
    dataset : Dataset
    table : Table, optional
        The first layer, which knows what the columns are.
    columns : list of int, optional
        At most two columns with numbers to look at, with the others at their medians; by default
        the first two.

    Attributes
    ----------
    kind : {"plane", "curve", "images", "table"}
    numbers : list of int
        The columns with numbers.
    columns : list of int
        Empty where examples are looked at.
    """

    def __init__(
        self, dataset: Dataset, table: Table | None = None, columns: list[int] | None = None
    ) -> None:
        self.dataset = dataset
        x = first_examples(dataset.train)
        self.numbers = list(range(x.shape[1]))
        if table:
            self.numbers = [i for i in self.numbers if isinstance(table.ready()[i], Number)]
        if dataset.image:
            self.kind, self.numbers = "images", []
        elif len(self.numbers) == x.shape[1] <= 2:
            self.kind, columns = ("curve", "plane")[x.shape[1] - 1], self.numbers
        else:
            self.kind = "table"
        self.columns = self.numbers[:2] if columns is None else columns
        self.grid: Array | None = None
        if self.columns:
            both = np.concatenate([x, first_examples(dataset.test)])
            self.bounds = [_bounds(both[:, column]) for column in self.columns]
            self.grid = np.repeat(_medians(x)[None], self.size, axis=0).astype(x.dtype)
            self.grid[:, self.columns] = self._points()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a map."""
        return (SIDE, SIDE) if len(self.columns) == 2 else (LINE,)

    @property
    def size(self) -> int:
        """The number of its points."""
        return int(np.prod(self.shape))

    def _points(self) -> Array:
        """The points of the map (points, columns)."""
        lines = [np.linspace(*bounds, self.shape[0]) for bounds in self.bounds]
        if len(lines) == 1:
            return lines[0][:, None]
        right, up = np.meshgrid(lines[0], lines[1][::-1])
        return np.stack([right.ravel(), up.ravel()], axis=1)

    def points(self, examples: Examples) -> dict[str, Any]:
        """Return examples as the page draws them: where they are in the map, and their targets.

        Images are sent whole.
        """
        x = first_examples(examples)
        shown = x[:, self.columns] if self.columns else x[:WHOLE]
        t = first_target(examples)[: len(shown)]
        return {"x": packed(shown), "t": packed(t), "size": len(examples)}

    def describe(self) -> dict[str, Any]:
        """Return the data as the page draws them."""
        dataset = self.dataset
        values = first_target(dataset.train)
        return {
            "name": dataset.name,
            "says": str(dataset),
            "kind": self.kind,
            "target": dataset.target,
            "classes": dataset.classes,
            "targets": dataset.targets,
            "features": dataset.features or [f"x{i + 1}" for i in range(dataset.train.x.shape[1])],
            "numbers": self.numbers,
            "columns": self.columns,
            "bounds": self.bounds if self.columns else [],
            "range": None if dataset.target == "class" else _bounds(values[~np.isnan(values)]),
            "image": dataset.image,
            "bytes": dataset.train.x.dtype == np.uint8,
        } | {name: self.points(part) for name, part in dataset.parts().items()}


def first_examples(examples: Examples) -> Array:
    """Return the first examples, as many as are shown."""
    return np.asarray(examples.inputs[:MOST_POINTS])


def first_target(examples: Examples) -> Array:
    """Return the targets (N,), the first of several."""
    return examples.t.reshape(len(examples), -1)[:, 0]


def _bounds(values: Array) -> tuple[float, float]:
    """The ends of an axis for these values, with a margin."""
    finite = values[np.isfinite(values)].astype(float)
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    margin = MARGIN * (high - low) or 1.0
    return low - margin, high + margin


def _medians(x: Array) -> Array:
    """The median of each column, of what is there: a number that occurs, or a code."""
    return np.array(
        [np.sort(there)[len(there) // 2] if len(there := c[~np.isnan(c)]) else 0.0 for c in x.T]
    )


def look(network: Network, x: Array) -> tuple[Array, Activations]:
    """Return the outputs for examples in the units of the targets, and those of every layer."""
    found: Activations = {}

    def keep(address: str, name: str, method: Method) -> Method:
        if name == "backward":
            return method

        def keeping(*xs: Array, **options: Any) -> Array:
            found[address] = y = method(*xs, **options)
            return y

        return keeping

    with np.errstate(all="ignore"), watched(network.layers(), keep):
        z = network.body.forward(network.inputs.convert(x), train=False)
    return network.targets.restore(z), found


def reads(body: Layer) -> dict[str, list[str]]:
    """Return what each layer that is no container reads: addresses of others, or "input".

    Examples
    --------
    >>> from layerkit import Dense, Residual, Sequential
    >>> reads(Sequential([Dense(2), Residual(Dense(2))]))["body.layers.1.add"]
    ['body.layers.1.body', 'body.layers.0']
    """
    found: dict[str, list[str]] = {}

    def follow(address: str, layer: Layer, inputs: list[str]) -> list[str]:
        """Return what is read by whoever reads this layer."""
        wiring = wiring_of(layer)
        if not wiring:
            found[address] = inputs
            return [address]
        made = {"input": inputs}
        for name, part in layer.parts():
            given = [source for read in wiring[name] for source in made[read]]
            made[name] = follow(f"{address}.{name}", part, given)
        return made[wiring["output"][0]]

    follow("body", body, ["input"])
    return found


def map_of(network: Network, view: View) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the map of a view, None where there is none, and the small maps of each layer."""
    assert view.grid is not None
    z, found = look(network, view.grid)
    neurons = {}
    for address, y in found.items():
        units = y.reshape(view.size, -1)
        shown = as_bytes(units[:, :MOST_UNITS], view.shape)
        neurons[address] = shown | {"units": units.shape[1]}
    return decision(network, view, z), neurons


def decision(network: Network, view: View, z: Array) -> dict[str, Any]:
    """Return what the network decides at each point: a class and its probability, or a value."""
    with np.errstate(all="ignore"):
        if view.dataset.target == "number":
            values = z.reshape(view.size, -1)[:, 0].reshape(view.shape)
            return {"values": packed(values)}
        p = probabilities(network, z)
    if view.dataset.target == "labels":
        return {"values": packed(p[:, 0].reshape(view.shape))}
    best = np.nan_to_num(p).argmax(axis=1)
    winner, probability = best, np.take_along_axis(p, best[:, None], axis=1)
    return {
        "winner": packed(winner.reshape(view.shape).astype(np.uint8)),
        "probability": packed(np.nan_to_num(probability).reshape(view.shape)),
    }


def probabilities(network: Network, z: Array) -> Array:
    """Return the probabilities of the classes (N, K) from outputs, as `Network.predict_proba`.

    Of a loss without probabilities they are 1 for what is predicted.
    """
    if network.loss.has_probabilities:
        p = network.loss.predict_proba(z)
    elif z.shape[-1] > 1 and network.targets.exclusive:
        p = np.eye(z.shape[-1])[z.argmax(axis=-1)]
    else:
        p = (z > 0).astype(float)
    return np.concatenate([1 - p, p], axis=-1) if p.shape[-1] == 1 else p


def activations_of(network: Network, x: Array) -> dict[str, Any]:
    """Return the outputs of each layer for one example."""
    return {address: {"activations": packed(y[0])} for address, y in look(network, x)[1].items()}
