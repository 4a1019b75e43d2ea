"""ONNX models predict what the network predicts, in onnxruntime."""

import copy
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from layerkit import (
    GELU,
    SGD,
    Array,
    BatchNorm,
    BinaryCrossEntropy,
    ConfigError,
    Dense,
    Dropout,
    FileError,
    Flatten,
    Graph,
    GroupNorm,
    Join,
    Lambda,
    Layer,
    LayerkitError,
    LeCunNormal,
    Loss,
    MeanSquaredError,
    Network,
    ReLU,
    ReLU6,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    SiLU,
    Softmax,
    SoftmaxCrossEntropy,
    Standardize,
    Tanh,
    fit,
    from_onnx,
)
from layerkit.cli import main
from layerkit.graph.container import Container, Wiring
from layerkit.parameters import Param
from layerkit.recording.onnx.model import onnx_model
from tests.test_contract import LAYERS, LOSSES, SEVERAL_INPUTS, named, numbers_for

EXACT = {"float32": 1e-5, "float64": 1e-12}


def asked(net: Network, output: str) -> Callable[[Any], Array]:
    """The method of the network that an output is."""
    methods = {"outputs": net.outputs, "probabilities": net.predict_proba}
    return methods.get(output, net.predict)


def check(
    net: Network, x: Array, outputs: Sequence[str] = ("outputs",), tolerance: float = 0
) -> Any:
    """Compare the model with the network, for batches of 7, 1 and 0 examples; return it."""
    model = onnx_model(net, outputs)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert [output.name for output in session.get_outputs()] == list(outputs)
    for N in (7, 1, 0):
        for name, found in zip(outputs, session.run(None, {"x": x[:N]}), strict=True):
            expected = asked(net, name)(x)[:N]
            assert found.shape == expected.shape
            if expected.dtype.kind == "U":
                assert found.tolist() == expected.tolist()
                continue
            assert found.dtype == expected.dtype
            error = np.abs(found.astype(float) - expected) / np.maximum(1, np.abs(expected))
            assert error.max(initial=0) <= (tolerance or EXACT[net.dtype]), name
    return model


def kinds(model: Any) -> list[str]:
    """The operators and functions of a model, in order."""
    return [node.op_type for node in model.graph.node if node.op_type != "Constant"]


def random_network(body: Layer, shape: Shape, loss: Loss | None = None, **options: Any) -> Network:
    """A network whose parameters and states are none of those that it begins with."""
    net = Network(body, loss or MeanSquaredError(), shape=shape, **options).initialize(0)
    rng = np.random.default_rng(1)
    net.arena.values += 0.1 * rng.normal(size=net.arena.values.shape)
    for item in net.declared().values():
        item.value = item.value + 0.1 * rng.random(item.shape)
    for fitted in net.fitted:
        fitted.value = np.ones(())
    return net


# Everything that is registered


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
def test_layers(layer: Layer, shape: Shape, dtype: Any) -> None:
    net = random_network(Sequential([copy.deepcopy(layer)]), shape, dtype=dtype)
    x, numbers = np.random.default_rng(0).normal(size=(7, *shape)), numbers_for(layer, shape)
    check(net, (x if numbers is None else numbers).astype(dtype))


@pytest.mark.parametrize(("layer", "shapes"), SEVERAL_INPUTS, ids=named)
def test_layers_of_several_inputs(layer: Layer, shapes: list[Shape]) -> None:
    names = [f"a{i}" for i in range(len(shapes))]
    nodes: dict[str, Layer] = {
        name: Sequential([Dense(int(np.prod(shape))), Reshape(shape)])
        for name, shape in zip(names, shapes, strict=True)
    }
    edges = [f"input -> {name}" for name in names] + [f"{', '.join(names)} -> all -> output"]
    net = random_network(Graph(nodes | {"all": copy.deepcopy(layer)}, edges), (4,))
    check(net, np.random.default_rng(0).normal(size=(7, 4)).astype("f"))


