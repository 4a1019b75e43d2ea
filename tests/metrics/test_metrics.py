"""Metrics beside their definitions, written out in NumPy."""

import math
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from sklearn.metrics import fbeta_score, make_scorer, recall_score

from layerkit import (
    SGD,
    BinaryCrossEntropy,
    ConfigError,
    DataError,
    Dense,
    Focal,
    GaussianNLL,
    Hinge,
    KLDivergence,
    Loss,
    MeanSquaredError,
    MultiMargin,
    Network,
    Poisson,
    Quantile,
    Reshape,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    evaluate,
    fit,
)
from layerkit.arrays import Array
from layerkit.callbacks import EarlyStopping
from layerkit.config.own_modules import IMPORTED, import_file
from layerkit.metrics import check_metrics, evaluate_metrics, report
from layerkit.metrics.metrics import measure, report_outputs
from layerkit.metrics.own import MetricWarning

N, K = 200, 4
rng = np.random.default_rng(0)
Z = rng.normal(size=(N, K))
T = rng.integers(0, K, N)
Z[np.arange(N), T] += 1
WEIGHTS = [None, rng.uniform(0, 3, N), rng.integers(0, 3, N).astype(float)]


def per_class(t: Array, predicted: Array, a: Array | None, k: int) -> tuple[float, float, float]:
    """Precision, recall and F1 of class k; the sums are those of the weights."""
    a = np.ones(len(t)) if a is None else a
    both = a[(t == k) & (predicted == k)].sum()
    precision, recall = both / a[predicted == k].sum(), both / a[t == k].sum()
    return precision, recall, 2 * precision * recall / (precision + recall)


def area(positive: Array, score: Array, a: Array | None) -> float:
    """The share of pairs in the right order, ties by half; pairs have the product of weights."""
    a = np.ones(len(score)) if a is None else a
    yes, no = score[positive][:, None], score[~positive]
    right = (yes > no) + (yes == no) / 2
    pairs = np.outer(a[positive], a[~positive])
    return float((right * pairs).sum() / pairs.sum())


@pytest.mark.parametrize("a", WEIGHTS)
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MultiMargin(), Focal()])
def test_metrics_of_several_classes(loss: Loss, a: Array | None) -> None:
    names = ["accuracy", "top_2_accuracy", "top_3_accuracy", "precision", "recall", "f1"]
    more = ["f1_weighted", "f1_micro", "precision_per_class", "recall_per_class", "f1_per_class"]
    found = measure([*names, *more], loss, Z, T, a)
    predicted = Z.argmax(axis=1)
    expected = {"accuracy": np.average(predicted == T, weights=a)}
    rank = (Z[np.arange(N), T][:, None] < Z).sum(axis=1)
    expected |= {f"top_{k}_accuracy": np.average(rank < k, weights=a) for k in (2, 3)}
    each = np.array([per_class(T, predicted, a, k) for k in range(K)]).T
    for stem, figures in zip(("precision", "recall", "f1"), each, strict=True):
        expected[stem] = figures.mean()
        expected |= {f"{stem}_class_{k}": figures[k] for k in range(K)}
    support = np.bincount(T, a)
    expected |= {"f1_weighted": each[2] @ support / support.sum()}
    expected |= {"f1_micro": expected["accuracy"]}
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("a", WEIGHTS)
@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MultiMargin()])
def test_area_under_the_curve_of_each_class_against_the_rest(loss: Loss, a: Array | None) -> None:
    scores = loss.predict_proba(Z) if loss.has_probabilities else Z
    each = [area(np.equal(T, k), scores[:, k], a) for k in range(K)]
    found = measure(["roc_auc", "roc_auc_per_class"], loss, Z, T, a)
    expected = {"roc_auc": np.mean(each)} | {f"roc_auc_class_{k}": each[k] for k in range(K)}
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("a", WEIGHTS)
@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Hinge(), SoftmaxCrossEntropy()])
def test_metrics_of_two_classes_are_those_of_class_1(loss: Loss, a: Array | None) -> None:
    z, t = Z[:, :1].round(1), (T > 1).astype(int)
    names = ["accuracy", "precision", "recall", "f1", "roc_auc"]
    outputs, targets = z, t[:, None].astype(np.float32)
    if isinstance(loss, SoftmaxCrossEntropy):
        outputs, targets = np.hstack([0 * z, z]), t
    found = measure(names, loss, outputs, targets, a)
    z = z[:, 0]
    figures = [np.average((z > 0) == t, weights=a), *per_class(t, z > 0, a, 1), area(t == 1, z, a)]
    assert found == pytest.approx(dict(zip(names, figures, strict=True)), rel=1e-12)


