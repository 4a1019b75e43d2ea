"""A run is a folder: created, continued, and read back."""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import tomli_w

from layerkit.config.tables import to_config
from layerkit.data.examples import Dataset
from layerkit.errors import ConfigError, FileError
from layerkit.files.atomic import TEMPORARY, lock_file, make_folder, write_atomically
from layerkit.files.checkpoints import Checkpoints
from layerkit.network import Network
from layerkit.progress import Record
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.paths import (
    CHECKPOINTS,
    CONFIG,
    DATA,
    ENVIRONMENT,
    HISTORY,
    LOCK,
    MODEL,
    RESULT,
)
from layerkit.training.resume import compare, describe_environment, describe_source


def check_links(folder: str | Path) -> None:
    """Raise a FileError if a run has a symbolic link to something outside its folder.

    The folder may be a stranger's, and a training run that is resumed writes all files anew.
    """
    top = os.path.realpath(folder)
    for path in Path(folder).rglob("*"):
        target = os.path.realpath(path)
        if path.is_symlink() and (os.path.islink(target) or not target.startswith(top + os.sep)):
            raise FileError(
                f"{path}: a symbolic link to {os.readlink(path)}, and would be written to; "
                "resumed is what is in its own folder"
            )


def discard(folder: str | Path) -> None:
    """Remove a run's folder before its first step, but no files of others."""
    folder = Path(folder)
    for name in (CONFIG, DATA, ENVIRONMENT, HISTORY, LOCK):
        (folder / name).unlink(missing_ok=True)
    for path in [*sorted(folder.rglob("*"), reverse=True), folder]:
        if path.is_dir():
            with suppress(OSError):  # it is not empty
                path.rmdir()


@contextmanager
def lock_run(folder: str | Path) -> Iterator[None]:
    """Let no other process train the run of a folder meanwhile; FileError if one does."""
    with lock_file(Path(folder) / LOCK) as owned:
        if not owned:
            raise FileError(f"{folder}: is being trained by another process")
        yield


def write_run(
    folder: str | Path,
    experiment: Experiment,
    dataset: Dataset,
    lock: ExitStack | None = None,
    where: str = "",
) -> None:
    """Begin a run's folder: the resolved configuration, digests of the data, and the environment.

    The folder's lock is held until `lock` is closed; without one, while it is written. `where` is
    that of the trainer.

    Raises
    ------
    FileError
        When the folder is not empty, or can't be written.
    """
    folder = Path(folder)
    _check_free(folder)
    make_folder(folder)
    with ExitStack() as meanwhile:
        (lock or meanwhile).enter_context(lock_run(folder))
        _check_free(folder)
        _write_beginning(folder, experiment, dataset, where)


def _check_free(folder: Path) -> None:
    """Raise a FileError if there is more in a folder than what a run left that was killed."""
    left = (ENVIRONMENT, LOCK)
    if folder.exists() and not (
        folder.is_dir()
        and all(p.name in left or p.name.endswith(TEMPORARY) for p in folder.iterdir())
    ):
        raise FileError(f"{folder}: there is something already; choose another folder")


def _write_beginning(folder: Path, experiment: Experiment, dataset: Dataset, where: str) -> None:
    environment = describe_environment() | {
        "platform": platform.platform(),
        "threads": experiment.training.threads,
        "engine": where or experiment.training.engine,
        "seed": experiment.training.seed,
        "examples": dataset.train.x.dtype.name,
    }
    _write_json(folder / ENVIRONMENT, environment)
    write_config(folder, experiment, dataset)


def write_config(folder: str | Path, experiment: Experiment, dataset: Dataset) -> None:
    """Write the configuration of a run, with what was found in its data, and digests of the data.

    The experiment has opened the dataset.
    """
    folder = Path(folder)
    config = to_config(experiment)
    del config["type"]
    if experiment.training.warm_start:
        config["training"]["warm_start"] = str(Path(experiment.training.warm_start).absolute())
    if experiment.data.path:
        for option in ("path", "validation", "test"):
            if option in config["data"]:
                config["data"][option] = str(Path(config["data"][option]).absolute())
        if dataset.classes:
            config["data"]["classes"] = dataset.classes
        if dataset.features:
            config["data"]["features"] = dataset.features
        if dataset.decimal == ",":
            config["data"]["decimal"] = ","
        order = [option.name for option in fields(experiment.data)]  # as it is when resumed
        config["data"] = {name: config["data"][name] for name in order if name in config["data"]}
    write_atomically(folder / CONFIG, tomli_w.dumps(config).encode())
    _write_json(folder / DATA, _digests(experiment))


