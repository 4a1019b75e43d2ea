"""Do results get more stable as the batch grows?

The tutorial: "In short, the training results will be more stable and consistent as the batch size
increases."

For the gradient that is true: its noise falls with the square root of the batch size. For the
results, the *spread* is the standard deviation of the test accuracy over the seeds, and the
*wobble* that from epoch to epoch, over the last five epochs and around a straight line, so that
steady progress does not count. Its interval is that of the mean over the seeds, which reaches
below 0 where one run differs much from the others; five epochs or fewer have no wobble.

Larger batches mean fewer steps in an epoch, and so less learning. So sigmoid and plain SGD are
trained in three ways: with the rate 1 for all batch sizes; with the best rate for each; and with
the rate 1 and the number of steps that batches of 16 take in an epoch, for as many epochs as that
needs. These batch sizes divide the 50,000 images. One that does not is added: batches of 64 leave
16 images for the last step of each epoch, after which the accuracy is measured.
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from report import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    Interval,
    Study,
    accuracy,
    best,
    conduct_all,
    deviation,
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
    80: [0.5, 1.0, 2.0, 4.0],
    400: [1.0, 2.0, 4.0, 8.0],
    2000: [1.0, 2.0, 4.0, 8.0, 16.0],
}
SIZES = list(RATES)
SETTINGS = [
    *(Setting(batch_size=size, rate=rate) for size in SIZES for rate in RATES[size]),
    *(Setting(batch_size=size, epochs=size // 16) for size in SIZES),
    Setting(batch_size=64),
]


def ways(results: Results) -> dict[str, list[Setting]]:
    """Return the settings of each way, in the order of the batch sizes."""
    same = {"epochs": 10, "rate": 1.0}
    return {
        "same rate": [where(results, batch_size=size, **same)[0] for size in SIZES],
        "best rate of each": [best(results, batch_size=size, epochs=10) for size in SIZES],
        "same rate and steps": [
            where(results, batch_size=size, epochs=size // 16)[0] for size in SIZES
        ],
        "same rate, last batch 16": where(results, batch_size=64),
    }


def wobble(results: Results, setting: Setting, last: int = 5) -> Array:
    """Return for each seed the standard deviation of the last accuracies around a straight line."""
    y = accuracy(results, setting)[:, -last:].T
    line = np.vander(np.arange(last), 2)
    _, squares, *_ = np.linalg.lstsq(line, y, rcond=None)
    return np.sqrt(squares / (last - 2))


def ratio(a: Array, b: Array) -> Interval:
    """Return the ratio of the standard deviations of `a` and `b`, by the F distribution."""
    n = len(a) - 1
    value = float(a.std() / b.std())
    high, low = np.sqrt(stats.f.ppf([0.025, 0.975], n, n)).tolist()
    return Interval(value, value / low, value / high)


def picture(results: Results) -> Figure:
    """Draw spread, wobble and test error over the batch size."""
    figure = Figure(figsize=(5, 10), layout="constrained")
    spread, wobbling, error = figure.subplots(3, 1)
    # the points of a batch size are side by side, so that their bars don't hide one another
    styles = [(BLUE, "-o", 0.92), (ORANGE, "--s", 1), (GREEN, ":^", 1.08), (PINK, "D", 1)]
    for (way, settings), style in zip(ways(results).items(), styles, strict=True):
        colour, line, beside = style
        long = [setting for setting in settings if setting.epochs >= 10]
        for axes, shown, estimates in (
            (spread, settings, [deviation(final(results, s)) for s in settings]),
            (wobbling, long, [mean(wobble(results, s)) for s in long]),
            (error, settings, [mean(100 - final(results, s)) for s in settings]),
        ):
            x = [setting.batch_size * beside for setting in shown]
            y = [e.value for e in estimates]
            bars = [[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]]
            axes.errorbar(x, y, bars, fmt=line, color=colour, label=way, markersize=5, capsize=3)
    for axes, title, ticks in (
        (spread, "spread over seeds, points", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)),
        (wobbling, "wobble from epoch to epoch, points", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)),
        (error, "test error, %", (2, 3, 5, 10)),
    ):
        axes.set(title=title, xlabel="batch size", xscale="log", yscale="log")
        axes.set_xticks(SIZES, map(str, SIZES))
        axes.set_yticks(ticks, map(str, ticks))
        axes.set_ylim(ticks[0], ticks[-1])
        axes.set_xticks([], minor=True)
        axes.set_yticks([], minor=True)
        axes.grid(alpha=0.3)
    names = spread.get_legend_handles_labels()
    figure.legend(*names, loc="outside upper center", ncols=2, frameon=False)
    return figure


def table(results: Results) -> str:
    """Show spread, wobble and accuracy."""
    rows = []
    for way, settings in ways(results).items():
        for setting in settings:
            accuracies = final(results, setting)
            long = setting.epochs >= 10
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


def evidence(results: Results) -> str:
    """Compare the smallest batches with the largest, and with uneven ones."""
    of = ways(results)
    wobbles = [mean(wobble(results, setting)) for setting in of["same rate"]]
    same, chosen, steps = (
        [deviation(final(results, setting)) for setting in of[way]]
        for way in ("same rate", "best rate of each", "same rate and steps")
    )
    [uneven] = of["same rate, last batch 16"]
    return (
        "*Stable* can mean two things. From epoch to epoch, the test accuracy goes up and down: we "
        "call the usual size of these movements the *wobble*. And ten runs that differ in "
        "their seed alone end with different accuracies: the *spread* (both are standard "
        "deviations).\n\n"
        f"From batches of 16 to batches of 2,000 the wobble falls from {wobbles[0].value:.2f} to "
        f"{wobbles[-1].value:.2f} points. The spread does not: it is {same[0].value:.2f} and "
        f"{same[-1].value:.2f} points, and with the best rate for each size "
        f"{chosen[0].value:.2f} and {chosen[-1].value:.2f}. If all take the same number of steps, "
        f"which means more epochs for larger batches, it falls from {steps[0].value:.2f} to "
        f"{steps[-1].value:.2f}. A small last batch matters more than the batch size: with batches "
        f"of 64, which leave 16 images for the last step of each epoch, the spread is "
        f"{deviation(final(results, uneven)).value:.2f} points."
    )


VERDICT = (
    "In part: at the same rate they vary less from epoch to epoch, but no less from seed to seed."
)
CAPTION = (
    "How much the test accuracy differs from seed to seed and from epoch to epoch, and the test "
    "error, for each batch size; lower is better."
)
STUDY = Study("batch_sizes", __doc__, SETTINGS, VERDICT, evidence, picture, CAPTION, table)

if __name__ == "__main__":
    conduct_all([STUDY])
