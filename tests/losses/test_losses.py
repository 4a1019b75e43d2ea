import json
import math
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from layerkit import (
    SGD,
    Array,
    BinaryCrossEntropy,
    ConfigError,
    CosineSimilarity,
    DataError,
    Dense,
    ElementwiseLoss,
    Focal,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiMargin,
    Network,
    Poisson,
    Quantile,
    ShapeError,
    SoftmaxCrossEntropy,
    SquaredHinge,
    fit,
    from_config,
    losses,
)
from layerkit.testing import check_loss
from layerkit.training.scale import ScaleWarning

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "losses.json").read_text())[
    "cases"
]


def made(table: dict[str, Any]) -> Loss:
    kind: Any = Loss
    loss: Loss = from_config(table, kind)
    return loss


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: str(case["loss"]))
def test_losses_and_gradients_are_those_of_pytorch(case: dict[str, Any]) -> None:
    loss, z, a = made(case["loss"]), np.array(case["z"]), case["sample_weight"]
    loss.build(z.shape[1:])
    t = loss.targets(case["t"], z.shape[1:])
    weights = None if a is None else loss.check_weights(a, len(z))
    with np.errstate(all="raise", under="ignore"):
        assert loss.mean(z, t, weights) == pytest.approx(case["value"], rel=1e-11)
        dz = loss.backward()
    np.testing.assert_allclose(dz, case["dz"], rtol=1e-9, atol=1e-14)


def test_every_loss_has_been_compared_with_pytorch() -> None:
    compared = {case["loss"]["type"] for case in REFERENCE}
    assert compared == set(losses.__all__) - {"Loss", "ElementwiseLoss"}


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
        found = SoftmaxCrossEntropy().mean(z, np.array(t))
    assert found == pytest.approx(exact, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_is_exact_and_silent_for_logits_of_ten_thousand(dtype: Any) -> None:
    z = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4], [0, -1e4, 1e4]], dtype)
    t, loss = np.array([0, 1, 2, 1]), SoftmaxCrossEntropy()
    with np.errstate(all="raise", under="ignore"):
        value = loss.mean(z, t)
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
    assert by_number.mean(z, t) == pytest.approx(by_row.mean(z, one_hot), rel=1e-13)
    np.testing.assert_allclose(by_number.backward(), by_row.backward(), rtol=1e-12, atol=1e-16)
    assert by_number.accuracy(z, t) == by_row.accuracy(z, one_hot)


def test_soft_labels_are_a_mixture() -> None:
    z, loss = np.array([[1.0, 2.0, 0.5]]), SoftmaxCrossEntropy()
    hard = [loss.mean(z, np.array([label])) for label in range(3)]
    mixed = loss.mean(z, np.array([[0.2, 0.5, 0.3]]))
    assert mixed == pytest.approx(0.2 * hard[0] + 0.5 * hard[1] + 0.3 * hard[2])


@given(z=npst.arrays(np.float32, (4, 3), elements=st.floats(-50, 50, width=32)))
def test_the_gradient_sums_to_zero_in_every_row(z: Array) -> None:
    loss = SoftmaxCrossEntropy()
    loss.mean(z, np.array([0, 1, 2, 0]))
    np.testing.assert_allclose(loss.backward().sum(axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("case", {case["loss"]["type"]: case for case in REFERENCE}.values())
@pytest.mark.parametrize(
    "make",
    [
        np.asfortranarray,
        lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
        lambda array: array[::-1].copy()[::-1],
    ],
    ids=["Fortran", "strided", "backwards"],
)
def test_any_memory_layout_gives_the_same(make: Any, case: dict[str, Any]) -> None:
    loss, z = made(case["loss"]), np.array(case["z"])
    t = loss.targets(case["t"], z.shape[1:])
    value, dz = loss.mean(z, t), loss.backward().copy()
    assert loss.mean(make(z), make(t)) == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(loss.backward(), dz, rtol=1e-13, atol=1e-17)


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MeanSquaredError()], ids=repr)
def test_rows_that_share_their_memory_are_judged_alike(loss: Loss) -> None:
    z = np.broadcast_to([1.0, -2.0], (3, 2))
    t = np.array([0, 0, 0]) if loss == SoftmaxCrossEntropy() else np.zeros((3, 2))
    assert loss.mean(z, t) == pytest.approx(loss.mean(z[:1].copy(), t[:1]), rel=1e-15)


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
    expected = loss.mean(z, np.array([0, 2, 1]))
    assert loss.mean(z, loss.targets(labels, (3,))) == expected


def test_truth_values_are_the_classes_0_and_1() -> None:
    loss = SoftmaxCrossEntropy()
    assert loss.targets(np.array([True, False]), (2,)).tolist() == [1, 0]
    assert loss.targets(np.eye(2, dtype=bool), (2,)).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("shape", [(1,), (3, 1)])
