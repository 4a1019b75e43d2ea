"""Helpers shared by the checks of all families."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.config.options import Configurable
from layerkit.config.tables import from_config, to_config
from layerkit.errors import RecordingError
from layerkit.inspection.mistakes import mistake, read_only
from layerkit.inspection.notebook import Lines
from layerkit.streams import stream

H = 1e-5
"""The step of the difference quotients."""
TRIED = 60
"""Number of elements of an array whose derivatives are checked; they are drawn at random."""


Law: TypeAlias = Callable[[], object]
"""Raises an AssertionError if it is broken."""
Laws: TypeAlias = Iterable[tuple[str, Law]]
"""The laws of a family by name, in such an order that the cause of a mistake is named first."""


def run(laws: Laws, report: bool) -> str | None:
    """Check all laws: raise what is said of the first that is broken, or return a table of all.

    An error shows the lines of the user's own code, and none of the checks. What can't be recorded
    is no error: it costs its recording and nothing else, and has a dash in the table.
    """
    __tracebackhide__ = True
    lines, said = [], set[str]()
    for name, error in findings(laws):
        unrecorded = isinstance(error, RecordingError)
        if error and not report and not unrecorded:
            raise error
        sentence = f": {error}" if error and str(error) not in said else ""
        said.add(str(error))
        lines.append(f"{'-' if unrecorded else '✗' if error else '✓'} {name}{sentence}")
    return Lines("\n".join(lines)) if report else None


class Finding(NamedTuple):
    """A law, and what is said of it; None if it holds."""

    law: str
    error: Exception | None


def findings(laws: Laws) -> Iterator[Finding]:
    """Check one law after the other."""
    for name, law in laws:
        yield Finding(name, broken(law))


_writable: ContextVar[bool] = ContextVar("writable", default=False)


@contextmanager
def writable() -> Iterator[None]:
    """Hand out arrays that can be written to, so that one who does is judged by the rest."""
    before = _writable.set(True)
    try:
        yield
    finally:
        _writable.reset(before)


def lent(array: Array) -> Array:
    """Return an array as the checks hand it out: a view that can't be written to."""
    return array.copy() if _writable.get() else read_only(array)


def wrote(error: Exception | None) -> bool:
    """Whether an error is about a write to what was lent."""
    cause = getattr(error, "__cause__", None)
    return isinstance(cause, ValueError) and "read-only" in str(cause)


def broken(law: Law) -> Exception | None:
    """Return what is said of a law; None if it holds."""
    try:
        law()
    except AssertionError as error:
        cause = error.__cause__
        while cause and (trace := cause.__traceback__) and _is_ours(trace):
            cause.__traceback__ = trace.tb_next
        return error.with_traceback(None)
    except Exception as error:  # of a check that an earlier mistake has misled
        return error
    return None


def _is_ours(trace: TracebackType) -> bool:
    module = str(trace.tb_frame.f_globals.get("__name__"))
    return module.startswith("layerkit.testing")


def require(right: bool, sentence: str) -> None:
    """Raise an AssertionError with the sentence unless `right`."""
    if not right:
        raise AssertionError(sentence)


@contextmanager
def calling(what: str, law: str = "") -> Iterator[None]:
    """Turn any exception into an AssertionError; a write to a read-only array breaks the law."""
    try:
        yield
    except Exception as error:
        if sentence := mistake(error, law):
            raise AssertionError(f"{what} {sentence}") from error
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}") from error


def normal(shape: Shape, seed: int, dtype: str = "float64") -> Array:
    """Draw from the normal distribution, always the same numbers for the same seed."""
    return stream(seed, "normal numbers").standard_normal(shape).astype(dtype)


def close(a: Array, b: Array) -> bool:
    """Whether two arrays agree up to rounding in float64."""
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-12)


