"""`layerkit verify-resume` proves resuming, and finds what is missing in a checkpoint."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

import pytest

from layerkit.cli import main

CONFIG = """
[network]
shape = [64]
loss = {type = "SoftmaxCrossEntropy"}
[network.body]
type = "Sequential"
layers = [
    {type = "Dense", units = 8},
    {type = "BatchNorm"},
    {type = "RightCount"},
    {type = "Dropout", rate = 0.2},
    {type = "Dense", units = 10},
]
[optimizer]
type = "Adam"
[data]
validation_size = 0.2
[training]
epochs = 4
batch_size = 300
average = {type = "EMA"}
callbacks = [
    {type = "EarlyStopping"},
    {type = "CSVLog", path = "log.csv"},
    {type = "TimeLimit", seconds = 1e-9},
]
"""
OWN = '''
import numpy as np
from layerkit import Augmentation, Layer, Optimizer, Rate, State, Zeros
from layerkit.callbacks import Callback

class RightCount(Layer):
    """y = (1 + n / 1000) x after n batches"""
    def build(self, shape):
        self.n = State((1,), Zeros())
        return shape
    def forward(self, x, train=True):
        if train:
            self.n.value += 1
        self.factor = 1 + self.n.value / 1000
        return x * self.factor
    def backward(self, dy):
        return dy * self.factor

class ForgetfulCount(RightCount):
    """y = (1 + n / 1000) x, but n is not a State."""
    def build(self, shape):
        self.n = 0
        return shape
    def forward(self, x, train=True):
        self.n += train
        self.factor = np.float32(1 + self.n / 1000)
        return x * self.factor

class UnseededNoise(RightCount):
    """Takes random numbers without a seed."""
    def forward(self, x, train=True):
        self.factor = np.random.default_rng().random(x.shape, x.dtype)
        return x * self.factor

class FadingOut(Augmentation):
    """Counts its calls, and nothing saves the count."""
    def __call__(self, x, rng):
        self.calls = getattr(self, "calls", 0) + 1
        return x / self.calls

class CoolingDown(Callback):
    """Changes the rate by a number that is in no state_dict."""
    def train_begin(self, progress):
        self.seen = 0
    def batch_end(self, progress):
        self.seen += 1
        progress.optimizer.lr = 0.1 / self.seen
'''


class Here:
    """A stand-in for a pool of processes, to be faster: each call trains anew in this process."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Future[None]:
        done: Future[None] = Future()
        done.set_result(function(*arguments))
        return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    (folder / "config.toml").write_text(CONFIG)
    (folder / "own_layers.py").write_text(OWN)
    return folder


@pytest.fixture(autouse=True)
def _there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def verify(*arguments: str) -> int:
    return main(["verify-resume", "config.toml", "--import", "own_layers.py", *arguments])


@pytest.mark.processes
def test_three_processes_prove_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify() == 0
    said = capsys.readouterr().out
    assert "config.toml: 14 steps at once, and 7 + 7 in two processes" in said
    for group in ("parameters", "states", "optimizer", "averages", "generators", "callbacks"):
        assert any(line.startswith(group) and "the same" in line for line in said.splitlines())
    assert said.endswith("The same, bit for bit.\n")
    left = {path.name for path in Path().iterdir()} - {"__pycache__"}
    assert left == {"config.toml", "own_layers.py"}


@pytest.mark.processes
def test_three_processes_find_what_is_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--set", "network.body.layers.2.type=ForgetfulCount") == 1
    said = capsys.readouterr().out
    assert "NOT THE SAME, first in parameters: body.layers.0.W (" in said
    assert "has to be a State" in said
    assert "ForgetfulCount (body.layers.2)" in said


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("network.body.layers.2.type=ForgetfulCount", "ForgetfulCount (body.layers.2)"),
        ("training.augmentation={type = 'FadingOut'}", "FadingOut (augmentation)"),
        ("training.callbacks=[{type = 'CoolingDown'}]", "CoolingDown (callbacks.0)"),
        (
            "network.body.layers.2={type = 'UnseededNoise'}",
            "but already after 7 steps, before any stop",
        ),
    ],
)
def test_what_is_not_in_a_checkpoint_is_found(
    setting: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("layerkit.runs.verify.ProcessPoolExecutor", Here)
    assert verify("--set", setting) == 1
    said = capsys.readouterr().out
    assert "NOT THE SAME" in said
    assert sentence in said


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        (["--steps", "5"], "5 steps at once, and 2 + 3"),
        (["--at", "3"], "14 steps at once, and 3 + 11"),
        (["--at", "8"], "16 steps at once, and 8 + 8"),
        (["--at", "4", "--steps", "9"], "9 steps at once, and 4 + 5"),
        (["--at", "15"], "16 steps at once, and 15 + 1"),
        (["--set", "training.batch_size=100"], "22 steps at once, and 11 + 11"),
        (["--set", "training.batch_size=2000", "--set", "training.epochs=9"], "9 steps at once"),
        (["--set", "training.epochs=1"], "4 steps at once, and 2 + 2"),
    ],
)
def test_the_steps_can_be_chosen(
    arguments: list[str],
    steps: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("layerkit.runs.verify.ProcessPoolExecutor", Here)
    assert verify(*arguments) == 0
    assert steps in capsys.readouterr().out


@pytest.mark.parametrize("steps", [3, 4])
def test_it_says_when_no_epoch_ended(
    steps: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("layerkit.runs.verify.ProcessPoolExecutor", Here)
    assert verify("--steps", str(steps)) == 0
    note = "No epoch ended, so the end of an epoch was not verified: for that, use --steps 4."
    assert (note in capsys.readouterr().out) == (steps < 4)


@pytest.mark.parametrize(
    "arguments", [["--steps", "17"], ["--steps", "1"], ["--at", "0"], ["--at", "9", "--steps", "9"]]
)
def test_steps_that_do_not_fit_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(*arguments) == 1
    said = capsys.readouterr().err
    assert " ".join(arguments[:2]) in said
    assert "the stop should come before the last of these steps" in said


def test_a_folder_may_be_that_of_a_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("layerkit.runs.verify.ProcessPoolExecutor", Here)
    assert main(["verify-resume", ".", "--import", "own_layers.py", "--steps", "2"]) == 0
    assert "config.toml: 2 steps at once" in capsys.readouterr().out
    assert main(["verify-resume", str(tmp_path)]) == 1
    assert "not a run's folder: there is no config.toml in it" in capsys.readouterr().err
