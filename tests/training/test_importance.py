"""Permutation importance: what shuffling a column costs."""

from typing import Any

import numpy as np
import pytest
from sklearn.inspection import permutation_importance as reference
from sklearn.linear_model import LinearRegression

from layerkit import (
    ConfigError,
    Dense,
    Flatten,
    MeanSquaredError,
    Network,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    permutation_importance,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 3)) * [1, 5, 1]
T = 2 * X[:, 0] + X[:, 1] + RNG.normal(size=300)


def linear() -> tuple[Network, LinearRegression]:
    """The same predictions from both."""
    model = LinearRegression().fit(X, T)
    net = Network(Dense(1), MeanSquaredError(), shape=(3,), dtype="float64")
    net.arena.values[:] = [*model.coef_, model.intercept_]
    return net, model


def test_importances_are_those_of_scikit_learn_up_to_their_random_numbers() -> None:
    net, model = linear()
    for metric, scoring in (("loss", "neg_mean_squared_error"), ("r2", "r2")):
        found = permutation_importance(net, X, T, metric=metric, repeats=200)
        expected = reference(model, X, T, scoring=scoring, n_repeats=200, random_state=1)
        np.testing.assert_allclose(found.mean, expected.importances_mean, rtol=0.02, atol=0.01)
        np.testing.assert_allclose(found.std, expected.importances_std, rtol=0.3)
    assert found.value == pytest.approx(model.score(X, T))
    assert found.order.tolist() == [1, 0, 2]
    assert found.worse.shape == (3, 200)


def test_weights_count_and_examples_without_any_do_not() -> None:
    net, _ = linear()
    weight = (np.arange(300) < 100).astype(float)
    value = permutation_importance(net, X, T, weight).value
    assert value == pytest.approx(permutation_importance(net, X[:100], T[:100]).value)


def test_the_seed_decides_and_nothing_of_the_network_changes() -> None:
    net, _ = linear()
    before = net.arena.values.copy()
    found, same, other = (permutation_importance(net, X, T, most=50, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(found.worse, same.worse)
    assert found.examples == 50
    assert (found.worse != other.worse).any()
    np.testing.assert_array_equal(net.arena.values, before)


def test_names_of_columns_and_classes_are_known() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    net.classes, net.seen.features = ["low", "high"], ["a", "b", "the third"]
    net.arena.values[:] = [-1, 1, 0, 0, 0, 0, 0, 0]
    names = np.array(["low", "high"])[(X[:, 0] > 0).astype(int)]
    found = permutation_importance(net, X, names, metric="accuracy")
    assert str(found).splitlines()[0] == "accuracy 1.0000 of 300 examples, worse when shuffled by"
    assert [line[:9] for line in str(found).splitlines()[1:]] == [
        "a        ",
        "b        ",
        "the third",
    ]
    assert found.mean[0] == pytest.approx(0.5, abs=0.06)
    assert found.mean[1:].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("accuracy", "'accuracy'"),
        ("r_2", "did you mean 'r2'"),
    ],
)
def test_a_metric_that_does_not_suit_is_refused(metric: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        permutation_importance(linear()[0], X, T, metric=metric)


def test_several_values_and_several_axes_are_refused() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(3,))
    with pytest.raises(ConfigError, match="has several values; should be one number"):
        permutation_importance(net, X, np.arange(300) % 2, metric="recall_per_class")
    body: Any = Sequential([Flatten(), Dense(1)])
    with pytest.raises(ShapeError, match=r"only columns, \(N, C\)"):
        permutation_importance(Network(body, MeanSquaredError(), shape=(2, 3)), X, T)