def check_data(folder: str | Path, experiment: Experiment) -> None:
    """Check that an experiment has opened the data that its run was trained and tested with.

    Raises
    ------
    ConfigError
        If a set differs, with the differences.
    FileError
        When the file with the digests is missing or damaged.
    """
    folder = Path(folder)
    differing = compare(_read_json(folder / DATA), _digests(experiment), origin="the run")
    if differing:
        raise ConfigError(
            "\n  ".join([f"{folder}: the data have changed since the run:", *differing.values()])
            + "\nSo examples that it was trained with may be among its test examples now. "
            "Restore the files, or train again"
        )


def _digests(experiment: Experiment) -> dict[str, Any]:
    return {name: describe_source(source) for name, source in experiment.sources.items()}


def write_result(
    folder: str | Path, epochs: int, stopped: str | None, measured: Mapping[str, float]
) -> None:
    """Write how a run has ended, and its metrics on the test examples."""
    folder = Path(folder)
    result = {"epochs": epochs, "stopped": stopped, "checkpoint": _newest(folder)}
    _write_json(folder / RESULT, result | {f"test_{name}": x for name, x in measured.items()})


def read_end(folder: str | Path, epochs: int, force: bool = False) -> str | None:
    """Return a sentence on how a run has ended; None if there is something left to train.

    With `force`, a run that was stopped before its last epoch is not at its end.
    """
    folder = Path(folder)
    if not (folder / RESULT).is_file():
        return None
    text = (str, type(None))
    result = _read_json(folder / RESULT, epochs=int, stopped=text, checkpoint=text)
    if _newest(folder) not in (None, result["checkpoint"]):
        return None
    if result["epochs"] >= epochs:
        return f"nothing of its {epochs} epochs is left"
    if result["stopped"] is None or force:
        return None
    return f"it ended after {result['epochs']} epochs: {result['stopped']}"


def _newest(folder: Path) -> str | None:
    paths = Checkpoints(folder / CHECKPOINTS).paths()
    return paths[0].name if paths else None


def find_config(folder: str | Path) -> Path:
    """Return the configuration file of a run; FileError if the folder is not a run's."""
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        why = "it is a file" if folder.is_file() else f"there is no {CONFIG} in it"
        raise FileError(f"{folder}: not a run's folder: {why}")
    return folder / CONFIG


def read_run(folder: str | Path) -> Experiment:
    """Return the experiment of a run's folder, with the network as it was trained.

    Raises
    ------
    FileError
        When the folder is not a run's, or the run has left no model.
    """
    folder = Path(folder)
    config = find_config(folder)
    if not (folder / MODEL).is_file():
        raise FileError(f"{folder}: this run has left no {MODEL}: it was cut off or diverged")
    experiment = read_experiment(config)
    network = Network.load(folder / MODEL)
    if network != experiment.network:
        raise FileError(f"{folder}: the networks of {CONFIG} and {MODEL} differ")
    experiment.network = network
    return experiment


def read_environment(folder: str | Path) -> dict[str, Any]:
    """Return a run's environment, as `write_run` wrote it.

    Raises
    ------
    FileError
        When the file is missing or damaged.
    """
    folder = Path(folder)
    return _read_json(folder / ENVIRONMENT, examples=str)


def read_history(folder: str | Path) -> list[Record]:
    """Return the records of a run's epochs; FileError for a history that is damaged."""
    path = Path(folder) / HISTORY
    if not path.exists():  # the first epoch has not ended
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: float(x) for name, x in row.items()} for row in csv.DictReader(file)]
        return [Record.of(int(row.pop("epoch")), row.pop("seconds"), row) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{path}: can't be read: {error}") from error


def _write_json(path: Path, table: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(table, indent=2) + "\n").encode())


def _read_json(path: Path, **needed: Any) -> dict[str, Any]:
    """Read a file that `_write_json` wrote; FileError unless it has what is `needed`, by type."""
    try:
        table = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: can't be read: {error}") from error
    if not isinstance(table, dict):
        raise FileError(f"{path}: damaged: a {type(table).__name__}, not a table")
    for name, kind in needed.items():
        if name not in table:
            raise FileError(f"{path}: damaged: {name} is missing")
        if not isinstance(table[name], kind):
            raise FileError(f"{path}: damaged: {name} is {table[name]!r}")
    return table
