"""Plain data <-> objects: every option is a field, checked in Python and in TOML alike.

The one rule: `type` names a class, every other key is one of its fields; a table with a `type`
is an object, a list is a list. Where the field itself names the class, `type` may be left out.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, Field, dataclass, field, fields
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from layerkit.errors import ConfigError, LayerkitError, suggestion

if TYPE_CHECKING:
    from pydantic import TypeAdapter


class Limits:
    """What a number may be, in the words of pydantic's core schema: `gt`, `ge`, `lt`, `le` …"""

    def __init__(self, **limits: Any) -> None:
        self.limits = limits

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return {**handler(source), **self.limits}


Size = Annotated[int, Limits(gt=0)]
"""A count of at least one: units, examples, epochs."""
Rate = Annotated[float, Limits(gt=0)]
"""A positive number: a learning rate, an epsilon."""
Decay = Annotated[float, Limits(ge=0, lt=1)]
"""What is kept of a running mean, or dropped: from 0 up to, but not including, 1."""
Amount = Annotated[float, Limits(ge=0)]
"""A number that is not negative: a weight, a penalty, a standard deviation."""
Share = Annotated[float, Limits(ge=0, le=1)]
"""A part of a whole, which may be nothing or all."""
Ratio = Annotated[float, Limits(gt=0, le=1)]
"""What something is multiplied by that gets smaller, or stays."""
Fraction = Annotated[float, Limits(gt=0, lt=1)]
"""A part of a whole, neither nothing nor all."""
Sizes = Annotated[tuple[Size, ...], Limits(strict=False, min_length=1)]
"""The shape of one example. A list will do."""


@dataclass(repr=False, eq=False)
@dataclass_transform(field_specifiers=(field,))
class Configurable:
    """Base of everything that is built from options.

    A subclass is a dataclass without further ado: its annotated fields are its options, checked
    when an object is made, and its name is known to configuration files from then on. Objects of
    one class are equal when their options are; `repr` leaves out options that are None, and
    keyword-only ones that have their default.

    Raises
    ------
    ConfigError
        For a field whose value has the wrong type or is out of range.

    Examples
    --------
    >>> class Scale(Configurable):
    ...     factor: Rate = 1.0
    >>> Scale(factor=2)
    Scale(factor=2.0)
    >>> to_config(Scale())
    {'type': 'Scale', 'factor': 1.0}
    >>> from_config({"type": "Scale", "factor": 3.0}, Scale)
    Scale(factor=3.0)
    >>> Scale(factor=-1.0)
    Traceback (most recent call last):
    ...
    layerkit.errors.ConfigError: Scale.factor = -1.0: should be greater than 0
    """

    registry: ClassVar[dict[str, type[Configurable]]] = {}
    reserved: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        try:
            # the other methods are written once, below: most of the time that dataclass takes
            # goes into compiling them for each class
            dataclass(cls, repr=False, eq=False, match_args=False)
        except ValueError as error:
            raise ConfigError(
                f"{cls.__name__}: {error}, as field(default_factory=ReLU) from dataclasses"
            ) from error
        for option in fields(cls):
            if option.name in cls.reserved:
                raise ConfigError(f"{cls.__name__}.{option.name}: the base class uses this name")
        known = Configurable.registry.get(cls.__name__, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigError(
                f"the name {cls.__name__} is taken by {known.__module__}.{known.__qualname__}; "
                "configuration files could not tell the two apart: choose another name"
            )
        Configurable.registry[cls.__name__] = cls

    def __post_init__(self) -> None:
        self.check_options()

    def __repr__(self) -> str:
        values = [(option, getattr(self, option.name)) for option in ordered_fields(type(self))]
        shown = [
            f"{option.name}={value!r}"
            for option, value in values
            if value is not None and not (option.kw_only and value == default(option))
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return Configurable.__getstate__(self) == Configurable.__getstate__(other)

    def check_options(self) -> None:
        """Check all fields, as is done when the object is made; ConfigError if one is wrong."""
        checked, problems = _check(type(self), Configurable.__getstate__(self))
        if problems:
            raise ConfigError("\n".join(f"{type(self).__name__}.{line}" for line in problems))
        vars(self).update(checked)

    def __getstate__(self) -> dict[str, Any]:
        """A copy or a pickle has the options, and nothing that came later."""
        return {option.name: getattr(self, option.name) for option in fields(self)}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: Any, handler: Any) -> dict[str, str]:
        return {"layerkit": cls.__name__}


Part = TypeVar("Part", bound=Configurable)


def ordered_fields(cls: type[Configurable]) -> list[Field[Any]]:
    """The fields of a class in the order of its constructor: keyword-only ones come last."""
    return sorted(fields(cls), key=lambda option: option.kw_only is True)


def default(option: Field[Any]) -> Any:
    """What an option is if it isn't given; MISSING if it has to be given."""
    return option.default if option.default_factory is MISSING else option.default_factory()


def to_config(part: Configurable) -> dict[str, Any]:
    """Describe `part` in plain data; `from_config` makes an equal object of it.

    Options that are None are left out, since TOML has no word for it; so are empty tables.
    """
    hints = get_type_hints(type(part))

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
        name: plain(value, hints[name])
        for name, value in values.items()
        if value is not None and value != {}
    }


