"""The trials of a sweep, in a storage of Optuna's that processes and machines share.

A sweep has a number of slots, and each has to get one trial that comes to an end. All that takes
part follows the same rules, so that nobody has to be in charge:

- Whoever finds a slot without a trial adds one that waits. If two do so at a time, the trial that
  came first counts, and whoever gets hold of the other drops it.
- Taking a waiting trial is one step in the storage, so it has one owner.
- Owners write a growing number as a sign of life. The trial of an owner that has become silent is
  dropped, and its slot is without a trial again.

Optuna's states are used for this: FAIL is a trial that was dropped. One that failed for a reason
of its own is PRUNED, since that tells the sampler to keep away from its values.
"""

from __future__ import annotations

import statistics
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from layerkit.errors import ConfigError, FileError
from layerkit.runs.sweep.plan import Axis, Plan

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

BEAT = 2.0
"""Seconds between two signs of life."""
SILENT = 20.0
"""Seconds without a sign of life after which an owner counts as lost."""


@dataclass(frozen=True)
class Result:
    """A trial as it is shown: `state` is done, failed, running or waiting.

    `mean` and `std` are of the monitored figure over the seeds; `params` are the values by address,
    choices as TOML text.
    """

    number: int
    state: str
    params: dict[str, Any]
    mean: float | None = None
    std: float | None = None
    seconds: float | None = None
    error: str = ""


