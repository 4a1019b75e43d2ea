"""ONNX nodes for operations of NumPy: a table of all that can be said in both."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.recording.arrays import Op, Value
from layerkit.recording.functional import loop, transposed
from layerkit.recording.program import Filled, OfBatch

INT, FAR = np.dtype(np.int64), 2**63 - 1


class Nodes:
    """Nodes that are made one after the other, each with its name; arrays go by names, too.

    Attributes
    ----------
    nodes : list of NodeProto
    names : dict of Value to str
        Of the arrays that are known.
    ends : list of str
        The names of results.
    batch : bool
        Whether any node reads ``N``, the number of examples, int64 (1,).
    """

    def __init__(self, names: dict[Value, str], prefix: str = "") -> None:
        self.names, self.prefix = names, prefix
        self.nodes: list[Any] = []
        self.batch = False
        self.ends: list[str] = []
        self.counts = Counter[str]()
        self.constants: dict[Any, str] = {}

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node, and return the name of its output, or a list of several."""
        from onnx.helper import make_node

        name = self._unused(kind)
        names = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(make_node(kind, inputs, names, name, **attributes))
        return names[0] if outputs == 1 else names

    def _unused(self, kind: str) -> str:
        self.counts[kind] += 1
        number = f"_{self.counts[kind]}" if self.counts[kind] > 1 else ""
        return f"{self.prefix}{kind}{number}"

    def rename(self, old: str, new: str) -> bool:
        """Give an array another name, and the node that returns it; False if no node does."""
        makers = [node for node in self.nodes if old in node.output]
        if not makers:
            return False
        makers[0].name = new
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]
        self.names |= {value: new for value, name in self.names.items() if name == old}
        return True

    def end(self, array: str, name: str) -> None:
        """Give a result its name, which no other result has; one from outside gets a node first."""
        if array in self.ends or not self.rename(array, name):
            self.rename(self.add("Identity", array), name)
        self.ends.append(name)

    def constant(self, item: Any, dtype: Any = None) -> str:
        """Return the name of an array of fixed numbers; the same for the same numbers."""
        from onnx.numpy_helper import from_array

        array = np.asarray(item, dtype)
        key = array.dtype, array.shape, array.tobytes()
        if key not in self.constants:
            self.constants[key] = self.add("Constant", value=from_array(array))
        return self.constants[key]

    def get(self, item: Any, dtype: Any = None) -> str:
        """Return the name of a value, or of a number, as an array of this dtype."""
        if isinstance(item, OfBatch):
            return self._of_batch(item, np.dtype(dtype or np.asarray(item(1)).dtype))
        if not isinstance(item, Value):
            return self.constant(item, dtype)
        if item.kind != "constant" or item in self.names:
            return self.cast(self.names[item], item.dtype, dtype)
        if isinstance(item.array, Filled):
            return self._filled(item, np.dtype(dtype or item.dtype))
        return self.constant(item.array, dtype or item.dtype)

    def cast(self, name: str, dtype: Any, to: Any) -> str:
        """Return the name of an array in another dtype."""
        if to is None or np.dtype(dtype) == np.dtype(to):
            return name
        return self.add("Cast", name, to=onnx_type(to))

    def vector(self, numbers: Sequence[Any]) -> str:
        """Return the name of whole numbers in a row, some of which depend on N."""
        if not any(isinstance(n, OfBatch) for n in numbers):
            return self.constant(numbers, INT)
        parts = [self._row(n) if isinstance(n, OfBatch) else self.constant([n]) for n in numbers]
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=0)

    def _row(self, n: OfBatch) -> str:
        """Return the name of a whole number that depends on N, in a row of its own."""
        self.batch = True
        if n == OfBatch("{k} * N", 1):
            return "N"
        return self.add("Reshape", self.get(n, INT), self.constant([1]))

    def _of_batch(self, number: OfBatch, dtype: Any) -> str:
        """Return the name of a number that depends on N."""
        self.batch = True
        kind = np.dtype(np.float64) if "/" in number.form else INT
        n = self.add("Reshape", self.cast("N", INT, kind), self.constant([], INT))
        n = self.add("Mul", n, self.constant(number.k, kind))
        less = self.add("Sub", n, self.constant(1, kind)) if "- 1" in number.form else n
        found = {
            "1 / ({k} * N)": lambda: self.add("Reciprocal", n),
            "({k} * N) / ({k} * N - 1)": lambda: self.add("Div", n, less),
        }.get(number.form, lambda: less)()
        return self.cast(found, kind, dtype)

    def _filled(self, value: Value, dtype: Any) -> str:
        """Return the name of a constant array whose shape depends on N."""
        if value.array.number is not None:
            return self.full(value.array.number, value.shape, dtype)
        (n,) = value.shape
        end = self.add("Reshape", self.vector([n]), self.constant([], INT))
        found = self.add("Range", self.constant(0, INT), end, self.constant(1, INT))
        return self.cast(found, INT, dtype)

    def full(self, number: Any, shape: Sequence[Any], dtype: Any) -> str:
        """Return the name of an array of equal numbers."""
        return self.add("Expand", self.get(number, dtype), self.vector(shape))

    def reshape(self, name: str, before: Sequence[Any], after: Sequence[Any]) -> str:
        """Return the name of an array in another shape."""
        before, after = tuple(before), tuple(after)
        if before == after:
            return name
        open_ends = [isinstance(n, OfBatch) for n in after]
        if sum(open_ends) == 1 and 0 not in after:
            places = [-1 if is_open else n for n, is_open in zip(after, open_ends, strict=True)]
            return self.add("Reshape", name, self.constant(places, INT))
        return self.add("Reshape", name, self.vector(after), allowzero=1)

    def expand(self, name: str, before: Sequence[Any], after: Sequence[Any]) -> str:
        """Return the name of an array that is repeated along axes of length 1."""
        if tuple(before) == tuple(after):
            return name
        longer = [1] * (len(after) - len(before)) + list(before)
        return self.add(
            "Expand",
            name,
            self.vector([1 if n == old else n for n, old in zip(after, longer, strict=True)]),
        )

    def translate(self, op: Op) -> None:
        """Add the nodes of an operation; RecordingError if there are none for it."""
        ufunc = op.extra.get("ufunc") if op.kind == "ufunc" else None
        if op.kind == "draw":
            raise op.refusal("random numbers are drawn in a prediction; ONNX can't repeat them")
        try:
            if ufunc is not None and op.name == ufunc.__name__:
                found = self._ufunc(op)
            else:
                kind = "scalar" if op.kind == "scalar" and op.name != "item" else op.name
                found = OPERATIONS[kind](self, op)
        except (Unknown, KeyError):
            raise op.refusal(f"{op.name}, used like this, has no form in ONNX") from None
        names = found if isinstance(found, list) else [found]
        self.names |= dict(zip(op.outputs, names, strict=True))

    def _ufunc(self, op: Op) -> str:
        """Add the nodes of a ufunc: its inputs in the dtypes of its loop."""
        *before, _ = loop(op.extra["ufunc"], op.args, op.kwargs)
        if set(op.kwargs) - {"dtype", "casting"}:
            raise Unknown
        inputs = [self.get(item, dtype) for item, dtype in zip(op.args, before, strict=True)]
        kind = before[0].kind
        table = BOOLEAN if kind == "b" and op.name in BOOLEAN else ELEMENTWISE
        if before[0].char == "d" and op.name in DOUBLE:
            table = DOUBLE
        if kind in "iu" and op.name in WHOLE:
            table = WHOLE
        found = table[op.name]
        if isinstance(found, str):
            return self.add(found, *inputs)
        return found(Numbers(self, before[0]), *inputs)


