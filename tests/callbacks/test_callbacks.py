import copy
import csv
import io
import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tqdm.auto

from layerkit import (
    EMA,
    SGD,
    ConfigError,
    Dense,
    DivergenceError,
    FileError,
    Network,
    Record,
    SoftmaxCrossEntropy,
    fit,
    from_config,
    to_config,
    train,
)
from layerkit.callbacks import (
    Callback,
    CSVLog,
    EarlyStopping,
    History,
    JSONLinesLog,
    MLflow,
    ModelCheckpoint,
    ProgressBar,
    ReduceLROnPlateau,
    StopOnNonFinite,
    TensorBoard,
    TimeLimit,
)
from layerkit.callbacks.base import HOOKS
from layerkit.files.checkpoints import Checkpoints
from layerkit.progress import Progress
from layerkit.training.divergence import FailedStep
from layerkit.training.options import Training

pytestmark = pytest.mark.filterwarnings("ignore::layerkit.training.scale.ScaleWarning")

X, T = np.eye(4), np.array([0, 1, 0, 1])


def network() -> Network:
    return Network(Dense(2), SoftmaxCrossEntropy(), (4,))


def run(*callbacks: Callback, epochs: int = 3, test: bool = True, **options: Any) -> list[Record]:
    """Four examples in batches of 3: two steps in each epoch."""
    options = {"test": (X, T) if test else None, "batch_size": 3} | options
    return fit(network(), SGD(), X, T, epochs=epochs, callbacks=callbacks, **options)


class Crash(Callback):
    """Breaks a training off after a step."""

    step: int

    def batch_end(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise RuntimeError("crash")


@pytest.mark.parametrize(
    "callback",
    [
        ProgressBar(),
        History(),
        CSVLog("log.csv"),
        JSONLinesLog("log.jsonl"),
        EarlyStopping(patience=5, min_delta=0.1, restore_best_weights=False),
        ModelCheckpoint("best.safetensors", monitor="test_accuracy", mode="max"),
        ReduceLROnPlateau(factor=0.5, cooldown=2, min_lr=1e-5),
        TimeLimit(60.0),
        StopOnNonFinite("failed.safetensors"),
        TensorBoard("runs"),
        MLflow(run_name="first"),
    ],
)
def test_callbacks_stand_in_configuration_files(callback: Callback) -> None:
    table = {"callbacks": [to_config(callback)]}
    (same,) = from_config(table, Training).callbacks
    assert same == callback
    # a copy can be used as a new one
    assert vars(copy.deepcopy(callback)) == vars(same)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(EarlyStopping, patience=0), "EarlyStopping.patience = 0: should be greater than"),
        (
            partial(from_config, {"type": "EarlyStopping", "mode": "low"}, Callback),
            "mode = 'low': should be 'auto', 'min' or 'max'",
        ),
        (partial(EarlyStopping, min_delta=-1.0), "should be greater than or equal to 0"),
        (partial(ReduceLROnPlateau, factor=1.0), "ReduceLROnPlateau.factor = 1.0: should be less"),
        (partial(TimeLimit, 0.0), "TimeLimit.seconds = 0.0: should be greater than 0"),
    ],
)
def test_options_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_paths_are_kept_as_text() -> None:
    class Own(Callback):
        folder: str | Path
        other: str | None = None

    assert Own(Path("a") / "b") == Own("a/b")
    assert ModelCheckpoint(Path("best")).path == "best"


def test_a_row_for_each_epoch_reads_back_exactly(tmp_path: Path) -> None:
    records = run(CSVLog(tmp_path / "history.csv"), metrics=["f1"])
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: repr(x) for name, x in record.row().items()} for record in records] == rows


def test_columns_stay_where_they_are() -> None:
    log = CSVLog("log.csv")
    first = Record(1, 0.5, train_loss=0.25, train_accuracy=1.0)
    less, more = Record(2, 0.5, train_loss=0.5), Record(3, 1.0, 1.0, 0.5, test_loss=2.0)
    assert [log.text(record, first) for record in (first, less, more)] == [
        "epoch,seconds,train_accuracy,train_loss\r\n1,0.5,1.0,0.25\r\n",
        "2,0.5,nan,0.5\r\n",
        "3,1.0,1.0,0.5\r\n",
    ]


