"""Tables in files: words, gaps and dates by a Table, numbers without one."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from layerkit import Category, DataError, Date, FileError, Number, Table
from layerkit.arrays import Array
from layerkit.columns.cells import RawTable
from layerkit.data import Data
from layerkit.data.table_files import read_table

TABLE = Table([Number("a"), Category("b", ["u", "v"]), Date("c", "2024-01-01"), Number("d")])
CELLS: dict[str, list[Any]] = {
    "d": [True, False, True],
    "c": ["2024-01-02", None, "2024-02-01"],
    "y": ["p", "q", "p"],
    "b": ["v", "w", None],
    "a": [1.5, None, 3.0],
    "w": [1, 2, 3],
}
X = [[1.5, 2, 1], [np.nan, 0, np.nan], [3, np.nan, 31]]


def write(folder: Path, form: str) -> Path:
    """Write the cells as a file."""
    path = folder / f"t{form}"
    if form == ".parquet":
        polars = pytest.importorskip("polars")
        polars.DataFrame(CELLS).with_columns(polars.col("c").str.to_date()).write_parquet(path)
        return path
    rows = zip(*CELLS.values(), strict=True)
    lines = [";".join(CELLS), *(";".join("" if c is None else str(c) for c in row) for row in rows)]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("form", [".csv", ".parquet"])
def test_a_table_encodes_the_columns_by_name(tmp_path: Path, form: str) -> None:
    table = Table(TABLE.ready()[:3])
    path = write(tmp_path, form)
    found = read_table(path, ["y"], ["a", "b", "c"], "w", encode=table.encode)
    np.testing.assert_array_equal(found.x, X)
    assert found.y is not None
    assert found.w is not None
    assert found.y.tolist() == ["p", "q", "p"]
    assert found.w.tolist() == [1, 2, 3]
    with pytest.raises(DataError, match=r"column 'd' of (line 2|row 0) is 'True'; should be a num"):
        read_table(path, (), ["a", "b", "c", "d"], encode=TABLE.encode)


@pytest.mark.parametrize(
    ("form", "place"), [(".csv", "line 3, column 'a': ''"), (".parquet", "row 1, column 'a': nan")]
)
def test_without_a_table_each_cell_is_a_number(tmp_path: Path, form: str, place: str) -> None:
    path = write(tmp_path, form)
    with pytest.raises(DataError, match=rf"{place}; should be a finite number; .*Table.* first in"):
        Data(path=path, label="y", features=["w", "a"]).load()
    with pytest.raises(DataError, match=r"there is no column 'A' \(did you mean 'a'"):
        Data(path=path, label="y", features=["A"]).load()
    np.testing.assert_array_equal(read_table(path, ["y"], ["w"]).x, [[1], [2], [3]])
    with pytest.raises(DataError, match=r"(line 2|row 0), column 'b': 'v'; should be a finite num"):
        read_table(path, ["y"], ["b"])


def test_text_is_a_number_only_where_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("code,id,n\n01234,12345678901234567890,1\n56789,12345678901234567891,NA\n")
    seen: dict[str, Any] = {}

    def encode(raw: RawTable) -> Array:
        seen.update(raw)
        return np.zeros((2, 3))

    read_table(path, (), encode=encode)
    assert seen["code"].tolist() == ["01234", "56789"]
    assert seen["id"].tolist() == ["12345678901234567890", "12345678901234567891"]
    np.testing.assert_array_equal(seen["n"], [1, np.nan])


def test_a_parquet_file_that_can_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exceptions = pytest.importorskip("polars").exceptions
    path = tmp_path / "t.parquet"
    with pytest.raises(FileError, match=r"t\.parquet: can't be read"):
        read_table(path, ["y"])
    path.write_bytes(b"PAR1 not")
    with pytest.raises(FileError, match=r"t\.parquet: damaged, or not a \.parquet file"):
        read_table(path, ["y"])
    # Rust's panics, of which some damages are the reason, are no Exceptions in Python
    panics = Mock(side_effect=exceptions.PanicException("index out of bounds"))
    monkeypatch.setattr("narwhals.read_parquet", panics)
    with pytest.raises(FileError, match=r"t\.parquet: damaged, .*: index out of bounds"):
        read_table(path, ["y"])
    monkeypatch.setattr("layerkit.data.table_files.find_spec", lambda name: None)
    with pytest.raises(FileError, match=r"read with polars .* pip install -e '.\[tables\]'"):
        read_table(path, ["y"])
