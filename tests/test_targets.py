"""What users give as targets, and what predictions give back: names, units, shapes, gaps."""

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import r2_score

from layerkit import (
    SGD,
    Adam,
    BatchNorm,
    BinaryCrossEntropy,
    ConfigError,
    CosineSimilarity,
    DataError,
    Dense,
    ElementwiseLoss,
    FileError,
    GaussianNLL,
    Hinge,
    Huber,
    Layer,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Network,
    Poisson,
    Quantile,
    Sequential,
    SoftmaxCrossEntropy,
    SquaredHinge,
    Standardize,
    Tanh,
    evaluate,
    fit,
    train,
)
from layerkit.arrays import Array
from layerkit.data.seen import SeenData
from layerkit.files.atomic import read_tensors, write_tensors
from layerkit.files.checkpoints import Checkpoints
from layerkit.metrics import evaluate_metrics
from layerkit.training.scale import ScaleWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
T = (X[:, 0] > 0).astype(int)
NAMES = np.array(["bad", "good"])[T]
PRICES = 300_000 + 50_000 * X[:, 0] + 5_000 * X[:, 1]
SEVERAL = np.stack([X[:, 0], X[:, 1] - X[:, 2]], axis=1)
QUICK: dict[str, Any] = {"epochs": 30, "batch_size": 20}


def network(outputs: int = 2, loss: Loss | None = None, **options: Any) -> Network:
    return Network(Dense(outputs), loss or SoftmaxCrossEntropy(), shape=(3,), **options)


class Frame:
    """A table of one column, as pandas and polars have it."""

    def __init__(self, column: Any) -> None:
        self.column = np.array(column, object)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.column[:, None]


# Names of classes


@pytest.mark.parametrize(
    "labels",
    [NAMES, NAMES[:, None], NAMES.astype(object), NAMES.tolist(), Frame(NAMES), NAMES.astype("S")],
    ids=["strings", "a column", "objects", "a list", "a table", "bytes"],
)
@pytest.mark.parametrize(("outputs", "loss"), [(2, None), (1, BinaryCrossEntropy())])
def test_names_are_learned_and_given_back(labels: Any, outputs: int, loss: Loss | None) -> None:
    net, numbers = network(outputs, copy.copy(loss)), network(outputs, copy.copy(loss))
    named = fit(net, SGD(lr=1.0), X, labels, validation=(X, labels), **QUICK)
    numbered = fit(numbers, SGD(lr=1.0), X, T, validation=(X, T), **QUICK)
    assert [record.metrics for record in named] == [record.metrics for record in numbered]
    assert net.classes == ["bad", "good"]
    assert (net.predict(X) == NAMES).mean() == (numbers.predict(X) == T).mean() > 0.95
    assert evaluate(net, X, labels) == evaluate(numbers, X, T)
    assert evaluate_metrics(net, X, labels, ["f1"]) == evaluate_metrics(numbers, X, T, ["f1"])


def test_truth_values_are_given_back() -> None:
    net = network()
    fit(net, SGD(lr=1.0), X, T == 1, **QUICK)
    predicted = net.predict(X)
    assert predicted.dtype == bool
    assert (predicted == (T == 1)).mean() > 0.95
    assert evaluate(net, X, T) == evaluate(net, X, T == 1)


def test_class_numbers_stay_numbers() -> None:
    net = network()
    fit(net, SGD(), X, T)
    assert net.classes is None
    assert net.predict(X).dtype.kind == "i"


@pytest.mark.parametrize("labels", [T[:, None], Frame(T), T.astype(float)[:, None]])
def test_a_column_of_numbers_is_as_good_as_a_row(labels: Any) -> None:
    one, two = network(), network()
    fit(one, SGD(), X, labels)
    fit(two, SGD(), X, T)
    np.testing.assert_array_equal(one.arena.values, two.arena.values)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.array(["a", None] * 60, object), "types NoneType and str, such as None of example 1"),
        (
            np.array(["a", 3.5] * 60, object),
            "types float and str, such as 3.5 of example 1; ",
        ),
        (np.array(["a", "b", "c"] * 40), "'a', 'b', 'c', 3 classes, and the network has outputs"),
        (np.array(["a"] * 120), r"'a', 1 classes, .* network.classes = \[...\] if some"),
        (np.array(["1", "1.0"] * 60), "the same number, written in two ways"),
        (T + 1, "label 2 of example"),
    ],
)
def test_labels_that_are_not_classes_are_refused(labels: Any, sentence: str) -> None:
    net = network()
    with pytest.raises(DataError, match=sentence):
        fit(net, SGD(), X, labels)
    assert net.classes is None


