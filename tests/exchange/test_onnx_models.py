"""ONNX models: PyTorch's come back the same and can be trained on; hostile files are refused."""

import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from layerkit import (
    CELU,
    ELU,
    GELU,
    SELU,
    Adam,
    BatchNorm,
    Concat,
    ConfigError,
    Container,
    Dense,
    Dropout,
    FileError,
    Focal,
    Graph,
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Identity,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSoftmax,
    MeanSquaredError,
    Mish,
    Network,
    PReLU,
    ReLU,
    ReLU6,
    Residual,
    RMSNorm,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Softplus,
    SoftShrink,
    Softsign,
    Standardize,
    Take,
    Tanh,
    Threshold,
    fit,
    from_onnx,
    state_dict,
)
from tests.exchange.reference import FOLDER, REFERENCE

EXPORTED = sorted(path.name for path in FOLDER.glob("*.onnx"))


@pytest.mark.parametrize("name", EXPORTED)
def test_what_pytorch_exports_comes_back(name: str) -> None:
    net, case = from_onnx(FOLDER / name, MeanSquaredError()), name.partition(".")[0]
    x, y = (REFERENCE[f"{case}/{part}"] for part in "xy")
    double = case == "double"
    assert net.dtype == ("float64" if double else "float32")
    found = net.outputs(x)
    found = found[:, 0] if y.ndim == 1 else found
    assert np.allclose(found, y, rtol=1e-6, atol=1e-12 if double else 1e-6)


@pytest.mark.parametrize("name", ["gate", "skip", "words", "positions", "glu", "swish"])
@pytest.mark.parametrize("exporter", ["old", "new"])
def test_gradients_are_those_of_pytorch(name: str, exporter: str) -> None:
    net = from_onnx(FOLDER / f"{name}.{exporter}.onnx", MeanSquaredError())
    x = net.inputs.convert(REFERENCE[f"{name}/x"])
    net.body.backward(np.ones_like(net.body.forward(x, train=False)))
    net.arena.values = net.arena.grads  # so that they are put into PyTorch's layout
    mine = list(state_dict(net).values())
    wanted = [v for key, v in REFERENCE.items() if key.startswith(f"{name}/grad/")]
    assert len(mine) == len(wanted) > 3
    for grad in wanted:
        assert any(m.shape == grad.shape and np.allclose(m, grad, atol=1e-5) for m in mine)


def test_layers_have_the_names_of_their_modules() -> None:
    body = from_onnx(FOLDER / "gate.new.onnx").body
    assert isinstance(body, Graph)
    assert [*body.nodes] == [
        *("value", "tanh", "gate", "sigmoid", "multiply", "short", "join", "out")
    ]
    assert body.edges[:2] == ["input -> value", "value -> tanh"]
    assert isinstance(from_onnx(FOLDER / "swish.old.onnx", MeanSquaredError()).body, Sequential)


@pytest.mark.parametrize(
    ("name", "loss", "kind"),
    [("skip.new.onnx", None, "SoftmaxCrossEntropy"), ("skip.old.onnx", Focal(), "Focal")],
)
def test_a_softmax_is_left_to_the_loss(name: str, loss: Any, kind: str) -> None:
    net = from_onnx(FOLDER / name, loss)
    assert type(net.loss).__name__ == kind
    x, y = REFERENCE["skip/x"], REFERENCE["skip/y"]
    assert np.allclose(net.predict_proba(x), y, rtol=0, atol=1e-6)
    assert not np.allclose(net.outputs(x).sum(axis=1), 1)


def test_a_sigmoid_is_left_to_the_loss() -> None:
    net = from_onnx(FOLDER / "gate.old.onnx")
    assert type(net.loss).__name__ == "BinaryCrossEntropy"
    p = net.predict_proba(REFERENCE["gate/x"])
    assert np.allclose(p[:, 1:], REFERENCE["gate/y"], rtol=0, atol=1e-6)


def test_without_a_loss_that_can_be_told_one_has_to_be_given() -> None:
    path = FOLDER / "sequential.new.onnx"
    with pytest.raises(ConfigError, match=re.escape(f"{path}: the model ends with Dense, which")):
        from_onnx(path)
    with pytest.raises(ConfigError, match="loss = 'Huber': should be of type Loss; the arguments"):
        from_onnx(path, loss="Huber")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="judges at least two outputs"):
        from_onnx(FOLDER / "gate.new.onnx", SoftmaxCrossEntropy())


