"""Runs of the command that are killed, interrupted and resumed, in processes of their own.

A callback of the run sends it the signals, so that they come at a known step.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from layerkit.cli import main
from layerkit.files.checkpoints import Checkpoints

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals and forks"),
]

CONFIG = """
[network]
shape = [64]
loss = {type = "SoftmaxCrossEntropy"}
[network.body]
type = "Sequential"
layers = [
    {type = "Dense", units = 12},
    {type = "BatchNorm"},
    {type = "ReLU"},
    {type = "Dropout", rate = 0.2},
    {type = "Dense", units = 10},
]
[optimizer]
type = "Adam"
lr = 0.01
schedules = {lr = {type = "CosineSchedule"}}
[data]
validation_size = 0.2
[training]
epochs = 3
batch_size = 400
average = {type = "EMA", decay = 0.8}
augmentation = {type = "ImageAugmentation", shift = 1.0}
metrics = ["f1_macro"]
checkpoints = {every = 2}
callbacks = [{type = "EarlyStopping"}, {type = "Signals"}]
"""
STEPS = 9
OWN = '''
"""What sends signals to its own process: SIGNALS is like "batch_end 3 SIGINT, train_end 0 ..."."""
import os, signal, sys
from layerkit.callbacks import Callback

sys.modules["matplotlib"] = None  # pictures take longer than all the rest

class Signals(Callback):
    def send(self, hook, step):
        for line in filter(None, os.environ.get("SIGNALS", "").split(",")):
            where, when, name = line.split()
            if (where, int(when)) == (hook, step):
                os.kill(os.getpid(), getattr(signal, name))
    def train_begin(self, progress): self.send("train_begin", progress.step)
    def batch_end(self, progress): self.send("batch_end", progress.step)
    def epoch_end(self, progress): self.send("epoch_end", progress.step)
    def train_end(self, progress): self.send("train_end", progress.step)
'''
SERVER = """
import json, os, sys
from pathlib import Path
from layerkit.cli import main
from layerkit.config.own_modules import import_file
from layerkit.runs.experiment import read_experiment

import_file(Path("own.py"))
read_experiment(Path("config.toml")).load_data()  # all that takes long to import is here now
for line in sys.stdin:
    arguments, signals = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    os.environ["SIGNALS"] = signals
    os.dup2(os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    try:
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    sys.stdout.flush()
    os._exit(status)
"""


class Command:
    """The command in new processes, forked from one that has imported everything already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "config.toml").write_text(CONFIG)
        (folder / "own.py").write_text(OWN)
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )

    def __call__(self, *arguments: str | Path, signals: str = "") -> tuple[int, str]:
        """Return the exit status, negative for a signal, and what was printed."""
        assert self.server.stdin
        assert self.server.stdout
        words = [*map(str, arguments), "--import", "own.py"]
        self.server.stdin.write(json.dumps([words, signals]) + "\n")
        self.server.stdin.flush()
        status = int(self.server.stdout.readline())
        return status, (self.folder / "said").read_text()

    def train(self, run: str, signals: str = "") -> tuple[int, str]:
        return self("train", "config.toml", "--out", run, signals=signals)

    def resume(self, run: str, signals: str = "") -> tuple[int, str]:
        return self("train", "--resume", run, signals=signals)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    made = Command(tmp_path_factory.mktemp("runs"))
    assert made.train("whole")[0] == 0
    yield made
    assert made.server.stdin
    made.server.stdin.close()
    assert made.server.wait() == 0
    assert made.server.stdout
    made.server.stdout.close()


def outcome(run: Path) -> dict[str, Any]:
    """All that has to be the same, however often a run was stopped: every byte but for times."""
    with (run / "history.csv").open() as file:
        history = [{**row, "seconds": ""} for row in csv.DictReader(file)]
    kept = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    state = Checkpoints(run / "checkpoints").load().tree
    state["seconds"] = state["records"] = None
    del kept["history.csv"]
    return {"history": history, "state": repr(state), **kept}


def assert_ends_the_same(command: Command, run: str) -> None:
    status, said = command.resume(run)
    assert status == 0, said
    assert outcome(command.folder / run) == outcome(command.folder / "whole")
    leftovers = [path.name for path in (command.folder / run).rglob("*") if "tmp" in path.name]
    assert not leftovers


