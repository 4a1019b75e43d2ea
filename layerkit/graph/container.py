"""Containers: layers made of layers. Only they know how values travel between layers."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias

from layerkit.arrays import Array, Shape, total
from layerkit.config.options import Limits
from layerkit.errors import ConfigError, ShapeError
from layerkit.initializers.base import Initializer
from layerkit.layers.base import DEFAULT_INIT, Layer

Wiring: TypeAlias = dict[str, tuple[str, ...]]
"""The names of the inputs of each part."""
Layers = Annotated[list[Layer], Limits(min_length=1)]
"""At least one layer."""


class Container(Layer):
    """Base class of layers made of layers; a subclass says in `wiring` what each of them reads.

    Backward, each part gets the sum of the gradients of all that read it.

    Raises
    ------
    ConfigError
        For containers inside each other deeper than Python's recursion limit allows. Layers one
        after the other don't count, however many there are.

    Examples
    --------
    >>> import numpy as np
    >>> from layerkit import Layer, Multiply, Sigmoid
    >>> class SelfGated(Container):
    ...     gate: Layer
    ...     product: Layer
    ...     def wiring(self):
    ...         return {"gate": ("input",), "product": ("input", "gate"), "output": ("product",)}
    >>> body = SelfGated(Sigmoid(), Multiply())
    >>> body.place((1,), address="body")
    (1,)
    >>> body.forward(np.array([[0.0], [2.0]])).round(2)
    array([[0.  ],
           [1.76]])
    """

    reserved = (*Layer.reserved, "asked", "order", "result")

    def __post_init__(self) -> None:
        super().__post_init__()
        most, depth = sys.getrecursionlimit() // 10, 0
        level: list[Layer] = [self]
        while level and depth < most:
            depth += 1
            # by identity: a layer that appears twice, which a Network refuses, counts once
            level = list({id(part): part for layer in level for _, part in layer.parts()}.values())
        if level:
            raise ConfigError(
                f"{type(self).__name__}: layers inside each other, more than {most} levels deep: "
                f"Python's recursion limit of {sys.getrecursionlimit()} has room for no more; put "
                "layers one after the other, or raise it by sys.setrecursionlimit"
            )

    @abstractmethod
    def wiring(self) -> Wiring:
        """Return what each part reads, and at the end the one part that is the ``"output"``.

        The names are those of `parts`, in the order of computation; ``"input"`` is the input of the
        container.
        """

    def init_before(self) -> Initializer:
        """Set the default initializer of each part, and return that of a layer before this one."""
        self._check_wiring()
        parts, wishes = dict(self.parts()), defaultdict[str, list[Initializer]](list)
        for reader, names in reversed(self.wiring().items()):
            wish = self.default_init
            if reader != "output":
                parts[reader].default_init = _suiting(reversed(wishes[reader]))
                wish = parts[reader].init_before()
            for name in names:
                wishes[name].append(wish)
        return _suiting(reversed(wishes["input"]))

    def want_dx(self, wanted: bool) -> None:
        """Set `wants_dx` here and in all parts: a part returns dx if something it reads wants it.

        What is before all parameters gets no gradient, and its `backward` is not called.
        """
        super().want_dx(wanted)
        parts, self.asked = dict(self.parts()), {"input"} if wanted else set[str]()
        for name, sources in self.wiring().items():
            if name != "output":
                parts[name].want_dx(not self.asked.isdisjoint(sources))
                if parts[name].wants_dy():
                    self.asked.add(name)

    def build(self, shape: Shape) -> Shape:
        """Build the parts, each after those that it reads."""
        outermost = "default_init" not in vars(self)  # it tells all that is inside
        if outermost:
            self.init_before()
        parts, wiring, shapes = dict(self.parts()), self.wiring(), {"input": shape}
        (self.result,) = wiring.pop("output")
        self.order = [(name, parts[name], names) for name, names in wiring.items()]
        for name, part, names in self.order:
            read = [shapes[source] for source in names]
            shapes[name] = part.place(*read, address=f"{self.address}.{name}")
        if outermost:
            self.want_dx(self.wants_dx)
        return shapes[self.result]

    def _check_wiring(self) -> None:
        """Raise a ConfigError unless all parts read what comes before them, and all are read."""
        wiring, known, read = self.wiring(), {"input"}, set[str]()
        for name, sources in wiring.items():
            for source in sources:
                if source not in known:
                    raise ConfigError(
                        f"{type(self).__name__}.wiring: {name} reads {source!r}; before it are "
                        f"{', '.join(name for name in ('input', *wiring) if name in known)}"
                    )
            known.add(name)
            read.update(sources)
        for name in ["output", *dict(self.parts())]:
            if name not in wiring or (name not in read and name != "output"):
                what = "reads nothing" if name not in wiring else "is read by nothing"
                raise ConfigError(f"{type(self).__name__}.wiring: {name} {what}")

    def forward(self, x: Array, train: bool = True) -> Array:
        """Run the parts, each after those that it reads."""
        values = {"input": x}
        for name, part, names in self.order:
            values[name] = part.forward(*[values[source] for source in names], train=train)
        return values[self.result]

    def backward(self, dy: Array) -> Array | None:
        """Run the parts in reverse: each gets the sum of the gradients of all that read it."""
        sent = defaultdict[str, list[Array]](list, {self.result: [dy]})
        for name, part, names in reversed(self.order):
            if name not in self.asked:
                continue
            dx = part.backward(total(sent.pop(name)))
            if part.wants_dx:
                for source, d in zip(names, _each(dx, part, len(names)), strict=True):
                    sent[source].append(d)
        return total(sent["input"]) if self.wants_dx else None


def _each(dx: Any, part: Layer, inputs: int) -> tuple[Array, ...]:
    """Return a dx for each input of a part; ShapeError if it returned something else."""
    dxs = dx if inputs > 1 else (dx,)
    if not isinstance(dxs, tuple) or len(dxs) != inputs:
        raise ShapeError(
            f"{part.address}: {type(part).__name__}.backward returned a {type(dx).__name__}; "
            f"should be a tuple of {inputs} arrays, one dx for each input"
        )
    return dxs


def _suiting(wishes: Iterable[Initializer]) -> Initializer:
    """Return the initializer for several readers: the first wish that is not the default."""
    return next((wish for wish in wishes if wish != DEFAULT_INIT), DEFAULT_INIT)
