"""Networks as ONNX models: operators where ONNX has them, functions of the recording elsewhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.config.tables import to_config
from layerkit.errors import ConfigError, FileError, listed, suggestion
from layerkit.files.atomic import write_atomically
from layerkit.files.networks import CONFIG_KEY, SEEN_KEY
from layerkit.layers.activations.curves import HardShrink, SoftShrink
from layerkit.layers.activations.learned import PReLU
from layerkit.layers.activations.rectifiers import LeakyReLU, ReLU, RReLU, Threshold
from layerkit.layers.activations.rows import LogSoftmax, Softmax
from layerkit.layers.activations.sigmoids import HardSigmoid, Sigmoid, Softsign
from layerkit.layers.activations.smooth import CELU, ELU, SELU, Softplus
from layerkit.layers.activations.swish import GELU, HardSwish, Mish
from layerkit.layers.base import Layer
from layerkit.layers.combining import Add, Join, Multiply
from layerkit.layers.dense import Dense
from layerkit.layers.normalization import BatchNorm, LayerNorm, RMSNorm
from layerkit.layers.shapes import Embedding, Flatten, Reshape, Take
from layerkit.layers.standardize import Standardize
from layerkit.losses.binary import BinaryCrossEntropy
from layerkit.losses.classes import SoftmaxClassifier
from layerkit.network import Network
from layerkit.recording.arrays import Op, Value
from layerkit.recording.functional import functional
from layerkit.recording.onnx_nodes import Nodes, onnx_type
from layerkit.recording.program import OfBatch, Program
from layerkit.recording.recorder import record

OUTPUTS = ("outputs", "probabilities", "labels", "predictions")
DOMAIN, OPSET = "layerkit", 20
NEWER = {"RMSNormalization": 23}
"""Operators that came after the operator set that is used otherwise."""
LARGEST = 2**31 - 1
"""Number of bytes that a protobuf message can have."""

Activation = Callable[[Any], tuple[str, dict[str, Any]] | None]
ACTIVATIONS: dict[type[Layer], Activation] = {
    ReLU: lambda a: ("Relu", {}),
    LeakyReLU: lambda a: ("LeakyRelu", {"alpha": a.negative_slope}),
    RReLU: lambda a: ("LeakyRelu", {"alpha": (a.lower + a.upper) / 2}),
    ELU: lambda a: ("Elu", {"alpha": a.alpha}),
    SELU: lambda a: ("Selu", {"alpha": a.ALPHA, "gamma": a.SCALE}),
    CELU: lambda a: ("Celu", {"alpha": a.alpha}),
    Threshold: lambda a: None if a.value else ("ThresholdedRelu", {"alpha": a.threshold}),
    Sigmoid: lambda a: ("Sigmoid", {}),
    HardSigmoid: lambda a: ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    HardSwish: lambda a: ("HardSwish", {}),
    Softsign: lambda a: ("Softsign", {}),
    Softplus: lambda a: ("Softplus", {}) if a.beta == 1 else None,
    GELU: lambda a: (
        None if a.approximate == "sigmoid" else ("Gelu", {"approximate": a.approximate})
    ),
    Mish: lambda a: ("Mish", {}),
    HardShrink: lambda a: ("Shrink", {"lambd": a.threshold, "bias": 0.0}),
    SoftShrink: lambda a: ("Shrink", {"lambd": a.threshold, "bias": a.threshold}),
    Softmax: lambda a: ("Softmax", {"axis": a.axis}),
    LogSoftmax: lambda a: ("LogSoftmax", {"axis": a.axis}),
}
"""Operators that are these layers, and their attributes, if there are any."""
OF_FLOATS = {"LeakyRelu", "Elu", "Selu", "Celu", "ThresholdedRelu", "HardSigmoid", "HardSwish"}
OF_FLOATS |= {"Softsign", "Softplus", "Gelu", "Mish", "PRelu", "Shrink"}
"""Operators that onnxruntime does not have for doubles, or computes as floats."""
PLAIN = Add, Multiply, Join, Take, Reshape, Embedding, Standardize
"""Layers whose recorded operations stand in the graph as they are, without a function."""


def write_onnx(network: Network, path: str | Path, outputs: Sequence[str]) -> None:
    """Write a network as an ONNX model; see `Network.to_onnx`."""
    path = Path(path)
    if path.suffix != ".onnx":
        raise FileError(f"{path}: should end in .onnx")
    content = onnx_model(network, outputs).SerializeToString(deterministic=True)
    write_atomically(path, content)


def onnx_model(network: Network, outputs: Sequence[str] = ("outputs",)) -> Any:
    """Return a network as a ModelProto of onnx, checked in full; see `Network.to_onnx`."""
    try:
        import onnx
    except ImportError as error:
        raise ConfigError("ONNX files need onnx: pip install 'layerkit[onnx]'") from error
    check_outputs(network, outputs)
    size = sum(item.value.nbytes for item in network.declared().values())
    if size > LARGEST:
        raise ConfigError(
            f"the parameters have {size / 1e9:.1f} GB; an ONNX file has room for 2.1 GB"
        )
    model = Model(network, outputs).build()
    onnx.checker.check_model(model, full_check=True)
    return model


def check_outputs(network: Network, outputs: Sequence[str]) -> None:
    """Raise a ConfigError for outputs that the network does not have, or none."""
    loss = network.loss
    there = {
        "outputs": True,
        "probabilities": loss.has_probabilities,
        "labels": loss.judges_classes,
        "predictions": not loss.judges_classes,
    }
    known = [name for name in OUTPUTS if there[name]]
    for name in [outputs] if isinstance(outputs, str) else outputs:
        if name not in known:
            raise ConfigError(
                f"outputs: {name!r}: with {type(loss).__name__} there are "
                f"{listed(known)}{suggestion(str(name), known)}"
            )
    if isinstance(outputs, str) or not outputs or len(set(outputs)) < len(outputs):
        raise ConfigError(
            f"outputs = {outputs!r}: should be one or more of {', '.join(known)}, each once, such "
            f"as ({known[0]!r},)"
        )


def example(network: Network) -> Any:
    """Return a batch of the kind that the network was trained with."""
    dtypes = {"bytes": np.uint8, "flags": np.uint8}
    dtype = dtypes.get(str(network.seen.pixels), network.dtype)
    x = np.zeros((2, *network.shape), dtype)
    return x + 1 if network.seen.pixels == "flags" else x


class Model:
    """An ONNX model in the making: the nodes of the graph, functions, and names of arrays.

    All names are addresses: ``body.layers.0.W`` is a parameter, ``body.layers.0`` what the layer
    returns, and the node or the last of the nodes that compute it.
    """

    def __init__(self, network: Network, outputs: Sequence[str]) -> None:
        self.network, self.wanted = network, tuple(outputs)
        self.program = record(network, example(network))
        given = self.program.inputs | self.program.memory
        self.names = {value: name for name, value in given.items()}
        self.graph = Nodes(self.names)
        self.functions: list[Any] = []
        self.shown: list[Any] = []
        self.outputs: list[Any] = []
        self.scopes: set[str] = set()

    def build(self) -> Any:
        """Return the model."""
        from importlib.metadata import version

        from onnx import helper

        program = self.wanted_program()
        x = self.start()
        self.layers(program)
        for name in self.wanted:
            self.end(name, program)
        nodes = self.graph.nodes
        if self.graph.batch:
            nodes.insert(0, helper.make_node("Shape", ["x"], ["N"], "N", start=0, end=1))
        inner = [node for function in self.functions for node in function.node]
        opset = max(NEWER.get(node.op_type, OPSET) for node in [*nodes, *inner])
        opsets = [helper.make_opsetid("", opset)]
        for function in self.functions:
            function.opset_import.extend(opsets)
        if self.functions:
            opsets.append(helper.make_opsetid(DOMAIN, 1))
        graph = helper.make_graph(
            *(nodes, "network", [x], self.outputs, self.parameters()), value_info=self.shown
        )
        model = helper.make_model(
            graph,
            functions=self.functions,
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets[:1]),
            producer_name="layerkit",
            producer_version=version("layerkit"),
            doc_string=f"{self.network.loss}\n\n{self.network.summary()}",
        )
        helper.set_model_props(model, self.metadata())
        return model

    def metadata(self) -> dict[str, str]:
        """Return the configuration, if it can be written, and what the network has seen."""
        facts = {SEEN_KEY: json.dumps(asdict(self.network.seen))}
        try:
            return {CONFIG_KEY: json.dumps(to_config(self.network)), **facts}
        except ConfigError:  # of functions, as in Lambda, the recording alone can tell
            return facts

    def wanted_program(self) -> Program:
        """Return the part of the recorded prediction that is needed, in functional form."""
        own = {"labels": "y", "predictions": "y"}
        if probabilities(self.network) is None:
            own["probabilities"] = "p"
        wanted = ["z", *(own[name] for name in self.wanted if name in own)]
        return functional(self.program, wanted)

    def parameters(self) -> list[Any]:
        """Return the parameters and states that a node reads."""
        from onnx.numpy_helper import from_array

        read = {name for node in self.graph.nodes for name in node.input}
        return [
            from_array(value.array, name)
            for name, value in self.program.memory.items()
            if name in read
        ]

    def start(self) -> Any:
        """Return the graph's input; bytes that are flags become truth values."""
        x = self.program.inputs["x"]
        if x.dtype == bool:
            self.names[x] = self.graph.add("Cast", "x", to=onnx_type(bool))
        return self.typed("x", np.uint8 if x.dtype == bool else x.dtype, x.shape)

    def typed(self, name: str, dtype: Any, shape: Sequence[Any]) -> Any:
        """Return an array's name with its type and shape."""
        from onnx import TensorProto, helper

        sizes = [str(n) if isinstance(n, OfBatch) else n for n in shape]
        kind = TensorProto.STRING if dtype is str else onnx_type(dtype)
        return helper.make_tensor_value_info(name, kind, sizes)

    def layers(self, program: Program) -> None:
        """Add the nodes of all layers, call by call."""
        groups = [
            list(group)
            for _, group in groupby(
                program.ops, lambda op: (op.phase, op.address, op.extra["call"])
            )
        ]
        last = {value: i for i, group in enumerate(groups) for op in group for value in op.inputs}
        last |= dict.fromkeys(program.outputs.values(), len(groups))
        for i, group in enumerate(groups):
            made = [value for op in group for value in op.outputs]
            self.call(group, [value for value in made if last.get(value, i) > i])

    def call(self, ops: list[Op], results: list[Value]) -> None:
        """Add the nodes of one call of a layer: an operator, a function, or as recorded."""
        address, inside = ops[0].address, {value for op in ops for value in op.outputs}
        found = dict.fromkeys(value for op in ops for value in op.inputs)
        read = [value for value in found if value not in inside and value.kind != "constant"]
        arrays = [value for value in read if value.kind != "memory"]
        layer: Any = self.network[address] if ops[0].phase == "forward" else None
        scope = self.scope(address)
        nodes = Nodes(self.names, f"{scope}.")
        if layer is None or not (
            len(arrays) == len(results) == 1 and self.operator(nodes, layer, arrays[0], results[0])
        ):
            for op in ops:
                nodes.translate(op)
            several = sum(node.op_type != "Constant" for node in nodes.nodes) > 1
            if layer is not None and several and type(layer) not in PLAIN:
                nodes = self.function(scope, layer, ops, read, results)
        if layer is not None and len(results) == 1:
            (y,) = results
            if nodes.rename(self.names[y], scope):
                self.shown.append(self.typed(scope, y.dtype, y.shape))
        self.graph.batch |= nodes.batch
        self.graph.nodes += nodes.nodes

    def scope(self, address: str) -> str:
        """Return an address, with a number if its layer is called once more."""
        numbers = itertools.count(2)
        scope = address
        while scope in self.scopes:
            scope = f"{address}.{next(numbers)}"
        self.scopes.add(scope)
        return scope

    def operator(self, nodes: Nodes, layer: Layer, x: Value, y: Value) -> bool:
        """Add the operator that is this layer, if there is one."""
        name = OPERATORS.get(type(layer), activation)(nodes, layer, x)
        if name is not None:
            self.names[y] = name
        return name is not None

    def function(
        self, scope: str, layer: Layer, ops: list[Op], read: list[Value], results: list[Value]
    ) -> Nodes:
        """Add a function of the recorded operations, and return a node that calls it."""
        from onnx import helper

        arrays = [value for value in read if value.kind != "memory"]
        names = {value: self.names[value] for value in read}
        names |= dict(zip(arrays, numbered("x", arrays), strict=True))
        body = Nodes(dict(names))
        for op in ops:
            body.translate(op)
        for value, end in zip(results, numbered("y", results), strict=True):
            body.end(body.names[value], end)
        batch = ["N"] * body.batch
        name = f"{scope}.{type(layer).__name__}"
        formula = (type(layer).__doc__ or "").split("\n")[0].split(";")[0]
        self.functions.append(
            helper.make_function(
                *(DOMAIN, name, [*names.values(), *batch], body.ends, body.nodes, []),
                doc_string=f"{layer}: {formula}",
            )
        )
        nodes = Nodes(self.names)
        nodes.batch = body.batch
        given = [*(self.names[value] for value in read), *batch]
        returned = [f"{scope}.{end}" for end in body.ends]
        nodes.nodes.append(helper.make_node(name, given, returned, scope, domain=DOMAIN))
        self.names |= dict(zip(results, returned, strict=True))
        return nodes

    def end(self, name: str, program: Program) -> None:
        """Add what leads from the layers to an output of this name."""
        nodes = Nodes(self.names, f"{name}.")
        add, z = getattr(self, f"_{name}"), program.outputs["z"]
        value = program.outputs.get({"probabilities": "p"}.get(name, "y"), z)
        array, dtype, shape = add(nodes, z if name == "outputs" else value)
        self.graph.nodes += nodes.nodes
        self.graph.end(array, name)
        self.shown = [info for info in self.shown if info.name != array]
        self.outputs.append(self.typed(name, dtype, shape))

    def _outputs(self, nodes: Nodes, z: Value) -> tuple[str, Any, Any]:
        return nodes.get(z), z.dtype, z.shape

    def _probabilities(self, nodes: Nodes, p: Value) -> tuple[str, Any, Any]:
        name, known = nodes.get(p), probabilities(self.network)
        if known is not None:
            kind, attributes = known
            name = nodes.add(kind, name, **attributes)
        if p.shape[-1] != 1:
            return name, p.dtype, p.shape
        no = nodes.add("Sub", nodes.constant(1, p.dtype), name)
        return nodes.add("Concat", no, name, axis=-1), p.dtype, (*p.shape[:-1], 2)

    def _labels(self, nodes: Nodes, y: Value) -> tuple[str, Any, Any]:
        name, dtype, shape = self._predictions(nodes, y)
        classes = self.network.classes
        if classes is None:
            return name, dtype, shape
        strings = isinstance(classes[0], str)
        table = nodes.constant(classes) if not strings else ""
        if strings:
            table = nodes.add("Constant", value_strings=classes)
        return nodes.add("Gather", table, name), str if strings else bool, shape

    def _predictions(self, nodes: Nodes, y: Value) -> tuple[str, Any, Any]:
        z = self.program.outputs["z"]
        if len(y.shape) < len(z.shape) or y.shape[-1] != 1:
            return nodes.get(y), y.dtype, y.shape
        return nodes.add("Squeeze", nodes.get(y), nodes.constant([-1])), y.dtype, y.shape[:-1]


