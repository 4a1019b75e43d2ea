"""Files of one's own to validate and test on, weights, arrays larger than memory, numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import ConfigError, DataError, FileError
from layerkit.data import Data
from layerkit.errors import LayerkitWarning

IRIS = "a,kind,b\n" + "".join(f"{i},{'xyz'[i % 3]},{i / 8}\n" for i in range(30))


def write_csv(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_validation_and_test_examples_of_ones_own(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "train.csv", IRIS)
    other = write_csv(tmp_path / "val.csv", "b,more,kind,a\n1,9,z,2\n3,9,x,4\n5,9,z,6\n")
    options: dict[str, Any] = {"path": str(path), "label": "kind"}
    data = Data(**options, validation=str(other), test=str(other)).load()
    assert data.validation is not None
    assert len(data.train) == 30
    assert data.validation.x.tolist() == [[2, 1], [4, 3], [6, 5]]
    assert data.validation.t.tolist() == [2, 0, 2]
    np.testing.assert_array_equal(data.test.x, data.validation.x)
    split, plain = Data(**options, validation=str(other)).load(4), Data(**options).load(4)
    np.testing.assert_array_equal(split.train.x, plain.train.x)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,kind\n1,x\n", "there is no column 'b'"),
        ("a,b,kind\n1,2,w\n", "label 'w' of line 2, column 'kind'; should be one of 'x', 'y', 'z'"),
        ("a,b,kind\n", "no rows"),
    ],
)
def test_another_file_has_to_have_the_same_features_and_classes(
    tmp_path: Path, text: str, reason: str
) -> None:
    path = write_csv(tmp_path / "train.csv", IRIS)
    other = write_csv(tmp_path / "other.csv", text)
    with pytest.raises(DataError, match=reason) as caught:
        Data(path=str(path), label="kind", validation=str(other)).load()
    assert caught.value.place == str(other)


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros((4, 3), np.uint8), r"examples have shape \(3,\); those of .* have \(2,\)"),
        (np.zeros((4, 2)), "x is float64, that of .* is uint8; uint8 means images"),
    ],
)
def test_another_file_has_to_have_examples_of_the_same_kind(
    tmp_path: Path, x: Any, reason: str
) -> None:
    a, b = str(tmp_path / "a.npz"), str(tmp_path / "b.npz")
    np.savez(a, x=np.zeros((20, 2), np.uint8), y=np.arange(20) % 2)
    np.savez(b, x=x, y=[0, 1, 0, 1])
    with pytest.raises(DataError, match=reason):
        Data(path=a, test=b).load()


def test_weights_follow_their_examples(tmp_path: Path) -> None:
    x = np.arange(40.0).reshape(20, 2)
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(20) % 2, w=x[:, 0] / 10)
    rows = "".join(f"{a},{a / 10},{i % 2},{b}\n" for i, (a, b) in enumerate(x))
    path = write_csv(tmp_path / "t.csv", "a,how much,kind,b\n" + rows)
    for data in (
        Data(path=str(tmp_path / "t.npz"), validation_size=0.25),
        Data(path=str(path), label="kind", weight="how much", validation_size=0.25),
        Data(path=str(path), label="kind", weight="how much", features=["a", "b"]),
    ):
        dataset = data.load()
        assert dataset.features in (None, ["a", "b"])
        for part in (dataset.train, dataset.validation, dataset.test):
            if part is not None:
                assert part.w is not None
                assert part.x.shape[1] == 2
                np.testing.assert_array_equal(part.w, part.x[:, 0] / 10)
    assert Data().load().train.w is None


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ([1, 2, -3, 4], r"sample weight -3 of w\[2\]; should be finite and >= 0"),
        ([1, 2, np.inf, 4], r"sample weight inf of w\[2\]"),
        ([1, 2], r"w has shape \(2,\); should be \(4,\), a weight for each x"),
        (["1", "2", "3", "4"], "should be numbers"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path: Path, weights: Any, reason: str) -> None:
    np.savez(tmp_path / "t.npz", x=np.ones((4, 1)), y=[0, 1, 0, 1], w=weights)
    with pytest.raises(DataError, match=reason):
        Data(path=str(tmp_path / "t.npz"), test_size=0.5).load()


def test_a_missing_column_of_weights_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", IRIS)
    with pytest.raises(DataError, match="there is no column 'w'"):
        Data(path=str(path), label="kind", weight="w").load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    x = np.arange(60 * 6, dtype=np.float32).reshape(60, 2, 3)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.array(["a", "b", "c"])[np.arange(60) % 3])
    np.save(tmp_path / "w.npy", np.arange(60) / 8)
    return tmp_path


def test_a_folder_of_arrays_is_split_by_numbers_of_rows(folder: Path) -> None:
    data = Data(path=str(folder), validation_size=0.25).load(seed=2)
    assert data.validation is not None
    assert data.image == (2, 3)
    assert data.classes == ["a", "b", "c"]
    parts = (data.train, data.validation, data.test)
    assert [len(part) for part in parts] == [36, 12, 12]
    for part in parts:
        assert isinstance(part.x, np.memmap)
        assert part.x.shape == (60, 6)
        assert part.rows is not None
        assert part.w is not None
        np.testing.assert_array_equal(part.t, part.rows % 3)
        np.testing.assert_array_equal(part.w, part.rows / 8)
    rows = np.concatenate([part.rows for part in parts if part.rows is not None])
    assert sorted(rows) == list(range(60))


def test_a_folder_is_split_as_the_same_arrays_in_one_file(folder: Path) -> None:
    x, y = np.load(folder / "x.npy"), np.load(folder / "y.npy")
    np.savez(folder / "t.npz", x=x, y=y)
    mapped = Data(path=str(folder), validation_size=0.25).load(seed=2)
    whole = Data(path=str(folder / "t.npz"), validation_size=0.25).load(seed=2)
    for a, b in zip(
        (mapped.train, mapped.validation, mapped.test),
        (whole.train, whole.validation, whole.test),
        strict=True,
    ):
        assert a is not None
        assert b is not None
        np.testing.assert_array_equal(a.x[a.rows], b.x)
        np.testing.assert_array_equal(a.t, b.t)


def test_a_folder_to_test_on_leaves_the_other_whole(folder: Path) -> None:
    data = Data(path=f"{folder}/", test=str(folder)).load()
    assert (len(data.train), len(data.test)) == (60, 60)
    assert data.train.rows is None


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("x", np.full((60, 3), np.nan), r"x\[0, 0\] is nan"),
        ("x", np.zeros((59, 3)), r"y has shape \(60,\); should be \(59,\), a label for each x"),
        ("x", np.asfortranarray(np.zeros((60, 3))), "Fortran order"),
        ("x", np.array([[object()]] * 60, object), "Python objects"),
        ("y", np.arange(60) / 2, "classes should be integers or strings"),
        ("w", -np.ones(60), r"sample weight -1.0 of w\[0\]"),
    ],
)
def test_arrays_in_a_folder_are_checked(folder: Path, name: str, array: Any, reason: str) -> None:
    np.save(folder / f"{name}.npy", array)
    with pytest.raises((DataError, FileError), match=reason) as caught:
        Data(path=str(folder)).load()
    assert caught.value.place == str(folder)


def test_the_row_of_a_number_that_is_not_finite_is_found_in_any_part(folder: Path) -> None:
    x = np.zeros((3000, 1000), np.float32)
    x[2500, 7] = np.inf
    np.save(folder / "x.npy", x)
    for name in "yw":
        np.save(folder / f"{name}.npy", np.arange(3000))
    with pytest.raises(DataError, match=r"x\[2500, 7\] is inf"):
        Data(path=str(folder)).load()


def test_damaged_arrays_in_a_folder_are_refused(folder: Path) -> None:
    content = (folder / "x.npy").read_bytes()
    for size in (0, 10, len(content) // 2):
        (folder / "x.npy").write_bytes(content[:size])
        with pytest.raises(FileError, match=r"x\.npy"):
            Data(path=str(folder)).load()
    (folder / "x.npy").unlink()
    with pytest.raises(
        FileError, match=r"x\.npy: can't be read: No such file.*; data are a .csv file, an .npz"
    ):
        Data(path=str(folder)).load()


def test_numbers_to_predict(tmp_path: Path) -> None:
    x = np.arange(20.0).reshape(10, 2)
    path = write_csv(
        tmp_path / "t.csv", "a,price,b\n" + "".join(f"{a},{a + b},{b}\n" for a, b in x)
    )
    np.savez(tmp_path / "one.npz", x=x, y=x.sum(axis=1))
    np.savez(tmp_path / "two.npz", x=x, y=x + 0.5)
    one = Data(path=str(path), label="price", target="number").load(seed=1)
    same = Data(path=str(tmp_path / "one.npz"), target="number").load(seed=1)
    two = Data(path=str(tmp_path / "two.npz"), target="number", validation_size=0.5).load()
    np.testing.assert_array_equal(one.train.t, one.train.x.sum(axis=1))
    np.testing.assert_array_equal(same.train.t, one.train.t)
    np.testing.assert_array_equal(two.train.t, two.train.x + 0.5)
    assert two.validation is not None
    assert (len(two.train), len(two.validation), len(two.test)) == (4, 4, 2)
    assert one.classes == []
    assert str(one).endswith("2 features, numbers to predict")


@pytest.mark.parametrize(
    ("y", "reason"),
    [
        ([1.0, np.inf, 3.0], r"y\[1\] is inf"),
        ([np.nan, np.nan, np.nan], r"no example has a label; the first one is missing in y\[0\]"),
        ([1.0, 2.0], r"y has shape \(2,\); should be \(3,\)"),
        (["1", "2", "3"], "should be numbers"),
        (np.zeros((3, 0)), r"y has shape \(3, 0\)"),
    ],
)
def test_targets_that_are_no_numbers_are_refused(tmp_path: Path, y: Any, reason: str) -> None:
    np.savez(tmp_path / "t.npz", x=np.ones((3, 1)), y=y)
    with pytest.raises(DataError, match=reason):
        Data(path=str(tmp_path / "t.npz"), target="number").load()


def test_a_word_in_a_column_of_numbers_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", "a,price\n1,2\n2,cheap\n")
    with pytest.raises(DataError, match="line 3, column 'price': 'cheap'"):
        Data(path=str(path), label="price", target="number").load()


SEVERAL = """a,price,rent,w
1,100,1.5,1
2,,2,1
3,NA,nan,1
4,400,,1
5,500,5,1
"""
FLAGS = """a,urgent,spam
1,1,true
2,0.0,FALSE
3,,0
4,?,
5,1.0,True
"""


@pytest.mark.parametrize(
    ("text", "options", "lines", "t"),
    [
        (
            SEVERAL,
            {"label": ["rent", "price"], "target": "number", "weight": "w"},
            [2, 3, 5, 6],
            [[1.5, 100], [2, np.nan], [np.nan, 400], [5, 500]],
        ),
        (SEVERAL, {"label": "price", "features": ["a"], "target": "number"}, [2, 5, 6], "price"),
        (
            FLAGS,
            {"label": ["urgent", "spam"], "target": "labels"},
            [2, 3, 4, 6],
            [[1, 1], [0, 0], [np.nan, 0], [1, 1]],
        ),
        ("a,kind\n1,x\n2,\n3,y\n4,x\n5,y\n", {"label": "kind"}, [2, 4, 5, 6], [0, 1, 0, 1]),
    ],
)
def test_targets_in_a_csv_may_be_several_and_missing(
    tmp_path: Path, text: str, options: dict[str, Any], lines: list[int], t: Any
) -> None:
    path = write_csv(tmp_path / "t.csv", text)
    data = Data(path=str(path), test_size=0.5, **options)
    with pytest.warns(LayerkitWarning, match="have no label, first in line .* are left out"):
        dataset = data.load()
    parts = [dataset.train, dataset.test]
    rows = np.concatenate([part.source.numbers for part in parts if part.source])
    order = np.argsort(rows)
    assert rows[order].tolist() == lines
    found = np.concatenate([part.t for part in parts])[order]
    np.testing.assert_array_equal(found, [100, 400, 500] if t == "price" else t)
    assert dataset.targets == (None if options["label"] == "kind" else data.labels)


def test_columns_of_y_may_have_names_and_gaps(tmp_path: Path) -> None:
    y = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, 4.0]])
    np.savez(tmp_path / "t.npz", x=np.ones((3, 1)), y=y)
    (tmp_path / "t").mkdir()
    np.save(tmp_path / "t" / "x.npy", np.ones((3, 1)))
    np.save(tmp_path / "t" / "y.npy", y)
    for path in (f"{tmp_path}/t.npz", f"{tmp_path}/t/"):
        data = Data(path=path, label=["a", "b"], target="number", test=path)
        with pytest.warns(LayerkitWarning, match=r"1 of 3 examples have no label, first in y\[1\]"):
            dataset = data.load()
        np.testing.assert_array_equal(dataset.train.t, y[[0, 2]])
        assert str(dataset).endswith("1 feature, 2 numbers to predict: a, b")
        with pytest.raises(DataError, match="label names 3 columns"):
            Data(path=path, label=["a", "b", "c"], target="number").load()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"label": ["a", "b"]}, r"label = \['a', 'b'\]: of several columns, set target = 'number'"),
        ({"label": "a", "target": "labels"}, "'labels' means several columns; one is a class"),
        ({"label": ["a", "a"], "target": "number"}, "a column is listed twice"),
        ({"label": ["a", "b"], "target": "number", "weight": "b"}, "that is the label"),
        ({"label": ["a", "b"], "target": "number", "features": ["b"]}, "the label 'b' is among"),
        ({"label": ["a", "b"], "target": "labels", "classes": ["x"]}, "classes = .*: not allowed"),
    ],
)
def test_several_labels_that_do_not_fit_together_are_refused(
    options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        Data(path="t.csv", **options)


def test_a_label_that_is_neither_0_nor_1_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", FLAGS + "6,0,2\n")
    with pytest.raises(DataError, match="line 7, column 'spam': '2'; should be 0 or 1, true or"):
        Data(path=str(path), label=["urgent", "spam"], target="labels").load()
