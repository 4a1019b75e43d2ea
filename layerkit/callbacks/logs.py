"""Callbacks that tell what happens: on the screen, in memory, on disk."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from layerkit.callbacks.base import Callback
from layerkit.errors import FileError

if TYPE_CHECKING:
    from tqdm import tqdm

    from layerkit.evaluation import Record
    from layerkit.trainer import Trainer


class Progress(Callback):
    """A bar with examples per second and the running loss, then a line for each epoch.

    The bar appears on terminals only.
    """

    def epoch_begin(self, trainer: Trainer) -> None:
        """Begin anew."""
        self.bar: tqdm[None] | None = None
        self.seen, self.total = 0, 0.0

    def batch_end(self, trainer: Trainer) -> None:
        """Move the bar."""
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=trainer.examples, unit=" examples", leave=False, disable=None)
        self.seen += trainer.size
        self.total += trainer.size * trainer.loss
        if self.bar.update(trainer.size):
            self.bar.set_postfix_str(f"loss {self.total / self.seen:.3f}", refresh=False)

    def epoch_end(self, trainer: Trainer) -> None:
        """Print the record."""
        self.train_end(trainer)
        print(trainer.record, flush=True)

    def train_end(self, trainer: Trainer) -> None:
        """Take the bar away."""
        bar = vars(self).get("bar")
        if bar is not None:
            bar.close()


class History(Callback):
    """Keeps the records, also those of a training that is interrupted, in ``records``."""

    def train_begin(self, trainer: Trainer) -> None:
        """Take the records that are there after a resumption."""
        self.records: list[Record] = list(trainer.records)

    def epoch_end(self, trainer: Trainer) -> None:
        """Append the record."""
        self.records.append(trainer.record)


class CSVLog(Callback):
    """A row for each epoch, written at once: what was measured survives a crash.

    A resumed training goes on in the same file, which then has each epoch once.

    Parameters
    ----------
    path : str
        Of the file to write; the columns are the fields of `layerkit.Record`.
    """

    path: str

    def train_begin(self, trainer: Trainer) -> None:
        """Start the file, with the epochs from before a resumption."""
        with self._open("w"):
            pass
        for record in trainer.records:
            self._write(record)

    def epoch_end(self, trainer: Trainer) -> None:
        """Append a row, under a header if it is the first."""
        self._write(trainer.record)

    def _write(self, record: Record) -> None:
        row = record.row()
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
