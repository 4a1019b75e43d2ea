"""Training runs of the tutorial's network, several at a time, and the files with their results."""

from __future__ import annotations

import csv
import io
import os
import signal
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from functools import cache
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, Literal

from layerkit import Array, DivergenceError, evaluate, fit, from_config
from layerkit.config.own_modules import import_file
from layerkit.data import Data
from layerkit.files.atomic import write_atomically
from layerkit.runs.experiment import Experiment

AS_PRINTED = Path(__file__).parents[1] / "as_printed.py"
WEIGHTS: dict[str, dict[str, Any]] = {
    "1": {"init": {"type": "Normal", "std": 1.0}},
    "1/n": {"init": {"type": "LeCunNormal"}},
    "suited": {},
}
"""Initial weights by variance, n being the number of inputs of a unit; suited: the default."""
GUESSING = 0.1
"""The accuracy of a run that diverged: there are ten classes."""


@dataclass(frozen=True)
class Setting:
    """The hyperparameters of a run, by default the tutorial's. `rate` is the learning rate."""

    activation: str = "Sigmoid"
    weights: str = "1/n"
    optimizer: str = "SGD"
    rate: float = 1.0
    batch_size: int = 128
    epochs: int = 10
    data: Literal["mnist", "digits"] = "mnist"


@dataclass(frozen=True)
class Run:
    """The results of a run: accuracies, on the test images after each epoch."""

    setting: Setting
    seed: int
    diverged: bool
    validation: float
    test: tuple[float, ...]


Results = dict[Setting, list[Run]]
"""The runs of each setting in the order of their seeds, which are the same for all settings."""


@cache
def examples(name: Literal["mnist", "digits"]) -> list[tuple[Array, Array]]:
    """Return training, validation (the last sixth of the training ones) and test examples."""
    data = Data(name=name).load(seed=0)
    x, t = data.train.x, data.train.t
    end = len(x) - len(x) // 6
    return [(x[:end], t[:end]), (x[end:], t[end:]), (data.test.x, data.test.t)]


def train(setting: Setting, seed: int) -> Run:
    """Train with initial weights and an order of the examples that depend on the seed alone."""
    (x, t), validation, test = examples(setting.data)
    hidden, output = (
        {"type": "Dense", "units": units} | WEIGHTS[setting.weights] for units in (64, 10)
    )
    layers = [hidden, {"type": setting.activation}, output]
    network = {
        "shape": list(x.shape[1:]),
        "body": {"type": "Sequential", "layers": layers},
        "loss": {"type": "SoftmaxCrossEntropy"},
    }
    optimizer = {"type": setting.optimizer, "lr": setting.rate}
    experiment = from_config({"network": network, "optimizer": optimizer}, Experiment)
    experiment.network.initialize(seed)
    try:
        records = fit(
            experiment.network,
            experiment.optimizer,
            x,
            t,
            test=test,
            epochs=setting.epochs,
            batch_size=setting.batch_size,
            seed=seed,
            measure_train=False,
        )
        accuracy, _ = evaluate(experiment.network, *validation)
    except DivergenceError:
        return Run(setting, seed, True, GUESSING, (GUESSING,) * setting.epochs)
    return Run(setting, seed, False, accuracy, tuple(r.test_accuracy for r in records))


def train_all(
    settings: Iterable[Setting], seeds: Sequence[int], file: Path, processes: int
) -> Results:
    """Train each setting with each seed, and save the runs to a CSV file.

    Runs that are in this file, or in another one in its folder, are not trained again.
    """
    from tqdm import tqdm

    plan = [(setting, seed) for setting in settings for seed in seeds]
    found = {
        (run.setting, run.seed): run for path in file.parent.glob("*.csv") for run in read(path)
    }
    missing = [item for item in plan if item not in found]
    if missing:
        pool = ProcessPoolExecutor(processes, get_context("spawn"), start_worker)
        try:
            waiting = [pool.submit(train, *item) for item in missing]
            for done in tqdm(as_completed(waiting), file.stem, len(waiting), smoothing=0):
                run = done.result()
                found[run.setting, run.seed] = run
                write(file, [found[item] for item in plan if item in found])
        except BaseException:
            for process in active_children():  # in the middle of trainings
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    write(file, [found[item] for item in plan])
    return {setting: [found[setting, seed] for seed in seeds] for setting in settings}


def start_worker() -> None:
    """Use one BLAS thread, end with the parent alone, and import the tutorial's own ReLU."""
    from threadpoolctl import threadpool_limits

    Thread(target=end_with_parent, daemon=True).start()
    threadpool_limits(1, user_api="blas")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_file(AS_PRINTED)


def end_with_parent() -> None:
    """End this process when the one that started it has ended, in whatever way."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


def write(file: Path, runs: Iterable[Run]) -> None:
    """Write the runs to a CSV file, one per row, atomically."""
    text = io.StringIO()
    columns = [*(field.name for field in fields(Setting)), *(field.name for field in fields(Run))]
    columns.remove("setting")
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    for run in runs:
        row = asdict(run.setting) | asdict(run)
        del row["setting"]
        table.writerow(row | {"test": " ".join(map(str, run.test))})
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text.getvalue().encode())


def read(file: Path) -> list[Run]:
    """The runs of a CSV file that `write` has written."""
    with file.open(newline="") as lines:
        return [_run(row) for row in csv.DictReader(lines)]


def _run(row: dict[str, Any]) -> Run:
    numbers = {"rate": float, "batch_size": int, "epochs": int}
    options = {field.name: row[field.name] for field in fields(Setting)}
    return Run(
        Setting(**options | {name: kind(row[name]) for name, kind in numbers.items()}),
        seed=int(row["seed"]),
        diverged={"True": True, "False": False}[row["diverged"]],
        validation=float(row["validation"]),
        test=tuple(map(float, row["test"].split())),
    )
