"""Splits by time, which let nothing later be learned, and the folds of a cross-validation."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import ConfigError, DataError
from layerkit.data import Data
from layerkit.data.splits import TimeWarning, split_in_time, times_of, words_of

RNG = np.random.default_rng(0)


def write(path: Path, times: list[Any], labels: str = "ab") -> Path:
    """A table whose feature x is the number of the row."""
    rows = [f"{i},{time},{labels[i % len(labels)]}" for i, time in enumerate(times)]
    path.write_text("\n".join(["x,date,kind", *rows]))
    return path


@pytest.mark.parametrize(
    "cells",
    [
        [f"2024-{month:02}-{day:02}" for month in range(1, 11) for day in (5, 9, 9)],
        [f"2024-05-31T{hour:02}:{minute}:00+02:00" for hour in range(15) for minute in (10, 30)],
        [f"{2000 + year}-0{month}" for year in range(10) for month in (1, 1, 7)],
        [str(year) for year in range(1970, 2000)],
        [f"{i % 4}.5" for i in range(30)],
    ],
)
@pytest.mark.parametrize("shares", [{}, {"test_size": 0.3, "validation_size": 0.4}])
def test_the_latest_are_the_test_set_and_before_them_the_validation_set(
    tmp_path: Path, cells: list[str], shares: dict[str, Any]
) -> None:
    mixed = [cells[i] for i in RNG.permutation(len(cells))]
    path = write(tmp_path / "t.csv", mixed)
    dataset = Data(path=path, label="kind", time="date", **shares).load(seed=1)
    parts = list(dataset.parts().values())
    assert dataset.features == ["x"]
    assert sorted(np.concatenate([part.x[:, 0] for part in parts])) == list(range(len(cells)))
    times = [part.time for part in parts]
    for earlier, later in pairwise(times):
        assert earlier is not None
        assert later is not None
        assert earlier.max() < later.min()
    ties = max(cells.count(cell) for cell in cells)
    assert abs(len(dataset.test) - (shares or {"test_size": 0.2})["test_size"] * 30) <= ties / 2


def test_the_column_of_times_is_a_feature_only_if_it_is_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", list(range(20)))
    both = Data(path=path, label="kind", time="date", features=["x", "date"]).load(seed=1)
    assert both.features == ["x", "date"]
    assert str(both).endswith("2 features, 2 classes; train to 15, test to 19")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        (["2024-05-31", "", "2024-06-01"], "line 3, column 'date': ''; should be a date, such"),
        (["", "3", "2"], "line 2, column 'date': ''; should be a number"),
        (["2024-05-31", "31.5.2024"], "line 3, column 'date': '31.5.2024'; should be a date"),
        (["1", "2024-05-31"], "line 3, column 'date': '2024-05-31'; should be a number"),
        (["nan", "1"], "'nan'; should be a date"),
        (["7"] * 10, "10 examples of 1 different times can't be split by time into 2 parts"),
    ],
)
def test_times_that_do_not_order_the_rows_are_refused(
    tmp_path: Path, cells: list[str], sentence: str
) -> None:
    path = write(tmp_path / "t.csv", cells)
    with pytest.raises(DataError) as caught:
        Data(path=path, label="kind", time="date").load()
    assert sentence in str(caught.value)
    assert caught.value.place == str(path)


def test_one_class_alone_before_a_time_can_not_be_learned(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", list(range(10)), "aaaaaaaaab")
    with pytest.raises(DataError, match="all 8 examples before 8 are of one class"):
        Data(path=path, label="kind", time="date").load()


def test_a_later_file_has_to_be_later(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", [f"2024-01-{day:02}" for day in range(1, 21)])
    later = write(tmp_path / "b.csv", ["2024-01-20", "2024-02-01"])
    options: dict[str, Any] = {"path": first, "label": "kind", "time": "date"}
    assert len(Data(test=later, validation_size=0.2, **options).load().train) == 16
    early = write(tmp_path / "c.csv", ["2024-01-10", "2024-02-01"])
    for option in ("test", "validation"):
        with pytest.warns(TimeWarning, match=r"c\.csv begins at 2024-01-10, but training"):
            Data(**(options | {option: early})).load()
    numbers = write(tmp_path / "d.csv", [1, 2])
    with pytest.raises(DataError, match="should both be dates, or both numbers"):
        Data(test=numbers, **options).load()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"time": "kind"}, "time = 'kind': that is the label"),
        ({"time": "w", "weight": "w"}, "time = 'w': that is the weight"),
        ({"path": "a.npz", "label": None, "time": "date"}, "time = 'date': not allowed with"),
        ({"path": None, "label": None, "time": "date"}, "time = 'date': not allowed with"),
    ],
)
def test_a_time_needs_a_column_of_its_own(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Data(**{"path": "a.csv", "label": "kind", **options})


def test_words_of_times() -> None:
    cells = ["2024-05-31T08:30", "2024-05-31", "2024-06-01T01:00:00+02:00"]
    times = times_of(cells, np.arange(3), "date")
    words = ["2024-05-31 08:30:00", "2024-05-31", "2024-05-31 23:00:00"]
    assert [words_of(time) for time in times] == words
    with pytest.raises(DataError, match="row 1, column 'date': ''; should be a date"):
        times_of(["2024-05-31", ""], np.arange(2), "date", "row")
    with pytest.raises(DataError, match="4 examples of 2 different times can't be split"):
        split_in_time(np.array([1.0, 1.0, 2.0, 2.0]), [0.3, 0.6])


# Folds


@pytest.mark.parametrize("validation_size", [None, 0.25])
def test_each_example_is_held_out_once_and_classes_in_equal_shares(
    tmp_path: Path, validation_size: float | None
) -> None:
    path = write(tmp_path / "t.csv", list(range(200)), "aaab")
    data = Data(path=path, label="kind", validation_size=validation_size, features=["x"])
    test = data.load(seed=3).test.x[:, 0]
    held_out = []
    for fold in data.load_folds(5, seed=3):
        parts = [part.x[:, 0] for part in fold.parts().values()]
        together = np.concatenate([*parts, test])
        assert sorted(together) == list(range(200))
        assert len(fold.train) == (96 if validation_size else 128)
        assert np.bincount(fold.test.t).tolist() == [24, 8]
        held_out.append(fold.test.x[:, 0])
    assert len(np.unique(np.concatenate(held_out))) == 160


def test_numbers_need_no_classes_and_folds_follow_the_seed(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", list(range(50)), "123456789")
    data = Data(path=path, label="kind", target="number")
    first, again, other = ([f.test.t.tolist() for f in data.load_folds(4, s)] for s in (1, 1, 2))
    assert first == again != other


def test_folds_in_time_are_trained_with_the_past_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [i // 3 for i in RNG.permutation(100)])
    data = Data(path=path, label="kind", time="date", validation_size=0.2)
    for i, fold in enumerate(data.load_folds(4), 1):
        times = [part.time for part in fold.parts().values() if part.time is not None]
        assert times[0].max() < times[1].min() <= times[1].max() < times[2].min()
        assert abs(len(fold.test) - 16) <= 3
        assert abs(len(fold.train) + len(times[1]) - i * 16) <= 3


@pytest.mark.parametrize(
    ("options", "labels", "sentence"),
    [
        ({}, "aaaaaaaaab", "there are 2 training examples of the class 'b'"),
        ({"target": "number"}, "1", "folds = 30: there are 16 training examples"),
        ({"time": "date"}, "ab", "16 examples of 16 different times can't be split by time into"),
    ],
)
def test_what_can_not_be_folded_is_refused_at_once(
    tmp_path: Path, options: dict[str, Any], labels: str, sentence: str
) -> None:
    path = write(tmp_path / "t.csv", list(range(20)), labels)
    with pytest.raises(DataError, match=sentence):
        Data(path=path, label="kind", **options).load_folds(30 if options else 3)