def numbered(letter: str, items: Sequence[Any]) -> list[str]:
    """Return a name for each of several things; for a single one, the letter alone."""
    return [letter] if len(items) == 1 else [f"{letter}{i}" for i in range(1, len(items) + 1)]


def probabilities(network: Network) -> tuple[str, dict[str, Any]] | None:
    """Return the operator that gives a loss of the library its probabilities."""
    known = {
        SoftmaxClassifier.predict_proba: ("Softmax", {"axis": -1}),
        BinaryCrossEntropy.predict_proba: ("Sigmoid", dict[str, Any]()),
    }
    return known.get(type(network.loss).predict_proba)


# Operators that are layers; None where they are not quite the same


def exact(attributes: dict[str, Any], dtype: Any) -> bool:
    """Whether float32, which attributes are stored in, holds these numbers for this dtype."""
    numbers = [item for item in attributes.values() if isinstance(item, float)]
    return dtype == np.float32 or all(float(np.float32(number)) == number for number in numbers)


def activation(nodes: Nodes, layer: Layer, x: Value) -> str | None:
    """Add the operator of an activation."""
    found = ACTIVATIONS.get(type(layer), lambda layer: None)(layer)
    if found is None or not exact(found[1], x.dtype):
        return None
    kind, attributes = found
    if kind in OF_FLOATS and x.dtype != np.float32:
        return None
    return str(nodes.add(kind, nodes.get(x), **attributes))