@pytest.mark.parametrize("a", WEIGHTS)
@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Hinge()])
@pytest.mark.parametrize("labels", [2, 3])
def test_metrics_of_labels_that_do_not_exclude_each_other(
    loss: Loss, a: Array | None, labels: int
) -> None:
    z, t = Z[:, :labels], (rng.random((N, labels)) < 0.4).astype(np.float32)
    found = measure(["accuracy", "f1", "f1_per_class", "roc_auc"], loss, z, t, a)
    each = [per_class(t[:, k], z[:, k] > 0, a, 1)[2] for k in range(labels)]
    expected = {"accuracy": np.average(((z > 0) == t).mean(axis=1), weights=a)}
    expected |= {"f1": np.mean(each)} | {f"f1_class_{k}": each[k] for k in range(labels)}
    expected["roc_auc"] = np.mean([area(t[:, k] == 1, z[:, k], a) for k in range(labels)])
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("a", WEIGHTS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_metrics_of_numbers(a: Array | None, outputs: int) -> None:
    z = Z[:, :outputs]
    t = z + rng.normal(size=z.shape)
    mean = np.average(t, axis=0, weights=a)
    squares, spread = np.average((z - t) ** 2, axis=0, weights=a), np.average((t - mean) ** 2, 0, a)
    expected = {
        "mae": np.average(abs(z - t).mean(axis=1), weights=a),
        "rmse": np.sqrt(squares).mean(),
        "r2": (1 - squares / spread).mean(),
        "neg_mean_squared_error": -squares.mean(),
    }
    assert measure(list(expected), MeanSquaredError(), z, t, a) == pytest.approx(expected, rel=1e-9)


def test_predictions_of_numbers_are_those_of_the_loss() -> None:
    t = np.array([[1.0], [4.0]])
    assert measure(["mae"], Poisson(), np.log(t + 1), t)["mae"] == pytest.approx(1)
    z = np.array([[2.0, 9.0], [5.0, 9.0]])  # means and variances
    assert measure(["mae"], GaussianNLL(), z, t)["mae"] == 1


@pytest.mark.parametrize("a", WEIGHTS)
@pytest.mark.parametrize("positions", [(N,), (20, 10)])
def test_several_quantiles_are_measured_by_their_median(
    positions: tuple[int, ...], a: Array | None
) -> None:
    def coverage(estimator: Any, z: Array, y: Array, sample_weight: Array | None = None) -> float:
        return float(np.average((z[:, 0] <= y) & (y <= z[:, -1]), weights=sample_weight))

    loss, z = Quantile((0.1, 0.5, 0.9)), np.sort(Z[:, :3]).reshape(*positions, 3)
    t = loss.targets(y := rng.normal(size=positions), z.shape[1:])
    weights = None if a is None else a.reshape(positions)
    check_metrics(["mae", "rmse", "r2", coverage], loss, z.shape[1:])
    found = measure(["mae", "rmse", "r2", coverage], loss, z, t, weights)
    low, median, high = z.reshape(-1, 3).T
    expected = measure(["mae", "rmse", "r2"], Quantile(), median[:, None], y.reshape(-1, 1), a)
    expected["coverage"] = np.average((low <= y.ravel()) & (y.ravel() <= high), weights=a)
    assert found == pytest.approx(expected, rel=1e-12)
    check_metrics([coverage], outer := Quantile((0.1, 0.9)), (*z.shape[1:-1], 2))
    assert measure([coverage], outer, z[..., ::2], t[..., ::2], weights) == pytest.approx(
        {"coverage": expected["coverage"]}
    )
    with pytest.raises(DataError, match=r"^quantiles = \(0.1, 0.9\): none of them is the median"):
        measure(["mae"], outer, z[..., ::2], t[..., ::2], weights)
    with pytest.raises(DataError, match="give a weight per example"):
        measure(["mae"], loss, z, t, np.ones(z.shape))


class _FirstOnly(Loss):
    """Targets of another shape than the outputs, and no `predict`."""

    def targets(self, t: Any, shape: tuple[int, ...]) -> Array:
        return np.asarray(t, "float32")

    def losses(self, z: Array, t: Array) -> Array:
        self.error = z - t[..., :1]
        return (self.error**2).mean(axis=-1)

    def gradients(self) -> Array:
        return 2 * self.error / self.error.shape[-1]


def test_predictions_and_targets_of_other_shapes_are_refused_before_the_training() -> None:
    def first(estimator: Any, z: Array, y: Array) -> float:
        return float(abs(z[:, 0] - y[:, 0]).mean())

    net, x, t = Network(Dense(3), _FirstOnly(), shape=(2,)), Z[:, :2], Z[:, 2:]
    before, sentence = net.arena.values.copy(), r"'mae' can't compare .*\(N, 3\), .* \(N, 2\): ov"
    with pytest.raises(DataError, match=sentence):
        fit(net, SGD(), x, t, validation=(x, t), metrics=["mae"])
    with pytest.raises(DataError, match=sentence):
        evaluate_metrics(net, x, t, ["mae"])
    np.testing.assert_array_equal(net.arena.values, before)
    assert evaluate_metrics(net, x, t, [first])["first"] > 0


@pytest.mark.parametrize("a", WEIGHTS)
def test_scorers_of_scikit_learn(a: Array | None) -> None:
    loss = SoftmaxCrossEntropy()
    f2 = make_scorer(partial(fbeta_score, beta=2, average="macro"))
    found = measure(["neg_log_loss", "balanced_accuracy", f2], loss, Z, T, a)
    predicted = Z.argmax(axis=1)
    p = loss.predict_proba(Z)[np.arange(N), T]
    each = np.array([per_class(T, predicted, a, k) for k in range(K)]).T
    expected = {
        "neg_log_loss": np.average(np.log(p), weights=a),
        "balanced_accuracy": each[1].mean(),
        "fbeta_score": (5 * each[0] * each[1] / (4 * each[0] + each[1])).mean(),
    }
    assert found == pytest.approx(expected, rel=1e-12)


def test_a_function_may_be_a_scorer() -> None:
    def margin(estimator: Any, z: Array, y: Array) -> float:
        return float((z[np.arange(len(y)), y] - z.mean(axis=1)).mean())

    check_metrics([margin], SoftmaxCrossEntropy(), (K,))
    found = measure([margin], SoftmaxCrossEntropy(), Z, T, WEIGHTS[1])
    assert found == {"margin": pytest.approx((Z[np.arange(N), T] - Z.mean(axis=1)).mean())}


def test_ignored_examples_and_examples_of_no_weight_are_left_out() -> None:
    loss, names = SoftmaxCrossEntropy(ignore_label=-1), ["accuracy", "f1", "roc_auc"]
    t = np.where(np.arange(N) % 5, T, -1)
    known = t >= 0
    assert measure(names, loss, Z, t) == measure(names, loss, Z[known], t[known])
    assert measure(names, loss, Z, T, known.astype(float)) == measure(names, loss, Z, t)
    assert f" {known.sum()}\n" in report_outputs(loss, Z, t)


def test_targets_that_are_distributions_count_as_the_most_probable_class() -> None:
    t = np.eye(K)[T] * 0.6 + 0.1
    names = ["accuracy", "f1", "roc_auc"]
    assert measure(names, KLDivergence(), Z, t) == measure(names, SoftmaxCrossEntropy(), Z, T)
    soft = np.where(T > 1, 0.9, 0.2)[:, None]
    hard = (T > 1).astype(float)[:, None]
    z, loss = Z[:, :1], BinaryCrossEntropy()
    assert measure(names, loss, z, soft) == measure(names, loss, z, hard)


def test_what_is_undefined_is_0_or_nan_and_warns_of_nothing() -> None:
    names = ["precision_per_class", "recall", "roc_auc", "roc_auc_ovr", "neg_log_loss"]
    z, t = np.eye(3)[[0, 0, 1, 1]], np.array([0, 0, 1, 1])
    found = measure(names, SoftmaxCrossEntropy(), z, t)
    assert found["precision_class_2"] == 0
    assert found["recall"] == 1
    assert math.isnan(found["roc_auc"])
    assert math.isnan(found["roc_auc_ovr"])
    assert found["neg_log_loss"] == pytest.approx(1 - math.log(math.e + 2))
    nothing = measure(["f1", "f1_per_class"], SoftmaxCrossEntropy(), z, t, np.zeros(4))
    assert list(nothing) == ["f1", "f1_class_0", "f1_class_1", "f1_class_2"]
    assert all(map(math.isnan, nothing.values()))
    negative = measure(["neg_mean_squared_log_error"], MeanSquaredError(), -z, z)
    assert math.isnan(negative["neg_mean_squared_log_error"])


def test_a_class_that_neither_occurs_nor_is_predicted_has_no_part_in_a_mean() -> None:
    z, t = np.eye(4)[[0, 0, 1, 2]], np.array([0, 0, 1, 1])  # 3 nowhere, 2 predicted alone
    means = {
        "precision": (1 + 1 + 0) / 3,
        "precision_macro": (1 + 1 + 0) / 3,
        "recall_macro": (1 + 1 / 2 + 0) / 3,
        "f1_macro": (1 + 2 / 3 + 0) / 3,
        "jaccard_macro": (1 + 1 / 2 + 0) / 3,
    }
    found = measure([*means, "f1_per_class"], SoftmaxCrossEntropy(), z, t)
    each = {"f1_class_0": 1, "f1_class_1": 2 / 3, "f1_class_2": 0, "f1_class_3": 0}
    assert found == pytest.approx(means | each)
    macro = sklearn.metrics.f1_score(t, z.argmax(axis=1), average="macro", zero_division=0)
    assert found["f1_macro"] == pytest.approx(macro)


def test_outputs_in_single_precision_do_not_cost_digits() -> None:
    z, t = Z.astype(np.float32), T
    names = ["neg_log_loss", "roc_auc_ovr", "roc_auc"]
    single = measure(names, SoftmaxCrossEntropy(), z, t)
    assert single == measure(names, SoftmaxCrossEntropy(), z.astype(float), t)


@pytest.mark.parametrize(
    ("metric", "loss", "shape", "reason"),
    [
        ("f1_marco", SoftmaxCrossEntropy(), (3,), "did you mean 'f1_macro'"),
        ("top_k", SoftmaxCrossEntropy(), (3,), "unknown"),
        ("mae", SoftmaxCrossEntropy(), (3,), "doesn't suit SoftmaxCrossEntropy, a loss of classes"),
        ("neg_max_error", Hinge(), (1,), "doesn't suit Hinge, a loss of classes"),
        ("f1", MeanSquaredError(), (1,), "doesn't suit MeanSquaredError, a loss of numbers"),
        ("top_2_accuracy", MeanSquaredError(), (4,), "a loss of numbers"),
        ("top_1_accuracy", Focal(), (3,), "greater than 1 and less than .* here 3"),
        ("top_3_accuracy", Focal(), (3,), "greater than 1 and less than .* here 3"),
        ("top_2_accuracy", Hinge(), (5,), "greater than 1"),
        ("neg_log_loss", Hinge(), (1,), "can't judge Hinge with outputs .*: it has no prob"),
        ("roc_auc_ovr", MultiMargin(), (3,), "it has no probabilities"),
        ("jaccard", Focal(), (3,), "choose another average"),
        ("neg_max_error", MeanSquaredError(), (2,), "Multioutput not supported"),
        ("mae", Quantile((0.1, 0.9)), (2,), r"'mae' can't judge Quantile .*\(0.1, 0.9\): none of"),
        (
            recall_score,
            Focal(),
            (3,),
            r"of scikit-learn: write make_scorer\(recall_score\), with r",
        ),
        (lambda y, p: 0, Focal(), (3,), "a lambda has no name for the records: write a function"),
        (make_scorer(lambda y, p: 0), Focal(), (3,), "a lambda has no name for the records"),
        (
            "tolerance",
            Focal(),
            (3,),
            r"\(a metric of your own has to be imported first: --import FILE.py\)",
        ),
        (make_scorer(recall_score), Focal(), (3,), "average='binary'"),
        (
            make_scorer(recall_score, average=None),
            Focal(),
            (3,),
            r"'recall_score' returns float64 \(3,",
        ),
        (make_scorer, Focal(), (3,), "'make_scorer' is a function of scikit-learn"),
        (3, Focal(), (3,), "metrics: 3: should be a name or a function"),
        (dict, Focal(), (3,), "should be a name or a function"),
    ],
)
def test_a_metric_that_does_not_suit_is_refused_before_the_training(
    metric: Any, loss: Loss, shape: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_metrics([metric], loss, shape)


OWN = """
import numpy as np
from sklearn.metrics import make_scorer, recall_score

def right(y, predicted):
    return np.mean(y == predicted)

def certain(estimator, x, y):
    return estimator.predict_proba(x).max(axis=1).mean()

def weighted(y, p, sample_weight=None):
    return np.average(y == p, weights=sample_weight)

hits = make_scorer(weighted)

def share_per_class(y, p):
    return np.bincount(p, minlength=4) / len(p)

def each(y, p): return y == p
def word(y, p): return "good"
def nothing(y, p): np.mean(y == p)
def three_per_class(y, p): return np.ones(3)
def one(y): return 1.0
def fails(y, p):
    return 1 / 0
def changes(y, p):
    p *= 0
    return 1.0
def loss(y, p): return 1.0
def f1(y, p): return 1.0
def unknown(y, p): return float("nan")
def many(y, p):
    if len(y) > 50:
        raise KeyError("many")
    return 1.0
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with metrics, imported as the command does."""
    monkeypatch.chdir(tmp_path)
    path = Path("metrics_of_mine.py")
    path.write_text(OWN)
    import_file(path)
    yield path
    del sys.modules[path.stem], IMPORTED[path.stem]


@pytest.mark.parametrize("a", WEIGHTS)
@pytest.mark.usefixtures("own")
def test_functions_of_an_imported_file_are_metrics_by_name(a: Array | None) -> None:
    loss = SoftmaxCrossEntropy()
    names = ["right", "certain", "weighted", "hits", "share_per_class"]
    assert check_metrics(names, loss, (K,))[:4] == names[:4]
    found, p = measure(names, loss, Z, T, a), loss.predict_proba(Z)
    right = p.argmax(axis=1) == T
    counting = np.ones(N, bool) if a is None else a > 0
    assert found["right"] == pytest.approx(right[counting].mean())
    assert found["certain"] == pytest.approx(p[counting].max(axis=1).mean())
    assert found["weighted"] == found["hits"] == pytest.approx(np.average(right, weights=a))
    assert found["share_class_2"] == pytest.approx((p.argmax(axis=1) == 2)[counting].mean())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("each", r"'each' (FILE, line 19) returns bool (6,); should be a number: write return "),
        ("word", r"'word' (FILE, line 20) returns 'good'; should be a number"),
        ("nothing", r"'nothing' (FILE, line 21) returns None; should be a number: write return at"),
        ("three_per_class", "(FILE, line 22) returns float64 (3,); should be an array (4,), one"),
        ("one", "one(y) (FILE, line 23): should be one(y, predicted), or one(estimator, x, y)"),
        ("fails", "'fails' (FILE, line 25) can't judge SoftmaxCrossEntropy with outputs (4,): Z"),
        ("changes", "'changes' (FILE, line 27) writes to what it is given: make a new array"),
        ("loss", "'loss' (FILE, line 29) has the name of a metric of layerkit or"),
        ("f1", "'f1' (FILE, line 30) has the name of a metric of layerkit or scikit-learn"),
        ("recall_class_1", "is one of the results of 'recall_per_class': write that"),
        ("rigt", "'rigt': unknown; did you mean 'right'?"),
        ("np", "'np': unknown"),
        ("recall_score", "'recall_score': unknown; here it is called 'recall'"),
    ],
)
def test_a_metric_of_ones_own_with_a_mistake_is_refused_with_its_line(
    own: Path, name: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence.replace("FILE", str(own)))):
        check_metrics([name], SoftmaxCrossEntropy(), (K,))


