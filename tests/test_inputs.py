"""Examples from outside: looked at once, all of them, and converted batch by batch."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import Array, DataError, LayerkitError, ShapeError
from layerkit.files.mapped import CHUNK, Subset
from layerkit.inputs import Inputs, as_array

BIG = np.zeros((2 * CHUNK + 3, 2))


def wrong_at(row: int, value: float = math.nan) -> Array:
    x = BIG.copy()
    x[row, 1] = value
    return x


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
        (1.0, ShapeError, "examples have shape (); should be (N, 2)"),
        (None, ShapeError, "examples have shape (); should be (N, 2)"),
        (np.zeros((0, 2)), DataError, "no examples: an array of shape (0, 2)"),
        (Subset(BIG, np.array([], int)), DataError, "no examples: an array of shape (0, 2)"),
        ([["a", "b"]], DataError, "examples of type <U1; should be numbers"),
        ([[1j, 0]], DataError, "examples of type complex128; should be numbers"),
        ([[None, 1]], DataError, "examples of type object; should be numbers"),
        (np.zeros((1, 2), "M8[s]"), DataError, "examples of type datetime64[s]; should be"),
        ([[1, 2], [3]], DataError, "examples are not an array: "),
        (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), DataError, "are a masked array; fill"),
    ],
)
def test_what_is_no_example(x: Any, error: type[LayerkitError], sentence: str) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        Inputs((2,), "float32").check(x)


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
