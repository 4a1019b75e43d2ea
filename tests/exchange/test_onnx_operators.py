"""Each ONNX operator, against onnxruntime."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from layerkit import FileError, MeanSquaredError, Network, from_onnx
from layerkit.arrays import Array

RNG = np.random.default_rng(0)
W, B, V = RNG.normal(size=(6, 4)), RNG.normal(size=4), RNG.normal(size=6)
POSITIVE = RNG.uniform(0.5, 2, size=6)
OPSET = 22
"""The opset of the models, unless it says another one."""


def model(body: str, shape: Any = (6,), opset: int = OPSET, **constants: Any) -> Any:
    """A model from ONNX's own notation, which reads x and makes y."""
    dims = ", ".join(map(str, ("N", *shape)))
    kind = "int64" if shape == (3,) else "float"
    graph = onnx.parser.parse_graph(f"g ({kind}[{dims}] x) => (float y) {{ {body} }}")
    for name, value in constants.items():
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        graph.initializer.append(numpy_helper.from_array(array, name))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def examples(shape: Any) -> Array:
    if shape == (3,):
        return np.random.default_rng(1).integers(0, 6, (5, 3))
    return (3 * np.random.default_rng(1).normal(size=(5, *shape))).astype(np.float32)


def read(proto: Any, folder: Path) -> Network:
    onnx.save(proto, folder / "model.onnx")
    return from_onnx(folder / "model.onnx", MeanSquaredError())


ACTIVATIONS = [
    *(
        "Relu",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softsign",
        "Mish",
        "HardSwish",
        "Selu",
        "Elu",
        "Celu",
    ),
    *("LeakyRelu", "ThresholdedRelu", "Gelu", 'Gelu<approximate="tanh">', "Elu<alpha=0.3>"),
    *("Celu<alpha=2.5>", "LeakyRelu<alpha=0.7>", "ThresholdedRelu<alpha=-0.5>", "Identity"),
    *("HardSigmoid<alpha=0.16666667>", "Softmax", "LogSoftmax", "Softmax<axis=1>", "Dropout"),
    *("Shrink<lambd=0.7>", "Shrink<lambd=0.7, bias=0.7>", "Swish<alpha=1.5>", "Sum"),
]
TWO = (3, 4)
"""A shape of two axes."""

