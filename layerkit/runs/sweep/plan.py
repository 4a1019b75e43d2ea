"""The plan of a sweep, from its file: the experiment, the search space, and the search method."""

from __future__ import annotations

import copy
import itertools
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from layerkit.config.options import Configurable, Limits, Size
from layerkit.config.tables import from_config, to_config
from layerkit.config.toml import change, read_toml
from layerkit.errors import ConfigError, LayerkitError, LayerkitWarning, at, listed, suggestion
from layerkit.runs.experiment import Experiment, make_experiment

OWN = {"training.seed": "seeds", "training.threads": "jobs"}
"""Options of an experiment that a sweep sets itself, and the sweep's options they come from."""


class Axis(Configurable):
    """One axis of the search space, a range or a list of choices: an entry of ``[search]``.

    Parameters
    ----------
    low, high : float
        A range, ends included. Integers only if the option is an integer.
    log : bool
        Search on a logarithmic scale, as suits a learning rate.
    points : int, optional
        The number of values of the range in a grid.
    choices : list, optional
        The values themselves, instead of a range: numbers, strings, whole tables. In a file the
        entry is the list itself, such as ``[32, 64]``.

    Raises
    ------
    ConfigError
        For a range that is empty, or one that starts at 0 or below and is logarithmic.

    Examples
    --------
    >>> Axis(low=0.001, high=1.0, log=True, points=4).values()
    [0.001, 0.01, 0.1, 1.0]
    >>> Axis(choices=[{"type": "SGD", "lr": 0.5}, {"type": "Adam"}]).values()
    ['{type = "SGD", lr = 0.5}', '{type = "Adam"}']
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    points: Annotated[int, Limits(ge=2)] | None = None
    choices: list[Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.choices is None:
            if self.low is None or self.high is None:
                raise ConfigError("low, high: a range needs both ends")
            if self.low >= self.high:
                raise ConfigError(f"low = {self.low}, high = {self.high}: should be low < high")
            if self.log and self.low <= 0:
                raise ConfigError(f"low = {self.low}: should be greater than 0 where log = true")
            return
        if (self.low, self.high, self.points, self.log) != (None, None, None, False):
            raise ConfigError("choices: not allowed together with a range")
        if not self.choices:
            raise ConfigError("choices: should not be empty")
        if len(set(self.values())) < len(self.choices):
            raise ConfigError(f"choices = [{listed(self.values())}]: a value is listed twice")

    @property
    def integer(self) -> bool:
        """Whether this is a range of integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def real(self) -> Axis:
        """Return the same range with real numbers."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=float(self.low), high=float(self.high))

    def values(self) -> list[Any]:
        """Return the values in a grid: choices as TOML strings, points of a range as numbers."""
        if self.low is None or self.high is None:
            return [to_toml(choice) for choice in self.choices or ()]
        low, high, last = self.low, self.high, (self.points or 2) - 1
        shares = [i / last for i in range(last + 1)]
        if self.log:
            values = [low * (high / low) ** share for share in shares]
        else:
            values = [low + (high - low) * share for share in shares]
        if self.integer:
            return sorted({round(value) for value in values})
        # rounded so that 0.01 is written as 0.01, but not past the ends
        inner = [float(f"{value:.10g}") for value in values[1:-1]]
        return [float(low), *inner, float(high)]

    def ends(self) -> list[Any]:
        """Return the values to check an option with: all choices, or both ends of the range."""
        return self.values() if self.choices else [self.low, self.high]


class Sweep(Configurable):
    """The search method and the objective: the ``[sweep]`` table.

    Parameters
    ----------
    method : {"grid", "random", "bayesian"}
        Grid search, random search, or Bayesian optimization: values are drawn where earlier
        trials were good, by a tree-structured Parzen estimator, see Bergstra et al. (2011),
        "Algorithms for Hyper-Parameter Optimization", section 4.
    trials : int, optional
        The number of combinations to try; a grid has its own number.
    seeds : int
        The number of runs of each trial: with ``training.seed`` and the seeds after it. The
        objective is their mean.
    jobs : int
        The number of trials at a time, each in a process of its own with one BLAS thread.
    monitor : str
        The metric to optimize, such as ``validation_loss``, after the last epoch.
    direction : {"minimize", "maximize"}, optional
        By default losses and errors are minimized, all other metrics maximized. A function of your
        own needs one.
    storage : str, optional
        Where the trials are stored, for several machines to share: a file, an Optuna URL such as
        ``postgresql://…``, or the ``grpc://HOST:PORT`` of a ``layerkit sweep FILE --serve``; by
        default ``journal.log`` in the sweep's folder.
    seed : int
        The seed of the search.
    """

    method: Literal["grid", "random", "bayesian"]
    trials: Size | None = None
    seeds: Size = 1
    jobs: Size = 1
    monitor: str = "validation_accuracy"
    direction: Literal["minimize", "maximize"] | None = None
    storage: str | None = None
    seed: Annotated[int, Limits(ge=0)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "grid" and self.trials:
            raise ConfigError(
                f"trials = {self.trials}: not allowed for a grid, which tries all combinations"
            )
        if self.method != "grid" and not self.trials:
            raise ConfigError("trials: missing; how many combinations should be tried?")

    @property
    def minimizes(self) -> bool:
        """Whether the smallest value of the metric is the best."""
        by_name = self.monitor.endswith(("loss", "mae", "rmse"))
        return by_name if self.direction is None else self.direction == "minimize"


class SweepFile(Configurable):
    """The tables of a sweep's file, apart from those of the experiment."""

    sweep: Sweep
    search: dict[str, Axis]
    base: str | None = None

    def check(self) -> None:
        """Raise a ConfigError if the tables don't fit together."""
        problems = [
            f"search.{name}: is set by sweep.{OWN[name]}" for name in OWN if name in self.search
        ]
        if not self.search:
            problems.append("search: should name the options to search, such as optimizer.lr")
        for name, axis in self.search.items():
            if axis.choices is None and self.sweep.method == "grid" and axis.points is None:
                problems.append(
                    f"search.{name}.points: missing; how many values of the range should be tried?"
                )
            if axis.points is not None and self.sweep.method != "grid":
                problems.append(f"search.{name}.points = {axis.points}: only for a grid")
        if problems:
            raise ConfigError("\n".join(problems))