def test_other_names_than_those_of_the_training_are_refused() -> None:
    net = network()
    fit(net, SGD(), X, NAMES)
    with pytest.raises(DataError, match=r"label 'god' of example 1; .* \(did you mean 'good'\?\)"):
        evaluate(net, X[:2], ["good", "god"])
    with pytest.raises(DataError, match="label 'x' of example 0"):
        fit(net, SGD(), X, NAMES, validation=(X[:1], ["x"]))
    with pytest.raises(DataError, match="the network knows none: fit learns them, or set"):
        network().gradient(X, NAMES)


def test_names_can_be_set_for_classes_that_do_not_occur() -> None:
    net = network(3)
    net.classes = ["bad", "good", "great"]
    fit(net, SGD(), [(X, NAMES)], epochs=2)
    assert set(net.predict(X)) <= {"bad", "good", "great"}
    wrong: Any
    for wrong in (["a"], ["a", "a", "b"], "abc", [1, 2, 3], ["a", "b", None], [["a"], ["b"]]):
        with pytest.raises(ConfigError, match="should be the names of 3 classes"):
            net.classes = wrong
    net.classes = None
    assert net.predict(X).dtype.kind == "i"
    with pytest.raises(ConfigError, match="should be the names of 2 classes"):
        network(2, BinaryCrossEntropy()).classes = ["a", "b"]


def test_a_number_may_not_be_taken_for_another_class() -> None:
    net = network(3)
    for net.classes in (["1", "2", "3"], ["a", "b", "c"]):
        with pytest.raises(DataError, match="labels are numbers, such as 1, and the network knows"):
            evaluate(net, X[:2], [1, 2])


class NAType:
    """The missing value of pandas."""


def test_missing_values_of_a_list_or_a_table_are_no_names() -> None:
    for labels in (["a", None] * 60, ["a", math.nan] * 60, ["a", 0] * 60):
        with pytest.raises(DataError, match=r"labels of the types .* and str, such as"):
            fit(network(), SGD(), X, labels)
    several = np.array([[1.0, NAType()], [NAType(), 0.5]] * 60, object)
    plain = np.array([[1.0, math.nan], [math.nan, 0.5]] * 60)
    net = network(2, MeanSquaredError())
    assert net.gradient(X, several) == net.gradient(X, plain)


def test_weights_of_classes_may_be_a_series() -> None:
    class Series:
        """Weights with an index, as of pandas."""

        def items(self) -> Any:
            return iter([("good", 1.0), ("bad", 5.0)])

    one, two = network(), network()
    fit(one, SGD(lr=1.0), X, NAMES, class_weight=Series())  # type: ignore[arg-type]
    fit(two, SGD(lr=1.0), X, NAMES, class_weight={"bad": 5})
    np.testing.assert_array_equal(one.arena.values, two.arena.values)


def test_weights_of_classes_by_name() -> None:
    one, two = network(), network()
    fit(one, SGD(lr=1.0), X, NAMES, class_weight={"bad": 5})
    fit(two, SGD(lr=1.0), X, T, class_weight={0: 5})
    np.testing.assert_array_equal(one.arena.values, two.arena.values)
    with pytest.raises(ConfigError, match="no such class; the classes are 'bad', 'good'"):
        fit(one, SGD(), X, NAMES, class_weight={"ugly": 5})


def test_a_refused_training_learns_nothing() -> None:
    net = network(1, MeanSquaredError())
    with pytest.raises(DataError, match="is nan"):
        fit(net, SGD(), X, PRICES, validation=(X * np.nan, T), standardize_targets=True)
    assert net.seen == SeenData()


# Numbers in their own units


def houses(loss: Loss, outputs: int = 1) -> Network:
    body = Sequential([Standardize(), Dense(8), Tanh(), Dense(outputs)])
    net = Network(body, loss, shape=(3,))
    fit(net, Adam(lr=0.02), X, PRICES, standardize_targets=True, **QUICK)
    return net


