"""Table: the layer at the beginning of a network that learns from a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import field
from typing import Annotated, Any, Self

import numpy as np

from layerkit.arrays import Array, Shape, require
from layerkit.columns.cells import GAPS, is_table, raw_table
from layerkit.columns.choice import choose_columns
from layerkit.columns.kinds import PERIODS, Category, Column, Date, Number
from layerkit.config.options import Limits
from layerkit.errors import (
    ConfigError,
    DataError,
    LayerkitError,
    ShapeError,
    listed,
    nearest,
)
from layerkit.initializers.base import Initializer
from layerkit.initializers.plain import Normal, Ones, Zeros
from layerkit.layers.base import Layer
from layerkit.layers.standardize import Moments
from layerkit.parameters import Param, State


class Table(Layer):
    """The features of a table's columns: words, dates, gaps and numbers as a network needs them.

    It is the first layer. Examples are DataFrames, or dicts of columns: the columns are found by
    their names, in any order, and others are ignored. Inside, each cell is one number, and a gap is
    nan: `encode` returns these x (N, columns).

    y (N, features) begins with each number and the days of each date, standardized as by
    Standardize. Then come the sines, and then the cosines, of the cycles of dates. A gap is 0 in
    all of these. Each column that had gaps in training has a feature that is 1 for a gap, else 0.
    Each category of a column without `embedding` has one that is 1 where it is that of the example,
    else 0. Each column with `embedding` has the vector of the example's category: numbers that are
    learned.

    A category that is new, or was rare in training, is 0 in all of its features, or has the vector
    `other`, which begins at 0. In a column without gaps in training, a gap is filled with the
    mean; among words it counts as a new category.

    Parameters
    ----------
    columns : list of Column
        How each column is used. `Table.of` chooses it from data; so does an experiment for columns
        that are not listed.
    init : Initializer
        The initializer of the vectors of categories.
    missing : list of str, optional
        Words for a missing value, such as ``"-999"``, besides an empty cell and NA, N/A, nan, null,
        None and ?.

    Raises
    ------
    ConfigError
        When built without columns, or with one whose categories or origin are not known yet.
    ShapeError
        For another number of columns.
    DataError
        For a code that is none of the categories.

    Examples
    --------
    >>> frame = {"city": ["Ulm", "Bonn", "Ulm", ""], "age": [30, 50, 40, np.nan]}
    >>> table = Table.of(frame)
    >>> print(table.describe(frame))
    city  category  2 categories, one-hot; 1 gap, marked
    age   number    standardized; 1 gap, marked
    >>> table.encode({"age": [60], "city": ["Rom"], "name": ["Eva"]})
    array([[ 0., 60.]])
    """

    columns: Annotated[list[Column], Limits(min_length=1)] | None = None
    init: Initializer = field(default_factory=lambda: Normal(std=0.1), kw_only=True)
    missing: list[str] | None = field(default=None, kw_only=True)
    adapts = True

    def __post_init__(self) -> None:
        if is_table(self.columns):
            raise ConfigError("Table.columns is a table; Table.of(frame) chooses columns for it")
        super().__post_init__()
        names = Counter(column.name for column in self.columns or [])
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ConfigError(f"Table.columns: {twice[0]!r} is there twice")

    @classmethod
    def of(cls, frame: Any, /, **kinds: Any) -> Self:
        """Return the Table that suits training data, a DataFrame or a dict of columns.

        Parameters
        ----------
        frame : DataFrame or dict of arrays
            The training data; the keys of a dict are the names of its columns.
        **kinds : str or Column or None
            The kind of some columns: ``"number"``, ``"category"``, ``"date"`` or a Column; None
            leaves one out. The others are chosen as by `columns.choose_columns`.
        """
        return cls(choose_columns(raw_table(frame), kinds))

    @property
    def shape(self) -> Shape:
        """The shape of an example: a number for each column."""
        return (len(self.ready()),)

    @property
    def blanks(self) -> tuple[str, ...]:
        """The words that stand for a missing value."""
        return (*GAPS, *(self.missing or []))

    def encode(self, x: Any) -> Array:
        """Return a table as numbers (N, columns): codes of categories, days of dates, nan for gaps.

        An array is returned as it is.

        Raises
        ------
        DataError
            For a column that is missing, or a cell of another kind; with the row.
        """
        if not is_table(x):
            return x
        columns = self.ready()
        raw = raw_table(x, self.blanks, [column.name for column in columns])
        missing = [column.name for column in columns if column.name not in raw]
        if missing:
            meant = nearest(missing[0], raw.names)
            raise DataError(
                f"the table has no column {listed(map(repr, missing))}"
                f"{f' ({meant})' if meant else ''}; it has {listed(map(repr, raw.names))}"
            )
        return np.stack([column.encode(raw[column.name]) for column in columns], axis=1)

    def describe(self, x: Any = None) -> str:
        """Return a line for each column, what it becomes; with data, how many gaps it has there."""
        columns = self.columns or []
        counts = [0] * len(columns) if x is None else np.isnan(self.encode(x)).sum(axis=0).tolist()
        rows = []
        for column, gaps in zip(columns, counts, strict=True):
            notes = [f"{gaps:,} gap{'s' * (gaps != 1)}"] * (gaps > 0) + ["marked"] * column.gaps
            if column.gaps and not gaps:
                notes = ["gaps marked"]
            text = "; ".join([column.becomes, ", ".join(notes)] if notes else [column.becomes])
            rows.append((column.name, type(column).__name__.lower(), text))
        names = max((len(name) for name, _, _ in rows), default=0)
        return "\n".join(f"{name:<{names}}  {kind:<8}  {text}" for name, kind, text in rows)

    @property
    def features(self) -> list[str]:
        """The features, in words: one for each number of y, once built.

        Examples
        --------
        >>> table = Table.of({"city": ["Ulm", "", "Bonn"], "age": [30, 50, 40]})
        >>> _ = table.build(table.shape)
        >>> table.features
        ['age', 'city is missing', 'city = Bonn', 'city = Ulm']
        """
        columns = self.ready()
        cycles = [(c.name, cycle) for c in columns if isinstance(c, Date) for cycle in c.cycles]
        owners = [(columns[j], code) for j, code in zip(self.owners, self.codes, strict=True)]
        return [
            *(columns[j].name for j in self.numbers),
            *(f"{wave} of {name} in a {c}" for wave in ("sine", "cosine") for name, c in cycles),
            *(f"{columns[j].name} is missing" for j in self.marked),
            *(f"{column.name} = {column.categories[code - 1]}" for column, code in owners),
            *(f"{columns[j].name}, a number of its vector" for j in self.embedded),
        ]

    def ready(self) -> list[Column]:
        """Return the columns; ConfigError unless all is known about them."""
        if self.columns is None:
            raise ConfigError(
                "Table has no columns yet: Table.of(frame) chooses them from training data; for "
                "those of a file, the command does"
            )
        for column in self.columns:
            if not isinstance(column, Number | Category | Date):
                raise ConfigError(
                    f"Table: {column!r} is none of Number, Category and Date: derive its class "
                    "from one of them"
                )
            if not column.complete:
                raise ConfigError(
                    f"Table: {column!r} does not know yet what is in it: give that, or let "
                    "Table.of(frame, …) take it from training data"
                )
        return self.columns

    def named(self, j: int) -> str:
        """Return the words for a column, by its number."""
        return f"column {self.ready()[j].name!r}"

    def build(self, shape: Shape) -> Shape:
        columns = self.ready()
        if shape != (len(columns),):
            raise ShapeError(
                f"Table has {len(columns)} columns, and examples have the shape {shape}; should be "
                f"({len(columns)},)"
            )
        self._plan(columns)
        sizes = [
            *(len(self.numbers), len(self.turning), len(self.turning)),
            *(len(self.marked), len(self.owners), len(self.embedded)),
        ]
        self.ends = np.cumsum(sizes)
        if len(self.numbers):
            self.mean, self.rest = (State((len(self.numbers),), Zeros()) for _ in range(2))
            self.scale = State((len(self.numbers),), Ones())
        if len(self.embedded):
            self.other = Param((len(self.embedded),), Zeros())
            self.W = Param((self.size,), self.init, decay=True)
        return (sum(sizes),)

    def _plan(self, columns: list[Column]) -> None:
        """Note which features each column becomes, as arrays of indices."""
        places = list(enumerate(columns))
        self.most = np.array([_most(column) for column in columns])
        self.numbers = _indices(j for j, column in places if isinstance(column, Number | Date))
        turns = [
            (j, 2 * np.pi / PERIODS[cycle], _phase(column, cycle))
            for j, column in places
            if isinstance(column, Date)
            for cycle in column.cycles
        ]
        self.turning = _indices(j for j, _, _ in turns)
        self.speeds, self.phases = (np.array([turn[i] for turn in turns]) for i in (1, 2))
        words = [(j, column) for j, column in places if isinstance(column, Category)]
        vectors = {j: column.embedding for j, column in words if column.embedding}
        self.marked = _indices(j for j, c in places if c.gaps and j not in vectors)
        one_hot = [
            (j, code)
            for j, column in words
            if j not in vectors
            for code in range(1, 1 + len(column.categories or []))
        ]
        self.owners = _indices(j for j, _ in one_hot)
        self.codes = np.array([code for _, code in one_hot])
        # vectors lie in W, one column after the other; a gap comes after the categories
        embedded, end = [], 0
        for j, column in words:
            dim, rows = column.embedding or 0, len(column.categories or []) + column.gaps
            embedded += [(j, dim, end + i, rows * column.gaps) for i in range(dim)]
            end += dim * rows
        self.size = end if vectors else 0
        columns_of = (_indices(row[i] for row in embedded) for i in range(4))
        self.embedded, self.dims, self.starts, self.gap_codes = columns_of

    def adapt(self, batches: Iterable[Array]) -> None:
        """Measure mean and scale of numbers and dates, without gaps, batch by batch."""
        moments = [Moments(()) for _ in self.numbers]
        for batch in batches:
            for j, moment in zip(self.numbers, moments, strict=True):
                values = batch[:, j]
                moment.add(values[~np.isnan(values)])
        self.take(moments)

    def take(self, moments: Iterable[Moments]) -> None:
        """Take mean and scale of each number and date from its moments."""
        for i, (j, moment) in enumerate(zip(self.numbers, moments, strict=True)):
            found = moment.fitted("Table", self.mean.value.dtype, self.named(j))
            for state, value in zip((self.mean, self.rest, self.scale), found, strict=True):
                state.value[i] = value

    def check(self, x: Array) -> None:
        """Refuse codes that no category has."""
        right = (self.most < 0) | np.isnan(x)
        right |= (x >= 0) & (x <= self.most) & (x == np.floor(x))

        def error() -> LayerkitError:
            row, j = map(int, np.argwhere(~right)[0])
            return self.ready()[j].wrong(
                row, x[row, j], f"a code from 0 to {self.most[j]}, or nan for a gap"
            )

        require(right, error)

    def forward(self, x: Array, train: bool = True) -> Array:
        self.check(x)
        gaps, features, dtype = np.isnan(x), [], x.dtype
        if len(self.numbers):
            y = x.take(self.numbers, 1)
            y -= self.mean.value
            y -= self.rest.value
            y /= self.scale.value
            features.append(np.where(gaps.take(self.numbers, 1), 0, y))
        if len(self.turning):
            angles = x.take(self.turning, 1) * self.speeds.astype(dtype)
            angles += self.phases.astype(dtype)
            waves = np.concatenate([np.sin(angles), np.cos(angles)], 1)
            features.append(np.where(np.isnan(waves), 0, waves))
            self.waves = features[-1]
        if len(self.marked):
            features.append(gaps.take(self.marked, 1).astype(dtype))
        if len(self.owners):
            features.append((x.take(self.owners, 1) == self.codes.astype(dtype)).astype(dtype))
        if len(self.embedded):
            features.append(self._vectors(x.take(self.embedded, 1)))
        self.gaps = gaps
        return np.concatenate(features, 1)

    def _vectors(self, codes: Array) -> Array:
        """Return the vectors of categories, for each number the code of its column."""
        codes = np.where(np.isnan(codes), self.gap_codes.astype(codes.dtype), codes)
        codes = codes.astype(np.intp)
        n = len(self.embedded)
        places = np.where(codes == 0, np.arange(n), (codes - 1) * self.dims + (self.starts + n))
        self.places = places
        return np.concatenate([self.other.value, self.W.value]).take(places)

    def backward(self, dy: Array) -> Any:
        numbers, sines, cosines, _, _, vectors = np.split(dy, self.ends[:-1], axis=1)
        if len(self.embedded):
            n = len(self.embedded)
            d = np.bincount(self.places.ravel(), vectors.ravel(), minlength=n + self.size)
            self.other.grad, self.W.grad = d[:n], d[n:]
        if not self.wants_dx:
            return None
        dx = np.zeros_like(dy, shape=(len(dy), len(self.most)))
        if len(self.numbers):
            here = self.gaps.take(self.numbers, 1)
            dx[:, self.numbers] = np.where(here, 0, numbers / self.scale.value)
        if len(self.turning):
            sine, cosine = np.split(self.waves, 2, axis=1)
            turned = (sines * cosine - cosines * sine) * self.speeds.astype(dy.dtype)
            for j, part in zip(self.turning, turned.T, strict=True):  # a date has several cycles
                dx[:, j] += part
        return dx


def _most(column: Column) -> int:
    """The highest code of a column, -1 for numbers of any size."""
    return len(column.categories or []) if isinstance(column, Category) else -1


def _phase(date: Date, cycle: str) -> float:
    """The angle of the origin of a date in a cycle."""
    origin = np.datetime64(date.origin, "D")
    start = origin.astype("datetime64[Y]") if cycle == "year" else np.datetime64("2024-01-01")
    days = (np.datetime64(date.origin, "us") - start) / np.timedelta64(1, "D")
    return float(2 * np.pi * (days / PERIODS[cycle] % 1))


def _indices(places: Iterable[int]) -> Array:
    return np.array(list(places), np.intp)