def test_a_name_that_two_files_have_is_refused_where_it_is_used(own: Path) -> None:
    other = Path("others_of_mine.py")
    other.write_text("def right(y, p): return 1.0")
    import_file(other)
    check_metrics(["certain"], SoftmaxCrossEntropy(), (K,))
    sentence = rf"'right' is in two files \({own}, line 5\) and \({other}, line 1\): rename"
    with pytest.raises(ConfigError, match=sentence):
        check_metrics(["right"], SoftmaxCrossEntropy(), (K,))
    del sys.modules[other.stem], IMPORTED[other.stem]


def test_a_metric_of_ones_own_is_nan_or_fails_later(own: Path) -> None:
    loss = SoftmaxCrossEntropy()
    check_metrics(["unknown", "many"], loss, (K,))
    with pytest.warns(MetricWarning, match=rf"'unknown' \({own}, line 31\) is nan"):
        measure(["unknown"], loss, Z, T)
    assert np.isnan(measure(["unknown"], loss, Z, T)["unknown"])  # and that is said once
    with pytest.raises(KeyError) as caught:
        measure(["many"], loss, Z, T)
    assert caught.value.__notes__ == ["in the metric many"]


@pytest.mark.parametrize(("name", "told"), [("right", True), ("hits", False), ("f1_macro", False)])
@pytest.mark.usefixtures("own")
def test_nobody_knows_the_direction_of_a_function(name: str, told: bool) -> None:
    net, x = Network(Dense(K), SoftmaxCrossEntropy(), shape=(K,)), Z.astype("float32")
    for mode in ("auto", "min"):
        stopping = EarlyStopping(monitor=f"validation_{name}", mode=mode, patience=1)
        options: Any = {"validation": (x, T), "metrics": [name], "epochs": 1}
        if told and mode == "auto":
            with pytest.raises(ConfigError, match='metric of your own: set mode to "min" if'):
                fit(net, SGD(), x, T, callbacks=[stopping], **options)
        else:
            assert fit(net, SGD(), x, T, callbacks=[stopping], **options)[0].metrics


