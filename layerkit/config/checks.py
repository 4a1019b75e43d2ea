"""Checking values against annotations: what `int`, `list[str]` or `Literal["a", "b"]` allows.

Each annotation becomes a function, once per class: it returns a value as the annotation wants it,
or raises `Wrong`. The checks are strict: a bool is not an int, and no string becomes a number. But
an int becomes a float where one is wanted, a list a tuple and a tuple a list, a NumPy scalar a
Python number, and an array or a range a list.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from functools import cache, partial
from itertools import repeat
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from layerkit.errors import ConfigError, nearest

Check = Callable[[Any], Any]
PLAIN: dict[Any, tuple[Callable[[Any], bool], str]] = {
    Any: (lambda value: True, ""),
    int: (lambda value: isinstance(value, int) and not isinstance(value, bool), "a whole number"),
    str: (lambda value: isinstance(value, str), "a string"),
    bool: (lambda value: isinstance(value, bool), "true or false"),
    Path: (lambda value: isinstance(value, Path), "a path"),
    NoneType: (lambda value: value is None, "None"),
    Callable: (callable, "a Python function; no file can hold one: write a class of your own"),
}


class Wrong(Exception):  # noqa: N818
    """Values that an annotation does not allow: for each its place, itself, what it should be."""

    def __init__(self, *problems: tuple[tuple[Any, ...], Any, str]) -> None:
        self.problems = problems

    def lines(self) -> list[str]:
        """One line per value; where several types are allowed, it names all of them."""
        found: dict[str, list[str]] = {}
        for place, value, sentence in self.problems:
            found.setdefault(f"{'.'.join(map(str, place))} = {value!r}", []).append(sentence)
        return [
            f"{where}: {_any_of([first, *(text.removeprefix('should be ') for text in others)])}"
            for where, (first, *others) in found.items()
        ]


def checked(cls: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return options of a class as its annotations want them.

    Raises
    ------
    Wrong
        With all values that are not allowed.
    ConfigError
        For an annotation that `check_for` does not know.
    """
    checks = _checks(cls)
    items = [(name, checks[name], _without_numpy(value)) for name, value in values.items()]
    return dict(zip(values, _all(items), strict=True))


def check_kind(name: str, value: Any, kind: type, order: str) -> None:
    """Raise a ConfigError for an argument of another type, such as a class; `order` has all."""
    if not isinstance(value, kind):
        hint = f"; the arguments are {order}"
        if isinstance(value, type):
            hint = f", such as {value.__name__}()"
        shown = reprlib.repr(value) if hasattr(value, "__len__") else repr(value)
        raise ConfigError(f"{name} = {shown}: should be of type {kind.__name__}{hint}")


def hints(cls: Any) -> dict[str, Any]:
    """The annotations of a class and its bases."""
    return _hints(cls)


_hints = cache(partial(get_type_hints, include_extras=True))


@cache
def _checks(cls: type) -> dict[str, Check]:
    annotations, checks = hints(cls), {}
    for option in fields(cls):
        try:
            checks[option.name] = check_for(annotations[option.name])
        except TypeError as error:
            raise ConfigError(
                f"{cls.__name__}.{option.name}: {option.type}: {error} can't be the type of an "
                "option; these can: int, float, str, bool, None, Literal, list, tuple, dict, Path, "
                "Callable, Any, classes of layerkit and their subclasses, and unions of all these"
            ) from None
    return checks


def check_for(annotation: Any) -> Check:
    """Return the function that checks values against an annotation; TypeError if it is unknown.

    What follows the type in ``Annotated`` has a method ``problem``: it says what is wrong with a
    value of the right type, and returns an empty string if nothing is.
    """
    kind, args = get_origin(annotation) or annotation, get_args(annotation)
    if kind in PLAIN:
        return partial(_plain, *PLAIN[kind])
    if kind is float:
        return _float
    if kind is Literal:
        return partial(_literal, args)
    if kind is Annotated and all(hasattr(limit, "problem") for limit in args[1:]):
        return partial(_limited, check_for(args[0]), args[1:])
    if kind in (Union, UnionType):
        checks = [check_for(member) for member in args if member is not NoneType]
        check = partial(_union, checks, NoneType in args)
        return partial(_path_as_text, check) if {str, Path} <= {*args} else check
    if kind in (list, tuple):
        args = args or (Any, ...)
        checks = [check_for(item) for item in args if item is not ...]
        return partial(_sequence, kind, checks, kind is tuple and ... not in args)
    if kind is dict:
        return partial(_dict, *map(check_for, args or (str, Any)))
    if isinstance(kind, type) and is_dataclass(kind):
        return partial(_instance, kind)
    raise TypeError(annotation)