@pytest.mark.parametrize(
    ("name", "t"),
    [
        ("sequential.old", np.arange(7) % 3),
        ("skip.new", np.arange(7) % 3),
        ("gate.old", np.arange(7) % 2),
        ("words.new", np.arange(7) % 2),
    ],
)
def test_a_network_from_onnx_can_be_trained_on(name: str, t: Any, tmp_path: Path) -> None:
    classes = None if "gate" in name else SoftmaxCrossEntropy()
    net, x = from_onnx(FOLDER / f"{name}.onnx", classes), REFERENCE[f"{name.split('.')[0]}/x"]
    before = net.gradient(x, t)
    assert fit(net, Adam(lr=0.01), x, t, epochs=30)[-1].train_loss < before
    net.save(tmp_path / "model.safetensors")
    same = Network.load(tmp_path / "model.safetensors")
    assert np.array_equal(same.outputs(x), net.outputs(x))


def test_raw_inputs_are_standardized_by_the_network() -> None:
    net = from_onnx(FOLDER / "standardized.old.onnx", MeanSquaredError())
    assert net.adapted
    assert np.array_equal(net.declared()["body.layers.0.mean"].value, [1, 2, 3, 4, 5, 6])


EXPORTABLE: list[Layer] = [
    *(
        ReLU(),
        Sigmoid(),
        Tanh(),
        GELU(),
        GELU("tanh"),
        Mish(),
        HardSwish(),
        HardSigmoid(),
        ELU(0.5),
    ),
    *(SELU(), CELU(2.0), LeakyReLU(), PReLU(), PReLU(shared=False), Softplus(), Softsign()),
    *(HardTanh(-2.0, 1.5), ReLU6(), Threshold(), SoftShrink(), HardShrink(), Softmax()),
    *(LogSoftmax(), BatchNorm(), LayerNorm(), RMSNorm(1e-5), Standardize(), Take([0, 2])),
    *(Residual(Dense(6)), Concat([Dense(2), Identity()])),
]


@pytest.mark.parametrize("layer", EXPORTABLE, ids=repr)
def test_what_layerkit_exports_comes_back(layer: Layer, tmp_path: Path) -> None:
    net = Network(Sequential([layer, Dense(3)]), SoftmaxCrossEntropy(), shape=(6,))
    x = np.random.default_rng(0).normal(size=(20, 6))
    net.adapt(x).to_onnx(tmp_path / "model.onnx")
    back = from_onnx(tmp_path / "model.onnx", SoftmaxCrossEntropy())
    assert np.array_equal(back.outputs(x), net.outputs(x))
    if not isinstance(layer, Container):
        assert back.body == Sequential([layer, Dense(3)])


# Files by hand


def value(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def tensor(array: Any, name: str = "W") -> Any:
    return numpy_helper.from_array(np.asarray(array), name)


def model(
    nodes: Any = None, inputs: Any = None, outputs: Any = None, constants: Any = (), opset: int = 20
) -> Any:
    nodes = [helper.make_node("Gemm", ["x", "W"], ["y"])] if nodes is None else nodes
    inputs = [value("x", ["N", 6])] if inputs is None else inputs
    outputs = [value("y", None)] if outputs is None else outputs
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def read(proto: Any, folder: Path) -> Network:
    path = folder / "model.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return from_onnx(path, MeanSquaredError())


HALVES = (np.arange(-12, 12).reshape(6, 4) / 8).astype(np.float16)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("FLOAT", "float32"), ("FLOAT16", "float32"), ("BFLOAT16", "float32"), ("DOUBLE", "float64")],
)
def test_weights_of_each_type_are_exact(kind: str, dtype: str, raw: bool, tmp_path: Path) -> None:
    number = getattr(TensorProto, kind)
    dtype_in_file = helper.tensor_dtype_to_np_dtype(number)
    stored = HALVES.astype(dtype_in_file)
    given: Any = stored.tobytes() if raw else stored.ravel().tolist()
    W = helper.make_tensor("W", number, HALVES.shape, given, raw)
    net = read(model(inputs=[value("x", ["N", 6], number)], constants=[W]), tmp_path)
    assert net.dtype == dtype
    assert np.array_equal(net.params()["body.layers.0.W"].value, HALVES)


