"""Checkpoints of a training run: saving them, and resuming from them bit for bit."""

from __future__ import annotations

import hashlib
import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.callbacks.limits import StopOnNonFinite
from layerkit.callbacks.logs import History, LogFile, ProgressBar
from layerkit.callbacks.monitors import ModelCheckpoint
from layerkit.callbacks.tracking import Tracker
from layerkit.config.options import Configurable
from layerkit.data.sparse import SparseRows
from layerkit.errors import ConfigError, FileError, LayerkitError, LayerkitWarning, warn
from layerkit.files.checkpoints import Checkpoints
from layerkit.files.mapped import Subset, pieces
from layerkit.guidance import is_own
from layerkit.progress import Record, Records
from layerkit.training.batches import Arrays, Source
from layerkit.training.options import Training
from layerkit.training.trainer import Attendant, Trainer, is_finite

OBSERVERS = (ProgressBar, History, LogFile, Tracker, ModelCheckpoint, StopOnNonFinite)
"""Callbacks that don't change a training run: it may be resumed with others of them."""


class ResumeWarning(LayerkitWarning):
    """Warning: a resumed run may differ in the last bits, or begins at an older checkpoint."""


class Checkpointing(Attendant):
    """The saving of checkpoints: after each epoch, after some steps, and when a run is left.

    Parameters
    ----------
    checkpoints : Checkpoints
        Where and when to save.
    origin : dict
        All that the run depends on besides its state, as plain values: see `describe`.
    callbacks : dict of str to Callback
        The callbacks that have a state, by name.
    """

    def __init__(
        self, checkpoints: Checkpoints, origin: dict[str, Any], callbacks: dict[str, Callback]
    ) -> None:
        self.checkpoints, self.origin, self.callbacks = checkpoints, origin, callbacks

    def batch_end(self, trainer: Trainer, leaving: bool) -> None:
        due = leaving or self.checkpoints.are_due(trainer.progress.step)
        if due and is_finite(trainer.network.arena.values):
            self.save(trainer)

    def epoch_end(self, trainer: Trainer) -> None:
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save the state."""
        self.checkpoints.save(self.state_of(trainer), trainer.progress.step)

    def state_of(self, trainer: Trainer) -> dict[str, Any]:
        """Return all that a checkpoint holds."""
        progress = trainer.progress
        return trainer.state_dict() | {
            "records": {str(record.epoch): asdict(record) for record in progress.records},
            "seconds": progress.seconds,
            "stopped": progress.stopped,
            "callbacks": {name: c.state_dict() for name, c in self.callbacks.items()},
            "origin": self.origin,
        }

    def restore(self, trainer: Trainer, tree: dict[str, Any]) -> None:
        """Restore a saved state in a trainer."""
        progress = trainer.progress
        trainer.load_state_dict(tree)
        progress.records = Records(_record(saved) for saved in tree["records"].values())
        over = progress.epoch - (progress.batch > 0) if progress.step else 0
        if len(tree["records"]) != over or [*tree["records"]] != [
            str(epoch + 1) for epoch in range(over)
        ]:
            raise FileError(f"records of {over} epochs are missing, or not in order")
        if not isinstance(tree["stopped"], str | None):
            raise FileError("stopped is not a string")
        progress.seconds_before, progress.stopped = tree["seconds"], tree["stopped"]
        for name, callback in self.callbacks.items():
            if name in tree["callbacks"]:
                callback.load_state_dict(tree["callbacks"][name])


def remembering(callbacks: Sequence[Callback]) -> dict[str, Callback]:
    """Return the callbacks that have a state, by class name, with a number from the second on."""
    found: dict[str, Callback] = {}
    counts: Counter[str] = Counter()
    for callback in callbacks:
        if type(callback).state_dict != Callback.state_dict:
            name = type(callback).__name__
            counts[name] += 1
            found[name if counts[name] == 1 else f"{name} {counts[name]}"] = callback
    return found


def resume_training(trainer: Trainer, checkpointing: Checkpointing, force: bool) -> None:
    """Restore the newest checkpoint in a trainer, if there is one.

    Other things that decide the last bits, such as the version of the BLAS, may differ: then there
    is a `ResumeWarning`.

    Raises
    ------
    ConfigError
        When the checkpoint comes from another configuration or other data, with the differences.
        With `force` only when its arrays don't fit.
    FileError
        When there are checkpoints, but none is whole.
    """
    if not checkpointing.checkpoints.paths():
        return
    try:
        state, path, damaged = checkpointing.checkpoints.load()
    except FileError as error:
        raise FileError(
            f"{error}\nTrain anew with another folder; training.warm_start begins with the weights "
            "of a saved network, such as a run's model.safetensors or best.safetensors"
        ) from error
    _check_tables(path, state)
    differing = compare(state["origin"], checkpointing.origin)
    environment = [name for name in differing if name.startswith("environment.")]
    announced = [f"resumes with another {differing.pop(name)}" for name in environment]
    if _only_goes_on(trainer, state["origin"]):
        differing.pop("training.epochs", None)
    refused = differing.values()
    if refused and not force:
        raise ConfigError(
            "\n  ".join([f"{path} comes from another training run:", *refused])
            + '\nRestore that, or continue by force: --force, in Python resume="force"'
        )
    unfit = _misfits(trainer, checkpointing, state, force)
    if unfit and refused:
        raise ConfigError("\n  ".join(["the checkpoint doesn't fit, even by force:", *unfit]))
    if unfit:
        raise FileError(
            "\n  ".join([f"{path} is damaged, or from classes that have changed:", *unfit])
        )
    given, progress = as_plain_data(trainer.optimizer), trainer.progress
    if force:
        # numbers that callbacks have changed stay, except those that are given anew, or no more
        was = state["origin"]["optimizer"]
        state["optimizer"]["numbers"] |= {
            name: x
            for name, x in given.items()
            if (x is None or isinstance(x, float)) and x != was.get(name)
        }
    before = trainer.state_dict()
    try:
        checkpointing.restore(trainer, state)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        trainer.load_state_dict(before)
        reason = error if isinstance(error, LayerkitError) else repr(error)
        raise FileError(f"{path} is damaged: {reason}") from error
    if force:
        progress.stopped = None
        announced += [f"continues by force with {line}" for line in refused]
        if progress.batch and any(name.startswith(ORDER) for name in differing):
            progress.batch = 0
            announced.append(f"begins epoch {len(progress.records) + 1} anew")
    damaged = [f"{sentence}; the one before it is {path.name}" for sentence in damaged]
    for sentence in [*damaged, *announced]:
        warn(sentence, ResumeWarning)


ORDER = ("data.train", "training.batch_size", "training.gradient_accumulation_steps")
"""The options that decide which examples are in a batch."""


def _only_goes_on(trainer: Trainer, before: dict[str, Any]) -> bool:
    """Whether there are more epochs, and the steps that were planned stay as they were.

    Of a long training, a thousand steps are compared.
    """
    progress, epochs = trainer.progress, before["training"]["epochs"]
    average = progress.options.average
    courses = [*trainer.optimizer.schedules.values(), *([average.share] if average else [])]
    if progress.epochs <= epochs or progress.batches is None:
        return progress.epochs > epochs
    planned, now = epochs * progress.batches, progress.epochs * progress.batches
    steps = np.linspace(0, planned - 1, min(planned, 1000), dtype=int).tolist()
    return all(course(i, planned) == course(i, now) for course in courses for i in steps)


def describe(
    trainer: Trainer,
    sets: Mapping[str, Source],
    options: Training,
    class_weight: Any = None,
    metrics: Sequence[Any] = (),
) -> dict[str, Any]:
    """Return what a training run depends on besides its state, as plain values.

    These are the configuration, SHA-256 digests of the data and what decides the last bits. Batches
    of an iterable have no digest.
    """
    # the engines of NumPy agree to the bit, and folds are training runs of their own
    left_out = ("threads", "engine", "checkpoints", "callbacks", "folds")
    training = {
        option.name: getattr(options, option.name)
        for option in fields(options)
        if option.name not in left_out
    }
    training |= {
        "engine": options.engine if options.engine == "jax" else None,
        "class_weight": class_weight,
        "metrics": list(metrics),
        "callbacks": {
            name: part
            for name, part in remembering(options.callbacks).items()
            if not isinstance(part, OBSERVERS)
        },
    }
    return {
        "network": as_plain_data(trainer.network),
        "optimizer": as_plain_data(trainer.optimizer),
        "training": as_plain_data(training),
        "data": {
            name: describe_source(source)
            for name, source in {**sets, "train": trainer.source}.items()
        }
        | {"classes": trainer.network.classes},
        "environment": describe_environment() | {"engine": trainer.where or None},
    }


def as_plain_data(value: Any) -> Any:
    """Return options as plain data for a checkpoint; of a function only its name."""
    if isinstance(value, Configurable):
        options = {
            option.name: as_plain_data(getattr(value, option.name)) for option in fields(value)
        }
        return {"type": type(value).__name__} | options
    if isinstance(value, dict):
        return {str(key): as_plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain_data(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__qualname__", type(value).__qualname__)


def describe_source(source: Source) -> dict[str, Any]:
    """Return the digests of the examples of a source; of an iterable the number of batches."""
    if not isinstance(source, Arrays):
        return {"batches": source.batches}
    parts = {"x": source.x, "t": source.t, "sample_weight": source.a}
    return {name: None if part is None else digest(part) for name, part in parts.items()}


def digest(x: Array | Subset) -> str:
    """Return type, shape and the SHA-256 of all bytes of an array, which may be mapped from a file.

    Examples
    --------
    >>> digest(np.zeros((2, 3), np.uint8))
    'uint8 (2, 3) sha256:b0f66adc83641586656866813fd9dd0b8ebb63796075661ba45d1aa8089e1d44'
    """
    sha256, is_sparse = hashlib.sha256(), isinstance(x, SparseRows)
    for part in x.arrays() if isinstance(x, SparseRows) else pieces(x):
        sha256.update(np.ascontiguousarray(part).data)
    return f"{'sparse ' * is_sparse}{x.dtype} {x.shape} sha256:{sha256.hexdigest()}"


def describe_environment() -> dict[str, Any]:
    """Return the versions and hardware that decide the last bits of a result."""
    from importlib.metadata import version

    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    # SciPy may have loaded another BLAS
    own = [pool for pool in pools if pool["filepath"].startswith(os.path.dirname(np.__file__))]
    about = ("internal_api", "version", "architecture")
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})  # none in browsers
    return {
        "layerkit": version("layerkit"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "simd": " ".join(simd.get("baseline", []) + simd.get("found", [])),
        "blas": ", ".join(" ".join(str(pool.get(key)) for key in about) for pool in own or pools),
        "threads": ", ".join(str(pool["num_threads"]) for pool in own or pools),
    }


UNSAID = {"training.engine": "numpy", "training.ranks": 1, "environment.engine": "numpy"}
"""The values that a description leaves out; the engines of NumPy agree to the bit."""


def compare(
    before: dict[str, Any], now: dict[str, Any], origin: str = "the checkpoint"
) -> dict[str, str]:
    """Return a line for each address where plain values differ from those of `origin`.

    Examples
    --------
    >>> compare({"training": {"epochs": 5, "seed": 0}}, {"training": {"epochs": 7, "seed": 0}})
    {'training.epochs': 'training.epochs = 7; the checkpoint has 5'}
    """
    old, new = (
        UNSAID | {address: value for address, value in leaves(tree) if value is not None}
        for tree in (before, now)
    )
    return {
        name: f"{name} = {new.get(name, 'nothing')}; {origin} has {old.get(name, 'nothing')}"
        for name in {**new, **old}
        if new.get(name) != old.get(name)
    }


def leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all values in tables and lists by address, such as ``network.body.layers.0.units``."""
    parts = enumerate(tree) if isinstance(tree, list) else tree.items() if tree else ()
    for key, value in parts:
        address = f"{prefix}.{key}".lstrip(".")
        if isinstance(value, dict | list):
            yield from leaves(value, address)
        else:
            yield address, value