def test_metrics_are_a_list_of_different_ones() -> None:
    with pytest.raises(ConfigError, match="'f1' appears twice"):
        check_metrics(["f1", "accuracy", "f1"], Focal(), (3,))
    with pytest.raises(ConfigError, match="should be a list"):
        check_metrics("f1", Focal(), (3,))


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (SoftmaxCrossEntropy(), (2,)),
        (MultiMargin(), (3,)),
        (BinaryCrossEntropy(), (1,)),
        (BinaryCrossEntropy(), (2, 3)),
        (Hinge(), (2,)),
    ],
)
def test_short_names_suit_all_losses_of_classes(loss: Loss, shape: tuple[int, ...]) -> None:
    names = ["accuracy", "precision", "recall", "f1", "roc_auc", "f1_per_class", "f1_macro"]
    check_metrics(names, loss, shape)


def test_metrics_of_a_network() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    net.arena.values[:] = [-1, 1, 0, 0]
    x, t = [[5.0], [-5.0], [1.0], [-1.0]], [1, 0, 0, 0]
    weights = [1.0, 1.0, 2.0, 0.0]
    assert evaluate_metrics(net, x, t, ["precision"], weights) == {
        "precision": pytest.approx(1 / 3)
    }
    with pytest.raises(ConfigError, match="unknown"):
        evaluate_metrics(net, x, t, ["f2"])
    with pytest.raises(DataError, match="sample weight"):
        evaluate_metrics(net, x, t, ["f1"], [-1, 1, 1, 1])


