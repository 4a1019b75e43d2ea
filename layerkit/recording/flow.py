"""The flow of a program: what each operation reads, and what it leaves in the arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.recording.operations import Op, Value, flat, mapped
from layerkit.recording.program import Filled, OfBatch, Program, needed

SIZE = 11
"""The number of examples with which a program was recorded."""


@dataclass(eq=False, slots=True)
class Node:
    """A result: what an operation returns or leaves in an array; or an array that is given.

    Attributes
    ----------
    before : Node, optional
        The node of what was in the array that is overwritten.
    users : list of int
        The operations that read it, and the end of the program for an output.
    also : tuple of Node
        All that the operation returns, if there are several.
    inputs : list of Node
        The nodes among the arguments.
    """

    value: Value
    op: Op | None = None
    index: int = -1
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    before: Node | None = None
    users: list[int] = field(default_factory=list)
    also: tuple[Node, ...] = ()
    inputs: list[Node] = field(init=False)

    @property
    def is_view(self) -> bool:
        """Whether it is another look at numbers that are there."""
        return self.value.base is not None and self.op is not None and self.op.writes is None

    @property
    def is_effect(self) -> bool:
        """Whether its operation changes an array other than by ``out``."""
        return self.op is not None and self.op.writes is not None and "out" not in self.op.kwargs

    def __post_init__(self) -> None:
        given = flat((self.args, self.kwargs))
        self.inputs = [item for item in given if isinstance(item, Node)]


def same_as(node: Node) -> Node | None:
    """Return the array that a view equals: reshaped to the shape it has, or transposed twice."""
    op = node.op
    if op is None or not node.is_view:
        return None
    (other,) = node.inputs[:1]
    if op.name == "reshape":
        same = (node.value.shape, node.value.dtype) == (other.value.shape, other.value.dtype)
        return other if same else None
    if is_transpose(node):
        while (alias := same_as(other)) is not None:
            other = alias
        return other.inputs[0] if is_transpose(other) else None
    return None


def is_transpose(node: Node) -> bool:
    """Whether a node is x.T."""
    return node.op is not None and node.op.name == "transpose" and len(node.args) == 1


def section_of(node: Node) -> tuple[str, str]:
    """Return phase and address of a node's operation."""
    assert node.op is not None
    return node.op.phase, node.op.address


def is_copy(node: Node) -> bool:
    """Whether an operation fills a new array with the numbers of another one."""
    if node.op is None or node.op.name != "setitem" or node.args[1] is not ...:
        return False
    array, _, new = node.args
    if not isinstance(new, Node) or array.op is None or array.op.name != "empty_like":
        return False
    same = (array.value.shape, array.value.dtype) == (new.value.shape, new.value.dtype)
    return same and array.users == [node.index]