@pytest.mark.parametrize("loss", [MeanSquaredError(), MeanAbsoluteError(), Huber()])
def test_prices_are_predicted_in_their_units(loss: Loss) -> None:
    net = houses(loss)
    predicted = net.predict(X)
    assert predicted.shape == (120,)
    assert r2_score(PRICES, predicted) > 0.95
    measured = evaluate_metrics(net, X, PRICES, ["mae", "r2"])
    assert measured["mae"] == pytest.approx(abs(predicted - PRICES).mean(), rel=1e-12)
    assert measured["r2"] == pytest.approx(r2_score(PRICES, predicted), rel=1e-9)


def test_the_loss_is_that_of_standardized_targets() -> None:
    net = houses(MeanSquaredError())
    wanted = np.mean(((net.predict(X) - PRICES) / PRICES.std()) ** 2)
    assert evaluate(net, X, PRICES)[1] == pytest.approx(wanted, rel=1e-5)
    assert net.gradient(X, PRICES) == pytest.approx(wanted, rel=1e-5)


def test_it_is_as_good_as_standardizing_by_hand() -> None:
    mean, std = PRICES.mean(), PRICES.std()
    a, b = (network(1, MeanSquaredError(), dtype="float64") for _ in range(2))
    first = fit(a, Adam(), X, PRICES, standardize_targets=True, validation=(X, PRICES))
    second = fit(b, Adam(), X, (PRICES - mean) / std, validation=(X, (PRICES - mean) / std))
    np.testing.assert_allclose(a.arena.values, b.arena.values, rtol=1e-10)
    assert first[-1].metrics == pytest.approx(second[-1].metrics, rel=1e-10)
    np.testing.assert_allclose(a.predict(X), b.predict(X) * std + mean, rtol=1e-12)


def test_quantiles_and_deviations_are_in_units_too() -> None:
    low, high = houses(Quantile((0.1, 0.9)), 2).predict(X).T
    assert 0.6 < ((low < PRICES) & (high > PRICES)).mean() < 1
    net = houses(GaussianNLL(), 2)
    mean, log_variance = net.outputs(X).T
    np.testing.assert_array_equal(mean, net.predict(X))
    typical = np.exp(log_variance / 2).mean()
    assert 0.3 < typical / (mean - PRICES).std() < 3


def test_the_derivative_of_an_output_is_in_its_units() -> None:
    net, step = houses(MeanSquaredError()), 1e-2
    aside = np.array([step, 0, 0])
    slope = (net.predict(X[:4] + aside) - net.predict(X[:4] - aside)) / (2 * step)
    np.testing.assert_allclose(net.input_gradient(X[:4], output=0)[:, 0], slope, rtol=0.02)


def test_weights_count_in_mean_and_deviation() -> None:
    a = np.arange(120) % 3
    one, two = network(1, MeanSquaredError()), network(1, MeanSquaredError())
    fit(one, SGD(), X, PRICES, sample_weight=a, standardize_targets=True)
    rows = np.repeat(np.arange(120), a)
    fit(two, SGD(), X[rows], PRICES[rows], standardize_targets=True)
    np.testing.assert_allclose(one.seen.mean, two.seen.mean)  # type: ignore[arg-type]
    np.testing.assert_allclose(one.seen.scale, two.seen.scale)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outputs", "loss"),
    [
        (1, Poisson()),
        (2, CosineSimilarity()),
        (2, SoftmaxCrossEntropy()),
        (1, BinaryCrossEntropy()),
    ],
)
def test_targets_that_are_no_numbers_with_units_are_not_standardized(
    outputs: int, loss: Loss
) -> None:
    net = network(outputs, loss)
    t = np.ones((120, 2)) if isinstance(loss, CosineSimilarity) else T
    with pytest.raises(ConfigError, match=f"standardize_targets: {type(loss).__name__} takes its"):
        fit(net, SGD(), X, t, standardize_targets=True)


def test_batches_of_an_iterable_are_not_standardized() -> None:
    with pytest.raises(ConfigError, match="standardize_targets: needs x and t as arrays"):
        fit(network(1, MeanSquaredError()), SGD(), [(X, PRICES)], standardize_targets=True)


