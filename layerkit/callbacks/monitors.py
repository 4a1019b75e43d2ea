"""Callbacks that monitor a metric: early stopping, model checkpoints, a falling learning rate."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from layerkit.arrays import Array
from layerkit.callbacks.base import Callback, check_folder
from layerkit.config.options import Amount, Fraction, Limits, Size
from layerkit.errors import ConfigError, FileError, LayerkitWarning, at, listed, nearest, warn
from layerkit.optimizers.schedules.plain import ConstantSchedule
from layerkit.progress import Progress

SMALLER_IS_BETTER = r"loss|(mae|rmse)(_.*)?"
"""Metrics that should fall, such as ``mae_price``; all of scikit-learn's scorers should rise."""
UNDEFINED = {
    "roc_auc": "the set may lack a class",
    "r2": "the set may have one example alone",
    "accuracy": "the loss may ignore all examples of the set",
}
"""Why metrics whose names contain these are nan."""


class MonitorWarning(LayerkitWarning):
    """Warning: a metric that is monitored is nan from the first epoch on."""


class Monitor(Callback, ABC):
    """Base class of callbacks that monitor a metric; a subclass overrides `judge`.

    A metric improves if it is better than the best so far by more than `min_delta`. One that is
    infinite doesn't, nor one that has become nan. Epochs before its first number don't count: then
    there is a `MonitorWarning`.

    Parameters
    ----------
    monitor : str
        The name of a metric in ``record.measured()``, such as ``"validation_accuracy"``.
    mode : {"auto", "min", "max"}
        Whether smaller or greater is better; "auto" knows it from the name: losses and errors
        should fall, all others rise. A function of your own needs "min" or "max".
    min_delta : float
        A smaller difference is not an improvement; in the unit of the metric.

    Attributes
    ----------
    best, best_epoch : float, int
        The best metric so far, and its epoch; 0 if there is none.
    waited : int
        Epochs without improvement since.
    """

    monitor: str = field(default="validation_loss", kw_only=True)
    mode: Literal["auto", "min", "max"] = field(default="auto", kw_only=True)
    min_delta: Amount = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.forget()

    @property
    def sign(self) -> int:
        """1 if smaller is better, else -1."""
        name = self.monitor.partition("_")[2]
        falling = bool(re.fullmatch(SMALLER_IS_BETTER, name))
        smaller = falling if self.mode == "auto" else self.mode == "min"
        return 1 if smaller else -1

    def forget(self) -> None:
        """Reset the count and the best metric."""
        self.best, self.best_epoch, self.waited = self.sign * math.inf, 0, 0
        self.warned = False

    @abstractmethod
    def judge(self, progress: Progress) -> None:
        """Act on an epoch: the metric has improved if `waited` is 0."""

    def check(self, progress: Progress) -> None:
        """Raise a ConfigError for a metric that is not measured, or without a known direction."""
        if self.monitor in progress.measured:
            name = self.monitor.partition("_")[2].partition("_class_")[0]
            if self.mode == "auto" and name in progress.undirected:
                raise ConfigError(
                    f"{type(self).__name__}.monitor = {self.monitor!r}: is a metric of your own: "
                    'set mode to "min" if smaller is better, else to "max"'
                )
            return
        names, choose = progress.measured, "choose"
        meant = nearest(self.monitor, list(names))
        if self.monitor.startswith("val") and "validation_loss" not in names:
            choose, meant = "give a validation set, or choose", ""
        raise ConfigError(
            f"{type(self).__name__}.monitor = {self.monitor!r}: is not measured"
            f"{f' ({meant})' if meant else ''}; {choose} one of {listed(names)}"
        )

    def train_begin(self, progress: Progress) -> None:
        """Forget earlier training runs, unless this one is resumed."""
        if progress.step == 0:
            self.forget()

    def epoch_end(self, progress: Progress) -> None:
        """Check whether the metric has improved."""
        value = progress.record.measured().get(self.monitor, math.nan)
        if math.isnan(value) and not self.best_epoch:
            self._warn(progress)
            return
        better = self.sign * value < self.sign * self.best - self.min_delta
        if better and math.isfinite(value):
            self.best, self.best_epoch, self.waited = value, progress.record.epoch, 0
        else:
            self.waited += 1
        self.judge(progress)

    def _warn(self, progress: Progress) -> None:
        """Say once that the metric is nan, and the likely reason."""
        if not self.warned:
            reasons = [UNDEFINED[name] for name in UNDEFINED if name in self.monitor]
            reason = reasons[0] if reasons else "it can't be computed from these predictions"
            warn(
                f"{type(self).__name__}.monitor = {self.monitor!r}: is nan in epoch "
                f"{progress.record.epoch}: {reason}; epochs don't count until it is a number",
                MonitorWarning,
            )
        self.warned = True

    def state_dict(self) -> dict[str, Any]:
        """Return the best metric so far, its epoch, and the epochs since."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class EarlyStopping(Monitor):
    """Early stopping: ends the training when a metric has not improved for some epochs.

    Like Keras's callback of this name, but the best weights are restored by default.

    Parameters
    ----------
    patience : int
        Epochs without improvement after which the training ends.
    restore_best_weights : bool
        Whether the network has the weights of the best epoch in the end, also when the training
        reaches its end or is interrupted. They are kept in memory.
    warmup : int
        Epochs at the start that don't count, neither as best nor as without improvement.
    monitor, mode, min_delta
        As in `Monitor`.

    Raises
    ------
    ConfigError
        When the training begins, for a metric that is not measured.

    Examples
    --------
    >>> from layerkit import SGD, Dense, Network, SoftmaxCrossEntropy, fit
    >>> net = Network(Dense(2), SoftmaxCrossEntropy(), shape=(1,))
    >>> stopping = EarlyStopping(patience=2, monitor="validation_accuracy")
    >>> x, t = [[-1.0], [1.0]], [0, 1]
    >>> records = fit(net, SGD(), x, t, validation=(x, t), epochs=50, callbacks=[stopping])
    >>> len(records) - stopping.best_epoch
    2
    """

    patience: Size = 3
    restore_best_weights: bool = True
    warmup: Annotated[int, Limits(ge=0)] = field(default=0, kw_only=True)

    def forget(self) -> None:
        """Reset the count and the best metric, and forget the best weights."""
        super().forget()
        self.values: Array | None = None
        self.states: Array | None = None
        self.latest: tuple[Array, Array] | None = None

    def epoch_end(self, progress: Progress) -> None:
        """Check the metric, once the warm-up is over."""
        if progress.record.epoch > self.warmup:
            super().epoch_end(progress)

    def judge(self, progress: Progress) -> None:
        """Keep the weights, or stop."""
        if self.waited == 0 and self.restore_best_weights:
            arena = progress.network.arena
            self.values, self.states = arena.values.copy(), arena.states.copy()
        if self.waited >= self.patience:
            best = f"{self.best:.4g} in epoch {self.best_epoch}" if self.best_epoch else "none"
            progress.stop(
                f"{self.monitor} has not improved for {self.waited} epochs (best: {best})"
            )

    def train_begin(self, progress: Progress) -> None:
        """Take the latest weights again, if the last run ended with the best ones."""
        super().train_begin(progress)
        if self.latest is not None:
            progress.network.arena.values, progress.network.arena.states = self.latest
            self.latest = None

    def train_end(self, progress: Progress) -> None:
        """Put the best weights back."""
        arena = progress.network.arena
        if self.values is not None and self.states is not None:
            self.latest = arena.values.copy(), arena.states.copy()
            arena.values, arena.states = self.values, self.states

    def state_dict(self) -> dict[str, Any]:
        """Return the best metric so far, its epoch, the epochs since, and its weights."""
        return super().state_dict() | {"values": self.values, "states": self.states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back the best metric and its weights; FileError if they are not arrays."""
        for name in ("values", "states"):
            if not isinstance(state[name], np.ndarray | None):
                raise FileError(f"EarlyStopping.{name} is not an array")
        super().load_state_dict(state)
        self.latest = None


