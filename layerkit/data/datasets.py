"""Data: the options of an experiment's data, and how they are loaded, checked and split."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.columns.cells import GAPS, RawTable
from layerkit.columns.choice import is_identifier
from layerkit.config.options import Amount, Configurable, Fraction, Size
from layerkit.data.dialects import DELIMITERS, Dialect, is_utf8
from layerkit.data.examples import Dataset, Examples
from layerkit.data.labels import distinct, numbered
from layerkit.data.readers import (
    Contents,
    Target,
    read_idx_folder,
    read_npy_folder,
    read_npz,
)
from layerkit.data.splits import (
    TimeWarning,
    draw_folds,
    draw_split,
    split_in_time,
    times_of,
    words_of,
)
from layerkit.data.table_files import read_table
from layerkit.data.toys import TOYS, draw_toy
from layerkit.errors import ConfigError, DataError, FileError, LayerkitWarning, at, listed, warn
from layerkit.layers.table import Table
from layerkit.losses.base import Loss
from layerkit.streams import as_seed, stream

TABLES = (".csv", ".parquet")
"""The kinds of files with named columns."""
CLOTHES = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
]
DIGITS = [str(digit) for digit in range(10)]
DIGITS_FILE = Path(__file__).with_name("digits.npz")
"""The digits that scikit-learn has too: 8 x 8 pixels of 0 to 16, by E. Alpaydin and C. Kaynak."""
EXAMPLES = 500
"""Number of points of a data set that is drawn, by default."""


Known = Literal[
    "digits",
    "mnist",
    "fashion_mnist",
    "circles",
    "moons",
    "spiral",
    "xor",
    "blobs",
    "sine",
    "steps",
]
"""The names of data sets."""


class Coding(NamedTuple):
    """The encoding of a table as numbers: of these columns, None for all, with these gaps."""

    names: list[str] | None
    gaps: Collection[str]
    encode: Callable[[RawTable], Array]


def coding_of(table: Table | None) -> Coding | None:
    """Return how a Table makes numbers of the columns that it has."""
    if table is None:
        return None
    return Coding([column.name for column in table.ready()], table.blanks, table.encode)


class Data(Configurable):
    """The data of an experiment: the ``[data]`` table of a configuration file.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion_mnist", "circles", "moons", "spiral", "xor", "blobs", \
    "sine", "steps"}, optional
        A well-known data set. The default is the digits, if there is no `path`.
        From ``"circles"`` to ``"blobs"`` they are classes of points in the plane, drawn from the
        run's seed; ``"sine"`` and ``"steps"`` are curves, with ``target = "number"``.
    examples : int, optional
        How many points are drawn, 500 by default, test set included.
    noise : float, optional
        The standard deviation of what is added to the points, or to the values of a curve; each
        has its own default.
    path : str or Path, optional
        Your own data: a table, which is a ``.csv`` or ``.tsv`` file with a header, plain or
        ``.gz``, or a ``.parquet`` file; a ``.npz`` file with arrays x and y; or a folder with
        ``x.npy`` and ``y.npy``, where x may be larger than memory.
    label : str or list of str, optional
        The column of a table that holds the label; required there. Several columns are
        several numbers or labels, of which some may be missing; of other files, they are the names
        of the columns of y. Examples without any are left out, with a warning.
    features : list of str, optional
        The columns of a table to learn from; by default all but label, weight and time, and with
        a Table those that something can be learned from.
    classes : list of str, optional
        The labels in the order of their class numbers; by default all that occur, sorted.
    test_size : float, optional
        The share of `path`, of the digits or of points that is held out as test set, 0.2 by
        default: drawn from the run's seed and stratified, with the same share of every class.
    test : str or Path, optional
        A file or folder of the same kind as `path` to test on; then `path` is not split.
    validation_size : float, optional
        The share of the training examples that is held out as validation set, drawn likewise.
    validation : str or Path, optional
        A file or folder of the same kind as `path` with the validation set.
    weight : str, optional
        The column of a table with the weights of the examples. Other files have them in
        the array w, if there is one.
    time : str, optional
        The column of a table with the times of the examples, dates or numbers, to split
        by: the latest examples are the test set, the latest before them the validation set. Those
        of the same time stay together. A feature only if it is one of `features`.
    target : {"class", "number", "labels"}
        "class" for classification, "number" for regression, "labels" for several labels that don't
        exclude each other, 0 or 1. In the last two y may be (N, D), with nan where a target is
        missing, and the split is not stratified.
    delimiter : str, optional
        The character between the cells of a ``.csv`` file; by default it is found, if it is one of
        ``, ; |`` or a tab.
    decimal : {".", ","}, optional
        The decimal mark of a ``.csv`` file; by default it is found, and refused where it is not
        certain.
    encoding : str, optional
        The encoding of a ``.csv`` file, such as ``"latin-1"``; UTF-8 by default.

    Raises
    ------
    ConfigError
        For options that exclude each other, or a table without `label`.

    Examples
    --------
    >>> print(Data(name="digits").load(seed=0))
    digits: 1,437 training examples, 360 test examples, 64 features, 10 classes
    """

    name: Known | None = None
    path: str | Path | None = None
    label: str | list[str] | None = None
    features: list[str] | None = None
    classes: list[str] | None = None
    test_size: Fraction | None = None
    test: str | Path | None = None
    validation_size: Fraction | None = None
    validation: str | Path | None = None
    weight: str | None = None
    time: str | None = None
    target: Target = "class"
    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    examples: Size | None = None
    noise: Amount | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        text_only = ["delimiter", "decimal", "encoding"]
        table_only = ["label", "features", "weight", "time", *text_only]
        path_only = ["classes", "test", "validation"]
        if self.path is None:
            self.name = self.name or "digits"
            self._refuse([*table_only, *path_only], f"name = {self.name!r}")
            toy = TOYS.get(self.name)
            if toy and not toy.classes and self.target != "number":
                raise ConfigError(
                    f'target = {self.target!r}: {self.name} is a curve, set target = "number"'
                )
            if self.target != "class" and (not toy or toy.classes):
                raise ConfigError(f"target = {self.target!r}: {self.name} has classes")
            if not toy:
                self._refuse(["examples", "noise"], f"name = {self.name!r}, which is not drawn")
            if self.name in ("mnist", "fashion_mnist"):
                self._refuse(["test_size"], f"name = {self.name!r}, which has a test set")
            return
        self._refuse(["examples", "noise"], f"path = {str(self.path)!r}")
        if self.name:
            raise ConfigError(f"name = {self.name!r} and path = {self.path!r}: give one of them")
        kind = kind_of(self.path)
        if kind not in (*TABLES, ".npz", ""):
            raise ConfigError(
                f"path = {self.path!r}: should end in .csv, .tsv, .parquet or .npz, or be a folder"
            )
        for option, size in (("test", "test_size"), ("validation", "validation_size")):
            file = getattr(self, option)
            if file is not None:
                self._refuse([size], f"{option} = {file!r}")
                if kind_of(file) != kind:
                    raise ConfigError(
                        f"{option} = {file!r}: should be of the same kind as {self.path}"
                    )
        if self.target != "class":
            self._refuse(["classes"], f"target = {self.target!r}")
        if len(set(self.classes or [])) < len(self.classes or []):
            twice = Counter(self.classes).most_common(1)[0][0]
            raise ConfigError(f"classes: {twice!r} is listed twice")
        self._check_label(kind)
        if kind not in TABLES:
            if isinstance(self.label, list):
                table_only.remove("label")
            given = any(getattr(self, option) is not None for option in table_only)
            if given and not kind and not Path(self.path).exists():
                raise FileError(f"path = {self.path!r}: there is no such file or folder")
            self._refuse(table_only, f"a {kind or 'folder'}, whose arrays are called x, y and w")
        elif not self.label:
            raise ConfigError(f"label: missing; which column of {self.path} holds the label?")
        others = [("label", name) for name in self.labels]
        for option, name in [*others, ("weight", self.weight)]:
            if kind in TABLES and name in (self.features or []):
                raise ConfigError(f"features: the {option} {name!r} is among them")
        if self.weight in self.labels:
            raise ConfigError(f"weight = {self.weight!r}: that is the label")
        for other, names in (("label", self.labels), ("weight", [self.weight])):
            if self.time and self.time in names:
                raise ConfigError(f"time = {self.time!r}: that is the {other}")
        if kind == ".parquet":
            self._refuse(text_only, "a .parquet file")
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise ConfigError(f"delimiter = {self.delimiter!r}: should be one character")
        try:
            "".encode(self.encoding or "utf-8")
        except LookupError as error:
            raise ConfigError(f"encoding = {self.encoding!r}: Python knows none of it") from error

    @property
    def labels(self) -> list[str]:
        """The columns with the labels; none where y has no names."""
        return [self.label] if isinstance(self.label, str) else self.label or []

    def _check_label(self, kind: str) -> None:
        """Raise a ConfigError for columns that can't be what `target` says."""
        if isinstance(self.label, list) and self.target == "class":
            raise ConfigError(
                f"label = {self.label!r}: of several columns, set target = 'number' if they are "
                "numbers to predict, or 'labels' if each is 0 or 1"
            )
        if kind in TABLES and self.label and self.target == "labels" and len(self.labels) < 2:
            raise ConfigError(
                f"label = {self.label!r}: target = 'labels' means several columns; one is a class, "
                "target = 'class'"
            )
        if len(set(self.labels)) < len(self.labels):
            raise ConfigError(f"label = {self.label!r}: a column is listed twice")

    def _refuse(self, options: list[str], because: str) -> None:
        for option in options:
            if getattr(self, option) is not None:
                value = getattr(self, option)
                raise ConfigError(f"{option} = {value!r}: not allowed with {because}")

    def load(
        self,
        seed: int | np.random.Generator = 0,
        data_dir: str | Path | None = None,
        table: Table | None = None,
    ) -> Dataset:
        """Load, check and split the data.

        Parameters
        ----------
        seed : int or Generator
            Random seed of the split; a Generator draws one.
        data_dir : str or Path, optional
            Folder with the four IDX files of MNIST or Fashion-MNIST, in it or in its subfolder
            ``mnist`` or ``fashion_mnist``; by default the environment variable ``LAYERKIT_DATA``.
        table : Table, optional
            The first layer of the network, whose columns are read, words and gaps included;
            without one, each cell should be a number.

        Raises
        ------
        FileError
            For files that are missing or damaged.
        DataError
            For values that can't be used.
        """
        seed = as_seed(seed)
        return self._with_validation(self._load(seed, data_dir, coding_of(table)), seed)

    def columns(self, seed: int, gaps: Collection[str] = GAPS) -> tuple[RawTable, Array]:
        """Return the columns of a table, and the rows in it of the training examples of `load`.

        Parameters
        ----------
        seed : int
            Random seed of the split, as `load` takes it.
        gaps : collection of str
            The cells that stand for a missing value.

        Raises
        ------
        FileError, DataError
            As by `load`.
        """
        files: list[RawTable] = []

        def numbers_of_rows(raw: RawTable) -> Array:
            files.append(raw)
            return np.arange(len(next(iter(raw.values()))), dtype=float)[:, None]

        coding = Coding(self.features, gaps, numbers_of_rows)
        # the other files may be without columns that nothing is learned from
        path = self.path
        data = replace(self, test=self.test and path, validation=self.validation and path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LayerkitWarning)  # `load` warns
            dataset = data._with_validation(data._load(seed, None, coding), seed)
        return files[0], np.sort(dataset.train.x[:, 0]).astype(np.intp)

    def load_folds(
        self,
        folds: int,
        seed: int = 0,
        data_dir: str | Path | None = None,
        table: Table | None = None,
    ) -> Iterator[Dataset]:
        """Load the data, and return the data sets of a cross-validation, one for each fold.

        All examples but those of the test set are divided into folds. The test set of each data set
        is the fold that it holds out; its validation set, if there is one, is held out from the
        others. Folds are drawn from the seed, and classes have the same share in each. With `time`
        the folds follow one another, and each is trained with all before it.

        Raises
        ------
        FileError, DataError
            As `load` does, and for fewer examples of a class than folds.

        Examples
        --------
        >>> [len(fold.train) for fold in Data(name="digits").load_folds(5)]
        [1149, 1149, 1150, 1150, 1150]
        """
        whole = self._load(seed, data_dir, coding_of(table))
        train = whole.train
        with at(whole.name):
            drawn = draw_folds(folds, train.t, train.time, whole.classes, seed)
        return (
            self._with_validation(
                replace(whole, train=train.take(kept), test=train.take(held_out)), seed
            )
            for kept, held_out in drawn
        )

    def _load(self, seed: int, data_dir: str | Path | None, coding: Coding | None) -> Dataset:
        """Load the data, without the validation set that is to be held out from them."""
        if self.path is None:
            return self._load_known(seed, data_dir)
        return self._load_path(Path(self.path), seed, coding)

    def _with_validation(self, dataset: Dataset, seed: int) -> Dataset:
        if not self.validation_size:
            return dataset
        with at(dataset.name):
            train, held_out = self._split(dataset.train, "validation_size", seed)
        return replace(dataset, train=train, validation=held_out)

    def _load_known(self, seed: int, data_dir: str | Path | None) -> Dataset:
        if self.name in TOYS:
            number = EXAMPLES if self.examples is None else self.examples
            train, test = self._split(
                Examples(*draw_toy(self.name, number, self.noise, seed)), "test_size", seed
            )
            return Dataset(self.name, train, test, self.class_names(), target=self.target)
        if self.name is None or self.name == "digits":
            with np.load(DIGITS_FILE) as digits:
                x, t = (digits["x"] / 16).astype(np.float32), digits["y"].astype(int)
            train, test = self._split(Examples(x, t), "test_size", seed)
            return Dataset("digits", train, test, DIGITS, image=(8, 8))
        folder = data_dir or os.environ.get("LAYERKIT_DATA")
        name = self.name
        if folder:
            sets = read_idx_folder(folder, name)
        else:
            from layerkit.data.download import fetch

            sets = fetch(name)
        train, test = (Examples(x.reshape(len(x), -1), t) for x, t in sets)
        return Dataset(name, train, test, self.class_names(), image=sets[0][0].shape[1:])

    def class_names(self) -> list[str]:
        """Return the names of the classes, as far as they are known without reading `path`."""
        if self.path is not None:
            return self.classes or []
        if self.name in TOYS:
            return [str(k) for k in range(TOYS[self.name].classes)]
        return CLOTHES if self.name == "fashion_mnist" else DIGITS

    def _load_path(self, file: Path, seed: int, coding: Coding | None) -> Dataset:
        path = str(file)
        with at(path):
            table = self._read(path, self.features, coding)
            if self.features is None and coding is None:
                _warn_about_ids(path, table)
            classes = self.classes or []
            if self.target == "class" and not classes:
                y = self._labels_of(table)
                classes = distinct(y[~_without(y)])
            examples = self.examples_of(table, path, classes)
            if self.target == "class" and len(np.unique(examples.t)) < 2:
                raise DataError(f"{len(examples)} examples of 1 class; should be of at least two")
            if self.test is None:
                train, test = self._split(examples, "test_size", seed)
        if self.test is not None:
            train, test = examples, self._like(table, classes, self.test, coding)
        image = table.x.shape[1:] if table.x.ndim == 3 else None
        held_out = None
        if self.validation:
            held_out = self._like(table, classes, self.validation, coding)
        for name, later in ((self.validation, held_out), (self.test, test)):
            if name is not None and later is not None:
                self._warn_about_leak(name, later, train)
        return Dataset(
            path,
            train,
            test,
            classes,
            table.features,
            image,
            held_out,
            self.target,
            None if self.target == "class" else self.labels or None,
            table.decimal,
        )

    def read_table(
        self,
        path: str | Path,
        features: list[str] | None,
        coding: Coding | None,
        *,
        labelled: bool = True,
        new: bool = False,
        encoding: str | None = None,
    ) -> Contents:
        """Read a file that is written as `path` is, or in an `encoding` of its own.

        Only its features are read if it is not `labelled`. A `new` file, with examples from after
        the training, needs no column of times; its encoding, delimiter and decimal mark may be
        others than those of `path` if they can be found with certainty.
        """
        dialect = Dialect(self.delimiter, self.decimal, encoding or self.encoding or "utf-8")
        if new:
            if not encoding and dialect.encoding != "utf-8" and is_utf8(path):
                dialect = replace(dialect, encoding="utf-8")
            if self.delimiter and self.delimiter in DELIMITERS:
                dialect = replace(dialect, delimiter=None)
            dialect = replace(dialect, decimal=None, usual=self.decimal)
        encode = None
        if coding:
            dialect = replace(dialect, gaps=coding.gaps)
            features, encode = coding.names or features, coding.encode
        labels, weight = (self.labels, self.weight) if labelled else ((), None)
        time = None if new else self.time
        return read_table(path, labels, features, weight, self.target, time, dialect, encode)

    def _read(
        self, path: str | Path, features: list[str] | None, coding: Coding | None
    ) -> Contents:
        kind = kind_of(path)
        if kind in TABLES:
            return self.read_table(path, features, coding)
        return (read_npz if kind else read_npy_folder)(path, self.target)

    def _labels_of(self, table: Contents) -> Array:
        """Return the labels of a file; DataError without them, or for another number of them."""
        y = table.y
        if y is None:
            raise DataError("no labels: an array y is missing")
        if self.labels and y.reshape(len(y), -1).shape[1] != len(self.labels):
            raise DataError(
                f"y has shape {y.shape}; label names {len(self.labels)} columns: "
                f"{listed(self.labels)}"
            )
        return y

    def _like(
        self, known: Contents, classes: list[str], path: str | Path, coding: Coding | None
    ) -> Examples:
        """Read another file with the same features and classes."""
        with at(str(path)):
            table = self._read(path, known.features, coding)
            if table.x.shape[1:] != known.x.shape[1:]:
                raise DataError(
                    f"examples have shape {table.x.shape[1:]}; those of {self.path} have "
                    f"{known.x.shape[1:]}"
                )
            if (table.x.dtype == np.uint8) != (known.x.dtype == np.uint8):
                raise DataError(
                    f"x is {table.x.dtype}, that of {self.path} is {known.x.dtype}; uint8 means "
                    "images, whose bytes are divided by 255, and other types are used as they are"
                )
            return self.examples_of(table, str(path), classes)

    def examples_of(self, table: Contents, path: str, classes: list[str]) -> Examples:
        """Return the examples of a file that have a label, checked."""
        x, y, w = table.x, self._labels_of(table), table.w
        source = table.rows(path, self.labels, self.weight)
        time = None
        if table.times and table.lines is not None:
            time = times_of(table.times, table.lines, self.time or "", table.unit)
        with source.naming():
            weights = None if w is None else Loss.check_weights(w, len(x))
        examples = Examples(x.reshape(len(x), -1), y, weights, source=source, time=time)
        without = _without(y)
        if without.any():
            first = source.words((int(without.argmax()),), "y")
            if without.all():
                raise DataError(f"no example has a label; the first one is missing in {first}")
            warn(
                f"{path}: {without.sum():,} of {len(y):,} examples have no label, first in "
                f"{first}, and are left out",
                LayerkitWarning,
            )
            examples = examples.take(np.flatnonzero(~without))
        if self.target != "class":
            return examples
        with examples.naming():
            return replace(examples, t=numbered(examples.t.astype(str), classes))

    def _warn_about_leak(self, name: str | Path, later: Examples, train: Examples) -> None:
        """Warn if a file to measure on begins before the last of the training examples."""
        if later.time is None or train.time is None:
            return
        if later.time.dtype != train.time.dtype:
            raise DataError(
                f"{name}, column {self.time!r}: {words_of(later.time[0])}; {self.path} has "
                f"{words_of(train.time[0])}: should both be dates, or both numbers"
            )
        first, last = later.time.min(), train.time.max()
        if first < last:
            warn(
                f"{name} begins at {words_of(first)}, but training examples of {self.path} are as "
                f"late as {words_of(last)}: what is measured may say too much of later examples",
                TimeWarning,
            )

    def _split(self, examples: Examples, option: str, seed: int) -> tuple[Examples, Examples]:
        """Hold out the share of the examples that `option` gives."""
        if examples.time is not None:
            return self._split_in_time(examples, option)
        t = examples.t if self.target == "class" else None
        try:
            kept, held_out = draw_split(
                getattr(self, option) or 0.2,
                examples.t,
                int(stream(seed, f"split by {option}").integers(2**31)),
                stratify=self.target == "class",
            )
        except ValueError as error:
            what = f"{len(examples)} examples can't be split"
            if t is not None:
                counts = np.bincount(t)[t]
                rarest = int(counts.argmin())
                what += f" with every class in both parts, the rarest class has {counts[rarest]}"
                if examples.source:
                    what += f", first in {examples.source.words((rarest,), 'y')}"
            remedy = f"change {option}, or add examples"
            if self.path is not None and t is not None:
                remedy += '; or, if the labels are numbers to predict, set target = "number"'
            raise DataError(f"{what}: {remedy} ({error})") from error
        return examples.take(kept), examples.take(held_out)

    def _split_in_time(self, examples: Examples, option: str) -> tuple[Examples, Examples]:
        """Hold out the latest share of the examples."""
        assert examples.time is not None
        earlier, later = split_in_time(examples.time, [1 - (getattr(self, option) or 0.2)])
        kept = examples.take(earlier)
        if self.target == "class" and len(np.unique(kept.t)) < 2:
            raise DataError(
                f"all {len(kept)} examples before {words_of(examples.time[later].min())} are of "
                f"one class; change {option}, or add examples"
            )
        return kept, examples.take(later)


