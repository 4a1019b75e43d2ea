import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from layerkit import (
    EMA,
    SGD,
    Adam,
    BatchNorm,
    ConfigError,
    CosineSchedule,
    Dense,
    Dropout,
    EarlyStopping,
    MeanSquaredError,
    ModelCheckpoint,
    Network,
    Record,
    ReduceLROnPlateau,
    ReLU,
    Rprop,
    Sequential,
    SoftmaxCrossEntropy,
    evaluate,
    fit,
    train,
)
from layerkit.callbacks import (
    Callback,
    CSVLog,
    History,
    JSONLinesLog,
    Monitor,
    MonitorWarning,
    ProgressBar,
    StopOnNonFinite,
    TimeLimit,
)
from layerkit.files.checkpoints import Checkpoints
from layerkit.losses import Loss
from layerkit.progress import Progress

X, T = np.eye(4), np.array([0, 1, 0, 1])
NAN, INF = math.nan, math.inf


def network(loss: Loss | None = None) -> Network:
    return Network(Dense(2), loss or SoftmaxCrossEntropy(), (4,))


class Scripted(SimpleNamespace):
    """A trainer whose epochs have the figures that it is told, and weights equal to the epoch."""

    def __init__(self, *callbacks: Callback, lr: float = 1.0) -> None:
        super().__init__(
            network=network(),
            optimizer=SGD(lr=lr),
            callbacks=callbacks,
            sets=dict.fromkeys(["train", "validation"]),
            metrics=["f1", "rmse"],
            records=[],
            step=0,
            reason=None,
        )

    @property
    def record(self) -> Any:
        return self.records[-1]

    def stop(self, reason: str) -> None:
        self.reason = reason

    def run(self, name: str, *figures: float) -> Any:
        for callback in self.callbacks:
            callback.train_begin(self)
        rates = []
        for figure in figures:
            if self.reason:
                break
            self.step += 10
            epoch = len(self.records) + 1
            self.network.arena.values[...] = epoch
            self.records.append(Record(epoch, 1.0, metrics={name: figure}))
            for callback in self.callbacks:
                callback.epoch_end(self)
            rates.append(self.optimizer.lr)
        for callback in self.callbacks:
            callback.train_end(self)
        return rates


@pytest.mark.parametrize(
    ("options", "figures", "last", "best"),
    [
        ({"patience": 2}, [5, 4, 3, 3, 3, 1], 5, 3),
        ({"patience": 1}, [5, 4, 3, 3, 3, 1], 4, 3),
        ({"patience": 2}, [5, 6, 4, 6, 3, 6], 6, 5),
        ({"patience": 2}, [5, NAN, 4, NAN, NAN, 1], 5, 3),
        ({"patience": 2}, [INF, 7, INF, -INF, 1], 4, 2),
        ({"patience": 2, "min_delta": 1.0}, [5, 4.5, 4.0, 1], 3, 1),
        ({"patience": 2, "min_delta": 0.75}, [5, 4.5, 4.0, 3.5, 1], 5, 5),
        ({"patience": 2, "mode": "max"}, [5, 4, 6, 6, 6, 9], 5, 3),
        ({"patience": 2, "warmup": 3}, [1, 9, 9, 5, 4, 6, 6, 1], 7, 5),
        ({"patience": 2, "warmup": 3}, [1, 2, 3], 3, 0),
    ],
)
def test_early_stopping_waits_for_an_improvement(
    options: dict[str, Any], figures: list[float], last: int, best: int
) -> None:
    stopping = EarlyStopping(**options)
    trainer = Scripted(stopping)
    trainer.run("validation_loss", *figures)
    assert (len(trainer.records), stopping.best_epoch) == (last, best)
    assert trainer.network.arena.values[0] == (best or last)


