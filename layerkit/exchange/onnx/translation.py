"""The translation of an ONNX model: the layers so far, and what is known of its values."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import FileError, LayerkitError
from layerkit.exchange.onnx.files import WHOLE, Model, Operation, shown
from layerkit.layers.base import Layer
from layerkit.layers.normalization import GroupNorm
from layerkit.layers.shapes import Embedding, Flatten, Reshape, Take
from layerkit.layers.standardize import Standardize
from layerkit.parameters import State

BATCH = -(2**62)
"""The length of the batch, among lengths that are computed."""
MORE_NUMBERS, MORE_PER_BYTE = 4_000_000, 4
"""A network may have MORE_NUMBERS numbers, and MORE_PER_BYTE for each byte of its file."""
LONGEST_NAME = 60


@dataclass(frozen=True)
class Value:
    """A value of the model: the node that makes it, and the shape of one example, as in ONNX.

    One number for each example, (), is an array (N, 1) here.
    """

    node: str
    shape: Shape
    whole: bool = False

    @property
    def inner(self) -> Shape:
        """The shape of one example here."""
        return self.shape or (1,)


class Translation:
    """Layers by the names of their nodes, what each of them reads, and the values they make.

    Parameters
    ----------
    model : Model
    size : int
        The size of the file in bytes, which bounds the memory that the network may take.
    """

    def __init__(self, model: Model, size: int) -> None:
        self.opset, self.batch, self.constants = model.opset, model.batch, model.constants
        self.values = {model.input: Value("input", model.shape, model.type in WHOLE)}
        self.nodes: dict[str, Layer] = {}
        self.reads: dict[str, tuple[str, ...]] = {}
        self.origins: dict[str, str] = {}
        self.owners: dict[str, Operation] = {}
        self.numbers: dict[str, int] = {}
        self.room = MORE_NUMBERS + MORE_PER_BYTE * size

    def value(self, operation: Operation, i: int = 0) -> Value:
        """Return an input that is computed from the examples."""
        name = self._input(operation, i)
        if name in self.constants:
            raise refusal(operation, f"its input {i}, {shown(name)}, is a constant")
        if name not in self.values:
            raise refusal(
                operation,
                f"it reads {shown(name)}, which no operation before it has as its first output",
            )
        return self.values[name]

    def constant(self, operation: Operation, i: int) -> Array:
        """Return an input that is a constant."""
        name = self._input(operation, i)
        if name not in self.constants:
            raise refusal(operation, f"its input {i}, {shown(name)}, should be a constant")
        return self.constants[name]

    def optional(self, operation: Operation, i: int) -> Array | None:
        """Return an input that is a constant, None if it is left out."""
        left_out = i >= len(operation.inputs) or not operation.inputs[i]
        return None if left_out else self.constant(operation, i)

    def _input(self, operation: Operation, i: int) -> str:
        if i >= len(operation.inputs) or not operation.inputs[i]:
            raise refusal(operation, f"input {i} is missing")
        return operation.inputs[i]

    def own(self, operation: Operation, name: str) -> None:
        """Refuse a matrix that two operations multiply by: nothing here ties two parameters."""
        root = self.origins.get(name, name)
        if sum(length > 1 for length in self.constants[name].shape) > 1:
            other = self.owners.setdefault(root, operation)
            if other is not operation:
                raise refusal(
                    operation,
                    f"it has the matrix {shown(root)} in common with {other}; should have its "
                    "own, since training would change it for both",
                )

    def add(
        self,
        operation: Operation,
        layer: Layer,
        *values: Value,
        constants: Sequence[str] = (),
        elementwise: bool = False,
        output: int = 0,
    ) -> None:
        """Add a layer that reads these values and makes an output of the operation."""
        if len({bool(value.shape) for value in values}) > 1:
            raise refusal(operation, "(N,) is combined with arrays of more axes")
        for value in values:
            if not value.shape and not elementwise:
                raise refusal(operation, "it reads one number for each example, without an axis")
            if value.whole and not isinstance(layer, Embedding | Take | Flatten):
                raise refusal(operation, "it computes with whole numbers; should be floats")
        if isinstance(layer, GroupNorm) and len(values[0].shape) > 1:
            raise refusal(
                operation, f"its features are along axis 1 of {values[0].shape}; here they are last"
            )
        placed = copy.copy(layer)
        shape = placed.place(*(value.inner for value in values), address=str(operation))
        declared = placed.declared()
        self.room -= sum(math.prod(item.shape) for item in declared.values())
        if self.room < 0:
            raise refusal(operation, "it needs much more memory than the file has numbers")
        if isinstance(layer, Standardize):
            self._spread(operation, layer, values[0])
        self._check_numbers(operation, layer, declared)
        name = self._node(operation, layer, constants)
        self.nodes[name], self.reads[name] = layer, tuple(value.node for value in values)
        one = elementwise and not any(value.shape for value in values)
        whole = values[0].whole and not isinstance(layer, Embedding)
        self.values[operation.outputs[output]] = Value(name, () if one else shape, whole)

    def _spread(self, operation: Operation, layer: Layer, value: Value) -> None:
        """Give a Standardize a mean and a scale for each number of an example."""
        raw = value.node == "input" or isinstance(self.nodes[value.node], Standardize)
        if not raw and any(number.size > 1 for number in layer.carried.values()):
            raise refusal(
                operation,
                "it adds a constant array, or multiplies by one, in the middle of the network, "
                "where it may be a parameter; should be a single number, or at the input, or after "
                "a MatMul or a normalization",
            )
        carried = {}
        for name, number in layer.carried.items():
            wider = number.ndim == len(value.shape) + 1 and len(number) == 1
            part = number[0] if wider else number
            if name == "fitted":
                carried[name] = number
            elif part.ndim > len(value.shape) or np.broadcast_shapes(part.shape, value.shape) != (
                value.shape
            ):
                raise refusal(
                    operation,
                    f"a constant of shape {number.shape} for examples of shape {value.shape}",
                )
            else:
                carried[name] = np.broadcast_to(part, value.inner)
        if not carried["scale"].all():
            raise refusal(operation, "it divides by 0")
        layer.carried = carried

    @staticmethod
    def _check_numbers(operation: Operation, layer: Layer, declared: Mapping[str, State]) -> None:
        """Refuse constants that don't fit the layer, or are not finite."""
        for name, number in layer.carried.items():
            if number.dtype.kind != "f":
                raise refusal(operation, f"a constant of type {number.dtype}; should be floats")
            if number.shape != declared[name].shape:
                raise refusal(
                    operation,
                    f"a constant of shape {number.shape} where {layer} has {declared[name].shape}",
                )
            if not np.isfinite(number).all():
                raise refusal(operation, "a constant has numbers that are not finite")

    def name(self, operation: Operation, value: Value) -> None:
        """Give the operation's output the meaning of a value that there is already."""
        self.values[operation.outputs[0]] = value

    def reshape(self, operation: Operation, value: Value, shape: Shape) -> None:
        """Add a layer that gives examples another shape, or none where it is the same here."""
        target = replace(value, shape=shape)
        if target.inner == value.inner:
            self.name(operation, target)
        else:
            layer = Flatten() if len(target.inner) == 1 else Reshape(target.inner)
            self.add(operation, layer, replace(value, shape=value.inner))
            made = self.values[operation.outputs[0]]
            self.values[operation.outputs[0]] = replace(made, shape=shape)

    def axis(self, operation: Operation, axis: Any, shape: Shape) -> int:
        """Return an axis of a batch, counted from its end; the batch itself is none."""
        rank = len(shape) + 1
        found = axis - rank if isinstance(axis, int) and axis >= 0 else axis
        if not isinstance(found, int) or not -rank < found < 0:
            raise refusal(
                operation,
                f"axis {axis} of {('N', *shape)}; should be another one than the batch",
            )
        return found

    def softmax_axis(self, operation: Operation, axis: Any, shape: Shape) -> int:
        """Return the axis of a Softmax, which before opset 13 was the first of several."""
        default = -1 if self.opset >= 13 else 1
        found = self.axis(operation, default if axis is None else axis, shape)
        if self.opset < 13 and found != -1:
            raise refusal(
                operation, f"before opset 13, over all axes from {found} on; not over one"
            )
        return found

    def _node(self, operation: Operation, layer: Layer, constants: Sequence[str]) -> str:
        """A new name for a node: that of the module whose parameters it has, or of its class."""
        origins = [self.origins.get(name, name) for name in constants]
        dotted = [name for name in origins if re.fullmatch(r"[\w.]+\.\w+", name)]
        module = operation.name.strip("/") if layer.carried else ""
        module = dotted[0].replace(".", "/") if dotted else module
        name = module.rpartition("/")[0] or type(layer).__name__.lower()
        name = re.sub(r"\W", "_", name[:LONGEST_NAME])
        first, number = name, self.numbers.get(name, 1)
        while name in self.nodes or name in ("input", "output"):
            number += 1
            name = f"{first}_{number}"
        self.numbers[first] = number
        return name


@contextmanager
def sentences(operation: Operation) -> Iterator[None]:
    """Turn any error that an operation's strange inputs or attributes lead to into a refusal."""
    try:
        yield
    except FileError:
        raise
    except LayerkitError as error:
        raise refusal(operation, str(error)) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = f"its inputs or attributes are not those of the operator: {error}"
        raise refusal(operation, why) from error


def refusal(operation: Operation, why: str) -> FileError:
    """Return the error for an operation that has no layer."""
    return FileError(f"{operation}: {why}")
