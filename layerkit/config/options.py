"""Configurable: the base class of everything that is built from options.

The annotated fields of a class are its options. They are checked when an object is made, in
Python and in files alike; `layerkit.config.tables` turns objects into plain data and back.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from inspect import Parameter, Signature
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, dataclass_transform

from layerkit.config.checks import Wrong, checked
from layerkit.errors import ConfigError, suggestion
from layerkit.guidance import Guided, advice, is_own

BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "gt": (operator.gt, "should be greater than {}"),
    "ge": (operator.ge, "should be greater than or equal to {}"),
    "lt": (operator.lt, "should be less than {}"),
    "le": (operator.le, "should be less than or equal to {}"),
    "min_length": (lambda items, least: len(items) >= least, "should have at least {} items"),
}


class Limits:
    """Bounds of a number (`gt`, `ge`, `lt`, `le`), or of the length of a list (`min_length`).

    Examples
    --------
    >>> Limits(gt=0, lt=1).problem(1.5)
    'should be less than 1'
    """

    def __init__(self, **limits: float) -> None:
        self.limits = limits
        self.rules = [(*BOUNDS[name], limit) for name, limit in limits.items()]

    def problem(self, value: Any) -> str:
        """Return what is wrong with a value; an empty string if nothing is."""
        if not value and "min_length" in self.limits:
            return "should not be empty"
        for holds, words, limit in self.rules:
            if not holds(value, limit):
                return words.format(limit)
        return ""


Size = Annotated[int, Limits(gt=0, lt=2**63)]
"""A whole number of at least 1, in 64 bits: units, examples, epochs."""
Rate = Annotated[float, Limits(gt=0)]
"""A positive number: a learning rate, an epsilon."""
Decay = Annotated[float, Limits(ge=0, lt=1)]
"""The part of something that is kept, or dropped: from 0 up to, but not including, 1."""
Amount = Annotated[float, Limits(ge=0)]
"""A number that is not negative: a weight, a penalty, a standard deviation."""
Share = Annotated[float, Limits(ge=0, le=1)]
"""A part of a whole, from none to all."""
Ratio = Annotated[float, Limits(gt=0, le=1)]
"""A factor that makes something smaller, or leaves it."""
Fraction = Annotated[float, Limits(gt=0, lt=1)]
"""A part of a whole, neither none nor all."""
Sizes = Annotated[tuple[Size, ...], Limits(min_length=1)]
"""The shape of one example."""


class _Signature:
    """The signature that `inspect` and `help` show for a class: its options."""

    def __get__(self, part: Any, cls: type[Configurable]) -> Signature | None:
        if part is not None:
            return None
        return Signature(
            [
                Parameter(
                    option.name,
                    Parameter.KEYWORD_ONLY if option.kw_only else Parameter.POSITIONAL_OR_KEYWORD,
                    default=Parameter.empty if is_required(option) else default(option),
                    annotation=option.type,
                )
                for option in ordered_fields(cls)
            ]
        )


@dataclass(init=False, repr=False, eq=False, match_args=False)
@dataclass_transform(field_specifiers=(field,))
class Configurable(Guided):
    """Base class of everything that is built from options, such as layers and optimizers.

    A subclass is a dataclass without a decorator: its annotated fields are its options, checked
    when an object is made, and configuration files know it by its name; but not if the name begins
    with `_`, or if the class is local to a function. Objects of one class are equal when their
    options are; `repr` leaves out options that are None, and keyword-only ones that have their
    default.

    Raises
    ------
    ConfigError
        For an option that is unknown or missing, has the wrong type or is out of range.

    Examples
    --------
    >>> from layerkit import from_config, Rate, to_config
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
    __signature__ = _Signature()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            raise ConfigError(
                f"{cls.__name__} has an __init__, of which files and copies would know nothing: "
                "declare its options in the class body instead, as in `units: Size = 64`"
            )
        if is_own(cls):  # a test does it for those, once
            from layerkit.config.definitions import check_definition

            check_definition(cls)
        try:
            # all methods are written once, below: compiling them for each class takes long
            dataclass(cls, init=False, repr=False, eq=False, match_args=False)
        except ValueError as error:
            from layerkit.config.definitions import shared_default

            if sentence := shared_default(cls):
                raise ConfigError(sentence) from error
            _check_fields(cls)  # their order, of which Python 3.11.2 makes no signature
            raise
        _check_fields(cls)
        _register(cls)

    if not TYPE_CHECKING:  # where each class has a constructor of its own, from its fields

        def __new__(cls, /, *values: Any, **options: Any) -> Any:
            if getattr(cls, "__abstractmethods__", None):
                from layerkit.config.definitions import missing_methods

                raise ConfigError(missing_methods(cls))
            return super().__new__(cls)

        def __init__(self, /, *values: Any, **options: Any) -> None:
            given = _by_name(type(self), values, options) if values or options else {}
            for option in fields(self):
                if option.name not in given:
                    given[option.name] = default(option)
            missing = [name for name, value in given.items() if value is MISSING]
            if missing:
                name = type(self).__name__
                lines = [f"{name}.{option}: missing; {name} needs it" for option in missing]
                raise ConfigError("\n".join(lines))
            vars(self).update(given)
            self.__post_init__()

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
        """Check all options, as is done when the object is made; ConfigError if one is wrong."""
        cls = type(self)
        try:
            vars(self).update(checked(cls, Configurable.__getstate__(self)))
        except Wrong as wrong:
            lines = "\n".join(f"{cls.__name__}.{line}" for line in wrong.lines())
            raise ConfigError(lines + mistaken(cls, wrong)) from None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the options by name; if `deep`, also what is inside of them, by address.

        An address is that of files and errors, with `__` for the dots, as scikit-learn has it.

        Examples
        --------
        >>> from layerkit import Dense, ReLU, Sequential
        >>> body = Sequential([Dense(8), ReLU()])
        >>> body.get_params()["layers__0__units"]
        8
        >>> body.set_params(layers__0__units=16)
        Sequential(layers=[Dense(units=16), ReLU()])
        >>> body.set_params(layers__0__unit=16)
        Traceback (most recent call last):
        ...
        layerkit.errors.ConfigError: Sequential has no option 'layers__0__unit'; did you mean \