class Unknown(Exception):  # noqa: N818
    """There is no ONNX node for an operation."""


def onnx_type(dtype: Any) -> int:
    """Return ONNX's number of a dtype."""
    from onnx.helper import np_dtype_to_tensor_dtype

    return np_dtype_to_tensor_dtype(np.dtype(dtype))


class Numbers:
    """Formulas of arrays of one dtype: ``g.Mul(x, 2)`` adds a node for the product."""

    def __init__(self, nodes: Nodes, dtype: Any) -> None:
        self.nodes, self.dtype = nodes, dtype

    def __getattr__(self, kind: str) -> Callable[..., str]:
        def add(*inputs: Any, **attributes: Any) -> str:
            names = [
                item if isinstance(item, str) else self.nodes.constant(item, self.dtype)
                for item in inputs
            ]
            return self.nodes.add(kind, *names, **attributes)

        return add


# Operations on single numbers

Formula = str | Callable[..., str]


def log1p(g: Numbers, x: str) -> str:
    """Return log(1 + x), exact near 0: with u = 1 + x, log(u) x / (u - 1)."""
    u = g.Add(x, 1)
    ratio = g.Where(g.Greater(u, 2), 1, g.Div(x, g.Sub(u, 1)))
    return g.Where(g.Equal(u, 1), x, g.Mul(g.Log(u), ratio))


def expm1(g: Numbers, x: str) -> str:
    """Return exp(x) - 1 = tanh(x / 2) (exp(x) + 1), without cancellation."""
    return g.Mul(g.Tanh(g.Mul(x, 0.5)), g.Add(g.Exp(x), 1))


def logaddexp(g: Numbers, x: str, y: str) -> str:
    """Return log(exp(x) + exp(y)), which can't overflow."""
    return g.Add(g.Max(x, y), log1p(g, g.Exp(g.Neg(g.Abs(g.Sub(x, y))))))


def copysign(g: Numbers, x: str, y: str) -> str:
    """Return |x| with the sign of y; that of 0 is taken as +."""
    size = g.Abs(x)
    return g.Where(g.Less(y, 0), g.Neg(size), size)


def remainder(g: Numbers, x: str, y: str) -> str:
    """Return x - y floor(x / y)."""
    return g.Sub(x, g.Mul(y, g.Floor(g.Div(x, y))))