@pytest.mark.parametrize(
    ("monitor", "reason"),
    [
        ("validation_roc_auc", "the set may lack a class"),
        ("validation_roc_auc_class_2", "the set may lack a class"),
        ("validation_r2", "the set may have one example alone"),
        ("validation_neg_max_error", "it can't be computed from these predictions"),
    ],
)
def test_epochs_before_the_first_number_do_not_count_and_are_told_once(
    monitor: str, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "best.safetensors"
    stopping = EarlyStopping(patience=2, monitor=monitor, warmup=1)
    saving = ModelCheckpoint(path, monitor=monitor)
    lowering = ReduceLROnPlateau(patience=1, factor=0.5, monitor=monitor)
    trainer = Scripted(stopping, saving, lowering)
    with pytest.warns(MonitorWarning) as told:
        rates = trainer.run(monitor, NAN, NAN, NAN, 0.5, NAN, NAN, 0.9)
    assert [str(warning.message) for warning in told] == [
        f"{name}.monitor = '{monitor}': is nan in epoch {epoch}: {reason}; epochs don't count "
        "until it is a number"
        for name, epoch in [("ModelCheckpoint", 1), ("ReduceLROnPlateau", 1), ("EarlyStopping", 2)]
    ]
    assert (len(trainer.records), stopping.best_epoch) == (6, 4)
    assert rates == [1, 1, 1, 1, 0.5, 0.25]
    assert Network.load(path).arena.values[0] == 4


def test_a_validation_set_of_one_class_does_not_stop_a_training() -> None:
    stopping = EarlyStopping(patience=2, monitor="validation_roc_auc")
    options: Any = {"validation": (X[::2], T[::2]), "metrics": ["roc_auc"], "callbacks": [stopping]}
    with pytest.warns(MonitorWarning, match="'validation_roc_auc': is nan in epoch 1: the set may"):
        assert len(fit(network(), SGD(), X, T, epochs=9, **options)) == 9


def test_early_stopping_says_what_it_waited_for() -> None:
    trainer = Scripted(EarlyStopping(patience=2))
    trainer.run("validation_loss", 0.5, 0.25, 0.3, 0.3)
    assert trainer.reason == (
        "validation_loss has not improved for 2 epochs (best: 0.25 in epoch 2)"
    )


def test_weights_are_not_restored_if_nobody_wants_it() -> None:
    trainer = Scripted(EarlyStopping(patience=1, restore_best_weights=False))
    trainer.run("validation_loss", 1, 2)
    assert trainer.network.arena.values[0] == 2


@pytest.mark.parametrize("average", [None, EMA(decay=0.5)], ids=repr)
@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_training_that_was_left_goes_on_with_its_latest_weights(
    step: int, average: EMA | None
) -> None:
    class PausesOnce(Callback):
        def batch_end(self, progress: Progress) -> None:
            if progress.step == step:
                progress.pause("for a while")

    results = []
    for callbacks in ([], [PausesOnce()]):
        # the first epoch is the best one, for whoever wants a large loss
        best = EarlyStopping(patience=9, monitor="train_loss", mode="max")
        net = network()
        options: Any = {"epochs": 5, "batch_size": 2, "average": average}
        trainer = train(net, SGD(lr=0.5), X, T, callbacks=[best, *callbacks], **options)
        trainer.run()
        trainer.progress.paused = None
        losses = [record.train_loss for record in trainer.run()]
        assert losses[0] == max(losses) == evaluate(net, X, T)[1]
        results.append(losses)
    assert results[0] == results[1]


def test_another_training_begins_anew() -> None:
    stopping = EarlyStopping(patience=2)
    Scripted(stopping).run("validation_loss", 1, 2)
    trainer = Scripted(stopping)
    trainer.run("validation_loss", 9, 8, 9, 9, 9)
    assert (len(trainer.records), stopping.best_epoch) == (4, 2)


@pytest.mark.parametrize("split", range(1, 6))
def test_a_state_goes_on_where_it_was(split: int) -> None:
    def callbacks() -> list[Monitor]:
        return [EarlyStopping(patience=3), ReduceLROnPlateau(patience=1, cooldown=1, factor=0.5)]

    figures = [5.0, 4.0, 6.0, 6.0, 3.0, 6.0, 6.0, 6.0, 1.0]
    whole, first, second = (Scripted(*callbacks()) for _ in range(3))
    rates = whole.run("validation_loss", *figures)
    first.run("validation_loss", *figures[:split])
    for callback, before in zip(second.callbacks, first.callbacks, strict=True):
        callback.load_state_dict(before.state_dict())
    second.records, second.step = first.records, first.step
    second.optimizer.lr = first.optimizer.lr
    assert second.run("validation_loss", *figures[split:]) == rates[split:]
    assert len(second.records) == len(whole.records) == 8
    np.testing.assert_array_equal(second.network.arena.values, whole.network.arena.values)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("train_loss", 1),
        ("validation_mae", 1),
        ("test_rmse", 1),
        ("validation_accuracy", -1),
        ("validation_neg_log_loss", -1),
        ("test_recall_class_0", -1),
        ("validation_mae_price", 1),
        ("validation_r2_price", -1),
    ],
)
def test_what_is_better_is_known_from_the_name(name: str, sign: int) -> None:
    assert EarlyStopping(monitor=name).sign == sign


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"patience": 2}, [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]),
        ({"patience": 1}, [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.0625, 0.03125]),
        ({"patience": 1, "cooldown": 2}, [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
        ({"patience": 2, "cooldown": 1}, [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5]),
        ({"patience": 1, "min_lr": 0.2}, [1, 1, 0.5, 0.25, 0.2, 0.2, 0.2, 0.2]),
        ({"patience": 1, "min_lr": 2.0}, [1] * 8),
        ({"patience": 1, "min_delta": 1.5}, [1, 0.5, 0.25, 0.125, 0.0625, 0.03125, 0.03125, 2**-6]),
    ],
)
def test_the_rate_falls_on_a_plateau(options: dict[str, Any], expected: list[float]) -> None:
    trainer = Scripted(ReduceLROnPlateau(factor=0.5, **options))
    assert trainer.run("validation_loss", 5, 4, 4, 4, NAN, 4, 2, 3) == expected


