"""Layers that an exporter writes as several ONNX operators, as formulas of these.

In a formula, `x` is a value, another name is a constant, and a number is a constant of this value.
`Mean` is ReduceMean over the last axis. The terms of Add and Mul may come in either order.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.exchange.carried import carrying
from layerkit.exchange.onnx.files import Operation
from layerkit.layers.activations.curves import HardShrink, SoftShrink, TanhShrink
from layerkit.layers.activations.rectifiers import Threshold
from layerkit.layers.activations.rows import Softmin
from layerkit.layers.activations.sigmoids import Softsign
from layerkit.layers.activations.smooth import LogSigmoid, Softplus
from layerkit.layers.activations.swish import GELU, Mish, SiLU
from layerkit.layers.base import Layer
from layerkit.layers.dense import Dense
from layerkit.layers.normalization import GroupNorm, LayerNorm, RMSNorm
from layerkit.layers.standardize import Standardize

Found = dict[str, Any]
"""Constants by their names in a formula, and the options `epsilon` and `batch`."""
NUMBERS = ("eps", "steep", "t", "threshold", "value")
"""The constants that are single numbers."""

ERF = "Add(Erf(Div(x, 1.41421356)), 1)"
ERF_TIMES = "Add(Erf(Mul(x, 0.70710678)), 1)"
TANH = "Add(Tanh(Mul(Add(x, Mul({}, 0.044715)), 0.79788456)), 1)"
CUBES = "Mul(x, Mul(x, x))", "Mul(Mul(x, x), x)", "Pow(x, 3)"
CENTERED = "Sub(x, Mean(x))"
NORMALIZED = f"Div({CENTERED}, Sqrt(Add(Mean(Pow({CENTERED}, 2)), eps)))"
ROOT = "Sqrt(Add(Mean(Pow(x, 2)), eps))"
GROUPS = "Reshape(InstanceNormalization(Reshape(x, cut), one, zero), {})"


def _half(gate: str) -> list[str]:
    """The ways to write x times a gate, divided by 2."""
    return [f"Mul(Mul(x, {gate}), 0.5)", f"Mul(Mul(x, 0.5), {gate})", f"Mul(x, Mul({gate}, 0.5))"]


def _softplus(found: Found) -> Layer | None:
    """PyTorch's, which is x from a threshold on, where the difference is rounded away."""
    return Softplus(found.get("steep", 1.0)) if found["threshold"] >= 20 else None


def _dense(found: Found) -> Layer | None:
    W, b = found["W"], found.get("b")
    if W.ndim != 2 or (b is not None and (b.size != W.shape[1] or b.shape[-1:] != (b.size,))):
        return None
    bias = {} if b is None else {"b": b.reshape(-1)}
    return carrying(Dense(W.shape[1], bias=b is not None), W=W, **bias)


def _affine(layer: Layer, found: Found) -> Layer | None:
    """A normalization with the gamma and the beta that were found, one for each feature."""
    numbers = {name: found[name] for name in ("gamma", "beta") if name in found}
    return carrying(layer, **numbers) if all(a.ndim == 1 for a in numbers.values()) else None


def _layer_norm(found: Found) -> Layer | None:
    options = {"scale": "gamma" in found, "shift": "beta" in found}
    return _affine(LayerNorm(eps=found["eps"], **options), found)


def _rms_norm(found: Found) -> Layer | None:
    return _affine(RMSNorm(found["eps"], scale="gamma" in found), found)


def _standardize(found: Found) -> Layer | None:
    """A constant that is added, subtracted, multiplied by or divided by, and stays as it is."""
    one = np.ones((), np.float32)
    mean = found["mean"] if "mean" in found else -found.get("offset", 0 * one)
    rest = found.get("rest", 0 * mean)
    divisor, factor = found.get("scale", one), found.get("factor", one)
    if any(array.dtype.kind != "f" for array in (mean, rest, divisor, factor)):
        return None
    with np.errstate(divide="ignore"):
        scale = divisor if "scale" in found else 1 / factor
    return carrying(Standardize(), mean=mean, rest=rest, scale=scale, fitted=one)


def _reflected(found: Found) -> Layer | None:
    """1 - x, or another number than 1: (x - 1) / -1."""
    mean = found.get("mean", np.zeros((), np.float32))
    return _standardize({"mean": mean, "scale": -np.ones((), np.float32)})