def test_dropout_is_there_in_training_alone(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "W"], ["h"]),
        helper.make_node("Dropout", ["h", "r"], ["y"]),
    ]
    constants = [tensor(HALVES.astype("float32")), tensor(np.float32(0.2), "r")]
    net = read(model(nodes, constants=constants), tmp_path)
    assert net.body.layers[1] == Dropout(0.2)  # type: ignore[attr-defined]


def changed(proto: Any, **fields: Any) -> Any:
    """A tensor or node with other fields."""
    for name, new in fields.items():
        if isinstance(new, list):
            del getattr(proto, name)[:]
            getattr(proto, name).extend(new)
        else:
            setattr(proto, name, new)
    return proto


def node(kind: str, inputs: str, outputs: str, **options: Any) -> Any:
    return helper.make_node(kind, inputs.split(), outputs.split(), **options)


def outside() -> Any:
    external = changed(tensor(HALVES), data_location=TensorProto.EXTERNAL)
    external.ClearField("raw_data")
    entry = external.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    return external


def subgraph() -> Any:
    graph = helper.make_graph([node("Relu", "x", "z")], "branch", [], [value("z", None)])
    return node("If", "x", "y", then_branch=graph, else_branch=graph)


W = tensor(HALVES.astype("float32"))
FLOATS = HALVES.astype("float32")
HUGE = changed(tensor(FLOATS), dims=[10**6, 10**6])
WIDE = [value("x", ["N", 2**30])]
REFUSED: list[tuple[Any, str]] = [
    (model(constants=[HUGE]), "initializer 'W' has the shape (1000000, 1000000), 1,000,000,000"),
    (model(constants=[changed(tensor(FLOATS), dims=[2**62] * 3)]), "and there are 24"),
    (
        model(constants=[changed(tensor(FLOATS), dims=[-6, -4])]),
        "the shape (-6, -4), which no array",
    ),
    (model(constants=[changed(tensor(FLOATS), dims=[1] * 5000)]), "which no array has"),
    (model(constants=[changed(tensor(FLOATS), dims=[0, 4])]), "has the shape (0, 4), 0 numbers"),
    (model(constants=[changed(tensor(FLOATS), raw_data=b"12345")]), "bytes of no whole number"),
    (model(constants=[changed(tensor(FLOATS), raw_data=b"1234" * 23)]), "and there are 23"),
    (
        model(constants=[outside()]),
        "initializer 'W': its numbers are in another file; should be in",
    ),
    (
        model(constants=[tensor(FLOATS.astype(np.int8))]),
        "initializer 'W' is int8; should be one of",
    ),
    (model(constants=[tensor(np.array(["a"]))]), "initializer 'W' is string; should be one of"),
    (model(constants=[changed(tensor(FLOATS), data_type=99)]), "initializer 'W' is type 99"),
    (model(constants=[W, W]), "two initializers are called 'W'"),
    (model(), "node 'y' (Gemm): it reads 'W', which nothing before it makes"),
    (
        model([node("Relu", "z", "h"), node("Relu", "h", "z")]),
        "it reads 'z', which nothing before it",
    ),
    (
        model([node("Relu", "y", "y")]),
        "it reads 'y', which nothing before it makes; operations sho",
    ),
    (model([node("Relu", "x", "y"), node("Relu", "x", "y")]), "its output 'y' has another source"),
    (model([node("Relu", "x", "x")]), "its output 'x' has another source already"),
    (model([node("Relu", "x", "h")]), "its output, 'y', is not computed from its input"),
    (model([subgraph()]), "(If): 'else_branch' is a subgraph"),
    (
        model([node("Relu", "x", "y", domain="com.evil")]),
        "an operator of 'com.evil'; should be ONNX",
    ),
    (model([node("Conv", "x", "y")]), "node 'y' (Conv): no layer here is this operator"),
    (model(opset=6), "its operators are those of opset 6; known are 7 to 28"),
    (model(opset=29), "its operators are those of opset 29; known are 7 to 28"),
    (model(inputs=[]), "it has 0 inputs, none; should have one"),
    (
        model(inputs=[value("x", ["N", 6]), value("z", ["N", 6])]),
        "it has 2 inputs, 'x', 'z'; should",
    ),
    (
        model(outputs=[value("y", None), value("z", None)]),
        "it has 2 outputs, 'y', 'z'; should have",
    ),
    (
        model(inputs=[value("x", ["N", "T", 6])]),
        "axis 1 of input 'x' has any length ('T'); only the",
    ),
    (model(inputs=[value("x", ["N", 0])]), "axis 1 of input 'x' has the length 0"),
    (model(inputs=[value("x", ["N", 2**40])]), "axis 1 of input 'x' has the length 1099511627776"),
    (
        model(inputs=[value("x", ["N"])]),
        "input 'x' has 1 axes; should have a batch axis and others",
    ),
    (model(inputs=[value("x", None)]), "input 'x' has no shape; should have"),
    (
        model(inputs=[value("x", ["N", 6], TensorProto.UINT8)]),
        "input 'x' is uint8; should be one of",
    ),
    (
        model(
            [node("Sub", "x m", "y")],
            [value("x", ["N", 2**30])],
            constants=[tensor(FLOATS[0, 0], "m")],
        ),
        "it needs much more memory than the file has numbers",
    ),
    (
        model(
            [node("Slice", "x s e a", "y")],
            [value("x", ["N", 2**30])],
            constants=[
                *(tensor([0], "s"), tensor([2**29], "e"), tensor([1], "a")),
            ],
        ),
        "536,870,912 columns; should be 1 to 1,000,000",
    ),
    (
        model(
            [node("Reshape", "x s", "y")],
            [value("x", ["N", 6])],
            constants=[tensor([-1] * 5000, "s")],
        ),
        "a target of int64 (5000,); should be lengths",
    ),
    (
        model([node("\x1b[31m" + "R" * 1000, "x", "y", name="\x1b]0;" + "a" * 5000)]),
        r"node '\x1b]0;aaaa",
    ),
]


