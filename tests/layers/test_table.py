"""Table: words, dates, gaps and numbers as features, from DataFrames and dicts."""

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layerkit import (
    Adam,
    Category,
    Column,
    ConfigError,
    DataError,
    Date,
    Dense,
    LayerkitError,
    MeanSquaredError,
    Network,
    Number,
    ReLU,
    Sequential,
    ShapeError,
    Table,
    fit,
    from_config,
    to_config,
)
from layerkit.arrays import Array

NAN = float("nan")
CITIES = {"Ulm": 0.0, "Bonn": 1.0, "Rom": 3.0}


def table(n: int = 200) -> tuple[dict[str, Any], Array]:
    """A table of every kind of column, with gaps, and a target that follows from it."""
    rng = np.random.default_rng(0)
    city = rng.choice(list(CITIES), n).astype(object)
    age = rng.normal(40, 10, n)
    street = rng.choice([f"street {i}" for i in range(20)], n)
    price = np.array([CITIES[word] for word in city]) + age / 10
    sold = np.datetime64("2020-01-05T12", "us") + np.arange(n) * np.timedelta64(36, "h")
    city[[3, 90]], age[[4, 8]] = None, np.nan
    return {"city": city, "age": age, "sold": sold, "street": street}, price


def network(layer: Table, dtype: Any = "float32") -> Network:
    body = Sequential([layer, Dense(16), ReLU(), Dense(1)])
    return Network(body, MeanSquaredError(), layer.shape, dtype)


def test_a_table_of_every_kind_is_learned_copied_and_saved(tmp_path: Path) -> None:
    x, t = table()
    layer = Table.of(x)
    assert from_config(to_config(layer), Table) == layer
    net = network(layer)
    records = fit(net, Adam(lr=0.02), x, t, epochs=60, batch_size=20, validation=(x, t))
    assert records[-1].train_loss < 0.02 * t.var()
    y = net.predict(x)
    net.save(tmp_path / "model.safetensors")
    for same in (
        Network.load(tmp_path / "model.safetensors"),
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
    ):
        np.testing.assert_array_equal(y, same.predict(x))


@pytest.mark.parametrize("library", ["pandas", "polars", "dict", "codes"])
def test_tables_are_taken_everywhere(library: str) -> None:
    """Columns in any order, others ignored; gaps are there, and words that are new."""
    x, t = table()
    net = network(Table.of(x))
    x = {"name": ["Eva"] * 200} | {name: x[name] for name in reversed(x)}
    x["city"][5] = "Oslo"
    given: Any = x
    if library == "codes":
        given = net["body.layers.0"].encode(x)  # type: ignore[union-attr]
    elif library != "dict":
        given = pytest.importorskip(library).DataFrame(x)
    fit(net, Adam(), given, t, epochs=2)
    y = net.predict(x)
    predict = net.predictor()
    for _ in range(2):
        np.testing.assert_array_equal(predict(given), y)
    np.testing.assert_array_equal(net.predict(given), y)
    assert net.gradient(given, t) == net.gradient(x, t)
    assert net.input_gradient(given, t).shape == (200, 4)


COLUMNS = [
    Number("age", gaps=True),
    Category("city", ["Ulm", "Bonn"], gaps=True),
    Category("street", ["a", "b"], embedding=2, gaps=True),
    Category("door", ["x"], embedding=1),
    Date("sold", "2024-01-01", cycles=["week"]),
    Number("height"),
]
CELLS: Any = {
    "age": [10, 30, None],
    "city": ["Bonn", "Rom", ""],
    "street": ["b", "c", "?"],
    "door": ["x", "y", None],
    "sold": ["2024-01-01", "2024-01-03", None],
    "height": [5, 5, 5],
}


