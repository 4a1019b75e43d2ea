"""Data sets: the embedded digits, MNIST and Fashion-MNIST, and one's own files.

x    examples, a row each: (N, features); bytes for images of 0 to 255, else floats
t    class numbers (N,)
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from layerkit.config import Configurable, Fraction
from layerkit.errors import ConfigError, DataError, FileError, at
from layerkit.parameters import Array
from layerkit.readers import read_csv, read_idx_folder, read_npz

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
    test_size: Fraction | None = None

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
        if self.label in (self.features or []):
            raise ConfigError(f"features = {self.features}: the label {self.label!r} is among them")

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
        if self.name is None or self.name == "digits":
            from sklearn.datasets import load_digits

            digits = load_digits()
            x = (digits.data / 16).astype(np.float32)
            train, test = _split(x, digits.target, self.test_size, seed)
            return Dataset("digits", train, test, DIGITS, image=(8, 8))
        folder = data_dir or os.environ.get("LAYERKIT_DATA")
        name = self.name
        sets = read_idx_folder(Path(folder), name) if folder else _fetch_openml(name)
        train, test = (Examples(x.reshape(len(x), -1), t) for x, t in sets)
        return Dataset(name, train, test, self.class_names(), image=sets[0][0].shape[1:])

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
            f"{len(t)} examples, {counts.min()} of the rarest class, can't be split with every "
            f"class in both parts: change test_size, or add examples ({error})"
        ) from error
    return Examples(x[train], t[train]), Examples(x[test], t[test])


def _sorted(labels: Array) -> list[str]:
    """All labels that occur, numbers by their value and words by the alphabet."""
    names = [str(label) for label in np.unique(labels)]
    try:
        values = {float(name) for name in names}
    except ValueError:
        return names
    if len(values) < len(names):
        raise DataError(f"labels {', '.join(names)}: the same number is written in two ways")
    return sorted(names, key=float)


def _numbers(labels: Array, classes: list[str]) -> Array:
    number = {name: i for i, name in enumerate(classes)}
    if len(number) < len(classes):
        raise DataError(f"classes = {classes}: a name stands there twice")
    for row, label in enumerate(labels):
        if str(label) not in number:
            raise DataError(f"label {str(label)!r} of example {row}; should be one of {classes}")
    return np.array([number[str(label)] for label in labels], np.intp)


def _fetch_openml(name: str) -> list[tuple[Array, Array]]:
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
    x, t = bunch.data.astype(np.uint8).reshape(-1, 28, 28), bunch.target.astype(np.uint8)
    return [(x[:60000], t[:60000]), (x[60000:], t[60000:])]
