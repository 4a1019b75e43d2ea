"""Checks of a class when it is defined: options without annotation, and misspelt methods.

What is found here would otherwise be ignored without a word, or fail in Python's words.
"""

from __future__ import annotations

import sys
from abc import ABC
from dataclasses import Field, fields, is_dataclass
from inspect import CO_VARARGS, CO_VARKEYWORDS, Parameter, signature
from types import FunctionType
from typing import Any

from layerkit.errors import ConfigError
from layerkit.guidance import is_own

ALIASES = {
    "forward": "__call__ call",
    "backward": "grad gradient gradients",
    "losses": "__call__ call forward loss",
    "gradients": "backward grad gradient",
    "update": "__call__ step apply",
    "fill": "__call__ init initialize",
    "factor": "__call__ get_lr lr",
    "share": "__call__",
    "__call__": "apply augment call forward transform",
}
"""Methods that a subclass has to write, and what others call them."""


def check_definition(cls: Any) -> None:
    """Check what the body of a subclass of Configurable says.

    Raises
    ------
    ConfigError
        With the line to write.
    """
    for name, value in list(vars(cls).items()):
        if isinstance(value, FunctionType):
            _check_method(cls, name, value)
        elif not name.startswith("_"):
            _check_attribute(cls, name, value)
    if hasattr(cls, "slots") and hasattr(cls, "update"):
        _check_slots(cls)


def shared_default(cls: Any) -> str:
    """Return the sentence about a default that can be changed, and all would share; "" if none."""
    found = [
        (name, value, kind)
        for name, kind in _annotated(cls).items()
        if type(value := vars(cls).get(name)).__hash__ is None
    ]
    if not found:
        return ""
    name, value, kind = found[0]
    empty = isinstance(value, list | dict) and not value
    made = type(value).__name__ if empty else f"lambda: {value!r}"
    kind = kind.__name__ if isinstance(kind, type) else kind
    return (
        f"{cls.__name__}.{name} = {value!r}: all objects would share it: write {name}: "
        f"{kind} = field(default_factory={made}), with field from dataclasses"
    )


def missing_methods(cls: Any) -> str:
    """Return the sentence about methods that a class has to write before it can have objects."""
    lines = [f"def {written(cls, name)}" for name in _order(cls)]
    return f"{cls.__name__} has to write {' and '.join(lines)}"


def _order(cls: Any) -> list[str]:
    """The names of the abstract methods, in the order of their definition."""
    every = [name for base in reversed(cls.__mro__) for name in vars(base)]
    return [name for name in dict.fromkeys(every) if name in cls.__abstractmethods__]


def written(cls: Any, name: str) -> str:
    """Return a method as a subclass writes it, such as ``update(self, w, g, m)``."""
    words: list[str] = []
    for parameter in signature(_original(cls, name)).parameters.values():
        if parameter.kind is Parameter.VAR_POSITIONAL:  # slots of an optimizer; or xs, shapes
            words += getattr(cls, parameter.name, [parameter.name.removesuffix("s")])
        elif parameter.kind is not Parameter.VAR_KEYWORD:
            words.append(parameter.name)
        elif name == "forward":
            words.append("train=True")
    return f"{name}({', '.join(words)})"


def _original(cls: Any, name: str) -> Any:
    """The method of layerkit's own that a method overrides; None if there is none."""
    for base in reversed(cls.__mro__[1:]):
        if name in vars(base) and not is_own(base):
            return vars(base)[name]
    return None


def _check_method(cls: Any, name: str, function: FunctionType) -> None:
    """Refuse a method under another name than it is called by, or with other arguments."""
    for meant, names in ALIASES.items():
        abstract = getattr(getattr(cls, meant, None), "__isabstractmethod__", False)
        if (
            name in names.split()
            and abstract
            and meant not in vars(cls)
            and ABC not in cls.__bases__
        ):
            raise ConfigError(
                f"{cls.__name__}.{name}: write def {written(cls, meant)} instead; the base class "
                "does the rest"
            )
    original = _original(cls, name)
    if original is None and not name.startswith("_"):
        methods = [f for f in vars(cls).values() if isinstance(f, FunctionType)]
        used = {n for method in methods for n in method.__code__.co_names}
        known = {n for base in cls.__mro__[1:] for n in vars(base)} - vars(cls).keys()
        for meant in [n for n in sorted(known) if name not in used and _one_edit(name, n)]:
            base = _original(cls, meant)
            if isinstance(base, FunctionType) and _takes(function, base):
                raise ConfigError(
                    f"{cls.__name__}.{name}: nobody calls it; did you mean {written(cls, meant)}?"
                )
    if isinstance(original, FunctionType) and not _takes(function, original):
        raise ConfigError(
            f"{cls.__name__}.{_given(name, function)}: should be {written(cls, name)}"
        )
    if name == "forward" and original is not None and written(cls, name).endswith("train=True)"):
        code = function.__code__
        named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if "train" not in named and not code.co_flags & CO_VARKEYWORDS:
            line = _given(name, function)
            raise ConfigError(
                f"{cls.__name__}.{line}: should be {line[:-1]}, train=True), which is False when "
                "predicting"
            )