@dataclass(frozen=True)
class Plan:
    """The contents of a sweep's file, with the tables of the experiment that it names or holds.

    Parameters
    ----------
    path : Path
        The sweep's file.
    experiment : dict
        The tables of the experiment.
    sweep : Sweep
        The ``[sweep]`` table.
    search : dict of str to Axis
        The ``[search]`` table: an axis for each option, by its address, such as
        ``"optimizer.lr"``.
    """

    path: Path
    experiment: dict[str, Any] = field(repr=False)
    sweep: Sweep
    search: dict[str, Axis]

    @property
    def name(self) -> str:
        """The name of the sweep in its storage."""
        return self.path.stem

    def grid(self) -> list[dict[str, Any]]:
        """Return all combinations, the last option changing fastest."""
        values = [axis.values() for axis in self.search.values()]
        return [dict(zip(self.search, row, strict=True)) for row in itertools.product(*values)]

    def first(self) -> dict[str, Any]:
        """Return one combination, to check things with."""
        return {name: axis.ends()[0] for name, axis in self.search.items()}

    def trials(self) -> int:
        """Return the number of combinations to try."""
        return self.sweep.trials or len(self.grid())

    def seeds(self) -> list[int]:
        """Return the seeds that each combination is run with."""
        first = self.experiment.get("training", {}).get("seed", 0)
        return list(range(first, first + self.sweep.seeds))

    def identity(self) -> dict[str, Any]:
        """Return what must not change when a sweep is continued: all but its length and storage."""
        sweep, search = to_config(self.sweep), map(to_config, self.search.values())
        for name in ("trials", "jobs", "storage"):
            sweep.pop(name, None)
        return {
            "sweep": sweep,
            "search": dict(zip(self.search, search, strict=True)),
            "experiment": self.experiment,
        }

    def make(self, params: Mapping[str, Any], seed: int | None = None) -> Experiment:
        """Return the experiment with these values, as ``layerkit train`` does with ``--set``."""
        table = copy.deepcopy(self.experiment)
        for setting in settings(params, seed):
            change(table, setting)
        with warnings.catch_warnings():  # reading the plan has given them
            warnings.simplefilter("ignore", LayerkitWarning)
            return make_experiment(table)

    def checked(self) -> Plan:
        """Check each option with the ends of its range; return the plan, real ranges as floats.

        Raises
        ------
        ConfigError
            For options that the experiment doesn't have, and values that they don't take: all at
            once.
        """
        problems: list[str] = []
        for name, axis in self.search.items():
            above = {
                other: values
                for other, values in self.first().items()
                if name.startswith(f"{other}.")
            }
            for value in axis.ends():
                try:
                    self.make({**above, name: value})
                except LayerkitError as error:
                    problems += str(error).removeprefix("--set ").splitlines()
        if problems:
            raise ConfigError("\n".join(dict.fromkeys(problems)))
        config = to_config(self.make(self.first()))
        search = {
            name: axis.real() if isinstance(_look_up(config, name), float) else axis
            for name, axis in self.search.items()
        }
        return replace(self, search=search)


