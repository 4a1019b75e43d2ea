"""Nodes of ONNX graphs, made one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit.recording.operations import Value
from layerkit.recording.program import Filled, OfBatch

INT = np.dtype(np.int64)


class Nodes:
    """Nodes that are made one after the other, each with its name; arrays go by names, too.

    Attributes
    ----------
    nodes : list of NodeProto
    names : dict of Value to str
        The names of the arrays that are known.
    ends : list of str
        The names of results.
    batch : bool
        Whether any node reads ``N``, the number of examples, int64 (1,).
    """

    def __init__(self, names: dict[Value, str], prefix: str = "") -> None:
        self.names, self.prefix = names, prefix
        self.nodes: list[Any] = []
        self.batch = False
        self.ends: list[str] = []
        self.counts = Counter[str]()
        self.constants: dict[Any, str] = {}

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node, and return the name of its output, or a list of several."""
        from onnx.helper import make_node

        name = self._unused(kind)
        names = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(make_node(kind, inputs, names, name, **attributes))
        return names[0] if outputs == 1 else names

    def _unused(self, kind: str) -> str:
        self.counts[kind] += 1
        number = f"_{self.counts[kind]}" if self.counts[kind] > 1 else ""
        return f"{self.prefix}{kind}{number}"

    def rename(self, old: str, new: str) -> bool:
        """Give an array another name, and the node that returns it; False if no node does."""
        makers = [node for node in self.nodes if old in node.output]
        if not makers:
            return False
        makers[0].name = new
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]
        self.names |= {value: new for value, name in self.names.items() if name == old}
        return True

    def end(self, array: str, name: str) -> None:
        """Give a result its name, which no other result has; one from outside gets a node first."""
        if array in self.ends or not self.rename(array, name):
            self.rename(self.add("Identity", array), name)
        self.ends.append(name)

    def constant(self, item: Any, dtype: Any = None) -> str:
        """Return the name of an array of fixed numbers; the same for the same numbers."""
        from onnx.numpy_helper import from_array

        array = np.asarray(item, dtype)
        key = array.dtype, array.shape, array.tobytes()
        if key not in self.constants:
            self.constants[key] = self.add("Constant", value=from_array(array))
        return self.constants[key]

    def get(self, item: Any, dtype: Any = None) -> str:
        """Return the name of a value, or of a number, as an array of this dtype."""
        if isinstance(item, OfBatch):
            return self._of_batch(item, np.dtype(dtype or np.asarray(item(1)).dtype))
        if not isinstance(item, Value):
            return self.constant(item, dtype)
        if item.kind != "constant" or item in self.names:
            return self.cast(self.names[item], item.dtype, dtype)
        if isinstance(item.array, Filled):
            return self._filled(item, np.dtype(dtype or item.dtype))
        return self.constant(item.array, dtype or item.dtype)

    def cast(self, name: str, dtype: Any, to: Any) -> str:
        """Return the name of an array in another dtype."""
        if to is None or np.dtype(dtype) == np.dtype(to):
            return name
        return self.add("Cast", name, to=onnx_type(to))

    def vector(self, numbers: Sequence[Any]) -> str:
        """Return the name of whole numbers in a row, some of which depend on N."""
        if not any(isinstance(n, OfBatch) for n in numbers):
            return self.constant(numbers, INT)
        parts = [self._row(n) if isinstance(n, OfBatch) else self.constant([n]) for n in numbers]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0)

    def _row(self, n: OfBatch) -> str:
        """Return the name of a whole number that depends on N, in a row of its own."""
        self.batch = True
        if n == OfBatch("{k} * N", 1):
            return "N"
        return self.add("Reshape", self.get(n, INT), self.constant([1]))

    def _of_batch(self, number: OfBatch, dtype: Any) -> str:
        """Return the name of a number that depends on N."""
        self.batch = True
        kind = np.dtype(np.float64) if "/" in number.form else INT
        n = self.add("Reshape", self.cast("N", INT, kind), self.constant([], INT))
        n = self.add("Mul", n, self.constant(number.k, kind))
        less = self.add("Sub", n, self.constant(1, kind)) if "- 1" in number.form else n
        found = {
            "1 / ({k} * N)": lambda: self.add("Reciprocal", n),
            "({k} * N) / ({k} * N - 1)": lambda: self.add("Div", n, less),
        }.get(number.form, lambda: less)()
        return self.cast(found, kind, dtype)

    def _filled(self, value: Value, dtype: Any) -> str:
        """Return the name of a constant array whose shape depends on N."""
        if value.array.number is not None:
            return self.full(value.array.number, value.shape, dtype)
        (n,) = value.shape
        end = self.add("Reshape", self.vector([n]), self.constant([], INT))
        found = self.add("Range", self.constant(0, INT), end, self.constant(1, INT))
        return self.cast(found, INT, dtype)

    def full(self, number: Any, shape: Sequence[Any], dtype: Any) -> str:
        """Return the name of an array of equal numbers."""
        return self.add("Expand", self.get(number, dtype), self.vector(shape))

    def reshape(self, name: str, before: Sequence[Any], after: Sequence[Any]) -> str:
        """Return the name of an array in another shape."""
        before, after = tuple(before), tuple(after)
        if before == after:
            return name
        open_ends = [isinstance(n, OfBatch) for n in after]
        if sum(open_ends) == 1 and 0 not in after:
            places = [-1 if is_open else n for n, is_open in zip(after, open_ends, strict=True)]
            return self.add("Reshape", name, self.constant(places, INT))
        return self.add("Reshape", name, self.vector(after), allowzero=1)

    def expand(self, name: str, before: Sequence[Any], after: Sequence[Any]) -> str:
        """Return the name of an array that is repeated along axes of length 1."""
        if tuple(before) == tuple(after):
            return name
        longer = [1] * (len(after) - len(before)) + list(before)
        return self.add(
            "Expand",
            name,
            self.vector([1 if n == old else n for n, old in zip(after, longer, strict=True)]),
        )


class Unknown(Exception):  # noqa: N818
    """There is no ONNX node for an operation."""


def onnx_type(dtype: Any) -> int:
    """Return ONNX's number of a dtype."""
    from onnx.helper import np_dtype_to_tensor_dtype

    return np_dtype_to_tensor_dtype(np.dtype(dtype))