def test_the_report_has_a_line_for_each_class_even_where_there_are_no_examples() -> None:
    z, t = np.eye(3)[[0, 1, 1, 1]], np.array([0, 1, 1, 0])
    lines = report_outputs(SoftmaxCrossEntropy(), z, t, ["cat", "dog", "hippopotamus"]).splitlines()
    cells = {line.split()[0]: line.split()[1:] for line in lines[2:5]}
    assert cells["cat"] == ["1.0000", "0.5000", "0.6667", "2"]
    assert cells["dog"] == ["0.6667", "1.0000", "0.8000", "2"]
    assert cells["hippopotamus"] == ["0.0000", "0.0000", "0.0000", "0"]
    assert [line.split() for line in lines[-3:]] == [
        ["cat", "1", "1", "0"],
        ["dog", "0", "2", "0"],
        ["hippopotamus", "0", "0", "0"],
    ]
    assert len({len(line) for line in lines[-4:]}) == 1


def test_a_report_without_examples_or_with_other_names_is_refused() -> None:
    loss, z = SoftmaxCrossEntropy(ignore_label=-1), np.eye(2)
    with pytest.raises(ConfigError, match="class_names: 1 of them; should be 2"):
        report_outputs(loss, z, np.array([0, 1]), ["cat"])
    with pytest.raises(DataError, match="no example counts"):
        report_outputs(loss, z, np.array([-1, -1]))