def test_a_json_object_for_each_epoch_reads_back_exactly(tmp_path: Path) -> None:
    records = run(JSONLinesLog(tmp_path / "history.jsonl"), metrics=["f1"])
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record.row() for record in records]


def test_json_has_null_for_what_is_not_finite() -> None:
    record = Record(1, 0.5, train_loss=0.25, metrics={"test_f1": np.nan, "test_r2": -np.inf})
    line = JSONLinesLog("log.jsonl").text(record, record)
    assert line == (
        '{"epoch": 1, "seconds": 0.5, "train_loss": 0.25, "test_f1": null, "test_r2": null}\n'
    )


@pytest.mark.parametrize("kind", [CSVLog, JSONLinesLog])
class TestLogFile:
    def test_is_begun_anew_by_another_training(
        self, kind: type[CSVLog | JSONLinesLog], tmp_path: Path
    ) -> None:
        log = kind(tmp_path / "log")
        run(log)
        three = (tmp_path / "log").read_text().splitlines()
        run(log, epochs=1)
        one = (tmp_path / "log").read_text().splitlines()
        assert len(three) - len(one) == 2

    def test_has_an_epoch_as_soon_as_it_is_over(
        self,
        kind: type[CSVLog | JSONLinesLog],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        log, sizes = kind(tmp_path / "log"), []
        synced: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
        for _ in train(network(), SGD(), X, T, epochs=3, callbacks=[log]):
            sizes.append(len((tmp_path / "log").read_text().splitlines()))
        assert np.diff(sizes).tolist() == [1, 1]
        assert synced[-1] == (tmp_path / "log").stat().st_size

    def test_has_no_gap_and_no_epoch_twice_after_a_resumption(
        self, kind: type[CSVLog | JSONLinesLog], tmp_path: Path
    ) -> None:
        log, checkpoints = kind(tmp_path / "log"), Checkpoints(tmp_path / "checkpoints", keep=9)
        whole = kind(tmp_path / "whole")
        with pytest.raises(RuntimeError):
            run(log, Crash(7), epochs=5, checkpoints=checkpoints)
        checkpoints.paths()[0].unlink()  # so the third epoch comes again
        with open(tmp_path / "log", "ab") as file:
            file.write(b"half a li")
        records = run(log, Crash(0), epochs=5, checkpoints=checkpoints, resume=True)
        assert [record.epoch for record in records] == [1, 2, 3, 4, 5]
        text = [whole.text(record, records[0]) for record in records]
        assert (tmp_path / "log").read_bytes() == "".join(text).encode()

    def test_that_cannot_be_written_is_refused_before_the_first_step(
        self, kind: type[CSVLog | JSONLinesLog], tmp_path: Path
    ) -> None:
        log, history = kind(tmp_path / "nowhere" / "log"), History()
        with pytest.raises(FileError, match="nowhere"):
            run(history, log)
        assert history.records == []


class StopsInTheSecond(History):
    def epoch_end(self, progress: Progress) -> None:
        super().epoch_end(progress)
        if progress.epoch == 2:
            raise KeyboardInterrupt


def test_the_records_of_an_interrupted_training_are_kept() -> None:
    history = StopsInTheSecond()
    with pytest.raises(KeyboardInterrupt):
        run(history)
    assert [record.epoch for record in history.records] == [1, 2]


def test_progress_prints_a_line_for_each_epoch_and_no_bar_into_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = run(ProgressBar())
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(record) for record in records]
    assert err == ""