def test_a_body_with_fewer_than_two_classes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="at least two outputs"):
        SoftmaxCrossEntropy().build(shape)


@pytest.mark.parametrize(
    ("loss", "t"),
    [
        (SoftmaxCrossEntropy(label_smoothing=0.1, class_weight=[1.0, 0.0, 2.0]), [0, 2]),
        (SoftmaxCrossEntropy(ignore_label=2), [0, 2]),
        (Focal(), [0, 2]),
        (Focal(gamma=0.5), [0, 2]),
        (Focal(gamma=0.0), [0, 2]),
        (KLDivergence(), [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]),
        (MultiMargin(), [0, 2]),
        (MultiMargin(power=2), [0, 2]),
        (BinaryCrossEntropy(), [[0.0, 0.5, 1.0], [1.0, 0.0, 1.0]]),
        (BinaryCrossEntropy(pos_weight=[0.0, 3.0, 1.0]), [[0.0, 0.5, 1.0], [1.0, 0.0, 1.0]]),
        (Hinge(), [[0, 1, 1], [1, 0, 0]]),
        (SquaredHinge(), [[0, 1, 1], [1, 0, 0]]),
        (MeanSquaredError(), [[0.0, 1e4, -1e4], [1e-3, 2.0, -7.0]]),
        (MeanAbsoluteError(), [[0.0, 1e4, -1e4], [1e-3, 2.0, -7.0]]),
        (Huber(delta=3.0), [[0.0, 1e4, -1e4], [1e-3, 2.0, -7.0]]),
        (LogCosh(), [[0.0, 1e4, -1e4], [1e-3, 2.0, -7.0]]),
        (Quantile(quantiles=(0.1, 0.5, 0.9)), [1e4, -0.25]),
        (CosineSimilarity(), [[0.0, 1e4, -1e4], [1e-30, 2e-30, 0.0]]),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "z",
    [
        [[1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]],
        [[1e4, -1e4, 0.0], [-1e4, 0.0, 1e4]],
        [[0.0, 0.0, 0.0], [-1e4, 1e4, 1e-30]],
        [[1e-30, -1e-30, 1e-38], [0.0, -90.0, 90.0]],
    ],
    ids=str,
)
def test_float32_is_exact_and_silent_for_outputs_of_ten_thousand(
    loss: Loss, t: Any, z: list[list[float]]
) -> None:
    targets = loss.targets(t, (3,))
    expected = loss.mean(np.array(z), targets)
    expected_dz = loss.backward().copy()
    if targets.dtype.kind == "f":
        targets = targets.astype(np.float32)
    with np.errstate(all="raise", under="ignore"):
        found = loss.mean(np.array(z, np.float32), targets)
        dz = loss.backward()
    assert math.isfinite(found)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(dz, expected_dz, rtol=1e-4, atol=1e-6)
    assert dz.dtype == np.float32


# Sample weights


@given(
    a=npst.arrays(np.float64, 6, elements=st.floats(0, 1e3).filter(lambda a: a == 0 or a > 1e-3)),
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(1, 5),
    loss=st.sampled_from(
        [
            SoftmaxCrossEntropy(),
            SoftmaxCrossEntropy(0.1, class_weight=[0.5, 2.0, 0.1], ignore_label=1),
            Focal(),
        ]
    ),
)
def test_a_batch_is_the_weighted_mean_of_its_parts(
    a: Array, seed: int, cut: int, loss: Loss
) -> None:
    rng = np.random.default_rng(seed)
    z, t = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    sums, parts = [], []
    for rows in (slice(cut), slice(cut, None)):
        sums.append(loss.forward(z[rows], t[rows], a[rows]))
        parts.append(loss.backward() * sums[-1][1])
    total, weight = loss.forward(z, t, a)
    assert (total, weight) == pytest.approx(np.sum(sums, axis=0), rel=1e-12, abs=1e-12)
    dz = loss.backward() * weight
    np.testing.assert_allclose(dz, np.concatenate(parts), rtol=1e-11, atol=1e-12)


def test_sums_of_parts_are_those_of_the_batch_where_a_class_does_not_count() -> None:
    # its weight is 0, but smoothing moves some of its examples' share to the others
    loss = SoftmaxCrossEntropy(label_smoothing=0.3, class_weight=[1.0, 0.0, 2.0])
    z, t = np.random.default_rng(0).normal(size=(3, 3)), np.array([1, 0, 2])
    whole, gradient = loss.forward(z, t), loss.backward(mean=False)
    parts = [loss.forward(z[i : i + 1], t[i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-12)
    for i in range(3):
        loss.forward(z[i : i + 1], t[i : i + 1])
        np.testing.assert_allclose(loss.backward(mean=False), gradient[i : i + 1], rtol=1e-12)


def test_distributions_with_a_label_to_ignore_are_refused() -> None:
    with pytest.raises(DataError, match=r"ignore_label = 2 means nothing: give class numbers"):
        SoftmaxCrossEntropy(ignore_label=2).targets(np.eye(3), (3,))


def test_weights_of_float64_leave_a_gradient_of_float32() -> None:
    loss, z = MeanSquaredError(), np.ones((3, 2), np.float32)
    loss.mean(z, np.zeros_like(z), np.array([1.0, 0.1, 3.0]))
    assert loss.backward().dtype == np.float32


def test_where_no_example_counts_loss_and_gradient_are_zero() -> None:
    z, t = np.array([[1.0, 2.0], [0.0, 5.0]]), np.array([1, 1])
    ignoring = SoftmaxCrossEntropy(ignore_label=1)
    weightless = SoftmaxCrossEntropy(label_smoothing=0.2, class_weight=[1.0, 0.0])
    for loss, a in [(ignoring, None), (weightless, None), (SoftmaxCrossEntropy(), np.zeros(2))]:
        assert loss.forward(z, t, a)[1] == 0.0
        assert loss.mean(z, t, a) == 0.0
        np.testing.assert_array_equal(loss.backward(), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ([1.0, 2.0], r"sample weights of shape \(2,\); should be \(3,\), one for each example"),
        ([[1.0, 1.0]] * 3, r"sample weights of shape \(3, 2\)"),
        (2.0, r"sample weights of shape \(\)"),
        ([1.0, -1.0, 1.0], r"sample weight -1.0 of example 1; should be finite and >= 0"),
        ([1.0, 1.0, math.nan], "sample weight nan of example 2"),
        ([math.inf, 1.0, 1.0], "sample weight inf of example 0"),
        (["a", "b", "c"], "sample weights of type <U1; should be numbers"),
        ([1j, 1j, 1j], "sample weights of type complex128"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weights: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        MeanSquaredError().check_weights(weights, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8, bool])
def test_weights_of_any_type_become_floats(dtype: Any) -> None:
    weights = Loss.check_weights(np.array([1, 0, 1], dtype), 3)
    assert weights.tolist() == [1, 0, 1]
    assert weights.dtype == np.float64


# Positions: outputs with more axes


POSITIONS = [(2, 4), (4, 1, 2), (1, 8)]


@pytest.mark.parametrize("positions", POSITIONS, ids=str)
@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: str(case["loss"]))
def test_positions_are_judged_as_rows_are(case: dict[str, Any], positions: Any) -> None:
    z, t, a = np.array(case["z"]), np.array(case["t"]), case["sample_weight"]
    rows, loss = made(case["loss"]), made(case["loss"])
    losses = rows.losses(z, rows.targets(t, z.shape[1:])).reshape(positions)
    z = z.reshape(*positions, -1)
    shape = z.shape[1:]
    loss.build(shape)
    t = loss.targets(t.reshape(*positions, *t.shape[1:]), shape)
    if a is not None:
        a = loss.check_weights(np.reshape(a, positions), len(z), shape)
    np.testing.assert_allclose(loss.losses(z, t), losses, rtol=1e-14, atol=1e-16)
    # PyTorch's number, of rows
    assert loss.mean(z, t, a) == pytest.approx(case["value"], rel=1e-11)
    dz = np.reshape(case["dz"], z.shape)
    np.testing.assert_allclose(loss.backward(), dz, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("case", {case["loss"]["type"]: case for case in REFERENCE}.values())
def test_losses_keep_the_contract_for_positions(case: dict[str, Any]) -> None:
    z, t = np.array(case["z"]), np.array(case["t"])
    check_loss(made(case["loss"]), (4, z.shape[1]), t.reshape(2, 4, *t.shape[1:]))


def test_weights_of_examples_go_to_each_of_their_positions() -> None:
    rng = np.random.default_rng(0)
    z, t, a = rng.normal(size=(3, 4, 5)), rng.integers(0, 5, (3, 4)), np.array([0.5, 0.0, 2.0])
    for loss in (
        SoftmaxCrossEntropy(),
        SoftmaxCrossEntropy(class_weight=[1.0, 2.0, 0.0, 0.5, 3.0]),
    ):
        assert loss.forward(z, t, a) == loss.forward(z, t, np.repeat(a[:, None], 4, axis=1))
        assert not loss.backward()[1].any()
    assert SoftmaxCrossEntropy().forward(z, t, a)[1] == 10.0


def test_weights_of_other_positions_are_never_broadcast() -> None:
    z = np.zeros((3, 3, 2))
    for shape in [(3, 1), (1, 3), (1,), (3, 3, 3), (4,)]:
        with pytest.raises(ShapeError, match=r"weights of shape .* for losses of shape \(3, 3\)"):
            MeanSquaredError().forward(z, z, np.ones(shape))
    with pytest.raises(ShapeError, match=r"shape \(3, 3\) for losses of shape \(3,\)"):
        MeanSquaredError().forward(z[:, 0], z[:, 0], np.ones((3, 3)))


def test_positions_with_the_ignored_label_are_as_good_as_absent() -> None:
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(2, 4, 3)), np.array([[0, 2, -1, -1], [1, -1, 2, 0]])
    loss, plain, known = SoftmaxCrossEntropy(ignore_label=-1), SoftmaxCrossEntropy(), t >= 0
    assert loss.forward(z, t) == pytest.approx(plain.forward(z[known], t[known]), rel=1e-14)
    dz = loss.backward()
    np.testing.assert_allclose(dz[known], plain.backward(), rtol=1e-13)
    assert not dz[~known].any()
    assert loss.accuracy(z, t) == plain.accuracy(z[known], t[known])
    np.testing.assert_array_equal(np.isnan(loss.hits(z, t)), ~known)


def test_predictions_of_positions() -> None:
    z = np.array([[[0.0, 1.0, 0.5], [3.0, 1.0, 2.0]], [[0.0, 5.0, 6.0], [-1.0, -2.0, -3.0]]])
    loss, t = SoftmaxCrossEntropy(), np.array([[1, 2], [2, 0]])
    assert loss.predict(z).tolist() == [[1, 0], [2, 0]]
    assert loss.hits(z, t).tolist() == [[1, 0], [1, 1]]
    assert loss.accuracy(z, t) == loss.accuracy(z, np.eye(3)[t]) == 0.75
    p = loss.predict_proba(z)
    np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=2, keepdims=True), rtol=1e-14)
    binary = BinaryCrossEntropy()
    assert binary.predict(z)[1].tolist() == [[0, 1, 1], [0, 0, 0]]
    np.testing.assert_allclose(binary.hits(z, np.ones_like(z)), [[2 / 3, 1], [2 / 3, 0]])
    assert GaussianNLL().predict(z[..., :2]).tolist() == z[..., :1].tolist()


@pytest.mark.parametrize(
    ("loss", "shape", "targets", "sentence"),
    [
        (Focal(), (2, 3), [[0, 1], [2, 3]], "label 3 of example 1, position 1; should be class"),
        (Focal(), (1, 2, 3), [[[0, 1]], [[-2, 0]]], r"label -2 of example 1, position \(0, 0\)"),
        (Focal(), (2, 3), [0, 1], r"labels of shape \(2,\); should be \(N, 2\) class numbers"),
        (
            SoftmaxCrossEntropy(),
            (2, 3),
            [[0, 1, 2]],
            r"labels of shape \(1, 3\); .*\(N, 2\) class .*, or distributions .*, \(N, 2, 3\)",
        ),
        (
            SoftmaxCrossEntropy(),
            (2, 3),
            [[[0.5, 0.5, 0], [0.5, 0.6, 0]]],
            r"label \[0.5 0.6 0. \] of example 0, position 1; should be >= 0 and sum to 1",
        ),
        (KLDivergence(), (2, 3), [[0.5, 0.5, 0]], r"distributions .*, \(N, 2, 3\)"),
        (CosineSimilarity(), (2, 1), [[[1], [0]]], r"\[0.\] of example 0, position 1 has no dir"),
        (GaussianNLL(), (2, 4), np.ones((3, 4)), r"GaussianNLL takes \(N, 2, 2\)"),
        (Quantile(quantiles=(0.1, 0.9)), (3, 2), np.ones((1, 2)), r"takes \(N, 3, 1\)"),
        (MeanSquaredError(), (2, 3), np.ones((2, 2)), r"MeanSquaredError takes \(N, 2, 3\)"),
    ],
    ids=lambda value: repr(value) if isinstance(value, Loss) else "",
)
def test_targets_of_positions_that_cannot_be_used_are_refused(
    loss: Loss, shape: Any, targets: Any, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        loss.targets(targets, shape)


def test_weights_of_positions_that_cannot_be_used_are_refused() -> None:
    check = MeanSquaredError().check_weights
    assert check([1, 2], 2, (3, 5)).tolist() == [1, 2]
    assert check(np.ones((2, 3), int), 2, (3, 5)).dtype == np.float64
    allowed = r"should be \(2,\), one for each example, or \(2, 3\), one for each position"
    assert check(np.ones((2, 3, 5)), 2, (3, 5)).shape == (2, 3, 5)
    for shape in [(3,), (2, 5), (2, 3, 4), (3, 2), ()]:
        with pytest.raises(DataError, match=allowed):
            check(np.ones(shape), 2, (3, 5))
    with pytest.raises(DataError, match="sample weight nan of example 1, position 2; should be"):
        check([[1, 1, 1], [0, 1, math.nan]], 2, (3, 5))
    with pytest.raises(DataError, match=r"shape \(2, 5\); should be \(2,\), one for each example$"):
        SoftmaxCrossEntropy.check_weights(np.ones((2, 5)), 2, (5,))


@pytest.mark.parametrize(
    ("loss", "outputs"), [(MeanSquaredError(), 1), (BinaryCrossEntropy(), 1), (GaussianNLL(), 2)]
)
def test_positions_of_one_output_may_leave_its_axis_out(loss: Loss, outputs: int) -> None:
    t = np.array([[0.0, 1.0], [1.0, 1.0]])
    assert loss.targets(t, (2, outputs)).tolist() == t[..., None].tolist()
    assert loss.targets(t[..., None], (2, outputs)).tolist() == t[..., None].tolist()


# Options of SoftmaxCrossEntropy


def test_an_ignored_label_is_as_good_as_absent() -> None:
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(6, 3)), np.array([0, -100, 2, 1, -100, 2])
    loss, plain, known = SoftmaxCrossEntropy(ignore_label=-100), SoftmaxCrossEntropy(), t >= 0
    assert loss.forward(z, t) == pytest.approx(plain.forward(z[known], t[known]), rel=1e-14)
    assert loss.forward(z, t)[1] == 4
    dz = loss.backward()
    np.testing.assert_allclose(dz[known], plain.backward(), rtol=1e-13, atol=1e-17)
    assert not dz[~known].any()
    assert loss.accuracy(z, t) == plain.accuracy(z[known], t[known])
    np.testing.assert_array_equal(np.isnan(loss.hits(z, t)), ~known)
    assert math.isnan(loss.accuracy(z[~known], t[~known]))


@pytest.mark.parametrize("ignored", [-1, 1, 255])
def test_the_ignored_label_may_be_any_whole_number(ignored: int) -> None:
    loss = SoftmaxCrossEntropy(ignore_label=ignored)
    labels = np.array([0, ignored, 1, 2])
    assert loss.targets(labels, (3,)) is labels
    assert loss.targets(labels.astype(float), (3,)).tolist() == labels.tolist()
    if ignored == 255:
        assert loss.targets(labels.astype(np.uint8), (3,)).dtype == np.uint8
    with pytest.raises(
        DataError, match=rf"label 7 of example 1; .* or {ignored}, which is ignored"
    ):
        loss.targets([0, 7], (3,))


def test_class_weights_are_sample_weights_by_class() -> None:
    rng = np.random.default_rng(0)
    z, t, c = rng.normal(size=(6, 3)), rng.integers(0, 3, 6), [0.5, 0.0, 3.0]
    by_class, by_sample = SoftmaxCrossEntropy(class_weight=c), SoftmaxCrossEntropy()
    expected = by_sample.mean(z, t, np.array(c)[t])
    assert by_class.mean(z, t) == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(by_class.backward(), by_sample.backward(), rtol=1e-13, atol=1e-17)


def test_smoothed_labels_are_soft_labels() -> None:
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    smooth, soft = SoftmaxCrossEntropy(label_smoothing=0.2), SoftmaxCrossEntropy()
    expected = soft.mean(z, 0.8 * np.eye(4)[t] + 0.05)
    assert smooth.mean(z, t) == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(smooth.backward(), soft.backward(), rtol=1e-13, atol=1e-17)


def test_focal_loss_without_focus_is_the_cross_entropy() -> None:
    rng = np.random.default_rng(0)
    z, t, loss = rng.normal(size=(6, 4)), rng.integers(0, 4, 6), Focal(gamma=0.0)
    plain = SoftmaxCrossEntropy()
    assert loss.mean(z, t) == pytest.approx(plain.mean(z, t), rel=1e-14)
    np.testing.assert_allclose(loss.backward(), plain.backward(), rtol=1e-13, atol=1e-17)


# What is refused


@pytest.mark.parametrize(
    ("cls", "options", "sentence"),
    [
        (SoftmaxCrossEntropy, {"label_smoothing": 1.5}, "label_smoothing = 1.5: should be less"),
        (SoftmaxCrossEntropy, {"label_smoothing": 1.0}, "label_smoothing = 1.0: should be less"),
        (SoftmaxCrossEntropy, {"label_smoothing": -0.1}, "label_smoothing = -0.1: should be gr"),
        (SoftmaxCrossEntropy, {"class_weight": [1.0, -1.0]}, r"class_weight.1 = -1.0: should be"),
        (SoftmaxCrossEntropy, {"class_weight": [1.0, math.nan]}, "class_weight.1 = nan: should be"),
        (
            SoftmaxCrossEntropy,
            {"class_weight": [0.0, 0.0]},
            "class_weight = .*: at least one should be greater",
        ),
        (SoftmaxCrossEntropy, {"class_weight": "balanced"}, "class_weight = 'balanced': should be"),
        (SoftmaxCrossEntropy, {"ignore_label": 1.5}, "ignore_label = 1.5: should be a whole"),
        (BinaryCrossEntropy, {"pos_weight": [-1.0]}, "pos_weight.0 = -1.0: should be greater"),
        (Focal, {"gamma": -1.0}, "gamma = -1.0: should be greater than or equal to 0"),
        (MultiMargin, {"margin": 0.0}, "margin = 0.0: should be greater than 0"),
        (MultiMargin, {"power": 3}, "power = 3: should be 1 or 2"),
        (Huber, {"delta": 0.0}, "delta = 0.0: should be greater than 0"),
        (Quantile, {"quantiles": [0.9, 0.5]}, r"quantiles = \(0.9, 0.5\): should rise"),
        (Quantile, {"quantiles": [0.5, 0.5]}, r"quantiles = \(0.5, 0.5\): should rise"),
        (Quantile, {"quantiles": [0.5, 1.0]}, "quantiles.1 = 1.0: should be less than 1"),
        (Quantile, {"quantiles": [0.0]}, "quantiles.0 = 0.0: should be greater than 0"),
        (Quantile, {"quantiles": []}, "quantiles = .*: should not be empty"),
    ],
)
def test_bad_options_are_refused(cls: type[Loss], options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=f"{cls.__name__}.{sentence}"):
        cls(**options)


@pytest.mark.parametrize(
    ("loss", "shape", "sentence"),
    [
        (SoftmaxCrossEntropy(class_weight=[1.0, 2.0]), (3,), "has 2 class weights, .* 3 outputs"),
        (SoftmaxCrossEntropy(class_weight=[]), (3,), "has 0 class weights, .* 3 outputs"),
        (Focal(), (1,), "Focal judges at least two outputs"),
        (MultiMargin(), (2, 1), "MultiMargin judges at least two outputs"),
        (SoftmaxCrossEntropy(class_weight=[1.0, 2.0]), (2, 3), "has 2 class weights, .* 3 outputs"),
        (BinaryCrossEntropy(pos_weight=[1.0, 2.0]), (2, 3), r"has 2 weights, .* returns \(2, 3\)"),
        (Quantile(quantiles=(0.1, 0.9)), (2, 3), r"has 2 quantiles, but the body returns \(2, 3\)"),
        (Focal(), (), r"Focal judges outputs along the last axis, but .* shape \(\); should have"),
        (MeanSquaredError(), (), r"MeanSquaredError judges outputs along the last axis, .* \(\)"),
        (Quantile(), (), r"Quantile judges outputs along the last axis"),
        (GaussianNLL(), (), r"GaussianNLL judges outputs along the last axis"),
        (BinaryCrossEntropy(), (), r"BinaryCrossEntropy judges outputs along the last axis"),
        (BinaryCrossEntropy(pos_weight=[1.0, 2.0]), (3,), r"has 2 weights, .* returns \(3,\)"),
        (Quantile(quantiles=(0.1, 0.9)), (1,), r"has 2 quantiles, but the body returns \(1,\)"),
        (GaussianNLL(), (3,), r"2 outputs for each target, but the body returns \(3,\)"),
        (GaussianNLL(), (2, 3), "judges means and as many logarithms of variances"),
    ],
    ids=lambda value: repr(value) if isinstance(value, Loss) else "",
)
def test_outputs_that_do_not_fit_are_refused(loss: Loss, shape: Any, sentence: str) -> None:
    with pytest.raises(ShapeError, match=sentence):
        loss.build(shape)


@pytest.mark.parametrize(
    ("loss", "shape", "targets", "sentence"),
    [
        (Focal(), (3,), np.eye(3), r"labels of shape \(3, 3\); should be \(N,\) class numbers"),
        (Focal(), (3,), [0, 3], "label 3 of example 1; should be class numbers 0 … 2"),
        (MultiMargin(), (3,), [0, -1], "label -1 of example 1; should be class numbers 0 … 2"),
        (
            KLDivergence(),
            (3,),
            [0, 1, 2],
            r"shape \(3,\); should be numbers, distributions .*, \(N, 3\)",
        ),
        (KLDivergence(), (2,), [["a", "b"]], r"type <U1 and shape \(1, 2\); should be numbers"),
        (KLDivergence(), (2,), [[0.5, 0.6]], "of example 0; should be >= 0 and sum to 1"),
        (
            BinaryCrossEntropy(),
            (2,),
            [[0.0, 1.5]],
            r"label 1.5 of .*; should be from 0 to 1",
        ),
        (
            BinaryCrossEntropy(),
            (2,),
            [[0.0, -0.5]],
            r"label -0.5 of .*; should be from 0 to 1",
        ),
        (
            BinaryCrossEntropy(),
            (2,),
            [0, 1],
            r"targets have shape \(2,\); BinaryCrossEntropy takes \(N, 2\)",
        ),
        (BinaryCrossEntropy(), (1,), ["no", "yes"], "targets of type <U3; should be numbers"),
        (Hinge(), (1,), [1, -1], r"label -1.0 of .*; should be 0 or 1"),
        (
            SquaredHinge(),
            (2,),
            [[0.5, 1.0]],
            r"label 0.5 of .*; should be 0 or 1",
        ),
        (
            Poisson(),
            (1,),
            [3, -1],
            r"target -1.0 of .*; should be a count, >= 0",
        ),
        (GaussianNLL(), (4,), [[1.0], [2.0]], r"shape \(2, 1\); GaussianNLL takes \(N, 2\)"),
        (Quantile(quantiles=(0.1, 0.9)), (2,), [[1.0, 2.0]], r"Quantile takes \(N, 1\)"),
        (
            CosineSimilarity(),
            (2,),
            [[1.0, 0.0], [0.0, 0.0]],
            r"target \[0\. 0\.\] of example 1 has no direction; it is 0",
        ),
    ],
    ids=lambda value: repr(value) if isinstance(value, Loss) else "",
)
def test_targets_that_cannot_be_used_are_refused(
    loss: Loss, shape: Any, targets: Any, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        loss.targets(targets, shape)


# One output


ONE_OUTPUT: list[tuple[Loss, int]] = [
    (MeanSquaredError(), 1),
    (MeanAbsoluteError(), 1),
    (Huber(), 1),
    (LogCosh(), 1),
    (Quantile(), 1),
    (Poisson(), 1),
    (GaussianNLL(), 2),
    (BinaryCrossEntropy(), 1),
    (Hinge(), 1),
]


@pytest.mark.parametrize(("loss", "outputs"), ONE_OUTPUT, ids=repr)
def test_targets_of_one_output_may_be_a_plain_row(loss: Loss, outputs: int) -> None:
    t, x = np.array([0.0, 1.0, 1.0]), np.random.default_rng(0).normal(size=(3, 2))
    results = []
    for targets in (t, t[:, None]):
        net = Network(Dense(outputs), made({"type": type(loss).__name__}), shape=(2,))
        results.append((net.gradient(x, targets), net.arena.grads.tolist()))
    assert results[0] == results[1]


@pytest.mark.parametrize(("loss", "outputs"), ONE_OUTPUT, ids=repr)
def test_a_row_and_a_column_are_never_broadcast(loss: Loss, outputs: int) -> None:
    with pytest.raises(ShapeError, match=r"targets of shape \(3,\) for outputs of shape \(3, 1\)"):
        loss.mean(np.zeros((3, outputs)), np.ones(3))
    with pytest.raises(ShapeError, match=r"targets of shape \(1, 1\) for outputs"):
        loss.mean(np.zeros((3, outputs)), np.ones((1, 1)))


CLASS_LOSSES = [SoftmaxCrossEntropy(), Focal(), MultiMargin(), KLDivergence()]


@pytest.mark.parametrize("loss", CLASS_LOSSES, ids=repr)
@pytest.mark.parametrize("shape", [(4,), (4, 3)])
def test_labels_that_would_be_taken_amiss_are_refused_in_loops_of_ones_own(
    loss: Loss, shape: tuple[int, ...]
) -> None:
    z, t = np.zeros((*shape, 5)), np.zeros(shape, int)
    for wrong in (t[..., None], t[:2], t.astype(float), t.astype(bool)):
        with pytest.raises(ShapeError, match=rf"targets of type {wrong.dtype} and shape"):
            loss.mean(z, wrong)


# Predictions


def test_labels_that_do_not_exclude_each_other() -> None:
    loss, z = BinaryCrossEntropy(), np.array([[0.0, 1e4, -2.0], [3.0, -1e4, 1.0]], np.float32)
    t = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]], np.float32)
    assert loss.predict(z).tolist() == [[0, 1, 0], [1, 0, 1]]
    np.testing.assert_allclose(loss.hits(z, t), [2 / 3, 1])
    assert loss.accuracy(z, t) == pytest.approx(5 / 6)
    p = loss.predict_proba(z)
    assert p.dtype == np.float32
    np.testing.assert_allclose(
        p, [[0.5, 1, 0.11920292], [0.95257413, 0, 0.73105858]], rtol=1e-6, atol=0
    )


