import copy
import json
import math
import os
import pickle
import struct
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from layerkit import (
    SGD,
    Adam,
    Array,
    BatchNorm,
    BinaryCrossEntropy,
    ConfigError,
    DataError,
    Dense,
    DivergenceError,
    FileError,
    Focal,
    Graph,
    KLDivergence,
    Layer,
    LeCunNormal,
    LogSoftmax,
    Loss,
    MeanSquaredError,
    Network,
    Optimizer,
    Param,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Shape,
    ShapeError,
    Sigmoid,
    Softmax,
    SoftmaxCrossEntropy,
    Standardize,
    Tanh,
    Zeros,
    fit,
    to_config,
)
from layerkit.files.atomic import read_tensors, write_tensors
from layerkit.files.mapped import CHUNK
from tests.files.mutations import mutated

RNG = np.random.default_rng(7)
X, T = RNG.normal(size=(50, 4)), RNG.integers(0, 3, 50)


def network(dtype: Any = "float32", seed: int = 1) -> Network:
    body = Sequential([Dense(6), Sigmoid(), Sequential([Dense(5), ReLU()]), Dense(3)])
    return Network(body, SoftmaxCrossEntropy(), (4,), dtype).initialize(seed)


def train(net: Network, steps: int, optimizer: Adam | None = None) -> Array:
    optimizer = optimizer or Adam(lr=0.01)
    for _ in range(steps):
        net.gradient(X, T)
        optimizer.step(net.arena.values, net.arena.grads)
    return net.arena.values


# Building


def test_addresses_are_the_same_everywhere() -> None:
    net = network()
    layers = [f"body.layers.{i}" for i in ("0", "2.layers.0", "3")]
    assert list(net.params()) == [f"{layer}.{name}" for layer in layers for name in ("W", "b")]
    assert list(net.arena.params) == list(net.params())
    assert [layer.address for _, layer in net.layers()] == [address for address, _ in net.layers()]
    assert net.arena.values.size == 4 * 6 + 6 + 6 * 5 + 5 + 5 * 3 + 3


def test_the_same_layer_twice_is_refused_and_can_still_be_used() -> None:
    dense = Dense(4)
    with pytest.raises(
        ConfigError, match=r"body\.layers\.2: this Dense is in use as body\.layers\.0"
    ):
        Network(Sequential([dense, ReLU(), dense]), SoftmaxCrossEntropy(), (4,))
    assert Network(dense, SoftmaxCrossEntropy(), (4,)).predict(np.ones((1, 4))).shape == (1,)


class OwnLoss(Loss):
    includes = ("Tanh",)

    def losses(self, z: Array, t: Array) -> Array:
        return np.abs(z).sum(axis=-1)

    def gradients(self) -> Array:
        return np.zeros(1)


@pytest.mark.parametrize(
    ("body", "loss", "where"),
    [
        (Sequential([Dense(3), Softmax()]), SoftmaxCrossEntropy(), r"body\.layers\.1: Softmax"),
        (Sequential([Dense(3), Softmax()]), Focal(), r"body\.layers\.1: Focal applies Softmax"),
        (Sequential([Dense(3), Softmax()]), KLDivergence(), r"body\.layers\.1: KLDivergence appl"),
        (Sequential([Dense(3), Sigmoid()]), BinaryCrossEntropy(), r"1: BinaryCrossEntropy applies"),
        (Sequential([Dense(3), Tanh()]), OwnLoss(), r"body\.layers\.1: OwnLoss applies Tanh its"),
        (Softmax(), SoftmaxCrossEntropy(), r"body: SoftmaxCrossEntropy applies Softmax itself"),
        (
            Sequential([Dense(3), Sequential([ReLU(), Softmax()])]),
            SoftmaxCrossEntropy(),
            r"body\.layers\.1\.layers\.1: SoftmaxCrossEntropy applies",
        ),
        (
            Graph({"a": Dense(3), "p": Softmax()}, ["input -> a -> p -> output"]),
            SoftmaxCrossEntropy(),
            r"body\.nodes\.p: SoftmaxCrossEntropy applies",
        ),
    ],
)
def test_an_activation_that_the_loss_applies_itself_is_refused_at_the_end(
    body: Layer, loss: Loss, where: str
) -> None:
    with pytest.raises(ConfigError, match=rf"{where}.*it would be applied twice: leave"):
        Network(body, loss, (4,))
    # the layers can still be used, and elsewhere in a network the activation is welcome
    Network(Sequential([body, Dense(3)]), loss, (4,))


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        (LogSoftmax(), SoftmaxCrossEntropy()),  # softmax(log p) = p
        (Softmax(), MeanSquaredError()),
        (Sigmoid(), MeanSquaredError()),
        (Residual(Softmax()), SoftmaxCrossEntropy()),
    ],
)
def test_other_activations_may_end_a_body(last: Layer, loss: Loss) -> None:
    Network(Sequential([Dense(3), last]), loss, (4,))


