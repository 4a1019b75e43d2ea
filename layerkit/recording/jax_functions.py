"""Programs as functions of JAX: the recorded operations, each by JAX's function of that name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import INNER, ConfigError
from layerkit.guidance import to_install
from layerkit.recording.functional import functional
from layerkit.recording.operations import Op, Value, mapped
from layerkit.recording.program import OfBatch, Program, constant, sized


def jax() -> Any:
    """Return the library; ConfigError where it is not installed."""
    try:
        import jax
    except ImportError as error:
        raise ConfigError(f"engine = 'jax': JAX is not installed: {to_install('jax')}") from error
    return jax


@contextmanager
def exact() -> Iterator[None]:
    """Let JAX compute in the precisions that the program names, as NumPy does, on a GPU too."""
    with jax().enable_x64(True), jax().default_matmul_precision("highest"):
        yield


def limit_threads(threads: int) -> None:
    """Let JAX compute in one thread, which can be said before it is imported alone."""
    if threads == 1 and "jax" not in sys.modules:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


class Pieces:
    """A vector in pieces, one for each parameter, since a compiler would copy them out of it.

    Parameters
    ----------
    parts : dict of int to array
        The parts by the places where they begin.
    """

    def __init__(self, parts: dict[int, Any]) -> None:
        self.parts = parts

    @classmethod
    def of(cls, vector: Array, slices: Iterable[slice]) -> Pieces:
        """Cut a vector."""
        return cls({part.start: vector[part] for part in slices})

    def place(self, index: Any) -> int | None:
        """Return where the piece of this slice begins, if it is one."""
        start = index.start if isinstance(index, slice) else None
        is_one = start in self.parts and index == slice(start, start + len(self.parts[start]))
        return start if is_one else None

    def get(self, index: Any) -> Any:
        """Return a piece, or any other part of the whole."""
        place = self.place(index)
        return self.whole()[index] if place is None else self.parts[place]

    def set(self, index: Any, new: Any) -> Any:
        """Return the vector with another piece, or with another part of the whole."""
        place = self.place(index)
        if place is None:
            return _set(self.whole(), index, new)
        return Pieces(self.parts | {place: _like(self.parts[place], new)})

    def whole(self) -> Any:
        """Put the pieces together."""
        return jax().numpy.concatenate(list(self.parts.values()))


class Function:
    """A program as a function without effects, for `jax.jit`.

    Numbers are those of NumPy up to rounding, but for random ones: a draw has a key of its own,
    made of the key of the step and the address of the layer.

    Parameters
    ----------
    program : Program
    outputs : iterable of str, optional
        Which outputs are wanted; by default all, and the memory that the program changes.

    Raises
    ------
    RecordingError
        For an operation that JAX doesn't have, with its layer and line.

    Examples
    --------
    >>> from layerkit import Dense, Network, ReLU, Sequential, SoftmaxCrossEntropy
    >>> from layerkit.recording import record
    >>> net = Network(Sequential([Dense(2), ReLU()]), SoftmaxCrossEntropy(), shape=(3,))
    >>> x = np.ones((5, 3), np.float32)
    >>> function = Function(record(net, x), ["z"])
    >>> memory = {name: param.value for name, param in net.declared().items()}
    >>> z = function({"x": x}, memory)["z"]
    >>> z.shape, round(float(abs(z - net.outputs(x)).max()), 4)
    ((5, 2), 0.0)
    """

    def __init__(self, program: Program, outputs: Iterable[str] | None = None) -> None:
        self.program = functional(program, outputs)
        self.calls = {op: translated(op) for op in self.program.ops}

    def is_elementwise(self, size: int) -> bool:
        """Whether it computes each number of vectors of this size by itself."""
        return all(
            (op.kind in ("scalar", "ufunc") and "." not in op.name) or op.name in ELEMENTWISE
            for op in self.program.ops
        ) and all(
            value.shape in ((), (size,)) and op.kind != "draw"
            for op in self.program.ops
            for value in (*op.inputs, *op.outputs)
        )

    def __call__(
        self,
        given: Mapping[str, Any],
        memory: Mapping[str, Any],
        key: Any = None,
        part: slice = slice(None),
    ) -> dict[str, Any]:
        """Return the outputs by name, for inputs and memory by name.

        Memory may be given in `Pieces`. If all is elementwise, also a `part` of it.
        """
        program = self.program
        N = len(given["x"]) if "x" in given else 0
        env: dict[Value, Any] = {value: given[name] for name, value in program.inputs.items()}
        env |= {value: memory[name] for name, value in program.memory.items()}

        def fill(item: Any, dtype: Any = None) -> Any:
            if isinstance(item, OfBatch):
                return item(N)
            if not isinstance(item, Value):
                return item
            if item.kind == "constant" and item not in env:
                array = constant(item.array, N)
                env[item] = array[part] if part != slice(None) and array.ndim else array
            weak = item.scalar and dtype is not None
            return jax().numpy.asarray(env[item], dtype) if weak else env[item]

        for number, op in enumerate(program.ops):
            if op.kind == "draw":
                mixed = crc32(f"{op.extra['generator']} {number}".encode())
                drawn = self.calls[op](jax().random.fold_in(key, mixed), sized(op.output.shape, N))
                env[op.output] = drawn.astype(op.output.dtype)
                continue
            args, kwargs = mapped((op.args, op.kwargs), partial(fill, dtype=_adapted(op)))
            kept = args[: op.name in ("getitem", "setitem")]  # these take vectors in pieces
            args, kwargs = mapped((args[len(kept) :], kwargs), whole)
            args = kept + args
            found = self.calls[op](*args, **kwargs)
            results = (found,) if len(op.outputs) == 1 else tuple(found)
            for value, result in zip(op.outputs, results, strict=True):
                same = value.scalar or isinstance(result, Pieces) or result.dtype == value.dtype
                env[value] = result if same else result.astype(value.dtype)
        return {name: fill(value) for name, value in program.outputs.items()}


def _adapted(op: Op) -> Any:
    """Return the dtype that numbers of the step adapt to, as Python's numbers do in NumPy."""
    dtypes = [value.dtype for value in op.inputs if not value.scalar]
    return np.result_type(*dtypes) if dtypes and np.result_type(*dtypes).kind == "f" else None