def test_the_report_of_labels_and_of_numbers() -> None:
    text = report_outputs(
        BinaryCrossEntropy(), Z[:, :2], (Z[:, 1:3] > 0).astype(float), ["big", "red"]
    )
    assert [line.split()[0] for line in text.splitlines()[2:4]] == ["big", "red"]
    assert "micro avg" in text
    text = report_outputs(MeanSquaredError(), np.array([[1.0], [3.0]]), np.array([[0.0], [4.0]]))
    assert text.splitlines() == ["mae   1", "rmse  1", "r2    0.75"]


# Positions: each counts as an example


def test_metrics_of_positions_are_those_of_rows() -> None:
    z, t = Z.reshape(20, 10, K), T.reshape(20, 10)
    names = ["accuracy", "top_2_accuracy", "f1", "recall_per_class", "roc_auc", "neg_log_loss"]
    loss, a = SoftmaxCrossEntropy(), rng.uniform(0, 3, (20, 10))
    check_metrics(names, loss, (10, K))
    for weights in (None, a):
        rows = None if weights is None else weights.ravel()
        assert measure(names, loss, z, t, weights) == measure(names, loss, Z, T, rows)
    # distributions, and weights of examples
    soft, by_example = rng.dirichlet(np.ones(K), (20, 10)), a[:, 0]
    assert measure(names[:4], loss, z, soft, by_example) == measure(
        names[:4], loss, Z, soft.reshape(N, K), np.repeat(by_example, 10)
    )
    assert report_outputs(loss, z, t) == report_outputs(loss, Z, T)