def erf_of_doubles(g: Numbers, x: str) -> str:
    """Return erf(x) = 2 x / sqrt(pi) times the integral of exp(-x^2 t^2) for t from 0 to 1.

    By Gauss's rule with 24 points, whose error is below 1e-14 for |x| <= 6; beyond, erf is ±1.
    onnxruntime has no Erf of doubles.
    """
    t, weights = np.polynomial.legendre.leggauss(24)
    t, weights = (t + 1) / 2, weights / math.sqrt(math.pi)
    near = g.Max(g.Min(x, 6), -6)
    rows = g.Unsqueeze(g.Neg(g.Mul(near, near)), g.nodes.constant([-1]))
    return g.Mul(near, g.MatMul(g.Exp(g.Mul(rows, t * t)), weights))


def atan_of_doubles(g: Numbers, x: str) -> str:
    """Return atan(x): that of floats, y, and atan((x - tan y) / (1 + x tan y)), a tiny angle.

    onnxruntime has no Atan of doubles.
    """
    near = g.Max(g.Min(x, 1e30), -1e30)
    y = g.Cast(g.Atan(g.Cast(near, to=onnx_type("f"))), to=onnx_type("d"))
    sin, cos = g.Sin(y), g.Cos(y)
    above, below = g.Sub(g.Mul(near, cos), sin), g.Add(cos, g.Mul(near, sin))
    return g.Add(y, g.Div(above, below))


def whole_quotient(g: Numbers, x: str, y: str) -> str:
    """Return floor(x / y) of whole numbers; Div rounds towards 0."""
    q = g.Div(x, y)
    r = g.Sub(x, g.Mul(q, y))
    below = g.And(g.Not(g.Equal(r, 0)), g.Less(g.Mul(r, y), 0))
    return g.Sub(q, g.Where(below, 1, 0))


ELEMENTWISE: dict[str, Formula] = {
    "absolute": "Abs",
    "add": "Add",
    "arccos": "Acos",
    "arccosh": "Acosh",
    "arcsin": "Asin",
    "arcsinh": "Asinh",
    "arctan": "Atan",
    "arctanh": "Atanh",
    "cbrt": lambda g, x: g.Mul(g.Sign(x), g.Pow(g.Abs(x), 1 / 3)),
    "ceil": "Ceil",
    "clip": lambda g, x, low, high: g.Min(g.Max(x, low), high),
    "conjugate": lambda g, x: x,
    "copysign": copysign,
    "cos": "Cos",
    "cosh": "Cosh",
    "divide": "Div",
    "equal": "Equal",
    "erf": "Erf",
    "erfc": lambda g, x: g.Sub(1, g.Erf(x)),
    "exp": "Exp",
    "exp2": lambda g, x: g.Pow(2, x),
    "expit": "Sigmoid",
    "expm1": expm1,
    "fabs": "Abs",
    "float_power": "Pow",
    "floor": "Floor",
    "floor_divide": lambda g, x, y: g.Floor(g.Div(x, y)),
    "fmax": lambda g, x, y: g.Where(g.IsNaN(x), y, g.Where(g.IsNaN(y), x, g.Max(x, y))),
    "fmin": lambda g, x, y: g.Where(g.IsNaN(x), y, g.Where(g.IsNaN(y), x, g.Min(x, y))),
    "fmod": lambda g, x, y: g.Mod(x, y, fmod=1),
    "greater": "Greater",
    "greater_equal": "GreaterOrEqual",
    "heaviside": lambda g, x, y: g.Where(g.Equal(x, 0), y, g.Where(g.Less(x, 0), 0, 1)),
    "hypot": lambda g, x, y: g.Sqrt(g.Add(g.Mul(x, x), g.Mul(y, y))),
    "isfinite": lambda g, x: g.Not(g.Or(g.IsNaN(x), g.IsInf(x))),
    "isinf": "IsInf",
    "isnan": "IsNaN",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "log": "Log",
    "log10": lambda g, x: g.Mul(g.Log(x), 1 / math.log(10)),
    "log1p": log1p,
    "log2": lambda g, x: g.Mul(g.Log(x), 1 / math.log(2)),
    "log_expit": lambda g, x: g.Neg(logaddexp(g, g.Neg(x), g.Mul(x, 0))),
    "logaddexp": logaddexp,
    "matmul": "MatMul",
    "maximum": "Max",
    "minimum": "Min",
    "multiply": "Mul",
    "ndtr": lambda g, x: g.Mul(g.Add(g.Erf(g.Mul(x, 0.5**0.5)), 1), 0.5),
    "negative": "Neg",
    "not_equal": lambda g, x, y: g.Not(g.Equal(x, y)),
    "positive": lambda g, x: x,
    "power": "Pow",
    "reciprocal": "Reciprocal",
    "remainder": remainder,
    "rint": "Round",
    "sign": "Sign",
    "signbit": lambda g, x: g.Less(x, 0),
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "square": lambda g, x: g.Mul(x, x),
    "subtract": "Sub",
    "tan": "Tan",
    "tanh": "Tanh",
    "trunc": lambda g, x: g.Mul(g.Sign(x), g.Floor(g.Abs(x))),
}
"""A node for each ufunc, or a formula."""

