"""Columns of tables: how they are recognized, and what their cells are as numbers."""

import datetime as dt
import decimal
import re
from typing import Any

import numpy as np
import pytest

from layerkit import Category, Column, ConfigError, DataError, Date, LayerkitWarning, Number
from layerkit.columns.cells import raw_table
from layerkit.columns.choice import choose, choose_columns

NAN = float("nan")
DAYS = [dt.date(2024, 1, day) for day in (5, 1, 5)]


def raw(values: Any) -> Any:
    return raw_table({"x": values})["x"]


def many(values: list[Any]) -> list[Any]:
    """The same values in more rows."""
    return values * 30


CYCLES: list[Any] = ["year", "week", "day"]
TWO_DIGITS = [f"{day}.11.24" for day in range(1, 31)]


@pytest.mark.parametrize(
    ("values", "column"),
    [
        ([1, 2.5, 3], Number("x")),
        (["1", " 2.5", "1e3"], Number("x")),
        (["1", "?", "NA"], Number("x", gaps=True)),
        (np.array([1.0, NAN]), Number("x", gaps=True)),
        ([decimal.Decimal("1.5"), None], Number("x", gaps=True)),
        ([dt.timedelta(hours=12), dt.timedelta(days=2)], Number("x")),
        ([np.timedelta64(12, "h"), np.timedelta64("NaT", "h")], Number("x", gaps=True)),
        ([np.datetime64("2024-01-05", "ns"), None], Date("x", "2024-01-05", gaps=True)),
        (["01", "7"], Category("x", ["01", "7"])),
        (["1_000", "7"], Category("x", ["1_000", "7"])),
        (["b", "a", "b"], Category("x", ["b", "a"])),
        (["b", "a", None], Category("x", ["a", "b"], gaps=True)),
        ([True, False, True], Category("x", ["True", "False"])),
        (["TRUE", "false", "true"], Category("x", ["True", "False"])),
        ([1, "a", None], Category("x", ["1", "a"], gaps=True)),
        ([b"a", b"b", b"a"], Category("x", ["a", "b"])),
        ([*many(["a", "b"]), "rare"], Category("x", ["a", "b"])),
        (many(list("abcdefghijklm")), Category("x", list("abcdefghijklm"), embedding=7)),
        (DAYS, Date("x", "2024-01-01")),
        (np.array(DAYS, "datetime64[D]"), Date("x", "2024-01-01")),
        (["2024-01-05", "2024-01-01", ""], Date("x", "2024-01-01", gaps=True)),
        (["2024-01-05T12:30+02:00"], Date("x", "2024-01-05", cycles=CYCLES)),
        (["5.1.2024", "31.12.2023"], Date("x", "2023-12-31", "%d.%m.%Y")),
        (["1/5/2024"], Category("x", ["1/5/2024"])),
        (["1/5/2024", "1/31/2024"], Date("x", "2024-01-05", "%m/%d/%Y")),
        (["1-5-2024 8:30", "31-1-2024 9:00"], Date("x", "2024-01-31", "%d-%m-%Y %H:%M", CYCLES)),
        (TWO_DIGITS, Date("x", "2024-11-01", "%d.%m.%y")),
        (["26.11.99", "3.1.02"], Date("x", "1999-11-26", "%d.%m.%y")),
        (["26.11.24"], Category("x", ["26.11.24"])),
        (["99.12.31"], Date("x", "1999-12-31", "%y.%m.%d")),
        (["2011-07", "2012-12"], Date("x", "2011-07-01", "%Y-%m")),
        (["07/2011"], Date("x", "2011-07-01", "%m/%Y")),
        (["2011-07", "2012-13"], Category("x", ["2011-07", "2012-13"])),
    ],
    ids=str,
)
def test_the_kind_of_a_column_is_seen_in_its_cells(values: list[Any], column: Column) -> None:
    assert choose("x", raw(values)) == column


