"""Layers side by side, which all read the same input."""

from __future__ import annotations

from abc import abstractmethod

from layerkit.arrays import Array, Shape
from layerkit.errors import ConfigError
from layerkit.graph.container import Container, suiting
from layerkit.graph.merging import MERGES, PLUS, Merge, Sources, total
from layerkit.initializers.base import Initializer
from layerkit.layers.base import Layer


class Parallel(Container):
    """Parts that all read the input of the container."""

    advice = ""

    def init_before(self) -> Initializer:
        """That of the first part that wants a special one; the parts share what is behind them."""
        parts = [part for _, part in self.parts()]
        for part in parts:
            part.default_init = self.default_init
        return suiting(part.init_before() for part in parts)

    def build(self, shape: Shape) -> Shape:
        """Build the parts for the same input."""
        self.init_before()
        shapes = {"input": shape}
        for name, part in self.parts():
            part.wants_dx = self.wants_dx
            shapes[name] = part.place(shape, f"{self.address}.{name}")
        return self.wiring()["output"].shape(shapes, self.advice)


class Residual(Parallel):
    """y = body(x) + x, or body(x) + shortcut(x); dx is the sum of what both send back.

    He et al. (2015), Deep residual learning for image recognition, arXiv:1512.03385.

    Parameters
    ----------
    body : Layer
        What x passes through, and by.
    shortcut : Layer, optional
        For a body that changes the shape: brings x to the new one.

    Raises
    ------
    ShapeError
        When the two have not the same shape.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.network import Network
    >>> from layerkit.layers.activations.rectifiers import ReLU
    >>> from layerkit.graph.sequential import Sequential
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> block = Residual(Sequential([ReLU(), Dense(8)]))
    >>> Network(Sequential([Dense(8), block, Dense(3)]), SoftmaxCrossEntropy(), shape=(4,)).shape
    (4,)
    >>> Network(Residual(Dense(8)), SoftmaxCrossEntropy(), shape=(4,))
    Traceback (most recent call last):
    ...
    layerkit.errors.ShapeError: body (8,) + input (4,): what is added has to have one shape; give \
a shortcut to the shape of the body, as Dense(…)
    at body
    """

    body: Layer
    shortcut: Layer | None = None
    advice = "; give a shortcut to the shape of the body, as Dense(…)"

    def wiring(self) -> dict[str, Sources]:
        """Both read the input."""
        names = [name for name, _ in self.parts()]
        both = ("body", "input" if self.shortcut is None else "shortcut")
        return {name: Sources(("input",)) for name in names} | {"output": Sources(both)}

    def forward(self, x: Array, train: bool = True) -> Array:
        """Return body(x) + shortcut(x)."""
        y = self.body.forward(x, train)
        return y + (x if self.shortcut is None else self.shortcut.forward(x, train))

    def backward(self, dy: Array) -> Array:
        """Return the sum of both gradients, in an array that belongs to neither."""
        dx = self.body.backward(dy)
        short = dy if self.shortcut is None else self.shortcut.backward(dy)
        return dx + short if self.wants_dx else dy


class Branches(Parallel):
    """Branches that read the same input; what they return is merged."""

    branches: list[Layer]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.branches:
            raise ConfigError(f"{type(self).__name__}.branches = []: should have at least one")

    @property
    @abstractmethod
    def merge(self) -> Merge:
        """How."""

    def wiring(self) -> dict[str, Sources]:
        """All read the input."""
        names = tuple(name for name, _ in self.parts())
        return {name: Sources(("input",)) for name in names} | {
            "output": Sources(names, self.merge)
        }

    def forward(self, x: Array, train: bool = True) -> Array:
        """Merge what the branches return."""
        ys = [branch.forward(x, train) for branch in self.branches]
        self.ys = ys
        return self.merge.forward(ys)

    def backward(self, dy: Array) -> Array:
        """Give each branch its part of dy, and return the sum of what they send back."""
        dys = self.merge.backward(dy, self.ys)
        dxs = [branch.backward(dy) for branch, dy in zip(self.branches, dys, strict=True)]
        return total(dxs) if self.wants_dx else dy


class Sum(Branches):
    """y = f_1(x) + f_2(x) + …: the branches return arrays of one shape.

    Parameters
    ----------
    branches : list of Layer
        At least one.

    Raises
    ------
    ShapeError
        When the branches return several shapes.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.network import Network
    >>> from layerkit.graph.sequential import Sequential
    >>> from layerkit.layers.activations.sigmoids import Sigmoid
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> body = Sum([Dense(2), Sequential([Dense(16), Sigmoid(), Dense(2)])])
    >>> Network(body, SoftmaxCrossEntropy(), shape=(4,)).body.output_shape
    (2,)
    """

    merge = PLUS


class Concat(Branches):
    """y = [f_1(x), f_2(x) …]: what the branches return, one behind the other in the last axis.

    Parameters
    ----------
    branches : list of Layer
        At least one.

    Raises
    ------
    ShapeError
        When the branches return shapes that differ in more than the last axis.

    Examples
    --------
    >>> from layerkit.layers.dense import Dense
    >>> from layerkit.network import Network
    >>> from layerkit.layers.activations.rectifiers import ReLU
    >>> from layerkit.graph.sequential import Sequential
    >>> from layerkit.layers.activations.sigmoids import Sigmoid
    >>> from layerkit.losses.classes import SoftmaxCrossEntropy
    >>> halves = [Sequential([Dense(5), ReLU()]), Sequential([Dense(3), Sigmoid()])]
    >>> Network(Concat(halves), SoftmaxCrossEntropy(), shape=(4,)).body.output_shape
    (8,)
    """

    merge = MERGES[","]
