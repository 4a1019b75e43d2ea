"""What a layer is.

    x, y      input and output of a layer, the batch axis first: (N, ...)
    dx, dy    gradients of the loss with respect to them
    W, b      weights (inputs, outputs) and biases (outputs,)
    N         how many examples a batch has

A `Shape` describes one example and never holds the batch axis.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Configurable
from layerkit.errors import ShapeError, at
from layerkit.initializers.base import Initializer
from layerkit.initializers.scaled import LeCunNormal
from layerkit.parameters import Param, State

DEFAULT_INIT: Initializer = LeCunNormal()


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

    reserved = (
        *("adapted", "address", "carried", "carried_adapted", "default_init", "generator"),
        *("output_shape", "rng", "wants_dx"),
    )
    random: ClassVar[bool] = False
    """Whether `forward` draws from ``self.rng``, a generator that the network provides."""
    adapts: ClassVar[bool] = False
    """Whether `adapt` is to be called with the data before the first step of a training."""
    smallest_batch: ClassVar[int] = 1
    """How many examples `forward` needs with ``train=True``."""
    wants_dx = True
    adapted = True
    address = ""
    default_init = DEFAULT_INIT
    carried = dict[str, Array]()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Say of what `build` declares that it is not there before."""
            built = self.address or name.startswith("__")
            hint = "" if built else "; it is not built: put it into a Network first"
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}")

    @property
    def rng(self) -> np.random.Generator:
        """Random numbers of this layer's own, where `random`."""
        generator: np.random.Generator = self.__getattribute__("generator")
        return generator

    @rng.setter
    def rng(self, generator: np.random.Generator) -> None:
        vars(self)["generator"] = generator

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

    def check(self, x: Array) -> None:
        """Raise a DataError for inputs that this layer can't take; before anything is trained."""

    def adapt(self, batches: Iterable[Array]) -> None:
        """Look at all examples once before the training, batch by batch. Only where `adapts`."""

    @property
    def wants_data(self) -> bool:
        """Whether something of this layer is fitted to the data: itself, or its weights."""
        return self.adapts or any(param.init.from_data for param in self.params().values())

    def init_before(self) -> Initializer:
        """The default weights of a layer whose outputs go into this one."""
        return DEFAULT_INIT

    def parts(self) -> Iterator[tuple[str, Layer]]:
        """The layers that this one is made of, by the names of the fields that hold them."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Layer):
                yield field.name, value
            elif isinstance(value, list | tuple | dict):
                items = value.items() if isinstance(value, dict) else enumerate(value)
                for name, item in items:
                    if isinstance(item, Layer):
                        yield f"{field.name}.{name}", item

    def declared(self) -> dict[str, State]:
        """The parameters and states that `build` declared on this very layer, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, State)}

    def params(self) -> dict[str, Param]:
        """The parameters that `build` declared on this very layer, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Param)}

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the options, and carries the numbers along to where it will be built."""
        state = super().__getstate__()
        carried = self.carried or {
            name: item.value.copy() for name, item in self.declared().items() if item.placed
        }
        if carried:
            state["carried"] = carried
            state["carried_adapted"] = vars(self).get("carried_adapted", self.adapted)
        if "generator" in vars(self):
            state["generator"] = self.rng
        return state