TABLES = (
    *("progress", "network", "optimizer", "generators", "attendants", "records", "callbacks"),
    *("origin", "origin.network", "origin.optimizer", "origin.training", "origin.data"),
    "origin.environment",
)
"""The tables of a checkpoint, which may be empty."""


def _check_tables(path: Path, state: dict[str, Any]) -> None:
    """Raise a FileError unless a checkpoint has all its tables."""
    for address in TABLES:
        part: Any = state
        for name in address.split("."):
            part = part.get(name)
            if not isinstance(part, dict):
                raise FileError(f"{path} is damaged: it has no table {address}")
    if type(state["origin"]["training"].get("epochs")) is not int:
        raise FileError(f"{path} is damaged: it has no number origin.training.epochs")
    for address, value in leaves(state["origin"]):
        if isinstance(value, np.ndarray):
            raise FileError(f"{path} is damaged: origin.{address} is an array")


def _misfits(
    trainer: Trainer, checkpointing: Checkpointing, state: dict[str, Any], force: bool
) -> list[str]:
    """Return a line for each part of a checkpoint that is missing, or of another kind."""
    like = checkpointing.state_of(trainer) | expected(trainer, state["optimizer"].get("t"))
    # other observers may watch a run that is resumed; users' callbacks check their own states
    saved = {*(state["origin"]["training"].get("callbacks") or ()), *state["callbacks"]}
    like["callbacks"] = {
        name: part
        for name, part in like["callbacks"].items()
        if name in saved and not is_own(type(checkpointing.callbacks[name]))
    }
    found = state | {
        "callbacks": {name: state["callbacks"].get(name) for name in like["callbacks"]}
    }
    if force:  # another optimizer has other numbers, other data have other classes
        like["optimizer"]["numbers"] = found["optimizer"].get("numbers")
        like["network"]["seen"] = found["network"].get("seen")
    for name in ("origin", "records"):  # checked by themselves
        del like[name], found[name]
    return misfits(found, like)


