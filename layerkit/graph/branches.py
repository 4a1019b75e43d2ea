"""Containers whose parts all read the same input: Residual, Sum, Concat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

from layerkit.graph.container import Container, Layers, Wiring
from layerkit.layers.base import Layer
from layerkit.layers.combining import Add, Join


def combined(names: Sequence[str], by: str) -> Wiring:
    """Return the wiring of branches that read the input, and of a part that reads them all.

    A single branch is the output itself.
    """
    reads = {name: ("input",) for name in names if name != "input"}
    if len(names) == 1:
        return reads | {"output": tuple(names)}
    return reads | {by: tuple(names), "output": (by,)}


class Residual(Container):
    """y = body(x) + x: a residual block; with a shortcut, y = body(x) + shortcut(x).

    Source: He et al. (2015), Deep residual learning for image recognition, arXiv:1512.03385.

    Parameters
    ----------
    body : Layer
        Computes what is added to x.
    shortcut : Layer, optional
        Brings x to the shape of body(x), where the body changes it.

    Raises
    ------
    ShapeError
        When the two don't have the same shape.

    Examples
    --------
    >>> from layerkit import Dense, Network, ReLU, Sequential, ShapeError, SoftmaxCrossEntropy
    >>> block = Residual(Sequential([ReLU(), Dense(8)]))
    >>> net = Network(Sequential([Dense(8), block, Dense(3)]), SoftmaxCrossEntropy(), shape=(4,))
    >>> block.output_shape
    (8,)
    >>> try:
    ...     Network(Residual(Dense(8)), SoftmaxCrossEntropy(), shape=(4,))
    ... except ShapeError as error:
    ...     print(f"{error.place}: {error}")
    body.add: (8,), (4,): what is added should have one shape; a Dense brings one of them to the \
shape of another (in a Residual as its shortcut)
    """

    body: Layer
    shortcut: Layer | None = None

    @cached_property
    def add(self) -> Add:
        """The last part, which is not an option."""
        return Add()

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield from super().parts()
        yield "add", self.add

    def wiring(self) -> Wiring:
        return combined(["body", "shortcut" if self.shortcut else "input"], by="add")


class Sum(Container):
    """y = f_1(x) + f_2(x) + …: a sum of branches, which return arrays of the same shape.

    Parameters
    ----------
    branches : list of Layer
        The layers that all read x, at least one.

    Raises
    ------
    ShapeError
        When the branches return different shapes.

    Examples
    --------
    >>> from layerkit import Dense, Network, Sequential, Sigmoid, SoftmaxCrossEntropy
    >>> body = Sum([Dense(2), Sequential([Dense(16), Sigmoid(), Dense(2)])])
    >>> Network(body, SoftmaxCrossEntropy(), shape=(4,)).body.output_shape
    (2,)
    """

    branches: Layers

    @cached_property
    def add(self) -> Add:
        """The last part, which is not an option."""
        return Add()

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield from super().parts()
        if len(self.branches) > 1:
            yield "add", self.add

    def wiring(self) -> Wiring:
        return combined([f"branches.{i}" for i in range(len(self.branches))], by="add")


class Concat(Container):
    """y = [f_1(x), f_2(x), …]: a concatenation of the outputs of branches along an axis.

    Parameters
    ----------
    branches : list of Layer
        The layers that all read x, at least one.
    axis : int
        The axis to join along, counted from the end of an example: -1 is the last, the features.

    Raises
    ------
    ShapeError
        When the branches return shapes that differ in more than this axis.

    Examples
    --------
    >>> from layerkit import Dense, Network, ReLU, Sequential, Sigmoid, SoftmaxCrossEntropy
    >>> halves = [Sequential([Dense(5), ReLU()]), Sequential([Dense(3), Sigmoid()])]
    >>> Network(Concat(halves), SoftmaxCrossEntropy(), shape=(4,)).body.output_shape
    (8,)
    """

    branches: Layers
    axis: int = -1

    @cached_property
    def join(self) -> Join:
        """The last part, which is not an option."""
        return Join(self.axis)

    def parts(self) -> Iterator[tuple[str, Layer]]:
        yield from super().parts()
        if len(self.branches) > 1:
            yield "join", self.join

    def wiring(self) -> Wiring:
        return combined([f"branches.{i}" for i in range(len(self.branches))], by="join")
