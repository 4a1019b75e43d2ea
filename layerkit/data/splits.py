"""Splits of examples: drawn, by time, and into the folds of a cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.dates import date_format
from layerkit.data.labels import is_number
from layerkit.errors import DataError, LayerkitWarning
from layerkit.streams import stream


class TimeWarning(LayerkitWarning):
    """A set to measure on has examples from before the end of the training examples."""


def times_of(cells: Sequence[str], rows: Array, column: str, unit: str = "line") -> Array:
    """Return the times (N,) of a column: numbers, or datetimes from dates, such as 2024-05-31.

    Dates are those that a Table reads, in one form for the whole column.

    Raises
    ------
    DataError
        For a gap, and for anything else, with the number of its row, such as ``line 7``; for dates
        that may be read in several ways.

    Examples
    --------
    >>> words_of(times_of(["2024-05-31", "2024-06"], [2, 3], "date").max())
    '2024-06-01'
    >>> words_of(times_of(["31.12.2024", "1.6.2024"], [2, 3], "date").max())
    '2024-12-31'
    """
    numbers = is_number(next(filter(None, cells), ""))
    form = None if numbers else date_format(cells, f"column {column!r}: ")
    found: list[float | datetime] = []
    for cell, row in zip(cells, rows, strict=True):
        try:
            found.append(_number(cell) if numbers else _date(cell, form))
        except ValueError as error:
            raise DataError(
                f"{unit} {row}, column {column!r}: {cell!r}; should be "
                f"{'a number' if numbers else 'a date, such as 2024-05-31'}, "
                "since the rows are split by time"
            ) from error
    return np.array(found, float if numbers else "datetime64[us]")


def _number(cell: str) -> float:
    if not is_number(cell):
        raise ValueError(cell)
    return float(cell)


def _date(cell: str, form: str | None) -> datetime:
    """Return a datetime; of one with a time zone that of UTC."""
    if form:
        return datetime.strptime(cell, form)
    date = datetime.fromisoformat(f"{cell}-01" if len(cell) == len("2024-05") else cell)
    return date.astimezone(UTC).replace(tzinfo=None) if date.tzinfo else date


def words_of(time: np.generic) -> str:
    """Return a time in words: a number, a date, or a date and the time of day."""
    if not isinstance(time, np.datetime64):
        return f"{time:.10g}"
    day = time.astype("datetime64[D]")
    return str(day if day == time else time.astype("datetime64[s]")).replace("T", " ")


def split_in_time(time: Array, cuts: Sequence[float]) -> list[Array]:
    """Return the indices of the parts between shares of all examples, such as ``[0.8]``, by time.

    Examples of the same time stay in one part, so a cut goes to the nearest change of time.

    Raises
    ------
    DataError
        When there are fewer times than parts.

    Examples
    --------
    >>> split_in_time(np.array([5.0, 3.0, 4.0, 3.0, 1.0]), [0.6])
    [array([4, 1, 3]), array([2, 0])]
    """
    order = np.argsort(time, kind="stable")
    ordered = time[order]
    changes = 1 + np.flatnonzero(ordered[1:] != ordered[:-1])
    if len(changes) < len(cuts):
        raise DataError(
            f"{len(time)} examples of {len(changes) + 1} different times can't be split by time "
            f"into {len(cuts) + 1} parts"
        )
    ends, first = [], 0
    for i, cut in enumerate(cuts, 1):
        free = changes[first : len(changes) - len(cuts) + i]
        nearest = int(abs(free - cut * len(time)).argmin())
        ends.append(free[nearest])
        first += nearest + 1
    return np.split(order, ends)


def draw_split(share: float, t: Array, seed: int, *, stratify: bool) -> tuple[Array, Array]:
    """Return the indices of the examples to keep, and of the `share` that is held out.

    Drawn as scikit-learn's ``train_test_split`` draws them, without needing it.

    Parameters
    ----------
    share : float
    t : array
        Targets (N, ...).
    seed : int
    stratify : bool
        Whether every class number in `t` has the same share in both parts, as nearly as can be.

    Raises
    ------
    ValueError
        With the reason, when a part would be empty, or without a class.

    Examples
    --------
    >>> kept, held_out = draw_split(0.25, np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0, stratify=True)
    >>> kept, held_out
    (array([3, 4, 6, 2, 1, 5]), array([7, 0]))
    """
    rng = np.random.RandomState(seed)
    N = len(t)
    held = math.ceil(share * N)
    if held >= N:
        raise ValueError("nothing would be left to train on")
    if not stratify:
        order = rng.permutation(N)
        return order[held:], order[:held]
    of_class = [rows for k in range(int(t.max()) + 1) if len(rows := np.flatnonzero(t == k))]
    counts = np.array([len(rows) for rows in of_class])
    for part, size in (("kept", N - held), ("held out", held)):
        if size < len(counts):
            raise ValueError(f"{size} would be {part}, of {len(counts)} classes")
    if counts.min() < 2:
        raise ValueError("a class with one example is in one part only")
    keep = _shares(counts, N - held, rng)
    hold = _shares(counts - keep, held, rng)
    parts: tuple[list[Array], list[Array]] = ([], [])
    for rows, first, second in zip(of_class, keep, hold, strict=True):
        order = rows[rng.permutation(len(rows))]
        parts[0].append(order[:first])
        parts[1].append(order[first : first + second])
    kept, held_out = (rng.permutation(np.concatenate(rows)) for rows in parts)
    return kept, held_out


def _shares(counts: Array, size: int, rng: np.random.RandomState) -> Array:
    """Divide `size` among classes by their counts; what is left goes to the largest remainders."""
    exact = counts / counts.sum() * size
    shares = np.floor(exact)
    remainders = exact - shares
    left = int(size - shares.sum())
    for value in np.unique(remainders)[::-1]:
        if not left:
            break
        (equal,) = np.nonzero(remainders == value)
        chosen = rng.choice(equal, size=min(len(equal), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares.astype(int)


def draw_folds(
    folds: int, t: Array, time: Array | None, classes: Sequence[str], seed: int
) -> list[tuple[Array, Array]]:
    """Return for each fold the indices of its training examples, and of those that it holds out.

    Every example is held out once, drawn from the seed, and with `classes` stratified. With times
    the folds follow one another: each holds out a part, and is trained with all before it.

    Raises
    ------
    DataError
        For too few examples, times, or examples of a class.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    wrong = f"folds = {folds}: "
    if time is not None:
        try:
            parts = split_in_time(time, [i / (folds + 1) for i in range(1, folds + 1)])
        except DataError as error:
            raise DataError(f"{wrong}{error}") from error
        return [(np.concatenate(parts[:i]), parts[i]) for i in range(1, folds + 1)]
    if len(t) < folds:
        raise DataError(f"{wrong}there are {len(t)} training examples")
    draw = {"shuffle": True, "random_state": int(stream(seed, "folds").integers(2**31))}
    if not classes:
        return list(KFold(folds, **draw).split(t))
    counts = np.bincount(t, minlength=len(classes))
    rarest = int(np.where(counts, counts, len(t)).argmin())
    if counts[rarest] < folds:
        raise DataError(
            f"{wrong}there are {counts[rarest]} training examples of the class "
            f"{classes[rarest]!r}, and each fold should hold one out; choose at most "
            f"{counts[rarest]} folds, or add examples"
        )
    return list(StratifiedKFold(folds, **draw).split(t, t))
