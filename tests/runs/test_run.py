"""A run is prepared once: each check of the data is made once for each set of examples."""

import contextlib
import functools
import json
import signal
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    SGD,
    DataError,
    Dense,
    Embedding,
    FileError,
    Flatten,
    LinearSchedule,
    Network,
    Optimizer,
    Sequential,
    SoftmaxCrossEntropy,
    Training,
    evaluate,
    fit,
)
from layerkit.callbacks import Callback, ProgressBar
from layerkit.cli import main
from layerkit.data import Data
from layerkit.files.atomic import TEMPORARY
from layerkit.inputs import Inputs
from layerkit.layers.standardize import Standardize
from layerkit.progress import Progress
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.folder import lock_run, read_run, write_run
from layerkit.runs.run import Run
from layerkit.runs.signals import Interruption
from layerkit.training.batches import Arrays
from layerkit.training.resume import ResumeWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 3))
T = np.arange(30) % 2


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "layerkit.runs.plots.run", None)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each check was made; those of examples with their number, such as "inputs 30"."""
    counts: Counter[str] = Counter()

    def count(holder: Any, name: str, what: str, size: Any = None) -> None:
        method = getattr(holder, name)

        @functools.wraps(method)
        def counted(*given: Any, **options: Any) -> Any:
            counts[what if size is None else f"{what} {len(given[size])}"] += 1
            return method(*given, **options)

        monkeypatch.setattr(holder, name, counted)

    count(Inputs, "check", "inputs", size=1)
    count(SoftmaxCrossEntropy, "targets", "targets", size=1)
    count(Arrays, "freeze", "freeze")
    count(sys.modules["layerkit.training.loop"], "check_layers", "layers", size=2)
    count(sys.modules["layerkit.runs.experiment"], "check_layers", "layers", size=2)
    # on its way through the layers, `adapt` lets each of them check its inputs
    count(sys.modules["layerkit.training.loop"], "adapt", "layers", size=3)
    count(sys.modules["layerkit.training.loop"], "check_parts", "outputs")
    count(sys.modules["layerkit.training.loop"], "adapt", "adapt", size=3)
    count(sys.modules["layerkit.training.loop"], "count_steps", "steps")
    count(sys.modules["layerkit.training.evaluation"], "check_metrics", "metrics")
    count(Optimizer, "bind", "bind")
    count(LinearSchedule, "__call__", "schedule")
    count(Checks, "check", "callback")
    return counts


class Checks(Callback):
    """A callback of the configuration."""

    def check(self, progress: Progress) -> None:
        assert progress.network.adapted is False


def body() -> Sequential:
    return Sequential([Standardize(), Dense(2)])


STEPS = 2 * 4


def test_fit_makes_each_check_once_for_each_set(counts: Counter[str]) -> None:
    net = Network(body(), SoftmaxCrossEntropy(), (3,))
    fit(
        net,
        SGD(schedules={"lr": LinearSchedule()}),
        X,
        T,
        sample_weight=np.ones(30),
        class_weight="balanced",
        validation=(X[:9], T[:9]),
        test=(X[:5], T[:5], np.ones(5)),
        metrics=["f1_macro"],
        epochs=2,
        batch_size=8,
        callbacks=[Checks()],
    )
    assert counts == {
        **{f"{what} {n}": 1 for what in ("inputs", "targets", "layers") for n in (30, 9, 5)},
        "adapt 30": 1,
        "outputs": 1,
        "steps": 1,
        "metrics": 1,
        "bind": 1,
        "callback": 1,
        "freeze": 1,
        # once for each step beforehand, for limits of the option, and once in the step
        "schedule": 2 * STEPS,
    }


CONFIG = """
[network]
shape = [3]
loss = {{type = "SoftmaxCrossEntropy"}}
[network.body]
type = "Sequential"
layers = [{{type = "Standardize"}}, {{type = "Dense", units = 2}}]
[optimizer]
type = "SGD"
schedules.lr = {{type = "LinearSchedule"}}
[data]
path = "{path}"
label = "label"
{held_out}
[training]
epochs = 2
batch_size = 8
metrics = ["f1_macro"]
class_weight = "balanced"
callbacks = [{{type = "Checks"}}]
"""


def write_csv(path: Path, rows: int) -> Path:
    lines = [",".join(map(str, [*x, "ab"[t]])) for x, t in zip(X[:rows], T[:rows], strict=True)]
    path.write_text("\n".join(["p,q,r,label", *lines]) + "\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """30 training examples, 9 to validate, 5 to test."""
    parts = {name: write_csv(tmp_path / f"{name}.csv", n) for name, n in SIZES.items()}
    held_out = "\n".join(f'{name} = "{parts[name]}"' for name in ("validation", "test"))
    path = tmp_path / "run.toml"
    path.write_text(CONFIG.format(path=parts["train"], held_out=held_out))
    return path


SIZES = {"train": 30, "validation": 9, "test": 5}


@pytest.mark.usefixtures("without_pictures")
def test_the_command_makes_each_check_once_for_each_set(
    config: Path, counts: Counter[str], tmp_path: Path
) -> None:
    assert main(["train", str(config), "--out", str(tmp_path / "run")]) == 0
    assert counts == {
        **{f"{what} {n}": 1 for what in ("inputs", "targets", "layers") for n in SIZES.values()},
        "adapt 30": 1,
        "outputs": 1,
        "steps": 1,
        "metrics": 1,
        "bind": 1,
        "callback": 1,
        "freeze": 1,
        "schedule": 2 * STEPS,
    }


def test_each_picture_checks_its_examples_once_or_twice(
    config: Path, counts: Counter[str], tmp_path: Path
) -> None:
    assert main(["train", str(config), "--out", str(tmp_path / "run")]) == 0
    drawn = {path.stem for path in (tmp_path / "run").glob("*.png")} - {"curves"}
    assert drawn == {"calibration", "confusion", "importance", "roc"}
    assert {name: n for name, n in counts.items() if name.startswith("inputs")} == {
        "inputs 30": 1,
        "inputs 9": 1,
        "inputs 5": 7,  # one for the metrics
    }


@pytest.mark.usefixtures("without_pictures")
def test_resuming_makes_each_check_once_too(
    config: Path, counts: Counter[str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert main(["train", str(config), "--out", str(out), "--set", "training.epochs=1"]) == 0
    counts.clear()
    settings = ["--set", "training.epochs=2", "--force"]
    with pytest.warns(ResumeWarning, match="training.epochs = 2; the checkpoint has 1"):
        assert main(["train", "--resume", str(out), *settings]) == 0
    assert {name: counts[name] for name in ("bind", "metrics", "outputs", "callback")} == {
        "bind": 1,
        "metrics": 1,
        "outputs": 1,
        "callback": 1,
    }
    assert all(counts[f"inputs {n}"] == counts[f"layers {n}"] == 1 for n in SIZES.values())


# What layers refuse, in each set


def numbers(path: Path, wrong: str) -> Data:
    """Whole numbers from 0 to 4, with a 7 in one part of the data."""
    for i, name in enumerate(SIZES):
        x = np.random.default_rng(i).integers(0, 5, (12, 3)).astype(np.float32)
        if name == wrong:
            x[4, 1] = 7
        np.savez(path / f"{name}.npz", x=x, y=np.arange(12) % 2)
    held_out = {name: str(path / f"{name}.npz") for name in ("validation", "test")}
    return Data(path=str(path / "train.npz"), **held_out)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", SIZES)
def test_numbers_that_a_layer_does_not_take_are_found_before_a_run_begins(
    wrong: str, tmp_path: Path
) -> None:
    layers = Sequential([Embedding(n=5, dim=2), Flatten(), Dense(2)])
    experiment = Experiment(
        Network(layers, SoftmaxCrossEntropy(), (3,)),
        SGD(),
        numbers(tmp_path, wrong),
        Training(epochs=1),
    )
    with pytest.raises(DataError, match="Embedding takes whole numbers from 0 to 4, not 7") as told:
        Run(experiment, experiment.load_data(), tmp_path / "run")
    assert "body.layers.0" in told.value.place
    assert not (tmp_path / "run").exists()


# What a run is


class LeavesRun(Callback):
    """Sends a signal, or raises, after a step."""

    step: int
    how: str

    def batch_end(self, progress: Progress) -> None:
        if progress.step == self.step:
            if self.how == "error":
                raise ValueError("a test")
            if self.how == "stop":
                progress.stop("enough")
            if self.how == "signal":
                signal.raise_signal(signal.SIGTERM)


def experiment(config: Path, *callbacks: Callback, **options: Any) -> Experiment:
    found = read_experiment(config)
    found.training.callbacks = list(callbacks)
    vars(found.training).update(options)
    return found


def trained(run: Run) -> Interruption:
    interruption = Interruption()
    with interruption.listening(), contextlib.suppress(ValueError):
        run.train(interruption)
    return interruption


def test_nothing_is_begun_before_a_run_begins(config: Path, tmp_path: Path) -> None:
    of_config = experiment(config)
    run = Run(of_config, of_config.load_data(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert (run.progress.step, run.finished) == (0, False)
    run.begin()
    found = {path.name for path in (tmp_path / "run").iterdir()} - {".lock"}
    assert found == {"config.toml", "data.json", "environment.json"}


def test_of_two_runs_that_begin_in_a_folder_at_a_time_one_is_refused(
    config: Path, tmp_path: Path
) -> None:
    of_config = experiment(config)
    dataset = of_config.load_data()
    of_config.open(dataset)
    barrier = threading.Barrier(2)

    def begin(folder: Path) -> bool:
        barrier.wait()
        try:
            with ExitStack() as lock:
                write_run(folder, of_config, dataset, lock)
        except FileError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for i in range(50):
            begun = list(pool.map(begin, [tmp_path / f"run-{i}"] * 2))
            assert sorted(begun) == [False, True]


def test_what_a_run_left_that_was_killed_at_its_beginning_is_used(
    config: Path, tmp_path: Path
) -> None:
    of_config = experiment(config)
    dataset = of_config.load_data()
    of_config.open(dataset)
    (tmp_path / "run").mkdir()
    for name in ("environment.json", ".lock", f".x{TEMPORARY}"):
        (tmp_path / "run" / name).touch()
    with ExitStack() as lock:
        write_run(tmp_path / "run", of_config, dataset, lock)
    with pytest.raises(FileError, match="there is something already"):
        write_run(tmp_path / "run", of_config, dataset, lock)


def test_a_run_is_trained_by_one_process_at_a_time(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fcntl")
    folder = tmp_path / "run"
    of_config = experiment(config)
    Run(of_config, of_config.load_data(), folder).begin()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with lock_run(folder):
        assert main(["train", "--resume", str(folder)]) == 1
        assert f"{folder}: is being trained by another process" in capsys.readouterr().err
        (folder / ".lock").unlink()
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("without_pictures")
def test_a_run_holds_its_lock_from_its_beginning_to_its_end(config: Path, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    of_config = experiment(config)
    dataset = of_config.load_data()
    run = Run(of_config, dataset, tmp_path / "run")
    run.begin()
    with pytest.raises(FileError, match="is being trained by another process"):
        Run(experiment(config), dataset, tmp_path / "run", resume=True)
    trained(run)
    again = Run(experiment(config), dataset, tmp_path / "run", resume=True)
    with pytest.raises(FileError, match="is being trained by another process"):
        Run(experiment(config), dataset, tmp_path / "run", resume=True)
    (tmp_path / "run" / "link").symlink_to(tmp_path)
    with pytest.raises(FileError, match="a symbolic link"):
        again.begin()
    Run(experiment(config), dataset, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("callbacks", "sentence"),
    [
        ('{type = "CSVLog", path = "../a.csv"}', "leads out of the run's folder"),
        ('{type = "CSVLog", path = "a/../../a.csv"}', "leads out of the run's folder"),
        ('{type = "CSVLog", path = "a/../config.toml"}', "the run itself writes this file"),
        ('{type = "CSVLog", path = "RUN/config.toml"}', "the run itself writes this file"),
        ('{type = "CSVLog", path = "RUN/../run/.lock"}', "the run itself writes this file"),
        ('{type = "CSVLog", path = "RUN/history.csv"}', "is written already"),
        (
            '{type = "JSONLinesLog", path = "a"}, {type = "CSVLog", path = "RUN/a"}',
            "training.callbacks.1.path = 'RUN/a': is written already",
        ),
        ('{type = "CSVLog", path = "checkpoints/a.csv"}', "the run itself writes this file"),
        ('{type = "TensorBoard", folder = "curves.png"}', "the run itself writes this file"),
        ('{type = "CSVLog", path = "history.csv"}', "is written already"),
        ('{type = "CSVLog", path = "/dev/null/a.csv"}', "/dev/null: can't be made"),
        ('{type = "CSVLog", path = "."}', "not a regular file"),
        (
            '{type = "CSVLog", path = "a"}, {type = "CSVLog", path = "a/b.csv"}',
            "a: can't be written: it exists and is not a regular file",
        ),
    ],
)
def test_a_path_that_can_not_be_written_leaves_no_folder(
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    callbacks: str,
    sentence: str,
) -> None:
    run = str(tmp_path / "run")
    callbacks, sentence = callbacks.replace("RUN", run), sentence.replace("RUN", run)
    settings = ["--set", f"training.callbacks=[{callbacks}]", "--out", run]
    before = sorted(tmp_path.iterdir())
    assert main(["train", str(config), *settings]) == 1
    assert sentence in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_that_is_resumed_writes_to_no_link(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mine = tmp_path / "run", tmp_path / "mine"
    mine.write_text("mine")
    of_config = experiment(config)
    Run(of_config, of_config.load_data(), folder).begin()
    (folder / "latest").symlink_to("model.safetensors")
    for name, target in (("history.csv", mine), ("logs", tmp_path), ("loop", "loop")):
        (folder / name).symlink_to(target)
        assert main(["train", "--resume", str(folder)]) == 1
        assert f"{folder / name}: a symbolic link to {target}" in capsys.readouterr().err
        (folder / name).unlink()
    assert mine.read_text() == "mine"


@pytest.mark.usefixtures("without_pictures")
def test_a_run_to_its_end(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_config = experiment(config)
    dataset = of_config.load_data()
    run = Run(of_config, dataset, str(tmp_path / "run"))
    run.begin()
    interruption = trained(run)
    assert read_run(str(tmp_path / "run")) == read_run(tmp_path / "run")
    assert (run.finished, run.left(interruption), interruption.status) == (True, "", 0)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    saved = Network.load(tmp_path / "run" / "model.safetensors")
    np.testing.assert_array_equal(saved.arena.values, of_config.network.arena.values)
    accuracy, loss = evaluate(saved, dataset.test.x, np.array(dataset.classes)[dataset.test.t])
    assert (result["epochs"], result["test_accuracy"]) == (2, accuracy)
    assert result["test_loss"] == pytest.approx(loss, rel=1e-6)
    assert f"Test accuracy {accuracy:.4f}, test loss {loss:.4f}, test f1_macro" in (
        capsys.readouterr().out
    )


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize(("lr", "hint"), [("0.01", False), ("1e9", True)])
def test_a_loss_far_above_that_of_the_first_batch_is_told(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lr: str, hint: bool
) -> None:
    settings = ["--set", f"optimizer.lr={lr}", "--out", str(tmp_path / "run")]
    assert main(["train", str(config), *settings]) == 0
    assert (" of the first batch: try a smaller" in capsys.readouterr().out) == hint


@pytest.mark.usefixtures("without_pictures")
def test_a_progress_bar_of_the_configuration_replaces_the_own_one(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_config = experiment(config, ProgressBar(every=2))
    run = Run(of_config, of_config.load_data(), tmp_path / "run")
    run.begin()
    trained(run)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines if line.startswith("Epoch")] == ["Epoch 2"]


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize(
    ("step", "how", "left", "status"),
    [
        (3, "signal", "Interrupted in epoch 1, after step 3", 143),
        (6, "signal", "Interrupted in epoch 2, after step 6", 143),
        (8, "signal", "", 143),
        (3, "error", "Broken off in epoch 1, after step 3", 0),
        (3, "stop", "", 0),
    ],
)
def test_how_a_run_is_left_and_goes_on(
    config: Path, tmp_path: Path, step: int, how: str, left: str, status: int
) -> None:
    whole = experiment(config)
    whole.run(whole.load_data())
    first = experiment(config, LeavesRun(step, how))
    run = Run(first, first.load_data(), tmp_path / "run")
    run.begin()
    interruption = trained(run)
    assert (run.left(interruption), interruption.status) == (left, status)
    assert run.finished == (not left)
    assert (tmp_path / "run" / "result.json").exists() == run.finished
    assert (tmp_path / "run" / "model.safetensors").exists() == (how != "error")
    if how == "stop":
        return
    again = experiment(config, LeavesRun(99, how))
    second = Run(again, again.load_data(), tmp_path / "run", resume=True)
    second.begin()
    assert (trained(second).status, second.finished) == (0, True)
    np.testing.assert_array_equal(again.network.arena.values, whole.network.arena.values)
    assert len(second.progress.records) == 2


def test_what_is_measured_does_not_depend_on_weights_of_classes(config: Path) -> None:
    """Of the training examples neither."""
    found = experiment(config, class_weight=[9.0, 1.0])
    dataset = found.load_data()
    records = found.run(dataset)
    for name, part in dataset.parts().items():
        right = evaluate(found.network, part.x, np.array(dataset.classes)[part.t])
        measured = found.measure(name)
        assert (measured["accuracy"], measured["loss"]) == right
    assert records[-1].train_loss == found.measure("train")["loss"]


def test_an_experiment_measures_what_it_has_opened(config: Path) -> None:
    found = experiment(config)
    assert list(found.open(found.load_data())) == ["train", "validation", "test"]
