"""ONNX files: the operations and the constants of a model, checked as they are read.

Only what a network of layers can have is accepted: one input, one output, no subgraphs, and all
numbers in the file itself. The numbers stay bytes of the file until a layer takes them.

Source: the descriptions of the messages in onnx.proto, ONNX, github.com/onnx/onnx.
"""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.errors import FileError
from layerkit.exchange.onnx.protobuf import fields, message, text, whole, wholes
from layerkit.files.atomic import file_errors

OLDEST_OPSET, NEWEST_OPSET = 7, 28
DOMAINS = "", "ai.onnx"
"""The names of ONNX's own operators."""
MOST_AXES = 32


def _named(**numbers: int) -> dict[int, str]:
    return {number: name for name, number in numbers.items()}


MODEL = _named(graph=7, opsets=8, functions=25)
OPSET = _named(domain=1, version=2)
NODE, INITIALIZER, INPUT, OUTPUT, SPARSE = 1, 5, 11, 12, 15
OPERATION = _named(inputs=1, outputs=2, name=3, type=4, attributes=5, domain=7)
ATTRIBUTE = _named(
    name=1,
    f=2,
    i=3,
    s=4,
    t=5,
    g=6,
    floats=7,
    ints=8,
    strings=9,
    tensors=10,
    graphs=11,
    ref=21,
)
TENSOR = _named(
    dims=1,
    type=2,
    segment=3,
    float=4,
    int32=5,
    int64=7,
    name=8,
    raw=9,
    double=10,
    external=13,
    location=14,
)
VALUE, TYPE, TENSOR_TYPE = _named(name=1, type=2), _named(tensor=1), _named(type=1, shape=2)
AXES, AXIS = _named(axes=1), _named(value=1, name=2)
"""The numbers of the fields that are read, in each kind of message, and our names for them."""

TYPE_NAMES = (
    *("float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool"),
    *("float16", "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16"),
)
TYPES = dict(enumerate(TYPE_NAMES, start=1))
FLOATS = ("float32", "float64", "float16", "bfloat16")
WHOLE = ("int64", "int32")
STORED = {
    "float32": "<f4",
    "float64": "<f8",
    "float16": "<f2",
    "bfloat16": "<u2",
    "int32": "<i4",
    "int64": "<i8",
    "bool": "?",
}
"""NumPy's dtype of the numbers in the file, for each type that is read."""
IN_FIELD = {"float32": "float", "float64": "double", "int64": "int64"}
"""The field for each type, where it is not raw bytes; int32 for all others."""


@dataclass
class Operation:
    """A node of an ONNX graph: an operator, the values that it reads, and those that it makes."""

    type: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def __str__(self) -> str:
        return f"node {shown(self.name or self.outputs[0])} ({shown(self.type)[1:-1]})"


@dataclass
class Model:
    """A model: operations in the order of computation, and constants by the names of values."""

    opset: int
    input: str = ""
    shape: Shape = ()
    batch: int | None = None
    """The number of examples, where the model has only one."""
    type: str = ""
    output: str = ""
    operations: list[Operation] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)


def shown(part: Any) -> str:
    """Return a part of the file for an error: quoted, without control characters, not too long."""
    return reprlib.repr(part)


def read_model(path: str | Path) -> tuple[Model, int]:
    """Return the model in a file, and the file's size in bytes.

    Raises
    ------
    FileError
        For a file that can't be read, is not an ONNX model, or has what no network here can have.
    """
    with file_errors(f"{path}: can't be read"):
        content = Path(path).read_bytes()
    try:
        return _model(memoryview(content)), len(content)
    except FileError as error:
        raise FileError(f"{path}: {error}") from error
    except ValueError as error:
        raise FileError(f"{path}: damaged, or not an ONNX file: {error}") from error


