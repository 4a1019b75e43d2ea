"""Callbacks that log a training run: on the screen, in memory, in files."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerkit.callbacks.base import Callback
from layerkit.config.options import Size
from layerkit.files.atomic import file_errors, write_atomically
from layerkit.progress import Progress, Record

if TYPE_CHECKING:
    from tqdm import tqdm


class ProgressBar(Callback):
    """A progress bar with examples per second and the mean loss, and a line for each epoch.

    The bar appears on terminals and in notebooks only. Further lines say why training has ended
    early, and that a callback has changed the learning rate.

    Parameters
    ----------
    every : int
        Print every n-th epoch, such as 100 in a training run of thousands; the last one always.
    """

    each_batch = False
    every: Size = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.bar: tqdm[None] | None = None
        self.seen = 0

    def train_begin(self, progress: Progress) -> None:
        self.lr = vars(progress.optimizer).get("lr")
        self.widths = {"epoch": len(f"Epoch {progress.epochs}: 0.00s")}
        self.printed = len(progress.records)

    def epoch_begin(self, progress: Progress) -> None:
        """Begin the bar anew; after a resumption, at the position of the old one."""
        before, self.lr = self.lr, vars(progress.optimizer).get("lr")
        if self.lr != before:
            print(f"The learning rate is {self.lr:.3g} now, it was {before:.3g}", flush=True)
        if progress.batch == 0:
            self.seen = 0
        description = f"Epoch {progress.epoch}/{progress.epochs}"
        if self.bar is None:
            from tqdm.auto import tqdm

            self.bar = tqdm(
                desc=description,
                total=progress.examples,
                initial=self.seen,
                unit=" examples",
                leave=False,
                disable=None if sys.stderr else True,  # daemons and pythonw have none
            )
        else:
            self.bar.set_description(description, refresh=False)
            self.bar.set_postfix_str("", refresh=False)
            self.bar.reset(progress.examples)

    def batch_end(self, progress: Progress) -> None:
        self.seen += progress.size
        if self.bar is None or self.bar.disable:
            return
        if progress.examples is None and progress.batches:
            self.bar.total = round(self.seen / progress.batch * progress.batches)
        if progress.weight_sum:
            self.bar.set_postfix_str(f"loss {progress.mean_loss:.3f}", refresh=False)
        self.bar.update(progress.size)

    def epoch_end(self, progress: Progress) -> None:
        if progress.epoch % self.every == 0:
            self._print(progress.record)

    def train_end(self, progress: Progress) -> None:
        """Remove the bar, and print why the training has ended early."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        if self.printed < len(progress.records):
            self._print(progress.record)
        reason = progress.stopped or progress.paused
        if reason:
            print(f"Ended in epoch {progress.epoch}: {reason}", flush=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of examples of the epoch so far."""
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]

    def _print(self, record: Record) -> None:
        """Print the line of an epoch, each metric below the same one of the lines before."""
        if self.bar is not None:
            self.bar.clear()
        cells = record.cells()
        for name, cell in cells.items():
            self.widths[name] = max(len(cell), self.widths.get(name, 0))
        columns = [
            (f"{cells[name]}," if name in cells else "").ljust(width + 1)
            for name, width in self.widths.items()
        ]
        print(" ".join(columns).rstrip(", "), flush=True)
        self.printed = record.epoch


class History(Callback):
    """A list of all records, ``records``, which is there even when training is interrupted.

    Examples
    --------
    >>> from layerkit import Dense, MeanSquaredError, Network, SGD, fit
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(1,))
    >>> history = History()
    >>> records = fit(net, SGD(), [[0.0], [1.0]], [0.0, 1.0], epochs=2, callbacks=[history])
    >>> [record.epoch for record in history.records]
    [1, 2]
    """

    def train_begin(self, progress: Progress) -> None:
        self.records: list[Record] = list(progress.records)

    def epoch_end(self, progress: Progress) -> None:
        self.records.append(progress.record)


class LogFile(Callback, ABC):
    r"""Base class of log files with a line for each epoch; a subclass overrides `text`.

    A line is written at once, and survives a crash. A resumed run continues the same file,
    which then has each epoch once.

    Parameters
    ----------
    path : str
        The file to write.

    Raises
    ------
    FileError
        When it can't be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from layerkit import Dense, MeanSquaredError, Network, SGD, fit
    >>> class EpochLog(LogFile):
    ...     def text(self, record, first):
    ...         return f"epoch {record.epoch}\n"
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(1,))
    >>> x, t = [[0.0], [1.0]], [0.0, 1.0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = EpochLog(f"{folder}/epochs.txt")
    ...     records = fit(net, SGD(), x, t, epochs=2, callbacks=[log])
    ...     print(Path(log.path).read_text(), end="")
    epoch 1
    epoch 2
    """

    path: str | Path

    @abstractmethod
    def text(self, record: Record, first: Record) -> str:
        """Return the line of an epoch; if it is the first, a header may come before it."""

    def train_begin(self, progress: Progress) -> None:
        """Start the file, with the epochs from before a resumption."""
        lines = [self.text(record, progress.records[0]) for record in progress.records]
        write_atomically(Path(self.path), "".join(lines).encode())

    def epoch_end(self, progress: Progress) -> None:
        line = self.text(progress.record, progress.records[0])
        with file_errors(f"{self.path}: can't be written"), open(self.path, "ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())


class CSVLog(LogFile):
    """A CSV file with a row for each epoch.

    Parameters
    ----------
    path : str
        The file to write; the columns are what the first `layerkit.Record` has in its ``row()``,
        in full precision.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from layerkit import Dense, MeanSquaredError, Network, SGD, fit
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(1,))
    >>> x, t = [[0.0], [1.0]], [0.0, 1.0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = CSVLog(f"{folder}/history.csv")
    ...     records = fit(net, SGD(), x, t, epochs=2, callbacks=[log])
    ...     lines = Path(log.path).read_text().split()
    >>> lines[0], len(lines)
    ('epoch,seconds,train_loss', 3)
    """

    def text(self, record: Record, first: Record) -> str:
        """Return a row, under the header if it is the first."""
        lines = io.StringIO()
        writer = csv.DictWriter(lines, first.row(), restval=math.nan, extrasaction="ignore")
        if record is first:
            writer.writeheader()
        writer.writerow(record.row())
        return lines.getvalue()


class JSONLinesLog(LogFile):
    """A file with a JSON object in a line for each epoch.

    Parameters
    ----------
    path : str
        The file to write, such as ``"history.jsonl"``; an object is the ``row()`` of a
        `layerkit.Record`, with null for what is not finite.

    Examples
    --------
    >>> import json
    >>> import tempfile
    >>> from pathlib import Path
    >>> from layerkit import Dense, MeanSquaredError, Network, SGD, fit
    >>> net = Network(Dense(1), MeanSquaredError(), shape=(1,))
    >>> x, t = [[0.0], [1.0]], [0.0, 1.0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = JSONLinesLog(f"{folder}/history.jsonl")
    ...     records = fit(net, SGD(), x, t, epochs=2, callbacks=[log])
    ...     rows = [json.loads(line) for line in Path(log.path).read_text().splitlines()]
    >>> [(row["epoch"], round(row["train_loss"], 2)) for row in rows]
    [(1, 0.55), (2, 0.38)]
    """

    def text(self, record: Record, first: Record) -> str:
        """Return a JSON object and the end of the line."""
        row = {name: x if math.isfinite(x) else None for name, x in record.row().items()}
        return json.dumps(row) + "\n"