def test_what_a_network_has_seen_goes_where_it_goes(tmp_path: Path) -> None:
    net = houses(MeanSquaredError())
    net.save(tmp_path / "model.safetensors")
    for twin in (
        Network.load(tmp_path / "model.safetensors"),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
    ):
        np.testing.assert_array_equal(twin.predict(X), net.predict(X))
        assert twin.seen == net.seen
        assert twin.seen is not net.seen
    net.initialize(0)
    assert net.seen.scale is None


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        ('{"mean": [1.0], "scale": [0.0]}', r"mean = \[1.0\], scale = \[0.0\]: don't fit 1"),
        ('{"mean": [1.0, 2.0], "scale": [1.0, 1.0]}', "don't fit 1 outputs"),
        ('{"mean": [1.0]}', "don't fit"),
        ('{"mean": [1.0], "scale": [-1.0]}', "don't fit"),
        ('{"scale": [1.0]}', "don't fit"),
        ('{"pixels": "byte"}', "pixels = 'byte'"),
        ('{"classes": ["a"]}', "should be the names of 2 classes"),
        ('{"colour": 1}', "colour"),
    ],
)
def test_a_damaged_memory_is_refused(tmp_path: Path, seen: str, sentence: str) -> None:
    path = tmp_path / "model.safetensors"
    network(1, MeanSquaredError()).save(path)
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, metadata | {"layerkit.SeenData": seen})
    with pytest.raises(FileError, match=sentence):
        Network.load(path)


def test_a_network_of_an_older_file_has_seen_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    network().save(path)
    tensors, metadata = read_tensors(path)
    del metadata["layerkit.SeenData"]
    write_tensors(path, tensors, metadata)
    assert Network.load(path).predict(X).shape == (120,)


@pytest.mark.parametrize(
    ("t", "options", "sentence"),
    [
        (np.full((120, 2), np.nan), {}, "no example counts, or a target is missing in all"),
        (np.stack([PRICES, PRICES * np.nan], axis=1), {}, "a target is missing in all"),
        (SEVERAL, {"sample_weight": np.zeros(120)}, "no example counts"),
        (SEVERAL * 1e200, {}, "the targets are too big for their squares"),
    ],
)
def test_targets_without_a_scale_are_refused(t: Any, options: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        fit(network(2, MeanSquaredError()), SGD(), X, t, standardize_targets=True, **options)


def test_equal_targets_have_the_scale_1() -> None:
    net = network(1, MeanSquaredError())
    fit(net, SGD(), X, np.full(120, 0.1), standardize_targets=True)
    assert net.seen.scale == [1.0]


def test_the_units_of_a_trained_network_stay() -> None:
    net = houses(MeanSquaredError())
    scale = net.seen.scale
    fit(net, Adam(), X, PRICES + 1000, standardize_targets=True)
    fit(net, Adam(), X, PRICES + 1000)
    assert net.seen.scale == scale
    with pytest.raises(ConfigError, match=r"standardize_targets = False: this network has learned"):
        fit(net, Adam(), X, PRICES, standardize_targets=False)
    with pytest.warns(ScaleWarning, match="by the scale of an earlier training"):
        fit(net, Adam(), X, PRICES * 1000)
    plain = network(1, MeanSquaredError())
    fit(plain, Adam(), X, SEVERAL[:, 0])
    with pytest.raises(ConfigError, match="this network has learned its targets as they are"):
        fit(plain, Adam(), X, PRICES, standardize_targets=True)
    fit(plain.initialize(0), Adam(), X, PRICES, standardize_targets=True)


def test_a_resumption_with_other_names_is_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"checkpoints": Checkpoints(tmp_path), "epochs": 2}
    fit(network(), SGD(), X, NAMES, **options)
    others = np.array(["down", "up"])[T]
    with pytest.raises(ConfigError, match=r"data.classes.0 = down; the checkpoint has bad"):
        fit(network(), SGD(), X, others, resume=True, **options)


# Warnings about the scale


def test_a_training_far_from_unit_size_says_so_once() -> None:
    with pytest.warns(ScaleWarning) as told:
        fit(network(1, MeanSquaredError()), Adam(), X * 1000, PRICES, epochs=2)
    sentences = [str(warning.message) for warning in told]
    assert len(sentences) == 2
    assert (
        "targets have a root mean square of 3.02e+05, far from 1: with standardize" in sentences[0]
    )
    assert (
        "inputs of body have a root mean square of 1.14e+03, far from 1: put Standardize()"
        in sentences[1]
    )