@pytest.mark.parametrize(("loss", "shape", "t"), LOSSES, ids=named)
def test_losses(loss: Loss, shape: Shape, t: Any) -> None:
    net = random_network(Dense(shape[-1]), (*shape[:-1], 4), copy.deepcopy(loss))
    outputs = ["outputs", "labels" if loss.judges_classes else "predictions"]
    outputs += ["probabilities"] * loss.has_probabilities
    x = np.random.default_rng(0).normal(size=(7, *shape[:-1], 4)).astype("f")
    check(net, x, outputs)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Dense(4), (3,), ["Gemm"]),
        (Dense(4), (2, 3), ["MatMul", "Add"]),
        (GELU(), (3,), ["Gelu"]),
        (GELU("sigmoid"), (3,), ["GELU_body"]),
        (SiLU(), (3,), ["SiLU_body"]),
        (Tanh(), (3,), ["Tanh"]),
        (Softmax(axis=-2), (2, 3), ["Softmax"]),
        (BatchNorm(), (3,), ["BatchNormalization"]),
        (BatchNorm(), (2, 3), ["Reshape", "BatchNormalization", "Reshape"]),
        (RMSNorm(), (3,), ["RMSNormalization"]),
        (GroupNorm(2), (4,), ["GroupNorm_body"]),
        (Residual(Dense(3)), (3,), ["Gemm", "Add"]),
        (Flatten(), (2, 3), ["Flatten"]),
        (Dropout(), (3,), ["Identity"]),
    ],
    ids=named,
)
def test_what_becomes_of_a_layer(layer: Layer, shape: Shape, expected: list[str]) -> None:
    assert kinds(onnx_model(random_network(copy.deepcopy(layer), shape))) == expected


def test_doubles_are_no_floats() -> None:
    """What onnxruntime has for floats alone, or with attributes that are floats, is written out."""
    for layer in (GELU(), BatchNorm()):
        net = random_network(copy.deepcopy(layer), (3,), dtype="float64")
        assert kinds(onnx_model(net)) == [f"{type(layer).__name__}_body"]
    assert kinds(onnx_model(random_network(BatchNorm(eps=0.125), (3,), dtype="float64"))) == [
        "BatchNormalization"
    ]


def test_onnxruntime_has_nothing_to_merge_that_it_cannot() -> None:
    net = random_network(Sequential([ReLU(), ReLU6()]), (3,), dtype="float64")
    check(net, np.random.default_rng(0).normal(size=(7, 3)) * 9)


# Inputs and outputs


def trained(t: Any, x: Array, **options: Any) -> Network:
    body = Sequential([Standardize(), Dense(5), ReLU(), Dense(options.pop("units", 2))])
    loss = options.pop("loss", None) or SoftmaxCrossEntropy()
    net = Network(body, loss, shape=x.shape[1:])
    fit(net, SGD(), x, t, epochs=1, seed=0, **options)
    return net


BYTES = np.random.default_rng(0).integers(0, 256, (20, 3), np.uint8)


@pytest.mark.parametrize(
    ("x", "kind"),
    [(BYTES, "uint8"), (BYTES % 2, "uint8"), (BYTES / 255, "float32"), (BYTES * 1e4, "float32")],
    ids=["bytes", "flags", "pixels", "numbers"],
)
def test_the_input_is_what_the_network_was_trained_with(x: Array, kind: str) -> None:
    net = trained(BYTES[:, 0] % 2, x)
    model = check(net, x[:7].astype(kind))
    (given,) = model.graph.input
    assert onnx.helper.printable_value_info(given) == f"%x[{kind.upper().replace('32', '')}, Nx3]"


def test_labels_have_the_names_of_the_classes() -> None:
    outputs = ["labels", "probabilities"]
    names = np.array(["ape", "bee"])[BYTES[:, 0] % 2]
    check(trained(names, BYTES), BYTES[:7], outputs)
    check(trained(names == "bee", BYTES), BYTES[:7], outputs)
    model = check(
        trained(names == "bee", BYTES, loss=BinaryCrossEntropy(), units=1), BYTES[:7], outputs
    )
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.BOOL


