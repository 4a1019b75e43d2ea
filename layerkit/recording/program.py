"""Programs: the operations of one step of a network, in order, for any number of examples."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import RecordingError
from layerkit.inspection.notebook import html_table
from layerkit.inspection.summary import aligned
from layerkit.recording.arrays import Tape
from layerkit.recording.operations import Line, Op, Value, located, mapped, shown


@dataclass(frozen=True, slots=True)
class OfBatch:
    """A number that depends on N, the number of examples in the batch.

    Examples
    --------
    >>> OfBatch("{k} * N", 3)(10), OfBatch("1 / ({k} * N)", 1)(4)
    (30, 0.25)
    """

    form: str
    k: int

    def __call__(self, N: int) -> Any:
        return FORMS[self.form](self.k * N)

    def __str__(self) -> str:
        if self.k > 1:
            return self.form.format(k=self.k)
        return (
            self.form.replace("float({k} * N)", "float(N)")
            .replace("({k} * N)", "N")
            .replace("{k} * N", "N")
        )


FORMS: dict[str, Callable[[int], Any]] = {
    "{k} * N": lambda n: n,
    "float({k} * N)": float,
    "1 / ({k} * N)": lambda n: 1 / n,
    "{k} * N - 1": lambda n: n - 1,
    "({k} * N) / ({k} * N - 1)": lambda n: n / (n - 1),
}
"""The ways in which a number may depend on N: these and no others are known."""


def of_batch(a: Any, b: Any, Na: int, Nb: int, dtype: Any = None) -> OfBatch | None:
    """Return the form of which a and b are the values for Na and Nb examples, if there is one.

    `dtype` is that of an array which they were rounded to.
    """
    rounded = (lambda n: dtype.type(n).item()) if dtype else (lambda n: n)
    with np.errstate(all="ignore"):
        guesses = np.array([a, a + 1, np.divide(1, a), np.divide(a, a - 1)]) / Na
    whole = {round(float(guess)) for guess in guesses if np.isfinite(guess)}
    for form, value in FORMS.items():
        for k in sorted(n for n in whole if n > 0):
            found = value(k * Na), value(k * Nb)
            if tuple(map(rounded, found)) == (a, b) and (dtype or type(found[0]) is type(a)):
                return OfBatch(form, k)
    return None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a layer's forward or backward: its operations are ``ops[start:stop]``."""

    address: str
    phase: str
    start: int
    stop: int
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    line: Line

    def refusal(self, what: str) -> RecordingError:
        """Return an error with the address and the line."""
        return RecordingError(f"{located(self.address, self.line)}{what}")