def _group_norm(found: Found) -> Layer | None:
    cut, back = found["cut"], found.get("back", np.array([0, 1]))
    if cut.shape != (3,) or back.shape != (2,) or back[1] <= 0 or cut[1] <= 0:
        return None
    batches = (0, -1, found["batch"])  # the length of the batch, as it was
    if cut[0] not in batches or back[0] not in batches:
        return None
    if not (found["one"] == 1).all() or found["zero"].any():
        return None
    for name, value in (("gamma", 1), ("beta", 0)):
        if name in found and found[name].shape == (1,) and found[name][0] == value:
            del found[name]  # how a GroupNorm without parameters is written
    options = {"scale": "gamma" in found, "shift": "beta" in found}
    return _affine(GroupNorm(int(cut[1]), eps=found["epsilon"], **options), found)


PATTERNS: list[tuple[str, Callable[[Found], Layer | None]]] = [
    ("Add(MatMul(x, W), b)", _dense),
    ("MatMul(x, W)", _dense),
    ("Mul(x, Sigmoid(x))", lambda found: SiLU()),
    ("Mul(x, Sigmoid(Mul(x, steep)))", lambda found: SiLU(found["steep"])),
    ("Mul(x, Tanh(Softplus(x)))", lambda found: Mish()),
    *((gelu, lambda found: GELU()) for erf in (ERF, ERF_TIMES) for gelu in _half(erf)),
    *((gelu, lambda found: GELU("tanh")) for cube in CUBES for gelu in _half(TANH.format(cube))),
    ("Log(Sigmoid(x))", lambda found: LogSigmoid()),
    ("Neg(Softplus(Neg(x)))", lambda found: LogSigmoid()),
    ("Div(x, Add(Abs(x), 1))", lambda found: Softsign()),
    ("Sub(x, Tanh(x))", lambda found: TanhShrink()),
    ("Div(Softplus(Mul(x, steep)), steep)", lambda found: Softplus(found["steep"])),
    ("Where(Greater(x, threshold), x, Softplus(x))", _softplus),
    (
        "Where(Greater(Mul(x, steep), threshold), x, Div(Softplus(Mul(x, steep)), steep))",
        _softplus,
    ),
    ("Where(LessOrEqual(x, t), value, x)", lambda found: Threshold(found["t"], found["value"])),
    ("Where(Greater(x, t), x, value)", lambda found: Threshold(found["t"], found["value"])),
    ("Where(LessOrEqual(Abs(x), t), 0, x)", lambda found: HardShrink(found["t"])),
    (
        "Where(Greater(Abs(x), t), Sub(x, Mul(Sign(x), t)), Mul(x, 0))",
        lambda found: SoftShrink(found["t"]),
    ),
    (f"Add(Mul({NORMALIZED}, gamma), beta)", _layer_norm),
    (f"Mul({NORMALIZED}, gamma)", _layer_norm),
    (NORMALIZED, _layer_norm),
    *(
        (pattern, _rms_norm)
        for normalized in (f"Mul(x, Reciprocal({ROOT}))", f"Div(x, {ROOT})")
        for pattern in (f"Mul({normalized}, gamma)", normalized)
    ),
    *(
        (pattern.format(GROUPS.format(back)), _group_norm)
        for back in ("back", "Shape(x)")
        for pattern in ("Add(Mul({}, gamma), beta)", "{}")
    ),
    ("Softmax(Neg(x))", lambda found: Softmin()),
    ("Div(Sub(Sub(x, mean), rest), scale)", _standardize),
    ("Div(Sub(x, mean), scale)", _standardize),
    ("Mul(Sub(x, mean), factor)", _standardize),
    ("Sub(x, mean)", _standardize),
    ("Sub(mean, x)", _reflected),
    ("Neg(x)", _reflected),
    ("Add(x, offset)", _standardize),
    ("Div(x, scale)", _standardize),
    ("Mul(x, factor)", _standardize),
]
"""Formulas and what makes a layer of what they found, None if it is something else all the same.

Where one formula is part of another, the longer one comes first.
"""


@cache
def _parsed() -> dict[str, list[tuple[ast.expr, Callable[[Found], Layer | None]]]]:
    """The formulas by their outermost operator."""
    found: dict[str, Any] = {}
    for pattern, build in PATTERNS:
        expression = ast.parse(pattern, mode="eval").body
        found.setdefault(pattern.partition("(")[0], []).append((expression, build))
    return found