def test_a_layer_of_another_network_is_refused_and_goes_on_working_there() -> None:
    net = network()
    before = net.outputs(X)
    assert isinstance(net.body, Sequential)
    with pytest.raises(ConfigError, match=r"in use as body\.layers\.0 already.* net.body\[:2\]"):
        Network(net.body.layers[0], SoftmaxCrossEntropy(), (4,))
    with pytest.raises(ConfigError, match="in use as body already"):
        Network(net.body, SoftmaxCrossEntropy(), (4,))
    np.testing.assert_array_equal(net.outputs(X), before)
    twin = Network(copy.deepcopy(net.body), SoftmaxCrossEntropy(), (4,)).initialize(1)
    np.testing.assert_array_equal(twin.outputs(X), before)


class RefusesShapes(Layer):
    """A user's layer that raises what is not one of layerkit's own errors."""

    def build(self, shape: Shape) -> Shape:
        if shape != (2,):
            raise ValueError(f"no {shape}")
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return x

    def backward(self, dy: Array) -> Array:
        return dy


@pytest.mark.parametrize(
    ("layers", "shape", "sentence"),
    [
        ([Dense(2), Reshape((5,))], (3,), "takes examples of 5 numbers"),
        ([Dense(2), Dense(1)], (3,), "at least two outputs"),
        ([Dense(3), RefusesShapes()], (3,), r"no \(3,\)"),
    ],
)
def test_layers_can_be_used_after_a_build_that_failed(
    layers: list[Layer], shape: Shape, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        Network(Sequential(layers), SoftmaxCrossEntropy(), shape)
    assert all(not layer.address and layer.wants_dx for layer in layers)
    net = Network(Sequential([layers[0], Dense(2)]), SoftmaxCrossEntropy(), (7,))
    net.gradient(np.ones((1, 7)), [0])
    assert net.arena.grads.any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"shape": ()}, "shape"),
        ({"shape": (0,)}, r"shape.0 = 0: should be greater than 0"),
        ({"shape": (True,)}, "shape.0 = True"),
        ({"shape": 4}, "shape = 4"),
        ({"dtype": "float16"}, "dtype = 'float16'"),
        ({"dtype": "int32"}, "dtype = 'int32'"),
        ({"body": [Dense(2)]}, "body"),
        ({"loss": "SoftmaxCrossEntropy"}, "loss"),
    ],
)
def test_options_that_make_no_network(options: dict[str, Any], sentence: str) -> None:
    right = {"body": Dense(2), "loss": SoftmaxCrossEntropy(), "shape": (4,)}
    with pytest.raises(ConfigError, match=sentence):
        Network(**{**right, **options})


def test_the_seed_decides_every_bit() -> None:
    np.testing.assert_array_equal(network(seed=3).arena.values, network(seed=3).arena.values)
    assert (network(seed=3).arena.values != network(seed=4).arena.values).any()