BOOLEAN: dict[str, Formula] = {
    "add": "Or",
    "bitwise_and": "And",
    "bitwise_or": "Or",
    "bitwise_xor": "Xor",
    "invert": "Not",
    "logical_and": "And",
    "logical_not": "Not",
    "logical_or": "Or",
    "logical_xor": "Xor",
    "maximum": "Or",
    "minimum": "And",
    "multiply": "And",
    "not_equal": "Xor",
}
"""The same for truth values."""

WHOLE: dict[str, Formula] = {
    "floor_divide": whole_quotient,
    "remainder": "Mod",
    "isfinite": lambda g, x: g.Equal(x, x),
    "isnan": lambda g, x: g.Not(g.Equal(x, x)),
}
"""The same for whole numbers."""

DOUBLE: dict[str, Formula] = {
    "arctan": atan_of_doubles,
    "arcsin": lambda g, x: atan_of_doubles(g, g.Div(x, g.Sqrt(g.Sub(1, g.Mul(x, x))))),
    "arccos": lambda g, x: g.Sub(
        math.pi / 2, atan_of_doubles(g, g.Div(x, g.Sqrt(g.Sub(1, g.Mul(x, x)))))
    ),
    "arcsinh": lambda g, x: g.Mul(g.Sign(x), g.Log(g.Add(g.Abs(x), g.Sqrt(g.Add(g.Mul(x, x), 1))))),
    "arccosh": lambda g, x: g.Log(g.Add(x, g.Sqrt(g.Sub(g.Mul(x, x), 1)))),
    "arctanh": lambda g, x: g.Mul(g.Log(g.Div(g.Add(1, x), g.Sub(1, x))), 0.5),
    "cosh": lambda g, x: g.Mul(g.Add(g.Exp(x), g.Exp(g.Neg(x))), 0.5),
    "erf": erf_of_doubles,
    "erfc": lambda g, x: g.Sub(1, erf_of_doubles(g, x)),
    "ndtr": lambda g, x: g.Mul(g.Add(erf_of_doubles(g, g.Mul(x, 0.5**0.5)), 1), 0.5),
    "sinh": lambda g, x: g.Mul(g.Sub(expm1(g, x), expm1(g, g.Neg(x))), 0.5),
    "tan": lambda g, x: g.Div(g.Sin(x), g.Cos(x)),
}
"""The same for doubles, where onnxruntime has no node for them."""


# Operations on whole arrays


def given(op: Op, names: str) -> dict[str, Any]:
    """Return the arguments of an operation by names; those it has by default are missing."""
    wanted = names.split()
    found = dict(zip(wanted, op.args, strict=False)) | op.kwargs
    found.pop("out", None)
    if len(op.args) > len(wanted) or set(found) - set(wanted):
        raise Unknown
    return {name: item for name, item in found.items() if item is not None}


def axis_of(axis: Any, x: Value) -> int:
    """Return an axis, counted from the first."""
    return int(axis) % len(x.shape)


def reduction(kind: str) -> Callable[[Nodes, Op], str]:
    """Return what adds a node that makes one number of all along some axes."""

    def add(g: Nodes, op: Op) -> str:
        got = given(op, "x axis dtype out keepdims" if kind in SUMS else "x axis out keepdims")
        x, dtype = got["x"], op.output.dtype
        inner = np.dtype(np.int32) if dtype.kind == "b" else dtype
        axes = got.get("axis", 0 if op.name.endswith(".reduce") else None)
        axes = axes if isinstance(axes, tuple | list | None) else [axes]
        inputs = [g.get(x, inner)]
        if x.dtype.kind != "b" and dtype.kind == "b":
            inputs = [g.cast(g.get(x, bool), bool, inner)]
        if axes is not None:
            inputs.append(g.constant([axis_of(a, x) for a in axes], INT))
        found = g.add(kind, *inputs, keepdims=int(bool(got.get("keepdims", False))))
        return g.cast(found, inner, dtype)

    return add


SUMS = ("ReduceSum", "ReduceProd", "ReduceMean")


def variance(g: Nodes, op: Op) -> str:
    """Add the mean square of what is left without the mean; its root for std."""
    got = given(op, "x axis dtype out ddof keepdims")
    if got.get("ddof", 0):
        raise Unknown
    x, f = got["x"], Numbers(g, op.output.dtype)
    axes = got.get("axis", tuple(range(len(x.shape))))
    places = g.constant([axis_of(a, x) for a in (axes if isinstance(axes, tuple) else [axes])])
    name = g.get(x, op.output.dtype)
    rest = f.Sub(name, f.ReduceMean(name, places, keepdims=1))
    found = f.ReduceMean(f.Mul(rest, rest), places, keepdims=int(bool(got.get("keepdims", False))))
    return f.Sqrt(found) if op.name == "std" else found