@dataclass(repr=False)
class Program:
    """The NumPy operations of a step, or of a prediction, in order.

    Made by `layerkit.record`.

    Attributes
    ----------
    ops : list of Op
        The operations, in the order in which they are carried out.
    inputs, memory, outputs : dict of str to Value
        The values that are given: the batch ``x``, ``t``, ``a``, and the numbers of the step;
        those that a step changes: parameters ``w``, gradients ``g``, states and slots; and those
        that come out.
    generators : dict of str to Generator
        The generators of the random layers, by address.
    calls : list of Call
        The calls of all layers, in the order in which they return.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network, record
    >>> net = Network(Dense(2), MeanSquaredError(), shape=(3,))
    >>> program = record(net, np.ones((1, 3), np.float32))
    >>> program
    Program of 2 operations, given x (N, 3)
    >>> [op.name for op in program.ops]
    ['dot', 'add']
    """

    ops: list[Op]
    inputs: dict[str, Value]
    memory: dict[str, Value]
    outputs: dict[str, Value]
    generators: dict[str, np.random.Generator] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def __repr__(self) -> str:
        given = ", ".join(
            f"{name} {shown(value.shape, {})}" if value.shape else name
            for name, value in self.inputs.items()
        )
        return f"Program of {len(self.ops)} operations, given {given}"

    def __str__(self) -> str:
        return aligned(self.table(), ())

    def _repr_html_(self) -> str:
        return html_table(self.table(), ())

    def table(self) -> list[list[str]]:
        """Return the operations as rows of a table, without the views of the memory."""
        names, rows = self.names(), [["address", "phase", "operation", "shape", "line"]]
        for op in self.ops:
            if op.phase != "memory":
                formula = op.text(names).replace(f"{op.address}.", "")
                shape = shown(op.output.shape, names)
                rows.append([op.address, op.phase, formula, shape, op.line.text])
        return rows

    def names(self) -> dict[Value, str]:
        """Return a name for each value: its own, that of an output, or v1, v2 …"""
        named = self.outputs | self.inputs | self.memory
        names, count = {value: name for name, value in named.items()}, 0
        for op in self.ops:
            for value in [*op.inputs, *op.outputs]:
                if value.kind == "constant" and not value.name:
                    known = isinstance(value.array, Filled) or np.ndim(value.array) == 0
                    names.setdefault(value, str(value.array) if known else "constant")
                elif not value.name and value not in names and op.phase != "memory":
                    count += 1
                    names[value] = f"v{count}"
        return names

    def run(
        self,
        *,
        memory: Mapping[str, Array] | None = None,
        generators: Mapping[str, np.random.Generator] | None = None,
        watch: Callable[[Op, tuple[Any, ...]], None] | None = None,
        **given: Any,
    ) -> dict[str, Any]:
        """Carry out all operations, and return the outputs by name.

        What layers refuse by values, such as squares that overflow, is computed all the same.

        Parameters
        ----------
        memory : mapping of str to array, optional
            Changed in place; by default copies of what the network had.
        generators : mapping, optional
            Used instead of copies of the layers' own.
        watch : callable, optional
            Called after each operation with it and its results, which a later one may overwrite.
        **given : arrays and numbers
            The `inputs`, by name. Numbers that are left out are those of the recording.

        Raises
        ------
        RecordingError
            For inputs or memory of another name, shape or dtype.
        """
        import copy

        env: dict[Value, Any] = {}
        N = len(given["x"]) if isinstance(given.get("x"), np.ndarray) else 0
        for name in given.keys() - self.inputs.keys():
            raise RecordingError(f"{name}: no such input; there are {', '.join(self.inputs)}")
        for name, value in self.inputs.items():
            item = given.get(name, value.array if value.scalar else None)
            env[value] = item if value.scalar else _fitting(name, value, item, N)
        if not N and "t" in self.inputs:
            raise RecordingError("x has no examples; a step needs at least one")
        for name, value in self.memory.items():
            item = value.array.copy() if memory is None else memory.get(name)
            env[value] = _fitting(f"memory[{name!r}]", value, item, 1)
        rngs = copy.deepcopy(self.generators) if generators is None else generators

        def fill(item: Any) -> Any:
            if isinstance(item, Value):
                if item.kind == "constant" and item not in env:
                    env[item] = constant(item.array, N)
                return env[item]
            return item(N) if isinstance(item, OfBatch) else item

        with np.errstate(all="ignore"):
            for op in self.ops:
                args, kwargs = mapped((op.args, op.kwargs), fill)
                call = op.call
                if op.kind == "draw":
                    call = getattr(rngs[op.extra["generator"]], op.name)
                found = call(*args, **kwargs)
                results = (found,) if len(op.outputs) == 1 else tuple(found)
                if op.writes is None:
                    for value, result in zip(op.outputs, results, strict=True):
                        env[value] = result if value.scalar else np.asarray(result)
                if watch:
                    watch(op, tuple(env[value] for value in op.outputs))
        return {name: fill(value) for name, value in self.outputs.items()}