class Flow:
    """The operations that some outputs of a program need.

    Parameters
    ----------
    program : Program
    wanted : sequence of str
        The outputs.
    given : mapping of str to Value
        Values that are given instead of computed.
    changes : bool
        Whether the memory's changes are wanted too.

    Attributes
    ----------
    nodes : list of Node
        The nodes in the order of their operations.
    leaves : dict of Value to Node
        The nodes of values that are given: inputs, memory, constants.
    results : dict of str to Node
        The outputs.
    targets : set of Node
        The nodes that are overwritten.
    pinned : set of Value
        Arrays that have to stay where they are: memory, and those that change under a view.
    """

    def __init__(
        self, program: Program, wanted: Sequence[str], given: Mapping[str, Value], changes: bool
    ) -> None:
        self.program = program
        self.given = {value for value in given.values() if value.kind == "result"}
        self.end = len(program.ops)
        self.nodes: list[Node] = []
        self.leaves: dict[Value, Node] = {}
        self._current: dict[Value, Node] = {}
        outputs = {name: program.outputs[name] for name in wanted}
        memory = program.memory.values() if changes else ()
        for i in needed(program.ops, [*outputs.values(), *memory], self.given):
            if not self._is_idle(program.ops[i]):
                self._add(i, program.ops[i])
        self.at = {node.index: node for node in self.nodes}
        self.targets = {node.before for node in self.nodes}
        self.results = {name: self._find(value) for name, value in outputs.items()}
        for node in self.results.values():
            node.users.append(self.end)
        self._arrays = _arrays(program)
        self.pinned = self._pinned()

    def _is_idle(self, op: Op) -> bool:
        """Whether numbers are assigned to their own place: the end of ``x[i] += y``."""
        if op.name != "setitem":
            return False
        array, index, new = op.args
        if index is ... and new is array:
            return True
        view = self._current.get(new) if isinstance(new, Value) else None
        if view is None or view.op is None or view.op.name != "getitem" or not view.is_view:
            return False
        return view.op.args[0] is array and repr(view.op.args[1]) == repr(index)

    def _find(self, value: Value) -> Node:
        if value not in self._current:
            self._current[value] = self.leaves[value] = Node(value)
        return self._current[value]

    def _add(self, i: int, op: Op) -> None:
        """Add the node of an operation, the present one of its array."""

        def known(item: Any) -> Any:
            return self._find(item) if isinstance(item, Value) else item

        given = {name: item for name, item in op.kwargs.items() if name != "out"}
        args, kwargs = mapped((op.args, given), known)
        node = Node(op.output, op, i, args, kwargs)
        for item in node.inputs:
            item.users.append(i)
        self.nodes.append(node)
        if op.writes is not None:
            node.value, node.before = op.writes, self._find(op.writes)
            if op.writes.base is None:
                self._current[op.writes] = node
            return
        every = [node, *(Node(value, op, i) for value in op.outputs[1:])]
        node.also = tuple(every) if len(every) > 1 else ()
        for item in every:
            self._current[item.value] = item

    def _pinned(self) -> set[Value]:
        pinned, changed = set(self.program.memory.values()), defaultdict(list)
        for node in self.nodes:
            if node.before is not None:
                changed[node.value.root].append(node.index)
                if node.value.base is not None:
                    pinned.add(node.value.root)
        last: dict[int, int] = {}
        for node in reversed(self.nodes):
            if node.is_view:
                end = last[node.index] = max(last.get(i, i) for i in [*node.users, node.index])
                if any(node.index < i < end for i in changed[node.value.root]):
                    pinned.add(node.value.root)
        return pinned

    def array(self, value: Value) -> Array:
        """Return an array of the value's shape, dtype and layout."""
        if value not in self._arrays:
            given = value.array
            self._arrays[value] = given(SIZE) if isinstance(given, Filled) else given
        return self._arrays[value]

    def is_free(self, node: Node) -> bool:
        """Whether what overwrites an array may as well be an array of its own.

        Nothing else looks at it, and without ``out`` the same shape, dtype and layout come out.
        """
        op = node.op
        if op is None or "out" not in op.kwargs:
            return False
        return (
            node.value.root not in self.pinned and node.value.base is None and self.is_natural(node)
        )

    def is_natural(self, node: Node) -> bool:
        """Whether without ``out`` an array of the same shape, dtype and layout comes out."""

        def known(item: Any) -> Any:
            if isinstance(item, Node):
                return self.array(item.value)
            return item(SIZE) if isinstance(item, OfBatch) else item

        assert node.op is not None
        args, kwargs = mapped((node.args, node.kwargs), known)
        target = self.array(node.value)
        with np.errstate(all="ignore"):
            found = np.asarray(node.op.call(*args, **kwargs))
        wanted = target.shape, target.strides, target.dtype
        return (found.shape, found.strides, found.dtype) == wanted


def _arrays(program: Program) -> dict[Value, Array]:
    """Run the program, and return an array for each value, of its shape, dtype and layout."""
    found: dict[Value, Array] = {}
    inputs = {name: value.array for name, value in program.inputs.items()}
    memory = {name: value.array.copy() for name, value in program.memory.items()}

    def look(op: Op, results: tuple[Any, ...]) -> None:
        found.update(zip(op.outputs, results, strict=True))

    program.run(memory=memory, watch=look, **inputs)
    given = {program.inputs[name]: item for name, item in inputs.items()}
    return found | given | {program.memory[name]: item for name, item in memory.items()}