def norm(g: Nodes, op: Op) -> str:
    """Add the root of the sum of squares, or the sum of sizes."""
    got = given(op, "x ord axis keepdims")
    kinds = {2: "ReduceL2", 1: "ReduceL1"}
    x, axis = got["x"], got.get("axis")
    if axis is None and ("ord" in got or "axis" in op.kwargs):
        raise Unknown
    axes = list(range(len(x.shape))) if axis is None else [axis_of(axis, x)]
    kind, keepdims = kinds[got.get("ord", 2)], int(bool(got.get("keepdims", False)))
    return g.add(kind, g.get(x, op.output.dtype), g.constant(axes), keepdims=keepdims)


def flattened(g: Nodes, x: Value, axis: Any) -> tuple[str, int, tuple[Any, ...]]:
    """Return an array, its axis and its shape; without an axis, in one row."""
    if axis is not None:
        return g.get(x), axis_of(axis, x), x.shape
    return g.add("Reshape", g.get(x), g.constant([-1])), 0, (math.nan,)


def ranked(largest: int, output: int) -> Callable[[Nodes, Op], str]:
    """Return what adds TopK: the numbers in order, or their places; for one, the first place.

    onnxruntime's ArgMax refuses an empty batch.
    """

    def add(g: Nodes, op: Op) -> str:
        first = op.name.startswith("arg") and op.name != "argsort"
        names = "x axis out keepdims" if first else "x axis kind order stable"
        got = given(op, names)
        x, axis = got["x"], got.get("axis", None if first else -1)
        name, axis, shape = flattened(g, x, axis)
        inner = x.dtype if x.dtype.kind == "f" else INT
        size = g.constant([1]) if first else g.vector([shape[axis]])
        found = g.add(
            "TopK", g.cast(name, x.dtype, inner), size, outputs=2, axis=axis, largest=largest
        )[output]
        if first and not got.get("keepdims"):
            found = g.add("Squeeze", found, g.constant([axis]))
        return found if output else g.cast(found, inner, x.dtype)

    return add


def cumsum(g: Nodes, op: Op) -> str:
    """Add the sums of all numbers up to each."""
    got = given(op, "x axis dtype out")
    name, axis, _ = flattened(g, got["x"], got.get("axis"))
    name = g.cast(name, got["x"].dtype, op.output.dtype)
    return g.add("CumSum", name, g.constant(axis, INT))


def take(g: Nodes, op: Op) -> str:
    """Add a selection along an axis."""
    got = given(op, "x indices axis out mode")
    if got.get("mode", "raise") != "raise":
        raise Unknown
    name, axis, _ = flattened(g, got["x"], got.get("axis"))
    return g.add("Gather", name, g.get(got["indices"], INT), axis=axis)


def along(g: Nodes, op: Op) -> tuple[dict[str, Any], str, int, list[Any]]:
    """Return the arguments of take_along_axis and put_along_axis, and the shape of the indices."""
    put = op.name == "put_along_axis"
    got = given(op, "x indices new axis" if put else "x indices axis")
    x, indices = got["x"], got["indices"]
    axis = axis_of(got.get("axis", -1), x)
    shape = list(x.shape)
    shape[axis] = np.shape(indices)[axis] if not isinstance(indices, Value) else indices.shape[axis]
    before = indices.shape if isinstance(indices, Value) else np.shape(indices)
    return got, g.expand(g.get(indices, INT), before, shape), axis, shape


def take_along_axis(g: Nodes, op: Op) -> str:
    """Add a selection along an axis, another one for each row."""
    got, indices, axis, _ = along(g, op)
    return g.add("GatherElements", g.get(got["x"]), indices, axis=axis)


def put_along_axis(g: Nodes, op: Op) -> str:
    """Add what is put into such places."""
    got, indices, axis, shape = along(g, op)
    x, new = got["x"], got["new"]
    before = new.shape if isinstance(new, Value) else np.shape(new)
    new = g.expand(g.get(new, x.dtype), before, shape)
    return g.add("ScatterElements", g.get(x), indices, new, axis=axis)


def where(g: Nodes, op: Op) -> str:
    """Add a choice between two arrays."""
    condition, *both = op.args
    return g.add("Where", g.get(condition, bool), *(g.get(x, op.output.dtype) for x in both))


def clip(g: Nodes, op: Op) -> str:
    """Add the bounds below and above."""
    got = given(op, "x low high min max a_min a_max out")
    low = got.get("low", got.get("min", got.get("a_min")))
    high = got.get("high", got.get("max", got.get("a_max")))
    dtype = op.output.dtype
    name = g.get(got["x"], dtype)
    if not any(isinstance(bound, Value) for bound in (low, high)):
        bounds = ["" if bound is None else g.constant(bound, dtype) for bound in (low, high)]
        return g.add("Clip", name, *bounds)
    for kind, bound in (("Max", low), ("Min", high)):
        name = name if bound is None else g.add(kind, name, g.get(bound, dtype))
    return name


def same(g: Nodes, op: Op) -> str:
    """Add nothing, or another dtype."""
    return g.get(op.args[0], op.output.dtype)