def needed(
    ops: Sequence[Op], wanted: Iterable[Value], given: Set[Value] = frozenset()
) -> list[int]:
    """Return which operations values depend on, and which draw random numbers; by their indices.

    `given` are values that need no operation.
    """
    alive = {item for value in wanted for item in (value, value.root)} - given
    found = []
    for i, op in reversed(list(enumerate(ops))):
        changed = op.outputs if op.writes is None else (op.writes.root,)
        if op.kind == "draw" or not alive.isdisjoint(changed):
            found.append(i)
            read = [*op.inputs, *op.outputs] if op.writes else op.inputs
            alive |= {item for value in read for item in (value, value.root)} - given
    return found[::-1]


def sized(shape: tuple[Any, ...], N: int) -> tuple[int, ...]:
    """Return a shape for N examples."""
    return tuple(n(N) if isinstance(n, OfBatch) else n for n in shape)


def _fitting(name: str, value: Value, item: Any, N: int) -> Array:
    """Return an array; RecordingError for another shape or dtype than recorded."""
    found = item.shape if isinstance(item, np.ndarray) else None
    if found != sized(value.shape, N) or item.dtype != value.dtype:
        what = f"{item.dtype} {found}" if found is not None else reprlib.repr(item)
        wanted = ", ".join(map(str, value.shape)) + "," * (len(value.shape) == 1)
        raise RecordingError(f"{name} is {what}; the program takes {value.dtype} ({wanted})")
    return item


@dataclass(frozen=True, slots=True)
class Filled:
    """A constant array whose shape depends on N: the same number everywhere, or 0, 1, 2 …"""

    shape: tuple[Any, ...]
    number: Any
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        shape = shown(self.shape, {})
        return f"arange({shape[1:-2]})" if self.number is None else f"full({shape}, {self.number})"

    def __call__(self, N: int) -> Array:
        shape = sized(self.shape, N)
        if self.number is None:
            return np.arange(shape[0], dtype=self.dtype)
        number = self.number(N) if isinstance(self.number, OfBatch) else self.number
        return np.full(shape, number, self.dtype)


def constant(array: Any, N: int) -> Array:
    """Return the numbers of a constant for N examples, a copy, since it may be memory."""
    return array(N) if isinstance(array, Filled) else array.copy()


STATE = "a State for what is kept for the next batch"
UNSEEN = (
    "write np.zeros_like(x, shape=…) for np.zeros(…), np.dot(a, x) for a.dot(x), "
    "np.take_along_axis(a, i, 0) for a[i], np.stack([x, y]) for np.array([x, y]), x for "
    f"np.asarray(x), x.copy() for np.array(x), self.rng for np.random, {STATE}"
)
"""The remedies for what NumPy's protocols don't see."""
LOOP = f"write operations of whole arrays instead of a loop over the examples, {STATE}"


