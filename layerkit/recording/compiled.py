"""Compiled programs: a recorded program as one Python function, whose arrays are made once.

For a fixed number of examples all shapes are known. So the arrays of the results and all views of
them are made beforehand, and each operation writes to its own. What is computed is the same as in
`Program.run`, to the last bit; what is saved is the time between the operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.recording.operations import Op, Value, mapped
from layerkit.recording.program import OfBatch, Program, constant, needed
from layerkit.recording.texts import BINARY

REDUCTIONS = {"sum": np.add, "max": np.maximum, "min": np.minimum}
"""Methods that are the `reduce` of a ufunc, which is called in less time."""
PIECE = 2**16
"""Numbers of a vector that stay in the processor's cache, with those of a few vectors more."""


def changing(ops: list[Op]) -> set[Value]:
    """Return the roots whose numbers differ from call to call; all others are computed once."""
    found, before = set[Value](), -1
    while len(found) > before:  # what is written to later differs from the beginning
        before = len(found)
        for op in ops:
            reads = [] if op.name == "empty_like" else [value.root for value in op.inputs]
            given = any(root.kind in ("input", "memory") or root in found for root in reads)
            if given or op.kind == "draw":
                found.update(value.root for value in op.outputs)
    return found


def forwarded(ops: list[Op]) -> dict[Value, Value]:
    """Return the results that are only made to be copied into another array, and that array."""
    users: dict[Value, list[int]] = {}
    makers = {value: i for i, op in enumerate(ops) for value in op.outputs if op.writes is None}
    for i, op in enumerate(ops):
        for value in {*op.inputs, *op.outputs}:
            users.setdefault(value.root, []).append(i)
    found = {}
    for i, op in enumerate(ops):
        if op.name == "setitem" and op.args[1] is Ellipsis and isinstance(op.args[2], Value):
            target, _, value = op.args
            maker = makers.get(value, i)
            between = [j for j in users[target.root] if maker <= j < i]
            same = value.dtype == target.dtype and value.shape == target.shape
            if value.base is None and users[value] == [maker, i] and same and not between:
                found[value] = target
    return found


