"""Tables as they come: words, gaps, dates, identifiers; made up in well-known shapes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

NETWORK = """
[network]
body = {{type = "Sequential", layers = [
    {table}, {{type = "Dense", units = 16}}, {{type = "ReLU"}}, {{type = "Dense", units = {units}}},
]}}
loss = {{type = "{loss}"}}

[optimizer]
type = "Adam"
lr = 0.01

[training]
epochs = {epochs}
batch_size = 32

[data]
path = "{path}"
{data}
"""


def write_table(
    path: Path,
    columns: Mapping[str, Sequence[Any]],
    delimiter: str = ",",
    decimal: str = ".",
    encoding: str = "utf-8",
) -> Path:
    """Write a .csv file; None is an empty cell, floats have this decimal mark."""

    def text(cell: Any) -> str:
        if cell is None or cell != cell:
            return ""
        if isinstance(cell, float):
            return f"{cell:.6g}".replace(".", decimal)
        return f'"{cell}"' if delimiter in str(cell) else str(cell)

    rows = zip(*columns.values(), strict=True)
    lines = [delimiter.join(columns), *(delimiter.join(map(text, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def passengers(n: int = 400) -> dict[str, list[Any]]:
    """Like the Titanic's list: a number, names, bools, gaps, and who survived."""
    rng = np.random.default_rng(1)
    sex = rng.choice(["male", "female"], n, p=[0.6, 0.4])
    travels = rng.integers(1, 4, n)
    age = rng.normal(30, 12, n).clip(1).round(1)
    fare = (rng.gamma(2, 15, n) * (4 - travels)).round(2)
    alone = rng.random(n) < 0.5
    z = 2.2 * (sex == "female") - 0.7 * (travels - 2) - 0.02 * (age - 30) - 1
    survived = np.where(rng.random(n) < 1 / (1 + np.exp(-2 * z)), "yes", "no")
    ages: list[float | None] = [None if rng.random() < 0.2 else float(years) for years in age]
    ports = ["" if rng.random() < 0.01 else str(rng.choice(["S", "C", "Q"])) for _ in range(n)]
    return {
        "PassengerId": list(range(1, n + 1)),
        "survived": survived.tolist(),
        "class": travels.tolist(),
        "name": [f"Miller, Person no. {i}" for i in range(n)],
        "sex": sex.tolist(),
        "age": ages,
        "fare": fare.tolist(),
        "alone": alone.tolist(),
        "port": ports,
    }


def people(n: int = 400) -> dict[str, list[Any]]:
    """Like the census called adult: many words, ? for gaps, spaces after commas, two classes."""
    rng = np.random.default_rng(2)
    jobs = [f"job-{i}" for i in range(20)]
    job = rng.integers(0, 20, n)
    hours = rng.integers(20, 60, n)
    education = rng.choice(["HS-grad", "Bachelors", "Masters", "Doctorate"], n)
    rich = 0.08 * (hours - 40) + 0.2 * (job - 10) + 2.0 * (education == "Masters") > 0.5
    return {
        "age": rng.integers(17, 90, n).tolist(),
        " workclass": [f" {w}" for w in rng.choice(["Private", "State-gov", "?"], n)],
        " education": [f" {word}" for word in education],
        " occupation": [f" {jobs[i]}" for i in job],
        " hours-per-week": hours.tolist(),
        " country": [" United-States"] * n,
        " income": np.where(rich, " >50K", " <=50K").tolist(),
    }


def houses(n: int = 400) -> dict[str, list[Any]]:
    """Like house prices: decimal commas, umlauts, dates, NA, and a price."""
    rng = np.random.default_rng(3)
    area = rng.gamma(9, 12, n).round(1)
    city = rng.choice(["Köln", "Tübingen", "Ulm"], n, p=[0.5, 0.3, 0.2])
    sold = np.datetime64("2015-01-01") + rng.integers(0, 3000, n)
    years = (sold - np.datetime64("2015-01-01")).astype(float) / 365
    price = 2500 * area * (1 + 0.05 * years) + 60_000.0 * (city == "Köln")
    return {
        "Id": rng.permutation(n).tolist(),
        "Fläche": area.tolist(),
        "Zimmer": rng.integers(1, 8, n).tolist(),
        "Stadt": city.tolist(),
        "verkauft": [str(day) for day in sold],
        "Garage": [["NA", "ja", "nein"][int(i)] for i in rng.integers(0, 3, n)],
        "Preis": price.round(2).tolist(),
    }
