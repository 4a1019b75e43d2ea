import csv
import errno
import multiprocessing
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import tomllib
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from filelock import FileLock

from layerkit.cli import main
from layerkit.errors import ConfigError, FileError
from layerkit.runs.sweep import Axis, read_plan, search, trials
from layerkit.runs.sweep.server import place as host_and_port
from layerkit.runs.sweep.server import serve

BASE = """
[network]
shape = [4]
loss = {type = "SoftmaxCrossEntropy"}
[network.body]
type = "Sequential"
layers = [{type = "Dense", units = 8}, {type = "ReLU"}, {type = "Dense", units = 2}]
[optimizer]
type = "SGD"
lr = 0.1
[data]
path = "train.npz"
test = "test.npz"
validation = "validation.npz"
[training]
epochs = 1
"""
LR = "optimizer.lr = {low = 0.001, high = 1.0, log = true}\n"
SLOW = 'network.body.layers.1 = [{type = "Slow"}]\n'
OWN = """
import os, time
import numpy as np
from layerkit.layers import Identity

class Odd(Identity):
    kind: str = "good"
    def forward(self, x, train=True):
        if self.kind == "raises":
            raise KeyError("of my own")
        if self.kind == "memory":
            raise MemoryError("8 TB")
        if self.kind == "killed":
            os.kill(os.getpid(), 9)
        if self.kind == "nan":
            return x * np.nan
        return super().forward(x, train)

class Slow(Identity):
    def forward(self, x, train=True):
        time.sleep(0.1)
        return super().forward(x, train)
"""


@pytest.fixture(autouse=True)
def _in_a_folder_with_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Separate files for each part: scikit-learn, which is slow to import, has nothing to split."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("train", "test", "validation"):
        x = rng.normal(size=(200, 4)).astype(np.float32)
        np.savez(f"{name}.npz", x=x, y=(x[:, 0] > 0).astype(int))
    Path("base.toml").write_text(BASE)
    Path("own.py").write_text(OWN)
    monkeypatch.delitem(sys.modules, "own", raising=False)
    monkeypatch.setattr(trials, "HEARTBEAT_INTERVAL", 0.1)
    monkeypatch.setattr(trials, "GRACE_PERIOD", 0.5)


@pytest.fixture
def _trials_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be faster: what a process sends through its pipe is already there when it is started."""

    def start(*arguments: Any) -> tuple[Connection, SimpleNamespace]:
        pipe, end = multiprocessing.Pipe(duplex=False)
        search._train(end, *arguments)
        end.close()
        return pipe, SimpleNamespace(join=lambda: None, exitcode=0)

    monkeypatch.setattr(search, "_start", start)


def write(sweep: str, of: str = LR, base: str = 'base = "base.toml"', name: str = "s.toml") -> str:
    Path(name).write_text(f"{base}\n[sweep]\n{sweep}\n[search]\n{of}")
    return name


def run(*arguments: str | Path) -> int:
    return main(["sweep", *map(str, arguments)])


def table(folder: str = "runs/s") -> list[dict[str, str]]:
    with (Path(folder) / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def found(folder: str = "runs/s") -> list[tuple[str, ...]]:
    """The table without the times."""
    return [tuple(v for k, v in row.items() if k != "seconds") for row in table(folder)]


def states(name: str) -> list[int]:
    """The slots of all trials that are in this state in the storage."""
    path = Path("runs/s/journal.log")
    if not path.exists():
        return []
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    for study in optuna.get_all_study_summaries(storage):
        found = optuna.load_study(study_name=study.study_name, storage=storage).get_trials()
        return sorted(t.user_attrs["slot"] for t in found if t.state.name == name)
    return []


def start(*arguments: str) -> subprocess.Popen[str]:
    code = (
        "import sys; from layerkit.cli import main; from layerkit.runs.sweep import trials; "
        "trials.HEARTBEAT_INTERVAL, trials.GRACE_PERIOD = 0.1, 0.5; sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "sweep", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.usefixtures("_trials_in_this_process")
def test_a_grid_tries_all_combinations(capsys: pytest.CaptureFixture[str]) -> None:
    of = (
        "optimizer.lr = {low = 0.01, high = 1.0, log = true, points = 2}\n"
        "network.body.layers.0.units = [2, 4]\n"
    )
    file = write('method = "grid"\njobs = 2', of)
    assert run(file) == 0
    rows = table()
    assert sorted((r["optimizer.lr"], r["network.body.layers.0.units"]) for r in rows) == [
        ("0.01", "2"),
        ("0.01", "4"),
        ("1.0", "2"),
        ("1.0", "4"),
    ]
    accuracies = [float(row["validation_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert all(row["state"] == "done" and float(row["seconds"]) > 0 for row in rows)
    best = tomllib.loads(Path("runs/s/best.toml").read_text())
    assert best["optimizer"]["lr"] == float(rows[0]["optimizer.lr"])
    assert Path("runs/s/trials.png").read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "s: grid, 4 trials of 1 seed" in said
    assert "trial    lr  units  validation_accuracy  seconds  state" in said
    assert main(["train", "runs/s/best.toml", "--out", "again"]) == 0
    with Path("again/history.csv").open() as history:
        again = list(csv.DictReader(history))[-1]["validation_accuracy"]
    assert again == rows[0]["validation_accuracy"]
    # the results of a finished sweep are printed again, and nothing is run
    before = found()
    assert run(file) == 0
    assert "4 of them have ended already" in capsys.readouterr().out
    assert found() == before


@pytest.mark.processes
def test_the_values_are_those_of_train_bit_for_bit() -> None:
    """On the digits, whose split is drawn from the seed as well."""
    base = """
