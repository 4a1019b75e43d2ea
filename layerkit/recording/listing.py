"""Listings: a program as statements of NumPy, as a person would write them.

The result of an operation becomes part of the expression that uses it, if that is the only one, if
the author of the layer gave it no name, and if nothing that it reads is overwritten in between. All
else is a statement of its own, with the name that it has in the layer's source.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from layerkit.config.options import Configurable
from layerkit.recording.authors import combination
from layerkit.recording.flow import Flow, Node, is_copy, is_transpose, same_as, section_of
from layerkit.recording.operations import Op, Value
from layerkit.recording.program import Filled, OfBatch, Program
from layerkit.recording.statements import LIMITS, Statements, is_shape
from layerkit.recording.texts import (
    ADDING,
    ATOM,
    BINARY,
    COMPARING,
    MULTIPLYING,
    POWER,
    SHORT,
    SIGN,
    UNARY,
    WIDTH,
    Text,
    bound,
    is_simple,
    wrapped,
)


class Listing(Statements):
    """The statements that compute some outputs of a program.

    Parameters
    ----------
    program : Program
    parts : mapping of str to Configurable
        Layers, loss and optimizer by their addresses.
    wanted : sequence of str
        Which outputs are computed.
    given : mapping of str to Value
        The values that the statements find, by name: inputs and memory, or what was computed
        before.
    views : mapping of str to str
        The names of parameters and their gradients, by address.
    changes : bool
        Whether they also change the memory.

    Attributes
    ----------
    made : dict of str to str
        Arrays that depend on the batch alone, by name.
    constants : dict of str to str
        Arrays that depend on nothing, by name.
    options : dict of str to float
        The options of the optimizer that the statements name.
    imports : set of str
        The functions of `scipy.special` that are used.
    counts : bool
        Whether the statements need N.
    """

    def __init__(
        self,
        program: Program,
        parts: Mapping[str, Configurable],
        wanted: Sequence[str],
        given: Mapping[str, Value],
        views: Mapping[str, str],
        *,
        changes: bool = False,
    ) -> None:
        super().__init__(program, parts, given, views, Flow(program, wanted, given, changes))
        self.made: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.options: dict[str, float] = {}
        self.imports: set[str] = set()
        self.counts = False
        self._arrange()
        while long := self._parts_of_long_lines():
            self.apart |= long
            self._arrange()
        self._make_constants()

    def sections(self) -> Iterator[tuple[str, str, list[str]]]:
        """Yield phase, address and lines of the statements, in their order."""
        arrays = list(self.program.memory.values())
        views = [node for node in self.statements if section_of(node)[0] == "memory"]
        views.sort(key=lambda node: arrays.index(node.value.root))
        if views:
            yield "memory", "", [self._line(node) for node in views]
        rest = [node for node in self.statements if section_of(node)[0] != "memory"]
        for (phase, address), nodes in groupby(rest, section_of):
            lines = [wrapped(self._line(node), WIDTH - 4) for node in nodes]
            yield phase, address, [line for parts in lines for line in parts]

    def result(self, name: str) -> str:
        """Return the expression of an output, when all is done."""
        return self._ref(self.flow.results[name])[0]

    # which operation has a statement of its own

    def _arrange(self) -> None:
        flow = self.flow
        self.folded = {node for node in flow.nodes if self._may_fold(node)}
        while stuck := self._stuck():
            self.folded -= stuck
        self.statements = [node for node in flow.nodes if node not in self.folded]
        self._choose_constants()
        self.names = self._named()

    def _parts_of_long_lines(self) -> set[Node]:
        """Return nodes that are better apart, one for each line that is too long."""
        found = set()
        for node in self.statements:
            if len(self._line(node)) > WIDTH - 4:
                parts = {part: len(self._ref(part)[0]) for part in self._parts_of(node)}
                long = [part for part in parts if 12 < parts[part] <= WIDTH - 14]
                if long:
                    found.add(max(long, key=parts.__getitem__))
        return found

    # constants

    def _choose_constants(self) -> None:
        """Decide which constants have names: those that are used twice, are long, or change."""
        changed = {node.value.root for node in self.flow.nodes if node.before is not None}
        self.same: dict[Value, Value] = {}
        known: dict[Any, Value] = {}
        uses: dict[Value, int] = defaultdict(int)
        for node in self.statements:
            for item in self._reads(node):
                value = item.value
                if item.op is None and value.kind == "constant":
                    key = value if value in changed else content(value.array)
                    self.same[value] = known.setdefault(key, value)
                    uses[self.same[value]] += 1
        self.named_constants = [
            value
            for value, count in uses.items()
            if value in changed or count > 1 or len(self._constant(value)) > 40
        ]

    def _make_constants(self) -> None:
        """Write down the constants that have names."""
        changed = {node.value.root for node in self.flow.nodes if node.before is not None}
        for value in self.named_constants:
            inside = value in changed or isinstance(value.array, Filled)
            (self.made if inside else self.constants)[self.names[value]] = self._constant(value)

    def _constant(self, value: Value) -> str:
        """Return the expression of a constant."""
        array = value.array
        dtype = f", {self._literal(array.dtype)}"
        number: Any
        if isinstance(array, Filled):
            shape, number = array.shape, array.number
        else:
            array = np.asarray(array)
            shape, equal = array.shape, array.size > 1 and (array == array.flat[0]).all()
            number = array.flat[0].item() if equal else ...
        if number is ...:
            return f"np.array({self._literal(array.tolist())}{dtype})"
        size = self._literal(shape[0] if len(shape) == 1 else shape)
        if number is None:
            return f"np.arange({size}{'' if array.dtype == np.intp else dtype})"
        short = "" if array.dtype == float else dtype
        if not isinstance(number, OfBatch) and number in (0, 1):
            return f"np.{'ones' if number else 'zeros'}({size}{short})"
        return f"np.full({size}, {self._literal(number)}{dtype})"

    # how it is written

    def _line(self, node: Node) -> str:
        """Return a statement, in one line."""
        op = node.op
        assert op is not None
        if node.is_effect:
            return self._effect(node)
        text = self._expression(node)[0]
        if node.before is None:
            names = [
                self.names[self.unit(item)] if item.users or not node.also else "_"
                for item in node.also or (node,)
            ]
            return f"{', '.join(names)} = {text}"
        target = self._ref(node.before)[0]
        if node.value.base is None:
            target = self.names.get(self.unit(node), target)
        there = node.before not in self.folded or node.before.is_view
        if there and self._is_binary(node) and node.args[0] is node.before:
            return f"{target} {BINARY[op.name][0]}= {self._any(node.args[1], op)[0]}"
        if self.flow.is_free(node):
            return f"{target} = {text}"
        if self.flow.is_natural(node):
            return f"{target} = {text}" if target.endswith("]") else f"{target}[...] = {text}"
        return self._call(node, {"out": node.before})

    def _effect(self, node: Node) -> str:
        op = node.op
        assert op is not None
        if op.name != "setitem":
            return self._call(node, {})
        base, index, new = node.args
        if is_copy(node):
            return f"{self.names[self.unit(node)]} = {bound(self._ref(new), ATOM)}.copy()"
        target = self._ref(base)[0]
        place = f"{target}[{self._index(index)}]"
        if isinstance(new, Node) and new in self.folded and new.op and self._is_binary(new):
            old = new.args[0]
            if (
                isinstance(old, Node)
                and old in self.folded
                and old.op is not None
                and old.op.name == "getitem"
                and self._expression(old)[0] == place
            ):
                return f"{place} {BINARY[new.op.name][0]}= {self._any(new.args[1], new.op)[0]}"
        return f"{place} = {self._any(new, op)[0]}"

    def _ref(self, node: Node) -> Text:
        """Return a node where it is used: its name, or its expression."""
        if node in self.folded:
            return self._expression(node)
        unit = self.unit(node)
        if unit not in self.names and node.value.kind == "constant":
            return self._constant(unit), ATOM
        return self.names[unit], ATOM

    def _is_binary(self, node: Node) -> bool:
        op = node.op
        assert op is not None
        if op.name not in BINARY or node.kwargs or len(node.args) != 2:
            return False
        if op.name in ("dot", "matmul"):
            arrays = [self.flow.array(item.value) for item in node.inputs]
            return len(arrays) == 2 and all(
                1 <= array.ndim <= 2 and (array.flags.c_contiguous or array.flags.f_contiguous)
                for array in arrays  # of others a @ b and dot may differ in the last bit
            )
        return op.kind in ("ufunc", "scalar") and None not in node.args

    def _expression(self, node: Node) -> Text:
        """Return the operation of a node as an expression."""
        op, args = node.op, node.args
        assert op is not None
        if (alias := same_as(node)) is not None:
            return self._ref(alias)
        if self._is_binary(node):
            symbol, level = BINARY[op.name]
            sides = [self._any(item, op, arithmetic=True) for item in args]
            right = level == POWER
            left = bound(sides[0], level + (right or level == COMPARING))
            other = bound(sides[1], SIGN if right else level + 1)
            tight = right and is_simple(left) and is_simple(other.removeprefix("-"))
            return f"{left}{symbol}{other}" if tight else f"{left} {symbol} {other}", level
        if op.name in UNARY and op.kind == "ufunc" and not node.kwargs:
            text, level = self._any(args[0], op)
            return UNARY[op.name] + bound((text, 0 if level == POWER else level), SIGN), SIGN
        if op.kind == "method" and op.name == "getitem":
            return f"{bound(self._ref(args[0]), ATOM)}[{self._index(args[1])}]", ATOM
        if op.kind == "method" and is_transpose(node):
            return f"{bound(self._ref(args[0]), ATOM)}.T", ATOM
        if is_shape(node):
            shape, dtype = node.value.shape, self._literal(node.value.dtype)
            size = self._literal(shape[0] if len(shape) == 1 else shape)
            return f"np.empty({size}, {dtype})", ATOM
        if op.name == "item" and self._needs_no_item(node):
            return self._ref(args[0])
        return self._call(node, {}), ATOM

    def _needs_no_item(self, node: Node) -> bool:
        """Whether a number is only used in arithmetic of numbers, which is the same in NumPy."""
        for i in node.users:
            user = self.flow.at.get(i)
            if user is None:
                continue
            if user.op is None or user.op.kind != "scalar" or not self._needs_no_item(user):
                return False
        return True

    def _call(self, node: Node, more: dict[str, Any]) -> str:
        """Return an operation as a call."""
        op, args = node.op, node.args
        assert op is not None
        if op.kind == "method" or op.name == "item":
            function = f"{bound(self._any(args[0], op), ATOM)}.{op.name}"
            args = args[1:]
        elif op.kind == "draw":
            function = f"{self.generator(op.extra['generator'])}.{op.name}"
        elif op.kind == "scalar":
            function = op.name
        else:
            function = self._function(op)
        if op.name in ("reshape", "transpose") and len(args) == 1 and isinstance(args[0], tuple):
            (args,) = args
        given = [self._any(item, op)[0] for item in args]
        given += [f"{name}={self._any(item, op)[0]}" for name, item in (node.kwargs | more).items()]
        return f"{function}({', '.join(given)})"

    def generator(self, address: str) -> str:
        """Return the name of the generator of the layer at an address."""
        known = list(self.program.generators)
        return "rng" if len(known) == 1 else f"rng{known.index(address)}"

    def _function(self, op: Op) -> str:
        """Return the name of a function, and see that it is imported."""
        ufunc = op.extra.get("ufunc")
        name, _, method = op.name.partition(".")
        function = op.call if ufunc is None else ufunc
        dotted = f".{method}" if method else ""
        if getattr(np, name, None) is function:
            return f"np.{SHORT.get(name, name)}{dotted}"
        if getattr(np.linalg, name, None) is function:
            return f"np.linalg.{name}"
        special = sys.modules.get("scipy.special")
        if special is not None and getattr(special, name, None) is function:
            self.imports.add(name)
            return f"{name}{dotted}"
        raise op.refusal(f"{name} is not a function of NumPy or scipy.special")

    def _any(self, item: Any, op: Op, arithmetic: bool = False) -> Text:
        """Return an argument."""
        if isinstance(item, Node):
            return self._ref(item)
        if isinstance(item, OfBatch):
            self.counts = True
            text = str(item)
            if arithmetic and text.startswith("float("):
                text = text[6:-1]
            level = ADDING if " - " in text.rpartition(")")[2] else MULTIPLYING
            return text, ATOM if text == "N" or text.startswith("float(") else level
        if op.phase == "optimizer" and isinstance(item, float) and (made := self._option(item, op)):
            return made
        text = self._literal(item, op)
        return text, SIGN if text.startswith("-") else ATOM

    def _literal(self, item: Any, op: Op | None = None) -> str:
        if op is not None and isinstance(item, Node):
            return self._ref(item)[0]
        if isinstance(item, OfBatch):
            self.counts = True
            return str(item)
        if isinstance(item, tuple | list):
            inside = ", ".join(self._literal(part, op) for part in item)
            if isinstance(item, list):
                return f"[{inside}]"
            return f"({inside},)" if len(item) == 1 else f"({inside})"
        if item is ...:
            return "..."
        if isinstance(item, np.dtype):
            item = item.type
        if isinstance(item, type):
            return item.__name__ if item in (bool, int, float) else f"np.{item.__name__}"
        if isinstance(item, str):
            return f'"{item}"'
        if isinstance(item, np.generic):
            return f"np.{type(item).__name__}({self._literal(item.item())})"
        if isinstance(item, float) and abs(item) in LIMITS:
            name, text = LIMITS[abs(item)]
            self.constants[name] = text
            return f"-{name}" if item < 0 else name
        if isinstance(item, float) and not math.isfinite(item):
            return f"-np.{-item}" if item < 0 else f"np.{item}"
        return repr(item).replace("e+", "e")

    def _index(self, index: Any) -> str:
        parts = index if isinstance(index, tuple) else (index,)
        return ", ".join(self._slice(part) for part in parts) + "," * (
            isinstance(index, tuple) and len(index) == 1
        )

    def _slice(self, part: Any) -> str:
        if isinstance(part, slice):
            start = None if part.start == 0 else part.start
            ends = ["" if end is None else self._literal(end) for end in (start, part.stop)]
            step = "" if part.step is None else f":{self._literal(part.step)}"
            return f"{ends[0]}:{ends[1]}{step}"
        return self._ref(part)[0] if isinstance(part, Node) else self._literal(part)

    def _option(self, number: float, op: Op) -> Text | None:
        """Return a number as what it was made of, if these are options of the optimizer."""
        found = combination(number, op, self._options())
        if found is not None:
            self.options |= {name: self._options()[name] for name in found.options}
        return found and (found.text, found.level)


def content(array: Any) -> Any:
    """Return what is the same for equal constants."""
    if isinstance(array, Filled):
        return array.shape, str(array.number), array.dtype
    array = np.asarray(array)
    return array.shape, array.tobytes(), array.dtype