def _model(data: memoryview) -> Model:
    parts = message(data, MODEL)
    opsets = [message(part, OPSET) for part in parts["opsets"]]
    versions = [whole(part["version"]) for part in opsets if text(part["domain"]) in DOMAINS]
    if len(parts["graph"]) != 1 or len(versions) != 1:
        raise ValueError("it has no graph, or no version of ONNX's operators")
    if not OLDEST_OPSET <= versions[0] <= NEWEST_OPSET:
        raise FileError(
            f"its operators are those of opset {versions[0]}; known are {OLDEST_OPSET} to "
            f"{NEWEST_OPSET}"
        )
    if parts["functions"]:
        name = text(message(parts["functions"][0], {1: "name"})["name"])
        raise FileError(
            f"it has functions of its own, such as {shown(name)}; should have none (a network of "
            "layerkit goes by network.save and Network.load)"
        )
    model, inputs, outputs = Model(versions[0]), dict[str, Any](), list[str]()
    if not isinstance(parts["graph"][0], memoryview):
        raise ValueError("its graph is a number")
    for number, part in fields(parts["graph"][0]):
        if number == NODE:
            model.operations.append(_operation(part))
        elif number == INITIALIZER:
            tensor = message(part, TENSOR)
            name = text(tensor["name"])
            if name in model.constants:
                raise FileError(f"two initializers are called {shown(name)}")
            model.constants[name] = _array(tensor, f"initializer {shown(name)}")
        elif number == INPUT:
            value = message(part, VALUE)
            inputs[text(value["name"])] = value["type"]
        elif number == OUTPUT:
            outputs.append(text(message(part, VALUE)["name"]))
        elif number == SPARSE:
            raise FileError("it has a sparse initializer; should be a full one")
    given = {name: kind for name, kind in inputs.items() if name not in model.constants}
    for what, names in {"inputs": list(given), "outputs": outputs}.items():
        if len(names) != 1:
            said = ", ".join(map(shown, names[:10])) or "none"
            raise FileError(f"it has {len(names)} {what}, {said}; should have one")
    ((model.input, kind),) = given.items()
    (model.output,) = outputs
    model.type, axes = _type(kind)
    model.batch, model.shape = _shape(axes, model.input, model.type)
    return model


def _type(kind: list[Any]) -> tuple[str, list[tuple[int | None, str]] | None]:
    """Return the type of an input, and its axes, each a length or a name; None if not given."""
    tensors = message(kind[-1], TYPE)["tensor"] if kind else []
    if not tensors:
        return "no array", None
    tensor = message(tensors[-1], TENSOR_TYPE)
    name = TYPES.get(whole(tensor["type"]), f"type {whole(tensor['type'])}")
    if not tensor["shape"]:
        return name, None
    axes = [message(axis, AXIS) for axis in message(tensor["shape"][-1], AXES)["axes"]]
    return name, [
        (whole(axis["value"]) if axis["value"] else None, text(axis["name"])) for axis in axes
    ]


def _shape(axes: list[tuple[int | None, str]] | None, name: str, kind: str) -> tuple[Any, Shape]:
    """Return the length of the batch, None if it may be any, and the shape of an example."""
    if kind not in (*FLOATS, *WHOLE):
        raise FileError(
            f"input {shown(name)} is {kind}; should be one of {', '.join((*FLOATS, *WHOLE))}"
        )
    if axes is None or not 2 <= len(axes) <= MOST_AXES:
        how = "no shape" if axes is None else f"{len(axes)} axes"
        raise FileError(f"input {shown(name)} has {how}; should have a batch axis and others")
    (batch, _), *others = axes
    for i, (length, called) in enumerate(others, 1):
        if length is None or not 0 < length < 2**31:
            what = f"any length ({shown(called)})" if length is None else f"the length {length}"
            raise FileError(
                f"axis {i} of input {shown(name)} has {what}; only the batch, axis 0, may be of "
                "any length: export with fixed ones"
            )
    return batch, tuple(length for length, _ in others if length)