def _one_edit(one: str, other: str) -> bool:
    """Whether two names differ by one letter, or by two neighbours that changed places."""
    pairs = zip(one, other, strict=False)
    start = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
    a, b = one[start:], other[start:]
    return any(a[i:] == b[j:] for i, j in ((1, 1), (0, 1), (1, 0))) or (
        a[:2] == b[1::-1] and a[2:] == b[2:]
    )


def _given(name: str, function: FunctionType) -> str:
    """Return a method as it was written, without defaults."""
    code = function.__code__
    return f"{name}({', '.join(code.co_varnames[: code.co_argcount])})"


def _takes(function: FunctionType, original: FunctionType) -> bool:
    """Whether a method takes as many arguments as the one that it overrides."""
    code, count = function.__code__, original.__code__.co_argcount
    any_number = bool(code.co_flags & CO_VARARGS)
    if original.__code__.co_flags & CO_VARARGS:
        return any_number or code.co_argcount >= max(count, 2)
    needed = code.co_argcount - len(function.__defaults__ or ())
    return needed <= count and (count <= code.co_argcount or any_number)


def _annotated(cls: Any) -> dict[str, Any]:
    """Return the annotations in the body of a class, by name."""
    if sys.version_info >= (3, 14):  # where annotations are evaluated when they are asked for
        from annotationlib import Format, get_annotations

        return get_annotations(cls, format=Format.FORWARDREF)
    return dict(vars(cls).get("__annotations__", {}))


def _check_attribute(cls: Any, name: str, value: Any) -> None:
    """Refuse an option without an annotation, which no object would have as its own."""
    part = is_dataclass(value)
    plain = part or not (callable(value) or hasattr(value, "__get__"))
    if not plain or name in _annotated(cls) or name.isupper() or name in cls.reserved:
        return
    options = {option.name: option for option in fields(cls)}
    if name not in options and any(name in vars(base) for base in cls.__mro__[1:]):
        return
    where, kind = f"{cls.__name__}.{name} = {value!r}", type(value).__name__
    if isinstance(value, Field):
        raise ConfigError(f"{cls.__name__}.{name}: has no type: write {name}: … = field(…)")
    if name in options:
        known = getattr(options[name].type, "__name__", options[name].type)
        raise ConfigError(f"{where}: has no type: write {name}: {known} = {value!r}")
    if part:
        family = _family(type(value))
        line = f"{name}: {family} = field(default_factory=lambda: {value!r})"
        raise ConfigError(f"{where}: has no type: write {line}, with field from dataclasses")
    method = next((m for m in ("train_begin", "build") if hasattr(cls, m)), "")
    inside = f", self.{name} = {value!r} in {method} for what changes" if method else ""
    if isinstance(value, bool | int | float | str | tuple | None):
        raise ConfigError(
            f"{where}: write {name}: {kind} = {value!r} for an option{inside}, or "
            f"{name.upper()} = {value!r} for a constant"
        )
    line = f"assign it in {method or 'a method'}, self.{name} = …"
    if isinstance(value, list | dict):
        line = f"write {name}: {kind} = field(default_factory={kind}) for an option{inside}"
    raise ConfigError(f"{where}: all objects would share it: {line}")


def _family(cls: Any) -> str:
    """The base class of a family, such as Initializer."""
    names = [base.__name__ for base in cls.__mro__]
    return names[names.index("Configurable") - 1]


def _check_slots(cls: Any) -> None:
    """Check that the arguments of an optimizer's `update` are w, g and its slots, in this order."""
    name, slots, update = cls.__name__, cls.slots, vars(cls).get("update")
    if isinstance(slots, str):
        raise ConfigError(f'{name}.slots = "{slots}": write slots = ("{slots}",), with a comma')
    if not isinstance(update, FunctionType) or _original(cls, "allocate") is not cls.allocate:
        return
    code = update.__code__
    names = code.co_varnames[3 : code.co_argcount]
    same_names = [slot for slot in slots if slot in names] == [n for n in names if n in slots]
    same_number = len(names) == len(slots) or code.co_flags & CO_VARARGS
    if not slots and names:
        line = ", ".join(f'"{one}"' for one in names)
        raise ConfigError(f"{name}.{_given('update', update)}: write slots = ({line},) above it")
    if not same_names or not same_number:
        raise ConfigError(
            f"{name}.{_given('update', update)}: with slots = {slots!r} it should be "
            f"{written(cls, 'update')}, in the order of slots"
        )