CASES: list[tuple[str, dict[str, Any]]] = [
    *((f"y = {name} (x)", {"opset": 24 if "Swish<" in name else OPSET}) for name in ACTIVATIONS),
    *((f"y = {name} (x)", {"shape": TWO}) for name in ("Relu", "Softmax", "Softmax<axis=1>")),
    ("y = Gemm (x, W, b)", {"W": W, "b": B}),
    ("y = Gemm<alpha=0.3, beta=-2.0, transB=1> (x, W, b)", {"W": W.T, "b": B}),
    ("y = Gemm<beta=3.0> (x, W, b)", {"W": W, "b": B[:1]}),
    ("y = Gemm (x, W, b)", {"W": W, "b": B[None]}),
    ("y = Gemm (x, W, b)", {"W": W, "b": np.array(2.5)}),
    ("y = Gemm<alpha=0.5> (x, W)", {"W": W}),
    ("y = MatMul (x, W)", {"W": W}),
    ("h = MatMul (x, W) y = Add (b, h)", {"W": W, "b": B}),
    ("h = MatMul (x, W) y = Add (h, b)", {"W": W, "b": B[None]}),
    ("h = MatMul (x, W) y = Add (h, b)", {"W": W[:4], "b": B, "shape": TWO}),
    ("U = Transpose<perm=[1, 0]> (W) y = MatMul (x, U)", {"W": W.T}),
    ("U = Transpose (W) V = Identity (U) y = Gemm<transB=1> (x, V)", {"W": W}),
    ("c = Unsqueeze (b, a) d = Squeeze (c, a) y = Gemm (x, W, d)", {"W": W, "b": B, "a": [0]}),
    ("U = Reshape (W, s) y = MatMul (x, U)", {"W": W.reshape(-1), "s": np.array([6, -1])}),
    ("U = Cast<to=1> (W) y = MatMul (x, U)", {"W": W.astype(np.float16)}),
    ("y = Add (x, x)", {}),
    ("h = Tanh (x) y = Mul (x, h)", {}),
    ("h = Tanh (x) y = Sum (x, h, x)", {}),
    ("h = Tanh (x) y = Concat<axis=1> (x, h, x)", {}),
    ("h = Tanh (x) y = Concat<axis=-2> (x, h)", {"shape": TWO}),
    ("h = Relu (x) i = Neg (h) y = Tanh (x)", {}),
    ("y = PRelu (x, a)", {"a": np.array([0.3])}),
    ("y = PRelu (x, a)", {"a": V}),
    ("y = PRelu (x, a)", {"a": B[None], "shape": TWO}),
    ("y = Clip (x, a, b)", {"a": np.array(-0.5), "b": np.array(2.0)}),
    ("y = Clip (x, a, b)", {"a": np.array(0.0), "b": np.array(6.0)}),
    ("y = Clip (x, a)", {"a": np.array(0.0)}),
    ("y = Clip<min=-1.0, max=0.5> (x)", {"opset": 9}),
    ("y = Softmax (x)", {"opset": 11}),
    (
        "y = BatchNormalization<epsilon=0.01> (x, g, b, m, v)",
        {"g": V, "b": V, "m": V, "v": POSITIVE},
    ),
    ("y = BatchNormalization (x, g, b, m, v)", {"g": V, "b": V, "m": V, "v": POSITIVE, "opset": 9}),
    ("y = LayerNormalization (x, g, b)", {"g": V, "b": V}),
    ("y = LayerNormalization<epsilon=0.1> (x, g)", {"g": V}),
    ("y = LayerNormalization<axis=1> (x, g, b)", {"g": W[:3], "b": W[3:], "shape": TWO}),
    ("y = RMSNormalization<epsilon=0.1> (x, g)", {"g": V, "opset": 23}),
    ("y = Gather<axis=1> (x, i)", {"i": np.array([5, 0, -1, 0])}),
    ("y = Gather<axis=1> (x, i)", {"i": np.array(-1), "shape": TWO}),
    ("y = Gather (W, x)", {"W": W, "shape": (3,)}),
    ("i = Cast<to=7> (x) y = Gather (W, i)", {"W": W, "shape": (3,)}),
    ("i = Cast<to=1> (x) y = Tanh (i)", {"shape": (3,)}),
    ("y = Slice (x, s, e, a)", {"s": np.array([1]), "e": np.array([-1]), "a": np.array([1])}),
    (
        "y = Slice (x, s, e, a, t)",
        {
            "s": np.array([0, -1]),
            "e": np.array([9, -99]),
            "a": np.array([1, -1]),
            "t": np.array([2, -1]),
            "shape": TWO,
        },
    ),
    ("y = Slice<starts=[1, 0], ends=[3, 9], axes=[1, -1]> (x)", {"opset": 9, "shape": TWO}),
    (
        "l = Shape (x) n = Gather (l, i) m = Add (n, o) h = Div (m, t) a = Slice (x, z, h, i) "
        "b = Slice (x, h, n, i) y = Mul (a, b)",
        {"i": np.array([1]), "o": np.array([1]), "t": np.array([2]), "z": np.array([0])},
    ),
    ("a, b = Split<axis=1, num_outputs=2> (x) y = Mul (a, b)", {}),
    (
        "a, b = Split<axis=-1> (x, s) c = Tanh (b) y = Concat<axis=1> (c, a)",
        {"s": np.array([2, 4])},
    ),
    ("a, b = Split<axis=1> (x) y = Sigmoid (b)", {"opset": 11}),
    ("y = Flatten (x)", {"shape": TWO}),
    ("y = Reshape (x, s)", {"s": np.array([-1, 12]), "shape": TWO}),
    ("l = Shape (x) h = Tanh (x) y = Reshape (h, l)", {"shape": TWO}),
    ("y = Reshape (x, s)", {"s": np.array([0, 2, -1]), "shape": TWO}),
    ("y = Reshape (x, s)", {"s": np.array([0, 0, 2, 2]), "shape": TWO}),
    (
        "l = Shape (x) n = Gather (l, z) m = Unsqueeze (n, z1) s = Concat<axis=0> (m, r) "
        "y = Reshape (x, s)",
        {"z": np.array(0), "z1": np.array([0]), "r": np.array([-1]), "shape": TWO},
    ),
    ("y = Unsqueeze (x, a)", {"a": np.array([1])}),
    ("h = Unsqueeze (x, a) y = Squeeze (h, a)", {"a": np.array([2])}),
    ("h = Gemm (x, W) i = Squeeze (h, a) y = Sigmoid (i)", {"W": W[:, :1], "a": np.array([1])}),
    (
        "h = Gemm (x, W) i = Squeeze (h, a) j = Mul (i, f) y = Add (c, j)",
        {"W": W[:, :1], "a": np.array([1]), "f": np.array(2.0), "c": np.array([0.5])},
    ),
    (
        "h = MatMul (x, W) i = Add (h, b) j = MatMul (i, V) y = Add (j, b)",
        {"W": W, "V": W[:4] + 1, "b": B[None]},
    ),
    ("y = Transpose<perm=[0, 1, 2]> (x)", {"shape": TWO}),
    ("h = Sub (x, m) y = Div (h, s)", {"m": V, "s": POSITIVE}),
    ("y = Mul (x, f)", {"f": np.array(0.25)}),
    ("h = Mul (x, f) i = Add (h, c) y = Tanh (i)", {"f": POSITIVE, "c": V[None]}),
    ("y = Sub (x, m)", {"m": B, "shape": TWO}),
    ("h = Tanh (x) y = Mul (h, f)", {"f": np.array(0.3)}),
    ("g = Sigmoid (x) h = Sub (o, g) y = Mul (x, h)", {"o": np.array([1.0])}),
    ("h = Tanh (x) y = Neg (h)", {}),
    # layers of several operators
    ("s = Sigmoid (x) y = Mul (s, x)", {}),
    ("h = Mul (x, b) s = Sigmoid (h) y = Mul (x, s)", {"b": np.array(1.702)}),
    ("s = Sigmoid (x) y = Log (s)", {}),
    ("a = Neg (x) s = Softplus (a) y = Neg (s)", {}),
    ("a = Neg (x) y = Softmax<axis=1> (a)", {}),
    ("a = Abs (x) b = Add (c, a) y = Div (x, b)", {"c": np.array([1.0])}),
    (
        "a = Mul (x, c) b = Erf (a) d = Add (o, b) e = Mul (x, h) y = Mul (e, d)",
        {"c": np.array(0.5**0.5), "o": np.array(1.0), "h": np.array(0.5)},
    ),
    (
        "m = ReduceMean<axes=[-1]> (x) c = Sub (x, m) q = Pow (c, t) v = ReduceMean<axes=[-1]> (q) "
        "w = Add (v, e) r = Sqrt (w) n = Div (c, r) h = Mul (n, g) y = Add (h, b)",
        {"t": np.array(2.0), "e": np.array(1e-5), "g": V, "b": V, "opset": 13},
    ),
    (
        "q = Pow (x, t) v = ReduceMean (q, a) w = Add (v, e) r = Sqrt (w) n = Div (x, r) "
        "y = Mul (g, n)",
        {"t": np.array(2.0), "e": np.array(1e-5), "g": V, "a": np.array([-1])},
    ),
    ("a = Abs (x) b = LessOrEqual (a, t) y = Where (b, z, x)", {"t": np.array(0.7), "z": 0.0}),
    (
        "a = Abs (x) b = Greater (a, t) s = Sign (x) c = Mul (s, t) d = Sub (x, c) "
        "e = Mul (x, z) y = Where (b, d, e)",
        {"t": np.array(0.7), "z": np.array(0.0)},
    ),
    ("a = LessOrEqual (x, t) y = Where (a, v, x)", {"t": np.array(0.1), "v": np.array(-3.0)}),
]


