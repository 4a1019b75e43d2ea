"""Predictors give the numbers of the network, whatever its layers, to the last bit."""

import copy
from typing import Any

import numpy as np
import pytest

from layerkit import (
    Adam,
    BinaryCrossEntropy,
    DataError,
    Dense,
    DivergenceError,
    Embedding,
    Flatten,
    Layer,
    MeanSquaredError,
    Network,
    ReLU,
    Sequential,
    Shape,
    ShapeError,
    SoftmaxCrossEntropy,
    fit,
)
from tests.test_contract import LAYERS, named, numbers_for

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 3)).astype(np.float32)


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=named)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_predicts_the_same_bits(layer: Layer, shape: Shape, dtype: Any) -> None:
    net = Network(Sequential([copy.deepcopy(layer)]), MeanSquaredError(), shape, dtype=dtype)
    examples = numbers_for(layer, shape)
    x = RNG.normal(size=(7, *shape)) if examples is None else np.resize(examples, (7, *shape))
    x = x.astype(dtype)
    net.adapt(x)
    net.arena.values += 0.1 * RNG.standard_normal(net.arena.values.shape)
    predict = net.predictor()
    for rows in (x[:1], x, x[3:4], x[::-1], x * np.array(0.5, dtype)):
        if examples is None or rows.base is x:
            found, expected = predict(rows), net.predict(rows)
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def classifier(units: int = 3) -> Network:
    loss = SoftmaxCrossEntropy() if units > 1 else BinaryCrossEntropy()
    return Network(Sequential([Dense(8), ReLU(), Dense(units)]), loss, shape=(3,))


@pytest.mark.parametrize("units", [1, 2, 3])
def test_what_the_network_learns_later_is_seen(units: int) -> None:
    net = classifier(units)
    predict = net.predictor()
    for _ in range(2):
        np.testing.assert_array_equal(predict(X[:1]), net.predict_proba(X[:1]))
        fit(net, Adam(), X, X[:, 0] > 0, epochs=1) if units < 3 else net.initialize(1)


def test_targets_in_their_own_units() -> None:
    net = Network(Dense(1), MeanSquaredError(), shape=(3,))
    predict = net.predictor()
    before = predict(X)
    fit(net, Adam(0.1), X, 3e5 + 1e4 * X[:, 0], epochs=2, standardize_targets=True)
    assert abs(predict(X) - before).min() > 1e5
    np.testing.assert_array_equal(predict(X), net.predict(X))


def test_bytes_and_other_types_are_converted_as_ever() -> None:
    net = classifier()
    predict = net.predictor()
    for x in (
        X.astype(float),
        X[:2].tolist(),
        np.array([[0, 9, 255]], np.uint8),
        np.array([[0, 1, 1]], np.uint8),
    ):
        np.testing.assert_array_equal(predict(x), net.predict_proba(x))


def test_the_result_is_not_overwritten_by_the_next() -> None:
    predict = classifier().predictor()
    first = predict(X[:1])
    kept = first.copy()
    predict(X[1:2])
    np.testing.assert_array_equal(first, kept)


def test_examples_of_another_shape_are_refused() -> None:
    predict = classifier().predictor()
    predict(X[:1])
    with pytest.raises(ShapeError, match="without a batch axis"):
        predict(X[0])
    with pytest.raises(ShapeError, match=r"examples have shape \(40, 2\); should be \(N, 3\)"):
        predict(X[:, :2])


def test_numbers_that_are_not_finite_become_nan() -> None:
    net = classifier()
    predict = net.predictor()
    assert np.isfinite(predict(X[:1])).all()
    assert np.isnan(predict(np.full((1, 3), np.nan, np.float32))).all()
    net.arena.values = np.full(net.arena.values.shape, 1e30)
    with pytest.raises(DivergenceError):
        net.predict_proba(X[:1] * 1e30)


def test_numbers_that_an_embedding_does_not_have_are_refused_each_time() -> None:
    body = Sequential([Embedding(5, 2), Flatten(), Dense(2)])
    predict = Network(body, SoftmaxCrossEntropy(), shape=(3,)).predictor()
    assert np.isfinite(predict(np.array([[0, 1, 4]]))).all()
    for wrong in (-1, 5):
        with pytest.raises(DataError, match=f"whole numbers from 0 to 4, not {wrong}"):
            predict(np.array([[0, wrong, 4]]))
