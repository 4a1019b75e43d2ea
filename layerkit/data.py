"""Data sets: the embedded digits, MNIST and Fashion-MNIST, and one's own files.

x    examples, a row each: (N, features); bytes for images of 0 to 255, else floats
t    class numbers (N,)
"""

from __future__ import annotations

import csv
import gzip
import importlib.util
import math
import os
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from layerkit.config import Configurable, Limits
from layerkit.errors import ConfigError, DataError, FileError, at
from layerkit.parameters import Array

Share = Annotated[float, Limits(gt=0, lt=1)]
"""A part of a whole, neither nothing nor all."""

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
OPENML = {"mnist": "mnist_784", "fashion_mnist": "Fashion-MNIST"}


@dataclass(frozen=True)
class Examples:
    """Examples x (N, features) with their class numbers t (N,)."""

    x: Array
    t: Array

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class Dataset:
    """Examples to train on, others to test on, and what they are.

    `classes` are the labels by class number, `features` the columns of x if they have names, and
    `image` is (height, width) if each row of x is a picture.
    """

    name: str
    train: Examples
    test: Examples
    classes: list[str]
    features: list[str] | None = None
    image: tuple[int, int] | None = None

    def __str__(self) -> str:
        return (
            f"{self.name}: {len(self.train):,} training examples, {len(self.test):,} test "
            f"examples, {self.train.x.shape[1]} features, {len(self.classes)} classes"
        )


class Data(Configurable):
    """Which data to use: the ``[data]`` table of a configuration file.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion_mnist"}, optional
        A known data set; the digits inside scikit-learn if neither `name` nor `path` is given.
    path : str, optional
        One's own: ``.npz`` with arrays x and y, or ``.csv`` with a header.
    label : str, optional
        The column of a ``.csv`` that holds the label.
    features : list of str, optional
        The columns of a ``.csv`` to learn from; by default all but the label.
    classes : list of str, optional
        The labels of `path` in the order of their class numbers; by default all, sorted.
    test_size : float, optional
        The share of `path` or of the digits that is held out, 0.2 by default: drawn from the
        run's seed, the same share of every class.

    Raises
    ------
    ConfigError
        For options that exclude each other, or a ``.csv`` without `label`.

    Examples
    --------
    >>> print(Data(name="digits").load(seed=0))
    digits: 1,437 training examples, 360 test examples, 64 features, 10 classes
    """

    name: Literal["digits", "mnist", "fashion_mnist"] | None = None
    path: str | None = None
    label: str | None = None
    features: list[str] | None = None
    classes: list[str] | None = None
    test_size: Share | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        csv_only, path_only = ["label", "features"], ["classes"]
        if self.path is None:
            self.name = self.name or "digits"
            self._refuse([*csv_only, *path_only], f"name = {self.name!r}")
            if self.name != "digits":
                self._refuse(["test_size"], f"name = {self.name!r}, which has a test set")
            return
        if self.name:
            raise ConfigError(f"name = {self.name!r} and path = {self.path!r}: give one of them")
        kind = Path(self.path).suffix
        if kind not in (".csv", ".npz"):
            raise ConfigError(f"path = {self.path!r}: should end in .csv or .npz")
        if kind == ".npz":
            self._refuse(csv_only, "a .npz, whose arrays are called x and y")
        elif not self.label:
            raise ConfigError(f"label: missing; which column of {self.path} holds the label?")

    def _refuse(self, options: list[str], because: str) -> None:
        for option in options:
            if getattr(self, option) is not None:
                raise ConfigError(f"{option} = {getattr(self, option)!r}: not with {because}")

    def load(self, seed: int | np.random.Generator = 0, data_dir: str | None = None) -> Dataset:
        """Read the data, check them, and split them where they aren't split already.

        Parameters
        ----------
        seed : int or Generator
            Of the split.
        data_dir : str, optional
            Folder with the four IDX files of MNIST or Fashion-MNIST, in it or in its ``mnist``
            or ``fashion_mnist``; by default what the environment's ``LAYERKIT_DATA`` names.

        Raises
        ------
        FileError
            For files that are missing or damaged.
        DataError
            For values that can't be used.
        """
        if self.path is not None:
            return self._load_path(Path(self.path), seed)
        if self.name == "digits":
            from sklearn.datasets import load_digits

            digits = load_digits()
            x = (digits.data / 16).astype(np.float32)
            train, test = _split(x, digits.target, self.test_size, seed)
            return Dataset("digits", train, test, DIGITS, image=(8, 8))
        name = str(self.name)
        folder = data_dir or os.environ.get("LAYERKIT_DATA")
        train, test = read_idx_folder(Path(folder), name) if folder else _fetch_openml(name)
        side = math.isqrt(train.x.shape[1])
        return Dataset(name, train, test, self.class_names(), image=(side, side))

    def class_names(self) -> list[str]:
        """The labels by class number, as far as they are known without reading `path`."""
        if self.path is not None:
            return self.classes or []
        return CLOTHES if self.name == "fashion_mnist" else DIGITS

    def _load_path(self, path: Path, seed: int | np.random.Generator) -> Dataset:
        with at(str(path)):
            image = None
            if path.suffix == ".csv":
                x, labels, features = read_csv(path, self.label, self.features)
            else:
                x, labels = read_npz(path)
                features, image = None, x.shape[1:] if x.ndim == 3 else None
            if labels is None:
                raise DataError("no labels: an array y is missing")
            classes = self.classes or _sorted(labels)
            x = x.reshape(len(x), -1)
            train, test = _split(x, _numbers(labels, classes), self.test_size, seed)
        return Dataset(str(path), train, test, classes, features, image)