[network]
shape = [64]
body.type = "Sequential"
body.layers = [{type = "Dropout", rate = 0.1}, {type = "Dense", units = 10}]
loss = {type = "SoftmaxCrossEntropy"}
[optimizer]
type = "Momentum"
[data]
validation_size = 0.2
[training]
epochs = 2
seed = 7
"""
    Path("base.toml").write_text(base)
    sweep = 'method = "random"\ntrials = 1\nseeds = 2\nmonitor = "validation_loss"'
    assert run(write(sweep)) == 0
    (row,) = table()
    losses = []
    for seed in ("7", "8"):
        setting = f"optimizer.lr={row['optimizer.lr']}"
        train = ["train", "base.toml", "--seed", seed, "--set", setting, "--out", seed]
        assert main(train) == 0
        with Path(seed, "history.csv").open() as file:
            losses.append(float(list(csv.DictReader(file))[-1]["validation_loss"]))
    assert float(row["validation_loss"]) == statistics.fmean(losses)
    assert float(row["validation_loss_std"]) == statistics.stdev(losses)


@pytest.mark.processes
def test_the_number_of_jobs_changes_nothing() -> None:
    of = LR + "optimizer.weight_decay = {low = 0, high = 1}\n"
    file = write('method = "random"\ntrials = 2', of)
    assert run(file, "--out", "one", "--jobs", "1") == 0
    assert run(file, "--out", "two", "--jobs", "2") == 0
    assert found("one") == found("two")
    assert len({row["optimizer.lr"] for row in table("one")}) == 2
    # integers are ends of a range of real numbers if the option is real
    assert all("." in row["optimizer.weight_decay"] for row in table("one"))


@pytest.mark.usefixtures("_trials_in_this_process")
def test_a_bayesian_search_with_a_storage_by_url() -> None:
    of = f'"optimizer.lr"{LR.removeprefix("optimizer.lr")}'
    of += 'optimizer = [{type = "Adam"}, {type = "SGD"}]\n'
    of += "network.body.layers.0.units = {low = 2, high = 32, log = true}\n"
    sweep = 'method = "bayesian"\ntrials = 2\nstorage = "sqlite:///trials.db"'
    file = write(sweep, of)
    assert run(file) == 0
    assert Path("trials.db").exists()
    assert not Path("runs/s/journal.log").exists()
    rows = table()
    assert {row["optimizer"] for row in rows} <= {'{type = "Adam"}', '{type = "SGD"}'}
    assert all(2 <= int(row["network.body.layers.0.units"]) <= 32 for row in rows)
    best = tomllib.loads(Path("runs/s/best.toml").read_text())
    assert f'{{type = "{best["optimizer"]["type"]}"}}' == rows[0]["optimizer"]
    assert best["optimizer"]["lr"] == float(rows[0]["optimizer.lr"])
    # more trials may be asked for later
    write(sweep.replace("2", "3"), of)
    assert run(file, "--out", "other") == 0
    assert len(table("other")) == 3
    assert [row for row in found("other") if row[0] != "3"] == found()


def test_a_storage_that_another_process_keeps_locked_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layerkit.runs.sweep.trials.GRACE_PERIOD", 0.1)
    with FileLock("journal.lock"):
        file = write('method = "grid"\nstorage = "journal"', "optimizer.lr = [0.1, 0.2]\n")
        assert run(file) == 1
    assert "journal.lock' could not be acquired" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04 an archive\nand its end", b"a line", b"SQLite format 3\x00\n..", b"\n"]
)
def test_a_storage_that_is_a_file_of_another_kind_stays_as_it_is(
    content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").write_bytes(content)
    assert run(write('method = "grid"\nstorage = "mine"', "optimizer.lr = [0.1, 0.2]\n")) == 1
    assert "mine: can't be used as a storage: it is a file of another" in capsys.readouterr().err
    assert Path("mine").read_bytes() == content
    assert not Path("mine.lock").exists()


@pytest.mark.parametrize(
    ("storage", "sentence"),
    [
        ("sqlite:////nowhere/trials.db", "(sqlite3.OperationalError) unable to open database file"),
        ("sqlite://", "it is in memory, and lost with this process; name a file"),
        ("martian://trials", "Can't load plugin"),
        ("journal", "damaged: KeyError: 'study_name'"),
    ],
)
def test_a_storage_that_can_not_be_opened_is_refused(
    storage: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("journal").write_text('{"op_code":0,"worker_id":"a"}\n')
    file = write(f'method = "grid"\nstorage = "{storage}"', "optimizer.lr = [0.1, 0.2]\n")
    assert run(file) == 1
    said = f"layerkit: {storage}: can't be used as a storage: {sentence}"
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("_trials_in_this_process")
@pytest.mark.parametrize("left", [b"", b'{"op_c', b'{"op_code":0,"worker_id":"a"'])
def test_a_journal_whose_first_line_is_not_whole_begins_anew(left: bytes) -> None:
    Path("journal").write_bytes(left)
    assert run(write('method = "grid"\nstorage = "journal"', "optimizer.lr = [0.1, 0.2]\n")) == 0
    assert len(table()) == 2


@pytest.mark.processes
def test_failed_trials_are_recorded_and_the_rest_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ["raises", "memory", "killed", "nan", "good"]
    odd = ", ".join(f'{{type = "Odd", kind = "{kind}"}}' for kind in kinds)
    of = f"network.body.layers.1 = [{odd}]"
    assert run(write('method = "grid"\njobs = 2', of), "--import", "own.py") == 0
    states = {row["trial"]: row["state"] for row in table()}
    assert states == {"5": "done", "1": "failed", "2": "failed", "3": "failed", "4": "failed"}
    errors = {row["trial"]: row["error"] for row in table()}
    assert errors["1"] == (
        "seed 0: own.py, line 10: KeyError: 'of my own' (in Odd.forward at body.layers.1)"
    )
    assert errors["2"] == "seed 0: not enough memory: 8 TB"
    assert errors["3"] == "its process was ended by SIGKILL; perhaps there was not enough memory"
    assert "body.layers.1" in errors["4"]
    said = capsys.readouterr().out
    assert all(error in said for error in errors.values())


@pytest.mark.processes
def test_a_sweep_by_a_metric_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.py").write_text("def misses(y, predicted):\n    return (y != predicted).mean()\n")
    Path("base.toml").write_text(BASE + 'metrics = ["misses"]\n')
    head, of = 'method = "grid"\nmonitor = "validation_misses"', "optimizer.lr = [0.001, 1.0]\n"
    assert run(write(head, of), "--import", "own.py") == 1
    assert 'is a metric of your own: set direction to "minimize"' in capsys.readouterr().err
    assert run(write(head + '\ndirection = "minimize"', of), "--import", "own.py") == 0
    best, worst = (float(row["validation_misses"]) for row in table())
    assert best < worst


@pytest.mark.usefixtures("_trials_in_this_process")
def test_when_all_trials_fail_there_is_no_best(capsys: pytest.CaptureFixture[str]) -> None:
    of = "network.body.layers.1 = [{type = 'Odd', kind = 'raises'}]"
    assert run(write('method = "grid"', of), "--import", "own.py") == 1
    assert [row["state"] for row in table()] == ["failed"]
    assert not Path("runs/s/best.toml").exists()
    assert "In runs/s: trials.csv\n" in capsys.readouterr().out


@pytest.mark.usefixtures("_trials_in_this_process")
def test_failed_trials_can_be_run_again(capsys: pytest.CaptureFixture[str]) -> None:
    of = LR + "network.body.layers.1 = [{type = 'Odd', kind = 'raises'}]"
    sweep = (write('method = "random"\ntrials = 1', of), "--import", "own.py")
    assert run(*sweep) == 1
    before = table()
    Path("own.py").write_text(OWN.replace('self.kind == "raises"', "False"))
    assert run(*sweep) == 1
    assert table() == before
    assert run(*sweep, "--retry-failed") == 0
    assert [row["state"] for row in table()] == ["done"]
    assert table()[0]["optimizer.lr"] == before[0]["optimizer.lr"]


@pytest.mark.processes
def test_it_goes_on_after_kill_9() -> None:
    """The parent alone is killed: its trials end with it, and are run again."""
    Path("base.toml").write_text(BASE.replace("epochs = 1", "epochs = 2"))
    sweep = 'method = "random"\ntrials = 4\njobs = 2'
    file = write(sweep, LR + SLOW)
    process = start(file, "--import", "own.py")
    while not (Path("runs/s/trials.csv").exists() and states("RUNNING")):
        assert process.poll() is None
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.communicate()
    while not all(gone(pid) for pid in children):
        time.sleep(0.1)
    before = states("COMPLETE")
    assert 1 <= len(before) < 4
    assert run(file, "--import", "own.py") == 0
    assert states("COMPLETE") == [0, 1, 2, 3]
    assert [row["state"] for row in table()] == ["done"] * 4
    # the same values as without interruption
    other = trials.Trials(read_plan(Path(write(sweep))), "other.log")
    other.fill()
    for row in sorted(table(), key=lambda row: row["trial"]):
        trial = other.take()
        assert trial is not None
        assert row["optimizer.lr"] == str(trial.params["optimizer.lr"])


def gone(pid: str) -> bool:
    try:
        return not Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.processes
def test_an_interruption_keeps_what_is_finished() -> None:
    file = write('method = "random"\ntrials = 3', LR + SLOW)
    # the first time, while the process of the first trial is starting
    for number, done in ((signal.SIGINT, 0), (signal.SIGINT, 1), (signal.SIGTERM, 2)):
        process = start(file, "--import", "own.py")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while len(states("COMPLETE")) < done or len(children.read_text().split()) < 2:
            assert process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, number)
        said, errors = process.communicate()
        assert (process.returncode, errors) == (128 + number, "")
        assert "the same command continues from here" in said
        assert [row["state"] for row in table()] == ["done"] * done + ["waiting"] * (3 - done)
        assert table()[done]["optimizer.lr"], "the one that was interrupted"
        assert Path("runs/s/best.toml").exists() == bool(done)
    process = start(file, "--import", "own.py")
    said, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "Waiting" not in said
    assert states("COMPLETE") == [0, 1, 2]


@pytest.mark.processes
def test_processes_share_the_trials() -> None:
    file = write('method = "random"\ntrials = 3', LR + SLOW)
    processes = [start(file, "--import", "own.py") for _ in range(2)]
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [errors for _, errors in said] == ["", ""]
    ran = [output.count(": validation_accuracy 0") for output, _ in said]
    assert sum(ran) == 3
    assert min(ran) >= 1
    assert states("COMPLETE") == [0, 1, 2]


@pytest.mark.parametrize("address", ["13000", "localhost", "localhost:abc", "localhost:99999"])
def test_an_address_without_a_port_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ConfigError, match=r": should be HOST:PORT, such as localhost:13000$"):
        host_and_port(f"grpc://{address}")


@pytest.mark.parametrize(
    ("host", "address"), [("localhost", "127.0.0.1"), ("localhost", "::1"), ("[::1]", "::1")]
)
def test_a_port_in_use_is_refused(
    host: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as taken:
        try:
            taken.bind((address, 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        taken.listen()
        place = f"{host}:{taken.getsockname()[1]}"
        with pytest.raises(FileError, match=rf"^{re.escape(place)}: the port is in use$"):
            serve("served", place)
    assert capsys.readouterr().out == ""
    assert not Path("served").exists()


@pytest.mark.processes
def test_machines_without_a_shared_folder_have_the_trials_served() -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        place = f"localhost:{free.getsockname()[1]}"
    sweep = f'method = "grid"\nstorage = "grpc://{place}"'
    file = write(sweep, "optimizer.lr = {low = 0.01, high = 1.0, log = true, points = 4}\n")
    server = start(file, "--out", "served", "--serve", place)
    try:
        assert server.stdout
        assert place in server.stdout.readline()
        first, second = (start(file, "--out", name) for name in ("one", "two"))
        for process in (first, second):
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
        assert found("one") == found("two")
        assert len(found("one")) == 4
        assert {row["state"] for row in table("one")} == {"done"}
    finally:
        server.terminate()
        _, errors = server.communicate(timeout=60)
    assert errors == ""
    done = start(file, "--out", "three")
    assert f"start it there: layerkit sweep FILE --serve {place}" in done.communicate()[1]


@pytest.mark.usefixtures("_trials_in_this_process")
def test_a_torn_line_of_the_journal_is_repaired() -> None:
    file = write('method = "random"\ntrials = 1')
    assert run(file) == 0
    with Path("runs/s/journal.log").open("a") as log:
        log.write('{"op_code":8,"trial')
    write('method = "random"\ntrials = 2')
    assert run(file) == 0
    assert states("COMPLETE") == [0, 1]


WRONG = [
    (
        'method = "grid"\ntrials = 3',
        "a = [1]",
        ["sweep: trials = 3: not allowed for a grid, which"],
    ),
    ('method = "random"', "a = [1]", ["sweep: trials: missing; how many combinations"]),
    (
        'method = "greedy"\ntrails = 3\nseeds = 0',
        LR.replace("low", "lo"),
        [
            "sweep.trails: Sweep has no such option; did you mean 'trials'?",
            "sweep.method = 'greedy': should be 'grid', 'random' or 'bayesian'",
            "sweep.seeds = 0: should be greater than 0",
            "search.optimizer.lr.lo: Axis has no such option; did you mean 'low'?",
        ],
    ),
    ('method = "grid"', LR, ["search.optimizer.lr.points: missing"]),
    ('method = "grid"', "", ["search: should name the options to search"]),
    ('method = "grid"', "training.seed = [1, 2]", ["search.training.seed: is set by sweep.seeds"]),
    (
        'method = "grid"',
        "optimizer.lr = 0.1",
        ["search.optimizer.lr.choices = 0.1: should be a li"],
    ),
    ('method = "grid"', "optimizer.lr = [0.1, 0.1]", ["a value is listed twice"]),
    ('method = "grid"', "optimizer.lr = []", ["search.optimizer.lr: choices: should not be empty"]),
    (
        'method = "grid"',
        "optimizer.lr = {low = 2, high = 1}",
        ["low = 2, high = 1: should be low <"],
    ),
    (
        'method = "random"\ntrials = 1',
        "optimizer.lr = {low = 0, high = 1, log = true}\noptimizer.weight_decay = {low = 1}",
        [
            "search.optimizer.lr: low = 0: should be greater than 0 where log = true",
            "search.optimizer.weight_decay: low, high: a range needs both ends",
        ],
    ),
    (
        'method = "random"\ntrials = 1',
        "optimizer.lt = [1, 2]\nnetwork.body.layers.0.units = {low = -1, high = 8}\n"
        'network.body.layers.7.units = [3]\noptimizer.lr = ["high"]',
        [
            "optimizer.lt: SGD has no such option; known are lr",
            "network.body.layers.0.units = -1: should be greater than 0",
            "network.body.layers.7.units=3: there is no network.body.layers.7 in the file",
            "optimizer.lr = 'high': should be a number",
        ],
    ),
    (
        'method = "random"\ntrials = 1\nmonitor = "validation_f1"',
        LR,
        ["'validation_f1': is not measured; did you mean"],
    ),
]


@pytest.mark.parametrize(("sweep", "of", "sentences"), WRONG)
def test_wrong_files_are_refused_in_words(
    sweep: str, of: str, sentences: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(write(sweep, of)) == 1
    said = capsys.readouterr().err
    assert said.startswith("layerkit: s.toml: ")
    for sentence in sentences:
        assert sentence in said
    assert not Path("runs").exists()


@pytest.mark.usefixtures("_trials_in_this_process")
def test_choosing_by_the_test_set_has_to_be_spelled_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("base.toml").write_text(BASE.replace('validation = "validation.npz"', ""))
    file = write('method = "grid"', "optimizer.lr = [0.1]")
    assert run(file) == 1
    said = capsys.readouterr().err
    assert "'validation_accuracy': needs a validation set, such as [data] validation_size" in said
    assert "monitor = 'test_accuracy'" in said
    write('method = "grid"\nmonitor = "test_accuracy"', "optimizer.lr = [0.1]")
    assert run(file) == 0


def test_an_experiment_in_the_file_itself(capsys: pytest.CaptureFixture[str]) -> None:
    file = write('method = "grid"', "optimizer.lr = [0.1]\n" + BASE, base="")
    assert read_plan(Path(file)).experiment == tomllib.loads(BASE)
    write('method = "grid"', "optimizer.lr = [0.1]\n" + BASE)
    assert run(file) == 1
    assert "but the file has one, too: network, optimizer" in capsys.readouterr().err
    assert run(write('method = "grid"', "a = [1]", base='base = "none.toml"')) == 1
    assert "s.toml: base: none.toml: can't be read: No such file" in capsys.readouterr().err
    assert run(write('method = "grid"', "a = [1]", base="")) == 1
    assert "base: missing; should name the experiment's file" in capsys.readouterr().err


def test_the_number_of_jobs_has_to_be_positive(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write('method = "random"\ntrials = 1'), "--jobs", "0") == 1
    assert "Sweep.jobs = 0: should be greater than 0" in capsys.readouterr().err


@pytest.mark.usefixtures("_trials_in_this_process")
def test_another_sweep_in_the_same_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(write('method = "grid"', "optimizer.lr = [0.1]")) == 0
    rows, storage = table(), '\nstorage = "j.log"'
    for name, more, difference in [
        ("s.toml", "\nseeds = 2", "sweep.seeds = 2; the one there has 1"),
        ("s.toml", "\nseeds = 2" + storage, "sweep.seeds = 2; the one there has 1"),
        ("t.toml", "", "name = t; the one there has s"),
        ("t.toml", storage, "name = t; the one there has s"),
    ]:
        file = write(f'method = "grid"{more}', "optimizer.lr = [0.1]", name=name)
        assert run(file, "--out", "runs/s") == 1
        said = capsys.readouterr().err
        assert said == (
            f"layerkit: runs/s has another sweep already:\n  {difference}\n"
            "Choose another --out, or delete that folder\n"
        )
        assert table() == rows
    Path("runs/s/sweep.json").write_text("{")
    assert run(file, "--out", "runs/s") == 1
    assert "runs/s/sweep.json: can't be read" in capsys.readouterr().err
    assert run(file, "--out", "runs/t") == 0
    write(f'method = "grid"\nseeds = 2{storage}', "optimizer.lr = [0.1]", name="t.toml")
    assert run(file, "--out", "runs/u") == 1
    assert "j.log has a sweep called t that differs in sweep: choose" in capsys.readouterr().err


@pytest.mark.parametrize("writes", [2, 4, 8])
@pytest.mark.usefixtures("_trials_in_this_process")
def test_a_full_disk_is_told_with_the_file(
    writes: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backend, done = optuna.storages.journal.JournalFileBackend, []
    append = backend.append_logs

    def full(self: Any, logs: Any) -> None:
        done.append(logs)
        if len(done) > writes:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, logs)

    monkeypatch.setattr(backend, "append_logs", full)
    assert run(write('method = "random"\ntrials = 2')) == 1
    said = capsys.readouterr().err
    assert said == "layerkit: [Errno 28] No space left on device: 'runs/s/journal.log'\n"


def test_without_optuna_there_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert run(write('method = "random"\ntrials = 1')) == 1
    said = "a sweep needs Optuna: in layerkit's folder, pip install -e '.[sweep]'"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        (Axis(low=0.0, high=1.0, points=3), [0.0, 0.5, 1.0]),
        (Axis(low=1e-4, high=0.3, log=True, points=2), [1e-4, 0.3]),
        (Axis(low=8, high=64, log=True, points=4), [8, 16, 32, 64]),
        (Axis(low=1, high=3, points=5), [1, 2, 3]),
        (Axis(choices=["a", 1, 1.5, True, [1]]), ['"a"', "1", "1.5", "true", "[1]"]),
    ],
)
def test_the_values_of_a_grid(axis: Axis, values: list[Any]) -> None:
    assert axis.values() == values
    assert [type(value) for value in axis.values()] == [type(value) for value in values]


@pytest.mark.usefixtures("_trials_in_this_process")
def test_nothing_is_left_in_the_environment() -> None:
    before = dict(os.environ), signal.getsignal(signal.SIGINT)
    assert run(write('method = "random"\ntrials = 1')) == 0
    assert (dict(os.environ), signal.getsignal(signal.SIGINT)) == before
    assert search.ONE_THREAD["OMP_NUM_THREADS"] == "1"
