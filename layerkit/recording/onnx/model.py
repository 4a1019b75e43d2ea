"""Networks as ONNX models: operators where ONNX has them, functions of the recording elsewhere."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.config.tables import to_config
from layerkit.errors import ConfigError, FileError, suggestion
from layerkit.files.atomic import write_atomically
from layerkit.files.networks import CONFIG_KEY, SEEN_KEY
from layerkit.guidance import to_install
from layerkit.layers.base import Layer
from layerkit.network import Network
from layerkit.recording.functional import functional
from layerkit.recording.onnx.arrays import translate
from layerkit.recording.onnx.nodes import Nodes, onnx_type
from layerkit.recording.onnx.operators import PLAIN, operator, probabilities
from layerkit.recording.operations import Op, Value
from layerkit.recording.program import OfBatch, Program
from layerkit.recording.recorder import examples_like, record

OUTPUTS = ("outputs", "probabilities", "labels", "predictions")
DOMAIN, OPSET = "layerkit", 20
NEWER = {"RMSNormalization": 23}
"""Operators that came after the operator set that is used otherwise."""
LARGEST = 2**31 - 1
"""Number of bytes that a protobuf message can have."""


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
        raise ConfigError(f"ONNX files need onnx: {to_install('onnx')}") from error
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
            together = "; give them one by one, without commas" if "," in str(name) else ""
            raise ConfigError(
                f"outputs: {name!r}: a network with {type(loss).__name__} has no such output"
                f"{together or suggestion(str(name), known)}"
            )
    if isinstance(outputs, str) or not outputs or len(set(outputs)) < len(outputs):
        raise ConfigError(
            f"outputs = {outputs!r}: should be one or more of {', '.join(known)}, each once, such "
            f"as ({known[0]!r},)"
        )


class Model:
    """An ONNX model in the making: the nodes of the graph, functions, and names of arrays.

    All names are addresses: ``body.layers.0.W`` is a parameter, ``body.layers.0`` what the layer
    returns, and the node or the last of the nodes that compute it.
    """

    def __init__(self, network: Network, outputs: Sequence[str]) -> None:
        self.network, self.wanted = network, tuple(outputs)
        self.program = record(network, examples_like(network))
        given = self.program.inputs | self.program.memory
        self.names = {value: name for name, value in given.items()}
        self.graph = Nodes(self.names)
        self.functions: list[Any] = []
        self.shown: list[Any] = []
        self.outputs: list[Any] = []
        self.parts, self.scopes = dict(network.layers()), set[str]()

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
        if probabilities(self.network.loss) is None:
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
        layer: Any = self.parts[address] if ops[0].phase == "forward" else None
        scope = self.scope(address)
        nodes = Nodes(self.names, f"{scope}.")
        y = results[0] if len(results) == 1 else None
        known = None
        if layer is not None and y is not None and len(arrays) == 1:
            known = operator(nodes, layer, arrays[0])
        if known is None:
            for op in ops:
                translate(nodes, op)
            several = sum(node.op_type != "Constant" for node in nodes.nodes) > 1
            if layer is not None and several and type(layer) not in PLAIN:
                nodes = self.function(scope, layer, ops, read, results)
        elif y is not None:
            self.names[y] = known
        if layer is not None and y is not None and nodes.rename(self.names[y], scope):
            self.shown.append(self.typed(scope, y.dtype, y.shape))
        self.graph.batch |= nodes.batch
        self.graph.nodes += nodes.nodes

    def scope(self, address: str) -> str:
        """Return an address, with a number if its layer is called once more."""
        numbers, scope = itertools.count(2), address
        while scope in self.scopes:
            scope = f"{address}.{next(numbers)}"
        self.scopes.add(scope)
        return scope

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
            translate(body, op)
        for value, end in zip(results, numbered("y", results), strict=True):
            body.end(body.names[value], end)
        batch = ["N"] * body.batch
        name = self.scope(re.sub(r"\W", "_", f"{type(layer).__name__}_{scope}"))
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
        name, known = nodes.get(p), probabilities(self.network.loss)
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