class Trials:
    """The trials of `plan`, kept in `storage`: a file or a URL.

    Raises
    ------
    FileError
        For a storage that can't be opened.
    ConfigError
        For one that has a different sweep of the same name.
    """

    def __init__(self, plan: Plan, storage: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.plan, self.total = plan, plan.trials()
        self.grid = plan.grid() if plan.sweep.method == "grid" else None
        self.owner, self.beats, self.next_beat = f"alive {uuid.uuid4()}", 0, 0.0
        self.signs: dict[int, tuple[Any, float]] = {}
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
        except Exception as error:  # each kind of storage has errors of its own
            raise FileError(f"{storage}: can't be used as a storage: {error}") from error
        if kept not in (None, plan.identity()):
            differing = [name for name, value in plan.identity().items() if kept[name] != value]
            raise ConfigError(
                f"{storage} has a sweep called {plan.name} that differs in {', '.join(differing)}: "
                "choose another --out or storage, or delete what is there"
            )

    def states(self, *names: str) -> list[FrozenTrial]:
        """All trials that are in these states."""
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=[TrialState[name] for name in names])

    def standing(self) -> dict[int, FrozenTrial]:
        """The trial of each slot that has one."""
        retried = self.study.user_attrs.get("retried", [])
        states = self.states("WAITING", "RUNNING", "COMPLETE", "PRUNED")
        found = [trial for trial in states if trial.number not in retried]
        slots = {trial.user_attrs.get("slot", self.total): trial for trial in reversed(found)}
        return {slot: slots[slot] for slot in range(self.total) if slot in slots}

    def fill(self) -> None:
        """Give each slot without a trial one that waits, with the values of a dropped one."""
        standing = self.standing()
        if len(standing) == self.total:
            return
        dropped = {
            trial.user_attrs.get("slot"): trial.params for trial in self.states("FAIL", "PRUNED")
        }
        for slot in range(self.total):
            if slot not in standing:
                params = self.grid[slot] if self.grid else dropped.get(slot, {})
                complete = params.keys() == self.plan.search.keys()
                self.study.enqueue_trial(params if complete else {}, user_attrs={"slot": slot})

    def retry_failed(self) -> None:
        """Let all trials that have failed so far be run anew, with the same values."""
        self.study.set_user_attr("retried", [trial.number for trial in self.states("PRUNED")])

    def take(self) -> Trial | None:
        """Take the first trial that waits, and choose its values."""
        while self.states("WAITING"):
            trial = self.study.ask()
            slot = trial.user_attrs.get("slot", self.total)
            standing = self.standing().get(slot)
            if standing is None or standing.number != trial.number:
                self.drop(trial.number)
                continue
            trial.set_user_attr("owner", self.owner)
            self.study.sampler = self._sampler(slot)
            for name, axis in self.plan.search.items():
                _choose(trial, name, axis)
            return trial
        return None

    def _sampler(self, slot: int) -> BaseSampler:
        """What draws the values of a slot, each from a seed of its own, whoever asks."""
        from optuna.samplers import RandomSampler, TPESampler

        seed = int(np.random.default_rng([self.plan.sweep.seed, slot]).integers(2**32))
        return (
            TPESampler(seed=seed) if self.plan.sweep.method == "bayesian" else RandomSampler(seed)
        )

    def drop(self, number: int) -> None:
        """Let a trial be run anew, if it hasn't come to an end."""
        from optuna.trial import TrialState

        try:
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        except RuntimeError:  # somebody else was quicker
            return

    def finish(self, trial: Trial, figures: list[float], error: str = "") -> bool:
        """Write down what came of a trial; False if it has been dropped in the meantime."""
        from optuna.trial import TrialState

        try:
            if error:
                trial.set_user_attr("error", error)
                self.study.tell(trial, state=TrialState.PRUNED)
            else:
                trial.set_user_attr("figures", figures)
                self.study.tell(trial, statistics.fmean(figures))
        except (RuntimeError, ValueError):
            return False
        return True

    def beat(self) -> bool:
        """If it is time, give a sign of life, and drop the trials of owners that give none."""
        now = time.monotonic()
        if now < self.next_beat:
            return False
        self.next_beat, self.beats = now + BEAT, self.beats + 1
        self.study.set_user_attr(self.owner, self.beats)
        signs = self.study.user_attrs
        for trial in self.states("RUNNING"):
            sign, since = signs.get(trial.user_attrs.get("owner", "")), now
            before = self.signs.get(trial.number)
            if before and before[0] == sign:
                since = before[1]
            self.signs[trial.number] = (sign, since)
            if now - since > SILENT:
                self.drop(trial.number)
        return True

    def finished(self) -> bool:
        """Whether all slots have a trial that came to an end."""
        standing = self.standing().values()
        return len(standing) == self.total and all(trial.state.is_finished() for trial in standing)

    def results(self) -> list[Result]:
        """All trials, the best first, those that failed or are not finished behind them."""
        found = [_result(slot, trial) for slot, trial in self.standing().items()]
        sign = 1 if self.plan.sweep.minimizes else -1
        states = ["done", "failed", "running", "waiting"]
        return sorted(found, key=lambda r: (states.index(r.state), sign * (r.mean or 0), r.number))


def _open(storage: str) -> str | BaseStorage:
    from filelock import FileLock
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" in storage:
        return storage
    path = Path(storage).absolute()
    # Optuna's own locks outlive a process that is killed while it has one
    lock: Any = FileLock(f"{path}.lock")
    with lock, path.open("ab+") as file:
        # what a crash or a full disk has left of a line would spoil the next one
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
    return JournalStorage(JournalFileBackend(str(path), lock))


def _choose(trial: Trial, name: str, axis: Axis) -> None:
    if axis.low is None or axis.high is None:
        trial.suggest_categorical(name, axis.values())
    elif axis.integer:
        trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
    else:
        trial.suggest_float(name, axis.low, axis.high, log=axis.log)


def _result(slot: int, trial: FrozenTrial) -> Result:
    words = {"COMPLETE": "done", "PRUNED": "failed", "RUNNING": "running", "WAITING": "waiting"}
    figures = trial.user_attrs.get("figures", [])
    return Result(
        slot + 1,
        words[trial.state.name],
        trial.params or trial.system_attrs.get("fixed_params", {}),
        trial.value,
        statistics.stdev(figures) if len(figures) > 1 else None,
        trial.duration.total_seconds() if trial.duration else None,
        trial.user_attrs.get("error", ""),
    )
