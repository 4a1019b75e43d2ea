"""Arrays that write down what is done with them, by NumPy's own protocols.

A `Recorded` is an array with real numbers. NumPy carries out each operation on it, which is logged
on a `Tape` as an `Op`: its inputs, its output, and the line of the layer that asked for it. What is
done must depend on shapes and options alone, so a decision by a number is refused.
"""

from __future__ import annotations

import operator
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import LayerkitError, RecordingError
from layerkit.recording.operations import WRITING, Line, Op, Value, flat, located, mapped

HERE = os.path.dirname(__file__) + os.sep
NUMPY = os.path.dirname(np.__file__) + os.sep
CORE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "arrays.py")


class Tape:
    """The operations of one run, in order, and the arrays that it knows."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.values: list[Value] = []
        self.address, self.phase = "", "forward"
        self.layer: Any = None
        self.refused: RecordingError | None = None
        self.failed = ""
        self.call = self.calls = 0
        # arrays are kept alive, so that no other one gets the same memory
        self.kept: list[Any] = []
        self.places: dict[Any, Value] = {}
        self.owners: dict[int, Value] = {}

    @contextmanager
    def within(self, phase: str, address: str | None = None, layer: Any = None) -> Iterator[None]:
        """Give the operations that follow this phase, and this address."""
        before = self.phase, self.address, self.layer, self.call
        self.phase = phase
        if address is not None:
            self.address, self.layer = address, layer
            self.call = self.calls = self.calls + 1
        try:
            yield
        except Exception:
            self.failed = self.failed or self.address
            raise
        finally:
            self.phase, self.address, self.layer, self.call = before

    @contextmanager
    def honest(self) -> Iterator[None]:
        """Raise the first refusal, though a layer has caught it, and one for any other error."""
        try:
            yield
        except LayerkitError as error:
            raise self.refused or error from None
        except Exception as error:
            lines = [
                Line(frame.f_code.co_filename, number, frame.f_code.co_name)
                for frame, number in traceback.walk_tb(error.__traceback__)
            ]
            line = [line for line in lines if not line.file.startswith((HERE, NUMPY))][-1]
            raise self.refused or RecordingError(
                f"{located(self.failed, line)}{type(error).__name__} with a recorded array in the "
                f"place of an array or number: {error}"
            ) from error
        if self.refused:
            raise self.refused

    def give(self, kind: str, name: str, array: Array) -> Recorded:
        """Return an array from outside as Recorded, such as the batch or a vector of memory."""
        value = Value(kind, array.shape, array.dtype, name, array.copy())
        return self.wrap(array, value)

    def number(self, name: str, value: float, option: bool = False) -> Scalar:
        """Return a number from outside, such as the learning rate of a step."""
        given = Value("input", (), np.dtype(type(value)), name, value, scalar=True)
        self.values.append(given)
        return Scalar(self, given, value, option)

    def scalar(self, call: Callable[..., Any], *args: Any) -> Any:
        """Log arithmetic of single numbers, and return its result."""
        return self.run(call.__name__, "scalar", call, args, {})

    def wrap(self, array: Array, value: Value) -> Recorded:
        """Return a Recorded with the memory of an array, known by this value."""
        self.know(array, value)
        recorded = array.view(Recorded)
        recorded.tape, recorded.value = self, value
        return recorded

    def know(self, array: Array, value: Value) -> None:
        """Remember which value an array is, and all arrays with the same memory."""
        self.values.append(value)
        self.kept.append(array)
        self.places[place(array)] = value
        self.owners.setdefault(id(owner(array)), value.root)
        self.kept.append(owner(array))

    def find(self, array: Array) -> Value:
        """Return the value of any array: one that is known, or else a constant."""
        if isinstance(array, Recorded) and array.value is not None:
            return array.value
        known = self.places.get(place(array))
        if known is not None and array.size:
            return known
        if id(owner(array)) in self.owners:
            raise self.refusal(
                f"a view of shape {array.shape} that was made where nothing is recorded: write "
                "x.reshape(…), x[…] or np.stack([…]) instead of x.shape = …, x.view(…) or np.c_"
            )
        constant = Value("constant", array.shape, array.dtype, "", np.array(array))
        self.know(array, constant)
        return constant

    def refusal(self, what: str) -> RecordingError:
        """Return an error with the address and the line, and remember the first one."""
        error = RecordingError(f"{located(self.address, self.line())}{what}")
        self.refused = self.refused or error
        return error

    def line(self) -> Line:
        """Return the line of the layer that is at work; else that which called NumPy."""
        frame: FrameType | None = sys._getframe(1)
        first: FrameType | None = None
        while frame is not None:
            file = frame.f_code.co_filename
            if not file.startswith((HERE, NUMPY)) and not file.startswith("<__array"):
                if first is None or (first.f_code.co_filename == CORE):
                    first = frame
                if self.layer is None or frame.f_locals.get("self") is self.layer:
                    first = frame if self.layer is not None else first
                    break
            frame = frame.f_back
        if first is None:
            return Line("", 0, "")
        return Line(first.f_code.co_filename, first.f_lineno, first.f_code.co_name)

    def run(
        self,
        name: str,
        kind: str,
        call: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        writes: Any = None,
        **extra: Any,
    ) -> Any:
        """Carry out an operation, log it, and return what it returned, as Recorded."""
        real_args, real_kwargs = mapped((args, kwargs), real)
        known_args, known_kwargs = mapped((args, kwargs), self._known)
        written = None if writes is None else self._known(writes)
        result = call(*real_args, **real_kwargs)
        inputs = [item for item in flat((real_args, real_kwargs)) if isinstance(item, np.ndarray)]
        if written is not None:
            outputs, returned = (written,), writes
        elif isinstance(result, tuple | list):
            items = [self._returned(name, kind, item, inputs) for item in result]
            made: Any = getattr(type(result), "_make", type(result))  # of a named tuple
            outputs, returned = tuple(item.value for item in items), made(items)
        else:
            returned = self._returned(name, kind, result, inputs)
            outputs = (returned.value,)
        where, extra["call"] = (self.address, self.phase, self.line()), self.call
        self.ops.append(
            Op(name, kind, call, known_args, known_kwargs, outputs, written, *where, extra)
        )
        return returned

    def _returned(self, name: str, kind: str, item: Any, inputs: list[Array]) -> Any:
        """Return what an operation returned as Recorded or Scalar, with a new value."""
        if kind == "scalar" or (kind == "draw" and isinstance(item, int | float)):
            value = Value("result", (), np.dtype(type(item)), scalar=True)
            self.values.append(value)
            return Scalar(self, value, item)
        if not isinstance(item, np.ndarray | np.generic):
            raise self.refusal(
                f"{name} returns {item}, to decide by it; {REMEDY}"
                if isinstance(item, bool | int | float)
                else f"{name} can't be recorded, since it returns no array"
            )
        array = np.asarray(item)
        base = next((self.find(x) for x in inputs if np.may_share_memory(x, array)), None)
        return self.wrap(array, Value("result", array.shape, array.dtype, base=base))

    def _known(self, item: Any) -> Any:
        """Return the value of an array; all else as it is."""
        if isinstance(item, Scalar):
            return item.value
        return self.find(item) if isinstance(item, np.ndarray) else item


REMEDY = (
    "what is done may depend on shapes and options alone: write np.where(condition, a, b) for "
    "a if condition else b, and np.maximum(a, b) for max(a, b)"
)
ARITHMETIC = (
    "leave it an array, without float(…), int(…) or tolist(), and write np.sqrt(x) for "
    "math.sqrt(x), x.sum() for sum(x), np.take(a, i) for a[i]"
)


def value_of(item: Any) -> Value:
    """Return the value of a Recorded."""
    value: Value = item.value
    return value


def real(item: Any) -> Any:
    """Return an array or number without its recording."""
    if isinstance(item, Recorded):
        return item.view(np.ndarray)
    return item.number if isinstance(item, Scalar) else item


def owner(array: Array) -> Any:
    """Return the object that owns an array's memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def place(array: Array) -> tuple[Any, ...]:
    """Return where in memory an array is, and how its numbers lie there."""
    return array.__array_interface__["data"][0], array.shape, array.strides, array.dtype