def _split(
    x: Array, t: Array, test_size: float | None, seed: int | np.random.Generator
) -> tuple[Examples, Examples]:
    from sklearn.model_selection import train_test_split

    numbers, counts = np.unique(t, return_counts=True)
    if len(numbers) < 2:
        raise DataError(f"{len(t)} examples of {len(numbers)} class; should be of at least two")
    state = int(np.random.default_rng(seed).integers(2**31))
    try:
        train, test = train_test_split(
            np.arange(len(t)), test_size=test_size or 0.2, stratify=t, random_state=state
        )
    except ValueError as error:
        raise DataError(
            f"{len(t)} examples, {counts.min()} of the rarest class, can't be split: {error}"
        ) from error
    return Examples(x[train], t[train]), Examples(x[test], t[test])


def _sorted(labels: Array) -> list[str]:
    """All labels that occur, numbers by their value and words by the alphabet."""
    names = [str(label) for label in np.unique(labels)]
    try:
        return sorted(names, key=float)
    except ValueError:
        return names


def _numbers(labels: Array, classes: list[str]) -> Array:
    number = {name: i for i, name in enumerate(classes)}
    if len(number) < len(classes):
        raise DataError(f"classes = {classes}: a name stands there twice")
    for row, label in enumerate(labels):
        if str(label) not in number:
            raise DataError(f"label {str(label)!r} of example {row}; should be one of {classes}")
    return np.array([number[str(label)] for label in labels], np.intp)


def read_csv(
    path: Path, label: str | None, features: list[str] | None = None
) -> tuple[Array, Array | None, list[str]]:
    """Return the features (N, features), the labels (N,) or None, and the features' names.

    Parameters
    ----------
    path : Path
        A table with a header; commas between the cells.
    label : str, optional
        The column with the labels; None where it may be absent.
    features : list of str, optional
        The columns with the features, all others by default.

    Raises
    ------
    FileError
        For a file that can't be read.
    DataError
        For a missing column, a short or long row, a cell that is not a finite number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = next(rows, [])
            names = features or [name for name in header if name != label]
            for name in [*names, *([label] if label else [])]:
                if header.count(name) != 1:
                    raise DataError(
                        f"{header.count(name)} columns called {name!r}; should be one. "
                        f"The columns are {', '.join(header)}"
                    )
            columns = [header.index(name) for name in names]
            x, labels = [], []
            for row in rows:
                if len(row) != len(header):
                    raise DataError(
                        f"line {rows.line_num}: {len(row)} cells under {len(header)} columns"
                    )
                x.append(_numbers_in(row, columns, header, rows.line_num))
                labels.append(row[header.index(label)] if label else "")
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileError(f"{path}: not a table of comma-separated text: {error}") from error
    if not x:
        raise DataError("no examples: there are no rows under the header")
    return np.stack(x), np.array(labels) if label else None, names


def _numbers_in(row: list[str], columns: list[int], header: list[str], line: int) -> Array:
    cells = [row[column] for column in columns]
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(cells, float).astype(np.float32)
        if np.isfinite(numbers).all():
            return numbers
    except ValueError:
        pass
    for column in columns:
        try:
            fine = math.isfinite(float(row[column]))
        except ValueError:
            fine = False
        if not fine:
            raise DataError(
                f"line {line}, column {header[column]!r}: {row[column]!r}; "
                "should be a finite number"
            )
    raise DataError(f"line {line}: a number is too large for float32")


def read_npz(path: Path) -> tuple[Array, Array | None]:
    """Return the arrays x (N, ...) and, if it is there, y (N,) of a ``.npz`` file.

    Raises
    ------
    FileError
        For a file that is missing or damaged.
    DataError
        For arrays that are missing, don't fit or hold what is not a finite number.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if "x" not in arrays:
                raise DataError(f"arrays {', '.join(arrays) or 'none'}; should have x (and y)")
            x, y = arrays["x"], arrays.get("y")
    except OSError as error:
        raise FileError(f"{path}: can't be read: {error.strerror or error}") from error
    except DataError:
        raise
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise FileError(f"{path}: damaged, or not a .npz of numbers: {error}") from error
    if x.ndim < 2 or not x.size or x.dtype.kind not in "biuf":
        raise DataError(f"x is {x.dtype} {x.shape}; should be numbers, at least one row (N, ...)")
    if not np.isfinite(x).all():
        place = [int(i) for i in np.argwhere(~np.isfinite(x))[0]]
        raise DataError(f"x{place} is {x[tuple(place)]}; should be finite")
    if y is not None:
        if y.shape != (len(x),):
            raise DataError(f"y has shape {y.shape}; should be ({len(x)},), a label for each x")
        if y.dtype.kind == "f" and (y == np.floor(y)).all():
            y = y.astype(np.intp)
        if y.dtype.kind not in "iuU":
            raise DataError(f"y is {y.dtype} like {y[0]}; should be whole numbers or words")
    return x, y


