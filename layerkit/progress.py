"""The progress of a training run, which callbacks observe, and the record of an epoch."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from layerkit.errors import ConfigError, nearest
from layerkit.guidance import Guided, Refused
from layerkit.losses.base import mean_loss
from layerkit.network import Network
from layerkit.optimizers.base import Optimizer

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, repr=False)
class Record(Guided):
    """The metrics of an epoch, measured after it; nan is what was not measured.

    Attributes
    ----------
    epoch : int
        The number of the epoch, from 1.
    seconds : float
        The time since the start of the training, not of the epoch, with these measurements.
    train_loss, validation_loss, test_loss : float
        Means per example, in the unit of the loss.
    train_accuracy, validation_accuracy, test_accuracy : float
        Shares of the examples that are right, from 0 to 1; nan for numbers.
    metrics : dict of str to float
        Further metrics, of the validation set if there is one, else of the test set.

    Examples
    --------
    >>> print(Record(1, 0.7, 0.95, 0.16, 0.95, 0.17))
    Epoch 1: 0.70s, train acc=0.95, train loss=0.16, test acc=0.95, test loss=0.17
    """

    epoch: int
    seconds: float
    train_accuracy: float = math.nan
    train_loss: float = math.nan
    test_accuracy: float = math.nan
    test_loss: float = math.nan
    validation_accuracy: float = math.nan
    validation_loss: float = math.nan
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, epoch: int, seconds: float, measured: dict[str, float]) -> Record:
        """Make a record of all that was measured, by name."""
        own = {option.name for option in fields(cls)} & measured.keys()
        named = {name: measured[name] for name in own}
        others = {name: x for name, x in measured.items() if name not in own}
        return cls(epoch, seconds, **named, metrics=others)

    def row(self) -> dict[str, float]:
        """Return a row of a table: all fields that are not nan, and the metrics."""
        names = [f"{part}_{what}" for part in PARTS for what in ("accuracy", "loss")]
        measured = {name: x for name in names if not math.isnan(x := getattr(self, name))}
        return {"epoch": self.epoch, "seconds": self.seconds} | measured | self.metrics

    def measured(self) -> dict[str, float]:
        """Return all that was measured, by name, such as ``{"train_loss": 0.16, …}``."""
        row = self.row()
        return {name: x for name in list(row)[2:] if not math.isnan(x := row[name])}

    def __repr__(self) -> str:
        known = [*self.row(), *(["metrics"] if self.metrics else [])]
        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name in known]
        return f"Record({', '.join(shown)})"

    def cells(self) -> dict[str, str]:
        """Return the columns of the line that is printed, metrics by their names in `row`."""
        metrics = {
            name: f"{name.replace('_', ' ').replace('accuracy', 'acc')}={_short(x)}"
            for name, x in list(self.row().items())[2:]
        }
        return {"epoch": f"Epoch {self.epoch}: {self.seconds:.2f}s"} | metrics

    def __str__(self) -> str:
        return ", ".join(self.cells().values())


def _short(x: float) -> str:
    """Format with two decimals, and more where the difference from 0 or from 1 matters."""
    if 0.99 < x < 1:
        return f"{x:.4f}"
    return f"{x:.2f}" if 0.01 <= abs(x) < 1e6 or not x else f"{x:.2g}"


class Records(list[Record]):
    """The records of a run, a list; in a notebook a table, with a curve for each column."""

    def _repr_html_(self) -> str:
        from layerkit.inspection.notebook import table_of_numbers

        return table_of_numbers([record.row() for record in self], with_curves_from=2)


class Progress(Guided):
    """The progress of a training run, which callbacks are given at every batch and epoch.

    Attributes
    ----------
    network, optimizer
        Changed in place by the training.
    epoch, epochs : int
        The present epoch, from 1, and the number of epochs.
    batch, batches : int, int or None
        The last batch of the epoch, from 1, or 0 between epochs; the number of batches, if known.
    step, steps : int, int or None
        Steps of the optimizer so far, and in the whole training, if known.
    examples : int or None
        The number of examples in an epoch, if known.
    size, loss : int, float
        The number of examples of the last batch, and its mean loss.
    loss_sum, weight_sum : float
        The sum of the losses in this epoch so far, and the weight that divides it.
    records : list of Record
        One for each epoch so far; the last one is `record`.
    measured : sequence of str
        The names of what is measured after each epoch, such as "validation_loss".
    undirected : sequence of str
        The user's own metrics, of which nobody knows whether greater is better.
    stopped, paused : str or None
        Why the training ends early, or is left and can be resumed.
    options : Training or None
        The options of the training.
    failed : FailedStep or None
        When a value was not finite: the step, which can be replayed.

    Examples
    --------
    >>> from layerkit import Callback, Dense, MeanSquaredError, Network, SGD, fit
    >>> class Steps(Callback):
    ...     def epoch_end(self, progress):
    ...         print(f"Epoch {progress.epoch}: step {progress.step} of {progress.steps}")
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(1,))
    >>> x, t = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
    >>> records = fit(net, SGD(), x, t, epochs=2, batch_size=1, callbacks=[Steps()])
    Epoch 1: step 3 of 6
    Epoch 2: step 6 of 6
    """

    if not TYPE_CHECKING:
        stop_training = Refused()
        should_stop = Refused()

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        epochs: int,
        batches: int | None = None,
        examples: int | None = None,
        measured: Sequence[str] = (),
        options: Any = None,
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self.epochs, self.batches, self.examples = epochs, batches, examples
        self.steps = None if batches is None else epochs * batches
        self.measured, self.options = measured, options
        self.undirected: Sequence[str] = ()
        self.epoch, self.batch, self.step, self.size = 1, 0, 0, 0
        self.loss, self.loss_sum, self.weight_sum = math.nan, 0.0, 0.0
        self.records = Records()
        self.stopped: str | None = None
        self.paused: str | None = None
        self.failed: Any = None
        self.seconds_before, self.started = 0.0, time.perf_counter()
        self._own = {*vars(self), "_own"}

    @property
    def record(self) -> Record:
        """The last epoch's metrics; ConfigError before the first one has ended."""
        if not self.records:
            raise ConfigError(
                "record: no epoch has ended yet; from epoch_end on there is one, and after a batch "
                "progress.loss"
            )
        return self.records[-1]

    @property
    def mean_loss(self) -> float:
        """The mean loss over the batches of this epoch, each as it was before its step."""
        return mean_loss(self.loss_sum, self.weight_sum)

    @property
    def seconds(self) -> float:
        """Seconds that the training has taken so far, before and after resumptions."""
        return self.seconds_before + time.perf_counter() - self.started

    def stop(self, reason: str = "a callback has stopped it") -> None:
        """End the training after this batch or epoch."""
        self.stopped = reason

    def pause(self, reason: str) -> None:
        """Leave the training after this batch or epoch; it can be resumed.

        In the same process, iterate over the trainer again, once `paused` is None.
        """
        self.paused = reason

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be trained."""
        return self.stopped is not None or len(self.records) >= self.epochs

    @property
    def leaving(self) -> bool:
        """Whether the training should end here, finished or paused."""
        return self.stopped is not None or self.paused is not None

    def check_assigned(self) -> None:
        """Refuse what a callback has assigned and nobody reads, such as ``progress.stop = True``.

        Raises
        ------
        ConfigError
            For such a name, with what to write instead.
        """
        for name in vars(self).keys() - self._own:
            ours = [known for known in {*self._own, *dir(Progress)} if not known.startswith("_")]
            if name in ours:
                hint = f"it is a method: progress.{name}(reason)"
            else:
                hint = (
                    nearest(name, sorted(ours), Progress) or f"your own values go into self.{name}"
                )
            raise ConfigError(f"progress.{name} = {vars(self)[name]!r}: has no effect; {hint}")

    def begin(self) -> None:
        """Start the clock, or continue it."""
        self.failed = None
        recorded = self.records[-1].seconds if self.records else 0.0
        self.seconds_before = max(self.seconds_before, recorded)
        self.started = time.perf_counter()

    def begin_epoch(self) -> None:
        """Begin the next epoch, or go on within it."""
        self.epoch = len(self.records) + 1
        if not self.batch:
            self.loss_sum = self.weight_sum = 0.0

    def end_epoch(self, measured: dict[str, float]) -> None:
        """Keep the record of the epoch."""
        self.records.append(Record.of(self.epoch, self.seconds, measured))
        self.batch = 0