@pytest.mark.parametrize(
    ("column", "values", "codes"),
    [
        (Number("x"), ["1.5", "", 2], [1.5, NAN, 2]),
        (Number("x"), np.array([1, 2], "uint8"), [1, 2]),
        (Category("x", ["a", "b"]), ["b", " a ", "c", None, NAN], [2, 1, 0, NAN, NAN]),
        (Category("x", ["3", "4"]), [4.0, 3.0, NAN], [2, 1, NAN]),
        (Category("x", ["3", "4"]), np.array([4, 5]), [2, 0]),
        (Category("x", ["False", "True"]), np.array([True, False]), [2, 1]),
        (Category("x", ["1.50", "2", "02"]), ["1.5", "2.0", "02", "2", "3.0"], [1, 2, 3, 2, 0]),
        (Category("x", [f"{2**53 + 1}"]), [f"{2**53}", f"{2**53 + 1}"], [0, 1]),
        (Category("x", ["1.50", "2", "02"]), np.array([1.5, 2, 3]), [1, 2, 0]),
        (Category("x", ["1", "3", "True"]), ["a", 3.0, 3, True, 1], [0, 2, 2, 3, 1]),
        (Date("x", "2024-01-01"), ["2024-01-02 06:00", None, "2023-12-31"], [1.25, NAN, -1]),
        (Date("x", "2024-01-01"), [*DAYS[:2], None], [4, 0, NAN]),
        (Date("x", "2024-01-01"), np.array([NAN]), [NAN]),
        (Category("x", ["a"]), np.array([NAN]), [NAN]),
        (Number("x"), np.array(["NaT"], "datetime64[D]"), [NAN]),
        (Date("x", "2024-01-01", "%m/%d/%Y"), ["1/31/2024"], [30]),
    ],
    ids=str,
)
def test_cells_become_numbers(column: Column, values: Any, codes: list[float]) -> None:
    np.testing.assert_array_equal(column.encode(raw(values)), codes)


@pytest.mark.parametrize(
    ("column", "values", "sentence"),
    [
        (Number("x"), ["1", "two"], "column 'x' of example 1 is 'two'; should be a number"),
        (Number("x"), ["1", "1_000"], "example 1 is '1_000'; should be a number"),
        (Number("x"), ["1", "inf"], "example 1 is 'inf'; should be a finite number"),
        (Number("x"), [1, -np.inf], "example 1 is -inf; should be a finite number"),
        (Number("x"), DAYS, "example 0 is 2024-01-05T00:00:00.000000; should be a number"),
        (Category("x", ["a"]), [1, 2], "'x' has numbers, such as 1; should be words, such as 'a'"),
        (Category("x", ["01"]), [1, 2], "has numbers, such as 1; should be words, such as '01'"),
        (Date("x", "2024-01-01"), ["soon"], "is 'soon'; should be a date such as '2024-12-31'"),
        (
            Date("x", "2024-01-01", "%d.%m.%Y"),
            ["1"],
            "is '1'; should be a date such as '31.12.2024'",
        ),
        (Date("x", "2024-01-01"), [3], "example 0 is 3; should be a date such as '2024-12-31'"),
    ],
    ids=str,
)
def test_cells_of_another_kind_are_refused(column: Column, values: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=re.escape(sentence)):
        column.encode(raw(values))


def test_words_that_all_are_new_are_told() -> None:
    city = Category("city", ["Ulm", "Bonn"])
    with pytest.warns(LayerkitWarning, match="no word of the training, such as 'Ulm', but others"):
        city.encode(raw([None, *many(["ulm"])]))


WORDS = [f"word {i}" for i in range(30)]
NUMBERS = [i * i * 0.5 for i in range(30)]


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("x", WORDS, "'x' (another word in most rows, such as 'word 0')"),
        ("x", [*NUMBERS, "n.a."], "'x' (numbers, but for 'n.a.'; if that is a gap, set missing ="),
        *[
            ("x", [form.format(i) for i in range(100, 130)], "'x' (numbers with signs, units")
            for form in ["€ {}.200,50", "{}%", "{} m²", "{}'000.5", "{} 000", "\u2212{}.5", "{}-"]
        ],
        ("x", [f"{i % 20} %" for i in range(30)], "'x' (numbers with signs, units or"),
        (
            "x",
            [f"{day}/2024" for i in range(1, 13) for day in (f"{i + 12}/{i}", f"{i}/{i + 12}")],
            "'x' (dates whose day and month may be",
        ),
        (
            "x",
            [f"{i % 12 + 1}/2/{2000 + i}" for i in range(30)],
            "'x' (dates that may be read in several ways: '1/2/2000' may be 2000-02-01 or "
            "2000-01-02; to be written as 2024-12-31, or given a format, such as '%d/%m/%Y', in",
        ),
        (
            "x",
            [f"24.{i % 12 + 1:02}.{i % 31 + 1:02}" for i in range(30)],
            "'24.01.01' may be 2001-01-24 or 2024-01-01",
        ),
        (
            "x",
            [f"{i % 28 + 1}.2.{30 + 2 * i}" for i in range(30)],
            "'1.2.30' may be 2030-02-01 or 1930-02-01",
        ),
        (
            "x",
            [f"20{i:02}-{i + 1:02}" for i in range(12)] * 2 + ["2000-1"],
            "'2000-01' may be 2000-01-01 or the years 2000 and 2001",
        ),
        (
            "x",
            [*NUMBERS, "(242)"],
            "'x' (numbers in brackets, as accountants write those below zero, to be written "
            "without them: '-242' for '(242)'",
        ),
        ("x", [7] * 30, "'x' (7 in all rows)"),
        ("x", ["a"] * 30, "'x' (a in all rows)"),
        ("x", [None] * 30, "'x' (empty)"),
        ("x", list(range(30)), "'x' (the number of the row)"),
        ("x", [str(i) for i in range(1, 31)], "'x' (the number of the row)"),
        ("Id", [i * 7 % 31 for i in range(30)], "'Id' (another number in each row)"),
        ("customerID", [i * 7 % 31 for i in range(30)], "'customerID' (another number in each"),
        ("", [i * 7 % 31 for i in range(30)], "'' (another number in each row)"),
    ],
    ids=str,
)
def test_columns_that_tell_nothing_are_left_out(name: str, values: Any, reason: str) -> None:
    table = raw_table({"good": (NUMBERS * 2)[: len(values)], name: values})
    with pytest.warns(LayerkitWarning, match=re.escape(reason)):
        assert choose_columns(table) == [Number("good")]
    assert [column.name for column in choose_columns(table, {name: None})] == ["good"]


