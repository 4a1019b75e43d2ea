"""Statements: which operations of a listing are some, and what their results are called."""

from __future__ import annotations

import builtins
import keyword
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from layerkit.config.options import Configurable
from layerkit.optimizers.around import numbers
from layerkit.optimizers.base import Optimizer
from layerkit.parameters import Param
from layerkit.recording.authors import same_line, targets_of
from layerkit.recording.flow import Flow, Node, is_copy, is_transpose, same_as, section_of
from layerkit.recording.operations import Value
from layerkit.recording.program import Filled, Program

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


class Statements:
    """The base of a `Listing`: decides what has a statement, and finds names.

    Parameters
    ----------
    program, parts, given, views
        As of a `Listing`.
    flow : Flow
        The flow of the program.

    Attributes
    ----------
    folded : set of Node
        Those that are part of the expression that uses them.
    statements : list of Node
        All others.
    names : dict of Value to str
        The names of arrays.
    same : dict of Value to Value
        Constants, and those with the same numbers that stand for them.
    named_constants : list of Value
        Those that are not written where they are used.
    """

    folded: set[Node]
    statements: list[Node]
    names: dict[Value, str]
    same: dict[Value, Value]
    named_constants: list[Value]

    def __init__(
        self,
        program: Program,
        parts: Mapping[str, Configurable],
        given: Mapping[str, Value],
        views: Mapping[str, str],
        flow: Flow,
    ) -> None:
        self.program, self.parts, self.given, self.views = program, parts, given, views
        self.flow = flow
        self.authors = self._authors()
        self.apart: set[Node] = set()

    # which operation has a statement of its own

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
