"""Training on several machines by MPI: each rank has a share of the rows of every batch.

rank, size    the number of this process, and of all
N             the number of examples of a batch, or of a part of it
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.errors import ConfigError, LayerkitError
from layerkit.guidance import to_install
from layerkit.progress import Progress, Record
from layerkit.training.batches import Batch
from layerkit.training.options import Training
from layerkit.training.resume import OBSERVERS, Checkpointing, resume_training
from layerkit.training.trainer import Trainer

PATIENCE = 2.0
"""Seconds that other ranks wait for the first one to tell an error that all have met."""


class Ranks:
    """The processes that train together, by mpi4py.

    Raises
    ------
    ConfigError
        Without mpi4py.
    """

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except ImportError as error:
            raise ConfigError(f"mpi: mpi4py is not installed: {to_install('mpi')}") from error
        self.comm = MPI.COMM_WORLD
        self.rank, self.size = self.comm.rank, self.comm.size

    def add(self, vector: Array) -> None:
        """Replace a vector by the sum of those of all ranks."""
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, vector)

    def meet(self, *numbers: float, failed: str = "") -> Array:
        """Return the sums of up to three numbers over all ranks.

        All that ranks do together begins so: then none waits for one that has `failed`, which is
        a LayerkitError on the others.
        """
        sums = np.zeros(4)
        sums[: len(numbers)], sums[-1] = numbers, bool(failed)
        self.add(sums)
        if sums[-1]:
            reasons = self.comm.allgather(failed)
            rank = next(rank for rank, reason in enumerate(reasons) if reason)
            if not failed:
                raise RankError(f"rank {rank}: {reasons[rank]}")
        return sums

    def first(self, function: Callable[[], Any]) -> Any:
        """Return on all ranks what a function returns on the first, or raise what it raises."""
        found: Any = None
        if self.rank == 0:
            try:
                found = function(), None
            except LayerkitError as error:
                found = None, error
        self.meet()
        result, raised = self.comm.bcast(found)
        if raised is not None:
            raise raised
        return result

    def agree(self, progress: Progress) -> None:
        """Let all leave the training, for the reasons of the first rank that has one."""
        columns = zip(*self.comm.allgather((progress.stopped, progress.paused)), strict=True)
        progress.stopped, progress.paused = (next(filter(None, one), None) for one in columns)

    def quiet(self, options: Training) -> Training:
        """Return the options of a run, on other ranks than the first without what writes."""
        if not self.rank:
            return options
        callbacks = [part for part in options.callbacks if not isinstance(part, OBSERVERS)]
        return replace(options, callbacks=callbacks)

    def check_same(self, origin: dict[str, Any]) -> None:
        """Raise a ConfigError on all ranks, unless all have the same configuration and data."""
        parts = ("network", "optimizer", "training", "data")
        texts = [json.dumps(origin[part], sort_keys=True, default=str) for part in parts]
        digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
        first, *others = self.comm.allgather(digests)
        for rank, found in enumerate(others, 1):
            for part, one, two in zip(parts, found, first, strict=True):
                if one != two:
                    raise ConfigError(f"mpi: the {part} of rank {rank} differs from rank 0's")

    @contextmanager
    def ending_together(self) -> Iterator[None]:
        """End all processes of the job, where one of them fails, or is interrupted."""
        if self.size == 1:
            yield
            return
        try:
            yield
        except Exception as error:
            if self.rank:  # what all have met is told by the first
                time.sleep(PATIENCE)
            where = f"rank {self.rank}: " if self.rank else ""
            kind = "" if isinstance(error, LayerkitError) else f"{type(error).__name__}: "
            print(f"layerkit: {where}{kind}{error}", file=sys.stderr, flush=True)
            self.comm.Abort(1)
        except KeyboardInterrupt:
            self.comm.Abort(130)
        except SystemExit as error:
            self.comm.Abort(error.code if isinstance(error.code, int) else 1)


class RankError(LayerkitError):
    """Another rank has failed, or left the training alone."""


class Share:
    """A generator that draws for all N examples, and hands out the rows of this rank.

    So all ranks draw the same numbers as one process would.
    """

    def __init__(self, rng: np.random.Generator, N: int, rows: slice, address: str) -> None:
        self.rng, self.N, self.rows, self.address = rng, N, rows, address

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.rng, name)
        return partial(self._draw, name, method) if callable(method) else method

    def _draw(self, name: str, method: Any, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        n, found = self.rows.stop - self.rows.start, 0

        def larger(item: Any) -> Any:
            nonlocal found
            if isinstance(item, tuple) and item and item[0] == n:
                found += 1
                return (self.N, *item[1:])
            return item

        args = tuple(map(larger, args))
        kwargs = {key: larger(item) for key, item in kwargs.items()}
        if out is not None and len(out) == n:
            whole = np.empty((self.N, *out.shape[1:]), out.dtype)
            out[...] = method(*args, out=whole, **kwargs)[self.rows]
            return out
        if found != 1 or out is not None:
            raise ConfigError(
                f"{self.address}: draws {name} for something else than the rows of a batch, which "
                "can't be shared out among ranks: write self.rng.random(x.shape)"
            )
        return method(*args, **kwargs)[self.rows]


class RankTrainer(Trainer):
    """A training run of several ranks: the gradients of their rows of each batch are added up.

    What layers keep travels in the same vector as the gradient; before it go loss and weight, and
    whether a rank wants to leave. So all have the same numbers after each step, and decide alike.
    The first one measures.
    """

    def __init__(
        self, progress: Any, source: Any, seed: int, *, ranks: Ranks, measure: Any, **more: Any
    ) -> None:
        super().__init__(progress, source, seed, measure=lambda: ranks.first(measure), **more)
        self.ranks, self.agreed = ranks, False
        self.where = f"{ranks.size} ranks" if ranks.size > 1 else ""
        arena = self.network.arena
        self.vector = np.empty(arena.grads.size + arena.states.size, arena.grads.dtype)

    def check(self) -> None:
        """Refuse batches of which a rank would have no rows, or too few for a layer."""
        batch = getattr(self.source, "batch_size", None)
        if batch is None:
            return
        examples = min(batch // self.parts, self.source.examples)
        if examples < self.ranks.size:
            raise ConfigError(
                f"mpi: {self.ranks.size} ranks for batches of {examples}: each needs an example; "
                "start fewer, or choose a larger batch_size"
            )
        full = {batch, self.source.examples % batch or batch}
        for N in {part.stop - part.start for size in full for part in self._parts(size)}:
            smallest = N // self.ranks.size or N
            for address, layer in self.network.layers():
                if smallest < layer.smallest_batch:
                    raise ConfigError(
                        f"{address}: {type(layer).__name__} needs at least {layer.smallest_batch} "
                        f"examples, but {N} for {self.ranks.size} ranks leave {smallest}"
                    )

    def __iter__(self) -> Iterator[Record]:
        """Continue the training; where a rank fails or leaves the loop, all end."""
        try:
            yield from super().__iter__()
        except RankError:
            raise
        except GeneratorExit:
            self.ranks.meet(failed="left the training, with which the others go on")
            raise
        except Exception as error:
            notes = getattr(error, "__notes__", [])
            self.ranks.meet(failed="; ".join([f"{type(error).__name__}: {error}", *notes]))
            raise
        self.ranks.meet()

    def gradient(self, batch: Batch) -> tuple[float, float]:
        """Leave the gradient of the mean loss of a batch in the arena, the same on all ranks."""
        whole = None
        if self.augmentation and self.augmenting:  # random changes of all, as one process has them
            whole = self.augmentation(self.network.inputs.convert(batch.x), self.augmenting)
        shares = []
        for part in self._parts(len(batch.t)):
            start, stop, _ = part.indices(len(batch.t))
            rows = self._rows(stop - start)
            chosen = slice(start + rows.start, start + rows.stop)
            x = self.network.inputs.convert(batch.x[chosen]) if whole is None else whole[chosen]
            t = self.network.targets.convert(batch.t[chosen])
            a = None if batch.sample_weight is None else batch.sample_weight[chosen]
            shares.append((x, t, a, stop - start, rows))
        self.again = partial(self._added, shares)
        return self.again()

    def _parts(self, N: int) -> Iterator[slice]:
        """Yield the parts of a batch that are computed one after the other."""
        size = math.ceil(N / self.parts)
        return (slice(start, min(start + size, N)) for start in range(0, N, size))

    def _rows(self, N: int) -> slice:
        """Return the rows of this rank; all of them where there are fewer than ranks."""
        rank, size = self.ranks.rank, self.ranks.size
        return slice(N * rank // size, N * (rank + 1) // size) if size <= N else slice(0, N)

    def _added(self, shares: list[Any]) -> tuple[float, float]:
        """Leave the gradient of all shares of all ranks in the arena."""
        network, vector, grads = self.network, self.vector, self.network.arena.grads
        n, size, numbers = grads.size, self.ranks.size, np.zeros(2)
        vector[:] = 0
        states, begun = network.arena.states, network.arena.states.copy()
        for x, t, a, N, rows in shares:
            share = 1.0 if size <= N else 1 / size  # all ranks have computed all of it
            before = states.copy()
            with self._sharing(N, rows):
                total, weight = network.backpropagate(x, t, a, mean=False)
            vector[:n] += share * grads
            vector[n:] += len(x) / N * share * (states - before)
            numbers += share * np.array([total, weight])
        states[...] = begun
        total, weight, leaving, _ = self.ranks.meet(*numbers, self.progress.leaving).tolist()
        self.ranks.add(vector)
        states += vector[n:]
        np.multiply(vector[:n], 1 / weight if weight else 0, out=grads)
        if leaving:
            self.agreed = True
            self.ranks.agree(self.progress)
        return total, weight

    @contextmanager
    def _sharing(self, N: int, rows: slice) -> Iterator[None]:
        """Let random layers draw for all examples, and take the numbers of these rows."""
        drawing = [
            (name, layer, layer.rng) for name, layer in self.network.layers() if layer.random
        ]
        try:
            for address, layer, rng in drawing:
                layer.rng = Share(rng, N, rows, address)  # type: ignore[assignment]
            yield
        finally:
            for _, layer, rng in drawing:
                layer.rng = rng

    def _leaving(self) -> bool:
        return self.agreed

    def _over(self) -> bool:
        self.agreed = bool(self.ranks.meet(self.progress.leaving)[0])
        if self.agreed:
            self.ranks.agree(self.progress)
        return super()._over()


def resume_together(trainer: Any, checkpointing: Checkpointing, force: bool) -> None:
    """Restore the newest checkpoint of the first rank on all of them."""

    def state() -> Any:
        resume_training(trainer, checkpointing, force)
        return checkpointing.state_of(trainer)

    restored = trainer.ranks.first(state)
    if trainer.ranks.rank:
        checkpointing.restore(trainer, restored)
