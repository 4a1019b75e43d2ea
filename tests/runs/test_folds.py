"""Cross-validation: each fold is a training of its own, and so is that of the run."""

import csv
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import ConfigError, EarlyStopping, Network
from layerkit.callbacks import Callback
from layerkit.cli import main
from layerkit.progress import Progress
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.run import Run
from layerkit.runs.signals import Interruption

CONFIG = """
[network]
shape = [3]
loss = {type = "SoftmaxCrossEntropy"}
[network.body]
type = "Sequential"
layers = [{type = "Standardize"}, {type = "Dense", units = 4}, {type = "Dropout", rate = 0.2},
          {type = "Dense", units = 2}]
[optimizer]
type = "Adam"
[data]
path = "table.csv"
label = "kind"
validation_size = 0.2
[training]
epochs = 3
batch_size = 16
folds = 3
metrics = ["f1_macro"]
"""


@pytest.fixture(autouse=True)
def _a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "layerkit.runs.plots", None)
    x = np.random.default_rng(0).normal(size=(120, 3))
    rows = [",".join(map(str, [*row, "ab"[int(row.sum() > 0)]])) for row in x]
    Path("table.csv").write_text("\n".join(["p,q,r,kind", *rows]))
    Path("run.toml").write_text(CONFIG)


class LeavesFold(Callback):
    """Sends a signal, or raises, after a step of the n-th training."""

    fold: int
    step: int
    how: str = "signal"

    def batch_end(self, progress: Progress) -> None:
        # the seed of a fold is that of the run and its number less 1
        if (progress.options.seed + 1, progress.step) == (self.fold, self.step):
            if self.how == "error":
                raise ValueError("a test")
            signal.raise_signal(signal.SIGTERM)


def experiment(*callbacks: Callback, **options: Any) -> Experiment:
    found = read_experiment("run.toml")
    found.training = replace(found.training, callbacks=list(callbacks), **options)
    return found


def trained(
    of_config: Experiment, folder: str, *, resume: bool = False
) -> tuple[Run, Interruption]:
    run = Run(of_config, of_config.load_data(), folder, resume, of_config.load_folds())
    run.begin()
    interruption = Interruption()
    with interruption.listening():
        run.train(interruption)
    return run, interruption


def table(folder: str) -> list[dict[str, str]]:
    with Path(folder, "folds.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_fold_is_a_training_with_its_own_seed_and_the_run_is_as_without() -> None:
    assert main(["train", "run.toml", "--out", "run"]) == 0
    *rows, mean, std = table("run")
    found = read_experiment("run.toml")
    for i, dataset in enumerate(found.load_folds()):
        alone = experiment(seed=i)
        alone.run(dataset)
        saved = Network.load(f"run/folds/{i + 1}/model.safetensors")
        np.testing.assert_array_equal(saved.arena.values, alone.network.arena.values)
        counts = {"fold": i + 1, "training examples": 51, "held out": 32, "epochs": 3}
        expected = counts | alone.measure("test")
        assert rows[i] == {name: f"{value:.6g}" for name, value in expected.items()}
    losses = [float(row["loss"]) for row in rows]
    assert (mean["fold"], std["fold"], mean["epochs"]) == ("mean", "std", "")
    assert float(mean["loss"]) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(std["loss"]) == pytest.approx(np.std(losses, ddof=1), rel=1e-3)
    plain = experiment(folds=None)
    plain.run(plain.load_data())
    saved = Network.load("run/model.safetensors")
    np.testing.assert_array_equal(saved.arena.values, plain.network.arena.values)


@pytest.mark.parametrize(
    ("fold", "step", "left"),
    [
        (1, 2, "Interrupted in fold 1, in epoch 1, after step 2"),
        (2, 6, "Interrupted in fold 2, in epoch 2, after step 6"),
        (3, 4, "Interrupted in fold 3, in epoch 1, after step 4"),
    ],
)
def test_an_interrupted_cross_validation_goes_on_to_the_same_results(
    fold: int, step: int, left: str
) -> None:
    stopping = EarlyStopping(patience=1, monitor="train_loss", min_delta=0.02)
    whole, _ = trained(experiment(stopping, epochs=4), "whole")
    leaves = LeavesFold(fold, step)
    run, interruption = trained(experiment(stopping, leaves, epochs=4), "run")
    assert run.left(interruption) == left
    assert not Path("run/folds.csv").exists()
    again = experiment(stopping, LeavesFold(99, 1), epochs=4)
    second, _ = trained(again, "run", resume=True)
    assert second.finished
    assert Path("run/folds.csv").read_bytes() == Path("whole/folds.csv").read_bytes()
    weights = [of.experiment.network.arena.values.tolist() for of in (second, whole)]
    assert weights[0] == weights[1]


def test_a_fold_that_fails_is_named_and_a_run_that_has_not_begun_leaves_nothing() -> None:
    first = experiment(LeavesFold(2, 3, "error"))
    run = Run(first, first.load_data(), "run", folds=first.load_folds())
    run.begin()
    with pytest.raises(ValueError, match="a test"):
        run.train(Interruption())
    assert run.left(Interruption()) == "Broken off in fold 2, in epoch 1, after step 3"
    too_small = Path("run.toml").read_text().replace('"Dropout", rate = 0.2', '"BatchNorm"')
    Path("run.toml").write_text(too_small)
    assert main(["train", "run.toml", "--set", "training.batch_size=50", "--out", "new"]) == 1
    assert not Path("new").exists()


def test_a_fold_that_diverges_leaves_its_step(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "optimizer={type = 'SGD', lr = 1e300}"]
    assert main(["train", "run.toml", "--out", "run", *settings]) == 1
    told = capsys.readouterr()
    path = Path("run", "folds", "1", "divergence.safetensors")
    assert f"layerkit replay {path}" in told.out
    assert "To go on" not in told.out
    assert path.exists()


@pytest.mark.parametrize(
    ("folds", "sentence"),
    [
        (1, "training.folds = 1: should be greater than or equal to 2"),
        (90, "table.csv: folds = 90: there are"),
    ],
)
def test_too_few_and_too_many_folds_are_refused_before_a_run_begins(
    folds: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "run.toml", "--out", "run", "--set", f"training.folds={folds}"]) == 1
    assert sentence in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_sweep_refuses_folds(capsys: pytest.CaptureFixture[str]) -> None:
    search = '[sweep]\nmethod = "grid"\n[search]\n"optimizer.lr" = [0.1, 0.2]\n'
    Path("sweep.toml").write_text(f'base = "run.toml"\n{search}')
    assert main(["sweep", "sweep.toml"]) == 1
    assert "run.toml: training.folds = 3: not in a sweep" in capsys.readouterr().err


def test_data_that_have_changed_since_are_refused() -> None:
    trained(experiment(LeavesFold(2, 3)), "run")
    text = Path("table.csv").read_text()
    Path("table.csv").write_text(text + "\n1,2,3,a")
    again = experiment(LeavesFold(99, 1))
    with pytest.raises(ConfigError, match="another training"):
        trained(again, "run", resume=True)
