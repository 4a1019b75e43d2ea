"""Operations on whole arrays: a table of all that NumPy and ONNX can both say."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from layerkit.recording.functional import RESHAPING, SAME, TURNING, transposed
from layerkit.recording.onnx.indices import getitem, setitem
from layerkit.recording.onnx.nodes import INT, Nodes, Unknown
from layerkit.recording.onnx.numbers import Numbers, ufunc
from layerkit.recording.operations import Op, Value
from layerkit.recording.program import OfBatch


def translate(g: Nodes, op: Op) -> None:
    """Add the nodes of an operation; RecordingError if there are none for it."""
    if op.kind == "draw":
        raise op.refusal("random numbers are drawn in a prediction; ONNX can't repeat them")
    try:
        if op.kind == "ufunc" and "." not in op.name:
            found = ufunc(g, op)
        else:
            kind = "scalar" if op.kind == "scalar" and op.name != "item" else op.name
            found = OPERATIONS[kind](g, op)
    except (Unknown, LookupError, TypeError, ValueError) as error:
        raise op.refusal(f"{op.name}, used like this, has no form in ONNX") from error
    names = found if isinstance(found, list) else [found]
    g.names |= dict(zip(op.outputs, names, strict=True))


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
    # onnxruntime can't merge a Clip of doubles with a Relu before it
    if dtype != np.float64 and not any(isinstance(bound, Value) for bound in (low, high)):
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
    **dict.fromkeys((*SAME, "copy", "real", "conj"), same),
    **dict.fromkeys((*RESHAPING, "flatten"), reshape),
    **dict.fromkeys(TURNING, transpose),
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
"""Functions that add the nodes of an operation, unless it is one of single numbers."""
