"""Rows of sparse matrices: multiplied as they are by a first Dense, dense for everything else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from layerkit import (
    LSUV,
    SGD,
    Adam,
    Array,
    BatchNorm,
    Checkpoints,
    ConfigError,
    DataError,
    Dense,
    DivergenceError,
    Dropout,
    Graph,
    Layer,
    Multiply,
    Network,
    ReLU,
    Residual,
    Sequential,
    SoftmaxCrossEntropy,
    Standardize,
    evaluate,
    fit,
    profile,
    trace,
    train,
)
from layerkit.data.sparse import SparseRows, takes_sparse
from layerkit.files.mapped import Subset
from layerkit.layers.watch import watched
from layerkit.recording import record
from layerkit.training.divergence import FailedStep
from layerkit.training.scale import ScaleWarning

RNG = np.random.default_rng(0)
N, FEATURES = 260, 600


def drawn(share: float = 0.02) -> Array:
    """Numbers few of which are not 0; and one row that is all 0."""
    x = RNG.normal(size=(N, FEATURES)) * (RNG.random((N, FEATURES)) < share)
    x[7] = 0
    return x


X = drawn()
T = (X.sum(axis=1) > 0).astype(int)
A = RNG.random(N)


def network(*first: Layer, dtype: Any = "float64") -> Network:
    body = Sequential([*first, Sequential([Dense(8), ReLU()]), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), (FEATURES,), dtype)


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the sparse rows that were multiplied."""
    found, dot = list[int](), SparseRows.dot

    def counted(self: SparseRows, *args: Any, **options: Any) -> Array:
        found.append(len(self))
        return dot(self, *args, **options)

    monkeypatch.setattr(SparseRows, "dot", counted)
    return found


def same(a: Any, b: Any, dtype: str = "float64") -> None:
    """Both are equal, to the last digits."""
    rtol = {"float32": 1e-6, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * abs(np.asarray(b)).max())


def trained(x: Any, net: Network, **options: Any) -> tuple[Array, list[Any]]:
    """The outputs of a network after a training, and its losses."""
    defaults: dict[str, Any] = {"epochs": 2, "batch_size": 100, "validation": (x, T, A)}
    records = fit(net, SGD(lr=0.5), x, T, **defaults | options)
    losses = [[record.train_loss, record.validation_loss] for record in records]
    return net.outputs(x), losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "kind", [sparse.csr_array, sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array]
)
def test_a_dense_multiplies_them_as_they_are(dtype: Any, kind: Any, products: list[int]) -> None:
    x, found = kind(X), list[Any]()
    for given in (x, X):
        net = network(dtype=dtype)
        loss = net.gradient(given, T, A)
        found.append([loss, net.arena.grads.copy(), net.outputs(given), *evaluate(net, given, T)])
        found[-1] += [net.input_gradient(given, T), *trained(given, net)]
    assert set(products) >= {N, FEATURES}, "forward and backward"
    for a, b in zip(*found, strict=True):
        same(a, b, dtype)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": A},
        {"gradient_accumulation_steps": 2},
        {"batch_size": 1, "epochs": 1},
        {"batch_size": N, "class_weight": "balanced"},
    ],
    ids=str,
)
def test_options_of_a_training_are_those_of_dense_rows(options: Any, products: list[int]) -> None:
    found = [trained(x, network(), **options) for x in (sparse.csr_array(X), X)]
    assert products
    for a, b in zip(*found, strict=True):
        same(a, b)


