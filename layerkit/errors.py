"""What can go wrong: one small family, so that `except LayerkitError` catches all of it."""

from collections.abc import Iterator
from contextlib import contextmanager


class LayerkitError(ValueError):
    """Base of layerkit's errors: the message says what is wrong, `place` says where.

    Parameters
    ----------
    message : str
        What is wrong, with the value, and what is allowed.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.place = ""


@contextmanager
def at(place: str) -> Iterator[None]:
    """Say of every `LayerkitError` raised inside that it happened at `place`.

    Examples
    --------
    >>> with at("body.layers.2"):
    ...     raise ShapeError("Dense takes rows of features")
    Traceback (most recent call last):
    ...
    layerkit.errors.ShapeError: Dense takes rows of features
    at body.layers.2
    """
    try:
        yield
    except LayerkitError as error:
        if not error.place:
            error.place = place
            error.add_note(f"at {place}")
        raise


class ShapeError(LayerkitError):
    """Arrays or layers whose shapes don't fit together."""


class DataError(LayerkitError):
    """Examples or labels that can't be used: NaN, a label out of range, a damaged data file."""


class ConfigError(LayerkitError):
    """An option that is unknown, missing, mistyped or out of range."""


class FileError(LayerkitError):
    """A file that can't be read as what it should be, or can't be written."""


class DivergenceError(LayerkitError):
    """Training reached a value that is not finite."""