def test_columns_that_look_odd_are_kept() -> None:
    values = {
        "year": list(range(1990, 2020)),
        "user": [i * 7 % 31 for i in range(30)],
        "day": [str(dt.date(2024, 1, 1 + i)) for i in range(30)],
        "tax": ["7 %", "19 %", "0 %"] * 10,
        "zip": [f"0{i % 15}234" for i in range(30)],
        "post": [f"1{i % 15:02} 34" for i in range(30)],
        "house": [f"{i % 15} {'abc'[i % 3]}" for i in range(30)],
        "version": [f"1.{i % 15}.0" for i in range(30)],
        "gaps": [1.0] * 29 + [NAN],
    }
    kinds = [Number, Number, Date, *[Category] * 5, Number]
    assert [type(column) for column in choose_columns(raw_table(values))] == kinds


@pytest.mark.parametrize(
    ("kinds", "error", "sentence"),
    [
        ({"agee": "number"}, ConfigError, "there is no column 'agee'; did you mean 'age'?"),
        ({"age": "word"}, ConfigError, "'age': 'word' should be 'number', 'category', 'date'"),
        ({"age": Category}, ConfigError, "or None to leave it out"),
        ({"age": Number("size")}, ConfigError, "column 'age': the Number is called 'size'"),
        ({"age": "category"}, DataError, "column 'age' has no word that occurs more than once"),
        ({"city": "number"}, DataError, "column 'city' of example 0 is 'a'; should be a number"),
        ({"city": "date"}, DataError, "column 'city' of example 0 is 'a'; should be a date"),
        ({"age": None, "city": None}, DataError, "no column of the table is left"),
    ],
    ids=str,
)
def test_kinds_that_do_not_suit_are_refused(kinds: Any, error: Any, sentence: str) -> None:
    table = raw_table({"age": NUMBERS, "city": ["a", "b"] * 15})
    with pytest.raises(error, match=re.escape(sentence)):
        choose_columns(table, kinds)


def test_kinds_may_be_given() -> None:
    table = raw_table({"zip": many([1, 2, NAN]), "day": many(["1/31/2024", "2/1/2024", ""])})
    day = Date("day", format="%m/%d/%Y", cycles=["week"])
    assert choose_columns(table, {"zip": Category("zip", embedding=3), "day": day}) == [
        Category("zip", ["1", "2"], 3, gaps=True),
        Date("day", "2024-01-31", "%m/%d/%Y", ["week"], gaps=True),
    ]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({}, "the table has no columns"),
        ({"a": []}, "the table has no rows"),
        ({"a": [1, 2], "b": [1]}, "columns of different lengths: 'a' has 2, 'b' has 1"),
        ({"a": "word"}, "column 'a' is 'word'; should be a list or an array of cells"),
        ({"a": 3}, "column 'a' is 3; should be a list or an array of cells"),
        ({"a": [[1], [2]]}, "column 'a' has cells such as [1]; should be numbers, words or dates"),
        ({"a": np.ones((2, 2))}, "column 'a' has shape (2, 2); should be (N,)"),
        ({"a": np.ma.masked_array([1, 2], [True, False])}, "column 'a' is a masked array"),
        ({1: [1], "1": [2]}, "there are two columns called '1'"),
        ("data.csv", "a table of type str; should be a DataFrame in memory, or a dict of columns"),
        (np.ones((2, 2)), "a table of type ndarray"),
    ],
    ids=str,
)
def test_what_is_no_table_is_refused(table: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=re.escape(sentence)):
        choose_columns(raw_table(table))