def expected(trainer: Trainer, t: Any) -> dict[str, Any]:
    """Return a state of a trainer with the parts that one after `t` steps has."""
    like, w = trainer.state_dict(), trainer.network.arena.values
    begun = isinstance(t, int) and t > 0
    like["optimizer"]["memory"] = trainer.optimizer.allocate(w) if begun else {}
    like["optimizer"]["like"] = [list(w.shape), w.dtype.name] if begun else [[], "float32"]
    return like


def misfits(
    found: dict[str, Any], like: dict[str, Any], origin: str = "the checkpoint"
) -> list[str]:
    """Return a line for each value that a saved state lacks or should not have, by its address.

    The values of `like` are of the right kind; where it has None, any is.
    """
    there, wanted = ({name: _kind(name, x) for name, x in leaves(tree)} for tree in (found, like))
    free = tuple(f"{name}." for name, kind in wanted.items() if kind == "none")
    there = {name: kind for name, kind in there.items() if not name.startswith(free)}
    return [
        f"{name} = {wanted.get(name, 'nothing')}; {origin} has {there.get(name, 'nothing')}"
        for name in {**wanted, **there}
        if there.get(name) != wanted.get(name)
        and not (name in there and wanted.get(name) == "none")
        and (there.get(name), wanted.get(name)) != ("a whole number", "a number")
    ]


def _kind(address: str, value: Any) -> str:
    """Return the type of a value, of an array its shape too."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if address.startswith("optimizer.like."):
        return repr(value)
    names = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    return names.get(type(value), "none")


def _record(saved: dict[str, Any]) -> Record:
    """Return the record of an epoch; FileError for one that lacks something."""
    record = Record(**saved)
    unfit = misfits(saved, asdict(Record(1, 0.0)) | {"metrics": dict.fromkeys(record.metrics, 0.0)})
    if unfit:
        raise FileError("; ".join(unfit))
    return record
