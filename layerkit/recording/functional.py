"""The functional form of a program: operations that return new arrays, and change none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.recording.operations import Op, Value, mapped
from layerkit.recording.program import OfBatch, Program, needed

SAME = {"astype", "asarray", "asanyarray", "ascontiguousarray"}
"""Views of all numbers, in their order and shape."""
RESHAPING = {"reshape", "ravel", "squeeze", "expand_dims", "atleast_1d", "atleast_2d"}
"""Views of all numbers in their order, in another shape."""
TURNING = {"transpose", "swapaxes", "moveaxis", "rollaxis", "matrix_transpose"}
"""Views with another order of the axes."""


def functional(program: Program, outputs: Iterable[str] | None = None) -> Program:
    """Return a program without views and without writes, for compilers and files.

    A view becomes an operation like any other, which is repeated where its array has changed
    since. A write, by ``out=``, ``+=`` or ``x[...] = y``, becomes a new array that takes the place
    of the old one: the operation ``setitem`` of an array, an index and what is put there returns a
    changed copy, and so do ``add.at``, ``fill``, ``put_along_axis`` and their like. What nothing
    depends on is left out. Memory isn't changed: what it is afterwards is an output, by its name.

    Parameters
    ----------
    program : Program
    outputs : iterable of str, optional
        Which outputs are wanted; by default all, and the memory that the program changes.

    Raises
    ------
    RecordingError
        For a write to a view that can't be traced back, with the line.

    Examples
    --------
    >>> from layerkit import Dense, Network, SoftmaxCrossEntropy
    >>> from layerkit.recording import record
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    >>> program = record(net, np.ones((1, 3), np.float32))
    >>> [(op.name, len(op.kwargs), op.writes is None) for op in program.ops[:2]]
    [('dot', 0, True), ('add', 1, False)]
    >>> pure = functional(program, ["z"])
    >>> [(op.name, len(op.kwargs), op.writes is None) for op in pure.ops]
    [('dot', 0, True), ('add', 0, True)]
    """
    rewriter = Rewriter()
    for op in program.ops:
        rewriter.rewrite(op)
    ends = program.outputs | {
        name: value for name, value in program.memory.items() if value in rewriter.now
    }
    wanted = {name: rewriter.read(ends[name]) for name in (ends if outputs is None else outputs)}
    ops = [rewriter.ops[i] for i in needed(rewriter.ops, wanted.values())]
    return Program(ops, program.inputs, program.memory, wanted, program.generators)


class Rewriter:
    """The rewriting of operations: which new value each old one has become."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.now: dict[Value, Value] = {}
        self.made: dict[Value, Op] = {}
        self.ages = Counter[Value]()
        self.seen: dict[Value, int] = {}

    def rewrite(self, op: Op) -> None:
        """Add the functional form of an operation."""
        if op.writes is None:
            self.made.update(dict.fromkeys(op.outputs, op))
            self.look(op)
            return
        args, kwargs = mapped((op.args, op.kwargs), self._reading)
        old = self.read(op.writes)
        if "out" in op.kwargs:
            del kwargs["out"]
            mask = kwargs.pop("where", None)
            new = self.computed(op, args, kwargs)
            if mask is not None:
                new = self.add(op, "where", np.where, (mask, new, old), old)
        else:
            new = self.add(op, op.name, on_copy(op.call), args, old, kwargs, kind=op.kind)
        self.write(op.writes, new, op)

    def computed(self, op: Op, args: Any, kwargs: Any) -> Value:
        """Return what goes to ``out=``, as the new array that it would have been without."""
        target: Any = op.writes
        dtype, shape, ufunc = target.dtype, target.shape, op.extra.get("ufunc")
        if ufunc and op.name == ufunc.__name__:  # none of its methods
            dtype = loop(ufunc, args, kwargs)[-1]
            fitting = [a for a in args if isinstance(a, Value) and a.shape == shape]
            if not fitting and ufunc.signature is None:
                raise op.refusal(f"an out= larger than what {op.name} returns")
        if op.kind == "draw":
            kwargs |= {"size": shape, "dtype": dtype}
        like = replace(target, kind="result", dtype=dtype, base=None)
        new = self.add(op, op.name, op.call, args, like, kwargs, kind=op.kind)
        if dtype != target.dtype:
            new = self.add(op, "astype", np.ndarray.astype, (new, target.dtype), target)
        return new

    def look(self, op: Op) -> None:
        """Add an operation that writes nothing, with the arrays as they are now."""
        args, kwargs = mapped((op.args, op.kwargs), self._reading)
        outputs = tuple(replace(value, base=None) for value in op.outputs)
        self.ops.append(replace(op, args=args, kwargs=kwargs, outputs=outputs))
        for old, new in zip(op.outputs, outputs, strict=True):
            self.now[old], self.seen[old] = new, self.ages[old.root]

    def add(
        self,
        op: Op,
        name: str,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        like: Value,
        kwargs: dict[str, Any] | None = None,
        kind: str = "function",
    ) -> Value:
        """Add an operation in the place of `op`, and return its output, which is like a value."""
        new = Value("result", like.shape, like.dtype)
        pure = replace(op, name=name, kind=kind, call=call, args=args, kwargs=kwargs or {})
        self.ops.append(replace(pure, outputs=(new,), writes=None))
        return new

    def _reading(self, item: Any) -> Any:
        return self.read(item) if isinstance(item, Value) else item

    def read(self, value: Value) -> Value:
        """Return the value that an old one is now; a view of what has changed is made anew."""
        if value.base is not None and self.seen[value] != self.ages[value.root]:
            self.look(self.made[value])
        return self.now.get(value, value)

    def write(self, value: Value, new: Value, op: Op) -> None:
        """Put a new value in the place of an old one, and of all that it is a view of."""
        if value.base is None:
            self.ages[value] += 1
        else:
            self.write(value.base, self.put_back(self.made[value], new, op), op)
        self.now[value], self.seen[value] = new, self.ages[value.root]

    def put_back(self, view: Op, new: Value, op: Op) -> Value:
        """Return the array of which `view` shows a part, with this part new."""
        base: Any = view.output.base
        if view.name in SAME:
            return new
        if view.name in RESHAPING:
            return self.add(op, "reshape", np.reshape, (new, base.shape), base)
        if view.name == "getitem":
            args = self.read(base), mapped(view.args[1], self._reading), new
            return self.add(op, "setitem", SETITEM, args, base)
        if view.name in TURNING:
            axes = transposed(view)
            back = tuple(axes.index(axis) for axis in range(len(axes)))
            return self.add(op, "transpose", np.transpose, (new, back), base)
        raise op.refusal(f"a write to what {view.name} returned; write to the array itself")


