"""What listens to a training: progress on the screen, records on disk."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from layerkit.errors import FileError

if TYPE_CHECKING:
    from tqdm import tqdm

    from layerkit.network import Network
    from layerkit.training import Record


class Callback:
    """Listens to `layerkit.training.fit`; a subclass overrides what it wants to hear of.

    Examples
    --------
    >>> class Losses(Callback):
    ...     def train_begin(self, network, examples):
    ...         self.losses = []
    ...     def batch_end(self, size, loss):
    ...         self.losses.append(loss)
    """

    def train_begin(self, network: Network, examples: int) -> None:
        """Before the first epoch, with the number of training examples."""

    def batch_end(self, size: int, loss: float) -> None:
        """After a step, with the number of its examples and its loss."""

    def epoch_end(self, record: Record) -> None:
        """After an epoch has been measured."""

    def train_end(self) -> None:
        """After the last epoch, or when the training was cut off."""


class Progress(Callback):
    """A bar with examples per second and the running loss, then a line for each epoch.

    The bar appears on terminals only.
    """

    def train_begin(self, network: Network, examples: int) -> None:
        """Remember how long an epoch is."""
        self.examples = examples
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.seen, self.total = 0, 0.0
        self.bar: tqdm[None] | None = None

    def batch_end(self, size: int, loss: float) -> None:
        """Move the bar."""
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=self.examples, unit=" examples", leave=False, disable=None)
        self.seen += size
        self.total += size * loss
        if self.bar.update(size):
            self.bar.set_postfix_str(f"loss {self.total / self.seen:.3f}", refresh=False)

    def epoch_end(self, record: Record) -> None:
        """Print the record."""
        self.train_end()
        self._begin_epoch()
        print(record, flush=True)

    def train_end(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()


class History(Callback):
    """Keeps the records, also those of a training that is interrupted, in ``records``."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def epoch_end(self, record: Record) -> None:
        """Append the record."""
        self.records.append(record)


class CSVLog(Callback):
    """A row for each epoch, written at once: what was measured survives a crash.

    Parameters
    ----------
    path : path
        Of the file to write; the columns are the fields of `layerkit.training.Record`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def train_begin(self, network: Network, examples: int) -> None:
        """Start an empty file."""
        with self._open("w"):
            pass

    def epoch_end(self, record: Record) -> None:
        """Append a row, under a header if it is the first."""
        row = asdict(record)
        with self._open("a") as file:
            writer = csv.DictWriter(file, row)
            if not file.tell():
                writer.writeheader()
            writer.writerow(row)

    @contextmanager
    def _open(self, mode: str) -> Iterator[IO[str]]:
        try:
            with open(self.path, mode, newline="") as file:
                yield file
        except OSError as error:
            raise FileError(f"{self.path}: can't be written: {error.strerror}") from error
