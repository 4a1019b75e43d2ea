"""Layers and losses that are operators of ONNX, under the same definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

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
from layerkit.losses.base import Loss
from layerkit.losses.binary import BinaryCrossEntropy
from layerkit.losses.classes import SoftmaxClassifier
from layerkit.recording.onnx.nodes import Nodes
from layerkit.recording.operations import Value
from layerkit.recording.program import OfBatch

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


def probabilities(loss: Loss) -> tuple[str, dict[str, Any]] | None:
    """Return the operator that gives a loss of the library its probabilities."""
    known = {
        SoftmaxClassifier.predict_proba: ("Softmax", {"axis": -1}),
        BinaryCrossEntropy.predict_proba: ("Sigmoid", dict[str, Any]()),
    }
    return known.get(type(loss).predict_proba)


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


def operator(nodes: Nodes, layer: Layer, x: Value) -> str | None:
    """Add the operator that is a layer, and return its result; None if there is none."""
    return OPERATORS.get(type(layer), activation)(nodes, layer, x)