def test_predictions_are_what_a_user_asks_for() -> None:
    z = np.array([[1.0, 2.0]])
    assert Poisson().predict(z).tolist() == np.exp(z).tolist()
    assert GaussianNLL().predict(z).tolist() == [[1.0]]
    assert MultiMargin().predict(z).tolist() == [1]
    assert Hinge().predict(np.array([[-0.1, 0.1]])).tolist() == [[0, 1]]
    for loss in (MultiMargin(), Hinge(), MeanSquaredError()):
        with pytest.raises(DataError, match=f"{type(loss).__name__} has no probabilities"):
            loss.predict_proba(z)


def test_quantiles_are_found() -> None:
    t = np.arange(101.0)
    loss = Quantile(quantiles=(0.1, 0.5, 0.9))
    net = Network(Dense(3), loss, shape=(1,), dtype="float64")
    with pytest.warns(ScaleWarning, match="the targets have a root mean square of 57.9"):
        fit(net, SGD(lr=2.0), np.zeros((101, 1)), t, epochs=3000, batch_size=101)
    np.testing.assert_allclose(net.predict(np.zeros((1, 1))), [[10, 50, 90]], atol=2)


# Losses of one's own


class SquaredError(Loss):
    """For regression, with nothing but what it must have."""

    def losses(self, z: Array, t: Array) -> Array:
        self.error = z - t
        losses: Array = (self.error**2).mean(axis=1)
        return losses

    def gradients(self) -> Array:
        dz: Array = 2 * self.error / self.error.shape[1]
        return dz


