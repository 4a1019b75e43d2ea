import csv
from pathlib import Path

import numpy as np
import pytest

from layerkit import SGD, Dense, Network, Record, SoftmaxCrossEntropy, Trainer, fit
from layerkit.callbacks import Callback, CSVLog, History, Progress

X, T = np.eye(4), np.array([0, 1, 0, 1])


def run(callback: Callback, epochs: int = 3, test: bool = True) -> list[Record]:
    net = Network(Dense(2), SoftmaxCrossEntropy(), (4,))
    test_data = (X, T) if test else None
    return fit(net, SGD(), X, T, test=test_data, epochs=epochs, batch_size=3, callbacks=[callback])


def test_a_row_for_each_epoch_reads_back_exactly(tmp_path: Path) -> None:
    records = run(CSVLog(str(tmp_path / "history.csv")))
    with open(tmp_path / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: repr(x) for name, x in record.row().items()} for record in records] == rows


def test_a_second_training_starts_a_new_file(tmp_path: Path) -> None:
    log = CSVLog(str(tmp_path / "history.csv"))
    run(log)
    run(log, epochs=1, test=False)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert len(lines) == 2


class Stops(History):
    def epoch_end(self, trainer: Trainer) -> None:
        super().epoch_end(trainer)
        if trainer.epoch == 2:
            raise KeyboardInterrupt


def test_the_records_of_an_interrupted_training_are_kept() -> None:
    history = Stops()
    with pytest.raises(KeyboardInterrupt):
        run(history)
    assert [record.epoch for record in history.records] == [1, 2]


def test_progress_prints_a_line_for_each_epoch_and_no_bar_into_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = run(Progress())
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(record) for record in records]
    assert err == ""
