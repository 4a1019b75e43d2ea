"""Examples from outside: looked at once, all of them, and converted batch by batch."""

import copy
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from layerkit import (
    SGD,
    Array,
    BinaryCrossEntropy,
    DataError,
    Dense,
    LayerkitError,
    Network,
    Sequential,
    ShapeError,
    SoftmaxCrossEntropy,
    Standardize,
    evaluate,
    fit,
    train_step,
)
from layerkit.data.given import as_array
from layerkit.files.mapped import CHUNK, Subset
from layerkit.inputs import Inputs
from layerkit.training.lr_range import lr_range

BIG = np.zeros((2 * CHUNK + 3, 2))
RNG = np.random.default_rng(0)


def wrong_at(row: int, value: float = math.nan) -> Array:
    x = BIG.copy()
    x[row, 1] = value
    return x


class Frame:
    """A table with named columns of several types, as pandas has them."""

    columns = ("age", "region")

    def __init__(self, rows: list[list[Any]]) -> None:
        self.rows = rows

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.array(self.rows, object)


@pytest.mark.parametrize(
    ("x", "error", "sentence"),
    [
        (wrong_at(0), DataError, "x[0, 1] is nan; should be a finite float32"),
        (wrong_at(CHUNK - 1, math.inf), DataError, f"x[{CHUNK - 1}, 1] is inf; should be"),
        (wrong_at(CHUNK, -math.inf), DataError, f"x[{CHUNK}, 1] is -inf; should be"),
        (wrong_at(2 * CHUNK + 2), DataError, f"x[{2 * CHUNK + 2}, 1] is nan; should be"),
        ([[0.0, 1e39]], DataError, "x[0, 1] is 1e+39; should be a finite float32"),
        (Subset(wrong_at(7), np.array([3, 7])), DataError, "x[1, 1] is nan; should be"),
        ([1.0, 2.0], ShapeError, "one example of shape (2,) without a batch axis; try x[None]"),
        (np.zeros((2, 2, 1)), ShapeError, "examples have shape (2, 2, 1); should be (N, 2)"),
        (np.zeros((5, 3)), ShapeError, "examples have shape (5, 3); should be (N, 2)"),
        (np.zeros((5, 1, 2)), ShapeError, "should be (N, 2); try x.reshape(-1, 2)"),
        (1.0, DataError, "examples are of type float; should be an array or a list"),
        (None, DataError, "examples are of type NoneType; should be an array or a list"),
        ({"a": [1.0]}, DataError, "examples are of type dict; should be an array or a list"),
        ([np.zeros((9, 2))] * 2, ShapeError, "; several arrays are given as one, np.concat"),
        ([np.zeros((9, 2)), np.zeros((9, 1))], DataError, "; several arrays are given as one, n"),
        ([[[0.0], [1.0, 2.0]]], DataError, "examples are not an array: "),
        ([np.zeros(3)] * 2, ShapeError, "examples have shape (2, 3); should be (N, 2)"),
        (np.zeros((0, 2)), DataError, "no examples: an array of shape (0, 2)"),
        (Subset(BIG, np.array([], int)), DataError, "no examples: an array of shape (0, 2)"),
        ([["a", "b"]], DataError, "examples of type <U1; should be numbers"),
        ([[1j, 0]], DataError, "examples of type complex128; should be numbers"),
        (sparse.csr_array([[1j, 0]]), DataError, "examples of type complex128; should be numbers"),
        (sparse.coo_array([1.0, 0]), ShapeError, "one example of shape (2,) without a batch axis"),
        ([[None, 1]], DataError, "examples of type object; should be numbers, but x[0, 0] is None"),
        (Frame([[1, 2.5], [1, "north"]]), DataError, "x[1, 1] is north (column 'region')"),
        (np.zeros((1, 2), "M8[s]"), DataError, "examples of type datetime64[s]; should be"),
        ([[1, 2], [3]], DataError, "examples are not an array: "),
        (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), DataError, "are a masked array; fill"),
    ],
)
def test_what_is_no_example(x: Any, error: type[LayerkitError], sentence: str) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        Inputs((2,), "float32").check(x)