def require_like(what: str, ours: Array, right: Array, like: object) -> None:
    """Raise an AssertionError unless an array is that which the other object has returned."""
    require(
        ours.shape == right.shape, f"{what} has shape {ours.shape}, and {right.shape} with {like}"
    )
    if close(ours, right):
        return
    worst = np.unravel_index(abs(ours - right).argmax(), ours.shape)
    place = [int(i) for i in worst]
    factor = float((ours * right).sum() / (right * right).sum()) if right.any() else 0.0
    times = np.allclose(ours, factor * right, rtol=1e-4)
    raise AssertionError(
        f"{what} is {times_of(factor)} that of {like}"
        if times
        else f"{what}{place} is {ours[worst]:.4g}, and {right[worst]:.4g} with {like}"
    )


def times_of(factor: float) -> str:
    """Return how many times something is too large, even where that is hardly at all.

    Examples
    --------
    >>> times_of(1.41421), times_of(0.99999995)
    ('1.414 times', '1 - 5e-08 times')
    """
    if f"{factor:.4g}" != "1":
        return f"{factor:.4g} times"
    return f"1 {'+' if factor > 1 else '-'} {abs(factor - 1):.1g} times"


def require_objects(family: type, *parts: Any) -> None:
    """Raise an AssertionError for a class instead of an object, or one of another family."""
    __tracebackhide__ = True
    for part in parts:
        if isinstance(part, type):
            name = part.__name__
            raise AssertionError(f"{name} is a class: give an object, {name}()")
        if not isinstance(part, family | None):
            raise AssertionError(f"{part!r}: should be of type {family.__name__}")


def check_options(part: Configurable) -> None:
    """Check that the options are fields, so that configuration files and copies have them."""
    name = type(part).__name__
    with calling(f"{name}: from_config(to_config({part}))"):
        table = json.loads(json.dumps(to_config(part), allow_nan=False))
        same = from_config(table, type(part))
    require(
        same == part,
        f"{name}: the configuration {table} makes {same}, not {part}; don't change options",
    )


def copies(part: Any) -> dict[str, Any]:
    """Return copies, by the way in which each was made."""
    copies = {"copy.deepcopy": copy.deepcopy(part)}
    if getattr(sys.modules.get(type(part).__module__), type(part).__qualname__, None) is type(part):
        copies["pickle"] = pickle.loads(pickle.dumps(part))
    return copies


def check_derivative(what: str, f: Callable[[], float], v: Array, dv: Array, noise: float) -> None:
    """Check the gradient dv of f against difference quotients; f reads v.

    The left and the right quotient enclose the derivative; where they differ much, f has a kink.
    """
    tried = stream(0, "elements tried").permutation(v.size)[:TRIED]
    middle, right, left = f(), np.empty(len(tried)), np.empty(len(tried))
    for i, element in enumerate(tried):
        old = v.flat[element]
        v.flat[element] = old + H
        right[i] = (f() - middle) / H
        v.flat[element] = old - H
        left[i] = (middle - f()) / H
        v.flat[element] = old
    true, ours, bend = (left + right) / 2, dv.flat[tried], abs(right - left)
    scale = float(abs(true).max())
    smooth = bend <= 1e-2 * scale + noise
    require(
        bool(smooth.mean() > 0.5),
        f"{what} can't be checked: forward has a jump or a kink at most of the elements tried",
    )
    true, ours, tried = true[smooth], ours[smooth], tried[smooth]
    excess = abs(ours - true) - bend[smooth]
    worst = int(excess.argmax())
    index = [int(i) for i in np.unravel_index(tried[worst], v.shape)]
    require(
        bool(excess[worst] <= 1e-5 * scale + noise),
        f"{what}{index} is {ours[worst]:.4g}, but difference quotients of forward give "
        f"{true[worst]:.4g}{_cause(ours, true)}",
    )


def _cause(ours: Array, true: Array) -> str:
    factor = float(ours @ true / (true @ true)) if true.any() else 1.0
    if np.allclose(ours, factor * true, rtol=1e-4, atol=1e-4 * abs(true).max()):
        return f"; it is {factor:.4g} times the right value everywhere: a factor or a sign is wrong"
    return "; the formula is wrong, or a sum goes over the wrong axis"
