import sys
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    Callback,
    ConfigError,
    CosineSchedule,
    Dense,
    FileError,
    Lambda,
    Network,
    Record,
    ReduceLROnPlateau,
    Sequential,
    SoftmaxCrossEntropy,
    fit,
)
from layerkit.callbacks import History, MLflow, TensorBoard, Tracker
from layerkit.files.checkpoints import Checkpoints
from layerkit.progress import Progress

X, T = np.eye(4), np.array([0, 1, 0, 1])


class Kept(Tracker):
    """Keeps the metrics of each epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.given: list[tuple[int, dict[str, float]]] = []

    def write(self, metrics: dict[str, float], step: int) -> None:
        self.given.append((step, metrics))


class FailsAt(Callback):
    """Ends a training run by an error after a step."""

    step: int

    def batch_end(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise RuntimeError("crash")


def run(*callbacks: Callback, epochs: int = 5, **options: Any) -> list[Record]:
    """Two steps in each epoch; the rate falls by a schedule, and by half from the third on."""
    net = Network(Dense(2), SoftmaxCrossEntropy(), (4,))
    optimizer = SGD(lr=9.0, schedules={"lr": CosineSchedule()})
    reducing = ReduceLROnPlateau(patience=1, factor=0.5, monitor="train_loss", min_delta=99.0)
    return fit(
        net,
        optimizer,
        X,
        T,
        epochs=epochs,
        batch_size=3,
        metrics=["f1"],
        test=(X, T),
        callbacks=[reducing, *callbacks],
        **options,
    )


def expected(records: list[Record]) -> dict[str, list[tuple[int, float]]]:
    """The curves of a training: points (step, value), by name."""
    schedule = CosineSchedule()
    curves: dict[str, list[tuple[int, float]]] = {}
    base = 9.0
    for i, record in enumerate(records):
        step = 2 * (i + 1)
        rate = base * schedule(step - 1, 2 * len(records))
        for name, value in (record.measured() | {"learning_rate": rate}).items():
            curves.setdefault(name, []).append((step, value))
        base *= 0.5 if i else 1.0
    return curves


def test_a_tracker_gets_the_metrics_and_the_rate_of_the_last_step() -> None:
    kept = Kept()
    curves = expected(run(kept))
    assert kept.given == [
        (2 * i + 2, {name: points[i][1] for name, points in curves.items()}) for i in range(5)
    ]


def in_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(folder)).Reload()
    return {
        name: [(point.step, point.value) for point in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def in_mlflow(uri: str) -> dict[str, list[tuple[int, float]]]:
    client = pytest.importorskip("mlflow").MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name = 'layerkit'")
    (run,) = client.search_runs([experiment.experiment_id])
    return {
        name: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)]
        for name in run.data.metrics
    }


def run_twice(tracker: Callback, folder: Path, crash: int, lost: int) -> list[Record]:
    """Fail after a step, lose the last checkpoints, and resume."""
    checkpoints = Checkpoints(folder / "checkpoints", every=3, keep=9)
    with pytest.raises(RuntimeError):
        run(tracker, FailsAt(crash), checkpoints=checkpoints)
    for path in checkpoints.paths()[:lost]:
        path.unlink()
    return run(tracker, FailsAt(0), checkpoints=checkpoints, resume=True)


def check_curves(found: dict[str, list[tuple[int, float]]], records: list[Record]) -> None:
    curves = expected(records)
    assert found.keys() == curves.keys()
    for name, points in curves.items():
        np.testing.assert_allclose(found[name], points, rtol=1e-6, err_msg=name)


# TensorBoard sorts files by the second in which they were begun
@pytest.fixture
def _a_minute_for_each_look_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", partial(next, count(1_700_000_000.0, 60.0)))


@pytest.mark.usefixtures("_a_minute_for_each_look_at_the_clock")
@pytest.mark.parametrize(("crash", "lost"), [(3, 0), (7, 0), (7, 1), (8, 2)])
def test_tensorboard_has_every_point_once(crash: int, lost: int, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    records = run_twice(TensorBoard(tmp_path), tmp_path, crash, lost)
    check_curves(in_tensorboard(tmp_path), records)


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_every_point_once(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    records = run_twice(MLflow(tracking_uri=uri), tmp_path, crash=8, lost=2)
    check_curves(in_mlflow(uri), records)


@pytest.mark.usefixtures("_a_minute_for_each_look_at_the_clock")
def test_another_training_hides_the_points_of_the_one_before(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(TensorBoard(tmp_path))
    run(TensorBoard(tmp_path), epochs=2)
    assert [step for step, _ in in_tensorboard(tmp_path)["train_loss"]] == [2, 4]


def test_points_are_in_the_file_when_the_epoch_is_over(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    lengths = []

    class Reads(Callback):
        def epoch_end(self, progress: Progress) -> None:
            lengths.append(len(in_tensorboard(tmp_path)["train_loss"]))

    run(TensorBoard(tmp_path), Reads())
    assert lengths == [1, 2, 3, 4, 5]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "file").touch()
    history = History()
    with pytest.raises(FileError, match=r"file.run: can't be written"):
        run(history, TensorBoard(tmp_path / "file" / "run"))
    assert history.records == []


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_all_options_and_how_the_training_ended(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for body in (Dense(2), Sequential([Dense(2), Lambda(np.copy, np.copy)])):
        network = Network(body, SoftmaxCrossEntropy(), (4,))
        fit(network, SGD(), X, T, callbacks=[MLflow("two", "a", uri)], epochs=2)
    with pytest.raises(RuntimeError):
        fit(network, SGD(), X, T, callbacks=[MLflow("two", "a", uri), FailsAt(1)])
    client = mlflow.MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name = 'two'")
    runs = client.search_runs([experiment.experiment_id])[::-1]
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED", "KILLED"]
    params = runs[0].data.params
    assert (params["network.body.units"], params["optimizer.lr"]) == ("2", "0.1")
    assert params["training.epochs"] == "2"
    assert "training.threads" not in params
    assert "Lambda" in runs[1].data.params["network"]


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_address_is_refused() -> None:
    pytest.importorskip("mlflow")
    with pytest.raises(ConfigError, match="tracking_uri = 'nowhere://'"):
        run(MLflow(tracking_uri="nowhere://"))


@pytest.mark.parametrize(
    ("callback", "module", "extra"),
    [
        (TensorBoard("runs"), "tensorboard.compat.proto.event_pb2", "tensorboard"),
        (MLflow(), "mlflow", "mlflow"),
    ],
)
def test_a_missing_package_is_named(
    callback: Callback, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    history = History()
    with pytest.raises(ConfigError, match=rf"folder, pip install -e '.\[{extra}\]'"):
        run(history, callback)
    assert history.records == []