def test_features_are_as_they_are_documented() -> None:
    layer = Table(COLUMNS)
    net = Network(layer, MeanSquaredError(), layer.shape, "float64").adapt(CELLS)
    layer.W.value, layer.other.value = np.arange(7), np.array([70, 80, 90])
    angle = 2 * np.pi * 2 / 7
    wanted = [
        # age, days, height; sine and cosine; gaps of age and city; Ulm, Bonn; street; door
        [-1, -1, 0, 0, 1, 0, 0, 0, 1, 2, 3, 6],
        [1, 1, 0, np.sin(angle), np.cos(angle), 0, 0, 0, 0, 70, 80, 90],
        [0, 0, 0, 0, 0, 1, 1, 0, 0, 4, 5, 90],
    ]
    np.testing.assert_allclose(net.outputs(CELLS), wanted, atol=1e-12)
    assert layer.features == [
        *("age", "sold", "height", "sine of sold in a week", "cosine of sold in a week"),
        *("age is missing", "city is missing", "city = Ulm", "city = Bonn"),
        *["street, a number of its vector"] * 2,
        "door, a number of its vector",
    ]


def test_a_line_tells_what_a_column_becomes() -> None:
    layer = Table(COLUMNS)
    assert layer.describe(CELLS).splitlines() == [
        "age     number    standardized; 1 gap, marked",
        "city    category  2 categories, one-hot; 1 gap, marked",
        "street  category  2 categories, 2 learned numbers each; 1 gap, marked",
        "door    category  1 category, 1 learned number each; 1 gap",
        "sold    date      days since 2024-01-01, standardized, week; 1 gap",
        "height  number    standardized",
    ]
    assert "age     number    standardized; gaps marked" in layer.describe()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_training_sees_late_is_the_mean_and_no_category(dtype: Any) -> None:
    """A gap where training had none, and a new word."""
    x, t = table()
    x = {"age": np.where(np.isnan(x["age"]), 40, x["age"]), "street": x["street"]}
    net = network(Table.of(x), dtype)
    fit(net, Adam(), x, t, epochs=2)
    layer: Any = net["body.layers.0"]
    late, new = ({"age": [age], "street": [street]} for age, street in ((NAN, None), (40, "new")))
    one, other = (net.outputs(part, of="body.layers.0")[0] for part in (late, new))
    assert one[0] == 0
    np.testing.assert_array_equal(one[1:], other[1:])
    np.testing.assert_array_equal(one[1:], layer.other.value)
    assert (layer.other.value == 0).all()


def test_large_numbers_with_gaps_are_measured_exactly() -> None:
    rng = np.random.default_rng(0)
    age = (1e6 + rng.normal(size=5000) * 100).astype(np.float32).astype(float)
    age[[0, 7, 4000]] = NAN
    layer = Table([Number("age")])
    net = Network(Sequential([layer, Dense(1)]), MeanSquaredError(), (1,)).adapt({"age": age})
    exact = layer.mean.value.astype(float) + layer.rest.value
    np.testing.assert_allclose(exact, np.nanmean(age), rtol=1e-9)
    np.testing.assert_allclose(layer.scale.value, np.nanstd(age), rtol=1e-6)
    assert net.adapted


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: network(Table()),
            ConfigError,
            "Table has no columns yet: Table.of(frame) chooses",
        ),
        (lambda: Table([]), ConfigError, "Table.columns = []: should not be empty"),
        (lambda: Table(CELLS), ConfigError, "Table.columns is a table; Table.of(frame) chooses"),
        (lambda: Table([Number("a"), Date("a")]), ConfigError, "Table.columns: 'a' is there twice"),
        (lambda: Category("a", ["b", "b"]), ConfigError, "categories of 'a': 'b' is there twice"),
        (lambda: Date("a", "soon"), ConfigError, "'soon'; should be a date such as '2024-12-31'"),
        (lambda: Date("a", "20241231"), ConfigError, "should be a date such as '2024-12-31'"),
        (
            lambda: network(Table([Category("a")])),
            ConfigError,
            "Table: Category(name='a') does not know yet what is in it",
        ),
        (
            lambda: Network(Table(COLUMNS), MeanSquaredError(), (5,)),
            ShapeError,
            "Table has 6 columns, and examples have the shape (5,); should be (6,)",
        ),
    ],
)
def test_tables_that_cannot_be_built_are_refused(make: Any, error: Any, sentence: str) -> None:
    with pytest.raises(error, match=re.escape(sentence)):
        make()


class Money(Number):
    """Numbers with a sign before them, as one of a user's own columns."""

    def encode(self, values: Array) -> Array:
        return np.array([float(str(cell).strip("€")) for cell in values])


