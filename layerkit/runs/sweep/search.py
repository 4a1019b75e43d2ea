"""The search itself: runs the trials of a sweep, each in a process of its own."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import statistics
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerkit.config.own_modules import import_file, where_it_failed
from layerkit.errors import (
    ConfigError,
    DivergenceError,
    FileError,
    LayerkitError,
    LayerkitWarning,
    at,
)
from layerkit.files.atomic import write_atomically
from layerkit.guidance import to_install
from layerkit.metrics.metrics import undirected
from layerkit.runs.signals import SIGNALS, handled, leave
from layerkit.runs.sweep.plan import Plan, check_monitor, read_plan, short_names
from layerkit.runs.sweep.results import format_value, print_table, write_results, write_table
from layerkit.runs.sweep.server import answering
from layerkit.runs.sweep.trials import GRACE_PERIOD, Trials
from layerkit.training.evaluation import metric_names
from layerkit.training.resume import compare

if TYPE_CHECKING:
    from optuna import Trial

ONE_THREAD = dict.fromkeys(
    ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"], "1"
)
"""Environment variables that BLAS libraries read when they are loaded."""
SWEEP = "sweep.json"
"""The file in a sweep's folder that says which sweep has its results there."""
POLL = 0.1
"""Seconds until an interruption is noticed, at most."""


def sweep(
    path: str | Path,
    folder: str | Path,
    imports: Sequence[str] = (),
    data_dir: str | None = None,
    jobs: int | None = None,
    retry_failed: bool = False,
) -> int:
    """Run all trials of a sweep's file that have not ended yet.

    Any number of processes may do so at a time, on one machine or several, and each of them may be
    killed. All end when all trials have ended, and write the same results.

    Parameters
    ----------
    path : str or Path
        The sweep's file.
    folder : str or Path
        For the table, the picture and the best experiment, and for the trials unless the file
        sets `storage`.
    imports : sequence of str
        Python files with your own classes.
    data_dir : str, optional
        Folder with the files of MNIST or Fashion-MNIST; by default that in ``LAYERKIT_DATA``.
    jobs : int, optional
        Overrides the file's.
    retry_failed : bool
        Whether failed trials are run again, with the same values.

    Returns
    -------
    status : int
        The exit status of the command: 0, 1 if no trial succeeded, or 128 plus the number of the
        signal that interrupted it.

    Raises
    ------
    ConfigError, DataError, FileError, ShapeError
        For an invalid file, before anything is run.
    """
    plan, folder = read_plan(path), Path(folder)
    if jobs is not None:
        plan = replace(plan, sweep=replace(plan.sweep, jobs=jobs))
    _check_data(plan, data_dir)
    _claim(folder, plan)
    with answering(storage := _storage(plan, folder)):
        return _search(plan, storage, folder, imports, data_dir, retry_failed)


def _search(
    plan: Plan,
    storage: str,
    folder: Path,
    imports: Sequence[str],
    data_dir: str | None,
    retry_failed: bool,
) -> int:
    """Run what is left of a checked plan, and return the exit status."""
    try:
        trials = Trials(plan, storage)
    except ImportError as error:
        raise ConfigError(f"a sweep needs Optuna: {to_install('sweep')}") from error
    if retry_failed:
        trials.retry_failed()
    trials.fill()
    ended = sum(result.state in ("done", "failed") for result in trials.results())
    seeds = "1 seed" if plan.sweep.seeds == 1 else f"{plan.sweep.seeds} seeds"
    already = f"; {ended} of them have ended already" if ended else ""
    print(f"{plan.name}: {plan.sweep.method}, {trials.total} trials of {seeds}{already}")
    with _interruptible() as asked, _environment(ONE_THREAD):
        _run(trials, asked, folder, list(imports), data_dir)
    trials.fill()  # interrupted trials wait again
    results = trials.results()
    print_table(plan, results)
    write_results(plan, results, folder)
    if asked:
        print("Interrupted; the same command continues from here.")
        return 128 + asked[0]
    return 0 if results[0].state == "done" else 1


def _check_data(plan: Plan, data_dir: str | None) -> None:
    """Load the data of one trial, and check that the monitored metric is measured."""
    experiment = plan.make(plan.first())
    dataset = experiment.load_data(data_dir)
    experiment.name(dataset)
    sources, training = experiment.open(dataset), experiment.training
    parts = ["train"] if training.measure_train else []
    parts.append("validation" if dataset.validation else "test")
    sets = {part: sources[part] for part in parts}
    measured = metric_names(experiment.network, sets, training.metrics)
    with at(str(plan.path)):
        check_monitor(plan.sweep, measured, undirected(training.metrics))