def test_each_parameter_draws_from_a_stream_of_its_own() -> None:
    """What one layer draws doesn't move the others."""
    weights = []
    for init in (LeCunNormal(), Zeros()):
        body = Sequential([Dense(4, init=init), Dense(4)])
        net = Network(body, SoftmaxCrossEntropy(), (4,)).initialize(3)
        weights.append([net.params()[f"body.layers.{i}.W"].value for i in (0, 1)])
    np.testing.assert_array_equal(weights[0][1], weights[1][1])
    assert (weights[0][0] != weights[0][1]).all()


def test_a_thousand_layers() -> None:
    layers: list[Layer] = [layer for _ in range(500) for layer in (Dense(2), ReLU())]
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), (2,))
    net.gradient(np.ones((3, 2)), [0, 1, 0])
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.arena.values, net.arena.values)
    assert len(net.summary().split("\n")) == 1002


# What goes in

NAN_AT_3_1 = X.copy()
NAN_AT_3_1[3, 1] = math.nan
FAR = np.zeros((CHUNK + 9, 4))
FAR[CHUNK + 5, 2] = -math.inf

BAD_EXAMPLES = [
    (NAN_AT_3_1, DataError, r"x\[3, 1\] is nan; should be a finite float32"),
    (FAR, DataError, rf"x\[{CHUNK + 5}, 2\] is -inf"),
    (X * 1e300, DataError, r"x\[0, 0\] is .*e\+\d+; should be a finite float32"),
    (X[:0], DataError, "no examples"),
    (X[:, :3], ShapeError, r"examples have shape \(50, 3\); should be \(N, 4\)"),
    (X[0], ShapeError, "without a batch axis"),
    (X[None], ShapeError, "examples have shape"),
    (X.astype(complex), DataError, "examples of type complex128"),
    (X.astype(str), DataError, "examples of type <U"),
    (np.full((2, 4), None), DataError, "examples of type object"),
    (None, DataError, "examples are of type NoneType"),
]
BAD_TARGETS = [
    (T[:-1], DataError, r"50 examples with targets of shape \(49,\)"),
    (np.append(T, 0), DataError, r"50 examples with targets of shape \(51,\)"),
    (T[:, None] + [0, 0], DataError, r"labels of shape \(50, 2\)"),
    (T[:0], DataError, r"50 examples with targets of shape \(0,\)"),
    (3, DataError, "targets are of type int; should be an array or a list"),
    ({"a": range(50)}, DataError, "targets are of type dict; should be"),
    ([np.zeros(50)] * 2, DataError, r"of shape \(2, 50\); several targets are columns of one arr"),
    (T - 1, DataError, r"label -1 of example \d+; should be class numbers 0 … 2"),
    (T + 1, DataError, r"label 3 of example \d+; should be class numbers 0 … 2"),
    (np.where(T == 1, math.nan, T), DataError, r"label nan of example \d+"),
    (None, DataError, "targets are of type NoneType"),
]


@pytest.mark.parametrize(
    ("x", "t", "error", "sentence"),
    [(x, T, error, sentence) for x, error, sentence in BAD_EXAMPLES if x is not FAR]
    + [(FAR, np.zeros(len(FAR), int), DataError, BAD_EXAMPLES[1][2])]
    + [(X, t, error, sentence) for t, error, sentence in BAD_TARGETS],
)
def test_a_refused_gradient_changes_nothing(x: Any, t: Any, error: Any, sentence: str) -> None:
    net = network()
    net.gradient(X, T)
    values, grads = net.arena.values.copy(), net.arena.grads.copy()
    with pytest.raises(error, match=sentence):
        net.gradient(x, t)
    np.testing.assert_array_equal(net.arena.values, values)
    np.testing.assert_array_equal(net.arena.grads, grads)


@pytest.mark.parametrize(("x", "error", "sentence"), BAD_EXAMPLES)
@pytest.mark.parametrize("method", ["predict", "predict_proba", "outputs"])
def test_predictions_for_bad_examples_are_refused(
    x: Any, error: Any, sentence: str, method: str
) -> None:
    with pytest.raises(error, match=sentence):
        getattr(network(), method)(x)