def test_a_run_that_is_killed_at_every_step_ends_the_same(command: Command) -> None:
    assert command.train("killed", "batch_end 1 SIGKILL")[0] == -signal.SIGKILL
    for step in range(2, STEPS + 1):
        status, said = command.resume("killed", f"batch_end {step} SIGKILL")
        assert status == -signal.SIGKILL
        # a checkpoint comes after every second step, and after each third, the end of an epoch
        last = max(k for k in range(step - 1) if k % 2 == 0 or k % 3 == 0)
        where = f"after step {last}" if last else "from the beginning"
        assert f"Resuming killed {where}" in said
    assert_ends_the_same(command, "killed")


@pytest.mark.parametrize("moment", ["train_begin 0", "epoch_end 3", "epoch_end 9", "train_end 9"])
def test_a_run_may_be_killed_between_steps(command: Command, moment: str) -> None:
    run = "killed-" + moment.replace(" ", "-")
    assert command.train(run, f"{moment} SIGKILL")[0] == -signal.SIGKILL
    assert_ends_the_same(command, run)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_finishes_the_batch_and_saves(command: Command, name: str) -> None:
    status = 128 + getattr(signal, name)
    run = f"left-{name}"
    steps = [0, *sorted(random.Random(name).sample(range(1, STEPS), 3))]
    for last, step in itertools.pairwise(steps):
        signals = f"batch_end {step} {name}"
        left, said = command.resume(run, signals) if last else command.train(run, signals)
        assert left == status, said
        assert not last or f"Resuming {run} after step {last}\n" in said
        told = f"after step {step}. To go on:\n  layerkit train --resume {run} --import own.py\n"
        assert said.endswith(told)
        assert (command.folder / run / "model.safetensors").exists()
        assert not (command.folder / run / "result.json").exists()
    assert_ends_the_same(command, run)


@pytest.mark.parametrize(
    ("moment", "left", "goes_on"),
    [
        ("train_begin 0", 143, "from the beginning"),
        ("epoch_end 3", 143, "after step 3"),
        ("epoch_end 9", 0, ""),  # nothing was left to do
    ],
)
def test_a_signal_may_come_between_steps(
    command: Command, moment: str, left: int, goes_on: str
) -> None:
    run = "left-" + moment.replace(" ", "-")
    status, said = command.train(run, f"{moment} SIGTERM")
    assert status == left
    assert ("Interrupted" in said) == bool(left)
    assert ("Test accuracy" in said) == ("train_begin" not in moment), "an untrained network is not"
    status, said = command.resume(run)
    assert status == 0
    assert goes_on in said
    assert bool(goes_on) != (f"{run} is finished" in said)
    assert outcome(command.folder / run) == outcome(command.folder / "whole")


