"""Batches of arrays, in an order drawn anew for each epoch.

x    examples of a batch (N, *shape), in the network's dtype or as bytes of images
t    their targets, as the loss takes them
a    their sample weights (N,), or None
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import DataError
from layerkit.files.mapped import CHUNK, Subset, has_whole_rows, mapped_file, pieces, reader
from layerkit.network import Network


class Batch(NamedTuple):
    """Examples that go through the network together; `rows` are their numbers, where known.

    Those of a sparse matrix are `SparseRows`: ``np.asarray(batch.x)`` is dense.
    """

    x: Array
    t: Array
    sample_weight: Array | None = None
    rows: Array | None = None


class Source(ABC):
    """Base class of sources, which yield checked batches to train on or to measure.

    Attributes
    ----------
    examples, batches : int or None
        Their numbers in an epoch, if known.
    """

    examples: int | None
    batches: int | None

    @abstractmethod
    def epoch(self, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch in an order drawn from `rng`, without the first `skip`.

        A batch may be overwritten by the next.
        """

    @abstractmethod
    def chunks(self) -> Iterator[Batch]:
        """Yield all examples in their own order, in chunks of the size that predictions use."""


class Arrays(Source):
    """A source of examples and targets in memory, or mapped from files.

    Parameters
    ----------
    network : Network
        The network that checks them.
    x, t : arrays
    sample_weight : array, optional
    batch_size : int
    learn, standardize : bool
        As for `Network.check`.

    Attributes
    ----------
    naming : callable
        Returns a context in which errors about an example name its row in a file, if there is one.
    """

    naming: Callable[[], AbstractContextManager[None]] = nullcontext

    def __init__(
        self,
        network: Network,
        x: Any,
        t: Any,
        sample_weight: Any = None,
        batch_size: int = CHUNK,
        *,
        learn: bool = False,
        standardize: bool = False,
    ) -> None:
        self.x, self.t, self.a = network.check(
            x, t, sample_weight, learn=learn, standardize=standardize
        )
        self.batch_size, self.examples = batch_size, len(self.x)
        self.batches: int = -(-self.examples // batch_size)

    def freeze(self) -> None:
        """Copy the targets and make x contiguous, so that rows are taken quickly.

        Raises
        ------
        DataError
            For a mapped file whose rows are scattered over it.
        """
        rows = self.x.x if isinstance(self.x, Subset) else self.x
        if mapped_file(rows) is None:
            if isinstance(self.x, np.ndarray):
                self.x = np.ascontiguousarray(self.x)
        elif not has_whole_rows(rows):
            raise DataError(
                "x is mapped from a file in Fortran order, where the numbers of a row are far "
                "apart; save it with np.ascontiguousarray"
            )
        self.t = self.t.copy()

    def epoch(self, rng: np.random.Generator, skip: int = 0) -> Iterator[Batch]:
        """Yield every example once, in batches of `batch_size`; the last one may be smaller."""
        order = rng.permutation(len(self.x))
        read = reader(self.x, min(self.batch_size, len(order)))
        for start in range(skip * self.batch_size, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield Batch(read(rows), self.t[rows], None if self.a is None else self.a[rows], rows)

    def chunks(self) -> Iterator[Batch]:
        """Yield CHUNK examples at a time."""
        for i, x in enumerate(pieces(self.x)):
            part = slice(i * CHUNK, (i + 1) * CHUNK)
            yield Batch(x, self.t[part], None if self.a is None else self.a[part])