def from_config(table: dict[str, Any], wanted: type[Part]) -> Part:
    """Make the object that `table` describes: a `wanted` or one of its subclasses.

    Raises
    ------
    ConfigError
        With all that is wrong in the whole table, a line each: where, the value, what is allowed.

    Examples
    --------
    >>> from layerkit import Layer
    >>> from_config({"type": "Dense", "units": 64}, Layer)
    Dense(units=64)
    >>> from_config({"type": "Dens", "units": 64}, Layer)
    Traceback (most recent call last):
    ...
    layerkit.errors.ConfigError: type = 'Dens': unknown; did you mean 'Dense'? (a class of your \
own has to be imported first)
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{table!r}: should be a table that describes a {wanted.__name__}")
    problems: list[str] = []
    try:
        part = _build(table, wanted, "", problems)
    except RecursionError:
        raise ConfigError("tables too deep inside each other for Python") from None
    if problems:
        raise ConfigError("\n".join(problems))
    return cast(Part, part)


def _build(
    value: Any,
    wanted: type[Configurable] | None,
    path: str,
    problems: list[str],
    mapping: bool = False,
) -> Any:
    """Turn tables into objects from the leaves up; what is wrong is added to `problems`.

    With `mapping`, `value` is itself no object, but a table of objects by name.
    """
    if isinstance(value, list):
        return [_build(item, wanted, _join(path, i), problems) for i, item in enumerate(value)]
    if wanted is None or not isinstance(value, dict):
        return value
    if mapping:
        return {
            name: _build(item, wanted, _join(path, name), problems) for name, item in value.items()
        }
    cls = _named_class(value, wanted, path, problems)
    if cls is None:
        return None
    hints, options = _hints(cls), {option.name: option for option in fields(cls)}
    found: dict[str, Any] = {}
    before_all = len(problems)
    for name in [key for key in value if key != "type"]:
        if name not in options:
            problems.append(f"{_join(path, name)}: {_unknown_option(name, cls)}")
            continue
        before = len(problems)
        part = _build(
            value[name],
            _declared(hints[name]),
            _join(path, name),
            problems,
            mapping=get_origin(hints[name]) is dict,
        )
        if len(problems) == before:
            found[name] = part
    for name, option in options.items():
        if name not in value and default(option) is MISSING:
            problems.append(f"{_join(path, name)}: missing; {cls.__name__} needs it")
    problems += [_join(path, line) for line in _check(cls, found)[1]]
    if len(problems) > before_all:
        return None
    try:
        return cls(**found)
    except LayerkitError as error:
        problems.append(f"{_join(path, error.place)}: {error}")


def _named_class(
    table: dict[str, Any], wanted: type[Configurable], path: str, problems: list[str]
) -> type[Configurable] | None:
    name = table.get("type", None if inspect.isabstract(wanted) else wanted.__name__)
    cls = Configurable.registry.get(name) if isinstance(name, str) else None
    choices = choices_for(wanted)
    if cls in choices:
        return cls
    where, known = f"{_join(path, 'type')} = {name!r}", [choice.__name__ for choice in choices]
    if name is None:
        reason = f"{_join(path, 'type')}: missing; one of {', '.join(known)}"
    elif cls is None:
        hint = suggestion(str(name), known)
        reason = f"{where}: unknown{hint} (a class of your own has to be imported first)"
    else:
        reason = f"{where}: is no {wanted.__name__}{suggestion(str(name), known)}"
    problems.append(reason)
    return None


def choices_for(wanted: type[Configurable]) -> list[type[Configurable]]:
    """All registered classes that can stand where a `wanted` is declared, by name."""
    return [
        cls
        for _, cls in sorted(Configurable.registry.items())
        if issubclass(cls, wanted) and not inspect.isabstract(cls)
    ]


def _unknown_option(name: str, cls: type[Configurable]) -> str:
    names = [option.name for option in ordered_fields(cls)]
    return f"{cls.__name__} has no such option{suggestion(name, names)}"


def _join(path: str, name: str | int) -> str:
    return f"{path}.{name}".strip(".")


def _hints(cls: type[Configurable]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _declared(hint: Any) -> type[Configurable] | None:
    """The Configurable that a field of this type holds, alone, in a list or as one of several."""
    if isinstance(hint, type) and issubclass(hint, Configurable):
        return hint
    return next((cls for cls in map(_declared, get_args(hint)) if cls), None)


_ADAPTERS: dict[type[Configurable], TypeAdapter[dict[str, Any]]] = {}


def adapter(cls: type[Configurable]) -> TypeAdapter[dict[str, Any]]:
    """What checks the options of a class. Made when first needed: pydantic is slow to import."""
    if cls not in _ADAPTERS:
        import typing_extensions
        from pydantic import ConfigDict, TypeAdapter

        typed_dict: Any = typing_extensions.TypedDict
        hints = _hints(cls)
        options = typed_dict(
            cls.__name__, {f.name: hints[f.name] for f in fields(cls)}, total=False
        )
        options.__pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)
        _ADAPTERS[cls] = TypeAdapter(options)
    return _ADAPTERS[cls]


def _check(cls: type[Configurable], values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the values as the fields want them, and a line for each that is not allowed."""
    if not values:
        return {}, []
    from pydantic import ValidationError

    plain = {name: _without_numpy(value) for name, value in values.items()}
    try:
        return adapter(cls).validate_python(plain), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
        wrong = [e for e in errors if e["type"] != "too_short" or not e["input"]]
        return {}, _lines(cls, wrong)