@pytest.mark.parametrize(
    ("layers", "x", "far"),
    [
        ([Standardize(), Dense(2)], X * 1000, False),
        ([Tanh(), Dense(2)], X * 1000, False),
        ([Dense(2)], RNG.integers(0, 256, (120, 3)).astype(np.uint8), False),
        ([Dense(2)], RNG.integers(0, 256, (120, 3)), True),
        ([Dense(2)], X * 1e-4, True),
        ([Dense(2)], X * 0, False),
        ([Dense(2)], X * [1, 1, 1000], True),
        ([Dense(2)], X * np.linspace(0, 300, 120)[:, None], True),
        ([BatchNorm(), Dense(2)], X * 1000, False),
    ],
)
def test_inputs_of_the_first_weights_are_looked_at(layers: list[Layer], x: Any, far: bool) -> None:
    net = Network(Sequential(layers), SoftmaxCrossEntropy(), shape=(3,))
    if far:
        with pytest.warns(ScaleWarning, match=r"the inputs of body.layers.0 have"):
            fit(net, SGD(), x, T)
    else:
        fit(net, SGD(), x, T)


def test_pixels_that_are_no_bytes_are_told_how_to_be() -> None:
    with pytest.warns(ScaleWarning, match=r"or, if they are pixels, give them as bytes, x.astype"):
        fit(network(), SGD(), RNG.integers(0, 256, (120, 3)).astype(float), T)


# Pixels

BYTES = RNG.integers(0, 256, (120, 3)).astype(np.uint8)
FLAGS = (BYTES > 100).astype(np.uint8)