def test_standardized_targets_are_restored() -> None:
    t, loss = BYTES[:, :2] * [1.0, 1e3] - 7, MeanSquaredError()
    net = trained(t, BYTES, loss=loss, standardize_targets=True)
    check(net, BYTES[:7], ["predictions", "outputs"])


def test_all_names_are_addresses() -> None:
    body = Sequential([Dense(64), ReLU(), SiLU(), Dense(10)])
    model = check(random_network(body, (784,), SoftmaxCrossEntropy()), np.ones((7, 784), "f"))
    names = [f"body.layers.{i}" for i in range(4)]
    assert [node.name for node in model.graph.node] == [*names[:3], "outputs"]
    assert [node.output for node in model.graph.node] == [
        [name] for name in [*names[:3], "outputs"]
    ]
    assert [tensor.name for tensor in model.graph.initializer] == [
        f"body.layers.{i}.{name}" for i in (0, 3) for name in "Wb"
    ]
    assert [info.name for info in model.graph.value_info] == names[:3]
    (function,) = model.functions
    assert (function.domain, function.name) == ("layerkit", "SiLU_body_layers_2")
    assert function.doc_string == "SiLU(beta=1.0): y = x sigmoid(beta x)"
    assert (list(function.input), list(function.output)) == (["x"], ["y"])


def test_the_file_describes_itself_and_is_always_the_same(tmp_path: Path) -> None:
    net = random_network(Sequential([Dense(4), SiLU(), Dense(3)]), (3,), SoftmaxCrossEntropy())
    net.classes = ["a", "b", "c"]
    net.to_onnx(tmp_path / "a.onnx", ["labels"])
    copy.deepcopy(net).to_onnx(str(tmp_path / "b.onnx"), ["labels"])
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    model = onnx.load(tmp_path / "a.onnx")
    assert (model.producer_name, model.opset_import[0].version) == ("layerkit", 20)
    assert "body.layers.1  SiLU" in model.doc_string
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert '"units": 4' in facts["layerkit.Network"]
    assert '"classes": ["a", "b", "c"]' in facts["layerkit.SeenData"]


def test_a_function_of_ones_own_has_no_configuration_to_write() -> None:
    model = check(random_network(Lambda(np.sin, np.cos), (3,)), np.ones((7, 3), "f"))
    assert [prop.key for prop in model.metadata_props] == ["layerkit.SeenData"]


# Layers of one's own


class Twice(Container):
    """y = f(f(x)) x, with one part that is called twice, and a product of its own."""

    part: Layer

    def wiring(self) -> Wiring:
        return {"part": ("input",), "output": ("part",)}

    def forward(self, x: Array, train: bool = True) -> Array:
        y = self.part.forward(self.part.forward(x, train=train), train=train)
        return y * np.tanh(x)

    def backward(self, dy: Array) -> Array:
        return dy


class Attention(Layer):
    """y = softmax(q k^T / sqrt(d)) v, with q = x Q, k = x K, v = x V, and nothing to the right."""

    def build(self, shape: Shape) -> Shape:
        self.Q, self.K, self.V = (Param((shape[1], 4), LeCunNormal()) for _ in range(3))
        return shape[0], 4

    def forward(self, x: Array, train: bool = True) -> Array:
        q, k, v = x @ self.Q.value, x @ self.K.value, x @ self.V.value
        scores = np.matmul(q, k.swapaxes(1, 2)) / 2
        scores[:, np.triu(np.ones(scores.shape[1:]), 1) > 0] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.matmul(weights, v)

    def backward(self, dy: Array) -> Array:
        return dy


