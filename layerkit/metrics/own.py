"""Metrics of your own: functions and scorers, which files name after --import.

y, predicted    true values and predictions: (N,), or (N, D) for several numbers or labels
z               outputs of the network, which a scorer is given in place of the examples: (N, D)
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from functools import cache
from inspect import Parameter, signature
from numbers import Real
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.config.own_modules import IMPORTED
from layerkit.errors import ConfigError, LayerkitError, LayerkitWarning, warn
from layerkit.inspection.mistakes import mistake, read_only, shown
from layerkit.metrics.scoring import Regressor

WRITES_TO_Y = "writes to what it is given: make a new array, y = y + 1, not y += 1"


class MetricWarning(LayerkitWarning):
    """A user's own metric is not finite."""


def own_metrics() -> dict[str, list[Any]]:
    """Return the functions and scorers at the top level of the imported files, by name."""
    found: dict[str, list[Any]] = {}
    for module in IMPORTED.values():
        for name, value in vars(module).items():
            defined = isinstance(value, FunctionType) and value.__module__ == module.__name__
            if not name.startswith("_") and (defined or hasattr(value, "_score_func")):
                found.setdefault(name, []).append(value)
    return found


def own_metric(name: str) -> Any:
    """Return the function or scorer of this name; None if no imported file has one.

    Raises
    ------
    ConfigError
        If two files have one.
    """
    found = own_metrics().get(name, [])
    if len(found) > 1:
        places = " and".join(map(place_of, found))
        raise ConfigError(f"metrics: {name!r} is in two files{places}: rename one of them")
    return found[0] if found else None


def name_of(metric: Any) -> str:
    """Return the name of a function, or of that in a scorer; ConfigError for a lambda."""
    function = _function(metric)
    name = getattr(function, "__name__", type(function).__name__)
    if name == "<lambda>":
        raise ConfigError(
            "metrics: a lambda has no name for the records: write a function, "
            "def tolerance(y, predicted): …"
        )
    return str(name)


def place_of(metric: Any, error: Exception | None = None) -> str:
    """Return the file and the line of a function, or the last of its lines that an error passed."""
    code = getattr(_function(metric), "__code__", None)
    if code is None or is_scikit_learns(metric):
        return ""
    frames = traceback.extract_tb(error.__traceback__ if error else None)
    lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    path = Path(code.co_filename)
    shown_path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f" ({shown_path}, line {lines[-1] if lines else code.co_firstlineno})"


def is_scikit_learns(metric: Any) -> bool:
    """Whether a function, or that in a scorer, is scikit-learn's."""
    return str(getattr(_function(metric), "__module__", "")).startswith("sklearn.")


def takes_predictions(metric: Any) -> bool:
    """Whether this is a function of (y, predicted), and not a scorer of (estimator, x, y).

    Raises
    ------
    ConfigError
        For other arguments, and for a function of scikit-learn, which may take probabilities.
    """
    if hasattr(metric, "_score_func"):
        return False
    name, parameters = name_of(metric), signature(metric).parameters.values()
    needed = [
        p.name
        for p in parameters
        if p.default is Parameter.empty
        and p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    if is_scikit_learns(metric):
        raise ConfigError(
            f"metrics: {name!r} is a function of scikit-learn: write make_scorer({name}), with "
            'response_method="predict_proba" if it takes probabilities'
        )
    if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters) or len(needed) == 3:
        return False
    if len(needed) != 2:
        raise ConfigError(
            f"metrics: {name}({', '.join(needed)}){place_of(metric)}: should be "
            f"{name}(y, predicted), or {name}(estimator, x, y) for a scorer"
        )
    return True


def score_own(
    name: str, metric: Any, estimator: Regressor, z: Array, y: Array, options: dict[str, Any]
) -> Any:
    """Call a function or a scorer with arrays that it can't change, and look at its result.

    Raises
    ------
    ConfigError
        For a result that is not a number, or for ``_per_class`` one number for each class, and
        for a function that writes to its arguments.
    """
    try:
        if takes_predictions(metric):
            value = metric(read_only(y), read_only(estimator.predict(z)), **options)
        else:
            value = metric(estimator, read_only(z), read_only(y), **options)
    except LayerkitError:
        raise
    except Exception as error:
        if sentence := mistake(error, WRITES_TO_Y):
            raise ConfigError(f"metrics: {name!r}{place_of(metric, error)} {sentence}") from error
        error.add_note(f"in the metric {name}")
        raise
    several = name.endswith("_per_class")
    if several and np.shape(value) == (estimator.outputs,):
        return value
    if not isinstance(value, Real | np.bool) and not (
        isinstance(value, np.ndarray) and not value.ndim and value.dtype.kind in "biuf"
    ):
        remedy = ""
        if value is None:
            remedy = ": write return at its end"
        elif isinstance(value, np.ndarray):
            remedy = ": write return ….mean()"
        wanted = f"an array ({estimator.outputs},), one number for each class"
        raise ConfigError(
            f"metrics: {name!r}{place_of(metric)} returns {shown(value)}; should be "
            f"{wanted if several else 'a number'}{'' if several else remedy}"
        )
    return value


def warn_if_not_finite(name: str, metric: Any, value: float) -> None:
    """Warn once that a user's own metric is nan or infinite."""
    if not math.isfinite(value):
        _warn(f"metrics: {name!r}{place_of(metric)} is {value}; should be a finite number")


@cache
def _warn(sentence: str) -> None:
    warn(sentence, MetricWarning)


def _function(metric: Callable[..., Any]) -> Any:
    function = getattr(metric, "_score_func", metric)  # of a scorer that make_scorer made
    return getattr(function, "func", function)  # of a partial
