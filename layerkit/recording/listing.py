"""Listings: a program as statements of NumPy, as a person would write them.

The result of an operation becomes part of the expression that uses it, if that is the only one, if
the author of the layer gave it no name, and if nothing that it reads is overwritten in between. All
else is a statement of its own, with the name that it has in the layer's source.
"""

from __future__ import annotations

import builtins
import keyword
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from layerkit.config.options import Configurable
from layerkit.optimizers.around import numbers
from layerkit.optimizers.base import Optimizer
from layerkit.parameters import Param
from layerkit.recording.authors import combination, same_line, targets_of
from layerkit.recording.flow import Flow, Node, is_copy, is_transpose, same_as, section_of
from layerkit.recording.operations import Op, Value
from layerkit.recording.program import Filled, OfBatch, Program
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

WORDS = {
    "sum": "total",
    "max": "most",
    "min": "least",
    "sqrt": "root",
    "exp": "e",
    "sign": "sign",
    "argmax": "best",
    "clip": "clipped",
    "empty_like": "mask",
    "setitem": "copied",
    "where": "chosen",
    "copy": "copied",
    "dot": "product",
    "getitem": "part",
    "reshape": "rows",
}
"""Names for the results of operations to which the layer gives none."""
LIMITS = {
    float(getattr(np.finfo(dtype), limit)): (name, f"float(np.finfo(np.{dtype}).{limit})")
    for dtype in ("float32", "float64")
    for limit, name in (("max", "largest"), ("tiny", "tiny"))
}
"""Numbers that depend on the dtype, and what they are called."""
Span = tuple[float, float]
"""The first and the last statement in which an array is known by its name."""