class Merge:
    """Makes one program of two runs with Na and Nb examples: what differs must depend on N."""

    def __init__(self, a: Tape, b: Tape, Na: int, Nb: int) -> None:
        self.a, self.b, self.Na, self.Nb = a, b, Na, Nb
        self.pairs: dict[Value, Value] = {}

    def ops(self) -> list[Op]:
        """Return the operations of the first run, with what depends on N in place of numbers."""
        for one, other in zip_longest(self.a.ops, self.b.ops):
            if one is None or other is None or _kind(one) != _kind(other):
                names = (op.name if op else "nothing" for op in (one, other))
                raise (one or other).refusal(
                    f"the operations differ from batch to batch: {' in one, '.join(names)} in "
                    f"another; {LOOP}"
                )
            one.args = self.pair(one, one.args, other.args)
            one.kwargs = self.pair(one, one.kwargs, other.kwargs)
            for x, y in zip(one.outputs, other.outputs, strict=True):
                self.value(one, x, y)
        return self.a.ops

    def calls(self, ours: list[Call], theirs: list[Call]) -> None:
        """Pair the constants that layers return, to name these and not those that read them."""
        for one, other in zip(ours, theirs, strict=False):
            for x, y in zip(one.outputs, other.outputs, strict=False):
                if x.kind == "constant":
                    self.value(one, x, y)

    def pair(self, op: Op | Call, a: Any, b: Any) -> Any:
        """Return two trees of arguments as one; RecordingError where they don't agree."""
        if isinstance(a, Value):
            self.value(op, a, b)
            return a
        if type(a) is tuple or isinstance(a, list):
            if len(a) != len(b):
                raise op.refusal(f"{len(a)} arrays with one batch, {len(b)} with another; {LOOP}")
            return type(a)(self.pair(op, x, y) for x, y in zip(a, b, strict=True))
        if isinstance(a, dict):
            return {name: self.pair(op, a[name], b[name]) for name in a}
        if isinstance(a, slice):
            parts = [(getattr(a, n), getattr(b, n)) for n in ("start", "stop", "step")]
            return slice(*(self.pair(op, x, y) for x, y in parts))
        if a is b or (type(a) is type(b) and (a == b or (a != a and b != b))):
            return a
        if isinstance(a, int | float | np.number):
            found = of_batch(a, b, self.Na, self.Nb)
            if found is not None:
                return found
            raise op.refusal(
                f"a number that differs from batch to batch, {a} with {self.Na} examples and {b} "
                f"with {self.Nb}; what depends on their number N may be {_forms()}; write {STATE}"
            )
        if callable(a) and getattr(a, "__name__", 1) == getattr(b, "__name__", 2):
            return a
        raise op.refusal(f"{a!r} for one batch and {b!r} for another; {LOOP}")

    def value(self, op: Op | Call, a: Value, b: Value) -> None:
        """Pair two values: of one shape but for N, and the same numbers if they are constants."""
        known = self.pairs.get(a)
        if known is not None:
            if known is not b:
                raise op.refusal(f"another array with another batch; {LOOP}")
            return
        self.pairs[a] = b
        if a.kind != b.kind or len(a.shape) != len(b.shape) or a.dtype != b.dtype:
            raise op.refusal(f"another kind of array with another batch; {UNSEEN}")
        a.shape = self.pair(op, a.shape, b.shape)
        if a.kind == "constant":
            a.array = self.constant(op, a, b)

    def constant(self, op: Op | Call, a: Value, b: Value) -> Any:
        """Return the numbers of a constant, or how they depend on N."""
        x, y = a.array, b.array
        if all(value is first_written(tape, value) for tape, value in ((self.a, a), (self.b, b))):
            return Filled(a.shape, 0, x.dtype)
        if x.shape == y.shape and x.tobytes() == y.tobytes():
            return x
        if x.shape != y.shape and x.size and (x == x.flat[0]).all() and (y == y.flat[0]).all():
            numbers = x.flat[0].item(), y.flat[0].item()
            number = of_batch(*numbers, self.Na, self.Nb, x.dtype)
            if numbers[0] == numbers[1] or number is not None:
                return Filled(a.shape, numbers[0] if number is None else number, x.dtype)
        if x.ndim == 1 and all(np.array_equal(z, np.arange(len(z))) for z in (x, y)):
            return Filled(a.shape, None, x.dtype)
        raise op.refusal(
            f"an array of shape {x.shape} that differs from batch to batch and was made where "
            f"nothing is recorded; {UNSEEN}"
        )


def first_written(tape: Tape, value: Value) -> Value | None:
    """Return the value if the first thing done with it is that all of it is overwritten."""
    for op in tape.ops:
        if value in op.inputs or op.writes is value:
            part = "where" in op.kwargs or (op.name == "setitem" and op.args[1] is not Ellipsis)
            whole = op.writes is value and value not in op.reads and not part
            return value if whole else None
    return None


def _kind(op: Op) -> tuple[Any, ...]:
    return op.name, op.address, op.phase, len(op.outputs)


def _forms() -> str:
    return ", ".join(str(OfBatch(form, 2)) for form in FORMS if "float" not in form)