def test_one_feature_needs_an_axis() -> None:
    with pytest.raises(ShapeError, match=re.escape("should be (N, 1); try x.reshape(-1, 1)")):
        Inputs((1,), "float32").check(np.zeros(200))


def test_a_table_with_columns_of_several_types_is_numbers() -> None:
    rows = Inputs((2,), "float32").check(Frame([[1.5, True], [2, False]]))
    assert rows[:].tolist() == [[1.5, 1.0], [2.0, 0.0]]
    assert rows.dtype == float


def test_what_is_too_big_depends_on_the_dtype() -> None:
    assert Inputs((1,), "float64").check([[1e300]]).tolist() == [[1e300]]  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"1e\+300; should be a finite float32"):
        Inputs((1,), "float32").check([[1e300]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("x", "right"),
    [
        (np.array([[0, 51, 255]], np.uint8), [[0, 0.2, 1]]),
        (np.array([[0, 51, 255]], np.uint16), [[0, 51, 255]]),
        (np.array([[-1, 0, 127]], np.int8), [[-1, 0, 127]]),
        (np.array([[True, False, True]]), [[1, 0, 1]]),
        (np.array([[0.5, 1, -2]], np.float16), [[0.5, 1, -2]]),
        ([[0.5, 1, -2]], [[0.5, 1, -2]]),
        (np.array([[0.5, 1, -2]], ">f8"), [[0.5, 1, -2]]),
    ],
)
def test_every_type_is_taken_as_it_is_but_bytes_are_images(dtype: str, x: Any, right: Any) -> None:
    inputs = Inputs((3,), dtype)
    rows = inputs.check(x)
    found = inputs.convert(rows[:])
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.array(right, dtype))
    assert rows.dtype == np.asarray(x).dtype, "checking converts nothing"


def test_what_has_the_dtype_already_is_not_copied() -> None:
    x = np.ones((3, 2), np.float32)
    inputs = Inputs((2,), "float32")
    assert inputs.check(x) is x
    assert inputs.convert(x) is x


def test_bytes_go_where_there_is_room() -> None:
    inputs, images = Inputs((2,), "float32"), np.array([[0, 255], [51, 102]], np.uint8)
    room = np.full((2, 2), np.nan, np.float32)
    assert inputs.convert(images, out=room) is room
    np.testing.assert_array_equal(room, np.array([[0, 1], [0.2, 0.4]], np.float32))


@pytest.mark.filterwarnings("error")
def test_checking_neither_warns_nor_writes() -> None:
    x = wrong_at(5, 1e39)
    x.flags.writeable = False
    with pytest.raises(DataError, match=r"x\[5, 1\]"):
        Inputs((2,), "float32").check(x)