class Listing:
    """The statements that compute some outputs of a program.

    Parameters
    ----------
    program : Program
    parts : mapping of str to Configurable
        Layers, loss and optimizer by their addresses.
    wanted : sequence of str
        Which outputs are computed.
    given : mapping of str to Value
        What the statements find, by name: inputs and memory, or what was computed before.
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
        Of the optimizer, those that the statements name.
    imports : set of str
        What is used of `scipy.special`.
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
        self.program, self.parts, self.given, self.views = program, parts, given, views
        self.flow = Flow(program, wanted, given, changes)
        self.authors = self._authors()
        self.apart: set[Node] = set()
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

    def _may_fold(self, node: Node) -> bool:
        """Whether a node may be part of the expression that uses it."""
        flow = self.flow
        if node.op is None or node in self.apart or node.is_effect or node.also:
            return False
        if node.is_view:
            return self._may_inline(node)
        if len(node.users) != 1 or flow.end in node.users or node.value.root in flow.pinned:
            return False
        user = flow.at[node.users[0]]
        if is_copy(user) and user.args[0] is node:
            return True
        if user.before is node and not flow.is_free(user):
            return False
        if user.is_view and len(user.users) > 1 and self._may_inline(user):
            return False
        assert user.op is not None
        if section_of(node) != section_of(user):
            return False
        goes_on = user.before is not None and user.value.root is node.value.root
        scratch = node.value.root.kind == "constant"
        return goes_on or scratch or node not in self.authors or same_line(node.op, user.op)

    def _may_inline(self, node: Node) -> bool:
        """Whether a view is written where it is used: if it is used once, or as short as x.T."""
        assert node.op is not None
        if node.value.name in self.views or self.flow.end in node.users:
            return False
        if same_as(node):
            return True
        if node in self.flow.targets and node.op.name != "getitem":
            return False
        made = node.inputs[0].op is not None and section_of(node.inputs[0]) == section_of(node)
        if made and any(section_of(self.flow.at[i]) != section_of(node) for i in node.users):
            return False
        if len(node.users) <= 1:
            return True
        (base,) = node.inputs[:1]
        return is_transpose(node) and len(base.users) > 1

    def _stuck(self) -> set[Node]:
        """Return the folded nodes that would read something else where they are used."""
        flow = self.flow
        place: dict[int, int] = {}
        for node in reversed(flow.nodes):
            users = [place[i] for i in node.users if i != flow.end]
            place[node.index] = max(users) if node in self.folded and users else node.index
        events: dict[Any, list[int]] = defaultdict(list)
        for node in flow.nodes:
            assert node.op is not None
            if node.before is not None and node not in self.folded:
                events[node.value.root].append(node.index)
            if node.op.kind == "draw":
                events[node.op.extra["generator"]].append(place[node.index])
        found = set()
        for node in self.folded:
            if node.is_view or node.op is None:
                continue
            read: list[Any] = [
                item.value.root for item in node.inputs if item not in self.folded or item.is_view
            ]
            if node.op.kind == "draw":
                read.append(node.op.extra["generator"])
            inside = range(node.index + 1, place[node.index])
            if any(i in inside for root in read for i in events[root]):
                found.add(node)
        return found

    def _reads(self, node: Node) -> Iterator[Node]:
        """Yield what a statement reads by name: the nodes that are not folded into it."""
        if is_shape(node):
            return
        targets = [node.before] if node.before and not self.flow.is_free(node) else []
        for item in [*node.inputs, *targets]:
            if item in self.folded:
                yield from self._reads(item)
            else:
                yield item

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

    def _parts_of(self, node: Node) -> Iterator[Node]:
        for item in node.inputs:
            if item in self.folded:
                if not item.is_view:
                    yield item
                yield from self._parts_of(item)

    # what it is called

    def _authors(self) -> dict[Node, str]:
        """Return the names that nodes have in the source of the layers."""
        groups: list[list[int]] = []
        ops = self.program.ops
        for i, op in enumerate(ops):
            if groups and same_line(op, ops[groups[-1][0]]):
                groups[-1].append(i)
            else:
                groups.append([i])
        found: dict[Node, str] = {}
        for group in groups:
            targets = targets_of(ops[group[0]], self.parts.get(ops[group[0]].address))
            members = [self.flow.at[i] for i in group if i in self.flow.at]
            if not targets or not members:
                continue
            if len(targets) == 1:
                found[members[-1]] = targets[0]
                continue
            inside = set(group)
            out = {node.value.root: node for node in members if set(node.users) - inside}
            if len(out) == len(targets):
                found.update(zip(out.values(), targets, strict=True))
        return found

    def _named(self) -> dict[Value, str]:
        """Return a name for each array that needs one, which no other has at the same time."""
        spans, members = self._spans()
        names = {value: name for name, value in self.given.items()}
        taken: dict[str, list[Span]] = defaultdict(list)
        always = -1.0, math.inf
        reserved = "np", "N", *(name for name, _ in LIMITS.values()), *self._options()
        for name in [*vars(builtins), *keyword.kwlist, *reserved]:
            taken[name].append(always)
        for name, value in self.given.items():
            taken[name].append(spans.get(value, (0, 0)) if name == "x" else always)
        plain: dict[str, list[Value]] = defaultdict(list)
        derived: dict[Value, list[Value]] = defaultdict(list)
        for unit in spans:
            if unit in names:
                continue
            wish = self._wish(unit, members[unit])
            if isinstance(wish, Value):
                derived[wish].append(unit)
            else:
                plain[wish].append(unit)
        for base, units in plain.items():
            give_names(base, units, spans, taken, names)
        for source, units in derived.items():
            give_names(f"d{names.get(source, 'x')}", units, spans, taken, names)
        return names

    def _spans(self) -> tuple[dict[Value, Span], dict[Value, list[Node]]]:
        """Return from which to which statement arrays have names, and the nodes that are theirs."""
        first: dict[Value, float] = {}
        last: dict[Value, float] = {}
        members: dict[Value, list[Node]] = defaultdict(list)
        for i, node in enumerate(self.statements):
            for item in self._reads(node):
                unit = self.unit(item)
                if item.op is None:
                    first.setdefault(unit, -1)
                last[unit] = i
            own = node.before is None or node.value.base is None
            if is_copy(node) or (own and not node.is_effect):
                for item in [item for item in node.also if item.users] or [node]:
                    unit = self.unit(item)
                    first.setdefault(unit, i)
                    last.setdefault(unit, i + 0.5)
                    members[unit].append(item)
        for node in self.flow.results.values():
            if node not in self.folded:
                first.setdefault(self.unit(node), -1)
                last[self.unit(node)] = math.inf
        inlined = [value for value, name in self.same.items() if value not in self.named_constants]
        for value in inlined:
            first.pop(value, None)
        for value in self.named_constants:
            first[value], last[value] = -1, math.inf
        return {unit: (first[unit], last[unit]) for unit in first}, members

    def unit(self, node: Node) -> Value:
        """Return the value whose name a node has: that of its array, or of the view."""
        value = node.value if node.is_view or node.op is None else node.value.root
        return self.same.get(value, value)

    def _wish(self, unit: Value, members: list[Node]) -> str | Value:
        """Return what an array is to be called; or what it is the derivative of."""
        for name, value in self.program.outputs.items():
            if value is unit:
                return name
        if unit.name in self.views:
            return self.views[unit.name]
        if unit in self.named_constants and not members:
            return constant_name(unit.array)
        for node in members:
            if role := self._role(node):
                return role
        known = [self.authors[node] for node in members if node in self.authors]
        if known:
            return known[-1] if known[-1] != "x" else "x0"
        return unit.name or WORDS.get(members[0].op.name, "r")  # type: ignore[union-attr]

    def _role(self, node: Node) -> str | Value | None:
        """Return the name of what goes from layer to layer."""
        op = node.op
        assert op is not None
        if op.phase == "input":
            return "x"
        users = list(self._users(node))
        beyond = {"forward": ("forward", "loss", "outputs"), "backward": ("backward",)}
        leaves = any(
            user.op is not None
            and user.op.phase in beyond.get(op.phase, ())
            and user.op.address != op.address
            for user in users
        )
        if not leaves:
            return None
        if op.phase == "forward":
            declared = self.parts[op.address].declared().values()  # type: ignore[attr-defined]
            return "h" if any(isinstance(item, Param) for item in declared) else "a"
        if op.address == "loss":
            return "dz"
        for other in self.flow.nodes:  # the derivative of what the layer was given
            if other.op is not None and (other.op.phase, other.op.address) == (
                "forward",
                op.address,
            ):
                for item in other.inputs:
                    source = item
                    while source in self.folded and source.is_view:
                        source = source.inputs[0]
                    if source.value.kind != "memory" and not (
                        source.op is not None and source.op.address == op.address
                    ):
                        return self.unit(source)
        return None

    def _users(self, node: Node) -> Iterator[Node]:
        """Yield what uses a node, also by a view that has no name."""
        for i in node.users:
            user = self.flow.at.get(i)
            if user is not None and user in self.folded and user.is_view:
                yield from self._users(user)
            elif user is not None:
                yield user

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

    def _options(self) -> dict[str, float]:
        """Return the optimizer's options that are numbers."""
        optimizer = self.parts.get("optimizer")
        return numbers(optimizer) if isinstance(optimizer, Optimizer) else {}


