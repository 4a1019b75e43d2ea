"""Guidance: attributes and calls of other libraries end in a sentence that names ours."""

from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING, Any


def is_own(cls: type) -> bool:
    """Whether a class is a user's own, and not layerkit's."""
    return not cls.__module__.startswith("layerkit.")


@cache
def foreign_names() -> frozenset[str]:
    """All names of other libraries that we know."""
    from layerkit.foreign import BY_NAME, SYNONYMS

    return frozenset(" ".join([*SYNONYMS.values(), *map(" ".join, BY_NAME.values())]).split())


class Guided:
    """Base class of objects that say what an attribute of other libraries is called here.

    Of layerkit's classes, it can't be assigned either, since nobody would read it.
    """

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(type(self), name):  # a property that failed: its own error says more
                return object.__getattribute__(self, name)
            hint = "" if name.startswith("_") else self._hint(name)
            message = f"{type(self).__name__} has no attribute {name!r}{hint}"
            raise AttributeError(message, name=name, obj=self)

        def __setattr__(self, name: str, value: Any) -> None:
            if name in foreign_names() and not (is_own(type(self)) or hasattr(self, name)):
                self._check_assigned(name)
            super().__setattr__(name, value)

    def _check_assigned(self, name: str) -> None:
        """Raise the error about an attribute that is missing, if there is a hint for it."""
        if name not in getattr(type(self), "reserved", ()) and Guided._hint(self, name):
            getattr(self, name)

    def _hint(self, name: str) -> str:
        """Return what to add to the error about an attribute that is missing."""
        return advice(name, type(self), getattr(type(self), "__dataclass_fields__", ()))


def not_called(part: Any, *args: Any, **options: Any) -> Any:
    """Take the place of `__call__`, and say which method is meant.

    Raises
    ------
    TypeError
    """
    raise TypeError(f"{type(part).__name__} is not called{advice('__call__', type(part))}")


def advice(name: str, kind: type | str, known: Collection[str] = ()) -> str:
    """Return what to add to an error about a name of another library; see `translated`."""
    from layerkit.foreign import translated

    hint = translated(name, kind, known)
    return hint and f"; {hint}"
