"""Errors and warnings, with a base class each, and did-you-mean."""

import contextlib
import difflib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, NamedTuple

__all__ = [
    "ConfigError",
    "DataError",
    "DivergenceError",
    "FileError",
    "LayerkitError",
    "LayerkitWarning",
    "RecordingError",
    "ShapeError",
]


class LayerkitError(ValueError):
    """Base class of layerkit's errors: the message says what is wrong, `place` says where.

    Parameters
    ----------
    message : str
        A sentence that says what is wrong, with the value, and what is allowed.

    Attributes
    ----------
    place : str
        Where it is wrong, such as ``body.layers.2``, or empty.

    Examples
    --------
    >>> from layerkit import Dense, LayerkitError, MeanSquaredError, Network, Reshape, Sequential
    >>> try:
    ...     Network(Sequential([Dense(3), Reshape((2,))]), MeanSquaredError(), shape=(4,))
    ... except LayerkitError as error:
    ...     print(f"{type(error).__name__}, {error.place}: {error.args[0]}")
    ShapeError, body.layers.1: Reshape(shape=(2,)) takes examples of 2 numbers; (3,) has 3
    """

    row: "Row | None" = None
    """Of an error about a value of one example, which: a file may have other words for it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.place = ""


class Row(NamedTuple):
    """A message about a value of one example, before and after the words for its place.

    `where` is the index of the value in `array`: "x" for inputs, "y" for targets, "w" for weights.
    """

    before: str
    where: tuple[int, ...]
    after: str
    array: str = "y"

    @property
    def words(self) -> str:
        """The index in words, such as ``example 7, position 2``."""
        example, *rest = self.where
        if self.array == "x" and rest:
            return f"x{list(self.where)}"
        where = str(rest[0]) if len(rest) == 1 else str(tuple(rest))
        return f"example {example}" + f", position {where}" * bool(rest)


class ShapeError(LayerkitError):
    """Arrays or layers whose shapes don't fit together.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network
    >>> net = Network(Dense(2), MeanSquaredError(), shape=(3,))
    >>> net.predict([[1.0, 2.0]])
    Traceback (most recent call last):
    ...
    layerkit.errors.ShapeError: examples have shape (1, 2); should be (N, 3)
    """


class DataError(LayerkitError):
    """Examples or labels that can't be used: NaN, a label out of range, a damaged data file."""


class ConfigError(LayerkitError):
    """An option that is unknown, missing, mistyped or out of range."""


class FileError(LayerkitError):
    """A file that can't be written, or can't be read as what it should be."""


class DivergenceError(LayerkitError):
    """Training reached a value that is not finite; the message says where the first one is."""


def row_error(
    before: str, where: tuple[int, ...], after: str, array: str = "y", kind: Any = DataError
) -> LayerkitError:
    """Return the error about a value of one example, as in `Row`.

    Examples
    --------
    >>> raise row_error("label 5 of ", (7, 2), "; should be at most 3")
    Traceback (most recent call last):
    ...
    layerkit.errors.DataError: label 5 of example 7, position 2; should be at most 3
    """
    row = Row(before, where, after, array)
    error: LayerkitError = kind(before + row.words + after)
    error.row = row
    return error


class RecordingError(LayerkitError):
    """Something that can't be recorded, such as a decision by the value of a number."""


class LayerkitWarning(UserWarning):
    """Base class of layerkit's warnings."""


INNER = (os.path.dirname(__file__) + os.sep, contextlib.__file__)
"""Where the paths of files begin whose lines a warning does not point at."""


def caller() -> FrameType:
    """Return the frame of the line which called layerkit."""
    frame = sys._getframe()
    while frame.f_back and frame.f_code.co_filename.startswith(INNER):
        frame = frame.f_back
    return frame


def warn(sentence: str, kind: type[LayerkitWarning], frame: FrameType | None = None) -> None:
    """Give a warning that points at the line which called layerkit, or at that of `frame`."""
    frame = frame or caller()
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(
        sentence, kind, frame.f_code.co_filename, frame.f_lineno, registry=registry
    )


@contextlib.contextmanager
def at(place: str) -> Iterator[None]:
    """Context manager: says of every `LayerkitError` raised inside that it happened at `place`.

    Examples
    --------
    >>> from layerkit import ShapeError
    >>> try:
    ...     with at("body.layers.2"):
    ...         raise ShapeError("Dense takes rows of features")
    ... except ShapeError as error:
    ...     print(f"{error.place}: {error}")
    body.layers.2: Dense takes rows of features
    """
    try:
        yield
    except LayerkitError as error:
        if not error.place:
            error.place = place
            error.add_note(f"at {place}")
        raise


@contextlib.contextmanager
def at_examples(first: int, count: int, address: str = "") -> Iterator[None]:
    """Say of every `LayerkitError` raised inside that it is about these of the examples."""
    try:
        yield
    except LayerkitError as error:
        if error.row:
            where = (first + error.row.where[0], *error.row.where[1:])
            error.row = error.row._replace(where=where)
            error.args = (error.row.before + error.row.words + error.row.after,)
        with at(f"{address}examples {first} to {first + count - 1}"):
            raise


LISTED = 20
"""At most this many names are listed in an error."""


def listed(names: Iterable[str]) -> str:
    """Join names for an error; of a long list, the first ones and how many more there are.

    Examples
    --------
    >>> listed("abc")
    'a, b, c'
    >>> listed(map(str, range(3000)))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 … (2,980 more)'
    """
    known = list(names)
    more = f" … ({len(known) - LISTED:,} more)" if len(known) > LISTED else ""
    return ", ".join(known[:LISTED]) + more


def nearest(name: str, names: list[str], kind: type | str = "") -> str:
    """Return which of the known names may be meant, as a sentence; empty if none is near.

    Parameters
    ----------
    name : str
    names : list of str
        All that are known.
    kind : type or str
        The class whose options these names are, or "metrics".

    Examples
    --------
    >>> nearest("val_loss", ["train_loss", "validation_loss"])
    "here it is called 'validation_loss'"
    """
    from layerkit.foreign import translated

    if hint := translated(name, kind, names):
        return hint
    by_lower_case = {known.lower(): known for known in names}
    close = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"did you mean {by_lower_case[close[0]]!r}?" if close else ""


def suggestion(name: str, names: list[str], kind: type | str = "") -> str:
    """Return what to add to an error about an unknown name: the nearest known one, or a list.

    Examples
    --------
    >>> suggestion("Dence", ["Dense", "ReLU"])
    "; did you mean 'Dense'?"
    >>> suggestion("Linear", ["Dense", "Bilinear"])
    "; here it is called 'Dense'"
    """
    hint = nearest(name, names, kind)
    if hint:
        return f"; {hint}"
    return f"; known are {listed(names)}" if names else "; it has none"
