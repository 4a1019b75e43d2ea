"""Guidance: attributes and calls of other libraries end in a sentence that names ours."""

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Any


def is_own(cls: type) -> bool:
    """Whether a class is a user's own, and not layerkit's."""
    return not cls.__module__.startswith("layerkit.")


def to_install(extra: str) -> str:
    """Return how to install an extra; layerkit is not on a package index."""
    return f"in layerkit's folder, pip install -e '.[{extra}]'"


@cache
def foreign_names() -> frozenset[str]:
    """All names of other libraries that we know."""
    from layerkit.foreign import BY_NAME, SYNONYMS

    return frozenset(" ".join([*SYNONYMS.values(), *map(" ".join, BY_NAME.values())]).split())


class Guided:
    """Base class of objects that say what an attribute of other libraries is called here."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property that failed: its own error says more
                return object.__getattribute__(self, name)
            raise self._missing(name)

    def _missing(self, name: str) -> AttributeError:
        hint = "" if name.startswith("_") else self._hint(name)
        message = f"{type(self).__name__} has no attribute {name!r}{hint}"
        return AttributeError(message, name=name, obj=self)

    def assigned(self) -> dict[str, str]:
        """Return the attributes that nobody reads, set by users of other libraries, with hints.

        Looked at before training: a look at each assignment would cost every step.
        """
        cls = type(self)
        if is_own(cls):
            return {}
        ours = {*getattr(cls, "reserved", ()), *getattr(cls, "__dataclass_fields__", ())}
        names = vars(self).keys() & foreign_names() - ours
        return {name: hint for name in names if (hint := Guided._hint(self, name))}

    def _hint(self, name: str) -> str:
        """Return what to add to the error about an attribute that is missing."""
        return advice(name, type(self), getattr(type(self), "__dataclass_fields__", ()))


class Refused:
    """An attribute of other libraries that is refused where it is set: nobody would read it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, part: Any, owner: type) -> Any:
        if part is None:
            return self
        raise part._missing(self.name)

    def __set__(self, part: Any, value: Any) -> None:
        raise part._missing(self.name)


def not_called(part: Any, *args: Any, **options: Any) -> Any:
    """Refuse the call that other libraries have, and say which method to use instead.

    Raises
    ------
    TypeError
        Always.
    """
    raise TypeError(f"{type(part).__name__} is not called{advice('__call__', type(part))}")


def advice(name: str, kind: type | str, known: Collection[str] = ()) -> str:
    """Return what to add to an error about a name of another library; see `translated`."""
    from layerkit.foreign import translated

    hint = translated(name, kind, known)
    return hint and f"; {hint}"