@pytest.mark.parametrize("first", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("second", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", ["batch_end 5", "train_end 5"])
def test_a_second_signal_ends_at_once(
    command: Command, first: str, second: str, moment: str
) -> None:
    run = f"twice-{first}-{second}-{moment}".replace(" ", "-")
    left, said = command.train(run, f"batch_end 5 {first},{moment} {second}")
    assert left == 128 + getattr(signal, second), said
    assert f"layerkit train --resume {run}" in said
    assert not (command.folder / run / "model.safetensors").exists()
    assert_ends_the_same(command, run)


def test_a_finished_run_is_left_alone(command: Command) -> None:
    assert command.train("done")[0] == 0
    files = list((command.folder / "done").rglob("*"))
    before = {path: path.stat().st_mtime_ns for path in files}
    status, said = command.resume("done")
    assert (status, said) == (0, "done is finished: nothing of its 3 epochs is left\n")
    assert before == {path: path.stat().st_mtime_ns for path in files}
    assert set(files) == set((command.folder / "done").rglob("*"))


def test_more_epochs_take_force(command: Command) -> None:
    assert command.train("longer")[0] == 0
    more = ("train", "--resume", "longer", "--set", "training.epochs=4")
    status, said = command(*more)
    assert status == 1
    assert "training.epochs = 4; the checkpoint has 3" in said
    assert "epochs = 3" in (command.folder / "longer" / "config.toml").read_text()
    assert outcome(command.folder / "longer") == outcome(command.folder / "whole")
    status, said = command(*more, "--force")
    assert status == 0
    assert "continues by force with training.epochs = 4; the checkpoint has 3" in said
    with (command.folder / "longer" / "history.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    assert "longer is finished: nothing of its 4 epochs" in command.resume("longer")[1]


STOPPING = "training.callbacks=[{type = 'EarlyStopping', patience = 1, min_delta = 1000.0}]"


def test_a_run_that_ended_early_goes_on_by_force(command: Command) -> None:
    assert command("train", "config.toml", "--out", "early", "--set", STOPPING)[0] == 0
    ended = "early is finished: it ended after 2 epochs: validation_loss has not improved for"
    status, said = command.resume("early")
    assert status == 0
    assert said.startswith(ended)
    less = ("train", "--resume", "early", "--set", "training.callbacks=[]")
    status, said = command(*less)
    assert status == 1
    assert f"layerkit: {ended}" in said
    assert "--force continues" in said
    status, said = command(*less, "--force")
    assert status == 0
    assert "Resuming early after step 6\n" in said
    assert "nothing of its 3 epochs is left\n" in command.resume("early")[1]


def test_a_callback_that_fails_leaves_a_run_to_go_on_with(command: Command) -> None:
    status, said = command.train("broken", "batch_end 5 SIGFAULTY")
    assert status == 1
    assert "in batch_end of the callback Signals()" in said
    assert (
        "Broken off in epoch 2, after step 5. To go on:\n  layerkit train --resume broken" in said
    )
    assert_ends_the_same(command, "broken")


def test_a_time_limit_is_no_interruption(command: Command) -> None:
    limit = "training.callbacks=[{type = 'TimeLimit', seconds = 1e-9}]"
    status, said = command("train", "config.toml", "--out", "limited", "--set", limit)
    assert status == 0
    assert "Left in epoch 1, after step 1: the time limit of 1e-09 s is reached. To go on:" in said
    assert "Interrupted" not in said


def test_when_all_checkpoints_are_damaged_there_is_advice(command: Command) -> None:
    assert command.train("lost", "batch_end 5 SIGINT")[0] == 130
    for path in Checkpoints(command.folder / "lost" / "checkpoints").paths():
        path.write_bytes(b"")
    status, said = command.resume("lost")
    assert status == 1
    assert "Train anew with another folder; training.warm_start begins with the weights" in said
    assert "To go on" not in said
    warm = ("--set", "training.warm_start=lost")
    status, said = command("train", "config.toml", "--out", "found", *warm)
    assert status == 0
    assert "Begins with the weights of lost\n" in said


def test_the_damaged_newest_checkpoint_is_told(command: Command) -> None:
    assert command.train("damaged", "batch_end 5 SIGINT")[0] == 130
    Checkpoints(command.folder / "damaged" / "checkpoints").paths()[0].write_bytes(b"power cut")
    status, said = command.resume("damaged", "batch_end 5 SIGINT")
    assert status == 130
    assert "layerkit: damaged/checkpoints/step-00000005.safetensors: damaged" in said
    assert "the one before it is step-00000004.safetensors" in said
    assert "Resuming damaged after step 4" in said
    assert_ends_the_same(command, "damaged")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--resume", "nowhere"], "not a run's folder"),
        (["--resume", "here", "--out", "there"], "stays in its folder"),
        (["config.toml", "--force"], "--force: only with --resume"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *arguments]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["config.toml", "--resume", "run"]])
def test_either_a_file_or_a_run_is_trained(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["train", *arguments])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("line", "name"), [("", "SIGTERM"), ("Epoch 1", "SIGINT"), ("Test accuracy", "SIGTERM")]
)
def test_a_signal_from_outside_may_come_at_any_time(line: str, name: str, command: Command) -> None:
    run = f"outside-{len(line)}"
    words = f"-u -m layerkit train config.toml --out {run} --import own.py".split()
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, cwd=command.folder
    )
    assert process.stdout
    for said in process.stdout:
        if said.startswith(line):
            process.send_signal(getattr(signal, name))
            break
    process.stdout.read()
    process.stdout.close()
    assert process.wait() == 128 + getattr(signal, name)
    assert_ends_the_same(command, run)
