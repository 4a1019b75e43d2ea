"""Dialects of .csv files: what is between cells, in numbers, and in bytes."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import DataError, FileError
from layerkit.data import Data
from layerkit.data.dialects import Dialect, find_decimal, find_delimiter
from layerkit.data.table_files import read_table

X = [[1.5, 2], [0.25, -1200]]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,b,y\n1.5,2,u\n.25,-1200,v\n", {}),
        ("a;b;y\n1,5;2;u\n,25;-1200;v\n", {}),
        ("a;b;y\n1.5;2;u\n0.25;-1200;v\n", {}),
        ("a\tb\ty\r\n1.5\t2\tu\r\n0.25\t-1.2e3\tv\r\n", {}),
        ("a | b | y\n1,5 | 2 | u\n0,25 | -1.200 | v\n", {}),
        ('a,b,y\n"1,5",2,u\n"0,25",-1200,v\n', {}),
        ('a,b,y\n1.5,2,u\n0.25,"-1,200",v\n', {}),
        ("a:b:y\n1.5:2:u\n0.25:-1200:v\n", {"delimiter": ":"}),
        ("a;b;y\n1,500;2;u\n0,250;-1200;v\n", {"decimal": ","}),
    ],
)
@pytest.mark.parametrize("form", ["t.csv", "t.tsv", "t.csv.gz", "T.CSV"])
def test_numbers_are_the_same_in_every_dialect(
    tmp_path: Path, text: str, options: dict[str, Any], form: str
) -> None:
    content = text.encode("utf-8-sig")
    path = tmp_path / form
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    table = read_table(path, ["y"], dialect=Dialect(**options))
    assert table.x.tolist() == X
    assert table.features == ["a", "b"]
    assert table.y is not None
    assert table.y.tolist() == ["u", "v"]
    with pytest.raises(DataError, match="2 examples can't be split"):
        Data(path=path, label="y", **options).load()
    numbers = read_table(path, ["a"], ["b"], target="number", dialect=Dialect(**options))
    assert numbers.y is not None
    assert numbers.y.tolist() == [1.5, 0.25]


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a"], ","),
        (["a,b;c", "1;2"], ";"),
        (["a,b;c", "1,2"], ","),
        (["a,b;c", "1,2;3"], ";"),
        (["a b|c, d", "1,5|2"], "|"),
        (["a;b\n", '1;"two\n'] + ["lines\n"] * 18, ";"),
    ],
)
def test_the_delimiter_is_in_the_header_and_cuts_all_lines_alike(
    lines: list[str], delimiter: str
) -> None:
    assert find_delimiter(lines) == delimiter


@pytest.mark.parametrize(
    ("columns", "decimal"),
    [
        ({"a": ["1", "x,y"]}, "."),
        ({"a": ["1,5"], "b": ["1.234"]}, ","),
        ({"a": ["1,234"], "b": ["1.5"]}, "."),
        ({"a": ["0,234"]}, ","),
        ({"a": ["1,234,567"]}, "."),
        ({"a": ["NA", "", "-1,5e3"]}, ","),
        ({"a": ["1,5", "x"]}, "."),
    ],
)
def test_the_decimal_mark_is_found(columns: dict[str, list[str]], decimal: str) -> None:
    assert find_decimal(columns) == decimal


def test_a_point_in_a_file_with_semicolons_is_a_decimal_one_only_where_that_is_sure() -> None:
    assert find_decimal({"a": ["1.5"], "b": ["1.234"]}, marks=",.") == "."
    assert find_decimal({"a": ["0.234", "7"]}, marks=",.") == "."
    assert find_decimal({"a": ["1.234"]}, Dialect(usual=","), marks=",.") == ","
    with pytest.raises(DataError, match=r"'1\.234' may be 1234 or 1\.234"):
        find_decimal({"a": ["1.234", "5"]}, marks=",.")


@pytest.mark.parametrize(
    ("content", "options", "kind", "reason"),
    [
        (
            b"a;y\n1,234;u\n2;v\n",
            {},
            DataError,
            "column 'a': '1,234' may be 1.234 or 1234; set decimal = \",\" or decimal = \".\"",
        ),
        (
            b"a;b;y\n1.234;1.200;u\n2;3;v\n",
            {},
            DataError,
            "column 'a': '1.234' may be 1234 or 1.234; set decimal = \",\" or decimal = \".\"",
        ),
        (
            b"a;b;y\n1,5;1.5;u\n2;3;v\n",
            {},
            DataError,
            "column 'b' has decimal points, column 'a' decimal commas; set decimal",
        ),
        (b"a;y\n1,5;u\n2,0;v\n", {"decimal": "."}, DataError, "line 2, column 'a': '1,5'; should"),
        (
            b"a;y\n1,5;\xfc\n",
            {},
            FileError,
            't.csv: line 2: the byte 0xfc is not utf-8; .* "latin-1" in .data., or --encoding lat',
        ),
        ("a;y\n".encode("utf-16"), {}, FileError, "line 1: .* --encoding utf-16"),
        (b"PK\x03\x04\xff", {}, FileError, "t.csv: is an Excel file, or another .zip; save it as"),
    ],
)
def test_what_is_not_certain_is_refused_with_the_option(
    tmp_path: Path, content: bytes, options: dict[str, Any], kind: type[Exception], reason: str
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(kind, match=reason):
        Data(path=tmp_path / "t.csv", label="y", **options).load()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("Größe;y\n1,5;ü\n2,5;ö\n".encode(encoding))
    table = read_table(tmp_path / "t.csv", ["y"], dialect=Dialect(encoding=encoding))
    assert table.features == ["Größe"]
    np.testing.assert_array_equal(table.y, ["ü", "ö"])


def test_a_damaged_gz_is_refused(tmp_path: Path) -> None:
    for content in (b"a,y\n", gzip.compress(b"a,y\n1,u\n" * 99)[:-9]):
        (tmp_path / "t.csv.gz").write_bytes(content)
        with pytest.raises(FileError, match=r"t\.csv\.gz: damaged: "):
            read_table(tmp_path / "t.csv.gz", ["y"])