def _lines(cls: type[Configurable], errors: list[Any]) -> list[str]:
    """A line for each value; where one of several types will do, with all that it may be."""
    hints, wanted = _hints(cls), dict[str, list[str]]()
    deeper = {error["loc"][0] for error in errors if len(error["loc"]) > 2}
    for error in errors:
        name, *place = error["loc"]
        if _is_union(hints[name]):
            del place[0]  # what pydantic calls the type
            if not place and name in deeper:  # another type is the right one
                continue
        where = f"{'.'.join(map(str, (name, *place)))} = {error['input']!r}"
        wanted.setdefault(where, []).append(_sentence(error))
    lines = []
    for where, (first, *others) in wanted.items():
        *middle, last = [first, *(sentence.removeprefix("should be ") for sentence in others)]
        lines.append(f"{where}: {', '.join(middle)}{' or ' if middle else ''}{last}")
    return lines


def _is_union(hint: Any) -> bool:
    """Whether values of several types are allowed, beside None."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else ()
    return len(set(members) - {NoneType}) > 1


def _without_numpy(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_without_numpy(item) for item in value)
    if isinstance(value, dict):
        return {key: _without_numpy(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


KINDS = {
    "int_type": "should be a whole number",
    "float_type": "should be a number",
    "string_type": "should be text",
    "list_type": "should be a list",
    "tuple_type": "should be a list",
    "dict_type": "should be a table",
    "too_short": "should not be empty",
}


def _sentence(error: Any) -> str:
    if error["type"] == "is_instance_of":
        if error["ctx"]["class"] == "Path":
            return "should be a path"
        if isinstance(error["input"], type):
            return f"is a class; should be an object, as {error['input'].__name__}()"
        name = error["input"] if isinstance(error["input"], str) else "…"
        return f'should be of type {error["ctx"]["class"]}; in a file: {{type = "{name}"}}'
    message: str = KINDS.get(error["type"], error["msg"]).replace("Input should", "should")
    return message[0].lower() + message[1:]