def test_only_columns_that_are_wanted_are_read() -> None:
    table = raw_table({"a": [1], "b": [[1]], "c": [1, 2]}, wanted=["a", "d"])
    assert list(table) == ["a"]
    assert table.names == ["a", "b", "c"]


def test_categories_of_a_dataframe_may_tell_nothing() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"good": NUMBERS, "x": pd.Categorical(WORDS)})
    with pytest.warns(LayerkitWarning, match="'x' .another word in most rows"):
        assert choose_columns(raw_table(frame)) == [Number("good")]
    frame["x"] = pd.Categorical([f"{i % 15} m²" for i in range(30)])
    assert type(choose_columns(raw_table(frame))[1]) is Category


def test_words_for_gaps_may_be_others() -> None:
    table = raw_table({"land": ["NA", "-", "DE"]}, gaps=["-"])
    assert choose_columns(table) == [Category("land", ["DE", "NA"], gaps=True)]
    assert raw_table(table) is table


GAPPY = ["a", "b", None]
TIMES = [dt.datetime(2024, 1, 5, 12), dt.datetime(2024, 1, 1), None]


def test_all_types_of_pandas_are_read() -> None:
    pd = pytest.importorskip("pandas")
    series = {
        "category": (pd.Categorical(GAPPY), Category),
        "whole category": (pd.Categorical([1, 2, None]), Category),
        "bool": (pd.array([True, False, True]), Category),
        "boolean": (pd.array([True, None, False], dtype="boolean"), Category),
        "Int64": (pd.array([1, None, 3], dtype="Int64"), Number),
        "float": (pd.array([1.5, NAN, 3]), Number),
        "string": (pd.array(GAPPY, dtype="string"), Category),
        "object": (pd.Series(GAPPY, dtype=object), Category),
        "mixed": (pd.Series([1, "a", None], dtype=object), Category),
        "numbers": (pd.Series([1, 2.5, None], dtype=object), Number),
        "datetime": (pd.to_datetime(TIMES), Date),
        "zone": (pd.to_datetime(TIMES).tz_localize("Europe/Berlin"), Date),
        "span": (pd.to_timedelta([1, None, 3], unit="D"), Number),
    }
    frame = pd.DataFrame({name: values for name, (values, _) in series.items()})
    columns = choose_columns(raw_table(frame))
    assert [type(column) for column in columns] == [kind for _, kind in series.values()]
    assert [column.name for column in columns if not column.gaps] == ["bool"]
    codes = {c.name: c.encode(raw_table(frame)[c.name]).tolist() for c in columns}
    assert codes["whole category"][:2] == codes["category"][:2] == [1, 2]
    assert codes["Int64"][::2] == codes["span"][::2] == [1, 3]
    assert codes["zone"][:2] == codes["datetime"][:2] == [4.5, 0]
    twice = pd.concat([frame, frame], axis=1)
    with pytest.raises(DataError, match="there are two columns called 'category'"):
        raw_table(twice)


def test_all_types_of_polars_are_read() -> None:
    pl = pytest.importorskip("polars")
    series = {
        "string": (pl.Series(GAPPY), Category),
        "categorical": (pl.Series(GAPPY, dtype=pl.Categorical), Category),
        "enum": (pl.Series(GAPPY, dtype=pl.Enum(["b", "c", "a"])), Category),
        "boolean": (pl.Series([True, None, False]), Category),
        "whole": (pl.Series([1, None, 3]), Number),
        "float": (pl.Series([1.5, NAN, None]), Number),
        "decimal": (pl.Series(["1.5", None, "2"]).cast(pl.Decimal(10, 2)), Number),
        "date": (pl.Series([*DAYS[:2], None]), Date),
        "datetime": (pl.Series(TIMES), Date),
        "zone": (pl.Series(TIMES).dt.replace_time_zone("Europe/Berlin"), Date),
    }
    frame = pl.DataFrame({name: values for name, (values, _) in series.items()})
    columns = choose_columns(raw_table(frame))
    assert [type(column) for column in columns] == [kind for _, kind in series.values()]
    assert all(column.gaps for column in columns)
    codes = {c.name: c.encode(raw_table(frame)[c.name]).tolist() for c in columns}
    assert codes["enum"][:2] == [1, 2]
    assert codes["zone"][:2] == codes["datetime"][:2] == [4.5, 0]
    with pytest.raises(DataError, match="LazyFrame; should be a DataFrame in memory"):
        raw_table(frame.lazy())