def test_progress_without_an_error_stream(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # as in daemons
    records = run(ProgressBar())
    assert capsys.readouterr().out.splitlines() == [str(record) for record in records]


def test_progress_says_why_a_training_has_ended(capsys: pytest.CaptureFixture[str]) -> None:
    run(ProgressBar(), TimeLimit(1e-9))
    assert capsys.readouterr().out == "Ended in epoch 1: the time limit of 1e-09 s is reached\n"
    (record,) = run(ProgressBar(), TimeLimit(1e-9), epochs=1, batch_size=4)
    assert capsys.readouterr().out == f"{record}\n"  # nothing is left


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What appears on a terminal, which is written to at every step."""
    terminal = Terminal()
    bar = partial(tqdm.auto.tqdm, file=terminal, mininterval=0, miniters=1)
    monkeypatch.setattr(tqdm.auto, "tqdm", bar)
    return terminal


def bars(terminal: Terminal) -> list[str]:
    return [line.strip() for line in terminal.getvalue().split("\r") if line.strip()]


def test_the_bar_shows_examples_per_second_and_the_mean_loss(terminal: Terminal) -> None:
    (record,) = run(ProgressBar(), epochs=1, measure_train=False)
    shown = bars(terminal)
    assert shown[0].startswith("Epoch 1/1:   0%|")
    assert "| 3/4 " in shown[1]
    assert "100%" in shown[2]
    assert "| 4/4 " in shown[2]
    assert "examples/s" in shown[2]
    assert f"loss {record.train_loss:.3f}" in shown[2]


def test_one_bar_is_used_for_all_epochs(terminal: Terminal) -> None:
    progress, found = ProgressBar(every=2), []
    for _ in train(network(), SGD(), X, T, epochs=3, batch_size=3, callbacks=[progress]):
        found.append(progress.bar)
    assert len({*map(id, found)}) == 1
    assert progress.bar is None
    shown = bars(terminal)
    for epoch in (1, 2, 3):
        of_epoch = [line for line in shown if line.startswith(f"Epoch {epoch}/3:")]
        assert "| 0/4 " in of_epoch[0]
        assert "| 4/4 " in of_epoch[-1]


def test_lines_keep_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    progress: Any = SimpleNamespace(optimizer=SGD(), epochs=10, records=[], stopped="enough")
    progress.paused = None
    callback = ProgressBar()
    callback.train_begin(progress)
    for epoch, loss, metrics in [
        (8, 0.5, {"validation_f1": 0.5}),
        (9, 12345.678, {"validation_f1": np.nan, "validation_r2": -2e7}),
        (10, 0.00095, {"validation_r2": 0.25}),
    ]:
        seconds = epoch + 0.5
        progress.record = Record(epoch, seconds, train_loss=loss, metrics=metrics)
        progress.records.append(progress.record)
        progress.epoch = epoch
        callback.epoch_end(progress)
    assert capsys.readouterr().out.splitlines() == [
        "Epoch 8: 8.50s,  train loss=0.50, validation f1=0.50",
        "Epoch 9: 9.50s,  train loss=12345.68, validation f1=nan,  validation r2=-2e+07",
        "Epoch 10: 10.50s, train loss=0.00095,                      validation r2=0.25",
    ]


def test_a_line_for_every_so_many_epochs_and_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    records = run(ProgressBar(every=3), epochs=7)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(records[i]) for i in (2, 5, 6)]
    run(ProgressBar(every=3), EarlyStopping(monitor="train_loss", min_delta=9.0), epochs=9)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["Epoch 3", "Epoch 4", "Ended in epoch 4"]


def endless() -> Iterator[tuple[Any, Any]]:
    yield from [(X[:3], T[:3]), (X[3:], T[3:])]


@pytest.mark.parametrize(
    ("batches", "shown"), [([*endless()], "| 3/6 "), (endless, ": 3 examples [")]
)
def test_the_bar_gets_along_without_the_number_of_examples(
    batches: Any, shown: str, terminal: Terminal
) -> None:
    fit(network(), SGD(), batches, epochs=1, callbacks=[ProgressBar()])
    lines = bars(terminal)
    assert shown in lines[1]
    assert "4" in lines[2]


def test_the_bar_goes_on_where_an_epoch_was_left(tmp_path: Path, terminal: Terminal) -> None:
    checkpoints = Checkpoints(tmp_path, every=1)
    with pytest.raises(RuntimeError):
        run(ProgressBar(), Crash(4), checkpoints=checkpoints)
    before = len(bars(terminal))
    run(ProgressBar(), Crash(0), checkpoints=checkpoints, resume=True)
    assert "| 3/4 " in bars(terminal)[before]
    assert "| 4/4 " in bars(terminal)[before + 1]
    assert bars(terminal)[before + 2].startswith("Epoch 3/3:   0%|")


class Failing(Callback):
    """Fails in one place, in the second epoch."""

    place: str


def failing(hook: str) -> Any:
    def fail(self: Failing, progress: Progress) -> None:
        if hook == self.place and (hook.startswith("train") or progress.epoch == 2):
            raise OSError("broken")

    return fail


for name in HOOKS:
    setattr(Failing, name, failing(name))


class Ends(Callback):
    """Counts the ends that it hears of."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.count = 0

    def train_end(self, progress: Progress) -> None:
        self.count += 1


@pytest.mark.parametrize("hook", HOOKS)
def test_a_callback_that_fails_is_named_and_the_network_stays_usable(hook: str) -> None:
    net, before, after = network(), Ends(), Ends()
    callbacks = [before, Failing(hook), after]
    with pytest.raises(OSError, match="broken") as caught:
        fit(net, SGD(), X, T, batch_size=3, epochs=3, average=EMA(0.5), callbacks=callbacks)
    assert f"in {hook} of the callback Failing(place='{hook}')" in caught.value.__notes__
    assert (before.count, after.count) == (1, 1)
    twin = network()
    # the average stands where the weights were, as after whole epochs
    whole = {"train_begin": 0, "batch_end": None, "train_end": 3, "epoch_end": 2}.get(hook, 1)
    if whole:
        fit(twin, SGD(), X, T, batch_size=3, epochs=whole, average=EMA(0.5))
    if whole is not None:
        np.testing.assert_array_equal(net.arena.values, twin.arena.values)
    assert np.isfinite(net.predict_proba(X)).all()
    records = fit(net, SGD(lr=1.0), X, T, epochs=5)
    assert records[-1].train_loss < records[0].train_loss


class Assigns(Callback):
    """Assigns something to the progress."""

    name: str

    def batch_end(self, progress: Progress) -> None:
        setattr(progress, self.name, True)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("stop", "progress.stop = True: has no effect; it is a method: progress.stop(reason)"),
        ("stoped", "progress.stoped = True: has no effect; did you mean 'stopped'?"),
        ("wins", "progress.wins = True: has no effect; your own values go into self.wins"),
        ("stop_training", "has no attribute 'stop_training'; write progress.stop(reason)"),
    ],
)
def test_what_nobody_reads_is_not_assigned_to_the_progress(name: str, sentence: str) -> None:
    with pytest.raises((ConfigError, AttributeError)) as caught:
        run(Assigns(name))
    assert sentence in str(caught.value)


