"""The training loop: epochs, batches, and a step in its two halves.

x, t, a    examples of a batch, their targets, their sample weights (or None)
w, g       all parameters, and the gradient of the loss with respect to them
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from layerkit.arrays import Array
from layerkit.callbacks.base import HOOKS, Callback
from layerkit.errors import DivergenceError, at
from layerkit.guidance import Guided
from layerkit.losses.base import mean_loss
from layerkit.progress import Progress, Record
from layerkit.streams import stream
from layerkit.training.batches import Batch, Source


class Attendant:
    """Base class of attendants, which are given the whole trainer; such as checkpoints.

    They are the parts of layerkit that reach into a training run; callbacks observe only its
    `Progress`. All methods are optional.
    """

    def epoch_begin(self, trainer: Trainer) -> None:
        """Called before the first batch of an epoch, after the callbacks."""

    def step_end(self, trainer: Trainer) -> None:
        """Called after the optimizer's step, before the callbacks."""

    def batch_end(self, trainer: Trainer, leaving: bool) -> None:
        """Called after a batch and its callbacks; `leaving` says that the run ends here."""

    def epoch_trained(self, trainer: Trainer) -> None:
        """Called after the last batch of an epoch, before anything is measured."""

    def epoch_end(self, trainer: Trainer) -> None:
        """Called after an epoch was measured, after the callbacks."""

    def train_end(self, trainer: Trainer) -> None:
        """Called once at the end, before the callbacks, even when the training fails."""

    def failed(self, trainer: Trainer, batch: Batch | None) -> None:
        """Called when a value is not finite: in the step of `batch`, or after the last one."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on: arrays and plain values, by name."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""


class Trainer(Guided):
    """A training run: iterate over it for a record of each epoch, or `run` it to its end.

    Made by `train`. The two halves of a step are for loops of your own: `gradient` leaves the
    gradient of a batch in the network's arena, and `apply` lets the optimizer use it. Between them
    you may change the gradient, such as by adding noise to it.

    Parameters
    ----------
    progress : Progress
        The network, the optimizer, and how far the run is.
    source : Source
        The batches of an epoch.
    seed : int
        The seed of the order of the examples, and of the augmentation.
    parts : int
        Number of parts of a batch whose gradients are put together.
    augmentation : callable, optional
        Changes a batch before it is used: ``augmentation(x, rng)``.
    measure : callable, optional
        Returns what is measured after an epoch, by name.
    callbacks : sequence of Callback
        Observers of `progress`.
    attendants : sequence of Attendant
        Helpers beside the loop: averages, checkpoints, the search for a divergence.

    Examples
    --------
    >>> from layerkit import Dense, Network, SGD, SoftmaxCrossEntropy, train
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> trainer = train(net, SGD(lr=1.0), [[-1.0], [1.0]], [0, 1], batch_size=2)
    >>> for batch in trainer.batches():
    ...     total, weight = trainer.gradient(batch)
    ...     net.arena.grads *= 0.5
    ...     trainer.apply()
    >>> round(total / weight, 2), trainer.optimizer.t
    (1.1, 1)
    """

    def __init__(
        self,
        progress: Progress,
        source: Source,
        seed: int,
        *,
        parts: int = 1,
        augmentation: Callable[[Array, np.random.Generator], Array] | None = None,
        measure: Callable[[], dict[str, float]] = dict,
        callbacks: Sequence[Callback] = (),
        attendants: Sequence[Attendant] = (),
    ) -> None:
        self.progress, self.source, self.rng = progress, source, stream(seed, "batches")
        self.network, self.optimizer = progress.network, progress.optimizer
        self.augmentation, self.measure, self.parts = augmentation, measure, parts
        self.attendants = attendants
        # methods that are not overridden are not called, since there may be many batches
        self.listening = {
            hook: [c for c in callbacks if getattr(type(c), hook) is not getattr(Callback, hook)]
            for hook in HOOKS
        }
        self.order = self.rng.bit_generator.state  # as it was when the epoch began
        self.augmenting = stream(seed, "augmentation") if augmentation else None
        self.images = np.empty((0, *self.network.shape), self.network.dtype)
        self.summed = np.empty_like(self.network.arena.grads) if parts > 1 else None
        self.again: Callable[[], tuple[float, float]] | None = None

    where = ""
    """The device or ranks that take the steps; empty for NumPy in this process."""

    def check(self) -> None:
        """Refuse what this trainer can't do; called once, before the first step."""

    def run(self) -> list[Record]:
        """Train to the end, and return the records of all epochs."""
        for _ in self:
            pass
        return self.progress.records

    def __iter__(self) -> Iterator[Record]:
        """Continue the training, and yield a record after each epoch."""
        progress = self.progress
        progress.begin()
        with ExitStack() as ends:  # calls all at the end, even if some of them fail
            for callback in reversed(self.listening["train_end"]):
                ends.push(partial(self._end, callback))
            for attendant in self.attendants:
                ends.callback(attendant.train_end, self)
            self._tell("train_begin")
            while not self._over():
                progress.begin_epoch()
                with np.errstate(all="ignore"):
                    with at(f"epoch {progress.epoch}"):
                        complete = self._train_epoch()
                    if not complete:
                        break
                    self._end_epoch()
                yield progress.record
            if progress.finished:  # so nothing is left to be resumed
                progress.paused = None

    def batches(self) -> Iterator[Batch]:
        """Return the batches of an epoch, in a new order; or the rest of one that was left.

        A batch may be overwritten by the next.
        """
        if self.progress.batch:
            self.rng.bit_generator.state = self.order
        self.order = self.rng.bit_generator.state
        return self.source.epoch(self.rng, self.progress.batch)

    def gradient(self, batch: Batch) -> tuple[float, float]:
        """Leave the gradient of the mean loss of a batch in the arena, whether finite or not.

        Returns
        -------
        total, weight : float
            The sum of the losses of its examples, and their weight: the loss is the quotient.
        """
        x = self.network.inputs.convert(batch.x, out=self._room(batch.x))
        if self.augmentation and self.augmenting:
            x = self.augmentation(np.asarray(x), self.augmenting)
        t = self.network.targets.convert(batch.t)
        self.again = partial(self._backpropagate, x, t, batch.sample_weight)
        return self.again()

    def apply(self) -> None:
        """Let the optimizer take a step with the gradient in the arena.

        One that searches, such as LBFGS, evaluates the batch again, as it was before you changed
        its gradient. Averages of the weights are left as they are; `step` updates them too.
        """
        self.optimizer.step(self.network.arena.values, self.network.arena.grads, self._loss_again)

    def step(self, batch: Batch) -> None:
        """Take a step with a batch.

        Raises
        ------
        DivergenceError
            When the loss or the gradient is not finite; the parameters have not changed then.
        """
        progress = self.progress
        progress.size, progress.loss = len(batch.t), math.nan
        total, weight = self.gradient(batch)
        progress.loss = mean_loss(total, weight)
        if not math.isfinite(progress.loss) or not is_finite(self.network.arena.grads):
            raise DivergenceError(f"the loss is {progress.loss}, or its gradient is not finite")
        self.apply()
        progress.loss_sum += total
        progress.weight_sum += weight
        progress.step += 1
        for attendant in self.attendants:
            attendant.step_end(self)

    def _train_epoch(self) -> bool:
        """Take a step for each batch left in this epoch; return False to end the run early."""
        progress, w = self.progress, self.network.arena.values
        batches = self.batches()
        self._tell("epoch_begin")
        for attendant in self.attendants:
            attendant.epoch_begin(self)
        for batch in batches:
            self._tell("batch_begin")
            try:
                self.step(batch)
            except DivergenceError:
                self._fail(batch)
                raise
            progress.batch += 1
            self._tell("batch_end")
            # looked at once: a signal may ask to leave at any moment
            leaving = self._leaving() and progress.batch != progress.batches
            for attendant in self.attendants:
                attendant.batch_end(self, leaving)
            if leaving:
                return False
        if not is_finite(w):
            self._fail(None)
            raise DivergenceError("the parameters are not finite after the last batch")
        return True

    def _end_epoch(self) -> None:
        """Measure the epoch that is over, and keep its record."""
        progress = self.progress
        for attendant in self.attendants:
            attendant.epoch_trained(self)
        with at(f"epoch {progress.epoch}, after its last batch"):
            progress.end_epoch({"train_loss": progress.mean_loss} | self.measure())
        self.order = self.rng.bit_generator.state
        self._tell("epoch_end")
        for attendant in self.attendants:
            attendant.epoch_end(self)

    def _backpropagate(self, x: Array, t: Array, a: Array | None) -> tuple[float, float]:
        """Leave the gradient in the arena; if there are several parts, of one after the other."""
        network, summed = self.network, self.summed
        if summed is None:
            return network.backpropagate(x, t, a)
        total = weight = 0.0
        summed[...] = 0
        size = math.ceil(len(x) / self.parts)
        for start in range(0, len(x), size):
            part = slice(start, start + size)
            weights = None if a is None else a[part]
            of_part = network.backpropagate(x[part], t[part], weights, mean=False)
            summed += network.arena.grads
            total, weight = total + of_part[0], weight + of_part[1]
        summed *= 1 / weight if weight else 0
        network.arena.grads = summed
        return total, weight

    def _loss_again(self) -> float:
        """Evaluate the same batch at the present parameters, for optimizers such as LBFGS."""
        return mean_loss(*self.again()) if self.again else math.nan

    def _room(self, x: Array) -> Array:
        """Return memory for a batch of images, the same for each batch."""
        if x.dtype == np.uint8 and len(self.images) < len(x):
            self.images = np.empty((len(x), *self.network.shape), self.network.dtype)
        return self.images[: len(x)]

    def _leaving(self) -> bool:
        """Whether the training ends after this batch or epoch."""
        return self.progress.leaving

    def _over(self) -> bool:
        """Whether no epoch is left to be begun."""
        return self.progress.leaving or self.progress.finished

    def _tell(self, hook: str) -> None:
        for callback in self.listening[hook]:
            self._call(callback, hook)

    def _end(self, callback: Callback, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Call `train_end`; what it raises does not hide the error that ended the training."""
        try:
            self._call(callback, "train_end")
        except Exception as later:
            if error is None:
                raise
            notes = "; ".join([f"{type(later).__name__}: {later}", *later.__notes__])
            error.add_note(f"then {notes}")

    def _call(self, callback: Callback, hook: str) -> None:
        try:
            getattr(callback, hook)(self.progress)
            self.progress.check_assigned()
        except Exception as error:
            error.add_note(f"in {hook} of the callback {callback!r}")
            raise

    def _fail(self, batch: Batch | None) -> None:
        for attendant in self.attendants:
            attendant.failed(self, batch)

    def _generators(self) -> dict[str, np.random.Generator]:
        """Return the random generators that are used within an epoch, by address."""
        found = {name: layer.rng for name, layer in self.network.layers() if layer.random}
        return found | ({"augmentation": self.augmenting} if self.augmenting else {})

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on, as copies of arrays and plain values."""
        progress, arena = self.progress, self.network.arena
        names = ("epoch", "batch", "step", "loss_sum", "weight_sum")
        generators = {name: g.bit_generator.state for name, g in self._generators().items()}
        return {
            "progress": {name: getattr(progress, name) for name in names},
            "network": {
                "values": arena.values.copy(),
                "states": arena.states.copy(),
                "seen": asdict(self.network.seen),
            },
            "optimizer": self.optimizer.state_dict(),
            "generators": {"order": self.order} | generators,
            "attendants": {
                type(attendant).__name__: state
                for attendant in self.attendants
                if (state := attendant.state_dict())
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        vars(self.progress).update(state["progress"])
        self.network.arena.values = state["network"]["values"]
        self.network.arena.states = state["network"]["states"]
        self.network.targets.see(state["network"]["seen"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order = self.rng.bit_generator.state = state["generators"]["order"]
        for name, generator in self._generators().items():
            generator.bit_generator.state = state["generators"][name]
        for attendant in self.attendants:
            if type(attendant).__name__ in state["attendants"]:
                attendant.load_state_dict(state["attendants"][type(attendant).__name__])


def is_finite(vector: Array) -> bool:
    """Whether all numbers of a vector are finite."""
    # the sum of the squares costs a fraction of looking at each number, but may overflow
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())