def read_plan(path: str | Path) -> Plan:
    """Read a sweep's file.

    Raises
    ------
    FileError
        If the file, or the one that ``base`` names, can't be read or is not TOML.
    ConfigError
        For invalid options: all at once.
    """
    path = Path(path)
    table = read_toml(path)
    names = [option.name for option in fields(SweepFile)]
    own = {name: table.pop(name) for name in names if name in table}
    if isinstance(own.get("search"), dict):
        own["search"] = _axes(own["search"])
    with at(str(path)):
        file = from_config(own, SweepFile)
        file.check()
        if file.base and table:
            raise ConfigError(
                f"base = {file.base!r} names an experiment, but the file has one, too: "
                f"{', '.join(table)}"
            )
        if not file.base and not table:
            raise ConfigError(
                "base: missing; should name the experiment's file, unless this one has its tables"
            )
    base = path.parent / file.base if file.base else path
    with at(f"{path}: base"):
        experiment = read_toml(base) if file.base else table
    with at(str(base)):
        if folds := make_experiment(copy.deepcopy(experiment)).training.folds:
            raise ConfigError(
                f"training.folds = {folds}: not in a sweep, which compares by the validation set; "
                "leave it out, and cross-validate the best of its experiments"
            )
    with at(str(path)):
        return Plan(path, experiment, file.sweep, file.search).checked()


def settings(params: Mapping[str, Any], seed: int | None = None) -> list[str]:
    """Return these values as arguments of ``layerkit train --set``, whole tables first.

    Examples
    --------
    >>> settings({"optimizer.lr": 0.01, "optimizer": '{type = "Adam"}'}, seed=3)
    ['optimizer={type = "Adam"}', 'optimizer.lr=0.01', 'training.threads=1', 'training.seed=3']
    """
    names = sorted(params, key=lambda name: name.count("."))
    own = ["training.threads=1"] + ([] if seed is None else [f"training.seed={seed}"])
    return [f"{name}={params[name]}" for name in names] + own


def to_toml(value: Any) -> str:
    """Return a value as TOML in one line.

    Examples
    --------
    >>> print(to_toml({"type": "SGD", "lr": 0.5, "rates": {"body.*.b": 0.1}}))
    {type = "SGD", lr = 0.5, rates = {"body.*.b" = 0.1}}
    """
    if isinstance(value, dict):
        pairs = [
            f"{key if re.fullmatch('[A-Za-z0-9_-]+', key) else json.dumps(key)} = {to_toml(item)}"
            for key, item in value.items()
        ]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(to_toml, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def short_names(addresses: list[str]) -> dict[str, str]:
    """Shorten each address to the end that distinguishes it from the others.

    Examples
    --------
    >>> short_names(["optimizer.lr", "body.layers.0.units", "body.layers.2.units"])
    {'optimizer.lr': 'lr', 'body.layers.0.units': '0.units', 'body.layers.2.units': '2.units'}
    """
    short = {}
    for address in addresses:
        parts = address.split(".")
        ends = [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]
        short[address] = next(
            end
            for end in ends
            if not end.isdecimal() and sum(f".{a}".endswith(f".{end}") for a in addresses) == 1
        )
    return short


def check_monitor(sweep: Sweep, measured: list[str], undirected: list[str]) -> None:
    """Raise a ConfigError for a metric that is not measured, or without a known direction."""
    monitor = sweep.monitor
    if monitor in measured:
        name = monitor.partition("_")[2].partition("_class_")[0]
        if sweep.direction is None and name in undirected:
            raise ConfigError(
                f"sweep.monitor = {monitor!r}: is a metric of your own: set direction to "
                '"minimize" or "maximize"'
            )
        return
    validated = any(name.startswith("validation_") for name in measured)
    if monitor.startswith("validation_") and not validated:
        raise ConfigError(
            f"sweep.monitor = {monitor!r}: needs a validation set, such as [data] validation_size "
            "= 0.1. To choose by the test set, which then tells nothing about new examples any "
            f"more, set monitor = {monitor.replace('validation', 'test')!r}"
        )
    hint = ". With a validation set, the test set is not measured" * monitor.startswith("test_")
    raise ConfigError(
        f"sweep.monitor = {monitor!r}: is not measured{suggestion(monitor, measured)}{hint}"
    )


def _axes(table: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Collect the entries of ``[search]``, whose addresses are quoted or nested tables."""
    axes: dict[str, Any] = {}
    for name, value in table.items():
        if not isinstance(value, dict):
            axes[path + name] = {"choices": value}
        elif {"low", "high", "choices"} & value.keys():
            axes[path + name] = value
        else:
            axes |= _axes(value, f"{path}{name}.")
    return axes


def _look_up(config: Any, address: str) -> Any:
    for name in address.split("."):
        config = config[int(name) if isinstance(config, list) else name]
    return config
