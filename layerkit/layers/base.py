"""What a layer is.

    x, y      input and output of a layer, the batch axis first: (N, ...)
    dx, dy    gradients of the loss with respect to them
    W, b      weights (inputs, outputs) and biases (outputs,)
    N         how many examples a batch has

A `Shape` describes one example and never holds the batch axis.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import fields

from layerkit.config import Configurable
from layerkit.errors import ShapeError, at
from layerkit.parameters import Array, Param, Shape


class Layer(Configurable, ABC):
    """One array in, one array out. A subclass writes `forward` and `backward`.

    Two laws make any wiring safe: `forward` never writes to `x`, `backward` never writes to `dy`;
    and what they return may be overwritten by their own next call, not before. With
    ``train=False`` several threads may be predicting: hold what you return in a variable of your
    own (``y = ...; self.y = y; return y``), since another thread may write to the layer meanwhile.

    Examples
    --------
    >>> import numpy as np
    >>> class Square(Layer):
    ...     def forward(self, x, train=True):
    ...         self.x = x
    ...         return x * x
    ...     def backward(self, dy):
    ...         return 2 * self.x * dy
    >>> Square().forward(np.array([[3.0]]))
    array([[9.]])
    """

    reserved = ("address", "output_shape", "wants_dx")
    wants_dx = True
    address = ""

    def build(self, shape: Shape) -> Shape:
        """Declare parameters for inputs of `shape`, and return the shape of the outputs.

        Called once. Raise `ShapeError` for a shape that doesn't fit.
        """
        return shape

    @abstractmethod
    def forward(self, x: Array, train: bool = True) -> Array:
        """Return y, keeping what `backward` needs."""

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """Set the parameters' gradients and return dx.

        Nobody reads dx where `wants_dx` is False.
        """

    def place(self, shape: Shape, address: str) -> Shape:
        """Build, remembering the address and the shape; containers call this.

        Raises
        ------
        ShapeError
            From `build`, with the address.
        """
        self.address = address
        with at(address):
            self.output_shape = self.build(shape)
            if not isinstance(self.output_shape, tuple):
                raise ShapeError(
                    f"{type(self).__name__}.build returned {self.output_shape!r}; should be the "
                    "shape of an output, a tuple"
                )
        return self.output_shape

    def parts(self) -> Iterator[tuple[str, Layer]]:
        """The layers that this one is made of, by the names of the fields that hold them."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Layer):
                yield field.name, value
            elif isinstance(value, list | tuple):
                for i, item in enumerate(value):
                    if isinstance(item, Layer):
                        yield f"{field.name}.{i}", item

    def params(self) -> dict[str, Param]:
        """The parameters that `build` declared on this very layer, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Param)}
