"""How several arrays become one, and how the gradient finds the way back to each of them."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import ClassVar, NamedTuple

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import ShapeError


def total(arrays: Sequence[Array]) -> Array:
    """Add up, in a new array where there are several: never into one that a layer may keep."""
    return reduce(np.add, arrays)


class Merge(ABC):
    """y of x_1, x_2 …; each of these is an array (N, ...)."""

    sign: ClassVar[str]
    word: ClassVar[str]
    law: ClassVar[str]

    def shape(self, shapes: Sequence[Shape]) -> Shape | None:
        """The shape of y, or None if `shapes` break the law."""
        return shapes[0] if len(set(shapes)) == 1 else None

    @abstractmethod
    def forward(self, xs: Sequence[Array]) -> Array:
        """Return y."""

    @abstractmethod
    def backward(self, dy: Array, xs: Sequence[Array]) -> list[Array]:
        """Return dx_1, dx_2 …"""


class Plus(Merge):
    """y = x_1 + x_2 + …; dx_i = dy."""

    sign = "+"
    word = "sum"
    law = "what is added has to have one shape"

    def forward(self, xs: Sequence[Array]) -> Array:
        """Return the sum."""
        return total(xs)

    def backward(self, dy: Array, xs: Sequence[Array]) -> list[Array]:
        """Return dy for each."""
        return [dy for _ in xs]


class Times(Merge):
    """y = x_1 x_2 …, number by number; dx_i = dy times all others."""

    sign = "*"
    word = "product"
    law = "what is multiplied has to have one shape"

    def forward(self, xs: Sequence[Array]) -> Array:
        """Return the product."""
        return reduce(np.multiply, xs)

    def backward(self, dy: Array, xs: Sequence[Array]) -> list[Array]:
        """Return dy times the others for each."""
        return [reduce(np.multiply, [dy, *xs[:i], *xs[i + 1 :]]) for i in range(len(xs))]


class Join(Merge):
    """y = [x_1, x_2 …], one behind the other along the last axis; dx_i is its part of dy."""

    sign = ","
    word = "concat"
    law = "what is joined may differ in the last axis only"

    def shape(self, shapes: Sequence[Shape]) -> Shape | None:
        """The last axes are added up."""
        if not all(shapes) or len({shape[:-1] for shape in shapes}) > 1:
            return None
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def forward(self, xs: Sequence[Array]) -> Array:
        """Return all in one array."""
        return np.concatenate(xs, axis=-1)

    def backward(self, dy: Array, xs: Sequence[Array]) -> list[Array]:
        """Cut dy where the arrays end."""
        ends = list(itertools.accumulate(x.shape[-1] for x in xs))
        return np.split(dy, ends[:-1], axis=-1)


PLUS = Plus()
MERGES: dict[str, Merge] = {merge.sign: merge for merge in (PLUS, Times(), Join())}


class Sources(NamedTuple):
    """What is read: the names of one or several arrays, and how several become one."""

    names: tuple[str, ...]
    merge: Merge = PLUS

    def shape(self, known: Mapping[str, Shape], advice: str = "") -> Shape:
        """The shape of what is read, where the shapes of all arrays are known.

        Raises
        ------
        ShapeError
            When the shapes can't be merged.
        """
        shape = self.merge.shape([known[name] for name in self.names])
        if shape is None:
            all_of_them = self.written([f"{name} {known[name]}" for name in self.names])
            raise ShapeError(f"{all_of_them}: {self.merge.law}{advice}")
        return shape

    def merged(self, values: Mapping[str, Array]) -> Array:
        """What is read, of the values of all."""
        return self.merge.forward([values[name] for name in self.names])

    def send(self, dy: Array, values: Mapping[str, Array], sent: Mapping[str, list[Array]]) -> None:
        """Add to `sent` what each that was read gets of the gradient."""
        dxs = self.merge.backward(dy, [values[name] for name in self.names])
        for name, dx in zip(self.names, dxs, strict=True):
            sent[name].append(dx)

    def written(self, words: Sequence[str]) -> str:
        """The words with the sign between them."""
        sign = self.merge.sign
        return (f"{sign} " if sign == "," else f" {sign} ").join(words)
