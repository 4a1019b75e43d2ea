import math
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from layerkit import Array, DataError, Dense, Loss, Network, ShapeError, SoftmaxCrossEntropy


def exact_cross_entropy(row: list[float], label: int) -> float:
    with localcontext(prec=60, Emax=10**9, Emin=-(10**9)):
        total = sum((Decimal(z).exp() for z in row), Decimal(0))
        return float(total.ln() - Decimal(row[label]))


@given(
    z=npst.arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4)),
    t=st.lists(st.integers(0, 3), min_size=3, max_size=3),
)
def test_cross_entropy_is_that_of_60_digits(z: Array, t: list[int]) -> None:
    exact = math.fsum(exact_cross_entropy(*pair) for pair in zip(z.tolist(), t, strict=True)) / 3
    with np.errstate(all="raise", under="ignore"):
        found = SoftmaxCrossEntropy().forward(z, np.array(t))
    assert found == pytest.approx(exact, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_is_exact_and_silent_for_logits_of_ten_thousand(dtype: Any) -> None:
    z = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4], [0, -1e4, 1e4]], dtype)
    t, loss = np.array([0, 1, 2, 1]), SoftmaxCrossEntropy()
    with np.errstate(all="raise", under="ignore"):
        value = loss.forward(z, t)
        dz, p = loss.backward(), loss.predict_proba(z)
    third = 1 / 3
    assert value == pytest.approx((0 + math.log(3) + 2e4 + math.log(2) + 2e4) / 4, rel=1e-6)
    expected = np.array([[1, 0, 0], [third, third, third], [0.5, 0.5, 0], [0, 0, 1]])
    np.testing.assert_allclose(p, expected, rtol=1e-6)
    np.testing.assert_allclose(dz, (expected - np.eye(3)[t]) / 4, rtol=1e-6)
    assert (dz.dtype, p.dtype) == (dtype, dtype)


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 6), classes=st.integers(2, 5))
def test_class_numbers_and_their_one_hot_rows_mean_the_same(
    seed: int, rows: int, classes: int
) -> None:
    rng = np.random.default_rng(seed)
    z, t = rng.normal(size=(rows, classes)), rng.integers(0, classes, rows)
    by_number, by_row = SoftmaxCrossEntropy(), SoftmaxCrossEntropy()
    one_hot = np.eye(classes)[t]
    assert by_number.forward(z, t) == pytest.approx(by_row.forward(z, one_hot), rel=1e-13)
    np.testing.assert_allclose(by_number.backward(), by_row.backward(), rtol=1e-12, atol=1e-16)
    assert by_number.accuracy(z, t) == by_row.accuracy(z, one_hot)


def test_soft_labels_are_a_mixture() -> None:
    z, loss = np.array([[1.0, 2.0, 0.5]]), SoftmaxCrossEntropy()
    hard = [loss.forward(z, np.array([label])) for label in range(3)]
    mixed = loss.forward(z, np.array([[0.2, 0.5, 0.3]]))
    assert mixed == pytest.approx(0.2 * hard[0] + 0.5 * hard[1] + 0.3 * hard[2])