def test_what_is_too_big_for_float32_is_not_for_float64() -> None:
    assert network("float64").predict(X * 1e300).shape == (50,)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    net = network()
    net.arena.values[-1] = math.nan
    with pytest.raises(DivergenceError, match="the loss is nan"):
        net.gradient(X, T)


def test_bytes_are_images_and_other_numbers_are_themselves() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), (3,))
    image = np.array([[0, 51, 255]], np.uint8)
    np.testing.assert_array_equal(net.outputs(image), net.outputs(image.astype(float) / 255))
    for kind in (np.int64, np.uint16, np.float16, np.float64, np.longdouble):
        expected = net.outputs(image.astype(np.float32))
        np.testing.assert_array_equal(net.outputs(image.astype(kind)), expected)
    np.testing.assert_array_equal(net.outputs([[True, False, True]]), net.outputs([[1, 0, 1]]))


@pytest.mark.parametrize("rows", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 7])
def test_predictions_do_not_depend_on_what_is_predicted_along_with_them(rows: int) -> None:
    net, x = network("float64"), np.random.default_rng(2).normal(size=(rows, 4))
    outputs = net.outputs(x)
    assert outputs.shape == (rows, 3)
    for row in {0, rows // 2, rows - 1}:
        np.testing.assert_allclose(
            outputs[row : row + 1], net.outputs(x[row : row + 1]), rtol=1e-12
        )
    np.testing.assert_array_equal(net.predict(x), outputs.argmax(axis=1))
    np.testing.assert_allclose(net.predict_proba(x).sum(axis=1), 1, rtol=1e-12)


def test_data_are_never_written_to() -> None:
    net, x, t = network("float64"), X.copy(), np.eye(3)[T]
    x.flags.writeable = t.flags.writeable = False
    net.gradient(x, t)
    net.predict_proba(x)
    np.testing.assert_array_equal(x, X)


def test_many_threads_may_predict_with_one_network() -> None:
    net = network()
    batches = [np.random.default_rng(i).normal(size=(60 + i, 4)) for i in range(40)]
    expected = [net.predict_proba(batch) for batch in batches]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(5):
                for found, right in zip(
                    pool.map(net.predict_proba, batches), expected, strict=True
                ):
                    np.testing.assert_array_equal(found, right)
    finally:
        sys.setswitchinterval(interval)


# Copies


def by_deepcopy(net: Network, folder: Path) -> Network:
    return copy.deepcopy(net)


def by_pickle(net: Network, folder: Path) -> Network:
    copied: Network = pickle.loads(pickle.dumps(net))
    return copied


def by_file(net: Network, folder: Path) -> Network:
    net.save(folder / "model.safetensors")
    return Network.load(folder / "model.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("how", [by_deepcopy, by_pickle, by_file])
def test_copies_train_on_as_the_original_and_apart_from_it(
    how: Callable[[Network, Path], Network], dtype: str, tmp_path: Path
) -> None:
    """With the optimizer in mid-run: its state and the network's have to go on together."""
    net, optimizer = network(dtype), Adam(lr=0.01)
    train(net, 5, optimizer)
    twin, twins_optimizer = how(net, tmp_path), copy.deepcopy(optimizer)
    assert twin == net
    before = net.arena.values.copy()
    trained = train(twin, 30, twins_optimizer)
    np.testing.assert_array_equal(net.arena.values, before)
    assert (trained != before).any()
    np.testing.assert_array_equal(train(net, 30, optimizer), trained)
    np.testing.assert_array_equal(net.outputs(X), twin.outputs(X))
    for param in twin.params().values():
        assert np.shares_memory(param.value, twin.arena.values)
        assert np.shares_memory(param.grad, twin.arena.grads)


def test_network_and_optimizer_can_be_copied_together() -> None:
    net, optimizer = network(), Adam(lr=0.01)
    train(net, 3, optimizer)
    twin, twins_optimizer = pickle.loads(pickle.dumps((net, optimizer)))
    np.testing.assert_array_equal(train(twin, 5, twins_optimizer), train(net, 5, optimizer))


def test_a_shallow_copy_is_refused() -> None:
    with pytest.raises(ConfigError, match="in use as body already"):
        copy.copy(network())


# Files


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    network().save(path)
    return path


def header_of(content: bytes) -> tuple[str, bytes]:
    size = struct.unpack("<Q", content[:8])[0]
    return content[8 : 8 + size].decode(), content[8 + size :]


def with_header(header: str, rest: bytes) -> bytes:
    return struct.pack("<Q", len(header.encode())) + header.encode() + rest


def test_a_file_holds_tensors_by_address_and_the_configuration(path: Path) -> None:
    header = json.loads(header_of(path.read_bytes())[0])
    config = json.loads(header.pop("__metadata__")["layerkit.Network"])
    assert set(header) == set(network().params())
    assert header["body.layers.3.W"]["shape"] == [5, 3]
    assert config["body"]["layers"][0]["units"] == 6


@pytest.mark.parametrize("start", range(13))
def test_a_truncated_file_is_refused(path: Path, start: int) -> None:
    content = path.read_bytes()
    for size in range(start, len(content), 13):
        path.write_bytes(content[:size])
        with pytest.raises(FileError, match=r"model\.safetensors"):
            Network.load(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        b"\x80\x04\x95cos\nsystem\n",
        b"\xff" * 100,
        b"{}" * 50,
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 4) + b"\xff\xff\xff\xff",
    ],
)
def test_a_foreign_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(FileError, match=r"model\.safetensors: "):
        Network.load(path)


