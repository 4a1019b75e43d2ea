"""What is measured, and what is told of it."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Adam,
    Array,
    BinaryCrossEntropy,
    ConfigError,
    DataError,
    Dense,
    Loss,
    MeanSquaredError,
    Network,
    Record,
    Sequential,
    Sigmoid,
    SoftmaxCrossEntropy,
    evaluate,
    fit,
)
from layerkit.cli import main
from layerkit.files.mapped import CHUNK
from layerkit.streams import stream
from layerkit.training.batches import Arrays
from layerkit.training.evaluation import measure_source
from layerkit.training.iterables import Iterated

RNG = np.random.default_rng(6)
N = CHUNK + 50
X = RNG.normal(size=(N, 4))
T = RNG.integers(0, 3, N)
A = RNG.uniform(0, 2, N)


def network(loss: Loss | None = None, outputs: int = 3) -> Network:
    body = Sequential([Dense(8), Sigmoid(), Dense(outputs)])
    return Network(body, loss or SoftmaxCrossEntropy(), (4,), "float64").initialize(1)


# Records


def test_a_record_says_what_was_measured_in_order() -> None:
    record = Record(
        3, 1.5, 0.9, 0.25, 0.8, 0.5, 0.85, 0.004, {"validation_f1": 0.75, "validation_r2": math.nan}
    )
    figures = {
        "train_accuracy": 0.9,
        "train_loss": 0.25,
        "validation_accuracy": 0.85,
        "validation_loss": 0.004,
        "test_accuracy": 0.8,
        "test_loss": 0.5,
        "validation_f1": 0.75,
    }
    assert list(record.measured().items()) == list(figures.items())
    assert list(record.row())[:2] == ["epoch", "seconds"]
    assert list(record.row())[2:] == [*figures, "validation_r2"]  # a table keeps its columns
    assert str(record) == (
        "Epoch 3: 1.50s, train acc=0.90, train loss=0.25, validation acc=0.85, "
        "validation loss=0.004, test acc=0.80, test loss=0.50, validation f1=0.75, "
        "validation r2=nan"
    )


@pytest.mark.parametrize(
    ("loss", "told"),
    [(0.0, "0.00"), (0.01, "0.01"), (0.00954, "0.0095"), (-2e-7, "-2e-07"), (3.2e9, "3.2e+09")],
)
def test_small_and_large_figures_keep_two_digits(loss: float, told: str) -> None:
    assert str(Record(1, 0.0, train_loss=loss)) == f"Epoch 1: 0.00s, train loss={told}"


def test_numbers_have_no_accuracy() -> None:
    net = network(MeanSquaredError(), 1)
    (record,) = fit(net, SGD(), X, X[:, 0], validation=(X, X[:, 0]), metrics=["r2"], epochs=1)
    assert list(record.measured()) == ["train_loss", "validation_loss", "validation_r2"]
    assert list(record.row()) == ["epoch", "seconds", *record.measured()]
    assert "acc" not in str(record)


@pytest.mark.parametrize("measured", ["validation", "test"])
def test_metrics_are_named_after_what_they_were_measured_on(measured: str) -> None:
    sets: dict[str, Any] = {"test": (X, T)}
    sets[measured] = (X, T)
    (record,) = fit(network(), SGD(), X, T, epochs=1, metrics=["f1", "top_2_accuracy"], **sets)
    assert list(record.metrics) == [f"{measured}_f1", f"{measured}_top_2_accuracy"]


def test_without_measuring_the_loss_is_that_of_the_batches() -> None:
    net, by_hand = network(), network()
    (record,) = fit(net, SGD(lr=0.1), X, T, epochs=1, batch_size=400, measure_train=False, seed=2)
    order, losses = stream(2, "batches").permutation(N), []
    for start in range(0, N, 400):
        rows = order[start : start + 400]
        losses.append(len(rows) * by_hand.gradient(X[rows], T[rows]))
        by_hand.arena.values -= 0.1 * by_hand.arena.grads
    assert record.train_loss == pytest.approx(sum(losses) / N, rel=1e-12)
    assert list(record.measured()) == ["train_loss"]


# Measuring


def by_hand(net: Network, a: Array) -> tuple[float, float]:
    p, rows = net.predict_proba(X), np.arange(N)
    losses, right = -np.log(p[rows, T]), p.argmax(axis=1) == T
    return float(np.average(right, weights=a)), float(np.average(losses, weights=a))


@pytest.mark.parametrize("a", [A, (A > 1).astype(int), 5 * np.ones(N), np.eye(N)[7]])
def test_weighted_figures_are_weighted_means(a: Array) -> None:
    net = network()
    assert evaluate(net, X, T, a) == pytest.approx(by_hand(net, a), rel=1e-12)
    (record,) = fit(net, SGD(lr=1e-300), X, T, sample_weight=a, test=(X, T, a), epochs=1)
    assert (record.train_accuracy, record.train_loss) == evaluate(net, X, T, a)
    assert (record.test_accuracy, record.test_loss) == evaluate(net, X, T, a)


def test_ignored_labels_are_not_judged() -> None:
    net = network(SoftmaxCrossEntropy(ignore_label=-1))
    ignoring, known = np.where(A > 1, T, -1), A > 1
    assert evaluate(net, X, ignoring, A) == pytest.approx(
        evaluate(net, X[known], T[known], A[known])
    )
    with pytest.raises(DataError, match="no example counts"):
        evaluate(net, X, np.full(N, -1))


def test_examples_that_do_not_count_are_no_examples_in_metrics_either() -> None:
    net, a = network(), (A > 1).astype(float)
    names = ["f1", "recall_per_class", "roc_auc", "neg_log_loss"]
    weighted = measure_source(net, Arrays(net, X, T, a), names)
    chosen = measure_source(net, Arrays(net, X[a > 0], T[a > 0]), names)
    assert weighted == pytest.approx(chosen)


def test_several_outputs_are_judged_together() -> None:
    net, t = network(BinaryCrossEntropy()), RNG.integers(0, 2, (N, 3))
    accuracy, loss = evaluate(net, X, t)
    p = net.predict_proba(X)
    assert accuracy == pytest.approx(((p > 0.5) == t).mean())
    assert loss == pytest.approx(-np.log(np.where(t, p, 1 - p)).mean(), rel=1e-10)


def test_metrics_of_batches_that_come_in_one_buffer() -> None:
    net, names = network(), ["f1", "roc_auc", "f1_per_class"]
    x, t, a = X[:1000], T[:1000], A[:1000]
    buffers = [np.empty_like(part[:100]) for part in (x, t, a)]

    def batches() -> Iterator[list[Array]]:
        for i in range(0, len(x), 100):
            for buffer, part in zip(buffers, (x, t, a), strict=True):
                np.copyto(buffer, part[i : i + 100])
            yield buffers

    right = measure_source(net, Arrays(net, x, t, a), names)
    assert measure_source(net, Iterated(net, batches), names) == pytest.approx(right)


def test_measuring_leaves_the_loss_alone() -> None:
    net = network()
    net.gradient(X[:7], T[:7])
    kept = net.loss.backward().copy()
    evaluate(net, X, T)
    np.testing.assert_array_equal(net.loss.backward(), kept)


def test_measuring_all_that_is_trained_on_changes_no_step() -> None:
    nets = network(), network()
    fit(nets[0], Adam(), X, T, epochs=2, test=(X, T, A), metrics=["f1"])
    fit(nets[1], Adam(), X, T, epochs=2, measure_train=False)
    np.testing.assert_array_equal(nets[0].arena.values, nets[1].arena.values)


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ((X,), ConfigError, "t: missing"),
        ((X, T[1:]), DataError, "examples with targets of shape"),
        ((X, T, A[1:]), DataError, "sample weights of shape"),
        (([],), DataError, "the iterable gave no batch"),
        (([(X, T)], None, A), ConfigError, "in an iterable, each batch brings its own"),
        (([(X, T), (X, T, A, A)],), DataError, "a batch is a tuple of 4"),
    ],
)
def test_what_can_not_be_measured_is_refused(
    arguments: Any, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        evaluate(network(), *arguments)


# The command

NUMBERS = """
[data]
path = "data"
target = "number"
[network]
shape = [4]
body = {type = "Dense", units = 2}
loss = {type = "MeanSquaredError"}
[optimizer]
type = "Adam"
[training]
epochs = 1
"""


def test_the_command_measures_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    np.save("data/x.npy", X)
    np.save("data/y.npy", X[:, :2] - 3)
    np.savez("new.npz", x=X[:5])
    Path("c.toml").write_text(NUMBERS)
    assert main(["train", "c.toml", "--out", "run"]) == 0
    assert main(["evaluate", "run"]) == 0
    said = capsys.readouterr().out
    assert "acc" not in said
    assert "nan" not in said
    assert [line.split()[0] for line in said.splitlines()[-3:]] == ["mae", "rmse", "r2"]
    assert main(["predict", "run", "new.npz"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == "prediction_0,prediction_1"
    found = np.array([[float(cell) for cell in row.split(",")] for row in rows])
    network = Network.load("run/model.safetensors")
    np.testing.assert_allclose(found, network.predict(X[:5]), rtol=1e-5)


def test_the_command_reports_each_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    np.save("data/x.npy", X)
    np.save("data/y.npy", np.array(["cat", "dog", "eel"])[T])
    config = NUMBERS.replace('target = "number"', "").replace("units = 2", "units = 3")
    Path("c.toml").write_text(config.replace("MeanSquaredError", "SoftmaxCrossEntropy"))
    assert main(["train", "c.toml", "--out", "run"]) == 0
    assert main(["evaluate", "run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "              precision    recall  f1-score   support" in lines
    assert lines[-4].split() == ["cat", "dog", "eel"]
    counts = [[int(cell) for cell in line.split()[1:]] for line in lines[-3:]]
    assert np.sum(counts) == round(0.2 * N)


def test_a_record_shows_what_was_measured() -> None:
    record = Record(2, 0.5, train_loss=0.25, metrics={"test_f1": 1.0})
    assert repr(record) == (
        "Record(epoch=2, seconds=0.5, train_loss=0.25, metrics={'test_f1': 1.0})"
    )
    assert repr(Record(1, 0.5)) == "Record(epoch=1, seconds=0.5)"