@pytest.mark.parametrize(("body", "options"), CASES)
def test_outputs_are_those_of_onnxruntime(
    body: str, options: dict[str, Any], tmp_path: Path
) -> None:
    proto, x = model(body, **options), examples(options.get("shape", (6,)))
    net = read(proto, tmp_path)
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), quiet)
    for rows in (x, x[:1]):
        (wanted,) = session.run(None, {"x": rows})
        found = net.outputs(rows)
        assert found.dtype == np.float32
        found = found[:, 0] if wanted.ndim == 1 else found
        assert found.shape == wanted.shape
        # where a formula cancels, a layer is more exact than its operators
        atol = 1e-3 if "Log (" in body else 2e-6
        assert np.allclose(found, wanted, rtol=1e-6, atol=atol)


G = {"g": V, "b": V}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "y = Conv (x, W)",
        {"W": W},
        "node 'y' (Conv): no layer here is this operator, alone",
    ),
    ("y = Sin (x)", {}, "node 'y' (Sin): no layer here"),
    ("y = Elu<gamma=2.0> (x)", {}, "unknown attributes: 'gamma'"),
    ("y = Elu (x, x)", {}, "2 inputs; should be 1 at most"),
    ("y = Elu ()", {}, "input 0 is missing"),
    ('y = Elu<alpha="a"> (x)', {}, "alpha = 'a'; should be a number"),
    ("y = HardSigmoid (x)", {}, "alpha = 0.2; should be 0.1666667"),
    ("y = Selu<alpha=1.0> (x)", {}, "alpha = 1.0; should be 1.673263"),
    ("y = LeakyRelu<alpha=2.0> (x)", {}, "LeakyReLU.negative_slope = 2.0: should be less"),
    ('y = Gelu<approximate="x"> (x)', {}, "GELU.approximate = 'x'"),
    ("y = Softmax<axis=0> (x)", {}, "axis 0 of ('N', 6); should be another one than the batch"),
    ("y = Softmax<axis=2> (x)", {}, "axis 2 of ('N', 6)"),
    ("y = Softmax (x)", {"shape": TWO, "opset": 11}, "over all axes from -2 on; not over one"),
    ("a = Neg (x) y = Softmax (a)", {"shape": TWO, "opset": 11}, "over all axes from -2 on"),
    ("a = Neg (x) y = Softmax<axis=1> (a)", {"shape": TWO}, "along axis 1 of ('N', 3, 4); should"),
    (
        "h = Gemm (x, W) i = Squeeze (h, a) y = Mul (i, f)",
        *(
            {"W": W[:, :1], "a": [1], "f": np.ones((1, 1))},
            "a constant of shape (1, 1) for examples",
        ),
    ),
    ("y = Clip (x, a)", {"a": np.array(1.0)}, "from 1.0 to None; should have both ends"),
    ("y = Gemm<transA=1> (x, W)", {"W": W}, "transA = 1; should be 0"),
    ("y = Gemm (x, W, b)", {"W": W, "b": V}, "C has the shape (6,); should be one for each output"),
    ("y = Gemm (x, W, b)", {"W": W, "b": B[:, None]}, "C has the shape (4, 1)"),
    ("y = Gemm (W, x)", {"W": W}, "its input 0, 'W', is a constant"),
    ("y = Gemm (x, x)", {}, "its input 1, 'x', should be a constant"),
    ("y = Gemm (x, W)", {"W": W.T}, "(4, 6) where Dense(units=6, bias=False) has (6, 6)"),
    ("y = MatMul (x, W)", {"W": W[None]}, "should be a value times a constant matrix; her"),
    ("y = MatMul (W, x)", {"W": W}, "should be a value times a constant matrix; here are"),
    ("y = Gemm (x, W)", {"W": W * np.inf}, "a constant has numbers that are not finite"),
    (
        "h = Gemm (x, W) y = Gemm (h, W)",
        {"W": W @ W.T},
        "it has the matrix 'W' in common with node 'h'",
    ),
    (
        "U = Transpose (W) h = MatMul (x, W) y = MatMul (h, U)",
        *({"W": W}, "it has the matrix 'W' in common with node 'h' (MatMul)"),
    ),
    (
        "h = Tanh (x) y = Add (h, c)",
        {"c": V},
        "in the middle of the network, where",
    ),
    ("y = Add (x, c)", {"c": W}, "a constant of shape (6, 4) for examples of shape (6,)"),
    ("y = Div (x, c)", {"c": 0 * V}, "it divides by 0"),
    ("h = Gemm (x, W) y = Add (h, x)", {"W": W}, "(4,), (6,): what is added should have"),
    (
        "h = Gemm (x, W) i = Squeeze (h, a) y = Add (h, i)",
        {"W": W[:, :1], "a": [1]},
        "(N,) is comb",
    ),
    ("h = Gemm (x, W) i = Squeeze (h, a) y = Softmax (i)", {"W": W[:, :1], "a": [1]}, "axis -1"),
    ("h = Squeeze (x) y = Tanh (h)", {}, "without axes, a batch of one"),
    (
        "y = BatchNormalization (x, g, b, g, b)",
        {**G, "shape": (6, 2)},
        "axis 1 of ('N', 6, 2)",
    ),
    (
        "y = BatchNormalization<training_mode=1> (x, g, b, g, b)",
        G,
        "training_mode = 1; should be 0",
    ),
    ("y = LayerNormalization (x, g)", {"g": B}, "a constant of shape (4,) where LayerNorm"),
    ("y = Gather<axis=1> (x, i)", {"i": [6]}, "Take.columns has 6: should be from -6 to 5"),
    ("y = Gather (x, i)", {"i": [1]}, "axis 0 of ('N', 6)"),
    ("y = Relu (x)", {"shape": (3,)}, "it computes with whole numbers; should be floats"),
    ("h = Tanh (x) y = Cast<to=7> (h)", {}, "to int64; should be to floats, or"),
    ("y = Cast<to=2> (x)", {}, "to uint8; should be"),
    ("y = Transpose<perm=[0, 2, 1]> (x)", {"shape": TWO}, "no layer here moves axes"),
    ("y = Flatten<axis=2> (x)", {"shape": TWO}, "axis = 2; should be 1"),
    (
        "y = Reshape (x, s)",
        {"s": [-1, 4], "shape": TWO},
        "('N', 3, 4) to [-1, 4]; should",
    ),
    ("y = Reshape (x, s)", {"s": [-1]}, "('N', 6) to [-1]"),
    ("y = Dropout (x, r, t)", {"r": np.array(0.5), "t": np.array(True)}, "it is in training mode"),
    ("y = Slice (x, s, e)", {"s": [0], "e": [1]}, "axis 0 of ('N', 6)"),
    ("y = Slice (x, s, e, a)", {"s": [5], "e": [2], "a": [1]}, "0 columns; should be 1 to"),
    ("a, b = Split<axis=1> (x, s) y = Tanh (a)", {"s": [2, 3]}, "6 numbers into parts of [2, 3]"),
    ("h = Add (a, b) y = Gemm (x, W, h)", {"W": W, "a": B, "b": B}, "it computes with constants"),
    ("y = Gemm (x, W)", {"W": np.ones((6, 4), int)}, "a constant of type int64; should be floats"),
    (
        "l = Shape (x) n = Gather (l, i) m = Add (n, n) y = Reshape (x, m)",
        {"i": [0]},
        "with constants",
    ),
    ("y = Einsum (x, x)", {}, "node 'y' (Einsum)"),
]


@pytest.mark.parametrize(("body", "options", "sentence"), REFUSED)
def test_what_no_layer_is_is_refused_by_name(
    body: str, options: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    proto = model(body, **options)
    with pytest.raises(FileError, match=re.escape(sentence)) as caught:
        read(proto, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'model.onnx'}: node '")