@given(z=npst.arrays(np.float32, (4, 3), elements=st.floats(-50, 50, width=32)))
def test_the_gradient_sums_to_zero_in_every_row(z: Array) -> None:
    loss = SoftmaxCrossEntropy()
    loss.forward(z, np.array([0, 1, 2, 0]))
    np.testing.assert_allclose(loss.backward().sum(axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("make", [np.asfortranarray, lambda z: np.repeat(z, 2, 1)[:, ::2]])
def test_any_memory_layout_gives_the_same(make: Any) -> None:
    z, t, loss = (
        np.random.default_rng(0).normal(size=(5, 3)),
        np.arange(5) % 3,
        SoftmaxCrossEntropy(),
    )
    value, dz = loss.forward(z, t), loss.backward()
    assert loss.forward(make(z), t) == value
    np.testing.assert_array_equal(loss.backward(), dz)


def test_predictions_and_accuracy() -> None:
    z, loss = np.array([[0.0, 1.0], [3.0, 1.0], [0.0, 5.0]]), SoftmaxCrossEntropy()
    assert loss.predict(z).tolist() == [1, 0, 1]
    assert loss.accuracy(z, np.array([1, 1, 1])) == pytest.approx(2 / 3)
    assert loss.accuracy(z, np.array([[0, 1], [1, 0], [1, 0]])) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, -1, 2], r"label -1 of example 1; should be class numbers 0 … 2"),
        ([0, 1, 3], r"label 3 of example 2; should be class numbers 0 … 2"),
        ([0.0, 0.5, 1.0], r"label 0.5 of example 1"),
        ([0.0, math.nan, 1.0], r"label nan of example 1"),
        ([0.0, math.inf, 1.0], r"label inf of example 1"),
        ([[0], [1], [2]], r"labels of shape \(3, 1\); should be \(N,\) class numbers 0 … 2"),
        ([[0, 1], [1, 0], [1, 0]], r"labels of shape \(3, 2\)"),
        ([[[0, 1, 0]]] * 3, r"labels of shape \(3, 1, 3\)"),
        (["a", "b", "c"], r"labels of type <U1; .*np\.unique"),
        ([1j, 0, 0], r"labels of type complex128"),
        (np.array([None, 1, 2]), r"labels of type object"),
        (np.array(["2020-01-01"] * 3, "M8[D]"), r"labels of type datetime64"),
        ([[0.5, 0.5, 0], [0.9, 0.9, 0], [1, 0, 0]], r"of example 1; should be >= 0 and sum to 1"),
        ([[1, 0, 0], [1, 0, 0], [1.5, -0.5, 0]], r"of example 2; should be >= 0 and sum to 1"),
        ([[1, 0, 0], [math.nan, 0, 1], [1, 0, 0]], r"of example 1; should be >= 0 and sum to 1"),
        ([[1, 0, 0], [math.inf, 0, 1], [1, 0, 0]], r"of example 1; should be >= 0 and sum to 1"),
        ([[0, 0, 0], [1, 0, 0], [1, 0, 0]], r"of example 0; should be >= 0 and sum to 1"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        SoftmaxCrossEntropy().targets(labels, (3,))


@pytest.mark.parametrize(
    "labels",
    [
        [0, 2, 1],
        [0.0, 2.0, 1.0],
        np.array([0, 2, 1], np.uint8),
        np.array([0, 2, 1], np.int8),
        np.array([0, 2, 1], np.uint64),
        np.array([0, 2, 1], np.float16),
    ],
    ids=lambda labels: str(np.asarray(labels).dtype),
)
def test_whole_numbers_of_any_type_are_labels(labels: Any) -> None:
    z, loss = np.random.default_rng(0).normal(size=(3, 3)), SoftmaxCrossEntropy()
    expected = loss.forward(z, np.array([0, 2, 1]))
    assert loss.forward(z, loss.targets(labels, (3,))) == expected


def test_truth_values_are_the_classes_0_and_1() -> None:
    loss = SoftmaxCrossEntropy()
    assert loss.targets(np.array([True, False]), (2,)).tolist() == [1, 0]
    assert loss.targets(np.eye(2, dtype=bool), (2,)).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("shape", [(1,), (2, 3), ()])
def test_a_body_without_a_row_of_classes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="at least two outputs"):
        SoftmaxCrossEntropy().build(shape)


class SquaredError(Loss):
    """A user's own: for regression, with nothing but what it must have."""

    def forward(self, z: Array, t: Array) -> float:
        self.error = z - t
        return float((self.error**2).mean())

    def backward(self) -> Array:
        dz: Array = 2 * self.error / self.error.size
        return dz


def test_a_loss_without_classes_predicts_what_the_body_returns() -> None:
    loss, z = SquaredError(), np.ones((2, 1))
    assert loss.predict(z) is z
    assert math.isnan(loss.accuracy(z, z))
    with pytest.raises(DataError, match="SquaredError has no classes"):
        loss.predict_proba(z)


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ([1.0, 2.0], r"targets have shape \(2,\); should be \('N', 1\)"),
        ([[1.0], [math.nan]], "target nan; should be finite"),
        ([[1.0], [-math.inf]], "target -inf; should be finite"),
        ([["a"], ["b"]], "targets of type <U1; should be numbers"),
        ([[1j], [0]], "targets of type complex128; should be numbers"),
    ],
)
def test_targets_of_any_loss_are_checked(targets: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        SquaredError().targets(targets, (1,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8, bool])
def test_a_loss_of_ones_own_trains_whatever_type_the_targets_have(dtype: Any) -> None:
    net = Network(Dense(1), SquaredError(), shape=(2,))
    net.gradient(np.eye(2), np.array([[1], [0]], dtype))
    expected = net.arena.grads.copy()
    net.gradient(np.eye(2), np.array([[1], [0]], np.float32))
    np.testing.assert_array_equal(net.arena.grads, expected)
    assert expected.any()