def test_a_loss_without_classes_predicts_what_the_body_returns() -> None:
    loss, z = SquaredError(), np.ones((2, 1))
    assert loss.predict(z) is z
    assert math.isnan(loss.accuracy(z, z))
    with pytest.raises(DataError, match="SquaredError has no probabilities"):
        loss.predict_proba(z)


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        (
            [[1.0, 2.0]],
            r"\(1, 2\); SquaredError takes \(N, 1\).*; for targets .* override `targets`",
        ),
        (1.0, r"targets have shape \(\); SquaredError takes \(N, 1\)"),
        ([[1.0], [math.nan]], "target nan of example 1; should be finite"),
        ([1.0, -math.inf], "target -inf of example 1; should be finite"),
        ([["a"], ["b"]], "targets of type <U1; should be numbers"),
        ([[1j], [0]], "targets of type complex128; should be numbers"),
    ],
)
def test_targets_of_any_loss_are_checked(targets: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        SquaredError().targets(targets, (1,))


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (SquaredError(), "for class numbers, override targets, predict and hits"),
        (MeanSquaredError(), "for class numbers, take SoftmaxCrossEntropy"),
    ],
)
def test_class_numbers_for_a_loss_of_numbers_are_refused(loss: Loss, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        loss.targets(np.array([0, 2, 1]), (3,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.uint8, bool])
def test_a_loss_of_ones_own_trains_whatever_type_the_targets_have(dtype: Any) -> None:
    net = Network(Dense(1), SquaredError(), shape=(2,))
    net.gradient(np.eye(2), np.array([[1], [0]], dtype))
    expected = net.arena.grads.copy()
    net.gradient(np.eye(2), np.array([[1], [0]], np.float32))
    np.testing.assert_array_equal(net.arena.grads, expected)
    assert expected.any()


def test_a_loss_judges_outputs_of_any_shape() -> None:
    class CubedErrors(ElementwiseLoss):
        def values(self, z: Array, t: Array) -> Array:
            self.error = z - t
            values: Array = abs(self.error) ** 3
            return values

        def slopes(self) -> Array:
            slopes: Array = 3 * self.error * abs(self.error)
            return slopes

    z, loss = np.arange(12.0).reshape(2, 2, 3), CubedErrors()
    assert loss.mean(z, np.zeros_like(z), np.array([1.0, 0.0])) == (z[0] ** 3).mean()
    np.testing.assert_allclose(loss.backward()[0], z[0] ** 2 / 2)
    assert not loss.backward()[1].any()


@pytest.mark.parametrize("name", ["weight", "sample_weight"])
def test_names_of_the_base_class_cannot_be_options(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: Loss has an attribute of this name"):
        type("Takes", (SquaredError,), {"__annotations__": {name: float}, name: 1.0})


def test_labels_of_whole_examples_are_not_those_of_positions() -> None:
    sentence = r"an example has the outputs \(28, 10\), so it is a sequence; Flatten\(\) before"
    with pytest.raises(DataError, match=sentence):
        SoftmaxCrossEntropy().targets(np.zeros(5, int), (28, 10))