class Match(NamedTuple):
    """A layer, the value that it reads, the constants it has, and axes that should be the last.

    An axis is None where it is left out.
    """

    layer: Layer
    x: str
    constants: list[str]
    axes: list[Any]


class Matcher:
    """Finds layers that are written as several operators.

    Parameters
    ----------
    makers : mapping of str to Operation
        Operations, by the names of the values that they make.
    constants : mapping of str to array
    batch : int, optional
        The number of examples, where the model has only one.
    """

    def __init__(
        self, makers: Mapping[str, Operation], constants: Mapping[str, Array], batch: int | None
    ) -> None:
        self.makers, self.constants, self.batch = makers, constants, batch

    def layer(self, operation: Operation) -> Match | None:
        """Return the layer that ends with this operation, None if it is not the end of any."""
        for expression, build in _parsed().get(operation.type, []):
            names: dict[str, str] = {}
            options: dict[str, Any] = {"batch": self.batch, "axes": []}
            if self._match(expression, operation.outputs[0], names, options):
                x = names.pop("x")
                found = {
                    key: shortest(self.constants[name]) if key in NUMBERS else self.constants[name]
                    for key, name in names.items()
                }
                if (layer := build(found | options)) is not None:
                    return Match(layer, x, list(names.values()), options["axes"])
        return None

    def _match(
        self, expression: Any, name: str, names: dict[str, str], options: dict[str, Any]
    ) -> bool:
        """Whether a value is made as the expression says; what its names mean goes into `names`."""
        constant = self.constants.get(name)
        # a constant of more axes would give the result more axes too
        single = constant is not None and constant.size == 1 and constant.ndim <= 1
        if isinstance(expression, ast.Constant):
            value: Any = expression.value
            return single and bool(abs(shortest(constant) - value) <= 1e-6 * abs(value))
        if isinstance(expression, ast.Name):
            if (constant is None) != (expression.id == "x"):
                return False
            if expression.id in NUMBERS and not single:
                return False
            return names.setdefault(expression.id, name) == name
        operation = self.makers.get(name)
        if operation is None or operation.outputs[0] != name:
            return False
        if expression.func.id == "Mean":
            return self._is_mean(expression, operation, names, options)
        if operation.type != expression.func.id or not _is_plain(operation, options):
            return False
        if len(operation.inputs) != len(expression.args):
            return False
        orders = [operation.inputs]
        if operation.type in ("Add", "Mul"):
            orders.append(operation.inputs[::-1])
        for order in orders:
            tried = dict(names)
            if all(
                self._match(part, given, tried, options)
                for part, given in zip(expression.args, order, strict=True)
            ):
                names.update(tried)
                return True
        return False

    def _is_mean(self, expression: Any, operation: Operation, names: Any, options: Any) -> bool:
        """Whether this is a ReduceMean over one axis, which it keeps."""
        if operation.type != "ReduceMean":
            return False
        source, *axes = operation.inputs
        given = self.constants.get(axes[0]) if axes else operation.attributes.get("axes")
        kept = operation.attributes.get("keepdims", 1) == 1
        if given is None or np.size(given) != 1 or not kept:
            return False
        options["axes"].append(int(np.ravel(given)[0]))
        return self._match(expression.args[0], source, names, options)


PLAIN: dict[str, dict[str, Any]] = {"Reshape": {"allowzero": 0}, "Shape": {"start": 0}}
"""The attributes that an operation of a formula may have, and what they have to be."""


def _is_plain(operation: Operation, options: dict[str, Any]) -> bool:
    """Whether an operation has no attribute that changes its meaning, other than the options."""
    others = dict(operation.attributes)
    if operation.type == "InstanceNormalization":
        options["epsilon"] = shortest(np.float32(others.pop("epsilon", 1e-5)))
    if operation.type == "Softmax":
        options["axes"].append(others.pop("axis", None))
    allowed = PLAIN.get(operation.type, {})
    return all(isinstance(v, int) and allowed.get(name) == v for name, v in others.items())


def shortest(number: Any) -> float:
    """Return a number as a float: the shortest one that its type rounds to it.

    Examples
    --------
    >>> shortest(np.float32(0.1)), float(np.float32(0.1))
    (0.1, 0.10000000149011612)
    """
    return float(str(np.asarray(number).reshape(())[()]))