@pytest.mark.parametrize(("proto", "sentence"), REFUSED)
def test_hostile_and_foreign_models_are_refused_before_memory_is_taken(
    proto: Any, sentence: str, tmp_path: Path
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=re.escape(sentence)) as caught:
            read(proto, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()
    assert str(caught.value).startswith(str(tmp_path / "model.onnx"))
    assert len(str(caught.value)) < 2000
    assert "\x1b" not in str(caught.value)


GOOD = model(constants=[W]).SerializeToString()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        GOOD[:-1],
        GOOD[: len(GOOD) // 2],
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a graph of 2^62 bytes
        b"\x3a" + b"\xff" * 20,
        b"\x38\x01" + b"\x42\x02\x10\x14",  # a graph that is a number
        b"\x0b" * 1000,  # groups
    ],
)
def test_files_that_are_no_models_are_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"model\.onnx: damaged, or not an ONNX file"):
        read(content, tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="can't be read: No such file"):
        from_onnx(tmp_path / "none.onnx")


@pytest.mark.parametrize("part", [1, 5, 11, 12])
def test_very_many_empty_parts_take_no_memory(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerkit.exchange.onnx.protobuf.MOST_FIELDS", 2000)
    parts = bytes([part << 3 | 2, 0]) * 100_000
    length = len(parts)
    head = b"\x42\x02\x10\x14\x3a"
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    tracemalloc.start()
    try:
        with pytest.raises(FileError):
            read(head + bytes([length]) + parts, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < len(parts) + 300 * 2000
    finally:
        tracemalloc.stop()


def test_a_long_chain_and_a_long_ladder_are_read(tmp_path: Path) -> None:
    chain = [node("Tanh", f"h{i}" if i else "x", f"h{i + 1}") for i in range(2000)]
    net = read(model([*chain, node("Identity", "h2000", "y")]), tmp_path)
    assert len(net.body.layers) == 2000  # type: ignore[attr-defined]
    ladder = [node("Add", f"h{i} x" if i else "x x", f"h{i + 1}") for i in range(300)]
    net = read(model([*ladder, node("Identity", "h300", "y")]), tmp_path)
    assert np.array_equal(net.outputs(np.ones((1, 6), "f")), np.full((1, 6), 301))


@pytest.mark.parametrize("name", ["skip.old.onnx", "norms.new.onnx", "words.old.onnx"])
def test_damaged_files_end_in_a_sentence_or_are_read(name: str, tmp_path: Path) -> None:
    rng, good = np.random.default_rng(0), (FOLDER / name).read_bytes()
    refused = 0
    for _ in range(300):
        content = bytearray(good)
        for place in rng.integers(len(good), size=rng.integers(1, 4)):
            content[place] = rng.integers(256)
        try:
            read(
                bytes(content[: rng.integers(len(good)) if rng.random() < 0.2 else None]), tmp_path
            )
        except FileError as error:
            refused += str(error).startswith(str(tmp_path))
    assert refused > 50
