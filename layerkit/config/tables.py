"""Plain data <-> objects: the tables of configuration files.

The one rule: `type` names a class, every other key is one of its options; a table with a `type`
is an object, a list is a list. Where the option itself names the class, `type` may be left out.
"""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, TypeVar, cast, get_args, get_origin

from layerkit.config.checks import Wrong, checked, hints
from layerkit.config.options import Configurable, is_required, mistaken, ordered_fields
from layerkit.errors import ConfigError, LayerkitError, listed, suggestion

Part = TypeVar("Part", bound=Configurable)


def to_config(part: Configurable) -> dict[str, Any]:
    """Describe `part` in plain data; `from_config` makes an equal object of it.

    Options that are None are left out, since TOML has no word for it; so are empty tables.

    Parameters
    ----------
    part : Configurable
        A layer, a loss, an optimizer or any other object with options.

    Raises
    ------
    ConfigError
        For an option that is a Python function, which no file can hold.

    Examples
    --------
    >>> from layerkit import Dense, ReLU, Sequential
    >>> to_config(Sequential([Dense(64), ReLU()]))
    {'type': 'Sequential', 'layers': [{'type': 'Dense', 'units': 64, 'bias': True}, \
{'type': 'ReLU'}]}
    """
    annotations = hints(type(part))

    def plain(value: Any, declared: Any = None) -> Any:
        if isinstance(value, Configurable):
            table = to_config(value)
            if type(value) is declared:
                del table["type"]
            return table
        if callable(value):
            raise ConfigError(
                f"{type(part).__name__} has a Python function, {value}, which no file can hold: "
                "write a class of your own instead"
            )
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    values = {option.name: getattr(part, option.name) for option in ordered_fields(type(part))}
    return {"type": type(part).__name__} | {
        name: plain(value, annotations[name])
        for name, value in values.items()
        if value is not None and value != {}
    }


def from_config(table: dict[str, Any], wanted: type[Part]) -> Part:
    """Make the object that `table` describes: a `wanted` or one of its subclasses.

    Parameters
    ----------
    table : dict
        `type` names a class, and every other key is one of its options.
    wanted : type
        The class of the result, or a base of it, such as ``Layer``.

    Raises
    ------
    ConfigError
        With all that is wrong in the whole table, one line each: where, the value, what is allowed.

    Examples
    --------
    >>> from layerkit import Layer
    >>> from_config({"type": "Dense", "units": 64}, Layer)
    Dense(units=64)
    >>> from_config({"type": "Dens", "units": 64}, Layer)
    Traceback (most recent call last):
    ...
    layerkit.errors.ConfigError: type = 'Dens': unknown; did you mean 'Dense'? (a class of your \
own has to be imported first: --import FILE.py)
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{table!r}: should be a table that describes {_a(wanted)}")
    problems: list[str] = []
    try:
        part = _build(table, wanted, "", problems)
    except RecursionError:
        raise ConfigError("tables too deep inside each other for Python") from None
    if problems:
        raise ConfigError("\n".join(problems))
    return cast(Part, part)


def choices_for(wanted: type[Configurable]) -> list[type[Configurable]]:
    """All classes that are allowed where a `wanted` is declared, sorted by name."""
    known = Configurable.registry | {wanted.__name__: wanted}
    return [
        cls
        for _, cls in sorted(known.items())
        if issubclass(cls, wanted) and not inspect.isabstract(cls)
    ]


def _build(
    value: Any,
    wanted: type[Configurable] | None,
    path: str,
    problems: list[str],
    mapping: bool = False,
) -> Any:
    """Turn tables into objects from the leaves up; what is wrong is added to `problems`.

    With `mapping`, `value` is not an object itself, but a table of objects by name. An object where
    none is wanted is made, too: it is refused for what it is.
    """
    if isinstance(value, list):
        return [_build(item, wanted, _join(path, i), problems) for i, item in enumerate(value)]
    named = isinstance(value, dict) and isinstance(value.get("type"), str)
    if wanted is None and named and value["type"] in Configurable.registry:
        wanted = Configurable
    if wanted is None or not isinstance(value, dict):
        return value
    if mapping and not named:
        return {
            name: _build(item, wanted, _join(path, name), problems) for name, item in value.items()
        }
    cls = _named_class(value, wanted, path, problems)
    return cls and _object(cls, value, path, problems)


def _object(
    cls: type[Configurable], table: dict[str, Any], path: str, problems: list[str]
) -> Configurable | None:
    """Make an object of `cls` with the options in a table, if nothing is wrong."""
    annotations, options = hints(cls), {option.name: option for option in fields(cls)}
    found: dict[str, Any] = {}
    before_all = len(problems)
    for name in [key for key in table if key != "type"]:
        if name not in options:
            hint = suggestion(name, [option.name for option in ordered_fields(cls)], cls)
            problems.append(f"{_join(path, name)}: {cls.__name__} has no such option{hint}")
            continue
        before, mapping = len(problems), get_origin(annotations[name]) is dict
        part = table[name]
        if not _is_free(annotations[name]):
            part = _build(part, _declared(annotations[name]), _join(path, name), problems, mapping)
        if len(problems) == before:
            found[name] = part
    for name, option in options.items():
        if name not in table and is_required(option):
            problems.append(f"{_join(path, name)}: missing; {cls.__name__} needs it")
    try:
        checked(cls, found)
    except Wrong as wrong:
        problems += [_join(path, line) for line in wrong.lines()]
        problems[-1] += mistaken(cls, wrong)
    if len(problems) > before_all:
        return None
    try:
        return cls(**found)
    except LayerkitError as error:
        problems.append(f"{_join(path, error.place)}: {error}")
        return None


def _named_class(
    table: dict[str, Any], wanted: type[Configurable], path: str, problems: list[str]
) -> type[Configurable] | None:
    """The class that a table names; otherwise say why not."""
    choices = {choice.__name__: choice for choice in choices_for(wanted)}
    name = table.get("type", None if inspect.isabstract(wanted) else wanted.__name__)
    if isinstance(name, str) and name in choices:
        return choices[name]
    where, hint = f"{_join(path, 'type')} = {name!r}", suggestion(str(name), list(choices), wanted)
    known = Configurable.registry.get(name) if isinstance(name, str) else None
    if name is None:
        reason = f"{_join(path, 'type')}: missing; one of {listed(choices)}"
    elif known is None:
        first = "a class of your own has to be imported first: --import FILE.py"
        reason = f"{where}: unknown{hint} ({first})"
    elif issubclass(known, wanted):
        reason = f"{where}: is a whole family; one of {listed(choices)}"
    else:
        reason = f"{where}: is not {_a(wanted)}{hint}"
    problems.append(reason)
    return None


def _is_free(hint: Any) -> bool:
    """Whether an annotation allows tables as they are, such as the choices of a sweep."""
    return hint is Any or any(map(_is_free, get_args(hint)))


def _declared(hint: Any) -> type[Configurable] | None:
    """The Configurable that a field of this type holds, alone, in a list or as one of several."""
    if isinstance(hint, type) and issubclass(hint, Configurable):
        return hint
    return next((cls for cls in map(_declared, get_args(hint)) if cls), None)


def _join(path: str, name: str | int) -> str:
    return f"{path}.{name}".strip(".")


def _a(cls: type) -> str:
    return f"{'an' if cls.__name__[0] in 'AEIOU' else 'a'} {cls.__name__}"