@pytest.mark.parametrize(
    ("first", "then", "sentence"),
    [
        (
            BYTES,
            BYTES.astype(float),
            "x goes from 0 to 255, and the network was trained",
        ),
        (BYTES, BYTES.astype(int), "x goes from 0 to 255, and the"),
        (BYTES, BYTES / 255 * 2 - 1, "x goes from -1"),
        (BYTES, BYTES / 255, ""),
        (BYTES, BYTES > 100, ""),
        (BYTES / 255, BYTES, ""),
        (BYTES / 255, X, ""),
        (BYTES // 16 / 1.0, BYTES // 16, "x is uint8, .* and the network was trained on other"),
        (X, BYTES, "x is uint8, whose bytes are divided by 255"),
        (X, X * 5, ""),
        (FLAGS, FLAGS + 1, "x is uint8, whose bytes are divided by 255"),
        (FLAGS, FLAGS / 1, ""),
        (FLAGS, X, ""),
        (X, FLAGS, ""),
    ],
)
def test_pixels_are_those_of_the_training(first: Any, then: Any, sentence: str) -> None:
    net = network()
    fit(net, SGD(), first, T, epochs=1)
    calls: list[Callable[[], object]] = [
        lambda: net.predict(then),
        lambda: evaluate(net, then, T),
        lambda: net.gradient(then, T),
        lambda: train(net, SGD(), first, T, validation=(then, T)),
        lambda: train(net, SGD(), first, T, test=(then, T)),
    ]
    for call in calls:
        if sentence:
            with pytest.raises(DataError, match=sentence):
                call()
        else:
            call()
    assert net.initialize(0).predict(then).shape == (120,)


# One output


def test_one_output_predicts_a_row() -> None:
    net = network(1, MeanSquaredError())
    assert net.predict(X).shape == (120,)
    sequences = Network(Dense(1), MeanSquaredError(), shape=(5, 3))
    assert sequences.predict(np.ones((7, 5, 3))).shape == (7, 5)


def test_one_logit_has_the_probabilities_of_no_and_yes() -> None:
    net = network(1, BinaryCrossEntropy())
    fit(net, SGD(lr=1.0), X, T, **QUICK)
    p = net.predict_proba(X)
    assert p.shape == (120, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(p.argmax(axis=1), net.predict(X))
    assert (net.predict(X) == T).mean() > 0.95
    assert network(3, BinaryCrossEntropy()).predict_proba(X).shape == (120, 3)


# Gaps, and weights of each target

GAPS = RNG.random((120, 2)) < 0.3


@pytest.mark.parametrize(
    ("loss", "t"),
    [
        (MeanSquaredError(), SEVERAL),
        (Huber(), SEVERAL),
        (BinaryCrossEntropy(pos_weight=[1.0, 3.0]), (SEVERAL > 0).astype(float)),
    ],
)
def test_targets_that_are_missing_do_not_count(loss: Loss, t: Any) -> None:
    net = network(2, loss, dtype="float64")
    missing = np.where(GAPS, np.nan, t)
    total = net.gradient(X, missing)
    found = net.arena.grads.copy()
    # the mean over the known ones, each as an example of its own
    W, b = np.split(found, [6])
    z = net.outputs(X)
    ones = [copy.copy(loss) for _ in range(2)]
    values = np.stack(
        [
            one.values(z, t)[:, d]  # type: ignore[attr-defined]
            for d, one in enumerate(ones)
        ],
        axis=1,
    )
    assert total == pytest.approx(values[~GAPS].mean(), rel=1e-12)
    slopes = ones[0].slopes() * ~GAPS / (~GAPS).sum()  # type: ignore[attr-defined]
    np.testing.assert_allclose(W.reshape(3, 2), X.T @ slopes, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b, slopes.sum(axis=0), rtol=1e-9, atol=1e-12)
    assert evaluate(net, X, missing)[1] == pytest.approx(total, rel=1e-12)
    weighted = net.gradient(X, t, (~GAPS).astype(float))
    assert weighted == pytest.approx(total, rel=1e-12)
    np.testing.assert_allclose(net.arena.grads, found, rtol=1e-12)


def test_what_stands_in_a_gap_does_not_matter_for_the_training() -> None:
    t = np.where(GAPS, np.nan, SEVERAL)
    one, two = (network(2, MeanSquaredError(), dtype="float64") for _ in range(2))
    first = fit(one, Adam(), X, t, **QUICK)
    second = fit(two, Adam(), X, np.where(GAPS, 7.0, SEVERAL), sample_weight=~GAPS, **QUICK)
    np.testing.assert_allclose(one.arena.values, two.arena.values, rtol=1e-12)
    assert first[-1].train_loss == pytest.approx(second[-1].train_loss, rel=1e-12)
    parts = network(2, MeanSquaredError(), dtype="float64")
    fit(parts, Adam(), X, t, epochs=30, batch_size=5, gradient_accumulation_steps=4)
    np.testing.assert_allclose(one.arena.values, parts.arena.values, rtol=1e-6)


def test_accuracy_of_labels_with_gaps_is_that_of_the_known_ones() -> None:
    net, labels = network(2, BinaryCrossEntropy()), (SEVERAL > 0).astype(float)
    right, t = (net.predict(X) == labels)[~GAPS].mean(), np.where(GAPS, np.nan, labels)
    assert evaluate(net, X, t)[0] == pytest.approx(right)
    assert evaluate_metrics(net, X, t, ["accuracy"])["accuracy"] == pytest.approx(right)


def test_metrics_of_targets_with_gaps_are_means_over_the_outputs() -> None:
    net = network(2, MeanSquaredError())
    t = np.where(GAPS, np.nan, SEVERAL)
    found = evaluate_metrics(net, X, t, ["mae", "r2"])
    predicted = net.predict(X)
    mae = [abs(predicted - t)[~GAPS[:, d], d].mean() for d in (0, 1)]
    assert found["mae"] == pytest.approx(np.mean(mae), rel=1e-6)
    r2 = [r2_score(t[~GAPS[:, d], d], predicted[~GAPS[:, d], d]) for d in (0, 1)]
    assert found["r2"] == pytest.approx(np.mean(r2), rel=1e-6)
    labels = network(2, BinaryCrossEntropy())
    with pytest.raises(DataError, match="'f1_micro' of targets with weights or gaps of their own"):
        evaluate_metrics(labels, X, np.where(GAPS, np.nan, SEVERAL > 0), ["f1_micro"])


def test_a_single_target_that_is_missing_is_refused() -> None:
    with pytest.raises(
        DataError, match="target nan of example 3; should be finite, or the example left"
    ):
        network(1, MeanSquaredError()).gradient(X, np.where(np.arange(120) == 3, np.nan, T))


# Names of targets


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_a_table_are_the_names_of_the_targets(library: str, tmp_path: Path) -> None:
    frames = pytest.importorskip(library)
    prices = [None if gap else float(price) for gap, price in zip(GAPS[:, 0], T, strict=True)]
    table = frames.DataFrame({"price": prices, "rent": SEVERAL[:, 1]})
    net, plain = (network(2, MeanSquaredError()) for _ in range(2))
    fit(net, Adam(), X, table, standardize_targets=True, **QUICK)
    array = np.stack([np.where(GAPS[:, 0], np.nan, T), SEVERAL[:, 1]], axis=1)
    fit(plain, Adam(), X, array, standardize_targets=True, **QUICK)
    np.testing.assert_array_equal(net.arena.values, plain.arena.values)
    assert (net.seen.targets, plain.seen.targets) == (["price", "rent"], None)
    for other, reason in ((["rent", "price"], "in another order than"), (["price", "x"], "not")):
        renamed = frames.DataFrame(dict.fromkeys(other, SEVERAL[:, 0]))
        with pytest.raises(DataError, match=rf"{reason} those .*: give t\[network.seen.targets\]"):
            evaluate(net, X, renamed)
    net.save(tmp_path / "net.safetensors")
    assert Network.load(tmp_path / "net.safetensors").seen.targets == ["price", "rent"]
    one = network(1, MeanSquaredError())
    fit(one, Adam(), X, frames.Series(T, name="price") if library == "pandas" else table["rent"])
    assert one.seen.targets == (["price"] if library == "pandas" else ["rent"])


@pytest.mark.parametrize(
    ("loss", "value", "words"),
    [
        (MeanSquaredError(), math.inf, "target inf of example 3, column 'rent'; should be finite"),
        (MeanSquaredError(), 1e300, "the target of example 3, column 'rent' is too big for"),
        (BinaryCrossEntropy(), 2.0, "label 2.0 of example 3, column 'rent'; should be from 0 to 1"),
    ],
)
def test_an_error_about_one_of_several_targets_has_its_name(
    loss: Loss, value: float, words: str
) -> None:
    net, t = network(2, loss), np.zeros((120, 2))
    net.seen.targets = ["price", "rent"]
    t[3, 1] = value
    with pytest.raises(DataError, match=words):
        net.gradient(X, t)


def test_a_missing_target_may_be_of_a_loss_that_cannot_judge_0() -> None:
    class LogRatio(ElementwiseLoss):
        def values(self, z: Array, t: Array) -> Array:
            self.error = z - np.log(t)
            return self.error**2

        def slopes(self) -> Array:
            return 2 * self.error

    net, t = network(2, LogRatio()), np.array([[math.nan, 1.0], [2.0, 3.0]])
    assert math.isfinite(net.gradient(X[:2], t))
    whole = net.arena.grads.copy()
    net.gradient(X[:2], np.where(np.isnan(t), 5.0, t), sample_weight=~np.isnan(t))
    np.testing.assert_array_equal(net.arena.grads, whole)


@pytest.mark.parametrize(
    "loss",
    [
        *(MeanSquaredError(), MeanAbsoluteError(), Huber(), LogCosh(), Poisson()),
        *(BinaryCrossEntropy(), Hinge(), SquaredHinge()),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_the_gradient_of_a_missing_target_is_exactly_0(loss: Loss) -> None:
    net, alone = network(2, loss, dtype="float64"), network(1, loss, dtype="float64")
    whole = np.where(GAPS, math.nan, SEVERAL > 0)
    _, t, a = net.check(X, whole)
    loss.forward(net.outputs(X), net.targets.convert(t), a)
    dz = loss.backward()
    assert not dz[GAPS].any()
    assert dz[~GAPS].any()
    whole[:, 1] = math.nan
    alone.arena.values[:] = net.arena.values[::2]
    known = ~GAPS[:, 0]
    expected = alone.gradient(X[known], whole[known, 0])
    assert net.gradient(X, whole) == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(net.arena.grads[::2], alone.arena.grads, rtol=1e-9, atol=1e-15)
    assert not net.arena.grads[1::2].any()


def test_gaps_have_no_part_in_mean_and_scale() -> None:
    net, t = network(2, MeanSquaredError()), np.where(GAPS, math.nan, SEVERAL * [1e4, 1.0] + 3)
    train(net, Adam(), X, t, standardize_targets=True)
    np.testing.assert_allclose(net.seen.mean, np.nanmean(t, axis=0))  # type: ignore[arg-type]
    np.testing.assert_allclose(net.seen.scale, np.nanstd(t, axis=0))  # type: ignore[arg-type]
