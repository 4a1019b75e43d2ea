"""Labels of classes: their type in an array of Python objects, their names, their numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import DataError, listed, nearest, row_error


def plain(labels: Array) -> Array:
    """Return an array of Python objects as one of strings, numbers or truth values.

    Raises
    ------
    DataError
        For labels of different types, or of others.

    Examples
    --------
    >>> plain(np.array(["cat", "dog"], object)).dtype.kind
    'U'
    >>> plain(np.array(["cat", None], object))
    Traceback (most recent call last):
    ...
    layerkit.errors.DataError: labels of the types NoneType and str, such as None of example 1; \
should be all strings, or all numbers
    """
    if labels.dtype.kind != "O":
        return np.array(labels.tolist(), str) if labels.dtype.kind in "ST" else labels
    missing = [type(label).__name__ == "NAType" for label in labels.flat]
    if any(missing):  # as pandas has them
        labels = labels.copy()
        labels[np.array(missing).reshape(labels.shape)] = None
    kinds = {type(label) for label in labels.flat}
    try:
        if all(issubclass(kind, str) for kind in kinds):
            return labels.astype(str)
        if len(kinds) == 1 and kinds <= {bool, int}:
            return labels.astype(np.int64 if int in kinds else bool)
        if str not in kinds:
            return labels.astype(float)
    except OverflowError as error:
        raise DataError("a label has more than 64 bits; give labels as strings") from error
    except (TypeError, ValueError):
        pass
    odd = next(i for i in np.ndindex(labels.shape) if not isinstance(labels[i], str))
    names = " and ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(
        f"labels of the types {names}, such as {labels[odd]} of example {odd[0]}; "
        "should be all strings, or all numbers"
    )


def distinct(labels: Array) -> list[str]:
    """Return all labels that occur, as strings: numbers by value, others alphabetically.

    Raises
    ------
    DataError
        For a number that is written in two ways.

    Examples
    --------
    >>> distinct(np.array(["10", "9"])), distinct(np.array(["b", "10", "9"]))
    (['9', '10'], ['10', '9', 'b'])
    """
    names = [str(label) for label in np.unique(labels)]
    if not all(map(is_number, names)):
        return names
    names.sort(key=Decimal)  # exact, also for twenty digits
    for one, other in pairwise(names):
        if Decimal(one) == Decimal(other):
            raise DataError(f"labels {one!r} and {other!r}: the same number, written in two ways")
    return names


def is_number(text: str) -> bool:
    """Whether a text is a finite number; Python's 1_000 and digits of other scripts are not."""
    try:
        return math.isfinite(float(text)) and text.strip().isascii() and "_" not in text
    except ValueError:
        return False


def numbered(labels: Array, classes: Sequence[object]) -> Array:
    """Return the number of each label's class.

    Raises
    ------
    DataError
        For a label that is none of the classes, with the number of its example.

    Examples
    --------
    >>> numbered(np.array(["dog", "cat", "dog"]), ["cat", "dog"])
    array([1, 0, 1])
    """
    if labels.dtype == bool and list(classes) == [False, True]:
        return labels.astype(np.intp)
    number = {name: i for i, name in enumerate(classes)}
    known, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    for index in np.sort(first):
        label = labels.flat[index].item()
        if label not in number:
            meant = nearest(str(label), [str(name) for name in classes])
            place = tuple(map(int, np.unravel_index(index, labels.shape)))
            allowed = listed(map(repr, classes)) + (f" ({meant})" if meant else "")
            raise row_error(f"label {label!r} of ", place, f"; should be one of {allowed}")
    return np.array([number[label.item()] for label in known], np.intp)[inverse]
