"""Does it help to shrink the variance of the initial weights to 1/n?

The tutorial: "To smarten up our initialization, we shrink the variance of the weights in each
layer", to 1/n, "where n is the number of inputs feeding into that layer".

Plain SGD with many learning rates, with initial weights of variance 1, of variance 1/n, and
with layerkit's default, which is 1/n too, except for 2/n before ReLU. For each seed the weights are
the same random numbers, only scaled. The test accuracies after one epoch and after ten are
compared, each at its own best learning rate.
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
    draw_band,
    draw_rates,
    error_axis,
    final,
    markdown,
    mean,
    rate_axis,
)
from trainings import Results, Setting

RATES = {
    "Sigmoid": [1.0, 2.0, 4.0, 10.0, 20.0],
    "ReLU": [0.1, 0.2, 0.4, 1.0, 2.0, 4.0],
}
WEIGHTS = {"Sigmoid": ["1", "1/n"], "ReLU": ["1", "1/n", "suited"]}
NAMES = {"1": "variance 1", "1/n": "variance 1/n", "suited": "2/n before ReLU"}
STYLES = {"1": (ORANGE, "-o"), "1/n": (BLUE, "-o"), "suited": (GREEN, "--s")}
SETTINGS = [
    Setting(activation=activation, weights=weights, rate=rate)
    for activation, rates in RATES.items()
    for weights in WEIGHTS[activation]
    for rate in rates
]


def picture(results: Results) -> Figure:
    """Draw the test error over the epochs at the best rate, and over the rates."""
    figure = Figure(figsize=(5, 11), layout="constrained")
    grid = figure.subplots(4, 1).reshape(2, 2)
    for (upper, lower), activation in zip(grid, RATES, strict=True):
        for weights in WEIGHTS[activation]:
            setting = best(results, activation=activation, weights=weights)
            errors = [mean(100 - column) for column in accuracy(results, setting).T]
            colour, line = STYLES[weights]
            label = f"{NAMES[weights]}, rate {setting.rate:g}"
            draw_band(upper, range(1, setting.epochs + 1), errors, label, colour, line)
            same = {"activation": activation, "weights": weights}
            draw_rates(lower, results, NAMES[weights], colour, line, **same)
        upper.set(xlabel="epoch", ylabel="test error", title=f"{activation}, at the best rates")
        lower.set_ylabel("test error after 10 epochs")
        rate_axis(lower, RATES[activation])
        error_axis(upper, (2, 3, 5, 10, 20, 30))
        error_axis(lower)
        upper.legend(frameon=False)
        lower.legend(frameon=False)
    return figure


def chosen(results: Results, activation: str) -> dict[str, Setting]:
    """Return the setting with the best rate for each kind of initial weights."""
    return {w: best(results, activation=activation, weights=w) for w in WEIGHTS[activation]}


def gain(results: Results, activation: str, weights: str) -> Interval:
    """Return by how many points these weights are better than variance 1, seed by seed."""
    settings = chosen(results, activation)
    return mean(final(results, settings[weights]) - final(results, settings["1"]))


def table(results: Results) -> str:
    """Compare test accuracies."""
    rows = []
    for activation in RATES:
        for weights, setting in chosen(results, activation).items():
            after = accuracy(results, setting)
            rows.append(
                [
                    activation,
                    NAMES[weights],
                    f"{setting.rate:g}",
                    f"{mean(after[:, 0]):.2f}",
                    f"{mean(after[:, -1]):.2f}",
                    "" if weights == "1" else f"{gain(results, activation, weights):+.2f}",
                ]
            )
    columns = [
        "",
        "initial weights",
        "best rate",
        "after 1 epoch, %",
        "after 10 epochs, %",
        "gain over variance 1, points",
    ]
    return markdown(columns, rows)


def head_start(results: Results, activation: str) -> int:
    """Return the number of epochs in which variance 1/n gets better than variance 1 ever does."""
    settings = chosen(results, activation)
    goal = final(results, settings["1"]).mean()
    return int(np.argmax(accuracy(results, settings["1/n"]).mean(axis=0) > goal)) + 1


def counted(epochs: int) -> str:
    """Return a number of epochs in words."""
    return f"{epochs} epochs" if epochs > 1 else "one epoch"


def evidence(results: Results) -> str:
    """Compare the kinds of initial weights, each at its best rate."""
    gains = [gain(results, activation, "1/n") for activation in RATES]
    epochs = [head_start(results, activation) for activation in RATES]
    relu = chosen(results, "ReLU")
    suited = mean(final(results, relu["suited"]) - final(results, relu["1/n"]))
    return (
        f"Each at its best learning rate, variance 1/n ends {gains[0].value:.1f} points of test "
        f"accuracy above variance 1 with sigmoid, and {gains[1].value:.1f} with ReLU. With sigmoid "
        f"it is better after {counted(epochs[0])} than variance 1 after ten; with ReLU, after "
        f"{counted(epochs[1])}. Before ReLU, variance 2/n instead of 1/n makes no difference in so "
        f"small a network: {suited.value:+.2f} points."
    )


VERDICT = "Yes, clearly."
CAPTION = (
    "The test error after each epoch, with the best learning rate of each, and after ten epochs "
    "for each learning rate; lower is better."
)
STUDY = Study("initial_weights", __doc__, SETTINGS, VERDICT, evidence, picture, CAPTION, table)

if __name__ == "__main__":
    conduct_all([STUDY])
