"""How much examples and classes count, and batches that are put together from parts."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from layerkit import (
    LBFGS,
    SGD,
    Adam,
    Array,
    BinaryCrossEntropy,
    ConfigError,
    CosineSimilarity,
    DataError,
    Dense,
    Hinge,
    LayerkitError,
    LayerNorm,
    Loss,
    MeanSquaredError,
    Momentum,
    Network,
    Optimizer,
    Reshape,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    evaluate,
    fit,
)
from layerkit.training.class_weights import ClassWeight, example_weights
from layerkit.training.options import Training

RNG = np.random.default_rng(5)
X = RNG.normal(size=(53, 4))
T = RNG.choice(3, 53, p=[0.6, 0.3, 0.1])
A = RNG.uniform(0, 2, 53)


def network(loss: Loss | None = None, outputs: int = 3) -> Network:
    body = Sequential([Dense(8), LayerNorm(), Sigmoid(), Dense(outputs)])
    return Network(body, loss or SoftmaxCrossEntropy(), (4,), "float64").initialize(1)


def weights_after(x: Array, t: Array, optimizer: Optimizer | None = None, **options: Any) -> Array:
    net = network(options.pop("loss", None))
    fit(net, optimizer or SGD(lr=0.5), x, t, **{"epochs": 3, "batch_size": len(x)} | options)
    return net.arena.values.copy()


def close(a: Array, b: Array) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


# Weights of classes


@pytest.mark.parametrize("labels", [T, np.array([2, 2, 0, 2]), np.ones(5, int)])
def test_balanced_weights_are_scikit_learns(labels: Array) -> None:
    close(example_weights("balanced", network(), labels), compute_sample_weight("balanced", labels))


@pytest.mark.parametrize("class_weight", [{0: 2.0, 2: 0.5}, {1: 0}, {}])
def test_weights_by_class_are_scikit_learns(class_weight: dict[int, float]) -> None:
    close(
        example_weights(class_weight, network(), T),
        compute_sample_weight({0: 1.0, 1: 1.0, 2: 1.0} | class_weight, T),
    )
    given = [class_weight.get(k, 1.0) for k in range(3)]
    forms: list[Any] = [given, tuple(given), np.array(given)]
    for form in forms:
        close(example_weights(form, network(), T), example_weights(class_weight, network(), T))


@pytest.mark.parametrize("class_weight", ["balanced", [2.0, 0.0, 0.5]])
def test_examples_have_weights_of_their_own_too(class_weight: ClassWeight) -> None:
    """Whole weights are as many copies of an example."""
    copies = RNG.integers(0, 4, 53)
    a = example_weights(class_weight, network(), T, copies)
    repeated = example_weights(class_weight, network(), np.repeat(T, copies))
    close(np.bincount(T, a), np.bincount(np.repeat(T, copies), repeated))


def test_balanced_classes_count_the_same() -> None:
    a = example_weights("balanced", network(), T, A)
    close(np.bincount(T, a), np.full(3, A.sum() / 3))


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Hinge()])
@pytest.mark.parametrize("shape", [(53,), (53, 1)])
def test_one_output_has_two_classes(loss: Loss, shape: tuple[int, ...]) -> None:
    net, labels = network(loss, 1), T > 0
    _, t, _ = net.check(X, labels.reshape(shape))
    close(example_weights("balanced", net, t), compute_sample_weight("balanced", labels))
    close(example_weights({1: 3.0}, net, t), np.where(labels, 3.0, 1.0))


def test_ignored_labels_have_no_class() -> None:
    net, labels = network(SoftmaxCrossEntropy(ignore_label=-1)), T.copy()
    labels[::5] = -1
    known = labels >= 0
    a = example_weights("balanced", net, labels)
    close(a[known], compute_sample_weight("balanced", labels[known]))


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 2: 0.5}, [1.0, 0.0, 3.0]])
def test_weights_of_classes_are_weights_of_examples_in_a_training(class_weight: Any) -> None:
    a = example_weights(class_weight, network(), T, A)
    options = {"sample_weight": A, "class_weight": class_weight}
    close(
        weights_after(X, T, batch_size=8, **options),
        weights_after(X, T, batch_size=8, sample_weight=a),
    )


def test_what_is_measured_does_not_depend_on_the_weights_of_classes() -> None:
    net = network()
    (record,) = fit(net, SGD(), X, T, class_weight=[5, 0, 1], sample_weight=A, epochs=1)
    assert (record.train_accuracy, record.train_loss) == evaluate(net, X, T, A)


@pytest.mark.parametrize(
    ("class_weight", "sentence"),
    [
        ("auto", r"class_weight = 'auto': should be 'balanced', a list or a table"),
        (3, r"class_weight = 3: should be 'balanced', a list such as \[3\.0\] or a table"),
        ([1, 2], r"\[1, 2\]: should have a weight for each of 3 classes: 0, 1, 2"),
        ({3: 1.0}, r"class_weight\[3\]: there is no such class; the classes are 0, 1, 2$"),
        (
            {"bad": 5},
            r"\['bad'\]: there is no such class; .* have no names: give labels as strings",
        ),
        ([1, 2, -1], r"class_weight\.2 = -1.*: should be greater than or equal to 0"),
        ([1, 2, math.nan], r"class_weight\.2 = nan: should be a finite number"),
        ([1, 2, None], r"class_weight\.2 = None: should be a number"),
        ([0, 0, 0], "no example counts"),
    ],
)
def test_weights_that_are_none_are_refused(class_weight: Any, sentence: str) -> None:
    net, before = network(), network().arena.values.copy()
    with pytest.raises(LayerkitError, match=sentence):
        fit(net, SGD(), X, T, class_weight=class_weight)
    np.testing.assert_array_equal(net.arena.values, before)


@pytest.mark.parametrize(
    ("loss", "outputs", "t"),
    [
        (MeanSquaredError(), 1, T),
        (SoftmaxCrossEntropy(), 3, np.eye(3)[T]),
        (BinaryCrossEntropy(), 1, 0.3 * T),
    ],
)
def test_only_classes_have_weights(loss: Loss, outputs: int, t: Array) -> None:
    with pytest.raises(ConfigError, match="class_weight = 'balanced': the targets are not classes"):
        fit(network(loss, outputs), SGD(), X, t, class_weight="balanced")


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Hinge()])
def test_labels_that_do_not_exclude_each_other_have_another_option(loss: Loss) -> None:
    sentence = r"classes that exclude each other; .* BinaryCrossEntropy\(pos_weight=\[...\]\)"
    with pytest.raises(ConfigError, match=sentence):
        fit(network(loss, 3), SGD(), X, np.eye(3)[T], class_weight="balanced")


# Weights of examples


def test_twice_the_weight_is_twice_the_example() -> None:
    copies = RNG.integers(1, 4, 53)
    twice = weights_after(np.repeat(X, copies, axis=0), np.repeat(T, copies))
    close(weights_after(X, T, sample_weight=copies), twice)


def test_no_weight_is_no_example() -> None:
    a = (np.arange(53) % 3 > 0).astype(float)
    close(weights_after(X, T, sample_weight=a), weights_after(X[a > 0], T[a > 0]))


def test_the_scale_of_weights_does_not_matter() -> None:
    close(weights_after(X, T, sample_weight=A), weights_after(X, T, sample_weight=1000 * A))


def test_batches_in_which_nothing_counts_change_nothing() -> None:
    a = np.zeros(53)
    a[3] = 1
    net = network()
    records = fit(net, SGD(lr=0.5), X, T, sample_weight=a, batch_size=1, epochs=2)
    close(net.arena.values, weights_after(X[[3]], T[[3]], epochs=2))
    assert records[-1].train_loss == pytest.approx(evaluate(net, X[[3]], T[[3]])[1], rel=1e-12)


@pytest.mark.parametrize("a", [A[:5], -A, A[:, None] * [1, 1], ["a"] * 53, A * math.nan])
def test_weights_of_examples_are_checked(a: Any) -> None:
    with pytest.raises(DataError, match="sample weight"):
        fit(network(), SGD(), X, T, sample_weight=a)


# Batches put together from parts

IGNORING = np.where(np.arange(53) % 4 == 0, -1, T)


@pytest.mark.parametrize("parts", [2, 5])
@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sample_weight": A},
        {"sample_weight": (A > 1).astype(float), "class_weight": "balanced"},
        {"loss": SoftmaxCrossEntropy(0.1, class_weight=[1.0, 0.2, 2.5])},
        {"loss": SoftmaxCrossEntropy(0.1, class_weight=[1.0, 0.0, 2.5])},
        {"loss": SoftmaxCrossEntropy(ignore_label=-1), "t": IGNORING, "sample_weight": A},
        {"optimizer": Adam, "measure_train": False},
    ],
    ids=["plain", "weights", "classes", "loss", "one weightless", "ignored", "Adam"],
)
def test_parts_of_a_batch_are_the_large_batch(
    parts: int, size: int, options: dict[str, Any]
) -> None:
    options = {"t": T, **options}
    make: Any = options.pop("optimizer", lambda: Momentum(lr=0.5))
    small = options | {"batch_size": size, "gradient_accumulation_steps": parts}
    large = options | {"batch_size": size * parts}
    close(weights_after(X, optimizer=make(), **small), weights_after(X, optimizer=make(), **large))


def test_parts_do_for_an_optimizer_that_looks_several_times() -> None:
    options: dict[str, Any] = {"batch_size": 9, "gradient_accumulation_steps": 6}
    parts = weights_after(X, T, LBFGS(), **options)
    np.testing.assert_allclose(parts, weights_after(X, T, LBFGS()), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("given", [[11, 11, 11, 11, 9], [1, 30, 2, 15, 5]])
def test_batches_of_an_iterable_are_put_together(given: list[int]) -> None:
    splits = np.split(np.arange(53), np.cumsum(given)[:-1])
    net, by_hand = network(), network()
    batches = [(X[rows], T[rows], A[rows]) for rows in splits]
    records = fit(net, SGD(lr=0.5), batches, epochs=1, gradient_accumulation_steps=2)
    losses, totals = 0.0, 0.0
    for group in (splits[:2], splits[2:4], splits[4:]):
        rows = np.concatenate(group)
        losses += by_hand.gradient(X[rows], T[rows], A[rows]) * A[rows].sum()
        totals += A[rows].sum()
        by_hand.arena.values -= 0.5 * by_hand.arena.grads
    close(net.arena.values, by_hand.arena.values)
    assert records[0].train_loss == pytest.approx(losses / totals, rel=1e-12)


def test_a_step_from_parts_is_the_sum_written_out() -> None:
    net, by_hand = network(), network()
    fit(
        net,
        SGD(lr=0.5),
        X,
        T,
        sample_weight=A,
        epochs=1,
        batch_size=14,
        gradient_accumulation_steps=4,
        seed=3,
    )
    order = np.random.default_rng(3).permutation(53)
    g = np.zeros_like(by_hand.arena.grads)
    for rows in (order[:14], order[14:28], order[28:42], order[42:]):
        by_hand.gradient(X[rows], T[rows], A[rows])
        g += by_hand.arena.grads * A[rows].sum() / A.sum()
    close(net.arena.values, by_hand.arena.values - 0.5 * g)


def test_parts_take_less_memory() -> None:
    x, t = np.ones((512, 8), np.float32), np.arange(512) % 2
    peaks = []
    for parts in (1, 16):
        net = Network(Sequential([Dense(1000), Sigmoid(), Dense(2)]), SoftmaxCrossEntropy(), (8,))
        tracemalloc.start()
        fit(
            net,
            SGD(),
            x,
            t,
            epochs=2,
            batch_size=512 // parts,
            measure_train=False,
            gradient_accumulation_steps=parts,
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 2 * 512 * 1000 * 4  # the outputs of the two large layers
    assert peaks[1] < peaks[0] / 3


@pytest.mark.parametrize("parts", [0, -1, 1.5])
def test_the_number_of_parts_is_a_whole_number(parts: Any) -> None:
    with pytest.raises(ConfigError, match="gradient_accumulation_steps = "):
        fit(network(), SGD(), X, T, gradient_accumulation_steps=parts)
    with pytest.raises(ConfigError, match="gradient_accumulation_steps = "):
        Training(gradient_accumulation_steps=parts)


# Positions


def steps_network(loss: Loss, outputs: int = 3, **options: Any) -> Network:
    """Outputs (T, K) for T = 4 steps of a sequence."""
    body = Sequential([Dense(4 * outputs), Reshape(shape=(4, outputs))])
    return Network(body, loss, shape=(2,), dtype="float64", **options)


def test_class_weights_of_positions() -> None:
    t = np.array([[0, 0, 0, 1], [0, 2, 2, 1]])
    net = steps_network(SoftmaxCrossEntropy())
    balanced = example_weights("balanced", net, t)
    by_class = np.array([8 / (3 * 4), 8 / (3 * 2), 8 / (3 * 2)])
    np.testing.assert_allclose(balanced, by_class[t])
    own = np.array([1.0, 3.0])
    np.testing.assert_allclose(
        example_weights({1: 5.0}, net, t, own), np.where(t == 1, 5, 1) * own[:, None]
    )
    own = np.arange(8.0).reshape(2, 4)
    found = example_weights("balanced", net, t, own)
    sums = [found[t == k].sum() for k in range(3)]
    np.testing.assert_allclose(sums, own.sum() / 3)


def test_class_weights_leave_ignored_positions_out() -> None:
    t = np.array([[0, 1, -1, -1], [0, 0, 1, 2]])
    net = steps_network(SoftmaxCrossEntropy(ignore_label=-1))
    found = example_weights("balanced", net, t)
    np.testing.assert_allclose(found[t >= 0], np.array([6 / 9, 6 / 6, 6 / 3])[t[t >= 0]])


@pytest.mark.parametrize("axis", [True, False])
def test_class_weights_of_binary_positions(axis: bool) -> None:
    t = np.array([[0.0, 0, 0, 1], [0, 0, 0, 1]])
    net = steps_network(BinaryCrossEntropy(), 1)
    found = example_weights("balanced", net, t[..., None] if axis else t)
    np.testing.assert_allclose(found, np.where(t == 1, 2, 2 / 3))


@pytest.mark.parametrize(
    ("loss", "t"),
    [
        (SoftmaxCrossEntropy(), np.full((2, 4, 3), 1 / 3)),
        (BinaryCrossEntropy(), np.zeros((2, 4, 3))),
        (MeanSquaredError(), np.zeros((2, 4, 3))),
    ],
    ids=repr,
)
def test_positions_without_a_class_have_no_class_weight(loss: Loss, t: Array) -> None:
    with pytest.raises(ConfigError, match="the targets are not classes"):
        example_weights("balanced", steps_network(loss), t)


def test_training_with_class_weights_of_positions_is_training_with_their_weights() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(20, 2)), rng.integers(0, 3, (20, 4))
    weights = np.array([1.0, 0.0, 5.0])
    nets = [steps_network(SoftmaxCrossEntropy()) for _ in range(2)]
    fit(nets[0], SGD(lr=0.1), x, t, class_weight=[1.0, 0.0, 5.0], epochs=2, batch_size=8)
    fit(nets[1], SGD(lr=0.1), x, t, sample_weight=weights[t], epochs=2, batch_size=8)
    np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)


@pytest.mark.parametrize("parts", [1, 3])
def test_batches_with_weights_of_positions_and_of_examples_are_put_together(parts: int) -> None:
    rng = np.random.default_rng(0)
    x, t, a = rng.normal(size=(12, 2)), rng.integers(0, 3, (12, 4)), rng.uniform(0, 2, (12, 4))
    a[4:8], a[8:] = a[4:8, :1], 1
    given = [(x[:4], t[:4], a[:4]), (x[4:8], t[4:8], a[4:8, 0]), (x[8:], t[8:])]
    net, by_hand = (steps_network(SoftmaxCrossEntropy()) for _ in range(2))
    fit(net, SGD(lr=0.5), given, epochs=1, gradient_accumulation_steps=parts)
    optimizer = SGD(lr=0.5)
    optimizer.bind(by_hand.arena)
    for rows in np.split(np.arange(12), 3 // parts):
        by_hand.gradient(x[rows], t[rows], a[rows])
        optimizer.step(by_hand.arena.values, by_hand.arena.grads)
    np.testing.assert_allclose(net.arena.values, by_hand.arena.values, rtol=1e-12, atol=1e-14)
    assert evaluate(net, given) == pytest.approx(evaluate(net, x, t, a))


# Weights of targets

SEVERAL = np.stack([X[:, 0], X[:, 1] - X[:, 2], X[:, 3]], axis=1)
GAPS = np.where(RNG.random(SEVERAL.shape) < 0.3, math.nan, SEVERAL)


@pytest.mark.parametrize("loss", [MeanSquaredError(), BinaryCrossEntropy()])
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_the_weight_of_a_target_is_that_of_each_of_its_gaps_and_examples(
    loss: Loss, engine: str
) -> None:
    t = GAPS if isinstance(loss, MeanSquaredError) else np.where(np.isnan(GAPS), GAPS, GAPS > 0)
    each = A[:, None] * [1.0, 0.5, 0.0]
    options: dict[str, Any] = {"loss": loss, "engine": engine, "batch_size": 20}
    whole = weights_after(X, t, sample_weight=A, target_weight=[1.0, 0.5, 0.0], **options)
    np.testing.assert_array_equal(whole, weights_after(X, t, sample_weight=each, **options))
    t = t.copy()
    t[:, 2] = math.nan
    close(whole, weights_after(X, t, sample_weight=A, target_weight=[2.0, 1.0, 7.0], **options))


def test_weights_of_targets_may_have_their_names_and_measure_nothing() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(SEVERAL, columns=["price", "rent", "age"])
    by_name, by_order = (network(MeanSquaredError()) for _ in range(2))
    records = fit(by_name, Adam(), X, table, target_weight={"rent": 0.5, "age": 0}, epochs=2)
    fit(by_order, Adam(), X, SEVERAL, target_weight=[1.0, 0.5, 0.0], epochs=2)
    np.testing.assert_array_equal(by_name.arena.values, by_order.arena.values)
    assert records[-1].train_loss == evaluate(by_name, X, SEVERAL)[1]


@pytest.mark.parametrize(
    ("loss", "t", "options", "reason"),
    [
        (SoftmaxCrossEntropy(), T, {"target_weight": [1.0, 2.0, 3.0]}, "take class_weight"),
        (CosineSimilarity(), SEVERAL, {"target_weight": [1.0, 2.0, 3.0]}, "doesn't judge several"),
        (MeanSquaredError(), SEVERAL, {"target_weight": [1.0]}, "a number for each of 3 targets"),
        (MeanSquaredError(), SEVERAL, {"target_weight": {"a": 1.0}}, "the targets have no names"),
        (MeanSquaredError(), SEVERAL, {"target_weight": [0.0] * 3}, "no target counts"),
        (MeanSquaredError(), SEVERAL, {"target_weight": [1.0, -1.0, 0]}, "should be .* 0"),
        (
            BinaryCrossEntropy(),
            SEVERAL > 0,
            {"target_weight": [1.0] * 3, "class_weight": "balanced"},
            "the targets are not classes that exclude each other",
        ),
    ],
)
def test_weights_of_targets_that_do_not_fit_are_refused(
    loss: Loss, t: Array, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(LayerkitError, match=reason):
        fit(network(loss), SGD(), X, t, **options)
    named = network(MeanSquaredError())
    named.seen.targets = ["price", "rent", "age"]
    with pytest.raises(ConfigError, match=r"no target 'pric' \(did you mean 'price'\?\)"):
        fit(named, SGD(), X, SEVERAL, target_weight={"pric": 2.0})
    with pytest.raises(ConfigError, match="target_weight: in an iterable, each batch brings its"):
        fit(network(MeanSquaredError()), SGD(), [(X, SEVERAL)], target_weight=[1.0, 2.0, 3.0])
