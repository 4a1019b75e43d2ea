"""ONNX operators as layers: a function for each, in `OPERATORS`.

Each function takes the translation so far and an operation, whose attributes it takes out: those
that are left are unknown. It adds a layer, or gives a name to a value where nothing is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.exchange.carried import carrying
from layerkit.exchange.onnx.files import FLOATS, TYPES, WHOLE, Operation, shown
from layerkit.exchange.onnx.patterns import shortest
from layerkit.exchange.onnx.translation import BATCH, Translation, refusal
from layerkit.layers.activations.curves import HardShrink, SoftShrink
from layerkit.layers.activations.learned import PReLU
from layerkit.layers.activations.rectifiers import LeakyReLU, ReLU, ReLU6, Threshold
from layerkit.layers.activations.rows import LogSoftmax, Softmax
from layerkit.layers.activations.sigmoids import HardSigmoid, HardTanh, Sigmoid, Softsign, Tanh
from layerkit.layers.activations.smooth import CELU, ELU, SELU, Softplus
from layerkit.layers.activations.swish import GELU, HardSwish, Mish, SiLU
from layerkit.layers.base import Layer
from layerkit.layers.combining import Add, Join, Multiply
from layerkit.layers.dense import Dense
from layerkit.layers.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from layerkit.layers.regularization import Dropout
from layerkit.layers.shapes import Embedding, Take

MOST_COLUMNS = 1_000_000
"""The number of columns that are taken one by one: the file names only the first and the last."""
MOST_LENGTHS = 1_000
"""The number of lengths and numbers of axes that are computed with."""


def number(operation: Operation, name: str, default: float) -> float:
    """Take an attribute that is a number: the shortest one that float32 rounds to it."""
    value = operation.attributes.pop(name, default)
    if not isinstance(value, int | float):
        raise refusal(operation, f"{name} = {shown(value)}; should be a number")
    return shortest(np.float32(value))


def only(operation: Operation, name: str, *allowed: Any) -> None:
    """Take an attribute that has to be one of these; the first is its default."""
    value = operation.attributes.pop(name, allowed[0])
    if value not in allowed:
        choices = " or ".join(map(repr, allowed))
        raise refusal(operation, f"{name} = {shown(value)}; should be {choices}")


def _close(operation: Operation, name: str, default: float, wanted: float) -> None:
    """Take a number that has to be the one that the layer here has."""
    value = number(operation, name, default)
    if abs(value - wanted) > 1e-6 * abs(wanted):
        raise refusal(operation, f"{name} = {value}; should be {wanted:.7g}")


# Activations


def _hard_sigmoid(operation: Operation) -> Layer:
    _close(operation, "alpha", 0.2, 1 / 6)
    _close(operation, "beta", 0.5, 0.5)
    return HardSigmoid()


def _selu(operation: Operation) -> Layer:
    _close(operation, "alpha", SELU.ALPHA, SELU.ALPHA)
    _close(operation, "gamma", SELU.SCALE, SELU.SCALE)
    return SELU()


def _shrink(operation: Operation) -> Layer:
    threshold, bias = number(operation, "lambd", 0.5), number(operation, "bias", 0.0)
    if bias not in (0, threshold):
        raise refusal(operation, f"bias = {bias}; should be 0, or lambd, {threshold}")
    return SoftShrink(threshold) if bias else HardShrink(threshold)


def _gelu(operation: Operation) -> Layer:
    approximate = operation.attributes.pop("approximate", "none")
    return GELU("tanh") if approximate == "tanh" else GELU(approximate)


ACTIVATIONS: dict[str, Callable[[Operation], Layer]] = {
    "Celu": lambda operation: CELU(number(operation, "alpha", 1.0)),
    "Elu": lambda operation: ELU(number(operation, "alpha", 1.0)),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda operation: HardSwish(),
    "LeakyRelu": lambda operation: LeakyReLU(number(operation, "alpha", 0.01)),
    "Mish": lambda operation: Mish(),
    "Relu": lambda operation: ReLU(),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": lambda operation: Sigmoid(),
    "Softplus": lambda operation: Softplus(),
    "Softsign": lambda operation: Softsign(),
    "Swish": lambda operation: SiLU(number(operation, "alpha", 1.0)),
    "Tanh": lambda operation: Tanh(),
    "ThresholdedRelu": lambda operation: Threshold(number(operation, "alpha", 1.0)),
}
"""Those of single numbers, which have no inputs but x."""


def _activation(translation: Translation, operation: Operation) -> None:
    layer = ACTIVATIONS[operation.type](operation)
    translation.add(operation, layer, translation.value(operation), elementwise=True)


def _clip(translation: Translation, operation: Operation) -> None:
    ends: list[Any] = []
    for i, name in enumerate(("min", "max"), 1):
        end: Any = translation.optional(operation, i)
        if translation.opset < 11 and name in operation.attributes:
            end = np.float32(operation.attributes.pop(name))
        if end is not None and np.size(end) != 1:
            raise refusal(operation, f"{name} has the shape {np.shape(end)}; should be one number")
        ends.append(None if end is None else shortest(end))
    layers: dict[tuple[Any, Any], Layer] = {(0, None): ReLU(), (0, 6): ReLU6()}
    low, high = ends
    if None in ends and (low, high) not in layers:
        raise refusal(operation, f"from {low} to {high}; should have both ends, or be from 0 on")
    layer = layers.get((low, high)) or HardTanh(low, high)
    translation.add(operation, layer, translation.value(operation), elementwise=True)


def _prelu(translation: Translation, operation: Operation) -> None:
    slope = translation.constant(operation, 1)
    if slope.size > 1 and slope.shape[-1] != slope.size:
        raise refusal(operation, f"slopes of shape {slope.shape}; should be one, or one a feature")
    layer = carrying(PReLU(shared=slope.size == 1), a=slope.reshape(-1))
    constants = operation.inputs[1:2]
    translation.add(
        operation, layer, translation.value(operation), constants=constants, elementwise=True
    )


def _softmax(translation: Translation, operation: Operation) -> None:
    x = translation.value(operation)
    axis = translation.softmax_axis(operation, operation.attributes.pop("axis", None), x.shape)
    kind = Softmax if operation.type == "Softmax" else LogSoftmax
    translation.add(operation, kind(axis=axis), x)


# Dense layers


def _gemm(translation: Translation, operation: Operation) -> None:
    x, W = translation.value(operation), translation.constant(operation, 1)
    C = translation.optional(operation, 2)
    only(operation, "transA", 0)
    alpha = np.float32(operation.attributes.pop("alpha", 1.0)).astype(W.dtype)
    beta = np.float32(operation.attributes.pop("beta", 1.0)).astype(W.dtype)
    if W.ndim != 2 or len(x.shape) != 1:
        raise refusal(operation, f"{('N', *x.shape)} times {W.shape}; should be two matrices")
    W = W.T if operation.attributes.pop("transB", 0) else W
    W = W if alpha == 1 else W * alpha
    numbers = {"W": W}
    if C is not None:
        units = W.shape[1]
        if C.size not in (1, units) or C.ndim > 2 or C.shape[-1:] not in ((), (C.size,)):
            raise refusal(operation, f"C has the shape {C.shape}; should be one for each output")
        b = np.broadcast_to(C.reshape(-1), units)
        numbers["b"] = b if beta == 1 else b * beta
    translation.own(operation, operation.inputs[1])
    layer = carrying(Dense(W.shape[1], bias=C is not None), **numbers)
    translation.add(operation, layer, x, constants=operation.inputs[1:])


def _matmul(translation: Translation, operation: Operation) -> None:
    """A formula has the product that is a layer."""
    x, y = (translation.constants.get(name) for name in operation.inputs)
    shapes = [part.shape for part in (x, y) if part is not None]
    said = f"; here are constants of shape {shapes}" if shapes else ""
    raise refusal(operation, f"should be a value times a constant matrix{said}")


def _gather(translation: Translation, operation: Operation) -> None:
    """A table's rows, by numbers that are computed; or columns, by numbers that are constants."""
    axis = operation.attributes.pop("axis", 0)
    if operation.inputs[0] in translation.constants:
        table = translation.constant(operation, 0)
        if axis != 0 or table.ndim != 2:
            raise refusal(operation, f"axis {axis} of {table.shape}; should be rows of a matrix")
        translation.own(operation, operation.inputs[0])
        layer = carrying(Embedding(*table.shape), W=table)
        rows = translation.value(operation, 1)
        translation.add(operation, layer, rows, constants=operation.inputs[:1])
        return
    x, columns = translation.value(operation), translation.constant(operation, 1)
    axis = translation.axis(operation, axis, x.shape)
    if columns.ndim > 1 or columns.dtype.kind != "i":
        raise refusal(operation, f"numbers of shape {columns.shape}; should be one, or a row")
    translation.add(operation, Take(columns.reshape(-1).tolist(), axis), x)
    if not columns.ndim:
        taken = translation.values[operation.outputs[0]]
        shape = taken.shape[:axis] + taken.shape[axis:][1:]
        translation.reshape(operation, taken, shape)