def test_tensors_of_another_program_are_refused(path: Path) -> None:
    save_file({"w": np.ones(3)}, path, {"format": "pt"})
    with pytest.raises(FileError, match="has no checksum: damaged, or not saved by layerkit"):
        Network.load(path)
    write_tensors(path, {"w": np.ones(3)}, {"format": "pt"})
    with pytest.raises(FileError, match="is not a network that was saved by layerkit"):
        Network.load(path)


def test_surplus_bytes_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FileError, match="damaged"):
        Network.load(path)


@pytest.mark.parametrize("name", ["body.layers.0.W", "__metadata__"])
def test_a_name_that_stands_there_twice_is_refused(path: Path, name: str) -> None:
    header, rest = header_of(path.read_bytes())
    value = json.dumps(json.loads(header)[name])
    path.write_bytes(with_header("{" + f'"{name}":{value},' + header.lstrip()[1:], rest))
    with pytest.raises(FileError, match=f"{name}.* twice|[Dd]uplicate"):
        Network.load(path)


Tensors = dict[str, Array]


def rename(tensors: Tensors) -> None:
    tensors["other"] = tensors.pop("body.layers.0.b")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.pop("body.layers.0.W"), r"missing tensors: body\.layers\.0\.W"),
        (lambda t: t.update(more=np.ones(2)), "unexpected tensors: more"),
        (rename, r"missing tensors: body\.layers\.0\.b"),
        (
            lambda t: t.update({"body.layers.0.W": np.ones((6, 4), "f4")}),
            r"body\.layers\.0\.W is float32 \(6, 4\); should be float32 \(4, 6\)",
        ),
        (
            lambda t: t.update({"body.layers.0.W": np.ones(24, "f4")}),
            r"is float32 \(24,\); should be float32 \(4, 6\)",
        ),
        (
            lambda t: t.update({"body.layers.0.b": np.ones(6, "f8")}),
            r"is float64 \(6,\); should be float32 \(6,\)",
        ),
        (
            lambda t: t.update({"body.layers.0.b": np.ones(6, "i4")}),
            r"is int32 \(6,\); should be float32 \(6,\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    path: Path, change: Callable[[Tensors], object], sentence: str
) -> None:
    tensors = {address: param.value for address, param in network().params().items()}
    metadata = json.loads(header_of(path.read_bytes())[0])["__metadata__"]
    del metadata["layerkit.sha256"]
    change(tensors)
    write_tensors(path, tensors, metadata)
    with pytest.raises(FileError, match=sentence):
        Network.load(path)


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        '"Network"',
        "{}",
        '{"type": "Network"}',
        '{"type": "Dense", "units": 3}',
        '{"type": "os.system"}',
        json.dumps({"body": {"type": "Dens", "units": 3}, "loss": {}, "shape": [4]}),
        json.dumps({"body": {"type": "Dense", "units": 0}, "loss": {}, "shape": [4]}),
        json.dumps({"body": {"type": "Dense", "units": 3}, "loss": {}, "shape": "4"}),
        json.dumps({"body": {"type": "Reshape", "shape": [3]}, "loss": {}, "shape": [4]}),
        json.dumps(to_config(network()) | {"loss": {"type": "Los"}}),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(path: Path, config: str) -> None:
    tensors = {address: param.value for address, param in network().params().items()}
    write_tensors(path, tensors, {"layerkit.Network": config})
    with pytest.raises(FileError, match="the network that it describes can't be built") as caught:
        Network.load(path)
    named = ('"Dens"', '"Los"', "os.system")
    assert str(caught.value).count("imported first") == any(name in config for name in named)