def dense(nodes: Nodes, layer: Any, x: Value) -> str:
    """Add a product with W, and b."""
    name, W, b = nodes.get(x), f"{layer.address}.W", f"{layer.address}.b"
    if layer.bias and len(x.shape) == 2:
        return str(nodes.add("Gemm", name, W, b))
    y = nodes.add("MatMul", name, W)
    return str(nodes.add("Add", y, b) if layer.bias else y)


def prelu(nodes: Nodes, layer: Layer, x: Value) -> str | None:
    """Add a rectifier with learned slopes."""
    if x.dtype != np.float32:
        return None
    return str(nodes.add("PRelu", nodes.get(x), f"{layer.address}.a"))


def flatten(nodes: Nodes, layer: Layer, x: Value) -> str:
    """Add an example's numbers in a row."""
    return nodes.get(x) if len(x.shape) == 2 else str(nodes.add("Flatten", nodes.get(x), axis=1))


def affine(nodes: Nodes, layer: Any, x: Value) -> list[str]:
    """Return the names of gamma and beta, of 1 and 0 where the layer has none."""
    shape = x.shape[-layer.axes :]
    return [
        f"{layer.address}.{name}" if there else nodes.constant(np.full(shape, number, x.dtype))
        for name, there, number in (
            ("gamma", layer.scale, 1),
            ("beta", getattr(layer, "shift", False), 0),
        )
    ]