def _operation(data: Any) -> Operation:
    parts = message(data, OPERATION)
    kind, domain = text(parts["type"]), text(parts["domain"])
    inputs, outputs = (
        tuple(text([name]) for name in parts[part]) for part in ("inputs", "outputs")
    )
    if not kind or not outputs:
        raise ValueError("an operation without a type or without outputs")
    operation = Operation(kind, text(parts["name"]), inputs, outputs, {})
    if domain not in DOMAINS:
        raise FileError(f"{operation}: an operator of {shown(domain)}; should be ONNX's own")
    for part in parts["attributes"]:
        attribute = message(part, ATTRIBUTE)
        name = text(attribute["name"])
        if name in operation.attributes:
            raise FileError(f"{operation}: the attribute {shown(name)} is given twice")
        operation.attributes[name] = _attribute(attribute, f"{operation}: {shown(name)}")
    return operation


def _attribute(parts: dict[str, list[Any]], where: str) -> Any:
    """Return the value of an attribute: a number, a text, an array, or a tuple of numbers."""
    if parts["ref"] or parts["g"] or parts["graphs"] or parts["tensors"] or parts["strings"]:
        raise FileError(f"{where} is a subgraph, or a list; should be a number, a text or a tensor")
    if parts["t"]:
        return _array(message(parts["t"][-1], TENSOR), where)
    if parts["s"]:
        return text(parts["s"])
    if parts["f"]:
        return float(_numbers(parts["f"][-1:], "<f4")[0])
    if parts["i"]:
        return whole(parts["i"])
    if parts["floats"]:
        return tuple(_numbers(parts["floats"], "<f4").tolist())
    return tuple(wholes(parts["ints"]))


def _numbers(values: list[Any], dtype: str) -> Array:
    """Return numbers of a fixed size, each by itself or packed into bytes."""
    if not all(isinstance(value, memoryview) for value in values):
        raise ValueError("a whole number is where another number should be")
    return np.frombuffer(values[0] if len(values) == 1 else b"".join(values), dtype)


def _array(parts: dict[str, list[Any]], where: str) -> Array:
    """Return a tensor, after comparing its shape with the numbers that there are.

    float16 and bfloat16 become float32, which has all their numbers.
    """
    kind = TYPES.get(whole(parts["type"]), f"type {whole(parts['type'])}")
    if parts["external"] or whole(parts["location"]):
        raise FileError(
            f"{where}: its numbers are in another file; should be in this one: "
            "torch.onnx.export(…, external_data=False), or onnx.save(model, path)"
        )
    if kind not in STORED or parts["segment"]:
        raise FileError(f"{where} is {kind}; should be one of {', '.join(STORED)}")
    shape = tuple(wholes(parts["dims"][: MOST_AXES + 1]))
    if len(shape) > MOST_AXES or any(not 0 <= length < 2**63 for length in shape):
        raise FileError(f"{where} has the shape {shape[:MOST_AXES]}, which no array has")
    n, dtype = math.prod(shape), np.dtype(STORED[kind])
    name = IN_FIELD.get(kind, "int32")
    if parts["raw"]:
        raw = _numbers(parts["raw"], "u1")
        array = raw.view(dtype) if len(raw) % dtype.itemsize == 0 else None
    elif name in ("float", "double"):
        array = _numbers(parts[name], STORED[kind]) if parts[name] else np.zeros(0, dtype)
    else:
        array = _narrow(np.fromiter(wholes(parts[name]), np.int64), dtype, where)
    if array is None or len(array) != n or (0 in shape and shape != (0,)):
        have = "bytes of no whole number" if array is None else f"{len(array):,}"
        raise FileError(f"{where} has the shape {shape}, {n:,} numbers, and there are {have}")
    if kind == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return (array.astype(np.float32) if kind == "float16" else array).reshape(shape)


def _narrow(numbers: Array, dtype: np.dtype[Any], where: str) -> Array:
    """Return whole numbers in the type that they are meant to have; halves are in their bits."""
    bits = np.dtype(np.uint16) if dtype.kind in "fu" else dtype
    narrow = numbers.astype(bits)
    if not np.array_equal(narrow, numbers):
        raise FileError(f"{where} has numbers that are too big for their type")
    return narrow.view(dtype)
