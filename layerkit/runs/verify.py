"""Verification that a training run can be stopped and resumed, on a configuration of your own.

One process takes all the steps. Another takes the first ones and saves a checkpoint, and a third
loads it and takes the rest. Then every bit of the two final states is compared.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import tempfile
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from layerkit.callbacks.base import Callback
from layerkit.callbacks.limits import TimeLimit
from layerkit.config.own_modules import import_file
from layerkit.errors import ConfigError, LayerkitWarning
from layerkit.files.checkpoints import Checkpoints, read_tree
from layerkit.guidance import is_own
from layerkit.network import Network
from layerkit.parameters import Param
from layerkit.progress import Progress
from layerkit.runs.experiment import Experiment, read_experiment
from layerkit.runs.paths import CHECKPOINTS
from layerkit.training.loop import count_steps
from layerkit.training.resume import OBSERVERS, leaves

MAX_STEPS = 2000
"""Maximum number of steps by default: an epoch of most data sets, and seldom minutes."""
GROUPS = {
    "parameters": "network.values",
    "states": "network.states",
    "optimizer": "optimizer",
    "averages": "attendants",
    "generators": "generators",
    "callbacks": "callbacks",
    "history": "records",
    "progress": "",
}
"""The groups of values that are compared, and where they are in a checkpoint."""
Parts = dict[str, dict[str, Any]]
"""The values of each group, by address."""


@dataclass(frozen=True)
class Trial:
    """A configuration file and its arguments: what a process needs to train."""

    file: Path
    settings: Sequence[str]
    imports: Sequence[str]
    data_dir: str | None

    def train(self, folder: str | Path, last: int, every: int | None = None) -> None:
        """Train up to step `last`, from the newest checkpoint in `folder`, if any."""

        class PauseOfTrial(Callback):
            def batch_end(self, progress: Progress) -> None:
                if progress.step == last:
                    progress.pause("the last step to verify is reached")

        warnings.simplefilter("ignore", LayerkitWarning)  # the first process has given them
        for path in self.imports:
            import_file(Path(path))
        experiment = read_experiment(self.file, self.settings)
        training = experiment.training
        training.callbacks = [
            part for part in training.callbacks if not isinstance(part, (*OBSERVERS, TimeLimit))
        ]
        training.checkpoints = Checkpoints(every=every, keep=2 * last)
        with experiment.limited():
            dataset = experiment.load_data(self.data_dir)
            experiment.prepare(dataset, [PauseOfTrial()], folder, resume=True).run()


def verify_resume(trial: Trial, steps: int | None = None, stop: int | None = None) -> bool:
    """Train at once and in two parts, print a comparison, and return whether all is the same.

    Parameters
    ----------
    trial : Trial
    steps, stop : int, optional
        The number of steps in all, and of those before the stop. By default a little more than an
        epoch, but at most 2,000, or twice `stop` if that is more; and half of them.

    Raises
    ------
    ConfigError
        For numbers of steps that don't fit the training.
    """
    experiment = read_experiment(trial.file, trial.settings)
    examples = len(experiment.load_data(trial.data_dir).train)
    steps, stop = _choose(experiment, examples, steps, stop)
    print(f"{trial.file}: {steps} steps at once, and {stop} + {steps - stop} in two processes")
    spawn, network = multiprocessing.get_context("spawn"), experiment.network
    with (
        tempfile.TemporaryDirectory() as temporary,
        ProcessPoolExecutor(2, spawn, max_tasks_per_child=1) as pool,
    ):
        whole, parts = Path(temporary, "whole"), Path(temporary, "parts")
        meanwhile = pool.submit(trial.train, whole, steps, stop)
        pool.submit(trial.train, parts, stop).result()
        pool.submit(trial.train, parts, steps).result()
        meanwhile.result()
        before, after = (
            (_load(network, whole, step), _load(network, parts, step)) for step in (stop, steps)
        )
    for part in after[0]:
        print(_sentence(part, after[0][part], after[1][part]))
    if _differing(*before):
        print(
            f"\nNOT THE SAME, but already after {stop} steps, before any stop, first in "
            f"{_differing(*before)[0]}:\nsomething is random and does not depend on the seed, or "
            "depends on the time."
        )
        return False
    if _differing(*after):
        print(
            f"\nNOT THE SAME, first in {_differing(*after)[0]}:\n"
            f"the steps depend on something that is not in a checkpoint. {_hint(experiment)}"
        )
        return False
    print("\nThe same, bit for bit.")
    if "history" not in after[0]:
        print(
            "No epoch ended, so the end of an epoch was not verified: for that, use --steps "
            f"{_steps_of_epoch(experiment, examples)}."
        )
    return True


def _choose(
    experiment: Experiment, examples: int, steps: int | None, stop: int | None
) -> tuple[int, int]:
    """Return the number of steps, and of those before the stop."""
    training = experiment.training
    most = count_steps(experiment.network, examples, training)
    epoch = _steps_of_epoch(experiment, examples)
    if steps is None:
        steps = min(max(min(epoch + 10, MAX_STEPS), 2 * (stop or 0)), most)
    if stop is None:
        stop = steps // 2
        stop += stop % epoch == 0 and epoch > 1 and stop + 1 < steps
    if not 0 < stop < steps <= most:
        raise ConfigError(
            f"--at {stop}, --steps {steps}: the stop should come before the last of these steps, "
            f"and the training has {most:,}"
        )
    return steps, stop


def _steps_of_epoch(experiment: Experiment, examples: int) -> int:
    training = experiment.training
    return count_steps(experiment.network, examples, training) // training.epochs


def _load(network: Network, folder: Path, step: int) -> Parts:
    """Return the contents of the checkpoint after a step, by address."""
    paths = Checkpoints(folder / CHECKPOINTS).paths()
    # a run may stop by itself before that
    path = next(path for path in paths if int(path.stem.partition("-")[2]) <= step)
    kept = {name: item for name, item in network.declared().items() if not isinstance(item, Param)}
    ends = list(itertools.accumulate((math.prod(item.shape) for item in kept.values()), initial=0))
    states = dict(zip(kept, itertools.starmap(slice, itertools.pairwise(ends)), strict=True))
    parts: Parts = {group: {} for group in GROUPS}
    for key, value in leaves(read_tree(path)):
        if (
            key.startswith("origin")
            or key == "seconds"
            or (key.startswith("records.") and key.endswith(".seconds"))
        ):
            continue
        group = next(group for group, start in GROUPS.items() if key.startswith(start))
        part, name = parts[group], key.removeprefix(f"{GROUPS[group]}.")
        slices = states if key.endswith(".states") else network.arena.slices
        size = max((where.stop for where in slices.values()), default=0)
        if isinstance(value, np.ndarray) and value.shape[-1:] == (size,):
            what = f"{name} of " if group in ("optimizer", "averages") else ""
            part |= {f"{what}{address}": value[..., where] for address, where in slices.items()}
        else:
            part[name] = value
    return {group: part for group, part in parts.items() if part}


def _differing(a: Parts, b: Parts) -> list[str]:
    """Describe all differences between two states, bit for bit."""
    return [
        f"{group}: {name} ({_extent(part[name], b[group].get(name))})"
        for group, part in a.items()
        for name in part
        if not _same(part[name], b[group].get(name))
    ]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return type(a) is type(b) and repr(a) == repr(b)


def _extent(a: Any, b: Any) -> str:
    """Describe how much two values differ."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and a.shape == b.shape:
        return f"{np.count_nonzero(a != b)} of {a.size} numbers, by up to {abs(a - b).max():.1g}"
    return f"{a} and {b}"


def _sentence(group: str, part: dict[str, Any], other: dict[str, Any]) -> str:
    """Describe the comparison of a group of values."""
    numbers = sum(np.size(value) for value in part.values())
    same = not _differing({group: part}, {group: other})
    return f"{group:<12}{numbers:>12,} values  {'the same' if same else 'DIFFERENT'}"


def _hint(experiment: Experiment) -> str:
    """Return advice on where to look for state that is missing in a checkpoint."""
    training = experiment.training
    parts = {
        **dict(experiment.network.layers()),
        "loss": experiment.network.loss,
        "optimizer": experiment.optimizer,
        "augmentation": training.augmentation,
        "average": training.average,
        **{f"callbacks.{i}": callback for i, callback in enumerate(training.callbacks)},
    }
    own = [
        f"{type(part).__name__} ({address})"
        for address, part in parts.items()
        if part is not None and is_own(type(part))
    ]
    named = f" Your own classes here are {', '.join(own)}." if own else ""
    return (
        "What a layer keeps from step to step has to be a State, what an optimizer keeps has to be "
        "in its slots, and what a callback keeps has to be in its state_dict; all random numbers "
        f"have to come from the generator `rng`.{named}"
    )
