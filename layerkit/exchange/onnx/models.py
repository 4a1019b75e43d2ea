"""Networks from ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from layerkit.config.checks import check_kind
from layerkit.errors import ConfigError, FileError, listed
from layerkit.exchange.onnx.files import Model, Operation, read_model, shown
from layerkit.exchange.onnx.operators import OPERATORS, constant
from layerkit.exchange.onnx.patterns import Match, Matcher
from layerkit.exchange.onnx.translation import Translation, refusal, sentences
from layerkit.graph.graph import Graph
from layerkit.graph.sequential import Sequential
from layerkit.layers.activations.curves import Identity
from layerkit.layers.activations.rows import LogSoftmax, Softmax
from layerkit.layers.activations.sigmoids import Sigmoid
from layerkit.layers.base import Layer
from layerkit.layers.standardize import Standardize
from layerkit.losses.base import Loss
from layerkit.losses.binary import BinaryCrossEntropy
from layerkit.losses.classes import SoftmaxCrossEntropy
from layerkit.network import Network


def from_onnx(path: str | Path, loss: Loss | None = None) -> Network:
    """Return the model in an ONNX file as a network that predicts the same, for further training.

    The file is read without the onnx package. Its operators become layers, even where several of
    them are one layer, as exporters write GELU; a chain becomes a Sequential, all else a Graph,
    whose nodes have the names of the modules whose parameters they have. The first axis is the
    batch, of any number of examples, and features are along the last one.

    A Softmax or Sigmoid at the end that the loss applies itself is left out of the body:
    `Network.predict_proba` gives what the model gave, and `Network.outputs` the logits.

    Weights of float16 and bfloat16 become float32, exactly; the network is float64 if any of them
    are. A vector that two operations read becomes one for each. A matrix that they share is
    refused: here each layer has its own parameters.

    Parameters
    ----------
    path : str or Path
        A file of ONNX operators, opset 7 to 28, with all its numbers inside.
    loss : Loss, optional
        An ONNX file has none. By default SoftmaxCrossEntropy for a model that ends with Softmax or
        LogSoftmax, and BinaryCrossEntropy for one that ends with Sigmoid; all others need one.

    Raises
    ------
    FileError
        For a file that can't be read, or has what no network here can have: unknown operators or
        attributes, several inputs or outputs, axes of any length but the batch, subgraphs. It says
        which node it is.
    ConfigError
        When no loss is given for a model whose end doesn't tell.

    Examples
    --------
    >>> import tempfile
    >>> from layerkit import Dense, MeanSquaredError, Network, ReLU, Sequential
    >>> net = Network(Sequential([Dense(8), ReLU(), Dense(1)]), MeanSquaredError(), shape=(4,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.to_onnx(f"{folder}/model.onnx")
    ...     same = from_onnx(f"{folder}/model.onnx", MeanSquaredError())
    >>> same.body
    Sequential(layers=[Dense(units=8), ReLU(), Dense(units=1)])
    """
    if loss is not None:
        check_kind("loss", loss, Loss, "path, loss")
    model, size = read_model(path)
    try:
        translation = _translated(model, size)
        result = translation.values.get(model.output)
        if result is None:
            raise FileError(f"its output, {shown(model.output)}, is not computed from its input")
    except FileError as error:
        raise FileError(f"{path}: {error}") from error
    nodes, reads = _reached(translation, result.node)
    last, end = nodes.get(result.node), result.node
    loss = loss or _loss(last, path)
    over_classes = not isinstance(last, Softmax) or last.axis == -1
    if type(last).__name__ in loss.includes and over_classes:
        del nodes[end]
        (end,) = reads[end]
    wide = any(array.dtype == np.float64 for array in model.constants.values())
    dtype: Any = "float64" if wide or model.type == "float64" else "float32"
    return Network(_body(nodes, reads, end), loss, shape=model.shape, dtype=dtype)


def _loss(last: Layer | None, path: str | Path) -> Loss:
    """The loss of a model by its last layer."""
    if isinstance(last, Softmax | LogSoftmax) and last.axis == -1:
        return SoftmaxCrossEntropy()
    if isinstance(last, Sigmoid):
        return BinaryCrossEntropy()
    name = "nothing" if last is None else type(last).__name__
    raise ConfigError(
        f"{path}: the model ends with {name}, which doesn't tell its loss: give one, such as "
        "from_onnx(path, loss=MeanSquaredError()), or SoftmaxCrossEntropy() for logits"
    )


def _translated(model: Model, size: int) -> Translation:
    """Translate all operations that the output needs."""
    translation, makers = Translation(model, size), dict[str, Operation]()
    known = {model.input, *model.constants}
    for operation in model.operations:
        for name in operation.outputs:
            if name in known or name in makers:
                raise refusal(operation, f"its output {shown(name)} has another source already")
        for name in operation.inputs:
            if name and name not in known and name not in makers:
                raise refusal(
                    operation,
                    f"it reads {shown(name)}, which nothing before it makes; operations should be "
                    "in order, without cycles",
                )
        makers |= dict.fromkeys(filter(None, operation.outputs), operation)
        _fold(translation, operation)
    matcher = Matcher(makers, model.constants, model.batch)
    needed, plan = {model.output}, []
    for operation in reversed(model.operations):
        outputs = [name for name in operation.outputs if name in needed]
        if outputs and operation.outputs[0] not in model.constants:
            with sentences(operation):
                found = matcher.layer(operation) if outputs == [operation.outputs[0]] else None
            plan.append((operation, found))
            needed.update([found.x] if found else operation.inputs)
    for operation, found in reversed(plan):
        with sentences(operation):
            if found and found.x not in translation.constants:
                _add(translation, operation, found)
            else:
                _translate(translation, operation)
    return translation


def _add(translation: Translation, operation: Operation, found: Match) -> None:
    """Add a layer that was written as several operations."""
    for name in found.constants:
        translation.own(operation, name)
    value = translation.values[found.x]
    for axis in found.axes:
        if translation.softmax_axis(operation, axis, value.shape) != -1:
            raise refusal(operation, f"along axis {axis} of {('N', *value.shape)}; should be last")
    single = not found.layer.carried or isinstance(found.layer, Standardize)
    elementwise = single and not found.axes
    translation.add(
        *(operation, found.layer, value), constants=found.constants, elementwise=elementwise
    )


def _translate(translation: Translation, operation: Operation) -> None:
    """Translate one operation, and see that all of it has been read."""
    if operation.inputs and all(name in translation.constants for name in operation.inputs):
        _fold(translation, operation)
        if operation.outputs[0] not in translation.constants:
            raise refusal(operation, "it computes with constants alone; export them folded")
        return
    if operation.type not in OPERATORS:
        raise refusal(
            operation,
            "no layer here is this operator, alone or with those around it; known are "
            f"{', '.join(sorted(OPERATORS))}",
        )
    translate, most = OPERATORS[operation.type]
    if len(operation.inputs) > most:
        raise refusal(operation, f"{len(operation.inputs)} inputs; should be {most} at most")
    translate(translation, operation)
    if operation.attributes:
        raise refusal(operation, f"unknown attributes: {listed(map(shown, operation.attributes))}")


def _fold(translation: Translation, operation: Operation) -> None:
    """Enter what an operation makes of constants, if it is one that can be computed here."""
    constants, made = translation.constants, None
    if operation.type == "Constant":
        values = list(operation.attributes.values())
        if len(values) != 1 or isinstance(values[0], str):
            raise refusal(operation, "it should have one attribute, with numbers")
        made = np.asarray(values[0])
        if not isinstance(values[0], np.ndarray) and made.dtype.kind == "f":
            made = made.astype(np.float32)
    elif operation.inputs and all(name in constants for name in operation.inputs):
        with sentences(operation):
            made = constant(operation, [constants[name] for name in operation.inputs])
        first = operation.inputs[0]
        translation.origins[operation.outputs[0]] = translation.origins.get(first, first)
    if made is not None:
        translation.room -= made.size
        constants[operation.outputs[0]] = made


def _reached(
    translation: Translation, result: str
) -> tuple[dict[str, Layer], dict[str, tuple[str, ...]]]:
    """Return the nodes that lead to the result, and what they read, in the order of computation."""
    reached, nodes = {result}, list(translation.nodes)
    for name in reversed(nodes):
        if name in reached:
            reached.update(translation.reads[name])
    kept = [name for name in nodes if name in reached]
    return (
        {name: translation.nodes[name] for name in kept},
        {name: translation.reads[name] for name in kept},
    )


def _body(nodes: dict[str, Layer], reads: dict[str, tuple[str, ...]], result: str) -> Layer:
    """Return the nodes as a Sequential where each reads the one before, else as a Graph."""
    names = list(nodes)
    if not names:
        return Identity()
    if [reads[name] for name in names] == [(name,) for name in ["input", *names[:-1]]]:
        return Sequential(list(nodes.values()))
    edges = [f"{', '.join(reads[name])} -> {name}" for name in names]
    return Graph(nodes, [*edges, f"{result} -> output"])