def test_every_callback_hears_of_the_end_even_if_several_fail() -> None:
    ends = Ends()
    with pytest.raises(RuntimeError, match="crash") as caught:
        run(Crash(1), Failing("train_end"), Failing("train_end"), ends)
    assert ends.count == 1
    later = [note for note in caught.value.__notes__ if note.startswith("then OSError: broken")]
    assert len(later) == 2


def test_leaving_the_loop_of_train_is_an_end() -> None:
    ends = Ends()
    for _ in train(network(), SGD(), X, T, callbacks=[ends]):
        break
    assert ends.count == 1


@pytest.mark.parametrize(("left_at", "epoch"), [(2, 1), (3, 2), (4, 2)])
def test_a_resumed_training_begins_in_the_epoch_that_was_left(
    left_at: int, epoch: int, tmp_path: Path
) -> None:
    class LeavesAt(Callback):
        def train_begin(self, progress: Progress) -> None:
            begun.append((progress.epoch, progress.step))

        def batch_end(self, progress: Progress) -> None:
            if progress.step == left_at:
                progress.pause("here")

    begun: list[tuple[int, int]] = []
    for _ in range(2):
        run(LeavesAt(), checkpoints=Checkpoints(tmp_path), resume=True)
    assert begun == [(1, 0), (epoch, left_at)]


