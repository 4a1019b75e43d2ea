"""Make flats.csv: a made-up table of flats that were sold, with words, dates, gaps and numbers.

python experiments/flats.py
"""

import csv
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_suffix(".csv")
DISTRICTS = {
    "Harbour": 0.25,
    "Old Town": 0.3,
    "Station": -0.1,
    "Market": 0.15,
    "Meadows": 0.05,
    "Hillside": 0.2,
    "Mills": -0.2,
    "Lakeside": 0.4,
    "Northgate": -0.15,
    "Gardens": 0.1,
    "Airfield": -0.3,
    "Riverbank": 0.15,
    "University": 0.05,
    "Brickworks": -0.25,
}
"""How much dearer each is, in the logarithm of the price."""


def main(path: Path = PATH, rows: int = 800) -> None:
    """Write the table."""
    rng = np.random.default_rng(0)
    names = list(DISTRICTS)
    shares = 1 / np.arange(2, 2 + len(names))
    table = []
    for number in range(rows):
        district = names[rng.choice(len(names), p=shares / shares.sum())]
        area = round(float(rng.lognormal(4.2, 0.35)), 1)
        rooms = max(1, round(area / 27 + rng.normal(0, 0.5)))
        built = int(rng.choice([rng.integers(1890, 1940), rng.integers(1950, 2021)]))
        day = int(rng.integers(0, 8 * 365))
        heating = str(rng.choice(["gas", "district", "oil", "heat pump"], p=[0.5, 0.3, 0.15, 0.05]))
        balcony = bool(rng.random() < 0.6)
        logarithm = (
            7.9 + 0.95 * np.log(area) + DISTRICTS[district] + 0.05 * balcony + 0.05 * day / 365
        )
        logarithm += 0.25 * (built < 1920) + 0.004 * max(built - 1960, 0) - 0.1 * (heating == "oil")
        price = round(float(np.exp(logarithm + rng.normal(0, 0.08))), -2)
        table.append(
            {
                "id": f"F{number + 1:04d}",
                "sold": np.datetime64("2016-01-01") + np.timedelta64(day, "D"),
                "district": district,
                "area": area if rng.random() > 0.03 else "",
                "rooms": rooms,
                "built": built if rng.random() > 0.1 else "",
                "heating": heating if rng.random() > 0.15 else "",
                "balcony": str(balcony).lower(),
                "price": f"{price:.0f}",
            }
        )
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
    print(f"{path}: {rows} flats")


if __name__ == "__main__":
    main()
