"""Signal handlers: Ctrl-C and SIGTERM pause a training run, which can be resumed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, Self

from layerkit.progress import Progress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals of the process, but not those that it ignores.

    Shells let the processes that a script starts in the background ignore SIGINT.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    taken = [number for number in SIGNALS if before[number] is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def leave(number: int) -> NoReturn:
    """End the process as the signal does by itself."""
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


class Interruption:
    """A signal handler that pauses training; a second signal, or one before or after it, exits.

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
        with handled(self._receive):
            yield self

    @contextmanager
    def pausing(self, progress: Progress) -> Iterator[None]:
        """Let the first signal pause this training at the end of a batch."""
        self.progress = progress
        if self.status:  # an import may have swallowed what it raised
            progress.pause(signal.Signals(self.status - 128).name)
        try:
            yield
        finally:
            self.progress = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, self.status = not self.status, 128 + number
        if first and self.progress:
            self.progress.pause(signal.Signals(number).name)
        else:
            leave(number)