class ModelCheckpoint(Monitor):
    """A file with the best network so far, saved whenever a metric improves.

    `Network.load` reads it. To resume a training run, see `layerkit.Checkpoints`.

    Parameters
    ----------
    path : str
        The file, such as ``"best.safetensors"``. It is replaced in one step.
    monitor, mode, min_delta
        As in `Monitor`.

    Raises
    ------
    ConfigError
        When the training begins, for a metric that is not measured.
    FileError
        When the file can't be written.

    Examples
    --------
    >>> import tempfile
    >>> from layerkit import Dense, MeanSquaredError, Network, SGD, evaluate, fit
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(1,))
    >>> x, t = [[0.0], [1.0]], [0.0, 1.0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     best = ModelCheckpoint(f"{folder}/best.safetensors")
    ...     records = fit(net, SGD(), x, t, validation=(x, t), callbacks=[best])
    ...     _, loss = evaluate(Network.load(best.path), x, t)
    >>> loss - min(record.validation_loss for record in records)
    0.0
    """

    path: str | Path

    def train_begin(self, progress: Progress) -> None:
        """Raise a FileError if the folder is missing."""
        super().train_begin(progress)
        check_folder(self.path)

    def judge(self, progress: Progress) -> None:
        """Save the network if it is the best so far."""
        if self.waited == 0:
            progress.network.save(self.path)


