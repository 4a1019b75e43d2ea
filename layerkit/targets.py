"""Targets from outside: checked once, converted batch by batch; outputs in the same terms.

z    outputs of the body (N, *shape)
t    targets: class numbers or names, or numbers in their own units
a    sample weights
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from layerkit.arrays import Array, Shape
from layerkit.data.given import as_array
from layerkit.data.labels import distinct, numbered, plain
from layerkit.data.seen import SeenData
from layerkit.errors import ConfigError, DataError, LayerkitError, listed, row_error
from layerkit.losses.base import ElementwiseLoss, Loss, spread

EQUAL = 1e-14
"""The standard deviation of equal numbers, in parts of their mean: what rounding leaves."""


class Targets:
    """Targets for a loss: names of classes become numbers, and numbers can be standardized.

    Examples
    --------
    >>> from layerkit import MeanSquaredError, SoftmaxCrossEntropy
    >>> targets = Targets(SoftmaxCrossEntropy(), (2,), "float32", SeenData())
    >>> targets.check(["dog", "cat", "dog"], 3, learn=True)
    (array([1, 0, 1]), None)
    >>> targets.named(np.array([0, 1]))
    array(['cat', 'dog'], dtype='<U3')
    >>> targets = Targets(MeanSquaredError(), (1,), "float32", SeenData())
    >>> t, _ = targets.check([[200.0], [400.0]], 2, standardize=True)
    >>> targets.convert(t), targets.restore(np.array([[0.5]]))
    (array([[-1.],
           [ 1.]], dtype=float32), array([[350.]]))
    """

    def __init__(self, loss: Loss, shape: Shape, dtype: str, seen: SeenData) -> None:
        self.loss, self.shape, self.dtype, self.seen = loss, shape, np.dtype(dtype), seen

    @cached_property
    def exclusive(self) -> bool:
        """Whether each position has one class, of two or more."""
        shape, loss = self.shape, self.loss
        one = np.zeros((1, *shape))
        return loss.judges_classes and (shape[-1] == 1 or loss.predict(one).ndim < one.ndim)

    @property
    def standardizable(self) -> bool:
        """Whether the loss knows what standardized targets mean for its outputs."""
        return self.loss.rescale(np.zeros(1), np.ones(1)) is not None

    @property
    def names(self) -> list[Any] | None:
        """The names of the outputs: of the classes, or of the targets."""
        return self.seen.classes if self.exclusive else self.seen.targets

    def takes(self, names: Sequence[str]) -> bool:
        """Whether these can be the names of the targets, one for each prediction."""
        one = np.zeros((1, *self.shape))
        return not self.exclusive and self.loss.predict(one).shape == (1, len(names))

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Name the target in every error about one of several of an example."""
        try:
            yield
        except LayerkitError as error:
            row, names = error.row, self.seen.targets
            if row and row.array == "y" and len(row.where) == 2 and names:
                example, column = row.where
                words = f"example {example}, column {names[column]!r}"
                error.args = (row.before + words + row.after,)
            raise

    def check(
        self,
        t: Any,
        N: int,
        sample_weight: Any = None,
        *,
        learn: bool = False,
        standardize: bool = False,
    ) -> tuple[Array, Array | None]:
        """Return targets after looking at all of them, and their weights.

        Names of classes become numbers. Where a position has several targets, those that are
        missing (nan) get the weight 0. The columns of a table are the names of the targets.

        Parameters
        ----------
        t : array
        N : int
            The number of examples.
        sample_weight : array, optional
            The weight of each example, of each position, or of each target.
        learn : bool
            Whether names of classes and targets are learned, if none are known.
        standardize : bool
            Whether mean and scale of the targets are learned, if they are not known.

        Raises
        ------
        DataError
            For targets or weights that don't fit.
        ConfigError
            For targets that can't be standardized.
        """
        targets, a, names = as_array(t, "targets"), sample_weight, _names_of(t)
        if isinstance(t, list | tuple) and targets.dtype.kind == "U":
            targets = np.array(t, object)  # NumPy has made strings of numbers and None too
        targets = plain(targets)
        if targets.shape[:1] != (N,):
            turned = isinstance(t, list | tuple) and targets.shape[1:2] == (N,)
            hint = "; several targets are columns of one array: np.stack(t, axis=1)" * turned
            raise DataError(f"{N} examples with targets of shape {targets.shape}{hint}")
        if a is not None:
            a = self.loss.check_weights(a, N, self.shape)
        if self.exclusive:
            if targets.shape[1:] == (*self.shape[:-1], 1):
                targets = targets[..., 0]
            targets = self._numbers(targets, learn)
        elif targets.shape == (N, *self.shape) and isinstance(self.loss, ElementwiseLoss):
            targets, a = _without_gaps(targets, a)
        if names and self.takes(names):
            self.seen.check_targets(names, learn=learn)
        with self._naming():
            targets = self.loss.targets(targets, self.shape)
        if standardize and self.seen.scale is None:
            self._measure(targets, a)
        if targets.dtype.kind == "f" and self.seen.scale is None:
            with np.errstate(over="ignore"):
                targets = targets.astype(self.dtype)
            if not np.isfinite(targets).all():
                row = tuple(map(int, np.argwhere(~np.isfinite(targets))[0]))
                where = row[:1] if targets.shape[1:] == (1,) else row
                with self._naming():
                    raise row_error("the target of ", where, f" is too big for {self.dtype}")
        return targets, a

    def convert(self, t: Array) -> Array:
        """Return checked targets as the loss takes them: standardized, if they are."""
        if self.seen.scale is None:
            return t
        return ((t - np.array(self.seen.mean)) / np.array(self.seen.scale)).astype(self.dtype)

    def restore(self, z: Array) -> Array:
        """Return outputs in the units of the targets, z itself unless they are standardized."""
        return z if self.seen.scale is None else z * self.factor + self.offset

    @property
    def factor(self) -> Array:
        """Factor (D,) that gives the outputs the units of the targets."""
        return self._units()[0]

    @property
    def offset(self) -> Array:
        """Offset (D,) that is added then."""
        return self._units()[1]

    def _units(self) -> tuple[Array, Array]:
        D = self.shape[-1]
        if self.seen.scale is None:
            return np.ones(D), np.zeros(D)
        found = self.loss.rescale(np.array(self.seen.mean), np.array(self.seen.scale))
        if found is None:
            raise ConfigError(
                f"standardize_targets: {type(self.loss).__name__} takes its targets as they are"
            )
        return found

    def see(self, facts: dict[str, Any]) -> None:
        """Take over the facts of another network, as plain data.

        Raises
        ------
        ConfigError
            For facts that are not those of such a network.
        """
        seen, D = SeenData(**facts), self.shape[-1]
        self.name(seen.classes)
        mean, scale = np.array(seen.mean or [], float), np.array(seen.scale or [], float)
        fitting = mean.shape == scale.shape and np.isfinite(mean).all() and (scale > 0).all()
        names = seen.targets
        if names is not None and not (len(set(names)) == len(names) and self.takes(names)):
            raise ConfigError(f"targets = {names!r}: don't fit {D} outputs")
        vars(self.seen).update(vars(seen))
        if not fitting or self.factor.shape != (D,):
            raise ConfigError(f"mean = {seen.mean}, scale = {seen.scale}: don't fit {D} outputs")

    def predicted(self, z: Array) -> Array:
        """Return the predictions of the loss, classes by name, one output as (N,)."""
        y = self.loss.predict(z)
        if y.ndim == z.ndim and y.shape[-1] == 1:
            y = y[..., 0]
        return self.named(y)

    def name(self, names: Sequence[str] | Sequence[bool] | None) -> None:
        """Set the names of the classes.

        Raises
        ------
        ConfigError
            Unless there is one for each class, and none twice: strings, or False and True.
        """
        K, classes = max(self.shape[-1], 2), None
        if names is not None:
            classes = np.asarray(names).tolist()
            kinds = {type(name) for name in classes} if isinstance(classes, list) else set()
            if (
                kinds not in ({str}, {bool})
                or not self.exclusive
                or not len(set(classes)) == len(classes) == K
            ):
                raise ConfigError(
                    f"classes = {names!r}: should be the names of {K} classes, as strings"
                )
        self.seen.classes = classes

    def named(self, numbers: Array) -> Array:
        """Return class numbers by the names of the classes, if there are names."""
        classes = self.seen.classes
        return numbers if classes is None else np.array(classes)[numbers]

    def _numbers(self, labels: Array, learn: bool) -> Array:
        """Return the class numbers of labels; numbers stay as they are where no names are known."""
        if labels.shape[1:] != self.shape[:-1]:
            return labels
        if self.seen.classes is None:
            if learn:
                self.seen.classes = self._names(labels)
            elif labels.dtype.kind == "U":
                raise DataError(
                    f"labels are names, such as {labels.flat[0]!s}, and the network knows none: "
                    "fit learns them, or set network.classes = [...]"
                )
        classes = self.seen.classes
        if classes is None:
            return labels
        if labels.dtype.kind in "iuf" and not isinstance(classes[0], bool):
            raise DataError(
                f"labels are numbers, such as {labels.flat[0]}, and the network knows its classes "
                "by name: give names, np.array(network.classes)[labels], or set network.classes "
                "= None"
            )
        return numbered(labels, classes)

    def _names(self, labels: Array) -> list[Any] | None:
        """Return the names of the classes; None where labels are class numbers, or no classes."""
        K, kind = max(self.shape[-1], 2), labels.dtype.kind
        if kind == "U":
            names = distinct(labels)
            if len(names) != K:
                raise DataError(
                    f"the labels are {listed(map(repr, names))}, {len(names)} classes, and the "
                    f"network has outputs for {K}; should be as many: set the units of its last "
                    "layer, or network.classes = [...] if some don't occur here"
                )
            return names
        return [False, True] if kind == "b" and K == 2 else None

    def _measure(self, t: Array, a: Array | None) -> None:
        """Learn mean and standard deviation of each target, 1 where all are equal."""
        axes, t = tuple(range(t.ndim - 1)), t.astype(float)
        weights = np.ones(t.shape) if a is None else spread(a, t.shape)
        total = weights.sum(axes)
        if not total.all():
            names, first = self.seen.targets, int(np.argmin(total != 0))
            which = f"target {names[first]!r}" if names else "a target"
            raise DataError(f"standardize_targets: no example counts, or {which} is missing in all")
        with np.errstate(over="ignore", invalid="ignore"):
            mean = (weights * t).sum(axes) / total
            scale = np.sqrt((weights * (t - mean) ** 2).sum(axes) / total)
        if not np.isfinite(scale).all():
            raise DataError("standardize_targets: the targets are too big for their squares")
        self.seen.mean = mean.tolist()
        self.seen.scale = np.where(scale > EQUAL * abs(mean), scale, 1).tolist()
        self._units()


def _names_of(t: Any) -> list[str] | None:
    """Return the names of the columns of a DataFrame, or that of a Series, if they are strings."""
    columns = getattr(t, "columns", None)
    if columns is None:
        columns = [getattr(t, "name", None) or None]
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None


def _without_gaps(t: Array, a: Array | None) -> tuple[Array, Array | None]:
    """Return targets and weights, where missing targets have the weight 0.

    They become a target that is there, since 0 may be none that the loss can judge.
    """
    gaps = np.isnan(t) if t.dtype.kind == "f" and t.shape[-1] > 1 else np.zeros(1, bool)
    if not gaps.any():
        return t, a
    known = 0 if gaps.all() else t[~gaps][0]
    return np.where(gaps, known, t), ~gaps * spread(np.ones(len(t)) if a is None else a, t.shape)