def reshape(g: Nodes, op: Op) -> str:
    """Add another shape of the same numbers, in the same order."""
    order = op.kwargs.get("order", "C")
    if order != "C" or (op.name in ("ravel", "flatten") and "F" in op.args):
        raise Unknown
    return g.reshape(g.get(op.args[0]), op.args[0].shape, op.output.shape)


def transpose(g: Nodes, op: Op) -> str:
    """Add another order of the axes."""
    axes = transposed(op)
    name = g.get(op.args[0])
    return name if axes == tuple(range(len(axes))) else g.add("Transpose", name, perm=axes)


def concatenate(g: Nodes, op: Op) -> str:
    """Add arrays one after the other."""
    got = given(op, "arrays axis out dtype casting")
    parts = [g.get(x, op.output.dtype) for x in got["arrays"]]
    if "axis" in op.kwargs and op.kwargs["axis"] is None:
        raise Unknown
    return g.add("Concat", *parts, axis=axis_of(got.get("axis", 0), op.output))


def stack(g: Nodes, op: Op) -> str:
    """Add arrays one after the other, along a new axis."""
    got = given(op, "arrays axis out dtype casting")
    axis = axis_of(got.get("axis", 0), op.output)
    parts = [
        g.add("Unsqueeze", g.get(x, op.output.dtype), g.constant([axis])) for x in got["arrays"]
    ]
    return g.add("Concat", *parts, axis=axis)


def split(g: Nodes, op: Op) -> list[str]:
    """Add parts along an axis."""
    got = given(op, "x cuts axis")
    axis = axis_of(got.get("axis", 0), got["x"])
    sizes = g.vector([part.shape[axis] for part in op.outputs])
    found = g.add("Split", g.get(got["x"]), sizes, outputs=len(op.outputs), axis=axis)
    return found if isinstance(found, list) else [found]


def broadcast_to(g: Nodes, op: Op) -> str:
    """Add an array that is repeated along axes of length 1."""
    return g.expand(g.get(op.args[0]), op.args[0].shape, op.output.shape)


def rearranged(g: Nodes, op: Op) -> str:
    """Add what flip, roll and repeat do along one axis, as a selection."""
    x = op.args[0]
    axis = op.kwargs.get("axis", op.args[-1] if len(op.args) > 1 + (op.name != "flip") else None)
    if not isinstance(axis, int) or isinstance(x.shape[axis], OfBatch):
        raise Unknown
    parameters = op.args[1:2] if op.name != "flip" else ()
    places = op.call(np.arange(x.shape[axis]), *parameters, axis=0)
    return g.add("Gather", g.get(x), g.constant(places, INT), axis=axis_of(axis, x))


def full(number: float) -> Callable[[Nodes, Op], str]:
    """Return what adds an array of equal numbers."""
    return lambda g, op: g.full(number, op.output.shape, op.output.dtype)


def filled(g: Nodes, op: Op) -> str:
    """Add an array of one number, which is given."""
    number = op.args[1] if len(op.args) > 1 else op.kwargs["fill_value"]
    return g.full(number, op.output.shape, op.output.dtype)


def copyto(g: Nodes, op: Op) -> str:
    """Add an array with others in the place of some, or all."""
    got = given(op, "x new where casting")
    x, new = got["x"], g.get(got["new"], got["x"].dtype)
    mask = g.get(got["where"], bool) if "where" in got else g.constant(True)
    return g.add("Where", mask, new, g.get(x))


def dot(g: Nodes, op: Op) -> str:
    """Add a product of matrices."""
    x, y = op.args
    if min(len(x.shape), len(y.shape)) == 0 or len(y.shape) > 2:
        raise Unknown
    return g.add("MatMul", *(g.get(item, op.output.dtype) for item in (x, y)))


def outer(g: Nodes, op: Op) -> str:
    """Add all products of two rows."""
    x, y = op.args
    column = g.reshape(g.get(x, op.output.dtype), x.shape, (*x.shape, 1))
    return g.add("Mul", column, g.get(y, op.output.dtype))


def einsum(g: Nodes, op: Op) -> str:
    """Add a sum over indices."""
    equation, *arrays = op.args
    if not isinstance(equation, str) or set(op.kwargs) - {"optimize"}:
        raise Unknown
    names = [g.get(x, op.output.dtype) for x in arrays]
    return g.add("Einsum", *names, equation=equation)


def rounded(g: Nodes, op: Op) -> str:
    """Add the nearest whole numbers."""
    got = given(op, "x decimals out")
    if got.get("decimals", 0) or got["x"].dtype.kind != "f":
        raise Unknown
    return g.add("Round", g.get(got["x"]))


def triangle(upper: int) -> Callable[[Nodes, Op], str]:
    """Return what adds one half of a matrix."""

    def add(g: Nodes, op: Op) -> str:
        got = given(op, "x k")
        return g.add("Trilu", g.get(got["x"]), g.constant(got.get("k", 0), INT), upper=upper)

    return add