@pytest.mark.parametrize("n", [1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_chunks_are_all_examples_in_order(n: int, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (n, 2)).astype(np.uint8)
    np.save(tmp_path / "x.npy", x)
    inputs, rows = Inputs((2,), "float32"), np.random.default_rng(1).permutation(n)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for given, right in ((x, x), (mapped, x), (Subset(mapped, rows), x[rows])):
        chunks = list(inputs.chunks(inputs.check(given)))
        assert [len(chunk) for chunk in chunks[:-1]] == [CHUNK] * (len(chunks) - 1)
        np.testing.assert_array_equal(np.concatenate(chunks), right / np.float32(255))


def test_what_is_no_array_is_named() -> None:
    with pytest.raises(DataError, match="targets are a masked array"):
        as_array(np.ma.array([1.0], mask=[True]), "targets")
    with pytest.raises(DataError, match="targets are not an array"):
        as_array([[1], [1, 2]], "targets")
    assert as_array([[1], [2]], "targets").shape == (2, 1)


# Flags, tables, sparse matrices

FLAGS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.uint8)


def small(features: int = 2) -> Network:
    return Network(Dense(2), SoftmaxCrossEntropy(), shape=(features,))


def test_flags_as_bytes_are_what_they_are_as_floats() -> None:
    t = np.array([0, 1, 1, 0])
    one, two = small(), small()
    for net, x in ((one, FLAGS), (two, FLAGS.astype(float))):
        fit(net, SGD(lr=1.0), x, t, epochs=3, batch_size=4)
        train_step(net, SGD(), x, t)
    np.testing.assert_array_equal(one.arena.values, two.arena.values)
    np.testing.assert_array_equal(one.predict_proba(FLAGS), one.predict_proba(FLAGS / 1.0))
    np.testing.assert_array_equal(small().outputs(FLAGS), small().outputs(FLAGS / 1.0))


def test_a_dark_picture_of_a_network_of_pictures_is_no_flag() -> None:
    net = small()
    fit(net, SGD(), FLAGS * 255, [0, 1, 1, 0])
    np.testing.assert_array_equal(net.outputs(FLAGS), net.outputs(FLAGS / 255))


class Table:
    """A DataFrame, as far as it matters."""

    def __init__(self, values: Any, columns: list[Any]) -> None:
        self.values, self.columns = values, columns

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values


def test_columns_of_a_table_are_those_of_the_training(tmp_path: Path) -> None:
    x, t, net = np.eye(4)[:, :2], [0, 1, 0, 0], small()
    fit(net, SGD(), Table(x, ["a", "b"]), t)
    net.save(tmp_path / "m.safetensors")
    assert net.seen.features == ["a", "b"]
    for known in (net, Network.load(tmp_path / "m.safetensors")):
        known.predict(x)
        known.predict(Table(x, ["a", "b"]))
        with pytest.raises(DataError, match=r"columns of x, b, a, are in another order than those"):
            known.predict(Table(x[:, ::-1], ["b", "a"]))
        with pytest.raises(DataError, match=r"x, a, c, are not those of the training, a, b: give"):
            evaluate(known, Table(x, ["a", "c"]), t)
    fit(small(), SGD(), Table(x, [0, 1]), t, validation=(Table(x, [1, 0]), t))


def test_a_table_of_bytes_is_no_image() -> None:
    x = RNG.integers(0, 9, (4, 2)).astype(np.uint8)
    plain = small().outputs(x / 1.0)
    np.testing.assert_array_equal(small().outputs(Table(x, ["a", "b"])), plain)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_sparse_matrices_are_what_they_are_when_dense(kind: Any, dtype: Any) -> None:
    dense = (RNG.random((50, 6)) < 0.2).astype(dtype)
    t, options = (dense[:, 0] > 0).astype(int), dict[str, Any](epochs=3, batch_size=7)
    one = Network(Sequential([Standardize(), Dense(2)]), SoftmaxCrossEntropy(), (6,))
    two = copy.deepcopy(one)
    a = fit(one, SGD(), kind(dense), t, validation=(kind(dense), t), **options)
    b = fit(two, SGD(), dense, t, validation=(dense, t), **options)
    np.testing.assert_array_equal(one.arena.values, two.arena.values)
    assert [record.metrics for record in a] == [record.metrics for record in b]
    np.testing.assert_array_equal(one.predict_proba(kind(dense)), two.predict_proba(dense))
    with pytest.raises(ShapeError, match=r"shape \(50, 6\); should be \(N, 2\)"):
        small().predict(kind(dense))


def test_the_range_test_takes_sparse_matrices() -> None:
    dense = RNG.random((50, 2)) * (RNG.random((50, 2)) < 0.5)
    t = (dense[:, 0] > 0).astype(int)
    found = [lr_range(small(), SGD(), x, t, steps=5) for x in (dense, sparse.csr_array(dense))]
    assert found[0] == found[1]


def test_an_iterable_may_not_mix_flags_and_bytes() -> None:
    batches = [(FLAGS, [0, 1, 1, 0]), (FLAGS * 2, [0, 1, 1, 0])]
    with pytest.raises(DataError, match="x is uint8, whose bytes are divided by 255"):
        fit(small(), SGD(), batches)


def test_sparse_labels_are_taken() -> None:
    labels = (RNG.random((50, 3)) < 0.5).astype(float)
    net = Network(Dense(3), BinaryCrossEntropy(), shape=(2,))
    x = RNG.normal(size=(50, 2))
    assert net.gradient(x, sparse.csr_array(labels)) == net.gradient(x, labels)


def test_a_sparse_matrix_has_no_gaps() -> None:
    with pytest.raises(DataError, match=r"x\[1, 0\] is nan"):
        small().predict(sparse.csr_array([[0.0, 1.0], [np.nan, 0.0]]))