def test_the_rate_stays_above_zero() -> None:
    trainer = Scripted(ReduceLROnPlateau(patience=1), lr=1e-322)
    assert trainer.run("validation_loss", 1, 1, 1, 1, 1)[-1] > 0


def test_with_a_schedule_its_base_falls() -> None:
    rates = []

    class Rates(Callback):
        def epoch_end(self, progress: Progress) -> None:
            rates.append(vars(progress.optimizer)["lr"])

    callbacks = [ReduceLROnPlateau(patience=1, factor=0.5, monitor="train_accuracy"), Rates()]
    optimizer = SGD(lr=1.0, schedules={"lr": CosineSchedule()})
    fit(network(), optimizer, X, T, epochs=9, batch_size=4, callbacks=callbacks)
    assert set(rates) <= {0.5**n for n in range(9)}
    assert rates[-1] < 1.0


def test_an_optimizer_whose_rate_does_not_matter_is_refused() -> None:
    callback = ReduceLROnPlateau(monitor="train_loss")
    with pytest.raises(ConfigError, match=r"would have no effect") as caught:
        fit(network(), Rprop(), X, T, callbacks=[callback])
    assert caught.value.place == "ReduceLROnPlateau"


def test_a_checkpoint_holds_the_best_network(tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    checkpoint = ModelCheckpoint(path)
    trainer = Scripted(checkpoint)
    with pytest.warns(MonitorWarning):
        trainer.run("validation_loss", NAN)
    assert not path.exists()
    trainer.run("validation_loss", 3, 2, 4, NAN, 2)
    assert Network.load(path).arena.values[0] == checkpoint.best_epoch == 3


def test_a_checkpoint_holds_the_average_that_was_measured(tmp_path: Path) -> None:
    path, net = tmp_path / "best.safetensors", network()
    checkpoint = ModelCheckpoint(path, monitor="train_loss")
    options: dict[str, Any] = {"average": EMA(0.9), "epochs": 3, "batch_size": 1}
    fit(net, SGD(), X, T, callbacks=[checkpoint], **options)
    assert checkpoint.best_epoch == 3
    np.testing.assert_array_equal(Network.load(path).arena.values, net.arena.values)


@pytest.mark.parametrize("kind", [EarlyStopping, partial(ModelCheckpoint, "x"), ReduceLROnPlateau])
@pytest.mark.parametrize(
    ("monitor", "options", "message"),
    [
        (
            "validation_loss",
            {"test": (X, T)},
            "is not measured; give a validation set, or choose one of train_loss, train_accuracy, "
            "test_loss, test_accuracy",
        ),
        ("val_loss", {"validation": (X, T)}, "choose one of train_loss, train_accuracy, valid"),
        ("train_accuracy", {"measure_train": False}, r"(?m)choose one of train_loss$"),
        (
            "validation_f1",
            {"validation": (X, T), "metrics": ["f1_per_class"]},
            r"(?m)n_f1_class_1$",
        ),
        (
            "test_f1",
            {"validation": (X, T), "test": (X, T), "metrics": ["f1"]},
            r"(?m)validation_f1$",
        ),
    ],
)
def test_a_figure_that_is_not_measured_is_refused_before_the_first_step(
    kind: Any, monitor: str, options: dict[str, Any], message: str
) -> None:
    optimizer = SGD()
    with pytest.raises(ConfigError, match=message) as caught:
        fit(network(), optimizer, X, T, callbacks=[kind(monitor=monitor)], **options)
    assert f".monitor = '{monitor}': is not measured" in str(caught.value)
    assert optimizer.t == 0


def test_losses_of_numbers_have_no_accuracy() -> None:
    callback = EarlyStopping(monitor="train_accuracy")
    with pytest.raises(ConfigError, match=r"(?m)one of train_loss$"):
        fit(network(MeanSquaredError()), SGD(), X, X[:, :2], callbacks=[callback])


def scorer(estimator: Any, x: Any, y: Any) -> float:
    return float(np.mean(estimator.predict(x) == y))


def test_the_figure_of_a_scorer_can_be_monitored() -> None:
    callback = EarlyStopping(patience=1, monitor="test_scorer")
    fit(network(), SGD(), X, T, test=(X, T), metrics=[scorer], epochs=3, callbacks=[callback])
    assert callback.best_epoch > 0


def test_what_no_scorer_is_called_is_refused_before_the_first_step() -> None:
    optimizer = SGD()
    with pytest.raises(ConfigError, match=r"(?m)choose one of .*test_accuracy, test_scorer$"):
        fit(
            network(),
            optimizer,
            X,
            T,
            test=(X, T),
            metrics=[scorer],
            callbacks=[EarlyStopping(monitor="test_score")],
        )
    assert optimizer.t == 0


@pytest.mark.parametrize("average", [None, EMA(0.9)])
def test_the_best_weights_are_back_however_the_training_ends(average: EMA | None) -> None:
    net = Network(Sequential([Dense(2), BatchNorm()]), SoftmaxCrossEntropy(), (4,))
    stopping, kept = EarlyStopping(patience=99, monitor="train_loss"), {}
    # the rate is so large that the loss rises and falls
    optimizer = SGD(lr=30.0)
    for record in train(net, optimizer, X, T, batch_size=2, average=average, callbacks=[stopping]):
        kept[record.epoch] = net.arena.values.copy(), net.arena.states.copy()
        if record.epoch > stopping.best_epoch:
            break
    values, states = kept[stopping.best_epoch]
    assert stopping.best_epoch < len(kept)
    np.testing.assert_array_equal(net.arena.values, values)
    np.testing.assert_array_equal(net.arena.states, states)


class BreakOff(Callback):
    """Breaks a training off after a step."""

    step: int

    def batch_end(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise RuntimeError("crash")


def everything(folder: Path, crash: int = 0) -> list[Callback]:
    return [
        ProgressBar(),
        History(),
        CSVLog(folder / "history.csv"),
        JSONLinesLog(folder / "history.jsonl"),
        ModelCheckpoint(folder / "best.safetensors", monitor="validation_accuracy"),
        ReduceLROnPlateau(patience=1, factor=0.5),
        TimeLimit(3600.0),
        StopOnNonFinite(folder / "failed.safetensors"),
        EarlyStopping(patience=3),
        BreakOff(crash),
    ]


def train_with(callbacks: list[Callback], folder: Path, resume: bool = False) -> Any:
    """Six steps in each epoch; early stopping ends it."""
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(44, 5)), rng.integers(0, 2, 44)
    body = Sequential([Dense(16), BatchNorm(), ReLU(), Dropout(0.2), Dense(2)])
    net = Network(body, SoftmaxCrossEntropy(), (5,)).initialize(1)
    optimizer = Adam(lr=0.01, schedules={"lr": CosineSchedule()})
    records = fit(
        net,
        optimizer,
        x,
        t,
        validation=(x[::-1], t),
        epochs=12,
        batch_size=8,
        metrics=["f1"],
        average=EMA(0.8),
        callbacks=callbacks,
        checkpoints=Checkpoints(folder / "checkpoints", every=4),
        resume=resume,
    )
    return net, optimizer, records


def plain(value: Any) -> Any:
    """A state in a form that can be compared."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value.tobytes() if isinstance(value, np.ndarray) else value


def without_seconds(folder: Path) -> list[list[str]]:
    lines = (folder / "history.csv").read_text() + (folder / "history.jsonl").read_text()
    return [line.split(",")[:1] + line.split(",")[2:] for line in lines.splitlines()]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("uninterrupted")
    callbacks = everything(folder)
    return folder, callbacks, *train_with(callbacks, folder)


# within an epoch, at its end, at its beginning, before the first checkpoint of an epoch
@pytest.mark.parametrize("steps", [[5], [6], [7], [15], [9, 21], [24, 25, 26]])
def test_a_training_with_all_callbacks_resumes_bit_for_bit(
    steps: list[int], tmp_path: Path, uninterrupted: Any
) -> None:
    folder, callbacks, net, optimizer, records = uninterrupted
    assert 3 < len(records) < 12, "early stopping should have ended it"
    assert optimizer.lr < 0.01, "there should have been a plateau"
    for i, step in enumerate(steps):
        with pytest.raises(RuntimeError, match="crash"):
            train_with(everything(tmp_path, step), tmp_path, resume=i > 0)
    again = everything(tmp_path)
    twin, resumed, same = train_with(again, tmp_path, resume=True)
    assert [repr(replace(a, seconds=0.0)) for a in same] == [
        repr(replace(b, seconds=0.0)) for b in records
    ]
    np.testing.assert_array_equal(twin.arena.values, net.arena.values)
    np.testing.assert_array_equal(twin.arena.states, net.arena.states)
    assert plain(resumed.state_dict()) == plain(optimizer.state_dict())
    for callback, other in zip(again, callbacks, strict=True):
        assert plain(callback.state_dict()) == plain(other.state_dict())
    assert without_seconds(tmp_path) == without_seconds(folder)
    best, other_best = (Network.load(f / "best.safetensors") for f in (tmp_path, folder))
    np.testing.assert_array_equal(best.arena.values, other_best.arena.values)


def test_a_training_that_was_stopped_is_over_when_resumed(
    tmp_path: Path, uninterrupted: Any
) -> None:
    _, _, net, _, records = uninterrupted
    train_with(everything(tmp_path), tmp_path)
    twin, _, same = train_with(everything(tmp_path), tmp_path, resume=True)
    assert len(same) == len(records)
    np.testing.assert_array_equal(twin.arena.values, net.arena.values)
