"""A training in progress: the loop, and all that it has to remember.

w    the parameters
g    the gradient of the loss with respect to them
a    the sample weights of a batch (N,), or None
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, field, fields
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import numpy as np

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback
from layerkit.config.options import Amount, Configurable, Limits, Size
from layerkit.errors import DivergenceError, at
from layerkit.files.checkpoints import Checkpoints
from layerkit.losses.base import mean_loss
from layerkit.metrics.metrics import Metric
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer
from layerkit.training.augmentation import Augmentation
from layerkit.training.averaging import Average, AveragedWeights
from layerkit.training.batches import Batch, Source
from layerkit.training.evaluation import Record, measure_source

if TYPE_CHECKING:
    from layerkit.training.divergence import FailedStep

SNAPSHOT = 100
"""Steps after which the state is remembered, to go back to when a value is not finite."""


class Training(Configurable):
    """How long and in what portions to train: the ``[training]`` table of a configuration file.

    Parameters
    ----------
    epochs : int
        How often every example is used.
    batch_size : int
        Examples that go through the network at once; the last batch of an epoch may be smaller.
    gradient_accumulation_steps : int
        Batches whose gradients are put together for one step of the optimizer: the same as one
        batch of them all, to rounding, in less memory.
    seed : int
        Of everything random in the run: initial weights, split of the data, order of the examples,
        dropout, augmentation.
    threads : int
        BLAS threads. The last digits of a result depend on it.
    average : Average, optional
        Of the weights, to evaluate with and to keep: `EMA` or `SWA`.
    augmentation : Augmentation, optional
        What is done to the examples of each batch, as `ImageAugmentation`.
    class_weight : "balanced", list of float or table, optional
        How much examples of each class count: a list by class number, or a table by the name or
        number of the class, where the others count 1. "balanced" lets all classes count the same:
        N / (classes * examples of the class).
    metrics : list of str
        Further figures of the validation set, or else of the test set: `layerkit.metrics`.
    measure_train : bool
        Whether all training examples are measured after each epoch. If not, the training loss of an
        epoch is the mean over its batches as they were trained on, and the accuracy is unknown.
    warm_start : str, optional
        A saved network, or the folder of a run that has one, whose weights are the first ones.
    checkpoints : Checkpoints, optional
        When and where the state is kept, from which a training can be resumed.
    callbacks : list of Callback
        What listens, as `EarlyStopping`.
    """

    epochs: Size = 10
    batch_size: Size = 128
    gradient_accumulation_steps: Size = 1
    seed: Annotated[int, Limits(ge=0)] = 0
    threads: Size = 1
    average: Average | None = None
    augmentation: Augmentation | None = None
    class_weight: Literal["balanced"] | list[Amount] | dict[str, Amount] | None = None
    metrics: list[str] = field(default_factory=list)
    measure_train: bool = True
    warm_start: str | None = None
    checkpoints: Checkpoints | None = None
    callbacks: list[Callback] = field(default_factory=list)


class Trainer:
    """A training in progress: what it works on, and where it stands.

    Made by `train` and `fit`; callbacks are given it.

    Attributes
    ----------
    network, optimizer
        They are changed in place.
    epoch, epochs : int
        The present one, from 1, and how many there will be.
    batch, batches : int, int or None
        The last one of the epoch, from 1, or 0 between epochs, and how many there are, if known.
    step, steps : int, int or None
        Steps of the optimizer so far, and in the whole training, if known.
    examples : int or None
        In an epoch, if known.
    size, loss : int, float
        Of the last batch.
    records : list of Record
        Of the epochs so far; the last one is `record`.
    stopped, paused : str or None
        Why the training has come to its end early, or is left and can be resumed.
    seconds : float
        How long it has taken so far, before and after resumptions.
    options : Training
        What `train` was given of them.
    sets : dict of str to Source
        What is measured after each epoch: "train", "validation", "test".
    failed : FailedStep or None
        What can be replayed when a value was not finite.
    origin : dict
        What checkpoints say of where they come from.
    """

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        source: Source,
        options: Training,
        rng: np.random.Generator,
        sets: dict[str, Source],
        metrics: Sequence[Metric] = (),
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self.source, self.options, self.rng = source, options, rng
        self.sets, self.metrics = sets, metrics
        self.epoch, self.epochs, self.examples = 1, options.epochs, source.examples
        self.batches = source.batches
        self.steps = optimizer.steps
        self.step = self.batch = self.size = 0
        self.loss = self.losses = self.totals = self.seconds_before = 0.0
        self.records: list[Record] = []
        self.stopped: str | None = None
        self.paused: str | None = None
        self.failed: FailedStep | None = None
        self.started = time.perf_counter()
        self.order = rng.bit_generator.state
        self.origin: dict[str, Any] = {}
        self.averaged = (
            AveragedWeights(network.arena, options.average, self.steps)
            if options.average and self.steps
            else None
        )
        self.augmenting = rng.spawn(1)[0] if options.augmentation else None
        self.summed = (
            np.empty_like(network.arena.grads) if options.gradient_accumulation_steps > 1 else None
        )
        self.memory = np.empty((0, *network.shape), network.dtype)
        # a method that nobody has overridden would be called for nothing, at every batch
        self.listening = {
            hook: [
                c for c in options.callbacks if getattr(type(c), hook) is not vars(Callback)[hook]
            ]
            for hook in HOOKS
        }

    @property
    def record(self) -> Record:
        """What the last epoch achieved."""
        return self.records[-1]

    @property
    def seconds(self) -> float:
        """How long the training has taken so far, before and after resumptions."""
        return self.seconds_before + time.perf_counter() - self.started

    def stop(self, reason: str) -> None:
        """End the training after this batch or epoch."""
        self.stopped = reason

    def pause(self, reason: str) -> None:
        """Leave the training after this batch or epoch; it can be resumed."""
        self.paused = reason

    def run(self) -> Iterator[Record]:
        """Train on from where the training stands, and yield a record after each epoch."""
        self.started = time.perf_counter()
        with ExitStack() as ends:  # every callback hears of the end, whatever fails
            for callback in reversed(self.listening["train_end"]):
                ends.callback(self._call, callback, "train_end")
            if self.averaged:
                ends.callback(self.averaged.show)
            self._tell("train_begin")
            while not self.finished and self.paused is None:
                if self.averaged:
                    self.averaged.hide()
                self.epoch = len(self.records) + 1
                with np.errstate(all="ignore"):
                    with at(f"epoch {self.epoch}"):
                        complete = self._train_epoch()
                    if not complete:
                        break
                    self._end_epoch()
                yield self.record
            if self.finished:  # so nothing is left to be resumed
                self.paused = None

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be trained."""
        return self.stopped is not None or len(self.records) >= self.epochs

    @property
    def leaving(self) -> bool:
        """Whether the training is to end here."""
        return self.stopped is not None or self.paused is not None

    def _train_epoch(self) -> bool:
        """Take a step for each batch that is left of this epoch; return False to leave within."""
        checkpoints = self.options.checkpoints
        self.order = self.rng.bit_generator.state
        self._tell("epoch_begin")
        self.snapshot = self.state()
        for batch in self.source.epoch(self.rng, self.batch):
            self._tell("batch_begin")
            if not self.take_step(batch):
                self._diverge(batch)
            self.batch += 1
            self._tell("batch_end")
            # looked at once: a signal may ask to leave at any moment
            leaving = self.leaving and self.batch != self.batches
            due = checkpoints and (leaving or checkpoints.are_due(self.step))
            if checkpoints and due and is_finite(self.network.arena.values):
                checkpoints.save(self.state_dict(), self.step)
            if leaving:
                return False
            if self.step % SNAPSHOT == 0 and is_finite(self.network.arena.values):
                self.snapshot = self.state()
        if not is_finite(self.network.arena.values):
            self._diverge(None)
        return True

    def take_step(self, batch: Batch) -> bool:
        """Take a step of the optimizer; return False, before it, if a value is not finite."""
        w, g = self.network.arena.values, self.network.arena.grads
        x, t, a, _ = batch
        if len(self.memory) < len(x) and x.dtype == np.uint8:
            self.memory = np.empty((len(x), *self.network.shape), self.network.dtype)
        x = self.network.convert(x, out=self.memory[: len(x)])
        if self.options.augmentation and self.augmenting:
            x = self.options.augmentation(x, self.augmenting)
        backpropagate = partial(self._backpropagate, x, t, a)
        self.size, self.loss = len(t), math.nan
        try:
            self.loss = backpropagate()
            if not math.isfinite(self.loss) or not is_finite(g):
                return False
            self.optimizer.step(w, g, backpropagate)
        except DivergenceError:  # of a layer that refuses what it is given
            return False
        self.losses += self.loss * self.total
        self.totals += self.total
        self.step += 1
        if self.averaged:
            self.averaged.update()
        return True

    def _backpropagate(self, x: Array, t: Array, a: Array | None) -> float:
        """Return the loss of a batch, leaving its gradient, put together from parts if need be."""
        network, summed = self.network, self.summed
        if summed is None:
            loss, self.total = network.backpropagate(x, t, a)
            return mean_loss(loss, self.total)
        summed[...] = 0
        losses = self.total = 0.0
        size = math.ceil(len(x) / self.options.gradient_accumulation_steps)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            loss, total = network.backpropagate(x[part], t[part], None if a is None else a[part])
            g = network.arena.grads
            g *= total
            summed += g
            losses += loss
            self.total += total
        if self.total:
            summed /= self.total
        network.arena.grads = summed
        return mean_loss(losses, self.total)

    def _end_epoch(self) -> None:
        """Measure the epoch that is over, keep its record, tell of it, and save."""
        if self.averaged:
            self.averaged.show()
        figures = {}
        with at(f"epoch {self.epoch}, after its last batch"):
            if "train" not in self.sets:
                figures["train_loss"] = self.losses / self.totals if self.totals else 0.0
            chosen = "validation" if "validation" in self.sets else "test"
            for name, source in self.sets.items():
                wanted = self.metrics if name == chosen else ()
                for key, figure in measure_source(self.network, source, wanted).items():
                    figures[f"{name}_{key}"] = figure
        named = {key: figures.pop(key) for key in FIGURES if key in figures}
        self.records.append(Record(self.epoch, self.seconds, **named, metrics=figures))
        self.batch, self.losses, self.totals = 0, 0.0, 0.0
        self.order = self.rng.bit_generator.state
        self._tell("epoch_end")
        if self.options.checkpoints:
            self.options.checkpoints.save(self.state_dict(), self.step)

    def _tell(self, hook: str) -> None:
        for callback in self.listening[hook]:
            self._call(callback, hook)

    def _call(self, callback: Callback, hook: str) -> None:
        try:
            getattr(callback, hook)(self)
        except Exception as error:
            error.add_note(f"in {hook} of the callback {callback!r}")
            raise

    def _diverge(self, batch: Batch | None) -> NoReturn:
        """Leave the training with this batch, or after the last one."""
        from layerkit.training.divergence import diverge

        diverge(self, batch)

    def state(self) -> dict[str, Any]:
        """All that the steps to come depend on, in copies."""
        network = self.network
        generators = {"order": self.order} | {
            address: layer.rng.bit_generator.state
            for address, layer in network.layers()
            if layer.random
        }
        if self.augmenting:
            generators["augmentation"] = self.augmenting.bit_generator.state
        return {
            "progress": {
                "step": self.step,
                "batch": self.batch,
                "losses": self.losses,
                "totals": self.totals,
            },
            "network": {
                "values": network.arena.values.copy(),
                "states": network.arena.states.copy(),
            },
            "optimizer": self.optimizer.state_dict(),
            "average": self.averaged.state_dict() if self.averaged else {},
            "generators": generators,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        vars(self).update(state["progress"])
        self.network.arena.values = state["network"]["values"]
        self.network.arena.states = state["network"]["states"]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged:
            self.averaged.load_state_dict(state["average"])
        generators = state["generators"]
        self.order = self.rng.bit_generator.state = generators["order"]
        for address, layer in self.network.layers():
            if layer.random:
                layer.rng.bit_generator.state = generators[address]
        if self.augmenting:
            self.augmenting.bit_generator.state = generators["augmentation"]

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on as if nothing had happened, as arrays and plain values."""
        shown = self.averaged is not None and self.averaged.shown
        if self.averaged:
            self.averaged.hide()
        state = self.state()
        if self.averaged and shown:
            self.averaged.show()
        return state | {
            "records": {str(record.epoch): asdict(record) for record in self.records},
            "seconds": self.seconds,
            "stopped": self.stopped,
            "callbacks": {name: part.state_dict() for name, part in self.remembering().items()},
            "origin": self.origin,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where the training stood when `state_dict` was called."""
        self.restore(state)
        self.records = [Record(**record) for record in state["records"].values()]
        self.seconds_before, self.started = state["seconds"], time.perf_counter()
        self.stopped, self.epoch = state["stopped"], max(1, len(self.records) + (self.batch > 0))
        for name, callback in self.remembering().items():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])

    def remembering(self) -> dict[str, Callback]:
        """The callbacks that have a state, by their class, and a number from the second on."""
        found: dict[str, Callback] = {}
        counts: Counter[str] = Counter()
        for callback in self.options.callbacks:
            if type(callback).state_dict != Callback.state_dict:
                name = type(callback).__name__
                counts[name] += 1
                found[name if counts[name] == 1 else f"{name} {counts[name]}"] = callback
        return found


HOOKS = ("train_begin", "train_end", "epoch_begin", "epoch_end", "batch_begin", "batch_end")
FIGURES = [option.name for option in fields(Record)]


def is_finite(vector: Array) -> bool:
    """Whether all numbers of a vector are finite."""
    # the sum of the squares costs a fraction of looking at each number, but may overflow
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())