def item(g: Nodes, op: Op) -> str:
    """Add the one number of an array."""
    return g.cast(
        g.add("Reshape", g.get(op.args[0]), g.constant([], INT)), op.args[0].dtype, op.output.dtype
    )


def scalar(g: Nodes, op: Op) -> str:
    """Add arithmetic of single numbers."""
    kinds = {"add": "Add", "sub": "Sub", "mul": "Mul", "truediv": "Div", "pow": "Pow"}
    return g.add(kinds[op.name], *(g.get(x, op.output.dtype) for x in op.args))


# Indices


def parts_of(x: Value, index: Any) -> list[Any]:
    """Return what an index has for each axis, and None for new axes: no dots, no truth values."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [np.asarray(item) if isinstance(item, list) else item for item in items]
    if any(item.dtype == bool for item in items if isinstance(item, Value | np.ndarray)):
        items = [fixed(item) for item in items]
    known = [item for item in items if item is not None and item is not Ellipsis]
    missing = [slice(None)] * (len(x.shape) - len(known))
    for i, item in enumerate(items):
        if item is Ellipsis:
            return [*items[:i], *missing, *items[i + 1 :]]
    return items + missing


def fixed(item: Any) -> Any:
    """Return the places of a fixed mask; Unknown for one that is computed."""
    if isinstance(item, Value) and item.dtype == bool:
        item = item.array if item.kind == "constant" else None
    if isinstance(item, np.ndarray) and item.dtype == bool:
        if item.ndim != 1:
            raise Unknown
        return np.flatnonzero(item)
    if item is None:
        raise Unknown
    return item


def getitem(g: Nodes, op: Op) -> str:
    """Add a part of an array: slices first, then places."""
    x, index = op.args
    parts = [part for part in parts_of(x, index) if part is not None]
    arrays = {a: part for a, part in enumerate(parts) if isinstance(part, Value | np.ndarray)}
    if arrays:
        whole = {a: np.asarray(part) for a, part in enumerate(parts) if isinstance(part, int)}
        arrays = dict(sorted((arrays | whole).items()))
    name, rest = sliced(g, x, parts)
    if not arrays:
        return g.reshape(name, rest, op.output.shape)
    if any(part is None for part in parts_of(x, index)):
        raise Unknown
    if len(arrays) == 1:
        ((axis, places),) = arrays.items()
        return g.add("Gather", name, g.get(places, INT), axis=axis)
    return gathered(g, op, name, arrays, len(rest))


def sliced(g: Nodes, x: Value, parts: list[Any]) -> tuple[str, tuple[Any, ...]]:
    """Add the slices among the parts of an index; return name and shape."""
    arrays = any(isinstance(part, Value | np.ndarray) for part in parts)
    rest, bounds = list(x.shape), []
    for axis, part in enumerate(parts):
        if isinstance(part, int | np.integer) and not arrays:
            bounds.append((int(part), int(part) + 1 or FAR, axis, 1))
            rest[axis] = 1
        elif isinstance(part, slice) and part not in (slice(None), slice(0, x.shape[axis])):
            step = part.step or 1
            start = part.start if part.start is not None else (0 if step > 0 else FAR)
            stop = part.stop if part.stop is not None else (FAR if step > 0 else -FAR)
            bounds.append((start, stop, axis, step))
            n = x.shape[axis]
            rest[axis] = None if isinstance(n, OfBatch) else len(range(n)[part])
        elif isinstance(part, OfBatch):
            raise Unknown
    if not bounds:
        return g.get(x), x.shape
    vectors = [g.vector(column) for column in zip(*bounds, strict=True)]
    return g.add("Slice", g.get(x), *vectors), tuple(rest)


def gathered(g: Nodes, op: Op, name: str, arrays: dict[int, Any], rank: int) -> str:
    """Add places along several axes, which come first; then back if they weren't the first."""
    axes = list(arrays)
    shapes = [part.shape for part in arrays.values()]
    wide = max(map(len, shapes))
    shape = [
        next((n for n in reversed(column) if n != 1), 1)
        for column in zip(*([1] * (wide - len(s)) + list(s) for s in shapes), strict=True)
    ]
    places = [
        g.add(
            "Unsqueeze",
            g.expand(g.get(part, INT), part.shape, shape),
            g.constant([-1]),
        )
        for part in arrays.values()
    ]
    others = [axis for axis in range(rank) if axis not in axes]
    if axes + others != list(range(rank)):
        name = g.add("Transpose", name, perm=axes + others)
    found = g.add("GatherND", name, g.add("Concat", *places, axis=-1))
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    if not together or axes[0] == 0:
        return found
    order = list(range(len(op.output.shape)))
    back = order[wide : wide + axes[0]] + order[:wide] + order[wide + axes[0] :]
    return g.add("Transpose", found, perm=back)