def test_metrics_leave_ignored_positions_out() -> None:
    z, t = Z.reshape(20, 10, K), np.where(rng.random((20, 10)) < 0.3, -1, T.reshape(20, 10))
    loss, known = SoftmaxCrossEntropy(ignore_label=-1), t >= 0
    names = ["accuracy", "f1", "roc_auc"]
    assert measure(names, loss, z, t) == measure(names, loss, z[known], t[known])
    assert report_outputs(loss, z, t) == report_outputs(loss, z[known], t[known])


@pytest.mark.parametrize("outputs", [1, 2])
def test_metrics_of_labels_and_numbers_at_positions(outputs: int) -> None:
    z = Z[:, :outputs]
    labels, numbers = (z + rng.normal(size=z.shape) > 0).astype(float), z + rng.normal(size=z.shape)
    positions, a = (20, 10, outputs), rng.uniform(0, 3, N)
    for loss, names, t in [
        (BinaryCrossEntropy(), ["accuracy", "f1", "roc_auc"], labels),
        (MeanSquaredError(), ["mae", "rmse", "r2"], numbers),
    ]:
        found = measure(names, loss, z.reshape(positions), t.reshape(positions), a.reshape(20, 10))
        assert found == measure(names, loss, z, t, a)
        assert report_outputs(loss, z.reshape(positions), t.reshape(positions)) == report_outputs(
            loss, z, t
        )
    m, v = Z[:, :outputs], Z[:, :outputs] ** 2
    z = np.hstack([m, v])
    found = measure(["mae"], GaussianNLL(), z.reshape(20, 10, -1), numbers.reshape(positions))
    assert found == {"mae": pytest.approx(abs(m - numbers).mean())}


def test_a_network_of_sequences_is_measured_per_position() -> None:
    body = Sequential([Dense(6), Reshape(shape=(3, 2))])
    net = Network(body, SoftmaxCrossEntropy(ignore_label=-1), shape=(2,))
    x, t = rng.normal(size=(30, 2)), rng.integers(-1, 2, (30, 3))
    a = rng.uniform(0, 2, (30, 3))
    right = net.predict(x) == t
    found = evaluate_metrics(net, x, t, ["accuracy"], a)["accuracy"]
    assert found == pytest.approx(np.average(right, weights=a * (t >= 0)))
    accuracy, loss = evaluate(net, x, t, a)
    assert accuracy == pytest.approx(found)
    p = np.take_along_axis(net.predict_proba(x), np.maximum(t, 0)[..., None], axis=2)[..., 0]
    assert loss == pytest.approx(np.average(-np.log(p), weights=a * (t >= 0)), rel=1e-5)
    accuracy, _ = evaluate(net, x, t, a[:, 0])
    assert accuracy == pytest.approx(np.average(right, weights=a[:, :1] * (t >= 0)))