def read_idx_folder(folder: Path, name: str) -> tuple[Examples, Examples]:
    """Return the training and the test images of MNIST's four files, plain or ``.gz``.

    Raises
    ------
    FileError
        For a missing or damaged file.
    DataError
        For labels out of range, or images and labels that don't fit.
    """
    if (folder / name).is_dir():
        folder = folder / name
    sets = []
    for part in ("train", "t10k"):
        x = _read_idx(folder, f"{part}-images", "idx3-ubyte")
        t = _read_idx(folder, f"{part}-labels", "idx1-ubyte")
        if len(x) != len(t):
            raise DataError(f"{folder}: {len(x)} {part} images, but {len(t)} labels")
        if (t > 9).any():
            row = int((t > 9).argmax())
            raise DataError(
                f"{folder}: label {t[row]} of image {row} in {part}-labels; should be 0 … 9"
            )
        sets.append(Examples(x.reshape(len(x), -1), t))
    if sets[0].x.shape[1] != sets[1].x.shape[1]:
        raise DataError(f"{folder}: training and test images differ in size")
    return sets[0], sets[1]


def _read_idx(folder: Path, stem: str, kind: str) -> Array:
    """Read an IDX file: two zero bytes, 8 for unsigned bytes, the number of axes, their lengths."""
    candidates = [folder / f"{stem}{dot}{kind}{gz}" for gz in ("", ".gz") for dot in "-."]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise FileError(f"{folder}: there is no {stem}-{kind}, plain or .gz, in this folder")
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise FileError(f"{path}: damaged: {error}") from error
    axes = int(kind[3])
    start = 4 + 4 * axes
    if content[:4] != bytes([0, 0, 8, axes]) or len(content) < start:
        raise FileError(f"{path}: starts with {content[:4].hex()}; should be 0000080{axes}")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, offset=4))
    if len(content) - start != math.prod(shape) or not math.prod(shape):
        raise FileError(
            f"{path}: its header says {shape}, that is {math.prod(shape):,} bytes; "
            f"there are {len(content) - start:,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _fetch_openml(name: str) -> tuple[Examples, Examples]:
    from sklearn.datasets import fetch_openml

    # scikit-learn reads the download faster with pandas, which nothing else here needs
    parser = "pandas" if importlib.util.find_spec("pandas") else "liac-arff"
    try:
        with warnings.catch_warnings(action="ignore"):  # of every retry
            bunch = fetch_openml(OPENML[name], version=1, as_frame=False, parser=parser)
    except (OSError, ValueError) as error:
        raise FileError(
            f"{name} can't be downloaded ({error}). Connect to the internet once,\n"
            "or name a folder with its four IDX files by --data-dir or LAYERKIT_DATA,\n"
            'or take the data that need no download: [data] name = "digits", [network] shape = [64]'
        ) from error
    x, t = bunch.data.astype(np.uint8), bunch.target.astype(np.uint8)
    return Examples(x[:60000], t[:60000]), Examples(x[60000:], t[60000:])