def setitem(g: Nodes, op: Op) -> str:
    """Add an array in which a part is new: by a mask, or at fixed places."""
    x, index, new = op.args
    shape = new.shape if isinstance(new, Value) else np.shape(new)
    if (mask := masked(x, index)) is not None and all(n == 1 for n in shape):
        chosen, trailing = mask
        name = g.reshape(g.get(chosen), chosen.shape, (*chosen.shape, *[1] * trailing))
        return g.add("Where", name, g.reshape(g.get(new, x.dtype), shape, ()), g.get(x))
    parts = parts_of(x, index)
    if any(part is None for part in parts):
        raise Unknown
    places: dict[int, Array] = {}
    region: list[Any] = []
    for axis, part in enumerate(parts):
        if isinstance(part, Value):
            part = part.array if part.kind == "constant" else None
        n = x.shape[axis]
        if isinstance(part, slice) and part in (slice(None), slice(0, n)):
            region.append(n)
            continue
        if part is None or isinstance(n, OfBatch) or np.ndim(part) > 1 or isinstance(part, OfBatch):
            raise Unknown
        places[axis] = np.atleast_1d(np.arange(n)[part])
        if not isinstance(part, int | np.integer):
            region.append(len(places[axis]))
    if sum(isinstance(part, Value | np.ndarray) for part in parts) > 1:
        raise Unknown
    name = g.expand(g.get(new, x.dtype), shape[max(0, len(shape) - len(region)) :], region)
    whole = [len(places[axis]) if axis in places else n for axis, n in enumerate(x.shape)]
    return placed(g, g.get(x), x.shape, places, g.reshape(name, region, whole))


def masked(x: Value, index: Any) -> tuple[Value, int] | None:
    """Return the mask that is all of an index, and the number of axes after it."""
    items = list(index) if isinstance(index, tuple) else [index]
    masks = [item for item in items if isinstance(item, Value) and item.dtype == bool]
    rest = [item for item in items if item not in masks]
    if len(masks) != 1 or not all(item in (slice(None), Ellipsis) for item in rest):
        return None
    at, (mask,) = items.index(masks[0]), masks
    after = len(x.shape) - at - len(mask.shape)
    return mask, len(items) - at - 1 if Ellipsis in items[:at] else after


def placed(g: Nodes, name: str, shape: tuple[Any, ...], places: dict[int, Array], new: str) -> str:
    """Add an array with new numbers at places along some axes, one axis after the other."""
    if not places:
        return new
    (axis, chosen), *others = places.items()
    if others:
        part = g.add("Gather", name, g.constant(chosen, INT), axis=axis)
        new = placed(g, part, shape, dict(others), new)
    order = np.arange(shape[axis])
    order[chosen] = shape[axis] + np.arange(len(chosen))
    both = g.add("Concat", name, new, axis=axis)
    return g.add("Gather", both, g.constant(order, INT), axis=axis)


OPERATIONS: dict[str, Callable[[Nodes, Op], Any]] = {
    **dict.fromkeys(("sum", "add.reduce"), reduction("ReduceSum")),
    **dict.fromkeys(("prod", "multiply.reduce"), reduction("ReduceProd")),
    **dict.fromkeys(("max", "amax", "maximum.reduce"), reduction("ReduceMax")),
    **dict.fromkeys(("min", "amin", "minimum.reduce"), reduction("ReduceMin")),
    **dict.fromkeys(("any", "logical_or.reduce"), reduction("ReduceMax")),
    **dict.fromkeys(("all", "logical_and.reduce"), reduction("ReduceMin")),
    "mean": reduction("ReduceMean"),
    **dict.fromkeys(("var", "std"), variance),
    "norm": norm,
    "argmax": ranked(largest=1, output=1),
    **dict.fromkeys(("argmin", "argsort"), ranked(largest=0, output=1)),
    "sort": ranked(largest=0, output=0),
    "cumsum": cumsum,
    "take": take,
    "take_along_axis": take_along_axis,
    "put_along_axis": put_along_axis,
    "where": where,
    "clip": clip,
    **dict.fromkeys(
        ("astype", "copy", "asarray", "asanyarray", "ascontiguousarray", "real", "conj"), same
    ),
    **dict.fromkeys(
        ("reshape", "ravel", "flatten", "squeeze", "expand_dims", "atleast_1d", "atleast_2d"),
        reshape,
    ),
    **dict.fromkeys(
        ("transpose", "swapaxes", "moveaxis", "rollaxis", "matrix_transpose"), transpose
    ),
    "concatenate": concatenate,
    "stack": stack,
    **dict.fromkeys(("split", "array_split"), split),
    "broadcast_to": broadcast_to,
    **dict.fromkeys(("flip", "roll", "repeat"), rearranged),
    **dict.fromkeys(("zeros_like", "empty_like"), full(0)),
    "ones_like": full(1),
    **dict.fromkeys(("full_like", "fill"), filled),
    "copyto": copyto,
    "dot": dot,
    "outer": outer,
    "einsum": einsum,
    **dict.fromkeys(("round", "around"), rounded),
    "tril": triangle(upper=0),
    "triu": triangle(upper=1),
    "item": item,
    "scalar": scalar,
    "getitem": getitem,
    "setitem": setitem,
}
"""What adds the nodes of an operation that is not one of single numbers."""