def test_outputs_and_targets_of_other_positions_are_refused() -> None:
    z = np.zeros((4, 3, 2))
    with pytest.raises(ShapeError, match=r"targets of shape \(4, 2\) for outputs of shape \(4, 3"):
        measure(["accuracy"], Hinge(), z, np.zeros((4, 2)))
    with pytest.raises(ShapeError, match=r"sample weights of shape \(3,\) for losses of shape"):
        measure(["mae"], MeanSquaredError(), z, z, np.ones(3))


def test_a_report_takes_what_an_evaluation_takes() -> None:
    net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(2,))
    x, t = Z[:, :2], np.where(Z[:, 0] > 0, "yes", "no")
    fit(net, SGD(lr=1.0), x, t, epochs=5)
    numbers = np.where(t == "yes", 1, 0)
    text = report(net, x.tolist(), t.tolist())
    assert text == report_outputs(net.loss, net.outputs(x), numbers, ["no", "yes"])
    with pytest.raises(DataError, match="label 'maybe' of example 0; should be one of 'no', 'yes'"):
        report(net, x[:1], ["maybe"])
    several = Network(Dense(2), BinaryCrossEntropy(), shape=(2,))
    text = report(several, x, np.where(x > 1, np.nan, x > 0), ["left", "right"])
    counts = (x <= 1).sum(axis=0)
    rows = [line.split() for line in text.splitlines()]
    assert rows[0] == ["precision", "recall", "f1", "support"]
    assert [[row[0], int(row[-1])] for row in rows[1:]] == [
        ["left", counts[0]],
        ["right", counts[1]],
    ]
    with pytest.raises(DataError, match="a report counts examples: not with weights"):
        report_outputs(net.loss, net.outputs(x), numbers, None, np.ones(len(x)))


@pytest.mark.parametrize("gaps", [False, True])
def test_targets_by_name_have_metrics_of_their_own(gaps: bool) -> None:
    z, t = Z[:, :2].astype(float), Z[:, :2] * [2.0, 300.0] + 1
    known = np.ones(t.shape, bool)
    known[::3, 1] = not gaps
    a = known.astype(float) if gaps else None
    names, loss = ["price", "rent"], MeanSquaredError()
    found = measure(["mae", "rmse", "r2", "neg_median_absolute_error"], loss, z, t, a, names)
    expected: dict[str, Any] = {}
    scorers = {
        "mae": sklearn.metrics.mean_absolute_error,
        "rmse": sklearn.metrics.root_mean_squared_error,
        "r2": sklearn.metrics.r2_score,
        "neg_median_absolute_error": lambda y, p: -sklearn.metrics.median_absolute_error(y, p),
    }
    for name, scorer in scorers.items():
        each = [scorer(t[known[:, d], d], z[known[:, d], d]) for d in (0, 1)]
        expected |= {"r2": np.mean(each)} if name == "r2" else {}
        expected |= {f"{name}_price": each[0], f"{name}_rent": each[1]}
    assert found == pytest.approx(expected)
    assert list(found) == list(expected) == check_metrics([*scorers], loss, (2,), names)
    rows = [line.split() for line in report_outputs(loss, z, t, names, a).splitlines()]
    assert [float(cell) for cell in rows[2][1:]] == pytest.approx(
        [*(found[f"{name}_rent"] for name in ("mae", "rmse", "r2")), known[:, 1].sum()], rel=1e-5
    )
    assert list(measure(["mae"], loss, z, t, a)) == ["mae"]  # of outputs without names


def test_metrics_of_classes_and_labels_have_their_names() -> None:
    named = measure(["f1_per_class"], SoftmaxCrossEntropy(), Z, T, None, ["a", "b", "c", "d"])
    assert list(named) == [f"f1_class_{name}" for name in "abcd"]
    z, t, names = Z[:, :2], Z[:, :2] > 0.3, ["urgent", "spam"]
    whole = measure(["f1_per_class", "f1"], BinaryCrossEntropy(), z, t, None, names)
    known = np.ones(z.shape)
    assert measure(["f1_per_class", "f1"], BinaryCrossEntropy(), z, t, known, names) == whole
    known[::2, 1] = 0
    found = measure(["recall_per_class"], BinaryCrossEntropy(), z, t, known, names)
    recall = [
        sklearn.metrics.recall_score(t[known[:, d] > 0, d], z[known[:, d] > 0, d] > 0)
        for d in (0, 1)
    ]
    assert found == pytest.approx(
        {"recall_class_urgent": recall[0], "recall_class_spam": recall[1]}
    )