class Compiler:
    """Writes the lines of the function, and makes the arrays that they use.

    Parameters
    ----------
    program : Program
    memory : dict of str to array
        The parameters and all else that the function reads and changes, by name.
    given : dict of str to array
        Inputs of as many examples as the function is for.
    outputs : list of Value
        The values that it returns.
    generators : dict of str to Generator
        From which random layers draw, by address.
    """

    def __init__(
        self,
        program: Program,
        memory: dict[str, Array],
        given: dict[str, Any],
        outputs: list[Value],
        generators: Mapping[str, np.random.Generator] | None = None,
    ) -> None:
        self.generators = generators or {}
        self.N = len(given["x"]) if "x" in given else 0
        self.names: dict[str, Any] = {}
        self.lines: list[str] = []
        self.known = {value: name for name, value in program.inputs.items()}
        self.made: dict[Value, Any] = {}
        self.gone = set[int]()
        for name, value in program.memory.items():
            self.keep(value, memory[name])
        self.lasting = set(self.names)
        results: dict[Op, Any] = {}
        copies = {name: array.copy() for name, array in memory.items()}
        program.run(memory=copies, watch=results.__setitem__, **given)
        wanted = [*outputs, *program.memory.values()]
        ops = [program.ops[i] for i in needed(program.ops, wanted)]
        self.changing, self.forwarded = changing(ops), forwarded(ops)
        for op in ops:
            self.add(op, results[op][0])
        names = ", ".join(program.inputs)
        lines = "\n    ".join([*self.lines, f"return {', '.join(map(self.text, outputs))}"])
        self.source = f"def run({names}):\n    {lines}\n"

    def function(self) -> Callable[..., Any]:
        """Return the function of the inputs."""
        exec(compile(self.source, "<program>", "exec"), self.names)
        run: Callable[..., Any] = self.names["run"]
        return run

    def in_pieces(self) -> Callable[..., Any]:
        """Return the function, which goes through long vectors in pieces, if it can.

        It can where each number is computed by itself, and nothing is returned. The operations are
        the same; between them, the numbers stay in the processor's cache.
        """
        head, *lines = self.source.splitlines()[:-1]
        words = [re.findall(r"\w+", line) for line in lines]
        used = {name: self.names[name] for line in words for name in line if name in self.names}
        vectors = {n: a for n, a in used.items() if isinstance(a, np.ndarray) and a.ndim}
        calls = [item for item in used.values() if callable(item)]
        views = [n for n, a in vectors.items() if a.base is not None and n not in self.lasting]
        if (
            len({a.shape for a in vectors.values()}) == 1
            and not views
            and all(a.ndim == 1 and a.flags.c_contiguous for a in vectors.values())
            and all(isinstance(call, np.ufunc) or call in (np.copyto, np.clip) for call in calls)
            and self.lasting & used.keys() <= vectors.keys()
        ):
            scratch = {name for name in vectors.keys() - self.lasting if _is_scratch(name, words)}
            size = len(next(iter(vectors.values())))
            parts = [slice(start, min(start + PIECE, size)) for start in range(0, size, PIECE)]
            self.names["pieces"] = [
                [
                    a[: part.stop - part.start] if n in scratch else a[part]
                    for n, a in vectors.items()
                ]
                for part in parts
            ]
            loop = f"    for {', '.join(vectors)}, in pieces:"
            self.source = "\n".join([head, loop, *(f"    {line}" for line in lines)])
        return self.function()

    def name(self, thing: Any) -> str:
        """Return the name by which the lines know an array or a function."""
        name = f"{getattr(thing, '__name__', 'a').strip('<>')}_{len(self.names)}"
        self.names[name] = thing
        return name

    def keep(self, value: Value, array: Any) -> Value:
        """Make an array once, for a value."""
        self.made[value], self.known[value] = array, self.name(array)
        return value

    def text(self, item: Any) -> str:
        """Return an argument as it is written in a line."""
        if isinstance(item, OfBatch):
            item = item(self.N)
        if isinstance(item, Value):
            if item.kind == "constant" and item not in self.known:
                self.keep(item, constant(item.array, self.N))
            return self.known[item]
        if type(item) is tuple:
            return f"({''.join(self.text(part) + ', ' for part in item)})"
        if isinstance(item, list):
            return f"[{', '.join(map(self.text, item))}]"
        if isinstance(item, slice):
            return f"slice{self.text((item.start, item.stop, item.step))}"
        return repr(item) if item is None or type(item) in (int, bool) else self.name(item)

    def line(self, call: Any, *args: Any, **kwargs: Any) -> None:
        """Add a line with a call."""
        texts = [self.text(item) for item in args]
        texts += [f"{name}={self.text(item)}" for name, item in kwargs.items()]
        self.lines.append(f"{self.name(call)}({', '.join(texts)})")

    def add(self, op: Op, result: Any) -> None:
        """Add the lines of one operation, or make its result now if it is a view of such."""
        view = op.output.base in self.made and op.writes is None
        once = op.kind not in ("scalar", "draw") and op.output.root not in self.changing
        if view or once or op.name == "empty_like":
            args, kwargs = mapped((op.args, op.kwargs), self.real)
            found = op.call(*args, **kwargs)
            if op.writes is None:
                arrays = found if len(op.outputs) > 1 else [found]
                for value, array in zip(op.outputs, arrays, strict=True):
                    self.keep(value, np.asarray(array))
        elif op.name == "setitem" and id(op.args[2]) in self.gone:
            pass  # it was written there
        elif op.name == "setitem" and op.args[1] is Ellipsis:
            self.line(np.copyto, op.args[0], op.args[2], casting="unsafe")
        elif op.kind == "scalar":
            number = self.known[op.output] = f"n{len(self.known)}"
            if op.name == "item":
                self.lines.append(f"{number} = {self.text(op.args[0])}.item()")
            else:
                a, b = map(self.text, op.args)
                self.lines.append(f"{number} = {a} {BINARY[op.name][0]} {b}")
        elif not self.write(op, result):
            self.line(self.call(op), *op.args, **op.kwargs)
            if op.writes is None:
                for value in op.outputs:
                    self.known[value] = f"v{len(self.known)}"
                targets = ", ".join(self.known[value] for value in op.outputs)
                self.lines[-1] = f"{targets} = {self.lines[-1]}"

    def call(self, op: Op) -> Any:
        """Return the function of an operation; random numbers come from the network's own."""
        if op.kind == "draw":
            return getattr(self.generators[op.extra["generator"]], op.name)
        return op.call

    def real(self, item: Any) -> Any:
        """Return the array that was made for a value."""
        if isinstance(item, Value):
            self.text(item)
            return self.made[item]
        return item(self.N) if isinstance(item, OfBatch) else item

    def write(self, op: Op, result: Any) -> bool:
        """Add a line that writes to an array made once, if there is one for this operation."""
        kwargs = dict(op.kwargs)
        out = kwargs.pop("out", None)
        if len(op.outputs) > 1 or op.output.base or (op.writes and out is None):
            return False
        if op.kind == "ufunc" and "." not in op.name and not kwargs:
            args = [self.number(item, op) for item in op.args]
            self.line(op.call, *args, out=out or self.room(op, result))
        elif op.name == "dot" and not kwargs:
            self.line(np.dot, *op.args, out or self.room(op, result))
        elif op.name in REDUCTIONS and op.kind == "method" and set(kwargs) <= {"axis", "keepdims"}:
            axis, keep = kwargs.get("axis"), kwargs.get("keepdims", False)
            room = out or self.room(op, result)
            self.line(REDUCTIONS[op.name].reduce, op.args[0], axis, None, room, keep)
        elif op.name in ("astype", "copy") and op.kind == "method" and not kwargs:
            self.line(np.copyto, self.room(op, result), op.args[0], casting="unsafe")
        else:
            return False
        return True

    def room(self, op: Op, result: Array) -> Value:
        """Make the array of a result, which lies in memory as NumPy would lay it."""
        target = self.forwarded.get(op.output)
        if target in self.made and self.made[target].strides == result.strides:
            self.known[op.output] = self.known[target]
            self.gone.add(id(op.output))
            return target
        return self.keep(op.output, np.empty_like(result))

    def number(self, item: Any, op: Op) -> Any:
        """Return a constant number as an array of the dtype that it is used in, made once."""
        dtypes = {value.dtype for value in op.inputs if not value.scalar}
        if type(item) in (int, float) and len(dtypes) == 1 and (dtype := dtypes.pop()).kind == "f":
            return np.array(item, dtype)
        return item


def _is_scratch(name: str, lines: list[list[str]]) -> bool:
    """Whether an array is overwritten before it is read; `lines` are the words of the lines."""
    first = next(line for line in lines if name in line)
    return first[-2:] == ["out", name] and first.count(name) == 1
