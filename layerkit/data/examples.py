"""Sets of examples, and data sets of several of them, as `Data` loads them.

x    inputs, one example per row (N, features); bytes for images of 0 to 255, else floats
t    targets: class numbers (N,), or numbers to predict or labels, (N,) or (N, D)
w    weights of the examples (N,)
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np

from layerkit.arrays import Array
from layerkit.data.readers import Rows, Target
from layerkit.data.splits import words_of
from layerkit.errors import listed
from layerkit.files.mapped import Subset


@dataclass(frozen=True)
class Examples:
    """A set of examples: inputs x (N, features), their targets t, and weights w (N,) if any.

    Attributes
    ----------
    x : array
        The inputs (N, features); for a mapped file the whole file, see `rows`.
    t : array
        The targets: class numbers (N,), numbers (N,) or (N, D), or labels (N, D).
    w : array or None
        The weights of the examples (N,).
    rows : array or None
        The rows of a mapped file that are the examples: row ``rows[i]`` of x belongs to ``t[i]``.
    source : Rows or None
        The rows of the data file that the examples come from, for errors.
    time : array or None
        The times of the examples (N,), if they are split by time.
    """

    x: Array
    t: Array
    w: Array | None = None
    rows: Array | None = None
    source: Rows | None = None
    time: Array | None = None

    def __len__(self) -> int:
        return len(self.t)

    @property
    def inputs(self) -> Array | Subset:
        """The inputs, in the form that `layerkit.fit` takes."""
        return self.x if self.rows is None else Subset(self.x, self.rows)

    def take(self, chosen: Array) -> Examples:
        """Return the examples with these indices; no row of a mapped file is read."""
        t, w = self.t[chosen], None if self.w is None else self.w[chosen]
        source = self.source and self.source.take(chosen)
        if isinstance(self.x, np.memmap):
            rows = chosen if self.rows is None else self.rows[chosen]
            return Examples(self.x, t, w, rows, source)
        time = None if self.time is None else self.time[chosen]
        return Examples(self.x[chosen], t, w, source=source, time=time)

    def naming(self) -> AbstractContextManager[None]:
        """Name the row of the data file in every error about one of the examples."""
        return self.source.naming() if self.source else nullcontext()


@dataclass(frozen=True)
class Dataset:
    """A data set: training and test examples, perhaps validation examples, and their names.

    Attributes
    ----------
    name : str
        The name of the data set, such as "digits", or of its file.
    train, test : Examples
        The examples to train on, and those that are held out.
    validation : Examples or None
        The examples to measure on while training, if there are any.
    target : {"class", "number", "labels"}
        The kind of the targets.
    classes : list of str
        The names of the classes by class number; empty for numbers and for labels.
    features, targets : list of str or None
        The names of the columns of x and of t, if they have names.
    image : (int, int) or None
        The height and width of an image, if each row of x is one.
    decimal : {".", ","}
        The decimal mark in the file.
    """

    name: str
    train: Examples
    test: Examples
    classes: list[str]
    features: list[str] | None = None
    image: tuple[int, int] | None = None
    validation: Examples | None = None
    target: Target = "class"
    targets: list[str] | None = None
    decimal: str = "."

    def __str__(self) -> str:
        sizes = [f"{len(self.train):,} training examples", f"{len(self.test):,} test examples"]
        if self.validation is not None:
            sizes.insert(1, f"{len(self.validation):,} validation examples")
        targets = "labels" if self.target == "labels" else "numbers to predict"
        if self.classes:
            targets = f"{len(self.classes)} classes"
        elif self.targets and len(self.targets) > 1:
            targets = f"{len(self.targets)} {targets}: {listed(self.targets)}"
        features = self.train.x.shape[1]
        until = [
            f"{name} to {words_of(part.time.max())}"
            for name, part in self.parts().items()
            if part.time is not None
        ]
        return (
            f"{self.name}: {', '.join(sizes)}, {features} feature{'s' * (features > 1)}, {targets}"
            f"{'; ' * bool(until)}{', '.join(until)}"
        )

    def parts(self) -> dict[str, Examples]:
        """Return the examples of each part: train, validation if there is one, test."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}
