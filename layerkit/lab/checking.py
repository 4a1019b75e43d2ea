"""The checks of an exercise: its laws by what a student calls them, each with one sentence."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from layerkit.config.own_modules import where_it_failed
from layerkit.errors import LayerkitError
from layerkit.initializers.base import Initializer
from layerkit.lab.exercises import Exercise
from layerkit.layers.base import Layer
from layerkit.losses.base import Loss
from layerkit.optimizers.base import Optimizer
from layerkit.optimizers.schedules.base import Schedule
from layerkit.testing.common import Laws, broken, writable, wrote
from layerkit.testing.initializers import initializer_laws
from layerkit.testing.layers import layer_laws
from layerkit.testing.losses import loss_laws
from layerkit.testing.optimizers import optimizer_laws
from layerkit.testing.schedules import schedule_laws

FAMILIES = (Layer, Loss, Optimizer, Schedule, Initializer)
RUNS, ARRAYS, SAME = "runs", "arrays", "same"
CHECKS = {
    RUNS: "it can be called, and returns what it should: arrays of the right shapes",
    "gradient": "backward is the derivative of forward, compared with difference quotients",
    "descent": "its steps lead downhill",
    "float32": "float32 stays float32, and nothing overflows",
    ARRAYS: "it writes to no array that is not its own: x, dy, z or g",
    "batches": "no batch, no row and no prediction depends on another",
    "saving": "copies, checkpoints and configuration files know all of it",
    SAME: "its outputs, losses or steps are those of layerkit's own",
}
"""The checks in the order of a table, and what each of them asks."""

OF_LAW = {
    "adapt": RUNS,
    "asked again": RUNS,
    "a step": RUNS,
    "batches are independent": "batches",
    "checkpoints": "saving",
    "copies": "saving",
    "derivative": "gradient",
    "derivatives": "gradient",
    "gradients without dx": "gradient",
    "large outputs": "float32",
    "nothing is shared": "saving",
    "options": "saving",
    "positions": "batches",
    "prediction": "batches",
    "results last": ARRAYS,
    "rows": "batches",
    "sample weights": "batches",
    "weights of positions": "batches",
}
"""The check to which a law belongs, where its name does not say so; all others: it runs."""


class Verdict(NamedTuple):
    """The verdict of a check.

    Parameters
    ----------
    check : str
    right : bool, optional
        None for a mistake that may come from another one: that it doesn't run yet.
    sentence : str
        About the mistake.
    """

    check: str
    right: bool | None
    sentence: str = ""


def check_exercise(exercise: Exercise, path: str | Path) -> list[Verdict]:
    """Run the file of an exercise and check what is in it; all checks, also after a failure."""
    path = Path(path)
    try:
        part = _part(exercise, path)
    except AssertionError as error:
        return [Verdict(RUNS, False, str(error))]
    sentences: dict[str, str] = {}
    """The first sentence of each check, or an empty one."""
    certain = {RUNS}

    def note(check: str, sentence: str) -> None:
        sentences[check] = sentences.get(check) or sentence

    for law, check in _laws(exercise, part):
        found = broken(check)
        if wrote(found):
            certain.add(ARRAYS)
            note(ARRAYS, _sentence(found, exercise, path))
            with writable():
                found = broken(check)
        elif isinstance(part, Layer | Loss | Optimizer):
            note(ARRAYS, "")
        if not wrote(found):
            note(_check_of(law), _sentence(found, exercise, path))
    order = [name for name in [*CHECKS, *exercise.checks] if name in sentences]
    runs = not sentences.get(RUNS)
    return [
        Verdict(name, not said or (False if runs or name in certain else None), said)
        for name, said in ((name, sentences[name]) for name in dict.fromkeys(order))
    ]


def _part(exercise: Exercise, path: Path) -> Any:
    """Return the object, or the function, that the file of an exercise defines."""
    name = f"lab_{exercise.name}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
        found = getattr(module, exercise.part, None)
        if found is None:
            raise AssertionError(
                f"{path.name} has no {exercise.part}: keep the names of the starting file"
            )
        _check_kind(exercise, path, found)
        return found(**exercise.options) if isinstance(found, type) else found
    except AssertionError:
        raise
    except Exception as error:
        said = where_it_failed(error, [str(path)])
        raise AssertionError(said.replace(str(path), path.name)) from error


def _check_kind(exercise: Exercise, path: Path, found: Any) -> None:
    """Raise an AssertionError unless the part is what the exercise asks for, as no law fits it."""
    part, like, head = exercise.part, exercise.like, exercise.head
    families = next(((base,) for base in FAMILIES if isinstance(like, base)), FAMILIES)
    if isinstance(found, type):
        right = issubclass(found, families) or not (like or "(" in head)
    else:
        right = callable(found) and not (like or head.startswith("class"))
    if not right:
        raise AssertionError(f"{path.name}: {part} should begin as in the starting file, {head}")


def _laws(exercise: Exercise, part: Any) -> Laws:
    like = exercise.like
    if isinstance(part, Layer):
        yield from layer_laws(part, exercise.shapes, like=like)
    elif isinstance(part, Loss):
        yield from loss_laws(part, exercise.shapes[0], exercise.targets, like=like)
    elif isinstance(part, Optimizer):
        yield from optimizer_laws(part, like=like)
    elif isinstance(part, Schedule):
        yield from schedule_laws(part)
    elif isinstance(part, Initializer):
        yield from initializer_laws(part, exercise.shapes[0])
    for name, check in exercise.checks.items():
        yield f"check {name}", partial(check, part)


def _check_of(law: str) -> str:
    if law.startswith("check "):
        return law.removeprefix("check ")
    if law.startswith("like "):
        return SAME
    if law.startswith("downhill"):
        return "descent"
    return OF_LAW.get(law, "float32" if law.endswith("float32") else RUNS)


def _sentence(error: Exception | None, exercise: Exercise, path: Path) -> str:
    """Return what is said of a mistake, with the line of the student's file that raised it."""
    if error is None:
        return ""
    cause = error.__cause__ if isinstance(error, AssertionError) else error
    trace = traceback.extract_tb(cause.__traceback__ if cause else None)
    own = [frame for frame in trace if frame.filename == str(path.resolve())]
    text = str(error).strip()
    if own and isinstance(cause, NotImplementedError):
        names = dict.fromkeys([exercise.part, own[-1].name])  # once for a function
        text = f"{'.'.join(names)} is still to be written"
    elif not isinstance(error, AssertionError | LayerkitError):
        text = f"{type(error).__name__}: {text}"
    return f"{text} ({path.name}, line {own[-1].lineno})" if own else text


def without_line(sentence: str) -> str:
    """Return a sentence without the line of the file.

    Examples
    --------
    >>> without_line("MyReLU.forward raised NameError: ... (relu.py, line 19)")
    'MyReLU.forward raised NameError: ...'
    """
    return re.sub(r"^\S+\.py, line \d+: | \(\S+\.py, line \d+\)$", "", sentence)
