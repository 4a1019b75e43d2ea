"""Do results get more stable as the batch grows?

The tutorial: "In short, the training results will be more stable and consistent as the batch size
increases." It doesn't say what stable means. We measure two things: the *spread*, which is the
standard deviation of the test accuracy over ten seeds, that is over other initial weights and
another order of the images; and the *wobble*, the standard deviation of the test accuracy from
epoch to epoch, over the last five epochs and around their straight line, so that steady progress
does not count.

A larger batch means fewer steps in an epoch, and so less learning. So sigmoid and plain SGD are
trained in three ways: with the same learning rate of 1 for all batch sizes; with the best rate of
each; and with the same rate and as many steps as small batches take, 3,125, in as many epochs as
that needs.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from report import (
    BLUE,
    GREEN,
    ORANGE,
    Interval,
    Study,
    accuracy,
    best,
    conduct_all,
    deviation,
    draw_band,
    error_axis,
    final,
    markdown,
    mean,
    where,
)
from scipy import stats
from trainings import Results, Setting

from layerkit import Array

RATES = {
    16: [0.25, 0.5, 1.0, 2.0],
    64: [0.5, 1.0, 2.0, 4.0],
    256: [1.0, 2.0, 4.0, 8.0],
    1024: [1.0, 2.0, 4.0, 8.0, 16.0],
    4096: [1.0, 2.0, 4.0, 8.0, 16.0],
}
SIZES = list(RATES)
SETTINGS = [Setting(batch_size=size, rate=rate) for size in SIZES for rate in RATES[size]] + [
    Setting(batch_size=size, epochs=size // 16) for size in SIZES[:4]
]


def ways(results: Results) -> dict[str, list[Setting]]:
    """The settings of each way, in the order of the batch sizes."""
    same = {"epochs": 10, "rate": 1.0}
    return {
        "same rate": [where(results, batch_size=size, **same)[0] for size in SIZES],
        "best rate of each": [best(results, batch_size=size, epochs=10) for size in SIZES],
        "same rate, same number of steps": [
            where(results, batch_size=size, epochs=size // 16)[0] for size in SIZES[:4]
        ],
    }


def wobble(results: Results, setting: Setting, last: int = 5) -> Array:
    """For each seed the standard deviation of the last accuracies around their straight line."""
    y = accuracy(results, setting)[:, -last:].T
    line = np.vander(np.arange(last), 2)
    _, squares, *_ = np.linalg.lstsq(line, y, rcond=None)
    return np.sqrt(squares / (last - 2))


def ratio(a: Array, b: Array) -> Interval:
    """How many times as large the standard deviation of `a` is, by the F distribution."""
    n = len(a) - 1
    value = float(a.std() / b.std())
    high, low = np.sqrt(stats.f.ppf([0.025, 0.975], n, n)).tolist()
    return Interval(value, value / low, value / high)


def picture(results: Results) -> Figure:
    """Draw spread, wobble and test error over the batch size."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    for (way, settings), colour, line in zip(
        ways(results).items(), (BLUE, ORANGE, GREEN), ("-o", "--s", ":^"), strict=True
    ):
        long = [setting for setting in settings if setting.epochs >= 5]
        for axes, shown, estimates in (
            (left, settings, [deviation(final(results, s)) for s in settings]),
            (middle, long, [mean(wobble(results, s)) for s in long]),
            (right, settings, [mean(100 - final(results, s)) for s in settings]),
        ):
            draw_band(axes, [s.batch_size for s in shown], estimates, way, colour, line)
    for axes, title in (
        (left, "spread over seeds"),
        (middle, "wobble from epoch to epoch"),
        (right, "test error"),
    ):
        axes.set_title(title)
        axes.set(xscale="log", xlabel="batch size")
        axes.set_xticks(SIZES, map(str, SIZES))
        axes.set_xticks([], minor=True)
    for axes in (left, middle):
        axes.set(ylabel="test accuracy, percentage points", ylim=(0, None))
        axes.grid(alpha=0.3)
    error_axis(right, (2, 3, 5, 10))
    left.legend(frameon=False)
    return figure


def table(results: Results) -> str:
    """Show spread, wobble and accuracy."""
    rows = []
    for way, settings in ways(results).items():
        for setting in settings:
            accuracies = final(results, setting)
            long = setting.epochs >= 5
            rows.append(
                [
                    way,
                    f"{setting.batch_size:,}",
                    f"{setting.rate:g}",
                    f"{setting.epochs}",
                    f"{mean(accuracies):.2f}",
                    f"{deviation(accuracies):.2f}",
                    f"{mean(wobble(results, setting)):.2f}" if long else "",
                ]
            )
    columns = [
        "",
        "batch",
        "rate",
        "epochs",
        "test accuracy, %",
        "spread, points",
        "wobble, points",
    ]
    return markdown(columns, rows)


def answer(results: Results) -> str:
    """Say whether results get more stable."""
    return ""


CAPTION = "Lower is better."
STUDY = Study("batch_sizes", __doc__, SETTINGS, answer, picture, CAPTION, table)

if __name__ == "__main__":
    conduct_all([STUDY])
