"""The trials of a sweep, in an Optuna storage that processes and machines share.

A sweep has a number of slots, and each needs one trial that ends. All processes follow the same
rules, so that none has to be in charge:

- A process that finds a slot without a trial adds one that waits. If two do so at a time, the
  first trial counts, and the process that takes the other one drops it.
- Taking a waiting trial is atomic in the storage, so it has one owner.
- Owners write a growing number as their heartbeat. The trial of an owner without a heartbeat is
  dropped, and its slot has no trial again.

Optuna's states are used for this: FAIL is a trial that was dropped. One that failed by itself is
PRUNED, which tells the sampler to avoid its values.
"""

from __future__ import annotations

import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerkit.errors import ConfigError, FileError, LayerkitError
from layerkit.runs.sweep.plan import Axis, Plan
from layerkit.streams import stream

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

HEARTBEAT_INTERVAL = 2.0
"""Seconds between two heartbeats."""
GRACE_PERIOD = 20.0
"""Seconds without a heartbeat after which an owner counts as lost."""

OF_LINES = (AssertionError, LookupError, TypeError)
"""Errors of Optuna for lines of a journal that are damaged."""
OF_STORAGES = (ImportError, OSError, ValueError, *OF_LINES)
"""Errors of storages that can't be opened, beside Optuna's and SQLAlchemy's own."""
JOURNAL = b'{"op_code":'
"""The beginning of each line of an Optuna journal."""


@dataclass(frozen=True)
class Result:
    """The result of a trial: `state` is done, failed, running or waiting.

    `mean` and `std` are of the monitored metric over the seeds; `params` are the values by
    address, choices as TOML strings.
    """

    number: int
    state: str
    params: dict[str, Any]
    mean: float | None = None
    std: float | None = None
    seconds: float | None = None
    error: str = ""


class Trials:
    """The trials of `plan`, stored in `storage`: a file or a URL.

    Raises
    ------
    FileError
        For a storage that can't be opened.
    ConfigError
        If the storage has a different sweep of the same name.
    """

    def __init__(self, plan: Plan, storage: str) -> None:
        import optuna
        from optuna.exceptions import OptunaError
        from sqlalchemy.exc import SQLAlchemyError

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.plan, self.total = plan, plan.trials()
        self.grid = plan.grid() if plan.sweep.method == "grid" else None
        self.owner, self.beats, self.next_beat = f"alive {uuid.uuid4()}", 0, 0.0
        self.seen: dict[int, tuple[Any, float]] = {}
        try:
            self.study: Study = optuna.create_study(
                storage=_open(storage),
                sampler=optuna.samplers.RandomSampler(),
                study_name=plan.name,
                direction="minimize" if plan.sweep.minimizes else "maximize",
                load_if_exists=True,
            )
            kept = self.study.user_attrs.get("plan")
            if kept is None:
                self.study.set_user_attr("plan", plan.identity())
        except (LayerkitError, OptunaError, SQLAlchemyError, *OF_STORAGES) as error:
            kind = f"damaged: {type(error).__name__}: " if isinstance(error, OF_LINES) else ""
            raise FileError(f"{storage}: can't be used as a storage: {kind}{error}") from error
        if kept not in (None, plan.identity()):
            differing = [name for name, value in plan.identity().items() if kept[name] != value]
            raise ConfigError(
                f"{storage} has a sweep called {plan.name} that differs in {', '.join(differing)}: "
                "choose another --out or storage, or delete it"
            )

    def states(self, *names: str) -> list[FrozenTrial]:
        """Return all trials that are in these states."""
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=[TrialState[name] for name in names])

    def by_slot(self) -> dict[int, FrozenTrial]:
        """Return the trial of each slot that has one."""
        retried = self.study.user_attrs.get("retried", [])
        states = self.states("WAITING", "RUNNING", "COMPLETE", "PRUNED")
        found = [trial for trial in states if trial.number not in retried]
        slots = {trial.user_attrs.get("slot", self.total): trial for trial in reversed(found)}
        return {slot: slots[slot] for slot in range(self.total) if slot in slots}

    def fill(self) -> None:
        """Give each slot without a trial a waiting one, with the values of the dropped one."""
        filled = self.by_slot()
        if len(filled) == self.total:
            return
        dropped = {
            trial.user_attrs.get("slot"): trial.params for trial in self.states("FAIL", "PRUNED")
        }
        for slot in range(self.total):
            if slot not in filled:
                params = self.grid[slot] if self.grid else dropped.get(slot, {})
                complete = params.keys() == self.plan.search.keys()
                self.study.enqueue_trial(params if complete else {}, user_attrs={"slot": slot})

    def retry_failed(self) -> None:
        """Let all trials that have failed so far be run again, with the same values."""
        self.study.set_user_attr("retried", [trial.number for trial in self.states("PRUNED")])

    def take(self) -> Trial | None:
        """Take the first waiting trial, and choose its values."""
        while self.states("WAITING"):
            trial = self.study.ask()
            slot = trial.user_attrs.get("slot", self.total)
            first = self.by_slot().get(slot)
            if first is None or first.number != trial.number:
                self.drop(trial.number)
                continue
            trial.set_user_attr("owner", self.owner)
            self.study.sampler = self._sampler(slot)
            for name, axis in self.plan.search.items():
                _choose(trial, name, axis)
            return trial
        return None

    def _sampler(self, slot: int) -> BaseSampler:
        """Return the sampler of a slot, whose seed is the same in every process."""
        from optuna.samplers import RandomSampler, TPESampler

        seed = int(stream(self.plan.sweep.seed, f"trials of slot {slot}").integers(2**32))
        return (
            TPESampler(seed=seed) if self.plan.sweep.method == "bayesian" else RandomSampler(seed)
        )

    def drop(self, number: int) -> None:
        """Drop a trial, so that it is run again, unless it has ended."""
        from optuna.trial import TrialState

        try:
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        except RuntimeError:  # another process was faster
            return

    def finish(self, trial: Trial, values: list[float], error: str = "") -> bool:
        """Store the values of a trial, or its error; False if it was dropped in the meantime."""
        from optuna.trial import TrialState

        try:
            if error:
                trial.set_user_attr("error", error)
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                trial.set_user_attr("values", values)
                self.study.tell(trial, statistics.fmean(values))
        except (RuntimeError, ValueError):
            return False
        return True

    def heartbeat(self) -> bool:
        """If it is time, write a heartbeat, and drop the trials of owners without one."""
        now = time.monotonic()
        if now < self.next_beat:
            return False
        self.next_beat, self.beats = now + HEARTBEAT_INTERVAL, self.beats + 1
        self.study.set_user_attr(self.owner, self.beats)
        beats = self.study.user_attrs
        for trial in self.states("RUNNING"):
            beat, since = beats.get(trial.user_attrs.get("owner", "")), now
            before = self.seen.get(trial.number)
            if before and before[0] == beat:
                since = before[1]
            self.seen[trial.number] = (beat, since)
            if now - since > GRACE_PERIOD:
                self.drop(trial.number)
        return True

    def finished(self) -> bool:
        """Whether all slots have a trial that has ended."""
        found = self.by_slot().values()
        return len(found) == self.total and all(trial.state.is_finished() for trial in found)

    def results(self) -> list[Result]:
        """Return all trials: the best first, then those that failed or have not ended."""
        found = [_result(slot, trial) for slot, trial in self.by_slot().items()]
        sign = 1 if self.plan.sweep.minimizes else -1
        states = ["done", "failed", "running", "waiting"]
        return sorted(found, key=lambda r: (states.index(r.state), sign * (r.mean or 0), r.number))