class OwnDoubled(Layer):
    """A layer that needs arrays."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return 2 * x

    def backward(self, dy: Array) -> Array:
        return 2 * dy


class OwnHalving(Dense):
    """A Dense that needs arrays."""

    def forward(self, x: Array, train: bool = True) -> Array:
        return super().forward(x / 2, train=train)


@pytest.mark.parametrize(
    "first", [Standardize, BatchNorm, lambda: Dropout(0.5), OwnDoubled, lambda: OwnHalving(3)]
)
def test_other_first_layers_get_dense_rows(first: Callable[[], Layer], products: list[int]) -> None:
    a, b = (trained(x, network(first())) for x in (sparse.csr_array(X), X))
    assert not products
    np.testing.assert_array_equal(a[0], b[0])
    assert a[1] == b[1]


TWO: dict[str, Layer] = {"a": Dense(3), "b": Dense(3), "c": Multiply()}


@pytest.mark.parametrize(
    ("body", "sparse"),
    [
        (Dense(3), True),
        (Sequential([Sequential([Dense(3), ReLU()])]), True),
        (Residual(Dense(FEATURES)), False),
        (Residual(Dense(3), Dense(3)), True),
        (Residual(Dense(3), Sequential([ReLU(), Dense(3)])), False),
        (Graph(TWO, ["input -> a", "input -> b", "a, b -> c -> output"]), True),
        (Graph(TWO, ["input -> a -> b", "input, b -> c -> output"]), False),
        (ReLU(), False),
    ],
)
def test_all_that_read_the_examples_have_to_be_dense_layers(body: Layer, sparse: bool) -> None:
    assert takes_sparse(body) == sparse


@pytest.mark.parametrize(
    ("x", "pays"),
    [
        (drawn(0.02), True),
        (drawn(0.05), False),
        (drawn(0.02)[:80], False),
        (np.zeros_like(X), True),
    ],
)
def test_few_numbers_and_many_of_them_are_made_dense(x: Array, pays: bool) -> None:
    """Where it does not pay: `experiments/sparse_speed.py`."""
    net = network()
    found = net.inputs.convert(SparseRows(sparse.csr_array(x)))
    assert isinstance(found, SparseRows) == pays
    np.testing.assert_array_equal(np.asarray(found), x)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_a_scale_far_from_1_is_said_as_for_dense_rows(scale: float) -> None:
    said = []
    for x in (sparse.csr_array(X), X):
        with pytest.warns(ScaleWarning) as caught:
            train(network(), SGD(), x * scale, T)
        said += [str(warning.message) for warning in caught]
    assert len(said) == 2
    assert said[0] == said[1]


def test_initial_weights_may_be_fitted_to_them(products: list[int]) -> None:
    found = []
    for x in (sparse.csr_array(X), X):
        net = Network(Dense(2, LSUV()), SoftmaxCrossEntropy(), (FEATURES,), "float64")
        found.append(net.adapt(x).arena.values)
    assert products
    same(found[0], found[1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool, np.float32])
def test_every_type_is_converted_as_dense_rows_are(dtype: Any, products: list[int]) -> None:
    x = (10 * abs(X)).astype(dtype)
    assert x.max() > 1 or dtype is bool
    a, b = (network().outputs(given) for given in (sparse.csr_array(x), x))
    same(a, b)
    assert products


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_a_number_that_is_not_finite_has_its_row_and_column(value: float) -> None:
    x = sparse.csr_array(X)
    row, column = 201, x.indices[x.indptr[201]]
    x[row, column] = value
    sentence = re.escape(f"x[{row}, {column}] is {np.float64(value)}; should be a finite float32")
    net = network(dtype="float32")
    with pytest.raises(DataError, match=sentence):
        net.predict(x)
    with pytest.raises(DataError, match=sentence):
        fit(net, SGD(), x, T)


def test_batches_of_an_iterable_may_be_sparse(products: list[int]) -> None:
    found = []
    for x in (sparse.csr_array(X), X):
        net = network()
        fit(net, SGD(), [(x[:130], T[:130]), (x[130:], T[130:])], epochs=2)
        found.append(net.arena.values)
    assert products
    same(found[0], found[1])


def test_hooks_see_them_as_arrays() -> None:
    seen = []

    def look(address: str, name: str, method: Any) -> Any:
        def see(x: Any, **options: Any) -> Any:
            seen.append((x.shape, len(x), x.dtype, np.asarray(x)))
            return method(x, **options)

        return see

    net = network()
    with watched([("body.layers.0.layers.0", net["body.layers.0.layers.0"])], look):  # type: ignore[list-item]
        net.outputs(sparse.csr_array(X))
    ((shape, length, dtype, x),) = seen
    assert (shape, length, dtype) == (X.shape, N, float)
    np.testing.assert_array_equal(x, X)


def test_a_recorded_program_takes_dense_rows() -> None:
    net, x = network(), sparse.csr_array(X)
    assert "W" in str(record(net, x, T, SGD()))
    same(record(net, x).run(x=X)["z"], net.outputs(x))


def test_a_resumed_training_is_the_same_bit_for_bit(tmp_path: Path, products: list[int]) -> None:
    x, options = sparse.csr_array(X), dict[str, Any](epochs=4, batch_size=100)
    whole, parts = network(), network()
    fit(whole, Adam(), x, T, **options)
    saved = options | {"checkpoints": Checkpoints(tmp_path)}
    for _ in train(parts, Adam(), x, T, **saved):
        break
    with pytest.raises(ConfigError, match="sparse float64"):
        fit(network(), Adam(), X, T, resume=True, **saved)
    again = network()
    fit(again, Adam(), x, T, resume=True, **saved)
    np.testing.assert_array_equal(again.arena.values, whole.arena.values)
    assert products


def test_a_step_that_diverged_can_be_replayed_and_saved(tmp_path: Path) -> None:
    trainer = train(network(dtype="float32"), SGD(lr=1e30), sparse.csr_array(X), T, batch_size=130)
    with pytest.raises(DivergenceError, match=r"is in the .* of body.layers.1 \(Dense\)"):
        trainer.run()
    failed = trainer.progress.failed
    assert failed is not None
    assert isinstance(failed.batch.x, SparseRows)
    failed.save(tmp_path / "step")
    for step in (failed, FailedStep.load(tmp_path / "step")):
        assert "body.layers.1 (Dense)" in step.replay().verdict


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix])
def test_parts_of_them(kind: Any) -> None:
    dense = RNG.random((9, 4)) * (RNG.random((9, 4)) < 0.5)
    rows = SparseRows(kind(dense))
    np.testing.assert_array_equal(rows[3], dense[3])
    assert rows[3, 2] == dense[3, 2]
    for index in (np.array([8, 3]), slice(1, 4), slice(None)):
        np.testing.assert_array_equal(np.asarray(rows[index]), dense[index])
    with pytest.raises(DataError, match="need no Subset: give x"):
        Subset(kind(dense), np.array([1]))


def test_steps_and_predictions_of_sparse_examples_are_recorded() -> None:
    net, t = network(Dense(3)), np.arange(9) % 2
    x = sparse.csr_array(X[:9])
    predict = net.predictor()
    for given in (x, X[:9], x):
        np.testing.assert_allclose(predict(given), net.predict_proba(X[:9]), rtol=1e-5)
    assert str(trace(net, x, t)) == str(trace(net, X[:9], t))
    assert profile(net, x, t).total.flops == profile(net, X[:9], t).total.flops
