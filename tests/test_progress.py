"""What callbacks see: where a training stands, at each of its hooks."""

import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Adam,
    Checkpoints,
    ConfigError,
    Dense,
    DivergenceError,
    MeanSquaredError,
    Network,
    ReLU,
    Sequential,
    SoftmaxCrossEntropy,
    Training,
    evaluate,
    fit,
    train,
)
from layerkit.callbacks import Callback
from layerkit.callbacks.base import HOOKS
from layerkit.progress import Progress, Record

X = np.random.default_rng(0).normal(size=(10, 3))
T = np.arange(10) % 2


def network() -> Network:
    body = Sequential([Dense(4), ReLU(), Dense(2)])
    return Network(body, SoftmaxCrossEntropy(), (3,), "float64").initialize(1)


class Seen(Callback):
    """Writes down all that there is to see at each hook."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def see(self, hook: str, progress: Progress) -> None:
        seen = {name: getattr(progress, name) for name in documented()}
        seen |= {"mean_loss": progress.mean_loss, "seconds": progress.seconds}
        seen["records"] = list(progress.records)
        self.lines.append((hook, seen))

    def train_begin(self, progress: Progress) -> None:
        self.see("train_begin", progress)

    def train_end(self, progress: Progress) -> None:
        self.see("train_end", progress)

    def epoch_begin(self, progress: Progress) -> None:
        self.see("epoch_begin", progress)

    def epoch_end(self, progress: Progress) -> None:
        self.see("epoch_end", progress)

    def batch_begin(self, progress: Progress) -> None:
        self.see("batch_begin", progress)

    def batch_end(self, progress: Progress) -> None:
        self.see("batch_end", progress)

    def course(self, *names: str) -> list[tuple[Any, ...]]:
        return [(hook, *[seen[name] for name in names]) for hook, seen in self.lines]


def documented() -> list[str]:
    """The attributes that the docstring of Progress names."""
    attributes = (
        (inspect.getdoc(Progress) or "").split("----------\n")[1].partition("Examples\n")[0]
    )
    lines = [line for line in attributes.splitlines() if line and not line.startswith(" ")]
    return [name for line in lines for name in line.partition(" :")[0].split(", ")]


def test_before_the_first_epoch_has_ended_there_is_no_record() -> None:
    with pytest.raises(ConfigError, match="no epoch has ended yet; from epoch_end on there is one"):
        Progress(network(), SGD(), epochs=1).record  # noqa: B018


def test_each_attribute_is_documented_and_each_of_the_documented_is_there() -> None:
    net = network()
    progress = Progress(net, SGD(), epochs=2)
    own = vars(progress).keys() - {"seconds_before", "started", "_own"}
    assert own == set(documented())


def test_where_a_training_stands_at_each_hook() -> None:
    seen = Seen()
    fit(network(), SGD(), X, T, epochs=2, batch_size=4, callbacks=[seen])

    def epoch(number: int, step: int) -> list[tuple[Any, ...]]:
        return [
            ("epoch_begin", number, 0, step),
            *(("batch_begin", number, 0, step), ("batch_end", number, 1, step + 1)),
            *(("batch_begin", number, 1, step + 1), ("batch_end", number, 2, step + 2)),
            *(("batch_begin", number, 2, step + 2), ("batch_end", number, 3, step + 3)),
            ("epoch_end", number, 0, step + 3),
        ]

    right = [("train_begin", 1, 0, 0), *epoch(1, 0), *epoch(2, 3), ("train_end", 2, 0, 6)]
    assert seen.course("epoch", "batch", "step") == right
    assert {hook for hook, *_ in right} == set(HOOKS)
    assert {s["size"] for hook, s in seen.lines if hook == "batch_end"} == {4, 2}
    constant = seen.course("epochs", "batches", "steps", "examples")
    assert {line[1:] for line in constant} == {(2, 3, 6, 10)}
    numbers = [len(s["records"]) for _, s in seen.lines]
    assert numbers == [0] * 8 + [1] * 8 + [2] * 2
    times = [s["seconds"] for _, s in seen.lines]
    assert times == sorted(times)


def test_its_losses_are_those_of_the_batches_until_the_next_epoch_begins() -> None:
    net, seen, losses = network(), Seen(), list[float]()
    trainer = train(net, SGD(), X, T, epochs=2, batch_size=4, callbacks=[seen], measure_train=False)
    step = trainer.step

    def stepping(batch: Any) -> None:
        losses.append(evaluate(net, batch.x, batch.t)[1])
        step(batch)

    trainer.step = stepping  # type: ignore[method-assign]
    records = trainer.run()
    sizes = [4, 4, 2] * 2
    wanted = [size * loss for size, loss in zip(sizes, losses, strict=True)]
    sums = [s["loss_sum"] for hook, s in seen.lines if hook == "batch_end"]
    assert sums == pytest.approx([sum(wanted[i // 3 * 3 : i + 1]) for i in range(6)], rel=1e-12)
    assert [s["loss"] for h, s in seen.lines if h == "batch_end"] == pytest.approx(
        losses, rel=1e-12
    )
    assert [s["weight_sum"] for h, s in seen.lines if h == "batch_end"] == [4, 8, 10] * 2
    ends = [s["mean_loss"] for hook, s in seen.lines if hook == "epoch_end"]
    assert ends == [record.train_loss for record in records]
    assert ends == pytest.approx([sum(wanted[:3]) / 10, sum(wanted[3:]) / 10], rel=1e-12)
    assert [s["mean_loss"] for hook, s in seen.lines if hook == "epoch_begin"] == [0, 0]
    assert math.isnan(seen.lines[0][1]["loss"])


def test_callbacks_are_given_progress_and_nothing_else() -> None:
    given: list[Any] = []

    class AnyArguments(Callback):
        def batch_end(self, *arguments: Any) -> None:
            given.append(arguments)

        epoch_begin = epoch_end = batch_begin = train_begin = train_end = batch_end  # type: ignore[assignment]

    net, optimizer = network(), SGD()
    trainer = train(net, optimizer, X, T, epochs=1, callbacks=[AnyArguments()])
    trainer.run()
    assert len(given) == 6
    assert all(arguments == (trainer.progress,) for arguments in given)
    progress = trainer.progress
    assert progress.network is net
    assert progress.optimizer is optimizer
    assert type(progress.options) is Training
    assert (progress.options.epochs, progress.failed, progress.stopped) == (1, None, None)


def test_of_an_iterable_only_its_length_is_known() -> None:
    pairs = [(X[:5], T[:5]), (X[5:], T[5:])]
    for given, known in ((pairs, (2, 6)), (lambda: iter(pairs), (None, None))):
        seen = Seen()
        fit(network(), SGD(), given, epochs=3, callbacks=[seen])
        assert {line[1:] for line in seen.course("batches", "steps", "examples")} == {
            (*known, None)
        }
        assert seen.lines[-1][1]["step"] == 6


def scorer(estimator: Any, z: Any, y: Any) -> float:
    return 0.25


MEASURED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["train_loss", "train_accuracy"]),
    ({"measure_train": False}, ["train_loss"]),
    ({"test": (X, T)}, ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]),
    (
        {"test": (X, T), "metrics": ["f1_macro"], "measure_train": False},
        ["train_loss", "test_loss", "test_accuracy", "test_f1_macro"],
    ),
    (
        {"test": (X, T), "validation": (X, T), "metrics": ["f1_macro", "precision"]},
        [
            *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
            *("test_loss", "test_accuracy"),
            *("validation_f1_macro", "validation_precision"),
        ],
    ),
    (
        {"validation": (X, T), "metrics": [scorer, "accuracy"]},
        [
            *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
            "validation_scorer",
        ],
    ),
    (
        {"x": [(X, T)], "t": None, "validation": [(X, T)]},
        ["train_loss", "validation_loss", "validation_accuracy"],
    ),
]


@pytest.mark.parametrize(("options", "names"), MEASURED)
def test_what_is_measured_is_named_beforehand(options: dict[str, Any], names: list[str]) -> None:
    seen = Seen()
    records = fit(network(), SGD(), **{"x": X, "t": T, "epochs": 2, "callbacks": [seen], **options})
    assert {tuple(line[1]) for line in seen.course("measured")} == {tuple(names)}
    for record in records:
        assert set(record.measured()) == set(names)


def test_numbers_have_no_accuracy() -> None:
    seen = Seen()
    net = Network(Dense(1), MeanSquaredError(), (3,))
    options: Any = {"validation": (X, X[:, 0]), "metrics": ["r2"], "callbacks": [seen]}
    (record,) = fit(net, SGD(), X, X[:, 0], epochs=1, **options)
    names = ["train_loss", "validation_loss", "validation_r2"]
    assert list(seen.lines[0][1]["measured"]) == names
    assert set(record.measured()) == set(names)


def test_a_resumed_training_stands_where_it_was_left(tmp_path: Path) -> None:
    class Leaves(Seen):
        def batch_end(self, progress: Progress) -> None:
            super().batch_end(progress)
            if progress.step == 5:
                progress.pause("a test")

    def run(seen: Seen) -> list[Record]:
        options: Any = {"epochs": 3, "batch_size": 4, "checkpoints": Checkpoints(tmp_path)}
        return fit(network(), Adam(), X, T, callbacks=[seen], resume=True, **options)

    first, second = Leaves(), Seen()
    run(first)
    records = run(second)
    places = ("epoch", "batch", "step", "loss_sum", "weight_sum")
    left, found = first.course(*places)[-1], second.course(*places)
    assert left[:4] == ("train_end", 2, 2, 5)
    assert left[5] == 8
    assert found[0] == ("train_begin", *left[1:])
    assert found[1] == ("epoch_begin", *left[1:])
    assert found[-1][:4] == ("train_end", 3, 0, 9)
    assert second.lines[0][1]["seconds"] >= first.lines[-1][1]["records"][0].seconds
    assert first.lines[-1][1]["paused"] == "a test"
    assert second.lines[0][1]["paused"] is None
    whole = fit(network(), Adam(), X, T, epochs=3, batch_size=4)
    assert [r.train_loss for r in records] == [r.train_loss for r in whole]


def test_why_a_training_ended() -> None:
    class Stops(Seen):
        def epoch_end(self, progress: Progress) -> None:
            super().epoch_end(progress)
            progress.stop("enough")

    stops = Stops()
    records = fit(network(), SGD(), X, T, epochs=5, callbacks=[stops])
    assert len(records) == 1
    assert stops.course("stopped")[-2:] == [("epoch_end", None), ("train_end", "enough")]
    fails = Seen()
    net = network()
    net.arena.values[0] = math.nan
    with pytest.raises(DivergenceError):
        fit(net, SGD(), X, T, callbacks=[fails])
    hook, seen = fails.lines[-1]
    assert (hook, seen["stopped"], seen["step"]) == ("train_end", None, 0)
    assert math.isnan(seen["failed"].loss)


def test_a_training_may_be_stopped_without_a_reason() -> None:
    progress = Progress(network(), SGD(), 1)
    progress.stop()
    assert progress.finished
    assert progress.stopped == "a callback has stopped it"