def translated(op: Op) -> Callable[..., Any]:
    """Return what carries out an operation with arrays of JAX; RecordingError if nothing does."""
    if op.kind == "scalar":
        return _item if op.name == "item" else op.call
    if op.kind == "draw":
        found = DRAWS.get(op.name)
        if found is None or len(op.outputs) > 1:
            raise op.refusal(
                f"random numbers by {op.name}, which the engine 'jax' does not draw; "
                f"write {', '.join(f'self.rng.{name}' for name in DRAWS)}"
            )
        return lambda key, shape: found(op, key, shape)
    if op.name == "getitem" and not op.line.file.startswith(INNER):
        return _get_or_nan
    if op.name in SPECIAL:
        return SPECIAL[op.name]
    if (
        op.name == "dot"
        and isinstance(op.inputs[0].shape[-1], OfBatch)
        and len(op.output.shape) == 2
    ):
        return _sum_over_examples
    numpy, name = jax().numpy, op.name
    if op.kind == "method" and hasattr(numpy.ndarray, name):
        return lambda x, *args, **kwargs: getattr(numpy.asarray(x), name)(*args, **kwargs)
    if op.kind == "ufunc" and "." in name:
        name, method = name.split(".")
        ufunc = getattr(numpy, name, None)
        change = {"minimum": "min", "maximum": "max"}.get(name, name)
        if method == "at" and hasattr(numpy.zeros(1).at[0], change):
            return partial(_at, change)
        if method != "at" and hasattr(ufunc, method):
            return partial(getattr(ufunc, method))
    for place in (numpy, numpy.linalg, jax().scipy.special):
        if hasattr(place, name) and "." not in op.name:
            call = getattr(place, name)
            return partial(_ufunc, call) if op.kind == "ufunc" else call
    raise op.refusal(f"{op.name} is not among the functions of JAX")


def _ufunc(call: Callable[..., Any], *args: Any, dtype: Any = None) -> Any:
    """A ufunc, with NumPy's option `dtype`; and None, which no number is equal to."""
    numpy = jax().numpy
    if None in [arg for arg in args if not hasattr(arg, "dtype")]:
        return numpy.full(args[0].shape, call.__name__ == "not_equal")
    return call(*(args if dtype is None else (numpy.asarray(arg, dtype) for arg in args)))


def _item(x: Any) -> Any:
    """A number of a step, which stays an array of no dimensions."""
    x = jax().numpy.asarray(x).reshape(())
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def whole(item: Any) -> Any:
    """Return a vector of several pieces as one."""
    return item.whole() if isinstance(item, Pieces) else item


