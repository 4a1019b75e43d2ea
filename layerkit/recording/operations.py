"""The operations that programs are made of, and the values that these take and return."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layerkit.errors import RecordingError

OVERWRITING = {"setitem", "copyto", "fill"}
"""Operations that write to their first argument, and read nothing of it."""
WRITING = {"copyto", "put_along_axis", "fill_diagonal", "putmask", "place", "put"}
"""Functions that write to their first argument."""


@dataclass(eq=False, slots=True)
class Value:
    """An array of a program: given from outside, constant, or the result of an operation.

    Attributes
    ----------
    kind : {"input", "memory", "constant", "result"}
        Memory is what a step changes and the next one finds: parameters, states, slots.
    shape : tuple
        A tuple of ints, and `OfBatch` where they depend on the number of examples.
    root : Value
        Whose numbers these are: another Value for a view of it.
    array : Array or float, optional
        The numbers of a constant; those that memory begins with.
    """

    kind: str
    shape: tuple[Any, ...]
    dtype: np.dtype[Any]
    name: str = ""
    array: Any = None
    base: Value | None = None
    scalar: bool = False

    @property
    def root(self) -> Value:
        """The value that has the memory."""
        value = self
        while value.base is not None:
            value = value.base
        return value


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source: which file, which number, in which function, and its text."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        return f"{os.path.basename(self.file)}:{self.number} ({self.function})"

    @classmethod
    def of(cls, function: Any) -> Line:
        """Return the line where a function begins."""
        code = function.__code__
        return cls(code.co_filename, code.co_firstlineno, code.co_name)

    @property
    def text(self) -> str:
        """The line itself, empty if its file is gone."""
        import linecache

        return linecache.getline(self.file, self.number).strip()


@dataclass(eq=False, slots=True, repr=False)
class Op:
    """One operation of NumPy: a function, its arguments, and what it returns.

    Attributes
    ----------
    name : str
        Such as ``"add"``, ``"sum"``, ``"getitem"``.
    kind : {"ufunc", "function", "method", "scalar", "draw"}
        A ufunc, another function, a method of the first argument, arithmetic of single numbers, or
        random numbers.
    call : callable
        Takes the arguments, and carries it out.
    args, kwargs
        With a `Value` for each array.
    outputs : tuple of Value
        One, in most cases. The Value that was written to, for ``out=``, ``+=`` and assignments.
    writes : Value, optional
        The value that is overwritten.
    address, phase : str
        The address of the layer, such as ``body.layers.0``; and ``"forward"``, ``"loss"``,
        ``"backward"`` …
    line : Line
        That asked for it.
    extra : dict
        ``"call"``, the number of the layer's call in which it was asked for; a ufunc itself, and
        the address of a generator.
    """

    name: str
    kind: str
    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Value, ...]
    writes: Value | None
    address: str
    phase: str
    line: Line
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> Value:
        """The first output."""
        return self.outputs[0]

    @property
    def inputs(self) -> list[Value]:
        """All values among the arguments, each once."""
        return list(dict.fromkeys(values_in((self.args, self.kwargs))))

    @property
    def reads(self) -> list[Value]:
        """The values that it reads: the inputs, without one that it only writes to."""
        args = self.args[1:] if self.name in OVERWRITING else self.args
        kwargs = {name: item for name, item in self.kwargs.items() if name != "out"}
        return list(dict.fromkeys(values_in((args, kwargs))))

    @property
    def place(self) -> tuple[str, str]:
        """The phase and the address."""
        return self.phase, self.address

    def refusal(self, what: str) -> RecordingError:
        """Return an error with the address and the line."""
        return RecordingError(f"{located(self.address, self.line)}{what}")

    def text(self, names: Mapping[Value, str]) -> str:
        """Return the operation as a formula, with these names for its values."""
        args = [shown(item, names) for item in self.args]
        kwargs = [f"{k}={shown(v, names)}" for k, v in self.kwargs.items() if k != "out"]
        called = f"{self.name}({', '.join(args + kwargs)})"
        if self.name in ("getitem", "setitem"):
            called = f"{args[0]}[{args[1][1:-1] if isinstance(self.args[1], tuple) else args[1]}]"
        if self.name == "setitem":
            return f"{called} = {args[2]}"
        return f"{', '.join(shown(value, names) for value in self.outputs)} = {called}"

    def __repr__(self) -> str:
        return f"{self.address}  {self.phase}  {self.text({})}"


def shown(item: Any, names: Mapping[Value, str]) -> str:
    """Return an argument as text: values by name, or else by shape."""
    if isinstance(item, Value):
        return names.get(item) or item.name or f"{item.kind} {shown(item.shape, names)}"
    if isinstance(item, tuple | list):
        return f"({', '.join(shown(part, names) for part in item)}{',' * (len(item) == 1)})"
    if isinstance(item, slice):
        parts = (item.start, item.stop, item.step)
        ends = ["" if part is None else shown(part, names) for part in parts]
        return ":".join(ends if item.step is not None else ends[:2])
    if item is Ellipsis:
        return "..."
    return str(getattr(item, "__name__", None) or item)


def located(address: str, line: Line) -> str:
    """Return the beginning of a sentence: address, line and its text."""
    where = [address, str(line), f"`{line.text}`"]
    return "".join(f"{part}: " for part in where if part.strip("`"))


def values_in(tree: Any) -> Iterator[Value]:
    """Yield the values in nested tuples, lists, dicts and slices."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, tuple | list):
        for item in tree:
            yield from values_in(item)
    elif isinstance(tree, dict):
        yield from values_in(list(tree.values()))
    elif isinstance(tree, slice):
        yield from values_in((tree.start, tree.stop, tree.step))


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists, dicts and slices with `change` applied to what is in them."""
    if type(tree) is tuple:
        return tuple(mapped(item, change) for item in tree)
    if isinstance(tree, list):
        return [mapped(item, change) for item in tree]
    if isinstance(tree, dict):
        return {name: mapped(item, change) for name, item in tree.items()}
    if isinstance(tree, slice):
        return slice(*(mapped(item, change) for item in (tree.start, tree.stop, tree.step)))
    return change(tree)


def flat(tree: Any) -> list[Any]:
    """Return what is in nested tuples, lists and dicts."""
    found: list[Any] = []
    mapped(tree, found.append)
    return found
