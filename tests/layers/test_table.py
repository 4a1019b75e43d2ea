"""Table: words, dates, gaps and numbers as features, from DataFrames and dicts."""

from pathlib import Path
from typing import Any

import numpy as np

from layerkit import (
    Adam,
    Dense,
    MeanSquaredError,
    Network,
    ReLU,
    Sequential,
    Table,
    fit,
)

CITIES = {"Ulm": 0.0, "Bonn": 1.0, "Rom": 3.0}


def table(n: int = 200) -> tuple[dict[str, Any], Any]:
    """A table of every kind of column, with gaps, and a target that follows from it."""
    rng = np.random.default_rng(0)
    city = rng.choice(list(CITIES), n).astype(object)
    age = rng.normal(40, 10, n)
    street = rng.choice([f"street {i}" for i in range(20)], n)
    price = np.array([CITIES[word] for word in city]) + age / 10
    sold = np.datetime64("2020-01-05T12:00") + np.arange(n) * np.timedelta64(36, "h")
    city[[3, 90]], age[[4, 8]] = None, np.nan
    return {"city": city, "age": age, "sold": sold, "street": street}, price


def test_a_table_of_every_kind_is_learned_saved_and_read(tmp_path: Path) -> None:
    x, t = table()
    layer = Table.of(x)
    net = Network(Sequential([layer, Dense(16), ReLU(), Dense(1)]), MeanSquaredError(), layer.shape)
    records = fit(net, Adam(lr=0.02), x, t, epochs=60, batch_size=20)
    assert records[-1].train_loss < 0.02 * t.var()
    shuffled = {name: x[name] for name in reversed(x)} | {"other": x["age"]}
    y = net.predict(shuffled)
    np.testing.assert_array_equal(y, net.predict(x))
    np.testing.assert_array_equal(y, net.predict(layer.encode(x)))
    np.testing.assert_array_equal(y, net.predictor()(x))
    net.save(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(y, Network.load(tmp_path / "model.safetensors").predict(x))