class Recorded(np.ndarray[Any, np.dtype[Any]]):
    """An array whose operations are logged on a tape."""

    tape: Tape
    value: Value | None

    def __array_finalize__(self, made_from: Any) -> None:
        self.value = None
        if isinstance(made_from, Recorded):
            self.tape = made_from.tape

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return record_ufunc(self.tape, ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Carry out and log a function of NumPy."""
        return record_function(self.tape, func, args, kwargs)

    def _call(self, name: str, *args: Any, writes: Any = None, **kwargs: Any) -> Any:
        call = METHODS[name]
        return self.tape.run(name.strip("_"), "method", call, (self, *args), kwargs, writes)

    def __getitem__(self, index: Any) -> Any:
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, Recorded) and part.dtype == bool:
                raise self.tape.refusal(
                    "x[mask] has as many numbers as there are true ones, which depends on values: "
                    "write np.where(mask, x, 0); x[mask] = 0 may stay"
                )
        return self._call("__getitem__", index)

    def __setitem__(self, index: Any, new: Any) -> None:
        self._call("__setitem__", index, new, writes=self)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> Any:  # noqa: N802
        return self._call("transpose")

    def item(self, *args: Any) -> Any:
        if args or self.size != 1:
            return self[np.unravel_index(args[0], self.shape) if len(args) == 1 else args].item()
        return self.tape.run("item", "scalar", METHODS["item"], (self,), {})

    @property  # type: ignore[misc]
    def real(self) -> Any:
        return record_function(self.tape, np.real, (self,), {})

    @property  # type: ignore[misc]
    def imag(self) -> Any:
        return record_function(self.tape, np.imag, (self,), {})

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __repr__(self) -> str:
        return repr(real(self))

    __str__ = __repr__

    def __format__(self, form: str) -> str:
        return format(real(self)[()], form)

    def _decide(self, *args: Any) -> NoReturn:
        raise self.tape.refusal(f"a decision by the values of an array; {REMEDY}")

    def _take_out(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise self.tape.refusal(
            f"numbers are taken out of an array, and would be the same in all steps; {ARITHMETIC}"
        )

    __bool__ = __contains__ = __hash__ = _decide  # type: ignore[assignment]
    __float__ = __int__ = __index__ = __complex__ = __round__ = __reduce_ex__ = _take_out
    tolist = tobytes = dump = dumps = tofile = _take_out
    flat = property(_take_out)

    def nonzero(self) -> Any:
        return record_function(self.tape, np.nonzero, (self,), {})


def _forward(name: str) -> Any:
    def method(self: Recorded, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is not None:
            kwargs["out"] = out
        writes = self if name in ("fill", "sort", "partition", "put") else out
        result = self._call(name, *args, writes=writes, **kwargs)
        return None if writes is self else result

    method.__name__ = name
    return method


METHODS: dict[str, Callable[..., Any]] = {
    name: getattr(np.ndarray, name)
    for name in (
        *("all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumprod"),
        *("cumsum", "dot", "fill", "flatten", "max", "mean", "min", "partition", "prod", "put"),
        *("ravel", "repeat", "reshape", "round", "sort", "squeeze", "std", "sum", "swapaxes"),
        *("take", "trace", "transpose", "var", "conj", "diagonal"),
    )
}
for _name in METHODS:
    setattr(Recorded, _name, _forward(_name))
METHODS["__getitem__"] = operator.getitem
METHODS["__setitem__"] = operator.setitem
METHODS["item"] = np.ndarray.item

UNSIZED = {"nonzero", "flatnonzero", "argwhere", "unique", "compress", "extract"}
"""Functions whose result has a size that depends on values."""
SHAPES = {"shape", "ndim", "size", "result_type", "can_cast", "iscomplexobj", "isrealobj"}
"""Functions that look at shapes and types alone."""


def record_ufunc(
    tape: Tape, ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Carry out and log a ufunc, or one of its methods, such as `reduce`."""
    out = kwargs.get("out")
    writes = None
    if method == "at":
        writes = inputs[0]
    elif out is not None:
        if len(out) != 1:
            raise tape.refusal(f"{ufunc.__name__} with several out arrays can't be recorded")
        (writes,) = out
        kwargs = kwargs | {"out": writes}
    call = ufunc if method == "__call__" else getattr(ufunc, method)
    name = ufunc.__name__ + ("" if method == "__call__" else f".{method}")
    result = tape.run(name, "ufunc", call, inputs, kwargs, writes, ufunc=ufunc)
    return None if method == "at" else result


def record_function(tape: Tape, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Carry out and log a function of NumPy that is not a ufunc."""
    name = func.__name__
    if name in SHAPES:
        return func(*mapped(args, real), **mapped(kwargs, real))
    writes = kwargs.get("out")
    if name in WRITING:
        writes = args[0]
    if name in UNSIZED or (name == "where" and len(args) == 1):
        raise tape.refusal(
            f"the size of what {name} returns depends on values; write np.where(condition, a, b)"
        )
    result = tape.run(name, "function", func, tuple(args), kwargs, writes)
    return None if name in WRITING else result


class Scalar:
    """A number that is computed anew in each step: arithmetic with it is logged."""

    def __init__(self, tape: Tape, value: Value, number: Any, option: bool = False) -> None:
        self.tape, self.value, self.number, self.option = tape, value, number, option

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return record_ufunc(self.tape, ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return record_function(self.tape, func, args, kwargs)

    def item(self) -> Scalar:
        """Return the number itself."""
        return self

    def __neg__(self) -> Any:
        return 0 - self  # type: ignore[operator]

    def __abs__(self) -> Any:
        return self.tape.run("abs", "scalar", operator.abs, (self,), {})

    def __pos__(self) -> Any:
        return self

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __format__(self, form: str) -> str:
        return format(self.number, form)

    def __bool__(self) -> bool:
        if not self.option:
            self._refuse()
        return bool(self.number)  # whether it is 0 all the time, such as a penalty

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise self.tape.refusal(
            f"a decision by a number, {self.number:.6g}, that differs from step to step, or it is "
            "taken out; write arithmetic, such as x ** 0.5 for math.sqrt(x), "
            "(x > 1) * a for a if x > 1 else 0, and np.maximum(x, a) for max(x, a)"
        )

    __float__ = __int__ = __index__ = __hash__ = __round__ = _refuse
    __array__ = __iter__ = __contains__ = __getitem__ = _refuse


def _operation(name: str, reverse: bool) -> Any:
    call = getattr(operator, name)

    def method(self: Scalar, other: Any) -> Any:
        if not isinstance(other, Scalar | float | int):
            return NotImplemented
        args = (other, self) if reverse else (self, other)
        return self.tape.scalar(call, *args)

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Scalar, f"__{_name}__", _operation(_name, reverse=False))
    setattr(Scalar, f"__r{_name}__", _operation(_name, reverse=True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Scalar, f"__{_name}__", _operation(_name, reverse=False))


class Draws:
    """A generator of random numbers whose draws are logged."""

    def __init__(self, tape: Tape, name: str, rng: np.random.Generator) -> None:
        self.tape, self.name, self.rng = tape, name, rng

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.rng, name)
        if not callable(method):
            return method

        def draw(*args: Any, **kwargs: Any) -> Any:
            return self.tape.run(
                name, "draw", method, args, kwargs, kwargs.get("out"), generator=self.name
            )

        return draw