def _open(storage: str) -> BaseStorage:
    from filelock import FileLock
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy.engine import make_url
    from sqlalchemy.pool import NullPool

    class Journal(JournalFileBackend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            try:
                super().append_logs(logs)
            except OSError as error:  # a full disk
                error.filename = error.filename or storage
                raise

    if storage.startswith("grpc://"):
        from layerkit.runs.sweep.server import connected

        return connected(storage)
    if "://" in storage:
        url = make_url(storage)
        if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
            raise FileError(
                "it is in memory, and lost with this process; name a file, such as "
                "sqlite:///trials.db"
            )
        # without a pool each connection is closed after its use, also where something fails
        return RDBStorage(storage, engine_kwargs={"poolclass": NullPool})
    path = Path(storage).absolute()
    if path.is_file():
        with path.open("rb") as file:
            beginning = file.read(len(JOURNAL))
        if not JOURNAL.startswith(beginning):
            raise FileError(
                "it is a file of another kind, and left as it is; choose a new file, or write a "
                "database as a URL, such as sqlite:///trials.db"
            )
    # Optuna's own locks outlive a process that is killed while it holds one
    lock: Any = FileLock(f"{path}.lock")
    with lock.acquire(timeout=GRACE_PERIOD), path.open("ab+") as journal:
        # part of a line, left by a crash or a full disk, would corrupt the next one
        journal.seek(0)
        journal.truncate(journal.read().rfind(b"\n") + 1)
    return JournalStorage(Journal(str(path), lock))


def _choose(trial: Trial, name: str, axis: Axis) -> None:
    if axis.low is None or axis.high is None:
        trial.suggest_categorical(name, axis.values())
    elif axis.integer:
        trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
    else:
        trial.suggest_float(name, axis.low, axis.high, log=axis.log)


def _result(slot: int, trial: FrozenTrial) -> Result:
    states = {"COMPLETE": "done", "PRUNED": "failed", "RUNNING": "running", "WAITING": "waiting"}
    values = trial.user_attrs.get("values", [])
    return Result(
        slot + 1,
        states[trial.state.name],
        trial.params or trial.system_attrs.get("fixed_params", {}),
        trial.value,
        statistics.stdev(values) if len(values) > 1 else None,
        trial.duration.total_seconds() if trial.duration else None,
        trial.user_attrs.get("error", ""),
    )
