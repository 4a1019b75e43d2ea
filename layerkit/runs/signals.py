"""Signals as a way to leave a training that can be resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Self

from layerkit.callbacks.base import Callback

if TYPE_CHECKING:
    from layerkit.training.trainer import Trainer

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(Callback):
    """Pauses a training at Ctrl-C or SIGTERM; at any other time, and the second time, ends at once.

    Attributes
    ----------
    trainer : Trainer or None
        The training, once it has begun.
    status : int
        What the process should exit with: 128 + the signal, 0 without one.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.trainer: Trainer | None = None
        self.training, self.status = False, 0

    def train_begin(self, trainer: Trainer) -> None:
        """From now on the first signal waits for the end of a batch."""
        self.trainer, self.training = trainer, True

    def train_end(self, trainer: Trainer) -> None:
        """Nothing waits any more."""
        self.training = False

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Receive the signals of the process."""
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, self.status = not self.status, 128 + number
        if first and self.training and self.trainer:
            self.trainer.pause(signal.Signals(number).name)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(self.status)