class OddColumn(Column):
    """A column that is of no kind that a Table knows."""

    becomes = "nothing"

    def encode(self, values: Array) -> Array:
        return np.zeros(len(values))


def test_columns_of_ones_own_are_of_a_known_kind() -> None:
    x = {"price": ["€3", "€5.5"]}
    layer = Table([Money("price")])
    assert from_config(to_config(layer), Table) == layer
    np.testing.assert_array_equal(layer.encode(x), [[3], [5.5]])
    assert Table.of(x, price=Money("price")).columns == [Money("price")]
    with pytest.raises(
        ConfigError, match=r"OddColumn\(name='x'\) is none of Number, Category and Date"
    ):
        network(Table([OddColumn("x")]))


TWO = {"age": [1.0, 2.0], "city": ["Ulm", "Bonn"]}


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ({"age": [1]}, "the table has no column 'city'; it has 'age'"),
        ({"age": [1], "City": ["Ulm"]}, "no column 'city' (did you mean 'City'?); it has 'age'"),
        (TWO | {"age": ["1", "old"]}, "column 'age' of example 1 is 'old'; should be a number"),
        (TWO | {"age": [1, np.inf]}, "column 'age' of example 1 is inf; should be a finite number"),
        (TWO | {"city": [1, 2]}, "column 'city' has numbers, such as 1; should be words"),
        ({"age": [], "city": []}, "no examples: an array of shape (0, 2)"),
        ([[1.0, 3.0]], "'city' of example 0 is 3; should be a code from 0 to 2, or nan for a gap"),
        ([[1, 1], [1.0, 0.5]], "column 'city' of example 1 is 0.5; should be a code from 0 to 2"),
        ([[np.inf, 1.0]], "column 'age' of example 0 is inf; should be a finite float32"),
        (TWO | {"age": [1, -1e39]}, "column 'age' of example 1 is -1e+39; should be a finite fl"),
        ([[1.0, 2.0, 3.0]], "examples have shape (1, 3); should be (N, 2)"),
        ([["Ulm", 1.0]], "examples of type"),
    ],
    ids=str,
)
def test_examples_that_do_not_fit_are_refused(x: Any, sentence: str) -> None:
    net = network(Table([Number("age"), Category("city", ["Ulm", "Bonn"])])).adapt(TWO)
    with pytest.raises(LayerkitError, match=re.escape(sentence)):
        net.predict(x)


def test_numbers_too_close_for_their_size_are_named_by_column() -> None:
    x = {"{time}": 1.7e9 + np.arange(9.0), "age": np.arange(9.0)}
    layer = Table([Number("age"), Number("{time}")])
    with pytest.raises(DataError, match=r"column '{time}' goes from 1700000000.0 to 1700000008.0"):
        network(layer).adapt(x)
    x["{time}"] = 1.7e9 + 60 * np.arange(9.0)
    with pytest.raises(DataError, match=r"Table: column '{time}' varies by 168 around"):
        network(Table(copy.deepcopy(layer.columns))).adapt(x)
    assert network(Table(layer.columns), "float64").adapt(x).adapted


def test_words_without_a_table_are_refused_with_the_remedy() -> None:
    pd = pytest.importorskip("pandas")
    net = Network(Dense(1), MeanSquaredError(), (2,))
    with pytest.raises(DataError, match=r"is Ulm \(column 'city'\); with Table.of\(x\) as"):
        fit(net, Adam(), pd.DataFrame(TWO), np.ones(2), epochs=1)


def test_a_table_behind_another_layer_takes_no_frames_and_no_gaps() -> None:
    layer = Table([Number("age"), Number("size")])
    net = Network(Sequential([Dense(2), layer, Dense(1)]), MeanSquaredError(), (2,))
    with pytest.raises(DataError, match=r"x\[0, 1\] is nan"):
        fit(net, Adam(), [[1.0, NAN]] * 3, np.ones(3), epochs=1)


def test_bytes_in_a_table_are_numbers() -> None:
    """Not images, which are divided by 255."""
    layer = Table([Number("age"), Category("city", ["Ulm", "Bonn"])])
    net = network(layer).adapt(np.array([[10, 1], [30, 2]], np.uint8))
    assert layer.mean.value == 20
    assert net.seen.pixels is None