def test_callbacks_know_the_options() -> None:
    class Looks(Callback):
        def train_begin(self, progress: Progress) -> None:
            found.append(progress.options)

    found: list[Training] = []
    run(Looks(), seed=7, metrics=["f1"], class_weight=[1.0, 2.0], batch_size=4)
    (options,) = found
    assert (options.seed, options.batch_size) == (7, 4)
    assert (options.metrics, options.class_weight) == (["f1"], [1.0, 2.0])


def test_what_nobody_listens_to_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Callback, progress: Progress) -> None:
        raise AssertionError

    ends = Ends()
    monkeypatch.setattr(Callback, "batch_end", fail)
    run(ends, History(), EarlyStopping(monitor="train_loss"))
    assert ends.count == 1


def test_a_time_limit_leaves_after_a_batch_and_each_resumption_has_as_much_again(
    tmp_path: Path,
) -> None:
    expected, steps = network(), []
    fit(expected, SGD(), X, T, batch_size=3, epochs=3, callbacks=[TimeLimit(1e6)])
    for session in range(9):
        net = network()
        records = fit(
            net,
            SGD(),
            X,
            T,
            batch_size=3,
            epochs=3,
            callbacks=[TimeLimit(1e-9)],
            checkpoints=Checkpoints(tmp_path),
            resume=session > 0,
        )
        steps.append(len(records))
        if len(records) == 3:
            break
    assert steps == sorted(steps)
    assert 2 < len(steps) < 9
    np.testing.assert_array_equal(net.arena.values, expected.arena.values)


def test_the_time_before_a_resumption_does_not_count() -> None:
    limit = TimeLimit(10.0)
    reasons: list[str] = []
    progress: Any = SimpleNamespace(seconds=100.0, pause=reasons.append)
    limit.train_begin(progress)
    for progress.seconds in (105.0, 109.5, 110.0):
        assert not reasons
        limit.batch_end(progress)
    assert reasons == ["the time limit of 10 s is reached"]


def test_a_training_that_diverges_leaves_its_last_step(tmp_path: Path) -> None:
    path = tmp_path / "failed.safetensors"
    with pytest.raises(DivergenceError):
        fit(network(), SGD(lr=1e38), 1e9 * X, T, callbacks=[StopOnNonFinite(path)])
    replay = FailedStep.load(path).replay()
    assert replay.same


def test_a_training_that_goes_well_leaves_no_such_file(tmp_path: Path) -> None:
    run(StopOnNonFinite(tmp_path / "failed.safetensors"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [StopOnNonFinite, partial(ModelCheckpoint, monitor="train_loss")])
def test_a_missing_folder_is_refused_before_the_first_step(kind: Any, tmp_path: Path) -> None:
    history = History()
    with pytest.raises(FileError, match=r"there is no folder .*nowhere"):
        run(history, kind(tmp_path / "nowhere" / "x.safetensors"))
    assert history.records == []


@pytest.mark.parametrize(
    ("hook", "ours"), [("on_epoch_end", "epoch_end"), ("on_train_batch_begin", "batch_begin")]
)
def test_hooks_that_nobody_calls_are_refused(hook: str, ours: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"Own\.{hook}: here it is called {ours}\(self, progress\)"
    ):
        type("Own", (Callback,), {hook: lambda self, epoch, logs: None})
    assert "Own" not in Callback.registry


def test_progress_tells_when_another_callback_has_changed_the_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lowering = ReduceLROnPlateau(monitor="train_loss", patience=1, min_delta=1e3)
    progress = ProgressBar()
    run(progress, lowering)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("Epoch")] == [
        "The learning rate is 0.01 now, it was 0.1"
    ]
    run(progress)
    assert "learning rate" not in capsys.readouterr().out


class NeedsItsBeginning(Callback):
    def train_begin(self, progress: Progress) -> None:
        self.begun = True

    def train_end(self, progress: Progress) -> None:
        assert self.begun


class RefusesToBegin(Callback):
    def train_begin(self, progress: Progress) -> None:
        raise ConfigError("not here")


def test_an_error_at_the_end_does_not_hide_the_one_that_ended_the_training() -> None:
    with pytest.raises(ConfigError, match="not here") as caught:
        run(RefusesToBegin(), NeedsItsBeginning())
    assert any(note.startswith("then AttributeError") for note in caught.value.__notes__)
