"""The base class of layers.

    x, y      input and output of a layer, the batch axis first: (N, ...)
    dx, dy    gradients of the loss with respect to them
    W, b      weights (inputs, outputs) and biases (outputs,)
    N         number of examples in a batch

A `Shape` describes one example: it never holds the batch axis.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Configurable
from layerkit.errors import ConfigError, ShapeError, at
from layerkit.guidance import Refused, not_called
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Zeros
from layerkit.initializers.scaled import LeCunNormal
from layerkit.parameters import Param, State

DEFAULT_INIT: Initializer = LeCunNormal()


class Layer(Configurable, ABC):
    """Base class of layers; a subclass writes `forward` and `backward`, and `build` if needed.

    A layer of one input has ``build(self, shape)`` and ``forward(self, x, train=True)``. One of
    several has ``build(self, a, b)``, ``forward(self, a, b, train=True)`` and a `backward` that
    returns a tuple with one dx for each; ``*xs`` takes any number of inputs. ``train`` is always
    passed by keyword.

    Two laws make any wiring safe: `forward` never writes to its inputs, `backward` never writes to
    `dy`; and what they return may be overwritten by their own next call, not before. A third lets
    the layer be recorded: what is done depends on shapes and options, never on values. With
    ``train=False`` several threads may use the layer at once: keep the result in a local variable
    (``y = ...; self.y = y; return y``), since another thread may write to the layer meanwhile.

    Examples
    --------
    >>> import numpy as np
    >>> class Square(Layer):
    ...     def forward(self, x, train=True):
    ...         self.x = x
    ...         return x * x
    ...     def backward(self, dy):
    ...         return 2 * self.x * dy
    >>> square = Square()
    >>> square.forward(np.array([[3.0]])), square.backward(np.array([[1.0]]))
    (array([[9.]]), array([[6.]]))
    """

    reserved: ClassVar[tuple[str, ...]] = (
        *("address", "carried", "default_init", "fitted", "generator"),
        *("output_shape", "rng", "wants_dx"),
    )
    random: ClassVar[bool] = False
    """Whether `forward` draws from ``self.rng``, a generator that the network provides."""
    adapts: ClassVar[bool] = False
    """Whether `adapt` should be called with the data before the first training step."""
    smallest_batch: ClassVar[int] = 1
    """The number of examples that `forward` needs with ``train=True``."""
    wants_dx = True
    address = ""
    default_init = DEFAULT_INIT
    carried = dict[str, Array]()

    if not TYPE_CHECKING:
        __call__ = not_called
        trainable = Refused()
        requires_grad = Refused()

    def _hint(self, name: str) -> str:
        unbuilt = "" if self.address else "; it is not built: put it into a Network first"
        return super()._hint(name) or unbuilt

    def set_params(self, **params: Any) -> Self:
        """Set options by name or address; ConfigError if the layer is already built."""
        if self.address:
            raise ConfigError(
                f"{self.address}: is built already; set the options of a copy, copy.deepcopy(…), "
                "and put it into a new Network"
            )
        return super().set_params(**params)

    @property
    def rng(self) -> np.random.Generator:
        """The layer's own generator of random numbers, where `random`."""
        found: np.random.Generator | None = vars(self).get("generator")
        if found is None:
            raise AttributeError(f"{type(self).__name__} has no attribute 'rng'{self._hint('rng')}")
        return found

    @rng.setter
    def rng(self, generator: np.random.Generator) -> None:
        vars(self)["generator"] = generator

    @property
    def fitted(self) -> State | None:
        """A State, 1 when this layer has been fitted to the data; None unless `wants_data`."""
        return vars(self).get("fitted")

    # `*xs: Any, **options: Any` lets each subclass name its own inputs, for type checkers too

    def build(self, *shapes: Any, **options: Any) -> Shape:
        """Declare parameters for inputs of these shapes, and return the shape of the output.

        Called once. By default the output has the shape of the first input. Raise `ShapeError`
        for shapes that don't fit.
        """
        return shapes[0]

    @abstractmethod
    def forward(self, *xs: Any, **options: Any) -> Array:
        """Return y, keeping what `backward` needs. The only option is ``train``."""

    @abstractmethod
    def backward(self, dy: Array) -> Any:
        """Set the parameters' gradients and return dx; for several inputs, a tuple of them.

        Where `wants_dx` is False, nobody reads dx: return None if that saves work.
        """

    def place(self, *shapes: Shape, address: str) -> Shape:
        """Build for inputs of these shapes, and remember address and output shape.

        Containers call this for their parts.

        Raises
        ------
        ShapeError
            From `build`, or for another number of inputs than `forward` has; with the address.
        """
        self.address = address
        with at(address):
            self._check_number(shapes)
            self.output_shape = self.build(*shapes)
            if not isinstance(self.output_shape, tuple):
                raise ShapeError(
                    f"{type(self).__name__}.build returned {self.output_shape!r}; should be the "
                    "shape of an output, a tuple"
                )
            if self.wants_data:
                vars(self)["fitted"] = State((), Zeros())
        return self.output_shape

    def _check_number(self, shapes: tuple[Shape, ...]) -> None:
        """Raise a ShapeError for another number of inputs than `forward` has."""
        parameters = inspect.signature(self.forward).parameters.values()
        inputs = [p for p in parameters if p.name != "train" and p.kind is not p.VAR_KEYWORD]
        any_number = any(p.kind is p.VAR_POSITIONAL for p in inputs)
        if len(inputs) == len(shapes) or (any_number and shapes):
            return
        count = "1 input" if len(inputs) == 1 else f"{len(inputs)} inputs"
        remedy = "in a Graph, 'a, b -> node' hands a node several"
        if len(shapes) > len(inputs):
            remedy = "a Join() before it makes one array of several"
        raise ShapeError(
            f"{type(self).__name__} takes {count}, not {len(shapes)} "
            f"({', '.join(map(str, shapes))}); {remedy}"
        )

    def want_dx(self, wanted: bool) -> None:
        """Set `wants_dx`, which says whether anybody reads what `backward` returns."""
        self.wants_dx = wanted

    def wants_dy(self) -> bool:
        """Whether `backward` has something to do: dx is wanted, or there are parameters inside."""
        return self.wants_dx or any(layer.params() for _, layer in self.walk(self.address))

    def check(self, *xs: Any, **options: Any) -> None:
        """Raise a DataError for inputs that this layer can't take. Called before training."""

    def adapt(self, batches: Iterable[Any]) -> None:
        """Look at all examples once before training, batch by batch. Only where `adapts`.

        A batch is an array x, or a tuple of them for a layer of several inputs.
        """

    @property
    def wants_data(self) -> bool:
        """Whether this layer or its initial weights are fitted to the data."""
        return self.adapts or any(param.init.from_data for param in self.params().values())

    def init_before(self) -> Initializer:
        """Return the default initializer of a layer whose outputs go into this one."""
        return DEFAULT_INIT

    def parts(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers that this one is made of, by the names of the fields that hold them."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Layer):
                yield field.name, value
            elif isinstance(value, list | tuple | dict):
                items = value.items() if isinstance(value, dict) else enumerate(value)
                for name, item in items:
                    if isinstance(item, Layer):
                        yield f"{field.name}.{name}", item

    def walk(self, address: str) -> Iterator[tuple[str, Layer]]:
        """Yield the layer and all inside it with their addresses, a container before its parts."""
        waiting: list[tuple[str, Layer]] = [(address, self)]
        while waiting:
            address, layer = waiting.pop()
            yield address, layer
            parts = [(f"{address}.{name}", part) for name, part in layer.parts()]
            waiting += reversed(parts)

    def declared(self) -> dict[str, State]:
        """Return the parameters and states of this very layer, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, State)}

    def params(self) -> dict[str, Param]:
        """Return the parameters of this very layer, by attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Param)}

    def __getstate__(self) -> dict[str, Any]:
        """Return the options, and the numbers that a copy carries to its new network."""
        state = super().__getstate__()
        carried = self.carried or {
            name: item.value.copy() for name, item in self.declared().items() if item.placed
        }
        if carried:
            state["carried"] = carried
        if "generator" in vars(self):
            state["generator"] = self.rng
        return state