class Acting(Layer):
    """y = something of x."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return ACTION[0](x)

    def backward(self, dy: Array) -> Array:
        return dy


ACTION: list[Callable[[Array], Any]] = []


def own(action: Callable[[Array], Any], **options: Any) -> Network:
    ACTION[:] = [action]
    return Network(Acting(), MeanSquaredError(), shape=(4,), **options)


def test_layers_of_ones_own_travel_as_they_are() -> None:
    x = np.random.default_rng(0).normal(size=(7, 3, 5)).astype("f")
    body = Sequential([Attention(), Twice(Dense(4)), Twice(SiLU()), Twice(Acting()), Flatten()])
    ACTION[:] = [np.abs]
    model = check(random_network(body, (3, 5)), x)
    names = {function.name for function in model.functions}
    assert names == {
        "Attention_body_layers_0",
        "Twice_body_layers_1",
        "SiLU_body_layers_2_part",
        "SiLU_body_layers_2_part_2",
        "Twice_body_layers_2",
        "Twice_body_layers_3",
    }
    assert kinds(model)[1:5] == ["MatMul", "Add", "MatMul", "Add"], "a part is called twice"
    (attention,) = [node for node in model.graph.node if node.name == "body.layers.0"]
    assert list(attention.input) == ["x", *(f"body.layers.0.{name}" for name in "QKV")]


def selection(x: Array) -> Array:
    y = x[:, ::-1] + x[:, [2, 0, 0, -1]] + x[..., np.array([1, 1, 2, 3])]
    z = x[:, None, 1:3].repeat(2, axis=1) + x[:, np.array([[0, 1], [2, 3]])]
    return y + z.reshape(len(x), 4) + x[:, 1:2] + x[:, -1][:, None] + np.roll(x, 1, axis=1)


def places(x: Array) -> Array:
    y = x.copy()
    y[:, 1] = 0
    y[:, ::2] = x[:, 1::2]
    y[:, [0, 3]] += 1
    y[..., 1:3] -= 5
    y[y < -5] = 2
    y[x[:, 0] > 0] = 1
    y[:] += x
    z = y.reshape(-1, 2, 2)
    z[:, 1, 0] = 3
    z.swapaxes(1, 2)[:, 0] *= 2
    np.put_along_axis(y, x.argmin(axis=1, keepdims=True), 7, 1)
    np.copyto(y, x, where=x > 1)
    return y


def order(x: Array) -> Array:
    y = np.sort(x, axis=1) + np.take_along_axis(x, np.argsort(-x, axis=1), 1)
    y += np.cumsum(x, axis=1) + np.flip(x, 1)
    return y + x.argmax(axis=1)[:, None]


def sums(x: Array) -> Array:
    y = x - x.mean(axis=1, keepdims=True)
    y /= x.std(axis=-1, keepdims=True) + x.var(axis=1)[:, None] + np.linalg.norm(x, axis=1)[:, None]
    y += x.prod(axis=1, keepdims=True) + x.min(axis=1, keepdims=True) + x.max()
    y += (x > 0).any(axis=1, keepdims=True) + np.all(x > 0, axis=1, keepdims=True)
    return y + np.add.reduce(x) / 10 + (x > 0).sum(axis=1, keepdims=True) // 2


def products(x: Array) -> Array:
    W, w = np.arange(16, dtype=x.dtype).reshape(4, 4) / 16, np.ones(4, x.dtype)
    y = np.einsum("ni,ij->nj", x, W) + x @ W + np.dot(x, w)[:, None] + np.outer(x[:, 0], w)
    return y + np.matmul(x[:, None], np.tril(x[:, None] * x[:, :, None]))[:, 0]


def arithmetic(x: Array) -> Array:
    y = np.log1p(abs(x)) + np.expm1(x) + np.cbrt(x) + np.hypot(x, 1) + np.logaddexp(x, 0)
    y += np.copysign(2, x) + np.sign(x) * np.rint(x) + np.floor(x) + np.ceil(x) + np.trunc(x)
    y += np.mod(x, 2) + x // 0.5 + np.fmax(x, 0.1) + np.square(x) + 2**x + np.reciprocal(x)
    y += np.heaviside(x, 0.5) + np.arctan(x) + np.arcsinh(x) + np.sinh(x) + np.cosh(x) + np.tan(x)
    y += np.arcsin(np.tanh(x)) + np.arccos(np.sin(x)) + np.arctanh(np.tanh(x)) + np.log2(abs(x))
    y += np.isfinite(x) & ~np.isnan(x) | np.signbit(x) ^ (x != 0)
    whole = np.round(x * 10).astype(int)
    return y + whole % 3 + whole // 3 + np.nextafter(1, 2) * (whole.astype(bool) == (x > 2))


def special(x: Array) -> Array:
    from scipy.special import erf, erfc, expit, ndtr

    return erf(x) + erfc(x) + expit(x) + ndtr(x * 3)


def batch(x: Array) -> Array:
    y = np.ones_like(x) + np.zeros_like(x, shape=(len(x), 1)) + np.full_like(x, 2)
    y += np.ones((len(x), 1), x.dtype) + x / len(x) + (x * len(x)).sum(axis=1)[:, None]
    y.T[0] += np.arange(len(x))
    return y + np.broadcast_to(x[:, :1], x.shape) + x.sum().item() * np.float32(0.5)


def pieces(x: Array) -> Array:
    a, b = np.split(x, 2, axis=1)
    c, d = np.array_split(x, [1], axis=-1)
    both = np.stack([a, b], axis=-1).transpose(0, 2, 1).reshape(len(x), -1)
    return both + np.concatenate([d, c], axis=1) + np.moveaxis(x[:, :, None], 1, 2)[:, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "action",
    [selection, places, order, sums, products, arithmetic, special, batch, pieces],
    ids=lambda action: action.__name__,
)
def test_operations_of_numpy(action: Callable[[Array], Array], dtype: Any) -> None:
    x = np.random.default_rng(3).normal(size=(7, 4)).astype(dtype)
    net = own(action, dtype=dtype)
    if action in (sums, batch):  # which depend on the other examples
        model = onnx_model(net)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        for N in (1, 7):
            (found,) = session.run(None, {"x": x[:N]})
            np.testing.assert_allclose(found, net.outputs(x[:N]), 1e-5, 1e-5)
    else:
        check(net, x, tolerance=0 if dtype == "float32" else 1e-10)


# Refusals, before anything is written


class Drawing(Acting):
    """A layer that draws random numbers in a prediction."""

    random = True

    def forward(self, x: Array, train: bool = True) -> Array:
        return x + self.rng.random(x.shape, x.dtype)


def deciding(x: Array) -> Array:
    return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (deciding, r"body: test_onnx.py.*a decision by the values of an array"),
        (lambda x: np.interp(x, [0, 1], [0, 1]), "body: .*interp, used like this, has no form in"),
        (lambda x: np.linalg.svd(x @ x.T)[0] @ x, "svd|differs from batch"),
        (lambda x: x * np.quantile(x, 0.5), "quantile"),
        (lambda x: x[np.arange(len(x))], ""),
    ],
    ids=["decision", "interp", "svd", "quantile", "rows"],
)
def test_what_cannot_be_exported_is_named(
    action: Callable[[Array], Array], message: str, tmp_path: Path
) -> None:
    net = own(action)
    if not message:
        check(net, np.ones((7, 4), "f"))
        return
    with pytest.raises(LayerkitError, match=message):
        net.to_onnx(tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("loss", "outputs", "message"),
    [
        (
            MeanSquaredError(),
            ["labels"],
            "'labels': a network with MeanSquaredError has no such output",
        ),
        (MeanSquaredError(), ["probabilities"], "known are outputs, predictions"),
        (SoftmaxCrossEntropy(), ["predictions"], "known are outputs, probabilities, labels"),
        (SoftmaxCrossEntropy(), ["label"], "did you mean 'labels'"),
        (SoftmaxCrossEntropy(), ["outputs,labels"], "one by one, without commas"),
        (SoftmaxCrossEntropy(), [], r"outputs = \[\]: should be one or more of outputs, probab"),
        (SoftmaxCrossEntropy(), ["labels"] * 2, "each once"),
        (SoftmaxCrossEntropy(), "labels", r"outputs = 'labels': .*such as \('outputs',\)"),
    ],
)
def test_outputs_that_are_not_there(loss: Loss, outputs: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        Network(Dense(2), loss, shape=(3,)).to_onnx(tmp_path / "a.onnx", outputs)
    assert not list(tmp_path.iterdir())


def test_wrong_paths_and_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Network(Dense(2), MeanSquaredError(), shape=(3,))
    with pytest.raises(FileError, match=r"a.pt: should end in .onnx"):
        net.to_onnx(tmp_path / "a.pt")
    with pytest.raises(FileError, match=r"none/a.onnx: can't be written: No such file"):
        net.to_onnx(tmp_path / "none" / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"need onnx: .* pip install -e '.\[onnx\]'"):
        net.to_onnx(tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerkit.recording.onnx.model.LARGEST", 31)
    with pytest.raises(ConfigError, match=r"the parameters have 0.0 GB; an ONNX file has room for"):
        Network(Dense(2), MeanSquaredError(), shape=(3,)).to_onnx(tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_that_has_not_seen_its_data_is_refused(tmp_path: Path) -> None:
    net = Network(Sequential([Standardize(), Dense(2)]), MeanSquaredError(), shape=(3,))
    with pytest.raises(ConfigError, match="has not seen"):
        net.to_onnx(tmp_path / "a.onnx")


# There and back


def test_what_from_onnx_knows_comes_back(tmp_path: Path) -> None:
    nodes: dict[str, Layer] = {"a": Dense(3), "b": Tanh(), "both": Join(), "c": Dense(4)}
    edges = ["input -> a -> b", "a, b -> both -> c -> output"]
    body = Sequential([Dense(5), ReLU(), BatchNorm(), Residual(Dense(5)), Graph(nodes, edges)])
    net = random_network(body, (3,))
    net.to_onnx(tmp_path / "model.onnx")
    x = np.random.default_rng(0).normal(size=(7, 3)).astype("f")
    there = from_onnx(tmp_path / "model.onnx", MeanSquaredError())
    np.testing.assert_allclose(there.outputs(x), net.outputs(x), 1e-5, 1e-6)
    random_network(SiLU(), (3,)).to_onnx(tmp_path / "model.onnx")
    with pytest.raises(LayerkitError, match=r"has functions of its own, such as 'SiLU_body'"):
        from_onnx(tmp_path / "model.onnx", MeanSquaredError())


def test_the_command_exports_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("x,kind\n" + "1,far\n2,near\n" * 20)
    (tmp_path / "a.toml").write_text(f"""
[network]
shape = [1]
loss = {{type = "SoftmaxCrossEntropy"}}
body = {{type = "Dense", units = 2}}
[optimizer]
type = "SGD"
[data]
path = '{tmp_path / "a.csv"}'
label = "kind"
[training]
epochs = 1
""")
    run, model = str(tmp_path / "run"), str(tmp_path / "model.onnx")
    assert main(["train", str(tmp_path / "a.toml"), "--out", run]) == 0
    assert main(["export", run, model, "--outputs", "labels", "probabilities"]) == 0
    assert capsys.readouterr().out.endswith(f"The network is in {model}\n")
    labels, p = onnxruntime.InferenceSession(model).run(None, {"x": np.ones((2, 1), "f")})
    assert set(labels) <= {"far", "near"}
    assert p.shape == (2, 2)
    for words, message in [
        ([str(tmp_path / "none"), model], "none"),
        ([run, "model"], "model: should end in .onnx"),
        ([run, model, "--outputs", "label"], "did you mean 'labels'"),
    ]:
        assert main(["export", *words]) == 1
        assert message in capsys.readouterr().err