class ReduceLROnPlateau(Monitor):
    """Reduces the learning rate, lr <- factor lr, when a metric has not improved for some epochs.

    With a schedule on `lr`, the rate that the schedule multiplies falls. `min_delta` is
    absolute, as in Keras; an epoch of `cooldown` doesn't count at all, as in PyTorch.

    Parameters
    ----------
    factor : float
        The factor of the rate, between 0 and 1.
    patience : int
        Epochs without improvement after which the rate falls.
    cooldown : int
        Epochs after that in which nothing is counted.
    min_lr : float
        The rate doesn't fall below it.
    monitor, mode, min_delta
        As in `Monitor`.

    Raises
    ------
    ConfigError
        When the training begins, for a metric that is not measured, and for an optimizer whose
        `lr` has no effect.

    Examples
    --------
    >>> from layerkit import SGD, Dense, MeanSquaredError, Network, fit
    >>> net, sgd = Network(Dense(1), MeanSquaredError(), shape=(1,)), SGD(lr=0.1)
    >>> x, t = [[0.0], [1.0]], [0.0, 1.0]
    >>> reduce = ReduceLROnPlateau(factor=0.5, patience=2, min_delta=10.0)
    >>> _ = fit(net, sgd, x, t, validation=(x, t), epochs=6, callbacks=[reduce])
    >>> sgd.lr
    0.025
    """

    factor: Fraction = 0.1
    patience: Size = 10
    cooldown: Annotated[int, Limits(ge=0)] = 0
    min_lr: Amount = 0.0

    def forget(self) -> None:
        """Reset the count and the best metric, and end the cooldown."""
        super().forget()
        self.resting = 0

    def check(self, progress: Progress) -> None:
        """Raise a ConfigError as `Monitor` does, and for a learning rate that has no effect."""
        super().check(progress)
        with at(type(self).__name__):
            replace(progress.optimizer, schedules={"lr": ConstantSchedule()})

    def judge(self, progress: Progress) -> None:
        """Wait, or reduce the rate."""
        if self.resting:
            self.resting, self.waited = self.resting - 1, 0
        elif self.waited >= self.patience:
            options = vars(progress.optimizer)
            lr = max(self.factor * options["lr"], self.min_lr)
            if 0 < lr < options["lr"]:
                options["lr"] = lr
            self.resting, self.waited = self.cooldown, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best metric so far, its epoch, the epochs since, and the cooldown left."""
        return super().state_dict() | {"resting": self.resting}
