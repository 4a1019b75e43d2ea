"""Operations on single numbers: an ONNX node for each ufunc, or a formula of several."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from layerkit.recording.functional import loop
from layerkit.recording.onnx.nodes import Nodes, Unknown, onnx_type
from layerkit.recording.operations import Op


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


def ufunc(g: Nodes, op: Op) -> str:
    """Add the nodes of a ufunc: its inputs in the dtypes of its loop."""
    *before, _ = loop(op.extra["ufunc"], op.args, op.kwargs)
    if set(op.kwargs) - {"dtype", "casting"}:
        raise Unknown
    inputs = [g.get(item, dtype) for item, dtype in zip(op.args, before, strict=True)]
    kind = before[0].kind
    table = BOOLEAN if kind == "b" and op.name in BOOLEAN else ELEMENTWISE
    if before[0].char == "d" and op.name in DOUBLE:
        table = DOUBLE
    if kind in "iu" and op.name in WHOLE:
        table = WHOLE
    found = table[op.name]
    if isinstance(found, str):
        return g.add(found, *inputs)
    return found(Numbers(g, before[0]), *inputs)
