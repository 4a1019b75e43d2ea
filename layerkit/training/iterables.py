"""Batches from an iterable, and the choice between arrays and iterables.

x    examples of a batch (N, *shape), in the network's dtype or as bytes of images
t    their targets, as the loss takes them
a    their sample weights (N,), or None
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from layerkit.errors import ConfigError, DataError, at
from layerkit.files.mapped import CHUNK, Subset
from layerkit.losses.base import spread
from layerkit.network import Network
from layerkit.training.batches import Arrays, Batch, Source

ANEW = (
    "give something that can be iterated once for each epoch, such as a list, or a function that "
    "returns a new iterator"
)


class Iterated(Source):
    """A source of batches from an iterable: a list, a data loader, or a function that returns one.

    A batch is (x, t) or (x, t, sample_weight), and is checked when it comes. The iterable is
    iterated anew for each epoch.

    Parameters
    ----------
    network : Network
    given : iterable or callable
    group : int
        Number of batches that are put together into one.
    name : str
        The name of the iterable in errors.
    learn : bool
        As for `Network.check`.
    """

    def __init__(
        self,
        network: Network,
        given: Any,
        group: int = 1,
        name: str = "the iterable",
        *,
        learn: bool = False,
    ) -> None:
        self.network, self.given, self.group, self.name = network, given, group, name
        self.learn = learn
        self.batches = -(-len(given) // group) if hasattr(given, "__len__") else None
        self.examples = None
        if isinstance(given, list):  # can be checked beforehand
            for number, batch in enumerate(given, 1):
                self._checked(batch, number)

    def check_epochs(self, epochs: int) -> None:
        """Raise a DataError if it can't be iterated for each of several epochs."""
        if epochs > 1 and isinstance(self.given, Iterator):
            raise DataError(
                f"{self.name} is {self.given!r}, which can be iterated once, but there are "
                f"{epochs} epochs: {ANEW}"
            )

    def epoch(self, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        """Return the batches in their own order, without the first `skip`."""
        return self._batches(skip)

    def chunks(self) -> Iterator[Batch]:
        """Return the batches in their own order."""
        return self._batches(0)

    def _batches(self, skip: int) -> Iterator[Batch]:
        given = self.given() if callable(self.given) else self.given
        if not hasattr(given, "__iter__"):
            raise DataError(f"the function returned {given!r}; should be an iterable of batches")
        number, group = 0, []
        for number, batch in enumerate(given, 1):
            if number <= skip * self.group:
                continue
            checked = self._checked(batch, number)
            # the next one may come in the same memory
            group.append(copy.deepcopy(checked) if self.group > 1 else checked)
            if len(group) == self.group:
                yield together(group)
                group = []
        if group:
            yield together(group)
        if not number:
            raise DataError(f"{self.name} gave no batch: {ANEW}")

    def _checked(self, batch: Any, number: int) -> Batch:
        with at(f"batch {number} of {self.name}"):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                given = self.given if isinstance(self.given, list | tuple) else [None]
                arrays = all(isinstance(one, np.ndarray) for one in given)
                hint = "; arrays are given one after the other, x, t, without brackets" * arrays
                raise DataError(
                    f"a batch is {_described(batch)}; should be (x, t) or (x, t, sample_weight)"
                    f"{hint}"
                )
            x, t, a = self.network.check(*batch, learn=self.learn)
            return Batch(self.network.inputs.convert(x[:]), t, a)


def _described(batch: Any) -> str:
    kind = type(batch).__name__
    return f"a {kind} of {len(batch)}" if isinstance(batch, tuple | list) else f"of type {kind}"


def together(batches: Sequence[Batch]) -> Batch:
    """Return one batch of several."""
    if len(batches) == 1:
        return batches[0]
    x, t = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
    if all(batch.sample_weight is None for batch in batches):
        return Batch(x, t)
    a = [np.ones(len(batch.t)) if (a := batch.sample_weight) is None else a for batch in batches]
    positions = max(a, key=np.ndim).shape[1:]
    return Batch(x, t, np.concatenate([spread(some, (len(some), *positions)) for some in a]))


def open_source(
    network: Network,
    x: Any,
    t: Any,
    sample_weight: Any = None,
    batch_size: int = CHUNK,
    group: int = 1,
    *,
    learn: bool = False,
    standardize: bool = False,
) -> Source:
    """Return `Arrays` if targets are given, else `Iterated` batches."""
    if t is not None:
        if hasattr(x, "__iter__") and not hasattr(x, "__getitem__"):
            raise ConfigError(f"t: not with {x!r}, an iterable whose batches bring their targets")
        return Arrays(
            network, x, t, sample_weight, batch_size, learn=learn, standardize=standardize
        )
    if isinstance(x, np.ndarray | Subset) or not (callable(x) or hasattr(x, "__iter__")):
        raise ConfigError("t: missing; without targets, x should be an iterable of batches (x, t)")
    if sample_weight is not None:
        raise ConfigError("sample_weight: in an iterable, each batch brings its own: (x, t, a)")
    if standardize:
        raise ConfigError("standardize_targets: needs x and t as arrays, to measure them before")
    return Iterated(network, x, group, learn=learn)


def open_set(network: Network, given: Any, name: str) -> Source:
    """Return a source to measure: of (x, t), (x, t, sample_weight), or an iterable of batches."""
    of_arrays = isinstance(given, list) and given and hasattr(given[0], "shape")
    with at(name):
        if (isinstance(given, tuple) or of_arrays) and len(given) in (2, 3):
            return Arrays(network, *given)
        if isinstance(given, np.ndarray) or not (callable(given) or hasattr(given, "__iter__")):
            shown = _described(given) if hasattr(given, "__len__") else repr(given)
            raise ConfigError(
                f"{shown}: should be (x, t), (x, t, sample_weight), or an iterable of batches; "
                "split the examples before, as by train_test_split of sklearn.model_selection"
            )
        return Iterated(network, given, name=name)
