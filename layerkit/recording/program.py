"""Programs: the operations of one step of a network, in order, for any number of examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.recording.arrays import Op, RecordingError, Tape, Value, mapped


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
"""How a number may depend on N: these and no others are known."""


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


@dataclass
class Program:
    """The NumPy operations of a step, or of a prediction, in order.

    Attributes
    ----------
    ops : list of Op
    inputs, memory, outputs : dict of str to Value
        What is given: the batch ``x``, ``t``, ``a``, and the numbers of the step. What a step
        changes: parameters ``w``, gradients ``g``, states and slots. What comes out.
    generators : dict of str to Generator
        Of the random layers, by address.
    calls : list of Call
        Of all layers, in the order in which they return.
    """

    ops: list[Op]
    inputs: dict[str, Value]
    memory: dict[str, Value]
    outputs: dict[str, Value]
    generators: dict[str, np.random.Generator] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def run(
        self,
        *,
        memory: Mapping[str, Array] | None = None,
        generators: Mapping[str, np.random.Generator] | None = None,
        watch: Callable[[Op, tuple[Any, ...]], None] | None = None,
        **given: Any,
    ) -> dict[str, Any]:
        """Carry out all operations, and return the outputs by name.

        Parameters
        ----------
        memory : mapping of str to array, optional
            Changed in place; by default copies of what the network had.
        generators : mapping, optional
            Used instead of copies of the layers' own.
        watch : callable, optional
            Called after each operation with it and its results, which a later one may overwrite.
        **given : arrays and numbers
            The `inputs`, by name.
        """
        import copy

        missing = sorted(set(self.inputs) - set(given))
        unknown = sorted(set(given) - set(self.inputs))
        if unknown:
            raise RecordingError(
                f"{', '.join(unknown)}: no such input; there are {', '.join(self.inputs)}"
            )
        env: dict[Value, Any] = {}
        for name in missing:
            if not self.inputs[name].scalar:
                raise RecordingError(f"the program needs {name}")
            env[self.inputs[name]] = self.inputs[name].array
        env.update({self.inputs[name]: item for name, item in given.items()})
        for name, value in self.memory.items():
            env[value] = value.array.copy() if memory is None else memory[name]
        N = len(given["x"]) if "x" in given else 0
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


@dataclass(frozen=True, slots=True)
class Filled:
    """A constant array whose shape depends on N: the same number everywhere, or 0, 1, 2 …"""

    shape: tuple[Any, ...]
    number: Any
    dtype: np.dtype[Any]

    def __call__(self, N: int) -> Array:
        shape = tuple(n(N) if isinstance(n, OfBatch) else n for n in self.shape)
        if self.number is None:
            return np.arange(shape[0], dtype=self.dtype)
        number = self.number(N) if isinstance(self.number, OfBatch) else self.number
        return np.full(shape, number, self.dtype)


def constant(array: Any, N: int) -> Array:
    """Return the numbers of a constant for N examples, a copy, since it may be memory."""
    return array(N) if isinstance(array, Filled) else array.copy()


UNSEEN = (
    "Where an array of your own comes before one of the network's, call NumPy's function and no "
    "method: np.dot(a, x) for a.dot(x), np.take_along_axis(a, i, 0) for a[i], and "
    "np.zeros_like(x, shape=...) for an np.zeros(...) that is filled afterwards"
)
"""What can't be seen by NumPy's protocols, and what to write."""


class Merge:
    """Makes one program of two runs with Na and Nb examples: what differs must depend on N."""

    def __init__(self, a: Tape, b: Tape, Na: int, Nb: int) -> None:
        self.a, self.b, self.Na, self.Nb = a, b, Na, Nb
        self.pairs: dict[Value, Value] = {}

    def ops(self) -> list[Op]:
        """Return the operations of the first run, with what depends on N in place of numbers."""
        for one, other in zip(self.a.ops, self.b.ops, strict=False):
            if (one.name, one.address, one.phase, len(one.outputs)) != (
                other.name,
                other.address,
                other.phase,
                len(other.outputs),
            ):
                raise one.refusal(f"another operation, {other.name}, with another batch")
            one.args = self.pair(one, one.args, other.args)
            one.kwargs = self.pair(one, one.kwargs, other.kwargs)
            for x, y in zip(one.outputs, other.outputs, strict=True):
                self.value(one, x, y)
        if len(self.a.ops) != len(self.b.ops):
            longer = max(self.a.ops, self.b.ops, key=len)
            op = longer[min(len(self.a.ops), len(self.b.ops))]
            raise op.refusal(
                "a number of operations that depends on the batch, such as a loop over "
                "its examples",
            )
        return self.a.ops

    def pair(self, op: Op, a: Any, b: Any) -> Any:
        """Return two trees of arguments as one; RecordingError where they don't agree."""
        if isinstance(a, Value):
            self.value(op, a, b)
            return a
        if type(a) is tuple or isinstance(a, list):
            if len(a) != len(b):
                raise op.refusal(f"{len(a)} arguments with one batch, {len(b)} with another")
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
                f"{op.name} with a number that differs from batch to batch, {a} with {self.Na} "
                f"examples and {b} with {self.Nb}",
            )
        if callable(a) and getattr(a, "__name__", 1) == getattr(b, "__name__", 2):
            return a
        raise op.refusal(f"{op.name} with {a!r} for one batch and {b!r} for another")

    def value(self, op: Op, a: Value, b: Value) -> None:
        """Pair two values: of one shape but for N, and the same numbers if they are constants."""
        known = self.pairs.get(a)
        if known is not None:
            if known is not b:
                raise op.refusal(f"{op.name} reads another array with another batch")
            return
        self.pairs[a] = b
        if a.kind != b.kind or len(a.shape) != len(b.shape) or a.dtype != b.dtype:
            raise op.refusal(f"{op.name} reads another kind of array with another batch")
        a.shape = self.pair(op, a.shape, b.shape)
        if a.kind == "constant":
            a.array = self.constant(op, a, b)

    def constant(self, op: Op, a: Value, b: Value) -> Any:
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
            f"{op.name} reads an array of shape {x.shape} that differs from batch to batch: it was "
            f"made where nothing is recorded. {UNSEEN}",
        )


def first_written(tape: Tape, value: Value) -> Value | None:
    """Return the value if the first thing done with it is that all of it is overwritten."""
    for op in tape.ops:
        if value in op.inputs or op.writes is value:
            whole = op.kwargs.get("out") is value and value not in op.args
            return value if whole and op.kind in ("ufunc", "method", "function") else None
    return None