def known_shape(name: str) -> tuple[int] | None:
    """Return the shape of an example of a known data set; None if there is none of that name.

    Examples
    --------
    >>> known_shape("digits"), known_shape("spiral"), known_shape("sine")
    ((64,), (2,), (1,))
    """
    if name in TOYS:
        return TOYS[name].shape
    return {"digits": (64,), "mnist": (784,), "fashion_mnist": (784,)}.get(name)


def _without(y: Array) -> Array:
    """Return which examples have no label at all (N,)."""
    gaps = y == "" if y.dtype.kind == "U" else y != y  # nan
    return gaps.reshape(len(y), -1).all(axis=1)


def kind_of(path: str | Path) -> str:
    """Return the kind of a file by its name: the extension, but ``.csv`` for all tables of text.

    That of a folder is an empty string.

    Examples
    --------
    >>> kind_of("a.tsv.gz"), kind_of("a.npz"), kind_of("a/")
    ('.csv', '.npz', '')
    """
    if str(path).endswith(("/", os.sep)):
        return ""
    *_, first, second = ["", "", *(suffix.lower() for suffix in Path(path).suffixes)]
    kind = first + second if second == ".gz" else second
    return ".csv" if kind.removesuffix(".gz") in (".csv", ".tsv") else kind


def _warn_about_ids(path: str, table: Contents) -> None:
    """Say which columns only tell the rows of a table apart, and are learned from all the same."""
    found = [
        repr(name)
        for name, values in zip(table.features or (), table.x.T, strict=False)
        if is_identifier(name, values)
    ]
    if found:
        warn(
            f"{path}: {listed(found)} only tells the rows apart, and is learned from: "
            "features = […] lists the columns to learn from",
            LayerkitWarning,
        )