# Normalizations


def _features(translation: Translation, operation: Operation, count: int) -> tuple[Any, ...]:
    """The constants of a normalization, each one for each feature, along axis 1."""
    shape = translation.value(operation).shape
    if len(shape) != 1:
        raise refusal(
            operation,
            f"its features are along axis 1 of {('N', *shape)}; layers here have them along the "
            "last axis, so only (N, features) is the same",
        )
    return tuple(translation.constant(operation, i) for i in range(1, count + 1))


def _batch_norm(translation: Translation, operation: Operation) -> None:
    gamma, beta, mean, variance = _features(translation, operation, 4)
    only(operation, "training_mode", 0)
    only(operation, "spatial", 1)
    eps, kept = number(operation, "epsilon", 1e-5), number(operation, "momentum", 0.9)
    layer = carrying(
        BatchNorm(shortest(np.float32(1 - kept)), eps=eps),
        gamma=gamma,
        beta=beta,
        mean=mean,
        variance=variance,
    )
    constants = operation.inputs[1:]
    translation.add(operation, layer, translation.value(operation), constants=constants)


def _group_norm(translation: Translation, operation: Operation) -> None:
    gamma, beta = _features(translation, operation, 2)
    (features,) = translation.value(operation).shape
    groups = operation.attributes.pop("num_groups", 0)
    only(operation, "stash_type", 1)
    if translation.opset < 21:  # one for each group
        if len(gamma) != groups or features % groups:
            raise refusal(operation, f"{len(gamma)} scales for {groups} groups of {features}")
        gamma, beta = gamma.repeat(features // groups), beta.repeat(features // groups)
    layer = GroupNorm(groups, eps=number(operation, "epsilon", 1e-5))
    constants = operation.inputs[1:]
    translation.add(
        *(operation, carrying(layer, gamma=gamma, beta=beta), translation.value(operation)),
        constants=constants,
    )


def _layer_norm(translation: Translation, operation: Operation) -> None:
    x, gamma = translation.value(operation), translation.constant(operation, 1)
    axes = -translation.axis(operation, operation.attributes.pop("axis", -1), x.shape)
    eps = number(operation, "epsilon", 1e-5)
    only(operation, "stash_type", 1)
    layer: Layer
    if operation.type == "RMSNormalization":
        layer = carrying(RMSNorm(eps, axes=axes), gamma=gamma)
    else:
        beta = translation.optional(operation, 2)
        shift = {} if beta is None else {"beta": beta}
        layer = LayerNorm(axes=axes, eps=eps, shift=beta is not None)
        layer = carrying(layer, gamma=gamma, **shift)
    translation.add(operation, layer, x, constants=operation.inputs[1:])


def _dropout(translation: Translation, operation: Operation) -> None:
    ratio, training = translation.optional(operation, 1), translation.optional(operation, 2)
    if training is not None and training.any():
        raise refusal(operation, "it is in training mode; export the model for inference")
    rate = operation.attributes.pop("ratio", 0.5) if ratio is None else shortest(ratio)
    operation.attributes.pop("seed", None)
    layer = Dropout(shortest(np.float32(rate)))
    translation.add(operation, layer, translation.value(operation), elementwise=True)


# Several inputs, or several outputs


def _combine(translation: Translation, operation: Operation) -> None:
    values = [translation.value(operation, i) for i in range(len(operation.inputs))]
    if len(values) == 1:
        translation.name(operation, values[0])
    else:
        layer = Multiply() if operation.type == "Mul" else Add()
        translation.add(operation, layer, *values, elementwise=True)


def _concat(translation: Translation, operation: Operation) -> None:
    values = [translation.value(operation, i) for i in range(len(operation.inputs))]
    axis = translation.axis(operation, operation.attributes.pop("axis", None), values[0].shape)
    if len(values) == 1:
        translation.name(operation, values[0])
    else:
        translation.add(operation, Join(axis), *values)


def _split(translation: Translation, operation: Operation) -> None:
    x, sizes = translation.value(operation), translation.optional(operation, 1)
    axis = translation.axis(operation, operation.attributes.pop("axis", 0), x.shape)
    length, parts = x.shape[axis], len(operation.outputs)
    only(operation, "num_outputs", parts)
    each = -(-length // parts)
    lengths = [each] * (parts - 1) + [length - each * (parts - 1)] if sizes is None else sizes
    lengths = [int(size) for size in operation.attributes.pop("split", lengths)]
    if len(lengths) != parts or sum(lengths) != length or min(lengths) < 1:
        raise refusal(operation, f"{length} numbers into parts of {lengths}, for {parts} outputs")
    start = 0
    for i, size in enumerate(lengths):
        take = Take(_columns(operation, range(start, start + size)), axis)
        translation.add(operation, take, x, output=i)
        start += size


def _columns(operation: Operation, columns: range) -> list[int]:
    if not 0 < len(columns) <= MOST_COLUMNS:
        raise refusal(operation, f"{len(columns):,} columns; should be 1 to {MOST_COLUMNS:,}")
    return list(columns)


def _slices(translation: Translation, operation: Operation) -> None:
    """A range along one axis or several, one after the other."""
    x = translation.value(operation)
    given: list[Any] = []
    for i, name in enumerate(("starts", "ends", "axes", "steps"), 1):
        part = translation.optional(operation, i)
        if translation.opset < 10:
            part = operation.attributes.pop(name, None)
        given.append(None if part is None else np.ravel(part).tolist())
    starts, ends, axes, steps = given
    if starts is None or ends is None:
        raise refusal(operation, "without starts or ends")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or not all(steps):
        raise refusal(operation, f"from {starts} to {ends} along {axes} in steps of {steps}")
    translation.name(operation, x)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        x = translation.values[operation.outputs[0]]
        axis = translation.axis(operation, axis, x.shape)
        columns = range(*slice(start, end, step).indices(x.shape[axis]))
        if len(columns) < x.shape[axis] or step < 0:
            translation.add(operation, Take(_columns(operation, columns), axis), x)


# Shapes


def _same(translation: Translation, operation: Operation) -> None:
    translation.name(operation, translation.value(operation))


def _cast(translation: Translation, operation: Operation) -> None:
    x, to = translation.value(operation), operation.attributes.pop("to", 0)
    for unused in ("saturate", "round_mode"):  # of types that are not read
        operation.attributes.pop(unused, None)
    kind = TYPES.get(to, f"type {to}")
    if kind not in FLOATS and not (kind in WHOLE and (x.whole or x.node == "input")):
        raise refusal(operation, f"to {kind}; should be to floats, or whole numbers at the input")
    # numbers that become whole go to an Embedding, which refuses all others
    translation.name(operation, replace(x, whole=kind in WHOLE))


def _flatten(translation: Translation, operation: Operation) -> None:
    x = translation.value(operation)
    axis = operation.attributes.pop("axis", 1)
    if axis not in (1, -len(x.shape)):
        raise refusal(operation, f"axis = {axis}; should be 1, so that the batch stays")
    translation.reshape(operation, x, (math.prod(x.shape),))


def _reshape(translation: Translation, operation: Operation) -> None:
    x, target = translation.value(operation), translation.constant(operation, 1)
    copies = not operation.attributes.pop("allowzero", 0)
    if target.ndim != 1 or target.dtype.kind != "i" or not 0 < len(target) <= MOST_LENGTHS:
        raise refusal(operation, f"a target of {target.dtype} {target.shape}; should be lengths")
    first, *others = (int(length) for length in target)
    if copies:
        before = (0, *x.shape)
        others = [
            before[i] if not length and i < len(before) else length
            for i, length in enumerate(others, 1)
        ]
    known, total = math.prod(length for length in others if length != -1), math.prod(x.shape)
    if others.count(-1) == 1 and known > 0 and first != -1:
        others = [total // known if length == -1 else length for length in others]
    kept = first in (-1, BATCH, translation.batch) or (first == 0 and copies)
    if not kept or min(others, default=1) < 1 or math.prod(others) != total:
        said = ["N" if length == BATCH else int(length) for length in target]
        raise refusal(operation, f"{('N', *x.shape)} to {said}; should leave the batch as it is")
    translation.reshape(operation, x, tuple(others))


def _axes(translation: Translation, operation: Operation) -> list[int] | None:
    """The axes of Squeeze and Unsqueeze: an attribute until opset 12, an input since."""
    given = translation.optional(operation, 1)
    axes = operation.attributes.pop("axes", None) if given is None else given.reshape(-1).tolist()
    return None if axes is None else list(axes)


def _squeeze(translation: Translation, operation: Operation) -> None:
    x, axes = translation.value(operation), _axes(translation, operation)
    if axes is None:
        raise refusal(operation, "without axes, a batch of one example would lose its axis too")
    gone = {translation.axis(operation, axis, x.shape) + len(x.shape) for axis in axes}
    if any(x.shape[axis] != 1 for axis in gone):
        raise refusal(operation, f"axes {axes} of {('N', *x.shape)}; should have the length 1")
    shape = tuple(length for axis, length in enumerate(x.shape) if axis not in gone)
    translation.reshape(operation, x, shape)


def _unsqueeze(translation: Translation, operation: Operation) -> None:
    x, axes = translation.value(operation), _axes(translation, operation) or []
    rank = len(x.shape) + 1 + len(axes)
    places = sorted(axis + rank if axis < 0 else axis for axis in axes)
    if len(set(places)) < len(axes) or any(not 0 < place < rank for place in places):
        raise refusal(operation, f"axes {axes} of {('N', *x.shape)}; should leave the batch first")
    shape: list[int] = list(x.shape)
    for place in places:
        shape.insert(place - 1, 1)
    translation.reshape(operation, x, tuple(shape))


def _transpose(translation: Translation, operation: Operation) -> None:
    x = translation.value(operation)
    rank = len(x.shape) + 1
    order = operation.attributes.pop("perm", tuple(range(rank))[::-1])
    if order != tuple(range(rank)):
        raise refusal(
            operation, f"perm = {list(order)}: no layer here moves axes; only constants may be"
        )
    translation.name(operation, x)


def _shape_of(translation: Translation, operation: Operation) -> None:
    lengths = [BATCH, *translation.value(operation).shape]
    start, end = operation.attributes.pop("start", 0), operation.attributes.pop("end", None)
    translation.constants[operation.outputs[0]] = np.array(lengths[start:end], np.int64)


OPERATORS: dict[str, tuple[Callable[[Translation, Operation], None], int]] = {
    **dict.fromkeys(ACTIVATIONS, (_activation, 1)),
    "Add": (_combine, 2),
    "BatchNormalization": (_batch_norm, 5),
    "Cast": (_cast, 1),
    "Clip": (_clip, 3),
    "Concat": (_concat, 2**31),
    "Dropout": (_dropout, 3),
    "Flatten": (_flatten, 1),
    "Gather": (_gather, 2),
    "Gemm": (_gemm, 3),
    "GroupNormalization": (_group_norm, 3),
    "Identity": (_same, 1),
    "LayerNormalization": (_layer_norm, 3),
    "LogSoftmax": (_softmax, 1),
    "MatMul": (_matmul, 2),
    "Mul": (_combine, 2),
    "PRelu": (_prelu, 2),
    "RMSNormalization": (_layer_norm, 2),
    "Reshape": (_reshape, 2),
    "Shape": (_shape_of, 1),
    "Slice": (_slices, 5),
    "Softmax": (_softmax, 1),
    "Split": (_split, 2),
    "Squeeze": (_squeeze, 2),
    "Sum": (_combine, 2**31),
    "Transpose": (_transpose, 1),
    "Unsqueeze": (_unsqueeze, 2),
}
"""Functions that translate an operator, and the number of inputs that it may have."""


# Constants


def constant(operation: Operation, inputs: list[Array]) -> Array | None:
    """Return what an operation makes of constants; None if that is not computed here.

    No result is larger than what it is made of, but for a change of type.
    """
    attributes: dict[str, Any] = operation.attributes
    x, *others = inputs
    if operation.type == "Identity":
        return x
    if operation.type == "Cast" and (kind := TYPES.get(attributes.get("to", 0))) in (
        *("float32", "float64", "float16"),
        *WHOLE,
    ):
        changed = x.astype(kind, copy=False)
        return changed.astype(np.float32) if kind == "float16" else changed
    if operation.type == "Transpose":
        return x.transpose(attributes.get("perm"))
    if operation.type == "Reshape" and others[0].size <= MOST_LENGTHS:
        lengths = others[0].reshape(-1).tolist()
        before = x.shape if not attributes.get("allowzero", 0) else ()
        lengths = [
            before[i] if length == 0 and i < len(before) else length
            for i, length in enumerate(lengths)
        ]
        return x.reshape(lengths)
    if operation.type in ("Squeeze", "Unsqueeze"):
        axes: Any = tuple(others[0].reshape(-1).tolist()) if others else attributes.get("axes")
        if operation.type == "Squeeze":
            return x.squeeze(axes)
        return np.expand_dims(x, axes)
    lengths_only = all(part.ndim <= 1 and part.size <= MOST_LENGTHS for part in inputs)
    if operation.type == "Gather" and lengths_only and x.ndim == 1:
        return x[others[0]]
    if operation.type == "Concat" and lengths_only and len(inputs) <= MOST_LENGTHS:
        return np.concatenate(inputs)
    if operation.type in LENGTHS and lengths_only and _are_lengths(inputs):
        return LENGTHS[operation.type](*inputs)
    return None


LENGTHS: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.floor_divide,
}
"""Arithmetic with lengths, left by exporters that don't fold it; no length is negative."""


def _are_lengths(inputs: list[Array]) -> bool:
    """Whether these are two arrays of whole numbers >= 0; the length of the batch is none."""
    whole = all(part.dtype.kind == "i" and (part >= 0).all() for part in inputs)
    return whole and len(inputs) == 2 and all((part < 2**31).all() for part in inputs)