def batch_norm(nodes: Nodes, layer: Any, x: Value) -> str | None:
    """Add mean and variance as they were learned; all rows of features are one batch."""
    attributes = {"epsilon": layer.eps}
    if not exact(attributes, x.dtype):
        return None
    moments = [f"{layer.address}.{name}" for name in ("mean", "variance")]
    rows = nodes.reshape(nodes.get(x), x.shape, (ROWS, x.shape[-1]))
    y = nodes.add("BatchNormalization", rows, *affine(nodes, layer, x), *moments, **attributes)
    return nodes.reshape(y, (ROWS, x.shape[-1]), x.shape)


ROWS = OfBatch("{k} * N", 1)


def layer_norm(nodes: Nodes, layer: Any, x: Value) -> str | None:
    """Add what gives each example mean 0 and variance 1."""
    attributes = {"epsilon": layer.eps, "axis": -layer.axes}
    if not exact(attributes, x.dtype):
        return None
    scale, shift = affine(nodes, layer, x)
    inputs = [nodes.get(x), scale, *[shift] * layer.shift]
    return str(nodes.add("LayerNormalization", *inputs, **attributes))


def rms_norm(nodes: Nodes, layer: Any, x: Value) -> str | None:
    """Add what gives each example the mean square 1."""
    eps = layer.eps or float(np.finfo(x.dtype).eps)
    attributes = {"epsilon": eps, "axis": -layer.axes}
    if not exact(attributes, x.dtype):
        return None
    return str(
        nodes.add("RMSNormalization", nodes.get(x), affine(nodes, layer, x)[0], **attributes)
    )


OPERATORS: dict[type[Layer], Callable[[Nodes, Any, Value], str | None]] = {
    Dense: dense,
    PReLU: prelu,
    Flatten: flatten,
    BatchNorm: batch_norm,
    LayerNorm: layer_norm,
    RMSNorm: rms_norm,
}