def test_a_file_without_its_tensors_is_refused_before_they_take_memory(path: Path) -> None:
    config = to_config(network())
    config["body"]["layers"].insert(0, {"type": "Dense", "units": 10**9})
    write_tensors(path, {}, {"layerkit.Network": json.dumps(config)})
    tracemalloc.start()
    try:
        with pytest.raises(FileError, match=r"missing tensors: body\.layers\.0\.W"):
            Network.load(path)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["missing.safetensors", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match=f"{name}: can't be read"):
        Network.load(tmp_path / name)


@pytest.mark.parametrize("name", ["missing/model.safetensors", "folder"])
def test_where_no_file_can_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match=f"{name}: can't be written"):
        network().save(tmp_path / name)
    assert [item.name for item in tmp_path.iterdir()] == ["folder"]
    assert not list((tmp_path / "folder").iterdir())


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, exists: bool
) -> None:
    path, net = tmp_path / "model.safetensors", network()
    if exists:
        net.save(path)
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}
    train(net, 1)

    def fail(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(FileError, match=r"model\.safetensors: can't be written: No space left"):
        net.save(path)
    monkeypatch.undo()
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before


def test_an_interrupted_write_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        network(seed=2).save(path)
    assert [item.read_bytes() for item in path.parent.iterdir()] == [before]


def test_file_and_folder_are_synced_around_the_rename(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real: dict[str, Callable[..., Any]] = {"replace": os.replace, "fsync": os.fsync}

    def watch(name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls.append(name)
            return real[name](*args)

        return call

    for name in real:
        monkeypatch.setattr(os, name, watch(name))
    network().save(path)
    assert calls == ["fsync", "replace", "fsync"]


def test_a_saved_file_has_the_usual_permissions(path: Path) -> None:
    usual = path.with_name("usual")
    usual.write_text("")
    assert path.stat().st_mode == usual.stat().st_mode


def test_saving_and_loading_keeps_every_bit(path: Path) -> None:
    net = network("float64")
    net.arena.values[:5] = [math.pi, 5e-324, -0.0, 1e308, 1 / 3]
    net.save(str(path))
    assert Network.load(str(path)).arena.values.tobytes() == net.arena.values.tobytes()


def test_what_is_not_finite_is_never_a_prediction() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    with pytest.raises(DivergenceError, match="output for example 1 is not finite"):
        net.predict(np.array([[0, 0, 0], [3e38, 3e38, -3e38]]) * np.sign(net.arena.values[0]))
    net.arena.values = np.full(8, np.nan)
    for ask in (net.predict, net.predict_proba, net.outputs):
        with pytest.raises(DivergenceError):
            ask(np.ones((2, 3)))


def test_a_file_with_nan_or_names_twice_is_refused(tmp_path: Path) -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    net.arena.values[3] = np.nan
    net.save(tmp_path / "nan.safetensors")
    with pytest.raises(FileError, match=r"body\.W has values that are not finite"):
        Network.load(tmp_path / "nan.safetensors")
    config = json.dumps(to_config(net)).replace('"shape": [3]', '"shape": [3], "shape": [3]')
    write_tensors(tmp_path / "twice.safetensors", {}, {"layerkit.Network": config})
    with pytest.raises(FileError, match="'shape' is given twice"):
        Network.load(tmp_path / "twice.safetensors")


class ScaleAll(Layer):
    def build(self, shape: Shape) -> Shape:
        self.a = Param((), Zeros())
        return shape

    def forward(self, x: Array, train: bool = True) -> Array:
        return x * self.a.value

    def backward(self, dy: Array) -> Array:
        return dy * self.a.value


def test_scalar_parameters_are_saved(tmp_path: Path) -> None:
    net = Network(ScaleAll(), SoftmaxCrossEntropy(), shape=(3,))
    net.arena.values = np.array([2.5])
    net.save(tmp_path / "m.safetensors")
    again = Network.load(tmp_path / "m.safetensors")
    assert again.params()["body.a"].value == 2.5


def test_assigning_the_vector_of_parameters_reaches_the_layers() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    net.arena.values = net.arena.values * 2 + 1
    assert net.params()["body.b"].value.tolist() == [1, 1]


def test_a_parameter_in_two_places_is_refused() -> None:
    class Borrower(Layer):
        first: Dense

        def build(self, shape: Shape) -> Shape:
            out = self.first.place(shape, address=f"{self.address}.first")
            self.W = self.first.W
            return out

        def forward(self, x: Array, train: bool = True) -> Array:
            return self.first.forward(x, train)

        def backward(self, dy: Array) -> Array:
            return self.first.backward(dy)

    with pytest.raises(ConfigError, match=r"two addresses, body\.W and body\.first\.W"):
        Network(Borrower(Dense(2)), SoftmaxCrossEntropy(), shape=(3,))


def test_masked_and_ragged_arrays_are_refused() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    with pytest.raises(DataError, match="examples are a masked array"):
        net.predict(np.ma.masked_less(np.ones((2, 3)), 2))
    with pytest.raises(DataError, match="examples are not an array"):
        net.predict([[1, 2, 3], [1, 2]])


def test_own_fields_do_not_take_the_names_of_the_base() -> None:
    with pytest.raises(ConfigError, match=r"Scratchy\.t: Optimizer has an attribute of this name"):

        class Scratchy(Optimizer):
            t: int = 1

            def update(self, w: Array, g: Array, *slots: Array) -> None:
                w -= g


def test_a_file_with_any_part_mistyped_is_refused_or_predicts(path: Path) -> None:
    body = Sequential([Standardize(), Dense(6), BatchNorm(), Dense(3)])
    net = Network(body, SoftmaxCrossEntropy(), shape=(4,))
    x = np.random.default_rng(0).normal(size=(20, 4))
    fit(net, SGD(), x, ["a", "b", "c", "a"] * 5, epochs=1)
    net.save(path)
    tensors, metadata = read_tensors(path)
    tree = {key: json.loads(text) for key, text in metadata.items()} | {"tensors": tensors}
    refused = 0
    for what, changed in mutated(tree, 150):
        arrays = changed.pop("tensors", {})
        try:
            texts = {key: json.dumps(table) for key, table in changed.items()}
            write_tensors(path, arrays, texts)
        except (AttributeError, TypeError):  # no such file can be written
            continue
        try:
            again = Network.load(path)
        except FileError:
            refused += 1
            continue
        assert (again.predict(x) == net.predict(x)).all() or "left out" in what, what
    assert refused > 60