def _get(x: Any, index: Any) -> Any:
    return x.get(index) if isinstance(x, Pieces) else jax().numpy.asarray(x)[index]


def _get_or_nan(x: Any, index: Any) -> Any:
    """Return numbers at places that nobody has checked: nan for those out of bounds."""
    parts = index if isinstance(index, tuple) else (index,)
    by_number = any(getattr(part, "dtype", np.dtype(bool)).kind in "iu" for part in parts)
    if isinstance(x, Pieces) or not by_number or x.dtype.kind != "f":
        return _get(x, index)
    return jax().numpy.asarray(x).at[index].get(mode="fill", fill_value=np.nan)


def _set(x: Any, index: Any, new: Any) -> Any:
    if isinstance(x, Pieces):
        return x.set(index, new)
    numpy = jax().numpy
    if getattr(index, "dtype", None) == np.bool_:
        mask = index.reshape(index.shape + (1,) * (x.ndim - index.ndim))
        return numpy.where(mask, numpy.asarray(new, x.dtype), x)
    return numpy.asarray(x).at[index].set(numpy.asarray(new).astype(x.dtype))


def _at(change: str, x: Any, index: Any, new: Any) -> Any:
    """Return x with all changes of the same place, one after the other, as by `np.ufunc.at`."""
    numpy = jax().numpy
    changed = getattr(numpy.asarray(x).at[index], change)
    return changed(numpy.asarray(new).astype(x.dtype))


def _put_along_axis(x: Any, index: Any, new: Any, axis: int) -> Any:
    return jax().numpy.put_along_axis(x, index, new, axis, inplace=False)


def _sum_over_examples(x: Any, y: Any) -> Any:
    """The product of (a, N) and (N, b); with few columns it takes XLA longer than with few rows."""
    if y.shape[1] < 16:
        return jax().lax.optimization_barrier(y.T @ x.T).T
    return x @ y


def _like(x: Any, new: Any, casting: str = "", where: Any = True) -> Any:
    """The numbers of `new` in the place of those of x."""
    numpy = jax().numpy
    return numpy.where(where, numpy.broadcast_to(numpy.asarray(new, x.dtype), x.shape), x)


def _zeros_like(x: Any, *args: Any, **kwargs: Any) -> Any:
    return jax().numpy.zeros_like(x, *args, **kwargs)


def _bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    return jax().numpy.bincount(x, weights, length=minlength)


def _sorted(x: Any, axis: int = -1, **kind: Any) -> Any:
    return jax().numpy.sort(x, axis)


def _same(x: Any, *args: Any, **kwargs: Any) -> Any:
    return x


ELEMENTWISE = {"where", "clip", "copyto", "fill", "empty_like", "full_like", "astype", "copy"}
"""Functions and methods that compute each number by itself, as ufuncs do."""
SPECIAL: dict[str, Callable[..., Any]] = {
    "setitem": _set,
    "getitem": _get,
    "put_along_axis": _put_along_axis,
    "copyto": _like,
    "fill": _like,
    "empty_like": _zeros_like,
    "bincount": _bincount,
    "sort": _sorted,
    "copy": _same,
    "ascontiguousarray": _same,
}
"""Operations that have another name or another form in JAX."""


def _bounds(op: Op, *names: str) -> list[Any]:
    given = dict(zip(names, op.args, strict=False)) | op.kwargs
    return [given.get(name, default) for name, default in zip(names, (0.0, 1.0), strict=False)]


def _uniform(op: Op, key: Any, shape: Any) -> Any:
    low, high = _bounds(op, "low", "high")
    return low + (high - low) * jax().random.uniform(key, shape, op.output.dtype)


def _normal(op: Op, key: Any, shape: Any) -> Any:
    loc, scale = _bounds(op, "loc", "scale")
    return loc + scale * jax().random.normal(key, shape, op.output.dtype)


DRAWS: dict[str, Callable[[Op, Any, Any], Any]] = {
    "random": lambda op, key, shape: jax().random.uniform(key, shape, op.output.dtype),
    "uniform": _uniform,
    "standard_normal": lambda op, key, shape: jax().random.normal(key, shape, op.output.dtype),
    "normal": _normal,
}
"""Random numbers of a Generator, and how JAX draws them."""