def transposed(op: Op) -> tuple[int, ...]:
    """Return the order that transpose, swapaxes or their like give the axes of an array."""
    x, *rest = op.args
    shape = range(2, 2 + len(x.shape))  # each axis has another length, by which it is known
    turned = op.call(np.broadcast_to(0, shape), *rest, **op.kwargs)
    return tuple(n - 2 for n in turned.shape)


def loop(ufunc: np.ufunc, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """Return the dtypes that a ufunc takes and returns for such arguments."""
    kinds = tuple(
        item.dtype if isinstance(item, Value) and not item.scalar else _kind(item) for item in args
    )
    given = kinds + (None,) * ufunc.nout
    if (dtype := kwargs.get("dtype")) is None:
        return ufunc.resolve_dtypes(given)
    return ufunc.resolve_dtypes(given, signature=(None,) * ufunc.nin + (np.dtype(dtype),))


def _kind(item: Any) -> Any:
    """Return the dtype of a number; of one of Python's its type, since it widens nothing."""
    if isinstance(item, Value):
        item = item.dtype.type(0).item()
    if isinstance(item, OfBatch):
        item = item(1)
    return type(item) if type(item) in (int, float) else np.asarray(item).dtype


def on_copy(call: Callable[..., Any]) -> Callable[..., Array]:
    """Return a function that changes a copy of its first argument, and returns that."""

    def changed(x: Array, *args: Any, **kwargs: Any) -> Array:
        y = x.copy()
        call(y, *args, **kwargs)
        return y

    return changed


def _set(x: Array, index: Any, new: Any) -> None:
    x[index] = new


SETITEM = on_copy(_set)