def _plain(allowed: Callable[[Any], bool], words: str, value: Any) -> Any:
    if allowed(value):
        return value
    raise Wrong(((), value, f"should be {words}"))


def _float(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise Wrong(((), value, "should be a number"))
    if not abs(value) <= sys.float_info.max:
        raise Wrong(((), value, "should be a finite number"))
    return float(value)


def _limited(check: Check, limits: Sequence[Any], value: Any) -> Any:
    allowed = check(value)
    for limit in limits:
        if problem := limit.problem(allowed):
            raise Wrong(((), value, problem))
    return allowed


def _literal(allowed: Sequence[Any], value: Any) -> Any:
    if any(type(value) is type(word) and value == word for word in allowed):
        return value
    raise Wrong(((), value, f"should be {_any_of([repr(word) for word in allowed])}"))


def _union(checks: Sequence[Check], optional: bool, value: Any) -> Any:
    """The first type that allows the value; else all types, or those that allow all but items."""
    if optional and value is None:
        return None
    problems: list[Any] = []
    for check in checks:
        try:
            return check(value)
        except Wrong as wrong:
            problems += wrong.problems
    raise Wrong(*([problem for problem in problems if problem[0]] or problems))


def _path_as_text(check: Check, value: Any) -> Any:
    """A path as a string, which a file can hold."""
    allowed = check(value)
    return str(allowed) if isinstance(allowed, Path) else allowed


def _sequence(kind: Any, checks: Sequence[Check], fixed: bool, value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        name = "list or tuple" if kind is tuple else "list"
        raise Wrong(((), value, f"should be a {name}{_example_list(kind, checks[0], value)}"))
    if fixed and len(value) != len(checks):
        raise Wrong(((), value, f"should have {len(checks)} items"))
    of_items = checks if fixed else repeat(checks[0], len(value))
    return kind(_all(zip(range(len(value)), of_items, value, strict=True)))


def _example_list(kind: Any, check: Check, value: Any) -> str:
    """The list that may be meant, where an item is given alone."""
    try:
        return f" such as {kind([check(value)])!r}"
    except Wrong:
        return ""


def _dict(key: Check, item: Check, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise Wrong(((), value, "should be a table"))
    keys = [(f"{name}.[key]", key, name) for name in value]
    items = [(name, item, value[name]) for name in value]
    both = _all(keys + items)
    return dict(zip(both[: len(keys)], both[len(keys) :], strict=True))


def _instance(cls: type, value: Any) -> Any:
    if isinstance(value, cls):
        return value
    if isinstance(value, type):
        raise Wrong(((), value, f"is a class; should be an object, such as {value.__name__}()"))
    known = getattr(cls, "registry", {})
    choices = [name for name, part in known.items() if issubclass(part, cls)]
    exact = value in choices
    meant = nearest(value, choices) if isinstance(value, str) and not exact else ""
    kind = f"{cls.__name__} ({meant})" if meant else cls.__name__
    table = f'type = "{value if exact else "…"}"'
    if choices == [cls.__name__] and fields(cls):  # such as Checkpoints
        table = ", ".join(f"{option.name} = …" for option in fields(cls))
    raise Wrong(((), value, f"should be of type {kind}; in a file: {{{table}}}"))


def _all(items: Iterable[tuple[Any, Check, Any]]) -> list[Any]:
    """Check values, each with its name and its check, and collect all that is wrong."""
    values, problems = [], []
    for name, check, value in items:
        try:
            values.append(check(value))
        except Wrong as wrong:
            problems += [((name, *place), bad, text) for place, bad, text in wrong.problems]
    if problems:
        raise Wrong(*problems)
    return values


def _without_numpy(value: Any) -> Any:
    """Replace NumPy's scalars and arrays by Python's, inside lists and tables too; ranges too."""
    if isinstance(value, (list, tuple)):
        return (list if isinstance(value, list) else tuple)(map(_without_numpy, value))
    if isinstance(value, dict):
        return {key: _without_numpy(item) for key, item in value.items()}
    if isinstance(value, range):
        return list(value)
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def _any_of(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
