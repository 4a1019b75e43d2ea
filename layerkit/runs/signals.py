"""Signal handlers: Ctrl-C and SIGTERM pause a training, which can be resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from layerkit.progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """A signal handler that pauses a training; a second signal, or one before or after it, exits.

    Attributes
    ----------
    status : int
        The exit status for the process: 128 + the signal, or 0 without one.
    """

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.status = 0

    @contextmanager
    def listening(self) -> Iterator[Self]:
        """Handle the signals of the process."""
        before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def pausing(self, progress: Progress) -> Iterator[None]:
        """Let the first signal pause this training at the end of a batch."""
        self.progress = progress
        try:
            yield
        finally:
            self.progress = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, self.status = not self.status, 128 + number
        if first and self.progress:
            self.progress.pause(signal.Signals(number).name)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise SystemExit(self.status)
