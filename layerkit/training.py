"""The training loop and what it reports."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np

from layerkit.adaptation import all_or_nothing
from layerkit.averaging import Average, AveragedWeights
from layerkit.callbacks import Callback
from layerkit.config import Configurable, Limits, Size
from layerkit.errors import ConfigError, DataError, DivergenceError, at
from layerkit.inspection import check_outputs, first_not_finite
from layerkit.network import CHUNK, Network
from layerkit.optimizers import Optimizer
from layerkit.parameters import Array

OnBatch = Callable[[int, float], None]
"""Called after each batch with the number of its examples and its loss."""


class Training(Configurable):
    """How long and in what portions to train: the ``[training]`` table of a configuration file.

    Parameters
    ----------
    epochs : int
        How often every example is used.
    batch_size : int
        Examples per step; the last batch of an epoch may be smaller.
    seed : int
        Of everything random in the run: initial weights, split of the data, order of the examples.
    threads : int
        BLAS threads. The last digits of a result depend on it.
    average : Average, optional
        Of the weights, to evaluate with and to keep: `EMA` or `SWA`.
    """

    epochs: Size = 10
    batch_size: Size = 128
    seed: Annotated[int, Limits(ge=0)] = 0
    threads: Size = 1
    average: Average | None = None


@dataclass(frozen=True)
class Record:
    """What an epoch achieved, measured after it; test figures are nan without test data.

    `seconds` counts from the start of the training and includes these measurements. Losses are
    means per example, in the unit of the loss; accuracies are shares from 0 to 1.

    Examples
    --------
    >>> print(Record(1, 0.7, 0.95, 0.16, 0.95, 0.17))
    Epoch 1: 0.70s, train acc=0.95, train loss=0.16, test acc=0.95, test loss=0.17
    """

    epoch: int
    seconds: float
    train_accuracy: float
    train_loss: float
    test_accuracy: float = math.nan
    test_loss: float = math.nan

    def __str__(self) -> str:
        figures = {
            "train acc": self.train_accuracy,
            "train loss": self.train_loss,
            "test acc": self.test_accuracy,
            "test loss": self.test_loss,
        }
        known = [f"{name}={x:.2f}" for name, x in figures.items() if not math.isnan(x)]
        return f"Epoch {self.epoch}: {self.seconds:.2f}s, {', '.join(known)}"


def train(
    network: Network,
    optimizer: Optimizer,
    x: Any,
    t: Any,
    *,
    test: tuple[Any, Any] | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    seed: int | np.random.Generator = 0,
    average: Average | None = None,
    on_batch: OnBatch | None = None,
) -> Iterator[Record]:
    """Train, and yield a record after each epoch; leave the loop to stop early.

    Every example is used once per epoch, in an order drawn anew from `seed`. All data are checked
    before the first step.

    Parameters
    ----------
    network : Network
        Changed in place.
    optimizer : Optimizer
        It remembers its steps: take a new one for another network.
    x, t : arrays
        Examples (N, *shape) and targets, as `Network.gradient` takes them.
    test : pair of arrays, optional
        Examples and targets to measure on as well.
    epochs, batch_size, seed, average
        As in `Training`; a Generator may stand for the seed. With an average, the network has the
        averaged weights whenever a record is there.
    on_batch : callable, optional
        Called with the size and the loss of each batch.

    Raises
    ------
    ConfigError, DataError, ShapeError
        At once, before anything has changed.
    DivergenceError
        When a loss is not finite: with the epoch, the batch and the first layer.

    Examples
    --------
    >>> from layerkit import Adam, Dense, SoftmaxCrossEntropy
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(100, 2))
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(2,))
    >>> for record in train(net, Adam(lr=0.05), x, x[:, 0] > 0, batch_size=10):
    ...     if record.train_accuracy > 0.95:
    ...         break
    >>> record.train_loss < 0.5
    True
    """
    _check_kinds(network, optimizer, test)
    if isinstance(seed, np.random.Generator):
        options = Training(epochs=epochs, batch_size=batch_size, average=average)
    else:
        options = Training(epochs=epochs, batch_size=batch_size, seed=seed, average=average)
    rng = np.random.default_rng(seed)
    examples, targets = network.check(x, t)
    test_set = None if test is None else network.check(*test)
    steps = count_steps(network, len(examples), options)
    for rows in (examples, test_set[0]) if test_set else (examples,):
        network.check_layers(rows)
    with all_or_nothing(network):
        if not network.adapted:
            network.adapt(examples)
        check_outputs(network, network.convert(examples[:1]))
        optimizer.bind(network.arena, steps)
    # taking rows of an array in another order would copy all of it, for every batch
    examples, targets = np.ascontiguousarray(examples), targets.copy()

    def records() -> Iterator[Record]:
        start = time.perf_counter()
        averaged = AveragedWeights(network.arena, average, steps) if average else None
        for epoch in range(1, options.epochs + 1):
            try:
                with at(f"epoch {epoch}"):
                    train_epoch(
                        network,
                        optimizer,
                        examples,
                        targets,
                        options.batch_size,
                        rng,
                        averaged,
                        on_batch,
                    )
            finally:
                if averaged:
                    averaged.swap()
            with at(f"epoch {epoch}, after its last batch"):
                figures = _evaluate(network, examples, targets)
                test_figures = _evaluate(network, *test_set) if test_set else ()
            yield Record(epoch, time.perf_counter() - start, *figures, *test_figures)
            if averaged and epoch < options.epochs:
                averaged.swap()

    return records()


def _check_kinds(network: Any, optimizer: Any, test: Any) -> None:
    """Refuse what is easily mixed up: classes for objects, an array for a pair."""
    for name, value, kind in (("network", network, Network), ("optimizer", optimizer, Optimizer)):
        if not isinstance(value, kind):
            hint = f", as {value.__name__}()" if isinstance(value, type) else ""
            raise ConfigError(f"{name} = {value!r}: should be of type {kind.__name__}{hint}")
    if test is not None and not (isinstance(test, tuple | list) and len(test) == 2):
        raise ConfigError("test: should be a pair, examples and targets")


def count_steps(network: Network, examples: int, training: Training) -> int:
    """The steps of a training; DataError when a batch of it is too small for a layer."""
    full, rest = divmod(examples, training.batch_size)
    smallest = rest or training.batch_size
    for address, layer in network.layers():
        if smallest < layer.smallest_batch:
            raise DataError(
                f"{address}: {type(layer).__name__} needs at least {layer.smallest_batch} examples "
                f"in a batch, but {examples:,} examples in batches of {training.batch_size} leave "
                f"a last one of {smallest}; choose another batch_size"
            )
    return training.epochs * (full + bool(rest))


def train_epoch(
    network: Network,
    optimizer: Optimizer,
    x: Array,
    t: Array,
    batch_size: int,
    rng: np.random.Generator,
    averaged: AveragedWeights | None = None,
    on_batch: OnBatch | None = None,
) -> None:
    """Take one optimizer step for each batch of `x`, in an order drawn from `rng`.

    For arrays that ``network.check`` has returned.
    """
    w, g = network.arena.values, network.arena.grads
    memory = np.empty((min(batch_size, len(x)), *network.shape), network.dtype)
    with np.errstate(all="ignore"):
        for i, (rows, labels) in enumerate(batches(x, t, batch_size, rng.permutation(len(x)))):
            batch = network.convert(rows, out=memory[: len(rows)])
            loss = network.backpropagate(batch, labels)
            if not math.isfinite(loss):
                raise DivergenceError(
                    f"batch {i + 1}: the loss is {loss}; {first_not_finite(network, batch)}. "
                    f"Try a smaller learning rate than {optimizer} has, or scale the examples"
                )
            optimizer.step(w, g, partial(network.backpropagate, batch, labels))
            if averaged:
                averaged.update()
            if on_batch:
                on_batch(len(labels), loss)


def batches(x: Array, t: Array, size: int, order: Array) -> Iterator[tuple[Array, Array]]:
    """Gather `x` and `t` in the given order, `size` rows at a time and in the end the rest.

    The rows of `x` come in one buffer, which the next batch overwrites.

    Examples
    --------
    >>> x, t = np.array([[0], [10], [20]]), np.array([0, 1, 2])
    >>> [(rows.tolist(), labels.tolist()) for rows, labels in batches(x, t, 2, np.array([2, 0, 1]))]
    [([[20], [0]], [2, 0]), ([[10]], [1])]
    """
    buffer = np.empty((min(size, len(order)), *x.shape[1:]), x.dtype)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        # mode="clip" writes straight into the buffer, the default mode through another one
        yield np.take(x, rows, axis=0, out=buffer[: len(rows)], mode="clip"), t[rows]


def evaluate(network: Network, x: Any, t: Any) -> tuple[float, float]:
    """Return accuracy and loss, means over all examples.

    Raises
    ------
    ConfigError, DataError, ShapeError
        As `Network.gradient`.
    DivergenceError
        When the loss is not finite.

    Examples
    --------
    >>> from layerkit import Dense, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> net.arena.values[:] = [-1, 1, 0, 0]
    >>> accuracy, loss = evaluate(net, [[5.0], [-5.0], [1.0], [0.0]], [1, 0, 0, 0])
    >>> accuracy, round(loss, 4)
    (0.75, 0.705)
    """
    network.check_adapted()
    return _evaluate(network, *network.check(x, t))


def _evaluate(network: Network, x: Array, t: Array) -> tuple[float, float]:
    hits, loss, total = [], 0.0, 0.0
    with np.errstate(all="ignore"):
        for start in range(0, len(x), CHUNK):
            batch, labels = network.convert(x[start : start + CHUNK]), t[start : start + CHUNK]
            z = network.body.forward(batch, train=False)
            hits.append(network.loss.hits(z, labels))
            loss += network.loss.forward(z, labels) * network.loss.total
            total += network.loss.total
            if not math.isfinite(loss):
                raise DivergenceError(
                    f"the loss is not finite; {first_not_finite(network, batch)}. "
                    "Try a smaller learning rate, or scale the examples"
                )
    judged = np.concatenate(hits)
    judged = judged[~np.isnan(judged)]
    accuracy = float(judged.mean()) if len(judged) else math.nan
    return accuracy, loss / total if total else 0.0


def fit(
    network: Network,
    optimizer: Optimizer,
    x: Any,
    t: Any,
    *,
    test: tuple[Any, Any] | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    seed: int | np.random.Generator = 0,
    average: Average | None = None,
    callbacks: Sequence[Callback] = (),
) -> list[Record]:
    """Train to the end, telling `callbacks` of every batch and epoch, and return the records.

    Parameters
    ----------
    callbacks : sequence of Callback
        As `layerkit.callbacks.Progress`.
    network, optimizer, x, t, test, epochs, batch_size, seed, average
        As for `train`.

    Raises
    ------
    ConfigError, DataError, ShapeError, DivergenceError
        As `train`.

    Examples
    --------
    >>> from layerkit import SGD, Dense, SoftmaxCrossEntropy
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> records = fit(net, SGD(lr=1.0), [[-1.0], [1.0]], [0, 1], epochs=3, batch_size=2)
    >>> [record.train_accuracy for record in records][-1]
    1.0
    """

    def on_batch(size: int, loss: float) -> None:
        for callback in callbacks:
            callback.batch_end(size, loss)

    epochs_to_come = train(
        network,
        optimizer,
        x,
        t,
        test=test,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        average=average,
        on_batch=on_batch if callbacks else None,
    )
    records = []
    for callback in callbacks:
        callback.train_begin(network, len(x))
    try:
        for record in epochs_to_come:
            records.append(record)
            for callback in callbacks:
                callback.epoch_end(record)
    finally:
        for callback in callbacks:
            callback.train_end()
    return records