def overlap(a: Span, b: Span) -> bool:
    """Whether two arrays are known at the same time; one may take the name of what it is made of.

    Examples
    --------
    >>> overlap((0, 3), (2, 4)), overlap((0, 3), (3, 4))
    (True, False)
    """
    return a[0] < b[1] and b[0] < a[1]


def give_names(
    base: str,
    units: list[Value],
    spans: Mapping[Value, Span],
    taken: dict[str, list[Span]],
    names: dict[Value, str],
) -> None:
    """Call all units `base` if they are never known at the same time; else number them."""
    found = [spans[unit] for unit in units]
    alone = not any(overlap(a, b) for i, a in enumerate(found) for b in found[:i])
    alone = alone and not any(overlap(a, b) for a in found for b in taken[base])
    number = 0
    for unit in units:
        name = base if alone else f"{base}{number}"
        while any(overlap(spans[unit], other) for other in taken[name]):
            number += 1
            name = f"{base}{number}"
        number += 1
        taken[name].append(spans[unit])
        names[unit] = name


def content(array: Any) -> Any:
    """Return what is the same for equal constants."""
    if isinstance(array, Filled):
        return array.shape, str(array.number), array.dtype
    array = np.asarray(array)
    return array.shape, array.tobytes(), array.dtype


def is_shape(node: Node) -> bool:
    """Whether an operation takes nothing of a constant but its shape and dtype."""
    op = node.op
    if op is None or op.name != "empty_like" or node.kwargs:
        return False
    return node.args[0].op is None and node.args[0].value.kind == "constant"


def constant_name(array: Any) -> str:
    """Return what a constant is called."""
    if not isinstance(array, Filled):
        array = np.asarray(array)
        return "share" if array.size and (array == 1 / array.size).all() else "constant"
    return {None: "n", 0: "zeros", 1: "ones"}.get(array.number, "share")