'layers__0__units'?
        """
        from layerkit.config.addresses import inside

        options = Configurable.__getstate__(self)
        return dict(inside(options)) if deep else options

    def set_params(self, **params: Any) -> Self:
        """Set options by name or address, and return the object; ConfigError if one is wrong."""
        from layerkit.config.addresses import replaced_in

        parts: list[Configurable] = [self]
        parts += [part for part in self.get_params().values() if isinstance(part, Configurable)]
        before = [(part, Configurable.__getstate__(part)) for part in parts]
        try:
            for address in sorted(params, key=lambda address: address.count("__")):
                if address not in (known := self.get_params()):
                    hint = suggestion(address, list(known), type(self))
                    raise ConfigError(f"{type(self).__name__} has no option {address!r}{hint}")
                options = Configurable.__getstate__(self)
                vars(self).update(replaced_in(options, address, params[address]))
            self.check_options()
        except ConfigError:
            for part, options in before:  # those inside may have been changed already
                vars(part).update(options)
            raise
        return self

    def __sklearn_clone__(self) -> Self:
        return copy.deepcopy(self)

    def __getstate__(self) -> dict[str, Any]:
        """A copy or a pickle has the options, and nothing that came later."""
        return {option.name: getattr(self, option.name) for option in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy begins anew, as an object that was made with these options."""
        vars(self).update(state)
        self.__post_init__()


def ordered_fields(cls: type[Configurable]) -> list[Field[Any]]:
    """The fields of a class in the order of its constructor: keyword-only ones come last."""
    return sorted(fields(cls), key=lambda option: option.kw_only is True)


def is_required(option: Field[Any]) -> bool:
    """Whether an option has no default."""
    return option.default is MISSING and option.default_factory is MISSING


def default(option: Field[Any]) -> Any:
    """The value of an option that is not given; MISSING if it has to be given."""
    return option.default if option.default_factory is MISSING else option.default_factory()


def mistaken(cls: type[Configurable], wrong: Wrong) -> str:
    """Return hints on values that are right in another library, or as another option."""
    mistakes = [
        f"{place[0]}={kind.__name__}"
        for place, value, _ in wrong.problems
        for kind in type(value).__mro__
    ]
    return "".join(dict.fromkeys(advice(mistake, cls) for mistake in mistakes))


def _by_name(cls: type[Configurable], values: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Return all options that a constructor is given, with those given by position."""
    known = ordered_fields(cls)
    names, positional = [o.name for o in known], [o.name for o in known if not o.kw_only]
    for name in options:
        if name not in names:
            raise ConfigError(
                f"{cls.__name__} has no option {name!r}{suggestion(name, names, cls)}"
            )
        if name in positional[: len(values)]:
            twice = f"{cls.__name__}.{name}: given twice, by position and by name"
            raise ConfigError(f"{twice}{advice('*', cls)}")
    if len(values) > len(positional):
        raise ConfigError(
            f"{cls.__name__}: {len(values)} values are given by position; it takes "
            f"{f'{len(positional)}: ' if positional else ''}{', '.join(positional) or 'none'}"
            f"{advice('*', cls)}"
        )
    return dict(zip(positional, values, strict=False)) | options


def _check_fields(cls: type[Configurable]) -> None:
    """Refuse names that the base class uses, and an order in which options could not be given."""
    for option in fields(cls):
        if option.name in cls.reserved:
            users = [b for b in cls.__mro__ if option.name in vars(b).get("reserved", ())]
            raise ConfigError(
                f"{cls.__name__}.{option.name}: {users[-1].__name__} has an attribute of this "
                "name; choose another"
            )
    positional = [option for option in fields(cls) if not option.kw_only]
    for before, option in pairwise(positional):
        if is_required(option) and not is_required(before):
            raise ConfigError(
                f"{cls.__name__}.{option.name}: needs a default, since {before.name} before it "
                "has one; or make it keyword-only: field(kw_only=True) from dataclasses"
            )


def _register(cls: type[Configurable]) -> None:
    """Make a class known to configuration files."""
    known = Configurable.registry.get(cls.__name__, cls)
    if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ConfigError(
            f"the name {cls.__name__} is taken by {known.__module__}.{known.__qualname__}; "
            "configuration files could not tell the two apart: choose another name, "
            f"such as My{cls.__name__}"
        )
    if "<locals>" not in cls.__qualname__ and not cls.__name__.startswith("_"):
        Configurable.registry[cls.__name__] = cls