def _claim(folder: Path, plan: Plan) -> None:
    """Make the sweep's folder; ConfigError if another sweep has its results there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: can't be created: {error.strerror}") from error
    own, path = {"name": plan.name, **plan.identity()}, folder / SWEEP
    if path.exists():
        try:
            differing = compare(json.loads(path.read_text()), own, origin="the one there")
        except (OSError, ValueError, AttributeError) as error:
            raise FileError(f"{path}: can't be read: {error}") from error
        if differing:
            raise ConfigError(
                "\n  ".join([f"{folder} has another sweep already:", *differing.values()])
                + "\nChoose another --out, or delete that folder"
            )
    write_atomically(path, json.dumps(own, indent=2).encode())


def _storage(plan: Plan, folder: Path) -> str:
    given = plan.sweep.storage
    if given is None:
        return str(folder / "journal.log")
    return given if "://" in given else str(plan.path.parent / given)


def _run(
    trials: Trials, asked: list[int], folder: Path, imports: list[str], data_dir: str | None
) -> None:
    """Run `jobs` trials at a time until all have ended, or an interruption is requested."""
    running: dict[Connection, tuple[Trial, SpawnProcess]] = {}
    changed, waiting = True, False
    try:
        while not asked:
            if trials.heartbeat() or changed:
                changed = False
                trials.fill()
                while len(running) < trials.plan.sweep.jobs and (trial := trials.take()):
                    pipe, process = _start(trials.plan, trial.params, imports, data_dir)
                    running[pipe] = trial, process
                if not running:
                    if trials.finished():
                        return
                    if not waiting:
                        print(
                            "Waiting for trials of other processes, or for "
                            f"{GRACE_PERIOD:.0f} s without a heartbeat"
                        )
                    waiting = True
            wait(list(running), POLL)
            for pipe in [pipe for pipe in running if pipe.poll()]:
                trial, process = running.pop(pipe)
                values, error = _received(pipe, process)
                kept = trials.finish(trial, values, error)
                _report(trials, trial, values, error if kept else "taken over by another process")
                write_table(trials.plan, trials.results(), folder)
                changed = True
    finally:
        for _, process in running.values():
            process.kill()
        for trial, _ in running.values():
            trials.drop(trial.number)


def _start(
    plan: Plan, params: dict[str, Any], imports: list[str], data_dir: str | None
) -> tuple[Connection, SpawnProcess]:
    """Start the process of a trial, with SIGINT and SIGTERM blocked."""
    context = multiprocessing.get_context("spawn")
    pipe, end = context.Pipe(duplex=False)
    process = context.Process(
        target=_train, args=(end, plan, params, imports, data_dir), daemon=True
    )
    # it unblocks the signals when it starts, so it has to run before they are blocked
    resource_tracker.ensure_running()
    # Ctrl-C goes to all processes of a terminal; this one decides when the others end
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    end.close()
    return pipe, process


def _train(
    pipe: Connection, plan: Plan, params: dict[str, Any], imports: list[str], data_dir: str | None
) -> None:
    """Train with each seed, and send the monitored values, and an error if there is one."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore", LayerkitWarning)  # the first process has given them
    values: list[float] = []
    try:
        for file in imports:
            import_file(Path(file))
        for seed in plan.seeds():
            values.append(_value(plan, params, seed, data_dir))
        error = ""
    except LayerkitError as caught:
        error = ": ".join(filter(None, [caught.place, str(caught)]))
    except MemoryError as caught:
        error = f"not enough memory: {caught}"
    except Exception as caught:
        error = where_it_failed(caught, imports)
    pipe.send((values, f"seed {plan.seeds()[len(values)]}: {error}" if error else ""))


def _value(plan: Plan, params: dict[str, Any], seed: int, data_dir: str | None) -> float:
    """Train as ``layerkit train`` does, and return the monitored value."""
    experiment = plan.make(params, seed)
    # all trials would write to one folder
    experiment.training = replace(experiment.training, checkpoints=None)
    records = experiment.run(experiment.load_data(data_dir))
    value = records[-1].row().get(plan.sweep.monitor, math.nan)
    if not math.isfinite(value):
        raise DivergenceError(f"{plan.sweep.monitor} is {value}")
    return value


def _end_with_parent() -> None:
    """End this process when the one that started it ends."""
    parent = multiprocessing.parent_process()
    if parent:
        wait([parent.sentinel])
        os._exit(1)


def _received(pipe: Connection, process: SpawnProcess) -> tuple[list[float], str]:
    """Return what a process has sent, or how it ended."""
    try:
        values, error = pipe.recv()
    except (EOFError, OSError):
        process.join()
        code = process.exitcode or 0
        if code < 0:
            name = signal.Signals(-code).name
            return [], f"its process was ended by {name}; perhaps there was not enough memory"
        return [], f"its process ended with status {code}"
    process.join()
    return values, error


def _report(trials: Trials, trial: Trial, values: list[float], error: str) -> None:
    """Print a line for a trial that has ended."""
    plan, number = trials.plan, trial.user_attrs["slot"] + 1
    short = short_names(list(plan.search))
    params = ", ".join(
        f"{short[name]}={format_value(value)}" for name, value in trial.params.items()
    )
    what = f"failed: {error}"
    if not error:
        what = f"{plan.sweep.monitor} {statistics.fmean(values):.4f}"
        what += f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    print(f"Trial {number} of {trials.total}: {params}: {what}", flush=True)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list that gets the numbers of SIGINT and SIGTERM; the second signal interrupts."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            leave(number)
        asked.append(number)

    with handled(ask):
        yield asked


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables, which new processes inherit, for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
